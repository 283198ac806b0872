package dnscheck_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	. "homing/dnscheck"
	"homing/internal/dnsx/dnstest"
)

func TestDMARC(t *testing.T) {
	const rua = "rua=mailto:reports@bounce.example.org"
	const none, reports = "skipped dmarc_policy example.org", "skipped dmarc_reports example.org"
	publish := func(texts ...string) func(*Setup, *dnstest.Zone) {
		return func(_ *Setup, z *dnstest.Zone) { z.TXTs["_dmarc.example.org"] = texts }
	}
	// below has the domain of ours be one that the policy is inherited by.
	below := func(text string) func(*Setup, *dnstest.Zone) {
		return func(s *Setup, z *dnstest.Zone) {
			s.Domains[0].Name, z.TXTs["_dmarc.example.org"] = "news.example.org", txt(text)
			z.TXTs["one._domainkey.news.example.org"], z.TXTs["homing2._domainkey.news.example.org"] = txt(rsaKey(2048)), txt(ed.Record)
		}
	}
	with := func(change func(*Setup), then func(*Setup, *dnstest.Zone)) func(*Setup, *dnstest.Zone) {
		return func(s *Setup, z *dnstest.Zone) { then(s, z); change(s) }
	}
	unsigned := func(s *Setup) { s.Domains[0].Keys = nil }
	rewritten := func(s *Setup) { s.Domains[0].Rewrites = true }
	runAll(t, []wrongCase{
		{"reject", publish("v=DMARC1; p=reject; " + rua), nil, "", ""},
		{"every tag, in odd letters", publish("v=DMARC1;p=Quarantine;sp=none;np=reject;adkim=S;aspf=r;pct=50;ri=86400;fo=1:d:s;rf=afrf;psd=n;t=n;ruf=mailto:f@example.org;" + rua + "!10m ;"), nil, "", ""},
		{"another text beside it", publish("v=spf1 -all", "v=DMARC1; p=none; "+rua), nil, "", ""},
		{"none", publish(), []string{"warn dmarc example.org", none, reports}, "no policy",
			`_dmarc.example.org. IN TXT "v=DMARC1; p=none; rua=mailto:reports@bounce.example.org"`},
		{"none, and nothing that proves the mail", with(func(s *Setup) { s.Domains[0].Keys, s.Domains[0].Return = nil, "" }, func(s *Setup, z *dnstest.Zone) {
			publish()(s, z)
			z.TXTs["example.org"] = txt("v=spf1 ip4:203.0.113.10 ip6:2001:db8::10 ~all")
		}), []string{"warn dmarc example.org", none, reports, "warn dkim example.org", "warn dmarc_alignment example.org"}, "no policy", ""},
		{"two", publish("v=DMARC1; p=none; "+rua, "v=DMARC1; p=reject; rua=mailto:x@example.org"), []string{"fail dmarc example.org", none, reports},
			"there are 2 policies", `by one:` + "\n" + `_dmarc.example.org. IN TXT "v=DMARC1; p=reject; rua=mailto:x@example.org,mailto:reports@bounce.example.org"`},
		{"small letters", publish("v=dmarc1; p=reject; " + rua), []string{"fail dmarc example.org", none, reports}, "in capitals", `_dmarc.example.org. IN TXT "v=DMARC1; p=reject; rua=`},
		{"the quotes of a zone file", publish(`"v=DMARC1; p=reject; ` + rua + `"`), []string{"fail dmarc example.org", none, reports}, "does not count as it stands", `_dmarc.example.org. IN TXT "v=DMARC1; p=reject; rua=`},
		{"the backslashes of a zone file", publish(`v=DMARC1\; p=reject\; ` + rua), []string{"fail dmarc example.org", none, reports}, "must begin with", `IN TXT "v=DMARC1; p=reject; rua=`},
		{"space that may be there", publish("v = DMARC1 ; p = reject ; " + rua), nil, "", ""},
		{"a mistake in one that is strict", publish("v=DMARC1; p=reject; aspf=x; " + rua), []string{"fail dmarc example.org", none, reports}, "aspf=x", `"v=DMARC1; p=reject; rua=`},
		{"something that is called so, beside it", publish("dmarc-verification=x", "v=DMARC1; p=none; "+rua), nil, "", ""},
		{"one too low, where a web page has put it", func(_ *Setup, z *dnstest.Zone) {
			z.TXTs["_dmarc.example.org"], z.TXTs["_dmarc.example.org.example.org"] = nil, txt("v=DMARC1; p=reject")
		}, []string{"warn dmarc example.org", none, reports}, "it stands at _dmarc.example.org.example.org", ""},
		{"that of a service, by an alias", func(_ *Setup, z *dnstest.Zone) {
			z.TXTs["_dmarc.example.org"], z.CNAMEs["_dmarc.example.org"], z.TXTs["x.dmarc.example"] = nil, "x.dmarc.example", txt("v=DMARC1; p=reject; rua=mailto:it@example.org")
		}, []string{"warn dmarc_reports example.org"}, "and not here", "an alias (CNAME) of x.dmarc.example: have this added to rua there"},
		{"the version behind", publish("p=none; v=DMARC1"), []string{"fail dmarc example.org", none, reports}, "must begin with", "Correct it"},
		{"no p", publish("v=DMARC1; " + rua), []string{"fail dmarc example.org", none, reports}, "p must be the second tag", "Correct it"},
		{"p behind", publish("v=DMARC1; " + rua + "; p=none"), []string{"fail dmarc example.org", none, reports}, "p must be the second tag", "Correct it"},
		{"a policy that does not exist", publish("v=DMARC1; p=block; " + rua), []string{"fail dmarc example.org", none, reports}, "p=block is not a value of p", "Correct it"},
		{"a policy for subdomains that does not exist", publish("v=DMARC1; p=none; sp=; " + rua), []string{"fail dmarc example.org", none, reports}, "sp= is not a value", "Correct it"},
		{"an alignment that does not exist", publish("v=DMARC1; p=none; aspf=relaxed; " + rua), []string{"fail dmarc example.org", none, reports}, "aspf=relaxed", "Correct it"},
		{"more than all", publish("v=DMARC1; p=none; pct=101; " + rua), []string{"fail dmarc example.org", none, reports}, "pct=101", "Correct it"},
		{"an interval that is no number", publish("v=DMARC1; p=none; ri=1d; " + rua), []string{"fail dmarc example.org", none, reports}, "ri=1d", "Correct it"},
		{"options that do not exist", publish("v=DMARC1; p=none; fo=2; " + rua), []string{"fail dmarc example.org", none, reports}, "fo=2", "Correct it"},
		{"a comma for a semicolon", publish("v=DMARC1, p=none, " + rua), []string{"fail dmarc example.org", none, reports}, "does not count", "Correct it"},
		{"a word without a value", publish("v=DMARC1; p=none; reject"), []string{"fail dmarc example.org", none, reports}, `"reject" is not of the form tag=value`, "Correct it"},
		{"an address without mailto", publish("v=DMARC1; p=none; rua=reports@bounce.example.org"), []string{"fail dmarc example.org", none, reports}, "written as mailto:", "Correct it"},
		{"a misspelt tag", publish("v=DMARC1; p=none; aspg=s; " + rua), []string{"warn dmarc example.org"}, "a tag aspg, which does not exist; was aspf meant?", "Correct the record"},
		{"all of nothing", publish("v=DMARC1; p=reject; pct=0; " + rua), []string{"warn dmarc_policy example.org"}, "pct=0", "Take pct=0 out"},
		{"its servers are down", func(_ *Setup, z *dnstest.Zone) { z.Down["_dmarc.example.org"] = true },
			[]string{"skipped dmarc example.org", none, reports, "skipped dmarc_alignment example.org"}, "SERVFAIL", "Check again"},

		{"inherited", below("v=DMARC1; p=reject; sp=none; adkim=s; " + rua), nil, "", ""},
		{"one between it and the registered domain, which few ask for", func(s *Setup, z *dnstest.Zone) {
			below("v=DMARC1; p=none")(s, z)
			s.Domains[0].Name, z.TXTs["_dmarc.news.example.org"], z.TXTs["_dmarc.example.org"] = "a.news.example.org", txt("v=DMARC1; p=reject"), nil
			z.TXTs["one._domainkey.a.news.example.org"], z.TXTs["homing2._domainkey.a.news.example.org"] = txt(rsaKey(2048)), txt(ed.Record)
		}, []string{"warn dmarc a.news.example.org", "skipped dmarc_policy a.news.example.org", "skipped dmarc_reports a.news.example.org"}, "no policy",
			`_dmarc.a.news.example.org. IN TXT "v=DMARC1; p=reject; rua=mailto:reports@bounce.example.org"`},
		{"inherited, and one of its own that is wrong", func(s *Setup, z *dnstest.Zone) {
			below("v=DMARC1; p=none; "+rua)(s, z)
			z.TXTs["_dmarc.news.example.org"] = txt("DMARC1")
		}, []string{"fail dmarc news.example.org", "skipped dmarc_policy news.example.org", "skipped dmarc_reports news.example.org"}, "does not count", "_dmarc.news.example.org. IN TXT"},

		{"no reports", publish("v=DMARC1; p=none"), []string{"warn dmarc_reports example.org"}, "nobody gets reports", `"v=DMARC1; p=none; rua=mailto:reports@bounce.example.org"`},
		{"no reports, and no address of ours", with(func(s *Setup) { s.Reports = "" }, publish("v=DMARC1; p=none")),
			[]string{"warn dmarc_reports example.org"}, "nobody gets reports", `rua=mailto:dmarc@example.org`},
		{"reports to somebody else alone", publish("v=DMARC1; p=none; rua=mailto:it@example.org"), []string{"warn dmarc_reports example.org"}, "it@example.org and not here", "rua=mailto:it@example.org,mailto:reports@bounce.example.org"},
		{"reports to another address that is read here", with(func(s *Setup) { s.Reads = func(at string) bool { return at == "dmarc@lists.example.org" } },
			publish("v=DMARC1; p=none; rua=mailto:Dmarc@lists.example.org")), nil, "", ""},
		{"reports to somebody else, where there is no address of ours", with(func(s *Setup) { s.Reports = "" }, publish("v=DMARC1; p=none; rua=mailto:it@example.org")), nil, "", ""},
		{"reports to a service that wants them", func(_ *Setup, z *dnstest.Zone) {
			z.TXTs["_dmarc.example.org"] = txt("v=DMARC1; p=none; rua=mailto:x@reports.example!10m," + strings.TrimPrefix(rua, "rua="))
			z.TXTs["example.org._report._dmarc.reports.example"] = txt("v=DMARC1")
		}, nil, "", ""},
		{"reports to a service that has not said so", publish("v=DMARC1; p=none; rua=mailto:x@reports.example," + strings.TrimPrefix(rua, "rua=")),
			[]string{"warn dmarc_reports example.org"}, "reports.example has not said", `example.org._report._dmarc.reports.example. IN TXT "v=DMARC1"`},
		{"reports to a service that does not answer", func(_ *Setup, z *dnstest.Zone) {
			z.TXTs["_dmarc.example.org"] = txt("v=DMARC1; p=none; rua=mailto:x@reports.example")
			z.Down["example.org._report._dmarc.reports.example"] = true
		}, []string{"skipped dmarc_reports example.org"}, "SERVFAIL", "Check again"},
		{"consent to the wrong domain, where the policy is inherited", func(s *Setup, z *dnstest.Zone) {
			below("v=DMARC1; p=none; rua=mailto:x@reports.example,mailto:reports@bounce.example.org")(s, z)
			z.TXTs["news.example.org._report._dmarc.reports.example"] = txt("v=DMARC1")
		}, []string{"warn dmarc_reports news.example.org"}, "about example.org", "example.org._report._dmarc.reports.example. IN TXT"},
		{"reports over the web", publish("v=DMARC1; p=none; rua=https://reports.example/x," + strings.TrimPrefix(rua, "rua=")),
			[]string{"warn dmarc_reports example.org"}, "nobody can report", "Correct rua"},

		{"strict about return addresses", publish("v=DMARC1; p=none; aspf=s; " + rua), []string{"warn dmarc_alignment example.org"}, "by aspf=s", "Take aspf=s out"},
		{"strict about signatures, which are of the domain itself", publish("v=DMARC1; p=none; adkim=s; " + rua), nil, "", ""},
		{"a return address in another domain", with(func(s *Setup) { s.Domains[0].Return = "bounce.example.net" }, func(s *Setup, z *dnstest.Zone) {
			z.TXTs["bounce.example.net"] = z.TXTs["bounce.example.org"]
		}), []string{"warn dmarc_alignment example.org"}, "bounce.example.net does not count", `return_path = "return@bounce.example.org"`},
		{"the applications' own return addresses", with(func(s *Setup) { s.Domains[0].Return = "" }, func(s *Setup, z *dnstest.Zone) {
			z.TXTs["example.org"] = txt("v=spf1 ip4:203.0.113.10 ip6:2001:db8::10 ~all")
		}), nil, "", ""},
		{"a smarthost that replaces the return address", with(rewritten, publish("v=DMARC1; p=reject; aspf=s; "+rua)), nil, "", ""},
		{"a smarthost that replaces it, and no signature", with(func(s *Setup) { rewritten(s); unsigned(s) }, publish("v=DMARC1; p=reject; "+rua)),
			[]string{"warn dmarc_alignment example.org", "warn dkim example.org"}, "the smarthost replaces the return address", "openssl genrsa"},
		{"no signature, by a strict policy", with(unsigned, publish("v=DMARC1; p=reject; aspf=s; "+rua)), []string{"fail dmarc_alignment example.org", "warn dkim example.org"},
			"nothing that proves our mail is of example.org", "openssl genrsa"},
		{"no signature, by a strict policy that asks for nothing", with(unsigned, publish("v=DMARC1; p=none; aspf=s; "+rua)), []string{"warn dmarc_alignment example.org", "warn dkim example.org"},
			"nothing that proves our mail is of example.org", "openssl genrsa"},
		{"no signature", with(unsigned, publish("v=DMARC1; p=reject; "+rua)), []string{"warn dmarc_alignment example.org", "warn dkim example.org"}, "where it is forwarded", "openssl genrsa"},
	})
}

