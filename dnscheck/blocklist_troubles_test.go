package dnscheck

import (
	"fmt"
	"strings"
	"testing"

	"homing/internal/dnsx/dnstest"
)

func TestNotAskedProperlyIsNoListing(t *testing.T) {
	for _, tt := range []struct {
		name, zone, answer string
		verdict            Verdict
		words              []string
	}{
		{"Spamhaus and a public resolver", "zen.spamhaus.org", "127.255.255.254", Warn, []string{"public one", "apt-get install unbound", `server = "127.0.0.1:53"`, `blocklists = ["KEY.zen.dq.spamhaus.net"]`}},
		{"Spamhaus and too many questions", "zen.spamhaus.org", "127.255.255.255", Warn, []string{"asks more than", "KEY.zen.dq.spamhaus.net"}},
		{"Spamhaus and a misspelt zone", "zen.spamhaus.org", "127.255.255.252", Warn, []string{"misspelt", "check.blocklists"}},
		{"Spamhaus DBL", "dbl.spamhaus.org", "127.255.255.254", Warn, []string{"KEY.dbl.dq.spamhaus.net"}},
		{"Spamhaus DBL takes it for an address", "dbl.spamhaus.org", "127.0.1.255", Warn, []string{"has only domains"}},
		{"URIBL", "multi.uribl.com", "127.0.0.1", Warn, []string{"URIBL does not answer this resolver", "apt-get install unbound"}},
		{"URIBL with all bits", "multi.uribl.com", "127.0.0.255", Warn, []string{"URIBL does not answer this resolver"}},
		{"SURBL", "multi.surbl.org", "127.0.0.1", Warn, []string{"SURBL does not answer this resolver", "apt-get install unbound"}},
		{"Spamhaus's codes from others", "psbl.surriel.com", "127.255.255.254", Warn, []string{"public one"}},
		{"127.0.0.1 from a list without a meaning for it", "bl.example.net", "127.0.0.1", Warn, []string{"a listing nowhere"}},
		{"Barracuda without registration", "b.barracudacentral.org", "127.255.255.254", Warn, []string{"registered", "https://www.barracudacentral.org/rbl"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			world := listWorld(nil, nil)
			for _, name := range []string{test4, never4, test6, never6, "test", "invalid", at4, "example.org", "mail.example.org", "bounce.example.org"} {
				world.Hosts[name+"."+tt.zone] = dnstest.Addrs(tt.answer)
			}
			all := byName(t, Blocklists(t.Context(), world, ours(), configured(t, tt.zone)))
			wantFinding(t, all, "blocklist_usable "+tt.zone, tt.verdict, tt.words...)
			wantNothingListed(t, all)
		})
	}
}

func wantNothingListed(t *testing.T, all map[string]Finding) {
	t.Helper()
	for _, f := range all {
		if f.Check == "blocklist" && f.Verdict != Skipped {
			t.Errorf("a listing, or none, is said to be known: %+v", f)
		}
	}
}

func TestListsThatCannotBeUsed(t *testing.T) {
	for _, tt := range []struct {
		name, zone string
		answers    map[string]string
		verdict    Verdict
		words      []string
	}{
		{"dead", "bl.spamcop.net", map[string]string{test4 + ".bl.spamcop.net": "", at4 + ".bl.spamcop.net": "127.0.0.2"}, Warn, []string{"does not have its test entry", `Take "bl.spamcop.net" out`}},
		{"lists the world", "bl.spamcop.net", map[string]string{never4 + ".bl.spamcop.net": "127.0.0.2", at4 + ".bl.spamcop.net": "127.0.0.2"}, Warn, []string{"lists the whole world", `Take "bl.spamcop.net" out`}},
		{"the domain list lists the world", "dbl.spamhaus.org", map[string]string{"invalid.dbl.spamhaus.org": "127.0.1.2", "example.org.dbl.spamhaus.org": "127.0.1.2"}, Warn, []string{"lists the whole world"}},
		{"answers outside 127.0.0.0/8", "bl.spamcop.net", map[string]string{never4 + ".bl.spamcop.net": "198.51.100.7", at4 + ".bl.spamcop.net": "198.51.100.7"}, Warn, []string{"198.51.100.7", "another owner", "apt-get install unbound"}},
		{"answers with IPv6 addresses", "bl.spamcop.net", map[string]string{test4 + ".bl.spamcop.net": "2001:db8::7"}, Warn, []string{"2001:db8::7"}},
		{"unknown and without test entries", "bl.example.net", map[string]string{test4 + ".bl.example.net": "", test6 + ".bl.example.net": "", "test.bl.example.net": "", at4 + ".bl.example.net": "127.0.0.2"}, Warn, []string{`Take "bl.example.net" out`}},
		{"unknown and lists one world", "bl.example.net", map[string]string{"invalid.bl.example.net": "127.0.0.2", at4 + ".bl.example.net": "127.0.0.2"}, Warn, []string{"lists the whole world"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := byName(t, Blocklists(t.Context(), listWorld([]string{tt.zone}, tt.answers), ours(), configured(t, tt.zone)))
			wantFinding(t, all, "blocklist_usable "+tt.zone, tt.verdict, tt.words...)
			wantNothingListed(t, all)
		})
	}
}

