package dnscheck_test

import (
	"context"
	cryptorsa "crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	. "homing/dnscheck"
	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
)

// rsaKey gives the published form of an RSA key of some length.
func rsaKey(bits int) string {
	n := new(big.Int).SetBit(big.NewInt(65537), bits-1, 1)
	der, err := x509.MarshalPKIXPublicKey(&cryptorsa.PublicKey{N: n, E: 65537})
	if err != nil {
		panic(err)
	}
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
}

// ours is a set-up with one of each thing: example.org is sent as,
// bounce.example.org takes returns, lists.example.org is routed.
func ours() Setup {
	return Setup{
		Hostname: "mail.example.org", Addresses: []netip.Addr{v4, v6},
		Domains: []Domain{{Name: "example.org", Return: "bounce.example.org", Keys: []Key{{"one", rsaKey(2048), 2048}, ed}}},
		Returns: []string{"bounce.example.org"}, Routed: []string{"lists.example.org"}, Reports: "reports@bounce.example.org",
		Pinned: []dnsx.TLSA{{Usage: 3, Selector: 1, Matching: 1, Data: []byte{1, 2, 3}}},
	}
}

// rightWorld is one in which nothing is wrong with ours.
func rightWorld() *dnstest.Zone {
	here := []netip.Addr{v6, v4}
	return &dnstest.Zone{
		MXs: map[string][]dnsx.MX{"bounce.example.org": mx("mail.example.org"), "lists.example.org": mx("mail.example.org"), "example.org": mx("aspmx.l.google.com")},
		Hosts: map[string][]netip.Addr{"mail.example.org": here, "iana.org": a("192.0.43.8"), "aspmx.l.google.com": a("192.0.2.26"),
			"example.org": a("198.51.100.80"), "other.example": a("198.51.100.81")},
		TXTs: map[string][]string{
			"example.org":                    txt("v=spf1 include:_spf.google.com ~all"),
			"bounce.example.org":             txt("v=spf1 ip4:203.0.113.10 ip6:2001:db8::10 -all"),
			"mail.example.org":               txt("v=spf1 a -all"),
			"one._domainkey.example.org":     txt(rsaKey(2048)),
			"homing2._domainkey.example.org": txt(ed.Record),
			"_dmarc.example.org":             txt("v=DMARC1; p=none; rua=mailto:reports@bounce.example.org"),
			"_mta-sts.lists.example.org":     txt("v=STSv1; id=20261128"),
			"_smtp._tls.lists.example.org":   txt("v=TLSRPTv1; rua=mailto:reports@bounce.example.org"),
			"_spf.google.com":                txt("v=spf1 ip4:192.0.2.0/25 ~all"),
			"_spf.mailgun.example":           txt("v=spf1 ip4:198.51.100.128/26 ~all"),
			"mailgun.org":                    txt("v=spf1 include:_spf.mailgun.example ~all"),
		},
		PTRs:   map[netip.Addr][]string{v4: {"mail.example.org"}, v6: {"mail.example.org"}},
		TLSAs:  map[string][]dnsx.TLSA{"_25._tcp.mail.example.org": {{Usage: 3, Selector: 1, Matching: 1, Data: []byte{1, 2, 3}}}},
		CNAMEs: map[string]string{},
		Signed: map[string]bool{"iana.org": true}, Down: map[string]bool{}, Silent: map[string]bool{}, Slow: map[string]time.Duration{},
	}
}

// policy serves one policy for every domain.
func policy(mode string, err error, hosts ...string) func(context.Context, string) (STS, error) {
	return func(context.Context, string) (STS, error) {
		return STS{Mode: mode, MX: hosts, MaxAge: 7 * 24 * time.Hour}, err
	}
}