func TestWhatAPolicyAmountsTo(t *testing.T) {
	tests := []struct{ name, text, domain, want string }{
		{"none", "v=DMARC1; p=none", "example.org", "p=none: nothing is done about forged mail"},
		{"reject", "v=DMARC1; p=reject", "example.org", "p=reject"},
		{"part of it", "v=DMARC1; p=quarantine; pct=20", "example.org", "for 20 in 100"},
		{"for domains below", "v=DMARC1; p=reject; sp=quarantine", "news.example.org", "quarantine for news.example.org, by the policy of example.org"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, z := ours(), rightWorld()
			s.Domains[0].Name, z.TXTs["_dmarc.example.org"] = tt.domain, txt(tt.text)
			f := find(t, Run(t.Context(), z, s, Options{}), CheckDMARCPolicy, tt.domain)
			if f.Verdict != OK || !strings.Contains(f.Found, tt.want) {
				t.Errorf("%s, found %q, want %q", f.Verdict, f.Found, tt.want)
			}
		})
	}
}

func TestPoliciesAboutTLS(t *testing.T) {
	const sts, rpt = "_mta-sts.lists.example.org", "_smtp._tls.lists.example.org"
	publish := func(name string, texts ...string) func(*Setup, *dnstest.Zone) {
		return func(_ *Setup, z *dnstest.Zone) { z.TXTs[name] = texts }
	}
	const unread = "skipped mta_sts_policy lists.example.org"
	runAll(t, []wrongCase{
		{"with an extension and a semicolon", publish(sts, "v=STSv1 ; id = 1; x=y;"), nil, "", ""},
		{"something else beside it", publish(sts, "v=STSv1; id=1;", "v=spf1 -all"), nil, "", ""},
		{"none", publish(sts), []string{"skipped mta_sts lists.example.org", unread}, "none is needed", ""},
		{"two", publish(sts, "v=STSv1; id=1", "v=STSv1; id=2"), []string{"warn mta_sts lists.example.org", unread}, "there are 2 records", "v=STSv1; id="},
		{"no id", publish(sts, "v=STSv1;"), []string{"warn mta_sts lists.example.org", unread}, "cannot be read", "v=STSv1; id="},
		{"an id with a hyphen", publish(sts, "v=STSv1; id=2026-11-28"), []string{"warn mta_sts lists.example.org", unread}, "letters and digits", "v=STSv1; id="},
		{"an id that is too long", publish(sts, "v=STSv1; id="+strings.Repeat("1", 33)), []string{"warn mta_sts lists.example.org", unread}, "at most 32", "v=STSv1; id="},
		{"small letters", publish(sts, "v=stsv1; id=1"), []string{"warn mta_sts lists.example.org", unread}, "cannot be read", "v=STSv1; id="},
		{"its servers are down", func(_ *Setup, z *dnstest.Zone) { z.Down[sts] = true }, []string{"skipped mta_sts lists.example.org", unread}, "SERVFAIL", "Check again"},

		{"reports by mail and over the web", publish(rpt, "v=TLSRPTv1;rua=mailto:a@example.org, https://tls.example/x;"), nil, "", ""},
		{"no reports", publish(rpt), []string{"skipped tls_rpt lists.example.org"}, "none is needed", ""},
		{"reports, twice", publish(rpt, "v=TLSRPTv1; rua=mailto:a@example.org", "v=TLSRPTv1; rua=mailto:b@example.org"), []string{"warn tls_rpt lists.example.org"}, "there are 2 records", "rua=mailto:reports@bounce.example.org"},
		{"reports to nobody", publish(rpt, "v=TLSRPTv1;"), []string{"warn tls_rpt lists.example.org"}, "no rua", "rua=mailto:reports@bounce.example.org"},
		{"reports to no address", publish(rpt, "v=TLSRPTv1; rua=reports@example.org"), []string{"warn tls_rpt lists.example.org"}, "mailto: or https:", "rua=mailto:reports@bounce.example.org"},
		{"reports in small letters", publish(rpt, "v=tlsrptv1; rua=mailto:a@example.org"), []string{"warn tls_rpt lists.example.org"}, `must begin with "v=TLSRPTv1"`, "v=TLSRPTv1; rua="},
		{"reports, cut off", publish(rpt, "v=TLSRPTv1; rua"), []string{"warn tls_rpt lists.example.org"}, "not of the form tag=value", "v=TLSRPTv1; rua="},
		{"the servers of reports are down", func(_ *Setup, z *dnstest.Zone) { z.Down[rpt] = true }, []string{"skipped tls_rpt lists.example.org"}, "SERVFAIL", "Check again"},
	})
}

