package report_test

import (
	"testing"

	"homing/internal/report"
)

func TestHostOf(t *testing.T) {
	for in, want := range map[string]string{
		"mx.example.net[198.51.100.7]": "mx.example.net",
		"mx.example.net":               "mx.example.net",
		"[198.51.100.7]":               "[198.51.100.7]",
		"":                             "",
	} {
		if got := report.HostOf(in); got != want {
			t.Errorf("HostOf(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestStatusOr(t *testing.T) {
	for _, good := range []string{"5.1.1", "4.4.7", "2.0.0", "5.7.515"} {
		if got := report.StatusOr(good, "5.0.0"); got != good {
			t.Errorf("StatusOr(%q) = %q", good, got)
		}
	}
	for _, bad := range []string{"", "5", "5.1", "3.1.1", "5.1.1.1", "5..1", "5.1.x", "5.1.1\r\nX: y", "5.1.1234", "550 5.1.1"} {
		if got := report.StatusOr(bad, "5.0.0"); got != "5.0.0" {
			t.Errorf("StatusOr(%q) = %q, want 5.0.0", bad, got)
		}
	}
}
