// Package duration reads what people write for a length of time, with days.
package duration

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// Parse reads "5d", "1d12h" or "90s"; nothing is less than 0. Its error says
// what to write instead.
func Parse(s string) (time.Duration, error) {
	wrong := fmt.Errorf(`%q is not a duration; write a number with d, h, m or s, like "5d", "1h" or "90s"`, s)
	days, rest, found := strings.Cut(s, "d")
	if !found {
		days, rest = "0", s
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return 0, wrong
	}
	sum := time.Duration(n) * day
	if rest != "" {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 || d > math.MaxInt64-sum {
			return 0, wrong
		}
		sum += d
	}
	if s == "" {
		return 0, wrong
	}
	return sum, nil
}
