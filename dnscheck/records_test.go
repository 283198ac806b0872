package dnscheck_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	. "homing/dnscheck"
	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// A world is what is published, and who we are in it.
type world struct {
	name  string // of the golden file as well
	setup func(*Setup)
	zone  dnstest.Zone
	cuts  []string // zones below organisational domains
	stays bool     // something is left to do when all records are published
	deaf  bool     // something is never found out
}

var (
	v4   = netip.MustParseAddr("203.0.113.10")
	v6   = netip.MustParseAddr("2001:db8::10")
	rsa  = Key{"homing1", "v=DKIM1; k=rsa; p=" + strings.Repeat("MIIBIjANBgkqhkiG9w0B", 20), 2048}
	ed   = Key{"homing2", "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", 0}
	mx   = func(hosts ...string) []dnsx.MX { return dnstest.MXs(hosts...) }
	txt  = func(texts ...string) []string { return texts }
	a    = func(texts ...string) []netip.Addr { return dnstest.Addrs(texts...) }
	html = map[string][]netip.Addr{"example.org": a("198.51.100.80"), "aspmx.l.google.com": a("192.0.2.26")}
)

// usual is the set-up that most worlds change: example.org is sent as, only
// bounce.example.org is ours.
func usual() Setup {
	return Setup{
		Hostname: "mail.example.org", Addresses: []netip.Addr{v4},
		Domains: []Domain{{Name: "example.org", Return: "bounce.example.org", Keys: []Key{rsa, ed}}},
		Returns: []string{"bounce.example.org"}, PolicyHost: "mail.example.org", Reports: "reports@bounce.example.org",
	}
}

// nine is a record whose evaluation asks nine questions, and what it includes.
var nine = map[string][]string{
	"example.org":            txt("google-site-verification=x", "v=spf1 a mx include:_spf.google.com include:one.example include:two.example ~all"),
	"_spf.google.com":        txt("v=spf1 include:_netblocks.google.com include:_netblocks2.google.com ~all"),
	"_netblocks.google.com":  txt("v=spf1 ip4:192.0.2.0/25 ~all"),
	"_netblocks2.google.com": txt("v=spf1 ip6:2001:db8:4000::/36 ~all"),
	"one.example":            txt("v=spf1 a:mail.one.example ip4:198.51.100.1 -all"),
	"two.example":            txt("v=spf1 redirect=_spf.two.example"),
	"_spf.two.example":       txt("v=spf1 ip4:198.51.100.2 ?all"),
	"mailgun.org":            txt("v=spf1 include:_spf1.mailgun.org include:_spf2.mailgun.org ~all"),
	"_spf1.mailgun.org":      txt("v=spf1 ip4:198.51.100.128/26 ~all"),
	"_spf2.mailgun.org":      txt("v=spf1 ip4:198.51.100.192/26 ~all"),
	"spf.provider.example":   txt("v=spf1 ip4:192.0.2.200 -all"),
}

func with(base map[string][]string, more map[string][]string) map[string][]string {
	all := maps.Clone(base)
	maps.Copy(all, more)
	return all
}

