package dnscheck

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/internal/dnsx/dnstest"
)

// What is ours in the scripted world, and its names beneath a zone.
const (
	our4 = "93.184.215.14"
	at4  = "14.215.184.93"
	our6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
	at6  = "c.2.b.8.b.6.f.a.a.d.0.8.0.2.8.6.7.0.b.c.f.1.2.0.0.0.8.2.6.0.6.2"

	test4, never4 = "2.0.0.127", "1.0.0.127"
	test6, never6 = "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0", "1.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0"
)

// ours sends from one IPv4 address as one domain.
func ours() Setup {
	return Setup{
		Hostname:  "mail.example.org",
		Addresses: dnstest.Addrs(our4),
		Domains:   []Domain{{Name: "example.org", Return: "bounce.example.org"}},
		Returns:   []string{"bounce.example.org"},
	}
}

// listWorld has the test entries of zones, as they should be, and more answers:
// {"2.0.0.127.bl.example.net": "127.0.0.2"}.
func listWorld(zones []string, more map[string]string) *dnstest.Zone {
	z := &dnstest.Zone{Hosts: map[string][]netip.Addr{}, TXTs: map[string][]string{}}
	for _, zone := range zones {
		for _, name := range []string{test4, test6, "test"} {
			z.Hosts[name+"."+zone] = dnstest.Addrs("127.0.0.2")
		}
	}
	for name, answers := range more {
		delete(z.Hosts, name)
		if answers != "" {
			z.Hosts[name] = dnstest.Addrs(strings.Fields(answers)...)
		}
	}
	return z
}

func configured(t testing.TB, zones ...string) []List {
	t.Helper()
	lists, err := Lists(zones)
	if err != nil {
		t.Fatal(err)
	}
	return lists
}

// byName has the findings by check and subject.
func byName(t testing.TB, findings []Finding) map[string]Finding {
	t.Helper()
	out := map[string]Finding{}
	for _, f := range findings {
		name := f.Check + " " + f.Subject
		if _, twice := out[name]; twice {
			t.Errorf("two findings for %s", name)
		}
		if (f.Verdict == Warn || f.Verdict == Fail) && f.Fix == "" {
			t.Errorf("%s says %s and not what to do", name, f.Verdict)
		}
		out[name] = f
	}
	return out
}

// wantFinding compares the verdict and wants words in what was found, the fix
// included.
func wantFinding(t *testing.T, all map[string]Finding, name string, verdict Verdict, words ...string) {
	t.Helper()
	f, ok := all[name]
	if !ok {
		t.Errorf("no finding %q among %q", name, slices.Sorted(maps.Keys(all)))
		return
	}
	if f.Verdict != verdict {
		t.Errorf("%s: verdict %s, want %s: %+v", name, f.Verdict, verdict, f)
	}
	for _, w := range words {
		if !strings.Contains(f.Found+"\n"+f.Fix, w) {
			t.Errorf("%s: no %q in what was found or the fix:\n%s\n%s", name, w, f.Found, f.Fix)
		}
	}
}