// attention writes what is not as it should be, one line for each finding.
// What is always skipped in rightWorld is left out.
func attention(all []Finding) (lines []string) {
	for _, f := range all {
		line := fmt.Sprintf("%s %s %s", f.Verdict, f.Check, f.Subject)
		if f.Verdict != OK && !slices.Contains(alwaysSkipped, line) {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

// alwaysSkipped is what there is nothing of in rightWorld, and need not be.
var alwaysSkipped = []string{"skipped mta_sts bounce.example.org", "skipped mta_sts_policy bounce.example.org", "skipped tls_rpt bounce.example.org"}

// sound checks what holds for the findings of every run.
func sound(t *testing.T, all []Finding) {
	t.Helper()
	seen := map[string]bool{}
	for _, f := range all {
		at := f.Check + " " + f.Subject
		if seen[at] {
			t.Errorf("%s is found twice", at)
		}
		seen[at] = true
		if !slices.Contains(Names, f.Check) {
			t.Errorf("%s: no such check", at)
		}
		if (f.Verdict == Warn || f.Verdict == Fail) && (f.Fix == "" || f.Wanted == "") || f.Found == "" || f.Subject == "" {
			t.Errorf("%s: something is not said: %+v", at, f)
		}
		if strings.ContainsFunc(f.Wanted+f.Fix, func(c rune) bool { return c > '~' }) {
			t.Errorf("%s: more than plain text: %+v", at, f)
		}
	}
}

func find(t *testing.T, all []Finding, check, subject string) Finding {
	t.Helper()
	for _, f := range all {
		if f.Check == check && f.Subject == subject {
			return f
		}
	}
	t.Fatalf("there is no finding %s of %s", check, subject)
	return Finding{}
}

func TestInARightWorldNothingNeedsAttention(t *testing.T) {
	all := Run(t.Context(), rightWorld(), ours(), Options{Policy: policy("enforce", nil, "mail.example.org")})
	sound(t, all)
	if got := attention(all); len(got) > 0 {
		t.Errorf("needs attention: %q", got)
	}
	for _, name := range Names {
		if !slices.ContainsFunc(all, func(f Finding) bool { return f.Check == name && f.Verdict == OK }) {
			t.Errorf("%s is never right", name)
		}
	}
	again := Run(t.Context(), rightWorld(), ours(), Options{Policy: policy("enforce", nil, "mail.example.org")})
	if diff := cmp.Diff(all, again); diff != "" {
		t.Errorf("a second run says something else (-first +second):\n%s", diff)
	}
}

// TestOrdinarySetupsNeedNoAttention has what many people have, with nothing
// wrong: no warning of it would ever go away.
func TestOrdinarySetupsNeedNoAttention(t *testing.T) {
	runAll(t, []wrongCase{
		{"IPv4 alone", func(s *Setup, z *dnstest.Zone) {
			s.Addresses, z.Hosts["mail.example.org"] = []netip.Addr{v4}, []netip.Addr{v4}
			z.TXTs["bounce.example.org"] = txt("v=spf1 ip4:203.0.113.10 -all")
		}, nil, "", ""},
		{"IPv6 alone", func(s *Setup, z *dnstest.Zone) {
			s.Addresses, z.Hosts["mail.example.org"] = []netip.Addr{v6}, []netip.Addr{v6}
			z.TXTs["bounce.example.org"] = txt("v=spf1 ip6:2001:db8::10 -all")
		}, nil, "", ""},
		{"several addresses under one name", func(s *Setup, z *dnstest.Zone) {
			all := append([]netip.Addr{netip.MustParseAddr("203.0.113.11"), netip.MustParseAddr("203.0.113.12")}, s.Addresses...)
			s.Addresses, z.Hosts["mail.example.org"] = all, all
			for _, a := range all {
				z.PTRs[a] = []string{"mail.example.org"}
			}
			z.TXTs["bounce.example.org"] = txt("v=spf1 ip4:203.0.113.8/29 ip6:2001:db8::/64 -all")
		}, nil, "", ""},
		{"a zone with a wildcard for the web site", func(_ *Setup, z *dnstest.Zone) {
			for _, name := range []string{"mta-sts.bounce.example.org", "_mta-sts.bounce.example.org", "_smtp._tls.bounce.example.org", "bounce.example.org", "lists.example.org"} {
				z.Hosts[name] = a("198.51.100.80")
			}
			z.TXTs["_mta-sts.bounce.example.org"] = txt("v=spf1 -all")
			z.TXTs["_smtp._tls.bounce.example.org"] = txt("v=spf1 -all")
		}, nil, "", ""},
		{"keys by an alias", func(_ *Setup, z *dnstest.Zone) {
			z.TXTs["one.keys.example"], z.TXTs["one._domainkey.example.org"] = z.TXTs["one._domainkey.example.org"], nil
			z.CNAMEs["one._domainkey.example.org"] = "one.keys.example"
		}, nil, "", ""},
		{"a policy by an alias, with our address", func(_ *Setup, z *dnstest.Zone) {
			z.TXTs["x.dmarc.example"], z.TXTs["_dmarc.example.org"] = z.TXTs["_dmarc.example.org"], nil
			z.CNAMEs["_dmarc.example.org"] = "x.dmarc.example"
		}, nil, "", ""},
		{"SPF by a redirection", func(_ *Setup, z *dnstest.Zone) {
			z.TXTs["bounce.example.org"], z.TXTs["_spf.example.org"] = txt("v=spf1 redirect=_spf.example.org"), txt("v=spf1 a:mail.example.org -all")
		}, nil, "", ""},
		{"mail by Microsoft, with the domain's own policy", func(_ *Setup, z *dnstest.Zone) {
			z.MXs["example.org"] = mx("example-org.mail.protection.outlook.com")
			z.TXTs["_dmarc.example.org"] = txt("v=DMARC1; p=reject; sp=none; pct=100; rua=mailto:reports@bounce.example.org; adkim=s; fo=1")
		}, nil, "", ""},
	})
}

// A wrongCase is one way of being wrong. All that it makes not right is in
// want; found and fix are parts of what the first of them says.
type wrongCase struct {
	name   string
	change func(*Setup, *dnstest.Zone)
	want   []string
	found  string
	fix    string
}

func (w wrongCase) run(t *testing.T) {
	s, z := ours(), rightWorld()
	w.change(&s, z)
	all := Run(t.Context(), z, s, Options{Policy: policy("enforce", nil, "mail.example.org")})
	sound(t, all)
	want := slices.Clone(w.want)
	slices.Sort(want)
	if diff := cmp.Diff(want, attention(all)); diff != "" {
		t.Fatalf("needs attention (-want +got):\n%s", diff)
	}
	if len(w.want) == 0 {
		return
	}
	words := strings.Fields(w.want[0])
	f := find(t, all, words[1], words[2])
	if !strings.Contains(f.Found, w.found) || !strings.Contains(f.Fix, w.fix) {
		t.Errorf("found %q\nfix %q\nwant in them %q and %q", f.Found, f.Fix, w.found, w.fix)
	}
}

func runAll(t *testing.T, cases []wrongCase) {
	t.Helper()
	for _, w := range cases {
		t.Run(w.name, w.run)
	}
}

func TestTheResolver(t *testing.T) {
	runAll(t, []wrongCase{
		{"it lies about what does not exist", func(_ *Setup, z *dnstest.Zone) { z.Hosts["homing-selfcheck.invalid"] = a("192.0.2.66") },
			[]string{"fail resolver iana.org"}, "this resolver lies", "apt install unbound"},
		{"it fails on what does not exist", func(_ *Setup, z *dnstest.Zone) { z.Down["homing-selfcheck.invalid"] = true },
			[]string{"warn resolver iana.org"}, "gives a failure", "unbound"},
		{"it does not validate", func(_ *Setup, z *dnstest.Zone) { z.Signed = nil },
			[]string{"warn dnssec iana.org"}, "not marked as validated", "server = \"127.0.0.1:53\""},
		{"it says that the world does not exist", func(_ *Setup, z *dnstest.Zone) { delete(z.Hosts, "iana.org"); z.Signed = nil },
			[]string{"warn resolver iana.org", "skipped dnssec iana.org"}, "no such domain name", "dig iana.org"},
		{"the name servers of a domain are down", func(_ *Setup, z *dnstest.Zone) { z.Down["lists.example.org"] = true },
			[]string{"fail nameservers lists.example.org", "skipped mx lists.example.org", "skipped mx_host lists.example.org",
				"skipped mta_sts_policy lists.example.org"}, "SERVFAIL", "dnsviz.net/d/lists.example.org/"},
	})
}

func TestTheHost(t *testing.T) {
	runAll(t, []wrongCase{
		{"no name for the world", func(s *Setup, z *dnstest.Zone) {
			s.Hostname = "mail.local"
			z.Hosts["mail.local"], z.PTRs = []netip.Addr{v4, v6}, map[netip.Addr][]string{v4: {"mail.local"}, v6: {"mail.local"}}
			z.MXs["bounce.example.org"], z.MXs["lists.example.org"] = mx("mail.local"), mx("mail.local")
			z.TXTs["mail.local"], z.TLSAs["_25._tcp.mail.local"] = txt("v=spf1 a -all"), z.TLSAs["_25._tcp.mail.example.org"]
		}, []string{"fail helo mail.local", "fail mta_sts_policy lists.example.org"}, "no name that the world can look up", "hostname = "},
		{"no address", func(_ *Setup, z *dnstest.Zone) {
			z.Hosts["mail.example.org"] = nil
			z.TXTs["mail.example.org"] = txt("v=spf1 ip4:203.0.113.10 ip6:2001:db8::10 -all")
		}, []string{"fail helo mail.example.org", "fail mx_host bounce.example.org", "fail mx_host lists.example.org", "fail ptr 2001:db8::10", "fail ptr 203.0.113.10"},
			"has no address", "mail.example.org. IN A 203.0.113.10\nmail.example.org. IN AAAA 2001:db8::10"},
		{"the address of another machine", func(_ *Setup, z *dnstest.Zone) {
			z.Hosts["mail.example.org"] = a("192.0.2.1")
			z.TXTs["mail.example.org"] = txt("v=spf1 ip4:203.0.113.10 ip6:2001:db8::10 -all")
		}, []string{"fail helo mail.example.org", "warn mx_host bounce.example.org", "warn mx_host lists.example.org", "fail ptr 2001:db8::10", "fail ptr 203.0.113.10"},
			"has the address 192.0.2.1, and this machine 203.0.113.10", "hostname = \"homing.example.org\"\nElse publish the addresses of this machine:\nmail.example.org. IN A 203.0.113.10"},
		{"the address of the machine that has the domain's mail", func(_ *Setup, z *dnstest.Zone) {
			z.Hosts["mail.example.org"], z.MXs["example.org"] = a("192.0.2.1"), mx("mail.example.org")
			z.TXTs["mail.example.org"] = txt("v=spf1 ip4:203.0.113.10 ip6:2001:db8::10 -all")
		}, []string{"fail helo mail.example.org", "warn mx_host bounce.example.org", "warn mx_host lists.example.org", "fail ptr 2001:db8::10", "fail ptr 203.0.113.10"},
			"has the address 192.0.2.1", "Leave the record, for the mail host of example.org leads to that machine"},
		{"also the address of another machine", func(_ *Setup, z *dnstest.Zone) {
			z.Hosts["mail.example.org"] = append(z.Hosts["mail.example.org"], netip.MustParseAddr("192.0.2.1"))
		}, []string{"warn helo mail.example.org", "warn mx_host bounce.example.org", "warn mx_host lists.example.org"}, "also the address 192.0.2.1", "public_addresses = ["},
		{"in /etc/hosts, which the resolver reads", func(_ *Setup, z *dnstest.Zone) { z.Hosts["mail.example.org"] = a("127.0.1.1") },
			[]string{"warn helo mail.example.org", "skipped mx_host bounce.example.org", "skipped mx_host lists.example.org", "skipped ptr 2001:db8::10", "skipped ptr 203.0.113.10",
				"skipped spf mail.example.org", "skipped spf_lookups mail.example.org", "skipped spf_record mail.example.org", "skipped spf_void mail.example.org"},
			"to the resolver here mail.example.org is 127.0.1.1", "dig +short mail.example.org @9.9.9.9"},
		{"with the addresses of every interface, as the resolver makes it up", func(_ *Setup, z *dnstest.Zone) {
			z.Hosts["mail.example.org"] = a("203.0.113.10", "2001:db8::10", "172.17.0.1", "10.8.0.1", "100.64.0.7", "fd00::1", "fe80::1")
		}, nil, "", ""},
		{"an alias", func(_ *Setup, z *dnstest.Zone) {
			z.CNAMEs["mail.example.org"], z.Hosts["vps.example.org"] = "vps.example.org", z.Hosts["mail.example.org"]
			z.TXTs["vps.example.org"] = z.TXTs["mail.example.org"]
		}, []string{"warn helo mail.example.org", "warn mx_host bounce.example.org", "warn mx_host lists.example.org"}, "is an alias of vps.example.org", "Remove the CNAME"},
		{"its servers are down", func(_ *Setup, z *dnstest.Zone) {
			z.Down["mail.example.org"], z.TXTs["bounce.example.org"] = true, txt("v=spf1 ip4:203.0.113.10 ip6:2001:db8::10 -all")
		}, []string{"skipped helo mail.example.org", "fail nameservers mail.example.org", "skipped mx_host bounce.example.org", "skipped mx_host lists.example.org",
			"skipped ptr 2001:db8::10", "skipped ptr 203.0.113.10", "skipped spf mail.example.org", "skipped spf_record mail.example.org", "skipped spf_lookups mail.example.org",
			"skipped spf_void mail.example.org"}, "SERVFAIL", "nameservers"},
		{"nobody knows the addresses", func(s *Setup, _ *dnstest.Zone) { s.Addresses = nil }, []string{
			"skipped helo mail.example.org", "skipped spf bounce.example.org", "skipped spf mail.example.org"}, "not known", "public_addresses"},
		{"nobody knows the addresses, and the MX has another name", func(s *Setup, z *dnstest.Zone) {
			s.Addresses, z.MXs["bounce.example.org"], z.Hosts["mx.example.org"] = nil, mx("mx.example.org"), []netip.Addr{v4}
		}, []string{"skipped mx bounce.example.org", "skipped helo mail.example.org", "skipped spf bounce.example.org", "skipped spf mail.example.org"}, "not known", "public_addresses"},
		{"nobody knows the addresses, and there is no MX", func(s *Setup, z *dnstest.Zone) {
			s.Addresses, z.Hosts["bounce.example.org"] = nil, []netip.Addr{v4}
			delete(z.MXs, "bounce.example.org")
		}, []string{"skipped mx bounce.example.org", "skipped mx_host bounce.example.org", "skipped helo mail.example.org", "skipped spf bounce.example.org", "skipped spf mail.example.org"},
			"not known", "public_addresses"},
		{"a pin of the certificate before", func(_ *Setup, z *dnstest.Zone) { z.TLSAs["_25._tcp.mail.example.org"][0].Data = []byte{9} },
			[]string{"fail tlsa mail.example.org"}, "none of the records fits", "_25._tcp.mail.example.org. IN TLSA 3 1 1 010203"},
		{"no pin", func(_ *Setup, z *dnstest.Zone) { z.TLSAs = nil },
			[]string{"warn tlsa mail.example.org"}, "there is none", "IN TLSA 3 1 1 010203"},
		{"a pin that the configuration does not know", func(s *Setup, _ *dnstest.Zone) { s.Pinned = nil },
			[]string{"skipped tlsa mail.example.org"}, "pins no certificate", ""},
		{"the pins are not to be had", func(_ *Setup, z *dnstest.Zone) { z.Down["_25._tcp.mail.example.org"] = true },
			[]string{"skipped tlsa mail.example.org"}, "SERVFAIL", "Check again"},
	})
}

func TestReverseNames(t *testing.T) {
	names := func(names ...string) func(*Setup, *dnstest.Zone) {
		return func(_ *Setup, z *dnstest.Zone) {
			z.PTRs[v4] = names
			for _, n := range names {
				if !strings.HasPrefix(n, "un") && n != "mail.example.org" {
					z.Hosts[n] = []netip.Addr{v4}
				}
			}
		}
	}
	runAll(t, []wrongCase{
		{"none", names(), []string{"fail ptr 203.0.113.10", "skipped ptr_name 203.0.113.10", "skipped ptr_helo 203.0.113.10"},
			"has no name", "10.113.0.203.in-addr.arpa. IN PTR mail.example.org."},
		{"one without that address", names("unconfirmed.example.org"), []string{"fail ptr 203.0.113.10", "fail ptr_helo 203.0.113.10"}, "does not have the address", "IN A 203.0.113.10"},
		{"two, one without that address", names("mail.example.org", "unconfirmed.example.org"), []string{"warn ptr 203.0.113.10"}, "only mail.example.org has the address", "removed but one"},
		{"not the one in HELO, but it leads back", names("smtp.example.org"), []string{"warn ptr_helo 203.0.113.10"},
			"smtp.example.org, and we greet as mail.example.org", "PTR mail.example.org."},
		{"not the one in HELO, but one that has all our addresses", func(s *Setup, z *dnstest.Zone) {
			names("smtp.example.org")(s, z)
			z.Hosts["smtp.example.org"] = []netip.Addr{v4, v6}
		}, []string{"warn ptr_helo 203.0.113.10"}, "smtp.example.org, and we greet as mail.example.org", "hostname = \"smtp.example.org\""},
		{"a name for every customer", names("203-0-113-10.provider.example"), []string{"fail ptr_name 203.0.113.10", "warn ptr_helo 203.0.113.10"}, "it has the address in it", "PTR mail.example.org."},
		{"a dial-up line", names("x.dynamic.provider.example"), []string{"fail ptr_name 203.0.113.10", "warn ptr_helo 203.0.113.10"}, `"dynamic"`, "PTR mail.example.org."},
		{"a static line", names("x.static.provider.example"), []string{"warn ptr_name 203.0.113.10", "warn ptr_helo 203.0.113.10"}, `"static"`, "PTR mail.example.org."},
		{"the servers of the address are down", func(_ *Setup, z *dnstest.Zone) { z.Down["10.113.0.203.in-addr.arpa"] = true },
			[]string{"skipped ptr 203.0.113.10", "skipped ptr_name 203.0.113.10", "skipped ptr_helo 203.0.113.10"}, "SERVFAIL", "Check again"},
		{"the servers of the name are down", func(_ *Setup, z *dnstest.Zone) { z.PTRs[v4], z.Down["x.example.net"] = []string{"x.example.net"}, true },
			[]string{"skipped ptr 203.0.113.10", "skipped ptr_helo 203.0.113.10"}, "SERVFAIL", "Check again"},
	})
}

func TestTheNameOfOneOfSeveralAddressesIsNoHostname(t *testing.T) {
	s, z := ours(), rightWorld()
	z.PTRs[v4], z.Hosts["smtp.example.org"] = []string{"smtp.example.org"}, []netip.Addr{v4}
	if f := find(t, Run(t.Context(), z, s, Options{}), CheckPTRHELO, v4.String()); f.Verdict != Warn || strings.Contains(f.Fix, "hostname") {
		t.Errorf("got %+v: the other address would be called otherwise than we greet", f)
	}
}

// TestNobodyAsksForOurReverseNamesBehindASmarthost has all mail leave through
// one: whatever our own addresses are called, there is nothing to be done, as
// homing dns proposes nothing either.
func TestNobodyAsksForOurReverseNamesBehindASmarthost(t *testing.T) {
	relayed := func(s *Setup, z *dnstest.Zone) {
		s.Domains[0].Smarthost = "smtp.mailgun.org"
		z.TXTs["bounce.example.org"] = txt("v=spf1 include:mailgun.org -all")
	}
	named := func(names ...string) func(*Setup, *dnstest.Zone) {
		return func(s *Setup, z *dnstest.Zone) { relayed(s, z); z.PTRs[v4] = names }
	}
	runAll(t, []wrongCase{
		{"none", named(), nil, "", ""},
		{"one that leads elsewhere", named("gone.example.net"), nil, "", ""},
		{"a name for every customer", named("203-0-113-10.dynamic.provider.example"), nil, "", ""},
		{"the servers of the address are down", func(s *Setup, z *dnstest.Zone) { relayed(s, z); z.Down["10.113.0.203.in-addr.arpa"] = true },
			[]string{"skipped ptr 203.0.113.10", "skipped ptr_name 203.0.113.10", "skipped ptr_helo 203.0.113.10"}, "SERVFAIL", "Check again"},
		{"none, and another domain's mail leaves straight", func(s *Setup, z *dnstest.Zone) {
			named()(s, z)
			s.Domains = append(s.Domains, Domain{Name: "news.example.org", Return: "bounce.example.org", Keys: s.Domains[0].Keys})
			z.TXTs["one._domainkey.news.example.org"], z.TXTs["homing2._domainkey.news.example.org"] = txt(rsaKey(2048)), txt(ed.Record)
			z.TXTs["bounce.example.org"] = txt("v=spf1 ip4:203.0.113.10 ip6:2001:db8::10 include:mailgun.org -all")
		}, []string{"fail ptr 203.0.113.10", "skipped ptr_name 203.0.113.10", "skipped ptr_helo 203.0.113.10"}, "has no name", "PTR mail.example.org."},
	})
	s, z := ours(), rightWorld()
	named()(&s, z)
	f := find(t, Run(t.Context(), z, s, Options{}), CheckPTR, v4.String())
	if f.Verdict != OK || !strings.Contains(f.Found, "has no name") || !strings.Contains(f.Wanted, "smarthosts") {
		t.Errorf("got %+v, want what is, and that it does not matter", f)
	}
}

// broken panics at one question, and hangs for ever at another.
type brokenResolver struct {
	*dnstest.Zone
	hang chan struct{}
}

func (b brokenResolver) PTR(context.Context, netip.Addr) ([]string, error) { panic("out of order") }

func (b brokenResolver) TLSA(context.Context, string) ([]dnsx.TLSA, error) {
	<-b.hang
	return nil, dnsx.ErrNoData
}

func TestACheckThatBreaksTakesNoOtherWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokenResolver{rightWorld(), make(chan struct{})}
		begin := time.Now()
		all := Run(t.Context(), b, ours(), Options{Policy: policy("enforce", nil, "mail.example.org")})
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("took %v, want at most 10s", took)
		}
		close(b.hang)
		sound(t, all)
		want := []string{"skipped ptr 2001:db8::10", "skipped ptr 203.0.113.10", "skipped ptr_helo 2001:db8::10", "skipped ptr_helo 203.0.113.10",
			"skipped ptr_name 2001:db8::10", "skipped ptr_name 203.0.113.10", "skipped tlsa mail.example.org"}
		if diff := cmp.Diff(want, attention(all)); diff != "" {
			t.Errorf("needs attention (-want +got):\n%s", diff)
		}
		if f := find(t, all, CheckPTR, v4.String()); !strings.Contains(f.Found, "out of order") {
			t.Errorf("ptr found %q, want the panic", f.Found)
		}
		if f := find(t, all, CheckTLSA, "mail.example.org"); f.Found != "the check did not end in time" {
			t.Errorf("tlsa found %q", f.Found)
		}
	})
}