func TestThePolicyThatIsServed(t *testing.T) {
	const lists = "lists.example.org"
	idOf := func(mode string, hosts ...string) string { _, id := STSPolicy(mode, hosts); return id }
	aged := func(mode string, age time.Duration) func(context.Context, string) (STS, error) {
		return func(context.Context, string) (STS, error) { return STS{mode, []string{"mail.example.org"}, age}, nil }
	}
	inside := func(context.Context, string) (STS, error) {
		return STS{}, fmt.Errorf("%w: connection refused", ErrNoWay)
	}
	served := func(s *Setup, _ *dnstest.Zone) { s.PolicyHost, s.PolicyMode = "mail.example.org", "enforce" }
	record := func(id string) func(*Setup, *dnstest.Zone) {
		return func(_ *Setup, z *dnstest.Zone) { z.TXTs["_mta-sts.lists.example.org"] = txt("v=STSv1; id=" + id) }
	}
	both := func(all ...func(*Setup, *dnstest.Zone)) func(*Setup, *dnstest.Zone) {
		return func(s *Setup, z *dnstest.Zone) {
			for _, change := range all {
				change(s, z)
			}
		}
	}
	tests := []struct {
		name   string
		change func(*Setup, *dnstest.Zone)
		policy func(context.Context, string) (STS, error)
		want   Verdict
		found  string
		fix    string
	}{
		{"enforced", both(), policy("enforce", nil, "mail.example.org"), OK, "its mode is enforce, for mail.example.org", ""},
		{"enforced by a wildcard", both(), policy("enforce", nil, "*.example.org"), OK, "for *.example.org", ""},
		{"a wildcard is one label", both(), policy("enforce", nil, "*.org"), Fail, "does not list the MX mail.example.org", "mx: mail.example.org"},
		{"enforced without our host", both(), policy("enforce", nil, "other.example"), Fail, "does not list the MX mail.example.org", "mx: mail.example.org"},
		{"enforced without our host, by us", served, policy("enforce", nil, "other.example"), Fail, "does not list", `mta_sts_mx = ["other.example", "mail.example.org"]`},
		{"tried without our host", both(), policy("testing", nil, "other.example"), Warn, "does not list the MX mail.example.org", "mx: mail.example.org"},
		{"without the second host", func(_ *Setup, z *dnstest.Zone) { z.MXs[lists] = mx("mail.example.org", "other.example") },
			policy("enforce", nil, "mail.example.org"), Fail, "does not list the MX other.example", "Else remove the MX record"},
		{"where there is no MX, the domain itself is its host", func(_ *Setup, z *dnstest.Zone) { delete(z.MXs, lists); z.Hosts[lists] = []netip.Addr{v4} },
			policy("enforce", nil, "mail.example.org"), Fail, "does not list the MX lists.example.org", "mx: lists.example.org"},
		{"the mail hosts are not to be had", func(_ *Setup, z *dnstest.Zone) { z.Down[lists] = true }, policy("enforce", nil, "mail.example.org"), Skipped, "SERVFAIL", "Check again"},
		{"enforced for an hour", both(), aged("enforce", time.Hour), Warn, "for 3600 seconds only", "max_age: 604800"},
		{"tried for an hour", both(), aged("testing", time.Hour), OK, "testing", ""},
		{"none", both(), policy("none", nil), OK, "asks for nothing", ""},
		{"not served", both(), failing, Warn, "HTTP status 404", "https://mta-sts.lists.example.org/.well-known/mta-sts.txt"},
		{"no answer", both(), silentPolicy, Warn, "no answer in time", "curl https://mta-sts.lists.example.org/.well-known/mta-sts.txt"},
		{"not to be reached from here", both(), inside, Skipped, "no way to it from this machine: connection refused", "Look from elsewhere"},
		{"not fetched", both(), nil, Skipped, "not fetched", ""},

		{"as the record and the configuration say", both(served, record(idOf("enforce", "mail.example.org"))), policy("enforce", nil, "mail.example.org"), OK, "enforce", ""},
		{"an id of somebody's own", both(served, record("20261128T000000")), policy("enforce", nil, "mail.example.org"), OK, "enforce", ""},
		{"the one from before the configuration changed", both(served, record(idOf("enforce", "mail.example.org"))), policy("testing", nil, "mail.example.org"), Warn,
			"the record announces the one of the configuration, which has mode enforce", "restart Homing"},
		{"none, where the configuration has one", both(served, record(idOf("enforce", "mail.example.org"))), policy("none", nil), Warn, "its mode is none", "restart Homing"},
		{"enforced, under the id of the trial", both(served, record(idOf("testing", "mail.example.org"))), policy("enforce", nil, "mail.example.org"), Warn,
			"still the id of the one with mode testing", `_mta-sts.lists.example.org. IN TXT "v=STSv1; id=` + idOf("enforce", "mail.example.org") + `"`},
		{"under the id of the trial by somebody else", record(idOf("testing", "mail.example.org")), policy("enforce", nil, "mail.example.org"), Warn, "mode testing", "Replace the record"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, z := ours(), rightWorld()
			tt.change(&s, z)
			synctest.Test(t, func(t *testing.T) {
				all := Run(t.Context(), z, s, Options{Policy: tt.policy})
				sound(t, all)
				f := find(t, all, CheckSTSPolicy, "lists.example.org")
				if f.Verdict != tt.want || !strings.Contains(f.Found, tt.found) || !strings.Contains(f.Fix, tt.fix) {
					t.Errorf("got %+v, want %s, found %q, fix %q", f, tt.want, tt.found, tt.fix)
				}
			})
		})
	}
}