func TestWhoIsOnNoListHasOneFindingForEachAddressAndDomain(t *testing.T) {
	lists := configured(t, "zen.spamhaus.org", "bl.spamcop.net", "dbl.spamhaus.org", "multi.surbl.org")
	world := listWorld([]string{"zen.spamhaus.org", "bl.spamcop.net", "dbl.spamhaus.org", "multi.surbl.org"}, nil)
	setup := ours()
	setup.Addresses = dnstest.Addrs(our4, our6, our4, "::ffff:"+our4)
	got := Blocklists(t.Context(), world, setup, lists)
	Sort(got)
	ok := func(subject, found string) Finding {
		return Finding{Check: "blocklist", Subject: subject, Verdict: OK, Wanted: "on no block list", Found: found + " (what Homing knows of the lists is of " + lists[0].Reviewed.Format(time.DateOnly) + ")"}
	}
	want := []Finding{
		ok(our6, "on none of 1 block list"),
		ok(our4, "on none of 2 block lists"),
		ok("bounce.example.org", "on none of 1 block list"),
		ok("example.org", "on none of 2 block lists"), // SURBL has registered domains alone
		ok("mail.example.org", "on none of 1 block list"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatAnAnswerMeans(t *testing.T) {
	for _, tt := range []struct {
		name, zone, subject, answer string
		verdict                     Verdict
		words                       []string
	}{
		{"Spamhaus SBL", "zen.spamhaus.org", our4, "127.0.0.2", Fail, []string{"SBL", "provider's abuse desk", "https://check.spamhaus.org/results/?query=" + our4}},
		{"Spamhaus CSS", "zen.spamhaus.org", our4, "127.0.0.3", Fail, []string{"CSS", "once the cause is gone"}},
		{"Spamhaus XBL", "zen.spamhaus.org", our4, "127.0.0.4", Fail, []string{"XBL", "malware"}},
		{"Spamhaus XBL by another feed", "zen.spamhaus.org", our4, "127.0.0.7", Fail, []string{"XBL"}},
		{"Spamhaus DROP comes with SBL", "zen.spamhaus.org", our4, "127.0.0.9 127.0.0.2", Fail, []string{"127.0.0.2, 127.0.0.9", "SBL", "DROP", "smarthost"}},
		{"Spamhaus PBL by the provider is about no spam", "zen.spamhaus.org", our4, "127.0.0.10", Fail, []string{"the provider says", "not about anything that you sent", "Removal: https"}},
		{"Spamhaus PBL by Spamhaus", "zen.spamhaus.org", our4, "127.0.0.11", Fail, []string{"Spamhaus takes", "reverse DNS"}},
		{"Spamhaus, over IPv6", "zen.spamhaus.org", our6, "127.0.0.3", Fail, []string{"CSS", our6}},
		{"Spamhaus with a code of next year only warns", "zen.spamhaus.org", our4, "127.0.0.77", Warn, []string{"does not know the meaning", "127.0.0.77"}},
		{"Spamhaus DBL", "dbl.spamhaus.org", "example.org", "127.0.1.2", Fail, []string{"seen in spam", "?query=example.org"}},
		{"Spamhaus DBL, phishing", "dbl.spamhaus.org", "example.org", "127.0.1.4", Fail, []string{"phishing"}},
		{"Spamhaus DBL, a site that was broken into", "dbl.spamhaus.org", "example.org", "127.0.1.104", Warn, []string{"honest", "Clean the web site"}},
		{"Spamhaus DBL, the HELO name", "dbl.spamhaus.org", "mail.example.org", "127.0.1.5", Fail, []string{"malware"}},
		{"Spamhaus DBL, the return domain", "dbl.spamhaus.org", "bounce.example.org", "127.0.1.6", Fail, []string{"botnet"}},
		{"SpamCop", "bl.spamcop.net", our4, "127.0.0.2", Fail, []string{"https://www.spamcop.net/bl.shtml?" + our4, "ends by itself a day after"}},
		{"Barracuda", "b.barracudacentral.org", our4, "127.0.0.2", Fail, []string{"https://www.barracudacentral.org/rbl/removal-request/" + our4}},
		{"PSBL", "psbl.surriel.com", our4, "127.0.0.2", Warn, []string{"https://psbl.org/remove?ip=" + our4}},
		{"UCEPROTECT level 1", "dnsbl-1.uceprotect.net", our4, "127.0.0.2", Warn, []string{"Do not pay"}},
		{"UCEPROTECT level 3 is news, not trouble", "dnsbl-3.uceprotect.net", our4, "127.0.0.2", OK, []string{"same provider", "Hardly any receiver", "Do not pay"}},
		{"SpamRATS without reverse DNS", "all.spamrats.com", our4, "127.0.0.37", Warn, []string{"no reverse DNS", "Set the reverse DNS"}},
		{"blocklist.de", "bl.blocklist.de", our4, "127.0.0.14", Warn, []string{"attacks others", "malware"}},
		{"Hostkarma black", "hostkarma.junkemailfilter.com", our4, "127.0.0.2", OK, []string{"black"}},
		{"SURBL, two bits", "multi.surbl.org", "example.org", "127.0.0.72", Fail, []string{"PH", "ABUSE"}},
		{"SURBL, an unknown bit beside a known one", "multi.surbl.org", "example.org", "127.0.0.66", Fail, []string{"ABUSE", "does not know the meaning"}},
		{"SURBL, a bit outside the last octet", "multi.surbl.org", "example.org", "127.0.1.8", Warn, []string{"does not know the meaning"}},
		{"URIBL black", "multi.uribl.com", "example.org", "127.0.0.2", Fail, []string{"black"}},
		{"URIBL grey", "multi.uribl.com", "example.org", "127.0.0.4", Warn, []string{"unsubscribe link"}},
		{"URIBL red", "multi.uribl.com", "example.org", "127.0.0.8", OK, []string{"watched"}},
		{"a part of Spamhaus alone", "pbl.spamhaus.org", our4, "127.0.0.10", Fail, []string{"the provider says"}},
		{"a list that nobody knows", "bl.example.net", our4, "127.0.0.9", Warn, []string{"knows nothing more", "how to be removed from bl.example.net"}},
		{"a domain list that nobody knows", "bl.example.net", "example.org", "127.0.0.9", Warn, []string{"knows nothing more", "pages on your web site"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := map[string]string{our4: at4, our6: at6}[tt.subject]
			if name == "" {
				name = tt.subject
			}
			world := listWorld([]string{tt.zone}, map[string]string{name + "." + tt.zone: tt.answer})
			setup := ours()
			setup.Addresses = dnstest.Addrs(our4, our6)
			all := byName(t, Blocklists(t.Context(), world, setup, configured(t, tt.zone)))
			wantFinding(t, all, "blocklist "+tt.subject+" "+tt.zone, tt.verdict, tt.words...)
			if _, summary := all["blocklist "+tt.subject]; summary {
				t.Errorf("%s is listed by the only list, and also summed up", tt.subject)
			}
		})
	}
}

func TestAnswersThatAreNoListing(t *testing.T) {
	for _, tt := range []struct{ name, zone, answer string }{
		{"Hostkarma's allow list", "hostkarma.junkemailfilter.com", "127.0.0.1"},
		{"Hostkarma's large providers", "hostkarma.junkemailfilter.com", "127.0.0.3"},
		{"a good reputation", "rep.mailspike.net", "127.0.0.19"},
		{"a test of DroneBL", "dnsbl.dronebl.org", "127.0.0.1"},
		{"a name without addresses", "bl.spamcop.net", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			world := listWorld([]string{tt.zone}, map[string]string{at4 + "." + tt.zone: tt.answer})
			world.TXTs[at4+"."+tt.zone] = []string{"whatever"}
			all := byName(t, Blocklists(t.Context(), world, ours(), configured(t, tt.zone)))
			wantFinding(t, all, "blocklist "+our4, OK, "on none of 1 block list")
			if len(all) != 1 {
				t.Errorf("more than one finding: %+v", all)
			}
		})
	}
}

func TestTheListsReasonIsShown(t *testing.T) {
	name := at4 + ".bl.spamcop.net"
	world := listWorld([]string{"bl.spamcop.net"}, map[string]string{name: "127.0.0.2"})
	world.TXTs[name] = []string{"second", "Blocked - see\r\nhttps://bl.test/\x1b[31m" + strings.Repeat("x", 900)}
	f := byName(t, Blocklists(t.Context(), world, ours(), configured(t, "bl.spamcop.net")))["blocklist "+our4+" bl.spamcop.net"]
	if !strings.Contains(f.Found, "Blocked - see  https://bl.test/[31mxxx") || len(f.Found) > 600 || strings.ContainsAny(f.Found, "\n\r\x1b") {
		t.Errorf("found %q, want the reason in one line, not too long", f.Found)
	}
}

func TestOtherListsAreSummedUpBesideAListing(t *testing.T) {
	zones := []string{"bl.spamcop.net", "psbl.surriel.com", "dnsbl-1.uceprotect.net"}
	world := listWorld(zones, map[string]string{at4 + ".psbl.surriel.com": "127.0.0.2"})
	all := byName(t, Blocklists(t.Context(), world, ours(), configured(t, zones...)))
	wantFinding(t, all, "blocklist "+our4+" psbl.surriel.com", Warn)
	wantFinding(t, all, "blocklist "+our4, OK, "on none of 2 other block lists")
}

func TestDNS64BesideAnAnswerDoesNotMatter(t *testing.T) {
	world := listWorld([]string{"bl.spamcop.net"}, map[string]string{at4 + ".bl.spamcop.net": "64:ff9b::7f00:2 127.0.0.2"})
	all := byName(t, Blocklists(t.Context(), world, ours(), configured(t, "bl.spamcop.net")))
	wantFinding(t, all, "blocklist "+our4+" bl.spamcop.net", Fail)
}

func TestAddressesThatTheWorldDoesNotSeeAreSkipped(t *testing.T) {
	world := &counting{Resolver: listWorld([]string{"zen.spamhaus.org"}, nil)}
	setup := ours()
	setup.Addresses = dnstest.Addrs("10.0.0.5", "fd00::1", "100.64.0.1", "203.0.113.10")
	all := byName(t, Blocklists(t.Context(), world, setup, configured(t, "zen.spamhaus.org")))
	for _, addr := range setup.Addresses {
		wantFinding(t, all, "blocklist "+addr.String(), Skipped, "no public address", "public_addresses = ")
	}
	if len(all) != len(setup.Addresses) || len(world.asked) > 0 {
		t.Errorf("%d findings, asked %q; want nothing else", len(all), world.asked)
	}
}

func TestWithASmarthostOurAddressesOnlyWarn(t *testing.T) {
	zones := []string{"zen.spamhaus.org", "dbl.spamhaus.org"}
	relayed := Domain{Name: "example.org", Smarthost: "smtp.provider.example"}
	for _, tt := range []struct {
		name    string
		domains []Domain
		answer  string
		verdict Verdict
	}{
		{"all mail goes through it", []Domain{relayed}, "127.0.0.3", Warn},
		{"one domain sends by itself", []Domain{relayed, {Name: "example.net"}}, "127.0.0.3", Fail},
		{"no domain is known", nil, "127.0.0.3", Fail},
		{"a line that is no place to send mail from, where none is sent", []Domain{relayed}, "127.0.0.11", OK},
		{"a line that sends mail", []Domain{{Name: "example.org"}}, "127.0.0.11", Fail},
		{"such a line, and spam from it", []Domain{relayed}, "127.0.0.11 127.0.0.4", Warn},
	} {
		t.Run(tt.name, func(t *testing.T) {
			world := listWorld(zones, map[string]string{at4 + ".zen.spamhaus.org": tt.answer, "example.org.dbl.spamhaus.org": "127.0.1.2"})
			setup := ours()
			setup.Domains, setup.Returns = tt.domains, []string{"example.org"}
			all := byName(t, Blocklists(t.Context(), world, setup, configured(t, zones...)))
			wantFinding(t, all, "blocklist "+our4+" zen.spamhaus.org", tt.verdict)
			wantFinding(t, all, "blocklist example.org dbl.spamhaus.org", Fail)
		})
	}
}

func TestWithoutListsNothingIsAsked(t *testing.T) {
	want := []Finding{{Check: "blocklist", Subject: "all lists", Verdict: Skipped, Found: "check.blocklists names none"}}
	if diff := cmp.Diff(want, Blocklists(t.Context(), &dnstest.Zone{}, ours(), configured(t, []string{}...))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func ExampleBlocklists() {
	// The world has one list, which has us on it.
	world := &dnstest.Zone{Hosts: map[string][]netip.Addr{
		"2.0.0.127.psbl.surriel.com":     dnstest.Addrs("127.0.0.2"),
		"14.215.184.93.psbl.surriel.com": dnstest.Addrs("127.0.0.2"),
	}}
	lists, err := Lists([]string{"psbl.surriel.com"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range Blocklists(context.Background(), world, Setup{Addresses: dnstest.Addrs("93.184.215.14")}, lists) {
		fmt.Println(f.Verdict, f.Check, f.Subject)
		fmt.Println(f.Found)
		fmt.Println(f.Fix)
	}
	// Output:
	// warn blocklist 93.184.215.14 psbl.surriel.com
	// PSBL answers 127.0.0.2: mail from here came to spam traps
	// Look for old or bought addresses in your mailings, and for an account or a web form that somebody abuses. Anybody may remove an address; it comes back with the next spam.
	// Why: https://psbl.org/listing?ip=93.184.215.14
	// Removal, once the cause is gone: https://psbl.org/remove?ip=93.184.215.14
}