var worlds = []world{
	{name: "mx-at-google", zone: dnstest.Zone{MXs: map[string][]dnsx.MX{"example.org": mx("aspmx.l.google.com")}, Hosts: html,
		TXTs: map[string][]string{"example.org": txt("v=spf1 include:_spf.google.com ~all"), "_spf.google.com": txt("v=spf1 ip4:192.0.2.0/25 ~all")}}},
	{name: "mx-at-google-and-nothing-else", zone: dnstest.Zone{MXs: map[string][]dnsx.MX{"example.org": mx("aspmx.l.google.com")}, Hosts: html}},
	{name: "nine-look-ups-and-a-smarthost", setup: func(s *Setup) { s.Domains[0].Smarthost = "smtp.mailgun.org" },
		zone: dnstest.Zone{MXs: map[string][]dnsx.MX{"example.org": mx("aspmx.l.google.com")}, Hosts: html, TXTs: nine}},
	{name: "nine-look-ups-and-own-senders", setup: func(s *Setup) { s.Domains[0].Smarthost, s.Domains[0].Return = "smtp.mailgun.org", "" },
		zone: dnstest.Zone{MXs: map[string][]dnsx.MX{"example.org": mx("aspmx.l.google.com")}, Hosts: html, TXTs: nine}},
	{name: "twelve-look-ups", stays: true,
		zone: dnstest.Zone{MXs: map[string][]dnsx.MX{"example.org": mx("aspmx.l.google.com")}, Hosts: html,
			TXTs: with(nine, map[string][]string{"example.org": txt("v=spf1 mx include:_spf.google.com include:one.example include:two.example include:mailgun.org a ~all")})}},
	{name: "smarthost", setup: func(s *Setup) { s.Domains[0].Smarthost = "smtp.mailgun.org" },
		zone: dnstest.Zone{MXs: map[string][]dnsx.MX{"example.org": mx("mx.example.com")}, Hosts: html, TXTs: with(nine, map[string][]string{"example.org": nil})}},
	{name: "smarthost-found-by-its-name", setup: func(s *Setup) { s.Domains[0].Smarthost = "smtp.provider.example" },
		zone: dnstest.Zone{TXTs: with(nine, map[string][]string{"example.org": nil})}},
	{name: "smarthost-of-nobody-known", setup: func(s *Setup) { s.Domains[0].Smarthost = "smtp.elsewhere.example" }, stays: true,
		zone: dnstest.Zone{TXTs: map[string][]string{"example.org": txt("v=spf1 -all")}}},
	{name: "smarthost-for-one-of-two", setup: func(s *Setup) {
		s.Domains = append(s.Domains, Domain{Name: "shop.example", Return: "bounce.example.org", Smarthost: "smtp.elsewhere.example", Keys: []Key{ed}})
	}, zone: dnstest.Zone{TXTs: map[string][]string{"shop.example": txt("v=spf1 -all")}}},
	{name: "a-service-that-answers-for-each-sender", zone: dnstest.Zone{
		Hosts: map[string][]netip.Addr{"203.0.113.10._spf.service.example": a("127.0.0.2"), "mail.example.org": {v4}}, PTRs: map[netip.Addr][]string{v4: {"mail.example.org"}},
		TXTs: map[string][]string{"example.org": txt("v=spf1 include:%{d}._in.service.example exists:%{i}._spf.service.example -all"),
			"example.org._in.service.example": txt("v=spf1 -all"), "bounce.example.org": txt("v=spf1 ptr:example.org -all")}}},
	{name: "ipv6", setup: func(s *Setup) { s.Addresses = []netip.Addr{v4, v6} },
		zone: dnstest.Zone{Hosts: map[string][]netip.Addr{"mail.example.org": {v4}}, PTRs: map[netip.Addr][]string{v4: {"mail.example.org"}, v6: {"pool-10.provider.example"}},
			TXTs: map[string][]string{"example.org": txt("v=spf1 ip4:203.0.113.0/24 -all")}}},
	{name: "dmarc-of-somebody", zone: dnstest.Zone{
		TXTs: map[string][]string{"_dmarc.example.org": txt("v=DMARC1;p=reject; sp=quarantine; rua=mailto:a@reports.example!10m,mailto:b@example.org; fo=1;")}}},
	{name: "reports-come-here-already", setup: func(s *Setup) { s.Reads = func(at string) bool { return strings.HasSuffix(at, "@bounce.example.org") } },
		zone: dnstest.Zone{TXTs: map[string][]string{"_dmarc.example.org": txt("v=DMARC1; p=none; rua=mailto:dmarc@bounce.example.org"),
			"_smtp._tls.bounce.example.org": txt("v=TLSRPTv1; rua=mailto:TLS@bounce.example.org")}}},
	{name: "two-domains-one-return", setup: func(s *Setup) {
		s.Domains = append(s.Domains, Domain{Name: "example.net", Return: "bounce.example.org", Keys: []Key{rsa}})
	}, zone: dnstest.Zone{MXs: map[string][]dnsx.MX{"example.org": mx("aspmx.l.google.com"), "example.net": mx("example-net.mail.protection.outlook.com")}}},
	{name: "mx-is-homing", setup: func(s *Setup) { s.PolicyMX = []string{"*.example.org"} }, zone: dnstest.Zone{MXs: map[string][]dnsx.MX{"example.org": mx("mail.example.org", "backup.example")},
		Hosts: map[string][]netip.Addr{"mail.example.org": {v4}, "backup.example": a("192.0.2.99")},
		TXTs: map[string][]string{"example.org": txt("v=spf1 mx -all"), "_smtp._tls.example.org": txt("v=TLSRPTv1; rua=https://tls.example/r"),
			"_mta-sts.example.org": txt("v=STSv1; id=20250101")}}},
	{name: "mx-is-homing-by-another-name", stays: true, zone: dnstest.Zone{MXs: map[string][]dnsx.MX{"example.org": mx("mx.example.org")},
		Hosts: map[string][]netip.Addr{"mx.example.org": {v4}}}},
	{name: "returns-to-a-domain-of-people", setup: func(s *Setup) {
		s.Returns, s.Domains[0].Return, s.Routed = []string{"example.org"}, "example.org", []string{"example.com"}
	},
		stays: true, zone: dnstest.Zone{MXs: map[string][]dnsx.MX{"example.org": mx("aspmx.l.google.com"), "example.com": mx("mx.example.com")}, Hosts: html}},
	{name: "routes-and-a-wildcard", setup: func(s *Setup) { s.Routed = []string{"lists.example.org", "example.com"} },
		zone: dnstest.Zone{MXs: map[string][]dnsx.MX{"bounce.example.org": mx("aspmx.l.google.com", "alt1.aspmx.l.google.com")}, Hosts: map[string][]netip.Addr{
			"mta-sts.bounce.example.org": a("198.51.100.80"), "lists.example.org": a("198.51.100.80")}}},
	{name: "contradictions", zone: dnstest.Zone{
		MXs:   map[string][]dnsx.MX{"bounce.example.org": {{Host: "mail.example.org", Preference: 5}, {Host: "old.example.org", Preference: 20}}},
		Hosts: map[string][]netip.Addr{"mail.example.org": a("203.0.113.9", "203.0.113.10")}, PTRs: map[netip.Addr][]string{v4: {"x.provider.example"}},
		TXTs: map[string][]string{
			"example.org":                    txt("v=spf1 a redirect=_spf.example.org", "v=spf1 mx ~all", "v=spf10 unrelated", "something else"),
			"bounce.example.org":             txt("v=spf1 ip4:203.0.113.10 -all", "v=spf1 ip4:203.0.113.10 -all exp=why.example.org"),
			"homing1._domainkey.example.org": txt("v=DKIM1; k=rsa; p=AAAA", rsa.Record),
			"homing2._domainkey.example.org": txt("v=DKIM1; p="),
			"_dmarc.example.org":             txt("v=DMARC1; p=none; rua=mailto:x@example.org", "v=DMARC1; p=quarantine"),
			"_mta-sts.bounce.example.org":    txt("v=STSv1; id=old"),
		}}},
	{name: "reverse-name-that-leads-back", zone: dnstest.Zone{PTRs: map[netip.Addr][]string{v4: {"out1.example.org"}},
		Hosts: map[string][]netip.Addr{"out1.example.org": {v4}}}},
	{name: "policy-of-the-domain-above", setup: func(s *Setup) { s.Domains[0].Name = "news.example.org" },
		zone: dnstest.Zone{TXTs: map[string][]string{"_dmarc.example.org": txt("v=DMARC1; p=reject; sp=reject")}}},
	{name: "policy-of-a-domain-between", setup: func(s *Setup) { s.Domains[0].Name = "a.news.example.org" },
		zone: dnstest.Zone{TXTs: map[string][]string{"_dmarc.news.example.org": txt("v=DMARC1; p=reject; sp=quarantine")}}},
	{name: "a-zone-of-its-own", cuts: []string{"bounce.example.org"}, zone: dnstest.Zone{}},
	{name: "returns-to-a-domain-of-others", setup: func(s *Setup) { s.Returns, s.Domains[0].Return = []string{"example.net"}, "example.net" },
		stays: true, zone: dnstest.Zone{MXs: map[string][]dnsx.MX{"example.net": mx("mx.example.com")}}},
	{name: "returns-to-a-domain-of-its-own", setup: func(s *Setup) { s.Returns, s.Domains[0].Return = []string{"example.net"}, "example.net" }},
	{name: "hostname-is-the-domain", setup: func(s *Setup) { s.Hostname, s.PolicyHost = "example.org", "" },
		zone: dnstest.Zone{MXs: map[string][]dnsx.MX{"example.org": mx("aspmx.l.google.com")}}},
	{name: "hostname-is-the-web-site", setup: func(s *Setup) { s.Hostname = "example.org" }, zone: dnstest.Zone{Hosts: html}, stays: true},
	{name: "hostname-is-the-mail-host-of-the-domain", stays: true, zone: dnstest.Zone{MXs: map[string][]dnsx.MX{"example.org": mx("mail.example.org")},
		Hosts: map[string][]netip.Addr{"mail.example.org": a("198.51.100.25")}, TXTs: map[string][]string{"mail.example.org": txt("v=spf1 a -all")}}},
	{name: "hostname-leads-to-another-machine", zone: dnstest.Zone{MXs: map[string][]dnsx.MX{"example.org": mx("aspmx.l.google.com")},
		Hosts: map[string][]netip.Addr{"mail.example.org": a("198.51.100.25"), "aspmx.l.google.com": a("192.0.2.26")}}},
	{name: "the-own-name-in-etc-hosts", zone: dnstest.Zone{Hosts: map[string][]netip.Addr{"mail.example.org": a("127.0.1.1")}}, deaf: true},
	{name: "the-own-name-made-up-by-the-resolver", zone: dnstest.Zone{Hosts: map[string][]netip.Addr{"mail.example.org": a("203.0.113.10", "172.17.0.1", "fe80::1")}}},
	{name: "what-web-pages-spoil", zone: dnstest.Zone{
		MXs: map[string][]dnsx.MX{"bounce.example.org": mx("mail.example.org.example.org")},
		TXTs: map[string][]string{
			"example.org":        txt(`"v=spf1 include:_spf.google.com " "-all"`),
			"bounce.example.org": txt(" v=spf1 ip4:203.0.113.10 -all"),
			"_dmarc.example.org": txt(`v=DMARC1\; p=reject\; rua=mailto:it@example.org`),
			"homing1._domainkey.example.org.example.org": txt(rsa.Record),
			"homing2._domainkey.example.org":             txt(`"` + ed.Record + `"`),
		},
		CNAMEs: map[string]string{"mta-sts.bounce.example.org": "mail.example.org.example.org"},
		PTRs:   map[netip.Addr][]string{v4: {"mail.example.org.example.org"}}}},
	{name: "policy-that-cannot-be-read", stays: true, zone: dnstest.Zone{TXTs: map[string][]string{"_dmarc.example.org": txt("v=DMARC1; p=rejct")}}},
	{name: "policy-with-space", zone: dnstest.Zone{TXTs: map[string][]string{"_dmarc.example.org": txt("v = DMARC1 ; p = reject", "google-dmarc=x")}}},
	{name: "policy-of-a-service", zone: dnstest.Zone{TXTs: map[string][]string{"example-org.dmarc.example": txt("v=DMARC1; p=reject; rua=mailto:x@dmarc.example")},
		CNAMEs: map[string]string{"_dmarc.example.org": "example-org.dmarc.example"}}},
	{name: "aliases", zone: dnstest.Zone{Hosts: map[string][]netip.Addr{"vps.provider.example": {v4}},
		MXs:    map[string][]dnsx.MX{"returns.service.example": mx("mx.service.example")},
		CNAMEs: map[string]string{"mail.example.org": "vps.provider.example", "bounce.example.org": "returns.service.example", "homing1._domainkey.example.org": "key.service.example"}}},
	{name: "pinned", setup: func(s *Setup) { s.Pinned = []dnsx.TLSA{{Usage: 3, Selector: 1, Matching: 1, Data: []byte{1, 2, 3}}} },
		zone: dnstest.Zone{TLSAs: map[string][]dnsx.TLSA{"_25._tcp.mail.example.org": {{Usage: 3, Selector: 1, Matching: 1, Data: []byte{9}}}}}},
	{name: "policy-enforced", setup: func(s *Setup) { s.PolicyHost, s.PolicyMode = "www.example.org", "enforce" },
		zone: dnstest.Zone{Hosts: map[string][]netip.Addr{"www.example.org": a("198.51.100.80")}, TXTs: map[string][]string{"_mta-sts.bounce.example.org": txt("v=STSv1; id=" + enforced)}}},
	{name: "no-address-no-key-no-reports", setup: func(s *Setup) { s.Addresses, s.Domains[0].Keys, s.Reports, s.PolicyHost = nil, nil, "", "" }, stays: true},
	{name: "web-host-without-address", setup: func(s *Setup) { s.PolicyHost = "www.example.org" }, stays: true},
	{name: "dns-is-down", stays: true, zone: dnstest.Zone{Down: map[string]bool{"example.org": true, "_dmarc.example.org": true, "bounce.example.org": true,
		"_smtp._tls.bounce.example.org": true, "mail.example.org": true, "mta-sts.bounce.example.org": true, "homing1._domainkey.example.org": true}}},
	{name: "an-include-is-down", zone: dnstest.Zone{TXTs: map[string][]string{"example.org": txt("v=spf1 include:gone.example -all")}, Down: map[string]bool{"gone.example": true}}},
}

