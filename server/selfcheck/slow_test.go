package selfcheck_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/dnscheck"
	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
	"homing/server/selfcheck"
)

// A sluggish resolver takes its time for every answer, once: as a client does, it
// remembers. Below zero, it answers nothing.
type sluggish struct {
	*dnstest.Zone
	takes time.Duration

	mu    sync.Mutex
	asked map[string]time.Time
}

func late[T any](ctx context.Context, s *sluggish, question string, ask func() (T, error)) (none T, err error) {
	s.mu.Lock()
	first, ok := s.asked[question]
	if !ok {
		first = time.Now()
		s.asked[question] = first
	}
	s.mu.Unlock()
	t := time.NewTimer(time.Until(first.Add(s.takes)))
	defer t.Stop()
	answered := t.C
	if s.takes < 0 {
		answered = nil
	}
	select {
	case <-answered:
		return ask()
	case <-ctx.Done():
		return none, fmt.Errorf("%w: %w", dnsx.ErrTemporary, ctx.Err())
	}
}

func (s *sluggish) MX(ctx context.Context, name string) ([]dnsx.MX, error) {
	return late(ctx, s, "MX "+name, func() ([]dnsx.MX, error) { return s.Zone.MX(ctx, name) })
}

func (s *sluggish) Addrs(ctx context.Context, name string) ([]netip.Addr, error) {
	return late(ctx, s, "A "+name, func() ([]netip.Addr, error) { return s.Zone.Addrs(ctx, name) })
}

func (s *sluggish) TXT(ctx context.Context, name string) ([]string, error) {
	return late(ctx, s, "TXT "+name, func() ([]string, error) { return s.Zone.TXT(ctx, name) })
}

func (s *sluggish) PTR(ctx context.Context, a netip.Addr) ([]string, error) {
	return late(ctx, s, "PTR "+a.String(), func() ([]string, error) { return s.Zone.PTR(ctx, a) })
}

func (s *sluggish) TLSA(ctx context.Context, name string) ([]dnsx.TLSA, error) {
	return late(ctx, s, "TLSA "+name, func() ([]dnsx.TLSA, error) { return s.Zone.TLSA(ctx, name) })
}

func (s *sluggish) Bases(ctx context.Context, host string) ([]string, error) {
	return late(ctx, s, "A "+host, func() ([]string, error) { return s.Zone.Bases(ctx, host) })
}

// TestAWholeRunWithASlowResolver has every check that asks the DNS run as the
// server runs them. With answers that take two seconds each it must end in time
// and come to what it comes to with answers at once; with none at all it must end
// in time.
func TestAWholeRunWithASlowResolver(t *testing.T) {
	lists, err := dnscheck.Lists(nil)
	if err != nil {
		t.Fatal(err)
	}
	ours := netip.MustParseAddr("93.184.215.14")
	setup := dnscheck.Setup{Hostname: "mail.example.org", Addresses: []netip.Addr{ours}, Returns: []string{"bounce.example.org"}, Reports: "reports@bounce.example.org",
		Domains: []dnscheck.Domain{{Name: "example.org", Return: "bounce.example.org"}, {Name: "shop.example", Return: "bounce.example.org", Smarthost: "smtp.provider.example"}}}
	zone := &dnstest.Zone{
		MXs:   map[string][]dnsx.MX{"bounce.example.org": dnstest.MXs("mail.example.org"), "gmail.com": dnstest.MXs("mx.gmail.com")},
		Hosts: map[string][]netip.Addr{"mail.example.org": {ours}, "mx.gmail.com": dnstest.Addrs("198.51.100.1"), "iana.org": dnstest.Addrs("192.0.43.8"), "example.org": dnstest.Addrs("198.51.100.2")},
		TXTs:  map[string][]string{"bounce.example.org": {"v=spf1 include:spf.example.org -all"}, "spf.example.org": {"v=spf1 a:mail.example.org -all"}, "_dmarc.example.org": {"v=DMARC1; p=none"}},
		PTRs:  map[netip.Addr][]string{ours: {"mail.example.org"}},
	}
	run := func(t *testing.T, takes time.Duration) (all []string, took time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			r := &sluggish{Zone: zone, takes: takes, asked: map[string]time.Time{}}
			n := network(t, zone, nil)
			n.Resolver, n.Dial = r, func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
			began := time.Now()
			result := selfcheck.Once(t.Context(), []selfcheck.Check{
				{Name: "dns", Run: func(ctx context.Context) []dnscheck.Finding { return dnscheck.Run(ctx, r, setup, dnscheck.Options{}) }},
				{Name: "blocklist", Run: func(ctx context.Context) []dnscheck.Finding { return dnscheck.Blocklists(ctx, r, setup, lists) }},
				{Name: "outgoing_port", Run: func(ctx context.Context) []dnscheck.Finding { return []dnscheck.Finding{n.Outgoing(ctx)} }},
			})
			took = time.Since(began)
			for _, f := range result.Findings {
				if !strings.HasPrefix(f.Check, "blocklist") { // lists get less time than that
					all = append(all, fmt.Sprintf("%s %s %s", f.Check, f.Subject, f.Verdict))
				}
			}
			slices.Sort(all)
			<-time.After(20 * time.Second) // what was left behind ends as well
		})
		return all, took
	}
	want, _ := run(t, 0)
	if len(want) < 15 {
		t.Fatalf("only %d findings", len(want))
	}
	got, took := run(t, 2*time.Second)
	if diff := cmp.Diff(want, got); diff != "" || took > 10*time.Second {
		t.Errorf("with slow answers it took %v (-at once +slow):\n%s", took, diff)
	}
	if got, took := run(t, -1); took > 10*time.Second || len(got) < 15 {
		t.Errorf("without answers it took %v: %q", took, got)
	}
}
