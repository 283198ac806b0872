package httpcall_test

import (
	"fmt"
	"testing"
	"time"

	"homing/internal/httpcall"
)

// FuzzRetryAfter states that no header makes us wait less than nothing, and
// that seconds are seconds.
func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	f.Add("120")
	f.Add("Mon, 23 Nov 2026 10:05:00 GMT")
	f.Add("99999999999999999999")
	f.Fuzz(func(t *testing.T, value string) {
		got := httpcall.RetryAfter(value, now)
		if got < 0 {
			t.Errorf("RetryAfter(%q) = %v", value, got)
		}
		var seconds int32
		if _, err := fmt.Sscanf(value, "%d", &seconds); err == nil && seconds >= 0 && fmt.Sprint(seconds) == value && got != time.Duration(seconds)*time.Second {
			t.Errorf("RetryAfter(%q) = %v", value, got)
		}
	})
}