var _, enforced = STSPolicy("enforce", []string{"mail.example.org"})

// A zoner is a Resolver that knows zones.
type zoner struct {
	Resolver
	cuts []string
}

func (z zoner) Zone(_ context.Context, name string) (string, error) {
	for _, c := range z.cuts {
		if name == c || strings.HasSuffix(name, "."+c) {
			return c, nil
		}
	}
	return "org", nil // as a name that does not exist may seem
}

func (w world) resolver() Resolver {
	if w.cuts == nil {
		return &w.zone
	}
	return zoner{&w.zone, w.cuts}
}

func (w world) ask(t *testing.T) (Setup, Plan, []Difference) {
	t.Helper()
	s := usual()
	if w.setup != nil {
		w.setup(&s)
	}
	plan := Wanted(t.Context(), w.resolver(), s)
	return s, plan, Diff(t.Context(), w.resolver(), plan)
}

// written is what the golden files show.
func written(plan Plan, all []Difference) string {
	var b strings.Builder
	zone := ""
	for _, d := range all {
		if d.Zone != zone {
			zone = d.Zone
			fmt.Fprintf(&b, "zone %s\n", zone)
		}
		value := d.Value
		if len(value) > 200 {
			value = fmt.Sprintf("%s… (%d octets, strings of %v)", value[:40], len(value), lengths(d.Strings()))
		}
		fmt.Fprintf(&b, "  %-7s %s %s %s\n", d.State, d.Relative(), d.Type, value)
		for _, from := range d.From {
			fmt.Fprintf(&b, "          from %s\n", from)
		}
		if d.Note != "" {
			fmt.Fprintf(&b, "          (%s)\n", d.Note)
		}
	}
	for _, p := range plan.Policies {
		fmt.Fprintf(&b, "at %s\n  %s\n", p.URL, strings.ReplaceAll(strings.TrimSpace(p.Text), "\r\n", "\n  "))
	}
	for _, r := range plan.Remarks {
		fmt.Fprintf(&b, "%s, %s: %s\n", r.Kind, r.Subject, r.Text)
	}
	return b.String()
}

