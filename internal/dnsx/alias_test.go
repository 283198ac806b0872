package dnsx_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
)

func TestAlias(t *testing.T) {
	z := &dnstest.Zone{
		Hosts:    map[string][]netip.Addr{"mx.example.net": dnstest.Addrs("192.0.2.1")},
		CNAMEs:   map[string]string{"mail.example.net": "mx.example.net", "chain.example.net": "mail.example.net", "dangling.example.net": "nowhere.example"},
		Down:     map[string]bool{"down.example.net": true},
		Truncate: map[string]bool{"mail.example.net": true},
	}
	c, err := serve(t, z).Client(dnsx.Options{Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, of string
		want     string
		err      error
	}{
		{"an alias, asked in any letter case, over TCP", "Mail.Example.NET.", "mx.example.net", nil},
		{"the first of a chain", "chain.example.net", "mail.example.net", nil},
		{"an alias of what does not exist", "dangling.example.net", "nowhere.example", nil},
		{"no alias", "mx.example.net", "", dnsx.ErrNoData},
		{"no name", "absent.example.net", "", dnsx.ErrNoName},
		{"what can be no name", "a..example", "", dnsx.ErrNoName},
		{"servers that fail", "down.example.net", "", dnsx.ErrTemporary},
	}
	asks := map[string]interface {
		Alias(context.Context, string) (string, error)
	}{"client": c, "zone": z}
	for _, tt := range tests {
		for who, r := range asks {
			t.Run(tt.name+", "+who, func(t *testing.T) {
				if got, err := r.Alias(t.Context(), tt.of); got != tt.want || !errors.Is(err, tt.err) {
					t.Errorf("Alias(%q) = %q, %v, want %q, %v", tt.of, got, err, tt.want, tt.err)
				}
			})
		}
	}
}
