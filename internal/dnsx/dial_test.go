package dnsx_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
	"homing/internal/memconn"
	"homing/internal/publicnet"
)

func TestADialerGoesOnlyWhereItMay(t *testing.T) {
	zone := &dnstest.Zone{Hosts: map[string][]netip.Addr{
		"two.example": dnstest.Addrs("127.0.0.1", "93.184.215.14", "93.184.215.15"), "near.example": dnstest.Addrs("10.0.0.1", "::1"),
	}}
	tests := []struct {
		name, address string
		works         string // the address that answers
		allowed       func(netip.Addr) bool
		dialled       string
		want          error
	}{
		{"the public addresses in turn", "two.example:443", "93.184.215.15:443", nil, "93.184.215.14:443 93.184.215.15:443", nil},
		{"no other", "near.example:443", "10.0.0.1:443", nil, "", publicnet.ErrNotPublic},
		{"others where that is allowed", "near.example:8443", "10.0.0.1:8443", netip.Addr.IsPrivate, "10.0.0.1:8443", nil},
		{"nor an address in the place of a name", "127.0.0.1:443", "127.0.0.1:443", nil, "", publicnet.ErrNotPublic},
		{"a name that is none", "nowhere.example:443", "", nil, "", dnsx.ErrNoName},
		{"nobody answers", "two.example:443", "", nil, "93.184.215.14:443 93.184.215.15:443", errNobody},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var dialled []string
			d := dnsx.Dialer{Resolver: zone, Allowed: tt.allowed, Dial: func(_ context.Context, to netip.AddrPort) (net.Conn, error) {
				dialled = append(dialled, to.String())
				if to.String() != tt.works {
					return nil, errNobody
				}
				c, _ := memconn.Pipe(nil, nil)
				return c, nil
			}}
			c, err := d.DialContext(t.Context(), "tcp", tt.address)
			if !errors.Is(err, tt.want) || (c != nil) != (tt.want == nil) {
				t.Errorf("DialContext = %v, %v, want %v", c, err, tt.want)
			}
			if got := strings.Join(dialled, " "); got != tt.dialled {
				t.Errorf("dialled %q, want %q", got, tt.dialled)
			}
		})
	}
	if _, err := (dnsx.Dialer{Resolver: zone}).DialContext(t.Context(), "tcp", "no port"); err == nil {
		t.Error("an address without a port gave no error")
	}
}

var errNobody = errors.New("nobody answers")