func lengths(all []string) (out []int) {
	for _, s := range all {
		out = append(out, len(s))
	}
	return out
}

func TestWhatIsWantedInEachWorld(t *testing.T) {
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) {
			_, plan, all := w.ask(t)
			got := written(plan, all)
			path := filepath.Join("testdata", "records", w.name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestWhatIsPublishedAsWantedIsGreenAndStaysAsItIs does what the Diff says and
// asks again.
func TestWhatIsPublishedAsWantedIsGreenAndStaysAsItIs(t *testing.T) {
	for _, w := range worlds {
		if w.zone.Down["example.org"] || w.deaf {
			continue // nothing can be published there, or be seen
		}
		t.Run(w.name, func(t *testing.T) {
			_, before, all := w.ask(t)
			w.zone = publish(t, w.zone, all)
			_, plan, all := w.ask(t)
			for _, d := range all {
				if d.State != Published && !(w.stays && d.Purpose == ForSTSHost) { // an alias of what has no address
					t.Errorf("%s: %s %s %q (from %q)", d.State, d.Name, d.Type, d.Value, d.From)
				}
			}
			if diff := cmp.Diff(before.Records, plan.Records, cmpopts.IgnoreFields(Record{}, "Instead"), cmpopts.IgnoreUnexported(Record{})); diff != "" {
				t.Errorf("another plan once it is carried out (-before +after):\n%s", diff)
			}
			if todo, unknown := Outstanding(plan, all); (todo > 0) != w.stays || unknown > 0 {
				t.Errorf("%d are to do, %d unknown", todo, unknown)
			}
		})
	}
}

// publish gives the world in which the differences are settled.
func publish(t *testing.T, z dnstest.Zone, all []Difference) dnstest.Zone {
	t.Helper()
	z.MXs, z.Hosts, z.TXTs, z.PTRs, z.TLSAs, z.CNAMEs = cloned(z.MXs), cloned(z.Hosts), cloned(z.TXTs), cloned(z.PTRs), cloned(z.TLSAs), maps.Clone(z.CNAMEs)
	if z.CNAMEs == nil {
		z.CNAMEs = map[string]string{}
	}
	for _, d := range all {
		gone := d.From
		if d.State == ToRemove {
			gone = []string{d.Value}
		} else if d.State == Published {
			continue
		}
		if d.Type != "CNAME" {
			delete(z.CNAMEs, d.Name)
		}
		switch d.Type {
		case "TXT":
			z.TXTs[d.Name] = slices.DeleteFunc(z.TXTs[d.Name], func(s string) bool { return slices.Contains(gone, s) })
			if d.State != ToRemove {
				z.TXTs[d.Name] = append(z.TXTs[d.Name], strings.Join(d.Strings(), ""))
			}
		case "MX":
			preference, host, _ := strings.Cut(d.Value, " ")
			n, err := strconv.Atoi(preference)
			if err != nil {
				t.Fatal(err)
			}
			z.MXs[d.Name] = []dnsx.MX{{Host: strings.TrimSuffix(host, "."), Preference: uint16(n)}}
		case "A", "AAAA":
			z.Hosts[d.Name] = append(z.Hosts[d.Name], netip.MustParseAddr(d.Value))
		case "CNAME":
			delete(z.Hosts, d.Name)
			z.CNAMEs[d.Name] = strings.TrimSuffix(d.Value, ".")
		case "PTR":
			z.PTRs[d.Address()] = []string{strings.TrimSuffix(d.Value, ".")}
		case "TLSA":
			z.TLSAs[d.Name] = append(z.TLSAs[d.Name], dnsx.TLSA{Usage: 3, Selector: 1, Matching: 1, Data: []byte{1, 2, 3}})
		}
	}
	return z
}

// cloned gives a map whose lists can grow without changing those of the other.
func cloned[K comparable, V any](m map[K][]V) map[K][]V {
	out := map[K][]V{}
	for k, v := range m {
		out[k] = slices.Clone(v)
	}
	return out
}

// TestNothingMovesTheMailOfAnybodyElse looks at every world for what must not
// be proposed in any.
func TestNothingMovesTheMailOfAnybodyElse(t *testing.T) {
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) {
			_, plan, all := w.ask(t)
			for _, d := range all {
				if d.Type == "MX" && d.State != Published && dnsx.Organisation(d.Name) == d.Name && len(w.zone.MXs[d.Name]) > 0 {
					t.Errorf("the mail of %s would move: %s to %s", d.Name, d.From, d.Value)
				}
				if d.Purpose == ForHost && d.State == ToChange && strings.Contains(fmt.Sprint(w.zone.MXs["example.org"]), d.Name) {
					t.Errorf("the mail host of example.org would become another machine: %s to %s", d.From, d.Value)
				}
				if d.State == ToRemove && !slices.Contains([]Purpose{ForSPF, ForDKIM, ForDMARC, ForSTS, ForTLSRPT}, d.Purpose) {
					t.Errorf("%s %s %s would be removed", d.Name, d.Type, d.Value)
				}
			}
			for _, r := range plan.Records {
				if r.Purpose == ForSPF {
					wantTermsKept(t, r)
				}
			}
		})
	}
}

