package dnsx_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
)

func TestCanonical(t *testing.T) {
	tests := []struct{ name, give, want string }{ // want "": ErrNoName
		{"as it is", "example.net", "example.net"},
		{"letter case and a final dot", "Example.NET.", "example.net"},
		{"letters outside of ASCII", "Bücher.example", "xn--bcher-kva.example"},
		{"a sharp s stays one", "straße.example", "xn--strae-oqa.example"},
		{"underscores", "_25._tcp.MX.example.net", "_25._tcp.mx.example.net"},
		{"underscores before other letters", "_dmarc.bücher.example", "_dmarc.xn--bcher-kva.example"},
		{"a slash, as in reverse zones cut by hand", "1.0/25.2.0.192.in-addr.arpa", "1.0/25.2.0.192.in-addr.arpa"},
		{"63 octets in a label", strings.Repeat("a", 63) + ".example", strings.Repeat("a", 63) + ".example"},
		{"64 octets in a label", strings.Repeat("a", 64) + ".example", ""},
		{"253 octets", strings.Repeat("a.", 126) + "a", strings.Repeat("a.", 126) + "a"},
		{"254 octets", strings.Repeat("a.", 126) + "ab", ""},
		{"a megabyte of umlauts", strings.Repeat("ü", 1<<19), ""},
		{"nothing", "", ""},
		{"the root", ".", ""},
		{"an empty label", "a..example", ""},
		{"a dot at the beginning", ".example", ""},
		{"a space", "a b.example", ""},
		{"an escape", `a\046b.example`, ""},
		{"a NUL", "a\x00.example", ""},
		{"octets that are no text", "\xff\xfe.example", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := dnsx.Canonical(tt.give)
			if got != tt.want || errors.Is(err, dnsx.ErrNoName) != (tt.want == "") {
				t.Errorf("Canonical(%.80q) = %q, %v, want %q", tt.give, got, err, tt.want)
			}
		})
	}
}

// FuzzCanonical promises that the canonical spelling is its own canonical
// spelling, and that it is safe to ask for.
func FuzzCanonical(f *testing.F) {
	f.Add("Bücher.example.")
	f.Add("_25._tcp.mx.example.net")
	f.Fuzz(func(t *testing.T, name string) {
		once, err := dnsx.Canonical(name)
		if err != nil {
			if !errors.Is(err, dnsx.ErrNoName) || once != "" {
				t.Errorf("Canonical(%q) = %q, %v", name, once, err)
			}
			return
		}
		twice, err := dnsx.Canonical(once)
		if err != nil || twice != once || strings.ContainsAny(once, " \\\x00") || len(once) > 253 {
			t.Errorf("Canonical(%q) = %q, and of that %q, %v", name, once, twice, err)
		}
	})
}

func TestNetSpeaksAsPackageNetDoes(t *testing.T) {
	z := &dnstest.Zone{
		MXs:   map[string][]dnsx.MX{"example.net": dnstest.MXs("mx.example.net")},
		Hosts: map[string][]netip.Addr{"mx.example.net": dnstest.Addrs("192.0.2.1")},
		TXTs:  map[string][]string{"example.net": {"v=spf1 -all"}},
		PTRs:  map[netip.Addr][]string{netip.MustParseAddr("192.0.2.1"): {"mx.example.net"}},
		Down:  map[string]bool{"down.example": true},
	}
	n := dnsx.Net{Resolver: z}
	if got, err := n.LookupMX(t.Context(), "example.net"); err != nil || len(got) != 1 || got[0].Host != "mx.example.net" || got[0].Pref != 10 {
		t.Errorf("LookupMX = %v, %v, want mx.example.net 10", got, err)
	}
	if got, err := n.LookupTXT(t.Context(), "example.net"); err != nil || len(got) != 1 || got[0] != "v=spf1 -all" {
		t.Errorf("LookupTXT = %q, %v", got, err)
	}
	if got, err := n.LookupIPAddr(t.Context(), "mx.example.net"); err != nil || len(got) != 1 || !got[0].IP.Equal(net.IPv4(192, 0, 2, 1)) {
		t.Errorf("LookupIPAddr = %v, %v, want 192.0.2.1", got, err)
	}
	if got, err := n.LookupAddr(t.Context(), "192.0.2.1"); err != nil || len(got) != 1 || got[0] != "mx.example.net" {
		t.Errorf("LookupAddr = %q, %v, want mx.example.net", got, err)
	}
	tests := []struct {
		name                string
		host                string
		notFound, temporary bool
	}{
		{"no such name", "nothing.example", true, false},
		{"no such record", "mx.example.net", true, false},
		{"a failure", "down.example", false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := n.LookupTXT(t.Context(), tt.host)
			var e *net.DNSError
			if !errors.As(err, &e) || e.IsNotFound != tt.notFound || e.IsTemporary != tt.temporary || e.Name != tt.host {
				t.Errorf("LookupTXT = %+v, want not found %v, temporary %v", e, tt.notFound, tt.temporary)
			}
		})
	}
	if _, err := n.LookupAddr(t.Context(), "no address"); err == nil {
		t.Error("LookupAddr of no address gave no error")
	}
}
