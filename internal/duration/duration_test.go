package duration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"homing/internal/duration"
)

func Example() {
	d, err := duration.Parse("1d12h")
	fmt.Println(d, err)
	_, err = duration.Parse("a week")
	fmt.Println(err)
	// Output:
	// 36h0m0s <nil>
	// "a week" is not a duration; write a number with d, h, m or s, like "5d", "1h" or "90s"
}

func TestADurationHasDaysHoursMinutesAndSeconds(t *testing.T) {
	for text, want := range map[string]time.Duration{"7d": 168 * time.Hour, "90m": 90 * time.Minute, "0s": 0, "1d1h1m1s": 25*time.Hour + 61*time.Second} {
		if got, err := duration.Parse(text); got != want || err != nil {
			t.Errorf("Parse(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "7", "-1h", "-1d", "1d-1h", "1h1d", "70000d", "monday"} {
		if got, err := duration.Parse(text); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", text, got)
		}
	}
}

// FuzzParse promises of any text that what is read is no less than 0, and that
// a whole number of days in front is added to the rest.
func FuzzParse(f *testing.F) {
	f.Add("1d12h")
	f.Add("90s")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := duration.Parse(text)
		if d < 0 || err != nil && d != 0 {
			t.Errorf("Parse(%q) = %v, %v", text, d, err)
		}
		if more, again := duration.Parse("2d" + text); err == nil && !strings.Contains(text, "d") && (again != nil || more != d+48*time.Hour) && d < 1<<62 {
			t.Errorf("Parse(%q) = %v, %v, want %v and two days", "2d"+text, more, again, d)
		}
	})
}
