package delivery_test

import (
	"fmt"
	"net/netip"
	"testing"

	"homing/delivery"
	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
)

func TestTheBestMailHostsOfADomainAreNamedWithoutSending(t *testing.T) {
	zone := dnstest.Zone{
		MXs:   map[string][]dnsx.MX{"example.net": dnstest.MXs("mx1.example.net", "mx2.example.net"), "example.com": dnstest.MXs("mx1.example.net", "mx2.example.net"), "bad.test": dnstest.MXs("mx.bad.test")},
		Hosts: map[string][]netip.Addr{"mx1.example.net": dnstest.Addrs("198.51.100.1"), "mx2.example.net": dnstest.Addrs("198.51.100.2")},
	}
	zone.Signed = map[string]bool{"example.net": true, "mx1.example.net": true}
	zone.Down = map[string]bool{"_25._tcp.mx1.example.net": true}
	tests := []struct{ name, domain, want string }{
		{"those of the best preference", "example.com", "[{mx1.example.net 198.51.100.1}] <nil>"},
		{"those of the best preference that can be used", "example.net", "[{mx2.example.net 198.51.100.2}] <nil>"},
		{"a domain that does not exist", "none.test", "[] Host or domain name not found: none.test"},
		{"an MX without an address", "bad.test", "[] Host or domain name not found: the MX mx.bad.test has no address"},
	}
	seen := &counts{}
	for _, tt := range tests {
		o := delivery.Options{Port: 25, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, Reports: seen}
		hosts, err := delivery.New(delivery.Config{Resolver: &zone, Options: o}).Hosts(t.Context(), tt.domain)
		if got := fmt.Sprint(hosts, err); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if len(seen.seen) > 0 {
		t.Errorf("reported %q, want nothing where nobody connects", seen.seen)
	}
}