func wantTermsKept(t *testing.T, r Record) {
	t.Helper()
	for _, old := range r.Instead {
		for _, term := range strings.Fields(strings.ReplaceAll(old, `"`, "")) {
			if target, ok := strings.CutPrefix(term, "redirect="); ok && strings.Contains(r.Value, "include:"+target) {
				continue
			}
			if !strings.HasSuffix(term, "all") && !slices.Contains(strings.Fields(r.Value), term) {
				t.Errorf("%s: %q has lost %s of %q", r.Name, r.Value, term, old)
			}
		}
	}
}

func TestAnotherPolicyHasAnotherID(t *testing.T) {
	_, one := STSPolicy("testing", []string{"mail.example.org"})
	_, other := STSPolicy("testing", []string{"mail.example.org", "backup.example"})
	_, turned := STSPolicy("testing", []string{"backup.example", "mail.example.org"})
	_, strict := STSPolicy("enforce", []string{"mail.example.org"})
	if one == other || one == strict || other != turned {
		t.Errorf("ids %s, %s, %s, %s", one, other, turned, strict)
	}
	if len(one) > 32 || strings.Trim(one, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		t.Errorf("%q is no id (RFC 8461 section 3.1)", one)
	}
}

func TestATextIsCutAndQuotedAsZoneFilesWantIt(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"nothing", "", `""`},
		{"short", "v=spf1 -all", `"v=spf1 -all"`},
		{"255 octets", strings.Repeat("x", 255), `"` + strings.Repeat("x", 255) + `"`},
		{"256 octets", strings.Repeat("x", 256), `"` + strings.Repeat("x", 255) + `" "x"`},
		{"what means something in a zone file", `a"b\c;` + "\n\xfc", `"a\"b\\c;\010\252"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (Record{Value: tt.text}).Quoted(); got != tt.want {
				t.Errorf("Quoted() = %s, want %s", got, tt.want)
			}
		})
	}
}
