package aggregate

import (
	"net/netip"
	"testing"
	"time"
)

func TestAddressesAreReadInEverySpelling(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"IPv4", "203.0.113.9", "203.0.113.9"},
		{"with blanks", " 203.0.113.9\r\n", "203.0.113.9"},
		{"with zeros in front", "203.000.113.009", "203.0.113.9"},
		{"with a prefix length", "203.0.113.9/32", "203.0.113.9"},
		{"IPv4 in IPv6", "::FFFF:203.0.113.9", "203.0.113.9"},
		{"IPv4 in IPv6 in hexadecimal", "::ffff:cb00:7109", "203.0.113.9"},
		{"IPv6 in capitals, not shortened", "2001:0DB8:0000:0000:0000:0000:0000:0010", "2001:db8::10"},
		{"IPv6 with too many zeros", "2001:0db8::00010", "2001:db8::10"},
		{"in brackets", "[2001:db8::10]", "2001:db8::10"},
		{"as in an address literal", "[IPv6:2001:db8::10]", "2001:db8::10"},
		{"with a zone", "fe80::1%eth0", "fe80::1"},
		{"a name", "mail.example.org", "invalid IP"},
		{"nothing", "", "invalid IP"},
		{"only zeros and dots", "...", "invalid IP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := addressOf(tt.text); got.String() != tt.want || got.IsValid() != (tt.want != netip.Addr{}.String()) {
				t.Errorf("addressOf(%q) = %v, want %s", tt.text, got, tt.want)
			}
		})
	}
}

func TestTimesAreReadInEverySpelling(t *testing.T) {
	want := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		name, text string
		want       time.Time
	}{
		{"seconds", "1795305600", want},
		{"seconds between blanks", "\n  1795305600\t", want},
		{"seconds with a fraction", "1795305600.0", want},
		{"thousandths of seconds", "1795305600000", want},
		{"RFC 3339", "2026-11-22T01:00:00+01:00", want},
		{"RFC 3339 without a zone", "2026-11-22T00:00:00", want},
		{"with a blank", "2026-11-22 00:00:00", want},
		{"a day", "2026-11-22", want},
		{"nothing", "", time.Time{}},
		{"no time", "yesterday", time.Time{}},
		{"before there were reports", "1", time.Time{}},
		{"after all", "99999999999999999999", time.Time{}},
		{"less than nothing", "-5", time.Time{}},
		{"no number", "NaN", time.Time{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := timeOf(tt.text); !got.Equal(tt.want) {
				t.Errorf("timeOf(%q) = %v, want %v", tt.text, got, tt.want)
			}
		})
	}
}

func TestCountsAreNumbersOfSomething(t *testing.T) {
	tests := []struct {
		text string
		want int
		ok   bool
	}{
		{"12", 12, true}, {" 12 ", 12, true}, {"12.0", 12, true}, {"0", 0, true}, {"", 0, false}, {"-1", 0, false}, {"many", 0, false},
		{"NaN", 0, false}, {"1e300", MaxCount, true}, {"99999999999999999999999", MaxCount, true},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			if got, ok := countOf(tt.text); got != tt.want || ok != tt.ok {
				t.Errorf("countOf(%q) = %d, %v, want %d, %v", tt.text, got, ok, tt.want, tt.ok)
			}
		})
	}
}
