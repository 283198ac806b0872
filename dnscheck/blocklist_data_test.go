package dnscheck

import (
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/internal/dnsx"
)

func shippedLists(t testing.TB) listFile {
	t.Helper()
	f, err := readLists(blocklistsFile)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestEachShippedListIsWellFormed(t *testing.T) {
	for _, l := range shippedLists(t).Lists {
		t.Run(l.Zone, func(t *testing.T) {
			wantZone(t, l.Zone)
			for _, zone := range slices.Concat(l.Also, l.Test, l.Keyed) {
				wantZone(t, zone)
			}
			if l.Title == "" || len(l.Asks) == 0 {
				t.Errorf("title %q, asks %q: want both", l.Title, l.Asks)
			}
			for _, f := range l.Asks {
				if !slices.Contains([]Family{IPv4, IPv6, DomainNames}, f) {
					t.Errorf("asks %q, which is no family", f)
				}
			}
			wantOneOf(t, "weight", l.Weight, WeightFail, WeightWarn, WeightInfo)
			wantOneOf(t, "needs", l.Needs, NeedsNothing, NeedsRegistration, NeedsKey)
			wantReviewed(t, l.Reviewed)
			wantURL(t, "lookup", l.Lookup, true)
			wantURL(t, "removal", l.Removal, false)
			wantURL(t, "access", l.Access, l.Needs != NeedsNothing || len(l.Keyed) > 0)
			if l.Registered && !l.has(DomainNames) {
				t.Error("has registered domains alone, but no domains")
			}
			wantWords(t, "fix", l.Fix, false)
			wantCodes(t, l)
		})
	}
}

// wantCodes: each answer has one meaning, within 127.0.0.0/8 and not among the
// answers that mean the same with every list, and words to say it.
func wantCodes(t *testing.T, l List) {
	t.Helper()
	seen := map[string]bool{}
	var bits uint8
	for _, c := range l.Codes {
		if (len(c.Answers) > 0) == (c.Bit != 0) {
			t.Errorf("code %q: want either answers or a bit", c.Words)
		}
		if c.Bit&(c.Bit-1) != 0 || bits&c.Bit != 0 {
			t.Errorf("bit %d is several bits, or stands twice", c.Bit)
		}
		bits |= c.Bit
		for _, a := range c.Answers {
			if _, always := refusal(a); always || seen[a.String()] || !listAnswers.Contains(a) {
				t.Errorf("answer %v is none, or stands twice", a)
			}
			seen[a.String()] = true
		}
		wantOneOf(t, "kind", c.Kind, MeansListed, MeansPolicy, MeansNeutral, MeansRefused)
		wantOneOf(t, "weight of a code", c.Weight, "", WeightFail, WeightWarn, WeightInfo)
		wantWords(t, "words", c.Words, true)
		wantWords(t, "fix of a code", c.Fix, false)
		if c.Fix != "" && (c.Kind == MeansNeutral || c.Kind == MeansRefused) {
			t.Errorf("%q is no listing and has a fix", c.Words)
		}
	}
}

func TestNoZoneStandsTwice(t *testing.T) {
	f := shippedLists(t)
	seen := map[string]int{}
	for _, l := range f.Lists {
		for _, zone := range slices.Concat([]string{l.Zone}, l.Also, l.Keyed) {
			seen[zone]++
		}
		if l.Needs == NeedsKey {
			seen[l.Zone]-- // it is the first of its Keyed
		}
	}
	for _, g := range f.Gone {
		seen[g.Zone]++
		wantZone(t, g.Zone)
		wantWords(t, g.Zone, g.Why, true)
		wantReviewed(t, g.Reviewed)
	}
	for zone, n := range seen {
		if n > 1 {
			t.Errorf("%s stands %d times", zone, n)
		}
	}
	if len(f.Lists) < 15 || len(f.Gone) == 0 {
		t.Errorf("%d lists and %d that are gone ship, want the ones that matter", len(f.Lists), len(f.Gone))
	}
}

func TestWhatIsGoneDoesNotShip(t *testing.T) {
	f := shippedLists(t)
	for _, l := range f.Lists {
		if got := f.find(l.Zone).Useless; got != "" && l.Needs != NeedsKey {
			t.Errorf("%s ships, and is useless: %s", l.Zone, got)
		}
	}
}

func TestTheFileIsRead(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"a key that no list has", "[[list]]\nzone = \"a.test\"\nwieght = \"fail\"", "strict mode"},
		{"an answer that is no address", "[[list]]\n[[list.code]]\nanswers = [\"127.0.0\"]", "127.0.0"},
		{"no TOML", "[[list", "shipped block lists"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := readLists(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("readLists gave %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestListsOfTheConfiguration(t *testing.T) {
	for _, tt := range []struct {
		name, zone  string
		shown       string // the zone in findings
		title       string
		needs       Need
		useless     bool
		knowsAnswer bool
	}{
		{"a zone that ships", "zen.spamhaus.org", "zen.spamhaus.org", "Spamhaus ZEN", NeedsNothing, false, true},
		{"in any spelling", "ZEN.Spamhaus.org.", "zen.spamhaus.org", "Spamhaus ZEN", NeedsNothing, false, true},
		{"a part of one", "sbl.spamhaus.org", "sbl.spamhaus.org", "Spamhaus ZEN", NeedsNothing, false, true},
		{"behind a key, which is not shown", "s3cret.zen.dq.spamhaus.net", "zen.dq.spamhaus.net", "Spamhaus ZEN", NeedsKey, false, true},
		{"behind a key that is missing", "zen.dq.spamhaus.net", "zen.dq.spamhaus.net", "Spamhaus ZEN", NeedsNothing, true, true},
		{"a list that is only behind a key", "s3cret.combined.mail.abusix.zone", "combined.mail.abusix.zone", "Abusix Mail Intelligence", NeedsKey, false, true},
		{"the same without the key", "combined.mail.abusix.zone", "combined.mail.abusix.zone", "Abusix Mail Intelligence", NeedsKey, true, true},
		{"unknown, of people who give keys", "s3cret.zrd.dq.spamhaus.net", "zrd.dq.spamhaus.net", "zrd.dq.spamhaus.net", NeedsNothing, false, false},
		{"closed", "dnsbl.sorbs.net", "dnsbl.sorbs.net", "", NeedsNothing, true, false},
		{"a part of a closed one", "spam.dnsbl.sorbs.net", "spam.dnsbl.sorbs.net", "", NeedsNothing, true, false},
		{"one that nobody knows", "bl.example.net", "bl.example.net", "bl.example.net", NeedsNothing, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lists, err := Lists([]string{tt.zone, tt.zone})
			if err != nil || len(lists) != 1 {
				t.Fatalf("Lists gave %d lists, %v; want one", len(lists), err)
			}
			l := lists[0]
			if l.Name != tt.shown || l.Title != tt.title || l.Needs != tt.needs || (l.Useless != "") != tt.useless || (len(l.Codes) > 0) != tt.knowsAnswer || !l.Configured {
				t.Errorf("got %+v, want %+v", l, tt)
			}
		})
	}
}

func TestWithoutConfigurationTheListsShipThatNeedNoKey(t *testing.T) {
	lists, err := Lists(nil)
	if err != nil {
		t.Fatal(err)
	}
	has := func(zone string) bool { return slices.ContainsFunc(lists, func(l List) bool { return l.Zone == zone }) }
	for _, zone := range []string{"zen.spamhaus.org", "dbl.spamhaus.org", "bl.spamcop.net", "b.barracudacentral.org", "multi.surbl.org", "multi.uribl.com"} {
		if !has(zone) {
			t.Errorf("%s is missing", zone)
		}
	}
	if has("combined.mail.abusix.zone") {
		t.Error("a list is asked without the key that it needs")
	}
	if none, err := Lists([]string{}); len(none) != 0 || err != nil {
		t.Errorf("an empty list of zones gave %d lists, %v", len(none), err)
	}
}

// TestTheDocumentHasEachList compares docs/BLOCKLISTS.md with the file: each
// list has its row, with its weight.
func TestTheDocumentHasEachList(t *testing.T) {
	text, err := os.ReadFile("../docs/BLOCKLISTS.md")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9.-]+)` \\| ([a-z]+) \\|").FindAllStringSubmatch(string(text), -1) {
		got[m[1]] = m[2]
	}
	want := map[string]string{}
	var zones []string
	for _, l := range shippedLists(t).Lists {
		want[l.Zone] = string(l.Weight)
		if l.Needs != NeedsKey {
			zones = append(zones, l.Zone)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/BLOCKLISTS.md (-file +rows):\n%s", diff)
	}
	// What operators paste to change one line is what ships.
	_, after, _ := strings.Cut(string(text), "blocklists = [\n")
	pasted, _, _ := strings.Cut(after, "]")
	var listed []string
	for _, m := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(pasted, -1) {
		listed = append(listed, m[1])
	}
	if diff := cmp.Diff(zones, listed); diff != "" {
		t.Errorf("the list to paste in docs/BLOCKLISTS.md (-file +document):\n%s", diff)
	}
}

func wantZone(t *testing.T, zone string) {
	t.Helper()
	if c, err := dnsx.Canonical(zone); err != nil || c != zone || !strings.Contains(zone, ".") {
		t.Errorf("%q is not in the one spelling of a domain name: %q, %v", zone, c, err)
	}
}

func wantOneOf[T comparable](t *testing.T, what string, got T, want ...T) {
	t.Helper()
	if !slices.Contains(want, got) {
		t.Errorf("%s is %v, want one of %v", what, got, want)
	}
}

func wantReviewed(t *testing.T, day time.Time) {
	t.Helper()
	if day.Before(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) || day.After(time.Now().AddDate(0, 0, 1)) {
		t.Errorf("reviewed on %v: want a day that has been", day)
	}
}

func wantURL(t *testing.T, what, text string, must bool) {
	t.Helper()
	if text == "" && !must {
		return
	}
	u, err := url.Parse(strings.ReplaceAll(text, "{subject}", "192.0.2.1"))
	if err != nil || u.Scheme != "https" || u.Host == "" || strings.ContainsAny(u.String(), "{} ") {
		t.Errorf("%s %q is no https URL: %v", what, text, err)
	}
}

// wantWords: text of ours is plain ASCII in one line.
func wantWords(t *testing.T, what, text string, must bool) {
	t.Helper()
	if must && text == "" {
		t.Errorf("%s: there are no words", what)
	}
	for _, r := range text {
		if r < ' ' || r > '~' {
			t.Errorf("%s %q has %q", what, text, r)
		}
	}
}
