package dnscheck_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	. "homing/dnscheck"
	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
)

// brittle is a world whose answers about some names break whoever asks.
type brittle struct {
	*dnstest.Zone
	about string
}

func (b brittle) breaks(name string) {
	if strings.Contains(name, b.about) {
		panic("no such index")
	}
}

func (b brittle) MX(ctx context.Context, name string) ([]dnsx.MX, error) {
	b.breaks(name)
	return b.Zone.MX(ctx, name)
}

func (b brittle) Addrs(ctx context.Context, name string) ([]netip.Addr, error) {
	b.breaks(name)
	return b.Zone.Addrs(ctx, name)
}

func (b brittle) TXT(ctx context.Context, name string) ([]string, error) {
	b.breaks(name)
	return b.Zone.TXT(ctx, name)
}

// TestWhatBreaksInAGoroutineBreaksTheCheckAlone would not end with a failure,
// but take the whole process with it.
func TestWhatBreaksInAGoroutineBreaksTheCheckAlone(t *testing.T) {
	t.Run("while a block list is asked", func(t *testing.T) {
		lists, err := Lists([]string{"bl.example.net"})
		if err != nil {
			t.Fatal(err)
		}
		z := rightWorld()
		z.Hosts["test.bl.example.net"] = a("127.0.0.2")
		for _, about := range []string{"invalid.bl.example.net", "mail.example.org.bl.example.net"} { // a test entry, and our own
			var broken any
			func() {
				defer func() { broken = recover() }()
				Blocklists(t.Context(), brittle{z, about}, ours(), lists)
			}()
			if broken != "no such index" {
				t.Errorf("whoever has the lists asked about %s gets %v", about, broken)
			}
		}
	})
	t.Run("while records are planned", func(t *testing.T) {
		for _, about := range []string{"_dmarc.example.org", "bounce.example.org"} {
			r := brittle{rightWorld(), about}
			all := Run(t.Context(), r, ours(), Options{})
			if f := find(t, all, CheckResolver, "iana.org"); f.Verdict != OK {
				t.Errorf("resolver: %+v", f)
			}
			var broken any
			func() {
				defer func() { broken = recover() }()
				Wanted(t.Context(), r, ours())
			}()
			if broken != "no such index" {
				t.Errorf("whoever plans with %s gets %v", about, broken)
			}
		}
	})
}