// TestWhereAllIsPublishedAsWantedNothingFails publishes what homing dns proposes
// in each of its worlds. Warnings are of what it must leave to people.
func TestWhereAllIsPublishedAsWantedNothingFails(t *testing.T) {
	for _, w := range worlds {
		if w.stays || w.deaf || w.zone.Down["example.org"] {
			continue // something is left to do that no record can
		}
		t.Run(w.name, func(t *testing.T) {
			s, _, all := w.ask(t)
			z := publish(t, w.zone, all)
			for i, d := range s.Domains {
				s.Domains[i].Keys = slices.Clone(d.Keys)
				for j, k := range s.Domains[i].Keys { // the one of that test is a pattern and no key
					if k.Bits > 0 {
						s.Domains[i].Keys[j].Record = rsaKey(2048)
						z.TXTs[k.Selector+"._domainkey."+d.Name] = txt(rsaKey(2048))
					}
				}
			}
			s.Pinned = nil // nor is the pin one
			for _, name := range []string{"_spf.google.com", "spf.protection.outlook.com"} {
				if len(z.TXTs[name]) == 0 { // what those worlds do not need, but receivers do
					z.TXTs[name] = txt("v=spf1 ip4:192.0.2.0/25 ~all")
				}
			}
			var bad []string
			for _, f := range Run(t.Context(), &z, s, Options{}) {
				if f.Verdict == Fail && f.Check != CheckResolver { // nor do they have iana.org
					bad = append(bad, f.Check+" "+f.Subject+": "+f.Found)
				}
			}
			if diff := cmp.Diff([]string(nil), bad); diff != "" {
				t.Errorf("fails:\n%s", diff)
			}
		})
	}
}