func TestAListThatShipsAndIsDeadOnlyWarnsWhereItMatters(t *testing.T) {
	lists, err := Lists(nil)
	if err != nil {
		t.Fatal(err)
	}
	var alive []string
	dead := map[string]Verdict{"zen.spamhaus.org": Warn, "psbl.surriel.com": Skipped, "truncate.gbudb.net": Skipped, "b.barracudacentral.org": Skipped}
	for _, l := range lists {
		if _, ok := dead[l.Zone]; !ok {
			alive = append(alive, l.Zone)
		}
	}
	all := byName(t, Blocklists(t.Context(), listWorld(alive, nil), ours(), lists))
	for zone, verdict := range dead {
		wantFinding(t, all, "blocklist_usable "+zone, verdict, "does not have its test entry")
	}
	wantFinding(t, all, "blocklist_usable truncate.gbudb.net", Skipped, "nothing is to be done")
	wantFinding(t, all, "blocklist_usable b.barracudacentral.org", Skipped, "Registering is free")
	wantFinding(t, all, "blocklist "+our4, OK)
	if len(all) != len(dead)+4 {
		t.Errorf("%d findings, want one for each dead list, one address and three domains", len(all))
	}
}

func TestAnyTestEntryShowsThatAListIsAlive(t *testing.T) {
	for _, tt := range []struct{ name, zone, gone, there, subject string }{
		{"a list without a test entry for IPv6", "zen.spamhaus.org", test6, test4, our6},
		{"a domain list with an entry of its own", "dbl.spamhaus.org", "test", "dbltest.com", "example.org"},
		{"a domain list with an address as test", "multi.uribl.com", "test", test4, "example.org"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			world := listWorld([]string{tt.zone}, map[string]string{tt.gone + "." + tt.zone: "", tt.there + "." + tt.zone: "127.0.0.2"})
			setup := ours()
			setup.Addresses = dnstest.Addrs(our6)
			all := byName(t, Blocklists(t.Context(), world, setup, configured(t, tt.zone)))
			wantFinding(t, all, "blocklist "+tt.subject, OK)
		})
	}
}

func TestAListThatListsAllOfIPv6IsUsedForIPv4(t *testing.T) {
	world := listWorld([]string{"zen.spamhaus.org"}, map[string]string{never6 + ".zen.spamhaus.org": "127.0.0.3", at6 + ".zen.spamhaus.org": "127.0.0.3"})
	setup := ours()
	setup.Addresses = dnstest.Addrs(our4, our6)
	all := byName(t, Blocklists(t.Context(), world, setup, configured(t, "zen.spamhaus.org")))
	wantFinding(t, all, "blocklist_usable zen.spamhaus.org", Warn, "lists the whole world", "it is used for IPv4 all the same")
	wantFinding(t, all, "blocklist "+our4, OK)
	wantFinding(t, all, "blocklist "+our6, Skipped, "no block list answered")
}