// silence never answers.
type silence struct{}

func wait[T any](ctx context.Context) (none T, err error) {
	<-ctx.Done()
	return none, fmt.Errorf("%w: %w", dnsx.ErrTemporary, ctx.Err())
}

func (silence) MX(ctx context.Context, _ string) ([]dnsx.MX, error) { return wait[[]dnsx.MX](ctx) }
func (silence) Addrs(ctx context.Context, _ string) ([]netip.Addr, error) {
	return wait[[]netip.Addr](ctx)
}
func (silence) TXT(ctx context.Context, _ string) ([]string, error)     { return wait[[]string](ctx) }
func (silence) PTR(ctx context.Context, _ netip.Addr) ([]string, error) { return wait[[]string](ctx) }
func (silence) TLSA(ctx context.Context, _ string) ([]dnsx.TLSA, error) {
	return wait[[]dnsx.TLSA](ctx)
}
func (silence) Bases(ctx context.Context, _ string) ([]string, error)  { return wait[[]string](ctx) }
func silentPolicy(ctx context.Context, _ string) (none STS, err error) { return wait[STS](ctx) }
func failing(context.Context, string) (none STS, err error) {
	return none, errors.New("HTTP status 404")
}

func TestASilentResolverEndsTheRunInTime(t *testing.T) {
	many := ours()
	for i := range 300 {
		many.Domains = append(many.Domains, Domain{Name: fmt.Sprintf("d%d.example", i), Return: "bounce.example.org", Keys: many.Domains[0].Keys})
	}
	for name, s := range map[string]Setup{"one domain": ours(), "300 domains": many} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				all := Run(t.Context(), silence{}, s, Options{Policy: silentPolicy})
				if took := time.Since(begin); took > 10*time.Second {
					t.Errorf("took %v, want at most 10s", took)
				}
				sound(t, all)
				for _, f := range all {
					own := f.Check == CheckDKIM // asks nobody
					if f.Verdict == OK && !own || f.Verdict == Fail && f.Check != CheckResolver && f.Check != CheckHELO {
						t.Errorf("%s %s of %s: %s", f.Verdict, f.Check, f.Subject, f.Found)
					}
				}
				if f := find(t, all, CheckResolver, "iana.org"); f.Verdict != Fail || f.Fix == "" {
					t.Errorf("resolver: %+v, want fail", f)
				}
			})
		})
	}
}

func TestARunThatIsCalledOffEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		sound(t, Run(ctx, silence{}, ours(), Options{}))
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("took %v after a second's patience", took)
		}
	})
}

func TestASlowResolverIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := rightWorld()
		z.Slow["bounce.example.org"], z.Slow["one._domainkey.example.org"], z.Silent["_dmarc.example.org"] = time.Second, 6*time.Second, true
		begin := time.Now()
		all := Run(t.Context(), z, ours(), Options{Policy: policy("enforce", nil, "mail.example.org")})
		if took := time.Since(begin); took > 8*time.Second {
			t.Errorf("took %v", took)
		}
		want := []string{"skipped dmarc example.org", "skipped dmarc_alignment example.org", "skipped dmarc_policy example.org", "skipped dmarc_reports example.org"}
		if diff := cmp.Diff(want, attention(all)); diff != "" {
			t.Errorf("needs attention (-want +got):\n%s", diff)
		}
		if f := find(t, all, CheckDMARC, "example.org"); !strings.HasPrefix(f.Found, "no answer in time") {
			t.Errorf("dmarc found %q", f.Found)
		}
	})
}

func TestTheCertificateThatIsShownIsComparedWithItsPins(t *testing.T) {
	ours, other := dnsx.TLSA{Usage: 3, Selector: 1, Matching: 1, Data: []byte{7}}, dnsx.TLSA{Usage: 3, Selector: 1, Matching: 1, Data: []byte{9}}
	tests := []struct {
		name  string
		there []dnsx.TLSA
		want  Verdict
		fix   string
	}{
		{"that of the certificate", []dnsx.TLSA{ours}, OK, ""},
		{"beside the next one", []dnsx.TLSA{other, ours}, OK, ""},
		{"that of the certificate before", []dnsx.TLSA{other}, Fail, "IN TLSA 3 1 1 07"},
		{"none", nil, Skipped, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, z := usual(), rightWorld()
			z.TLSAs["_25._tcp.mail.example.org"] = tt.there
			asked := 0
			pins := func(there []dnsx.TLSA) []dnsx.TLSA { asked++; return []dnsx.TLSA{ours} }
			f := find(t, Run(t.Context(), z, s, Options{Pins: pins}), CheckTLSA, "mail.example.org")
			if f.Verdict != tt.want || !strings.Contains(f.Fix, tt.fix) || (asked > 0) != (len(tt.there) > 0) {
				t.Errorf("got %+v, and asked %d times; want %s with %q", f, asked, tt.want, tt.fix)
			}
		})
	}
}

// TestAllChecksOverTheWire has a server on loopback answer, which cuts what it says over
// UDP and lets forged answers come before the true ones.
func TestAllChecksOverTheWire(t *testing.T) {
	z := rightWorld()
	z.Truncate = map[string]bool{"bounce.example.org": true, "one._domainkey.example.org": true}
	z.Lies = map[string]bool{"mail.example.org": true, "_dmarc.example.org": true, "lists.example.org": true}
	server, err := dnstest.Listen("127.0.0.1:0", z)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	client, err := server.Client(dnsx.Options{Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	all := Run(t.Context(), client, ours(), Options{Policy: policy("enforce", nil, "mail.example.org")})
	sound(t, all)
	if got := attention(all); len(got) > 0 {
		t.Errorf("needs attention: %q", got)
	}
}
