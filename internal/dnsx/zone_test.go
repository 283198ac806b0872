package dnsx_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"homing/internal/dnsx"
)

// A tree answers as resolvers do that know zones: records by "TYPE name", and
// SOA records in answers about names that do not exist.
type tree struct {
	records map[string][]string // lines of a zone file
	zones   []string            // the longest one first
	refuse  bool                // what is in none of them
	asked   atomic.Int32
}

func (tr *tree) handle(w dns.ResponseWriter, q *dns.Msg) {
	tr.asked.Add(1)
	m := new(dns.Msg).SetReply(q)
	m.Authoritative, m.RecursionAvailable = true, !tr.refuse
	name := strings.ToLower(q.Question[0].Name)
	i := slices.IndexFunc(tr.zones, func(z string) bool { return dns.IsSubDomain(z, name) })
	if i < 0 {
		m.Rcode = dns.RcodeRefused
		_ = w.WriteMsg(m)
		return
	}
	lines := tr.records[dns.TypeToString[q.Question[0].Qtype]+" "+name]
	if alias := tr.records["CNAME "+name]; alias != nil {
		lines = alias
	}
	for _, line := range lines {
		if rr, err := dns.NewRR(line); err == nil {
			m.Answer = append(m.Answer, rr)
		}
	}
	soa, err := dns.NewRR(tr.zones[i] + " 60 IN SOA ns.test. h.test. 1 60 60 60 60")
	switch {
	case err != nil:
	case q.Question[0].Qtype == dns.TypeSOA && name == tr.zones[i]:
		m.Answer = append(m.Answer, soa)
	case len(m.Answer) == 0:
		m.Ns = append(m.Ns, soa)
	}
	_ = w.WriteMsg(m)
}

func TestTheZoneOfANameIsTheNearestOneAboveIt(t *testing.T) {
	tr := &tree{zones: []string{"bounce.example.org.", "example.org.", "org."}, records: map[string][]string{
		"CNAME mta-sts.example.org.": {"mta-sts.example.org. 60 IN CNAME web.example.net."}}}
	c := client(t, dnsx.Options{Servers: []string{odd(t, tr.handle)}})
	tests := []struct{ name, want string }{
		{"example.org", "example.org"},
		{"Mail.Example.ORG.", "example.org"},
		{"_mta-sts.bounce.example.org", "bounce.example.org"},
		{"bounce.example.org", "bounce.example.org"},
		{"nothing.org", "org"},
		{"mta-sts.example.org", "example.org"},
	}
	for _, tt := range tests {
		if got, err := c.Zone(t.Context(), tt.name); got != tt.want || err != nil {
			t.Errorf("Zone(%s) = %s, %v, want %s", tt.name, got, err, tt.want)
		}
	}
	if got, err := c.Zone(t.Context(), "example.net"); !errors.Is(err, dnsx.ErrTemporary) {
		t.Errorf("Zone of a name that nobody answers for = %q, %v", got, err)
	}
	if got, err := c.Zone(t.Context(), "no name"); !errors.Is(err, dnsx.ErrNoName) {
		t.Errorf("Zone of no name = %q, %v", got, err)
	}
}

// TestDirectAsksTheServersOfTheZone has a resolver with an old answer and the
// zone's own server, at an address that the test leads to loopback.
func TestDirectAsksTheServersOfTheZone(t *testing.T) {
	zone := &tree{zones: []string{"example.org."}, refuse: true, records: map[string][]string{
		"TXT example.org.":     {`example.org. 60 IN TXT "new"`},
		"MX example.org.":      {`example.org. 60 IN MX 10 mx.example.org.`},
		"A mx.example.org.":    {`mx.example.org. 60 IN A 192.0.2.1`},
		"CNAME a.example.org.": {`a.example.org. 60 IN CNAME b.example.net.`},
		"CNAME c.example.org.": {`c.example.org. 60 IN CNAME new.example.net.`},
	}}
	resolver := &tree{zones: []string{"mute.example.", "example.org.", "example.net.", "arpa."}, records: map[string][]string{
		"TXT example.org.":            {`example.org. 60 IN TXT "old"`},
		"TXT example.net.":            {`example.net. 60 IN TXT "elsewhere"`},
		"TXT mute.example.":           {`mute.example. 60 IN TXT "by the resolver"`},
		"NS example.org.":             {`example.org. 60 IN NS ns.example.org.`},
		"NS mute.example.":            {`mute.example. 60 IN NS gone.example.org.`},
		"A ns.example.org.":           {`ns.example.org. 60 IN A 192.0.2.53`},
		"CNAME a.example.org.":        {`a.example.org. 60 IN CNAME b.example.net.`},
		"CNAME c.example.org.":        {`c.example.org. 60 IN CNAME old.example.net.`},
		"TXT b.example.net.":          {`b.example.net. 60 IN TXT "behind an alias"`},
		"PTR 1.2.0.192.in-addr.arpa.": {`1.2.0.192.in-addr.arpa. 60 IN PTR mx.example.org.`},
	}}
	at := odd(t, zone.handle)
	o := dnsx.Options{Servers: []string{odd(t, resolver.handle)}, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "192.0.2.53:53" {
			address = at
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	d, err := dnsx.NewDirect(o, []string{"example.org", "mute.example"})
	if err != nil {
		t.Fatal(err)
	}
	texts := []struct{ name, want string }{
		{"example.org", "new"},
		{"example.net", "elsewhere"},
		{"mute.example", "by the resolver"},
		{"a.example.org", "behind an alias"},
	}
	for _, tt := range texts {
		if got, err := d.TXT(t.Context(), tt.name); err != nil || !slices.Equal(got, []string{tt.want}) {
			t.Errorf("TXT(%s) = %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
	if got, err := d.Alias(t.Context(), "c.example.org"); err != nil || got != "new.example.net" {
		t.Errorf("Alias = %q, %v, want that of the zone's server", got, err)
	}
	before := resolver.asked.Load()
	if got, err := d.TXT(t.Context(), "nothing.example.org"); !errors.Is(err, dnsx.ErrNoData) {
		t.Errorf("TXT of a name without = %q, %v", got, err)
	}
	if n := resolver.asked.Load() - before; n != 1 { // for the zone
		t.Errorf("the resolver was asked %d times for what the zone's server has answered", n)
	}
	if got, err := d.MX(t.Context(), "example.org"); err != nil || len(got) != 1 || got[0].Host != "mx.example.org" {
		t.Errorf("MX = %v, %v", got, err)
	}
	if got, err := d.Addrs(t.Context(), "mx.example.org"); err != nil || len(got) != 1 {
		t.Errorf("Addrs = %v, %v", got, err)
	}
	if got, err := d.PTR(t.Context(), netip.MustParseAddr("192.0.2.1")); err != nil || !slices.Equal(got, []string{"mx.example.org"}) {
		t.Errorf("PTR = %q, %v", got, err)
	}
}