func TestWhatAllListsHaveInCommonIsTheResolver(t *testing.T) {
	zones := []string{"zen.spamhaus.org", "bl.spamcop.net", "psbl.surriel.com", "dbl.spamhaus.org"}
	names := []string{test4, never4, test6, never6, "test", "invalid", "dbltest.com"}
	t.Run("it does not answer", func(t *testing.T) {
		world := &dnstest.Zone{Down: map[string]bool{}}
		for _, zone := range zones {
			for _, name := range names {
				world.Down[name+"."+zone] = true
			}
		}
		all := byName(t, Blocklists(t.Context(), world, ours(), configured(t, zones...)))
		wantFinding(t, all, "blocklist_usable all lists", Skipped, "no block list answers in time", "apt-get install unbound")
		wantFinding(t, all, "blocklist "+our4, Skipped)
		if len(all) != 5 {
			t.Errorf("%d findings, want one, and one for each address and domain", len(all))
		}
	})
	t.Run("it holds answers back", func(t *testing.T) {
		all := byName(t, Blocklists(t.Context(), &dnstest.Zone{}, ours(), configured(t, zones...)))
		wantFinding(t, all, "blocklist_usable all lists", Warn, "DNS rebinding", "apt-get install unbound")
		wantFinding(t, all, "blocklist "+our4, Skipped)
		if len(all) != 5 {
			t.Errorf("%d findings, want one, and one for each address and domain", len(all))
		}
	})
	t.Run("it makes up answers", func(t *testing.T) {
		world := listWorld(zones, nil)
		for _, zone := range zones {
			for _, name := range names {
				world.Hosts[name+"."+zone] = dnstest.Addrs("198.51.100.80")
			}
		}
		all := byName(t, Blocklists(t.Context(), world, ours(), configured(t, zones...)))
		wantFinding(t, all, "blocklist_usable all lists", Warn, "198.51.100.80", "makes up answers", "apt-get install unbound")
		wantNothingListed(t, map[string]Finding{"": all["blocklist "+our4]})
	})
}

func TestAQuestionThatAUsableListLeavesOpenIsSkipped(t *testing.T) {
	for _, tt := range []struct{ name, answer, words string }{
		{"not asked properly any more", "127.255.255.255", "asks more than"},
		{"nonsense", "198.51.100.7", "198.51.100.7"},
		{"no answer", "", "does not answer in time"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			zones := []string{"zen.spamhaus.org", "bl.spamcop.net"}
			name := at4 + ".zen.spamhaus.org"
			world := listWorld(zones, map[string]string{name: tt.answer})
			world.Down = map[string]bool{name: tt.answer == ""}
			all := byName(t, Blocklists(t.Context(), world, ours(), configured(t, zones...)))
			wantFinding(t, all, "blocklist "+our4+" zen.spamhaus.org", Skipped, "not known: ", tt.words)
			wantFinding(t, all, "blocklist "+our4, OK, "on none of 1 block list ")
		})
	}
}

func TestListsThatAreNotAsked(t *testing.T) {
	for _, tt := range []struct {
		name, zone string
		words      []string
	}{
		{"closed", "dnsbl.sorbs.net", []string{"closed in June 2024", `Take "dnsbl.sorbs.net" out`}},
		{"an allow list", "list.dnswl.org", []string{"allow list"}},
		{"without the key", "zen.dq.spamhaus.net", []string{"behind a key", `blocklists = ["KEY.zen.dq.spamhaus.net"]`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			world := &counting{Resolver: listWorld([]string{tt.zone}, nil)}
			all := byName(t, Blocklists(t.Context(), world, ours(), configured(t, tt.zone)))
			wantFinding(t, all, "blocklist_usable "+tt.zone, Warn, tt.words...)
			if len(world.asked) > 0 {
				t.Errorf("asked %q, want nothing", world.asked)
			}
		})
	}
}

func TestAKeyIsAskedWithAndNotShown(t *testing.T) {
	zone := "s3cret.zen.dq.spamhaus.net"
	for _, tt := range []struct {
		name, subject string
		answers       map[string]string
		verdict       Verdict
		words         string
	}{
		{"listed", "blocklist " + our4 + " zen.dq.spamhaus.net", map[string]string{at4 + "." + zone: "127.0.0.3"}, Fail, "CSS"},
		{"a wrong key", "blocklist_usable zen.dq.spamhaus.net", map[string]string{test4 + "." + zone: ""}, Warn, "Compare the key"},
		{"refused", "blocklist_usable zen.dq.spamhaus.net", map[string]string{test4 + "." + zone: "127.255.255.255"}, Warn, "Compare the key"},
		{"listing the world", "blocklist_usable zen.dq.spamhaus.net", map[string]string{never4 + "." + zone: "127.0.0.2"}, Warn, "Take"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := byName(t, Blocklists(t.Context(), listWorld([]string{zone}, tt.answers), ours(), configured(t, zone)))
			wantFinding(t, all, tt.subject, tt.verdict, tt.words)
			if text := fmt.Sprintf("%+v", all); strings.Contains(text, "s3cret") {
				t.Errorf("the key is shown: %s", text)
			}
		})
	}
}
