package hold_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"homing/hold"
)

var (
	day   = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	rules = hold.Rules{Thresholds: map[string]int{"Quota": 3, "Host": 3, "Dns": 0}}
)

// said is evidence about message n, on a day, of a class and reason.
func said(n uint64, at time.Time, class, reason, civicrm string) hold.Evidence {
	return hold.Evidence{
		Application: "crm", Domain: "example.org", Accepted: at.Add(-time.Hour),
		Mark: hold.Mark{Time: at, Message: n, Delivery: n, Class: class, Reason: reason, CiviCRM: civicrm, Sync: true},
	}
}

// reported is the same said by a later report, of a related peer or not.
func reported(e hold.Evidence, related bool) hold.Evidence {
	e.Mark.Sync, e.Mark.Related = false, related
	return e
}

func TestWhatEvidenceDoes(t *testing.T) {
	hard := func(n uint64, at time.Time) hold.Evidence { return said(n, at, "hard", "user_unknown", "Invalid") }
	full := func(n uint64, at time.Time) hold.Evidence { return said(n, at, "soft", "mailbox_full", "Quota") }
	surge := func(e hold.Evidence) hold.Evidence { e.Surge = true; return e }
	unreachable := func(e hold.Evidence) hold.Evidence { e.Unreachable = true; return e }
	early := func(e hold.Evidence) hold.Evidence { e.Early = true; return e }
	complaint := hold.Evidence{Application: "crm", Domain: "example.org", Accepted: day, Complaint: true,
		Mark: hold.Mark{Time: day.Add(time.Hour), Message: 1, Delivery: 1, Class: "none", Reason: "complaint"}}
	later := func(days int) time.Time { return day.AddDate(0, 0, days) }

	tests := []struct {
		name     string
		evidence []hold.Evidence
		want     hold.Effect // of the last one
	}{
		{"a hard reply from the MX holds", []hold.Evidence{hard(1, day)}, hold.Held},
		{"a hard report from a related peer holds", []hold.Evidence{reported(hard(1, day), true)}, hold.Held},
		{"a hard report from a stranger is provisional", []hold.Evidence{reported(hard(1, day), false)}, hold.Provisional},
		{"a second one about another message a day later holds",
			[]hold.Evidence{reported(hard(1, day), false), reported(hard(2, later(1)), false)}, hold.Held},
		{"a second one within the day does not",
			[]hold.Evidence{reported(hard(1, day), false), reported(hard(2, day.Add(23*time.Hour)), false)}, hold.Provisional},
		{"a second one about the same message does not",
			[]hold.Evidence{reported(hard(1, day), false), reported(hard(1, later(2)), false)}, hold.Nothing},
		{"in a surge a hard reply is provisional", []hold.Evidence{surge(hard(1, day))}, hold.Provisional},
		{"a surge of two days holds nobody",
			[]hold.Evidence{surge(hard(1, day)), surge(hard(2, later(2)))}, hold.Provisional},
		{"soft evidence counts", []hold.Evidence{full(1, day)}, hold.Counting},
		{"three full mailboxes on two days hold", []hold.Evidence{full(1, day), full(2, day), full(3, later(1))}, hold.Held},
		{"three on one day do not", []hold.Evidence{full(1, day), full(2, day), full(3, day)}, hold.Counting},
		{"three replies about one message do not",
			[]hold.Evidence{full(1, day), full(1, later(1)), full(1, later(2))}, hold.Nothing},
		{"types do not add up", []hold.Evidence{full(1, day), full(2, day), said(3, later(1), "soft", "system_error", "Host")}, hold.Counting},
		{"a threshold of nought never holds", []hold.Evidence{
			said(1, day, "soft", "host_unknown", "Dns"), said(2, later(1), "soft", "host_unknown", "Dns"),
			said(3, later(2), "soft", "host_unknown", "Dns"), said(4, later(3), "soft", "host_unknown", "Dns")}, hold.Counting},
		{"our own fault is nothing", []hold.Evidence{said(1, day, "sender", "blocked", "Spam")}, hold.Nothing},
		{"what is no failure is nothing", []hold.Evidence{said(1, day, "none", "greylisted", "")}, hold.Nothing},
		{"a network failure while nobody can be reached is nothing",
			[]hold.Evidence{unreachable(said(1, day, "soft", "network_error", "Host"))}, hold.Nothing},
		{"a full mailbox is the person's also then", []hold.Evidence{unreachable(full(1, day))}, hold.Counting},
		{"what a host says before it knows the person is nothing",
			[]hold.Evidence{early(said(1, day, "soft", "system_error", "Host"))}, hold.Nothing},
		{"a complaint holds", []hold.Evidence{complaint}, hold.Held},
		{"the same complaint again does nothing", []hold.Evidence{complaint, complaint}, hold.Nothing},
		{"a hard reply after a hold changes nothing", []hold.Evidence{hard(1, day), hard(2, later(1))}, hold.Nothing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r hold.Record
			var got hold.Effect
			for _, e := range tt.evidence {
				r, got = rules.Apply(r, e)
			}
			if got != tt.want {
				t.Errorf("effect %q, want %q; record %+v", got, tt.want, r)
			}
			last := tt.evidence[len(tt.evidence)-1]
			if _, held := r.State("crm", "example.org", true, last.Mark.Time); held != (tt.want == hold.Held) && tt.want != hold.Nothing {
				t.Errorf("held is %v after effect %q", held, tt.want)
			}
		})
	}
}

func TestAHoldForSoftEvidenceEndsAfterThirtyDaysAndTheCountStartsAgain(t *testing.T) {
	var r hold.Record
	for n := range uint64(3) {
		r, _ = rules.Apply(r, said(n+1, day.AddDate(0, 0, int(n)), "soft", "mailbox_full", "Quota"))
	}
	start := day.AddDate(0, 0, 2)
	for _, tt := range []struct {
		at   time.Time
		want bool
	}{{start, true}, {start.Add(30*24*time.Hour - time.Second), true}, {start.Add(30 * 24 * time.Hour), false}} {
		if _, held := r.State("crm", "example.org", false, tt.at); held != tt.want {
			t.Errorf("at %v held is %v, want %v", tt.at, held, tt.want)
		}
	}
	if _, effect := rules.Apply(r, said(9, start.AddDate(0, 0, 40), "soft", "mailbox_full", "Quota")); effect != hold.Counting {
		t.Errorf("the first full mailbox after the hold: %q, want counting", effect)
	}
}

func TestAComplaintHoldsBulkMailOfThatDomainOnly(t *testing.T) {
	r, _ := rules.Apply(hold.Record{}, hold.Evidence{Application: "crm", Domain: "example.org", Complaint: true,
		Mark: hold.Mark{Time: day, Delivery: 1, Class: "none", Reason: "complaint"}})
	for _, tt := range []struct {
		name, application, domain string
		bulk, want                bool
	}{
		{"bulk of the domain", "crm", "example.org", true, true},
		{"a receipt of the domain", "crm", "example.org", false, false},
		{"bulk of another domain", "crm", "example.com", true, false},
		{"another application", "shop", "example.org", true, false},
	} {
		if _, held := r.State(tt.application, tt.domain, tt.bulk, day); held != tt.want {
			t.Errorf("%s: held is %v, want %v", tt.name, held, tt.want)
		}
	}
}

func TestADeliveryClearsSoftEvidence(t *testing.T) {
	full := func(n uint64, days int) hold.Evidence {
		return said(n, day.AddDate(0, 0, days), "soft", "mailbox_full", "Quota")
	}
	t.Run("at once when a reply gave it", func(t *testing.T) {
		r, _ := rules.Apply(hold.Record{}, full(1, 0))
		r, _ = rules.Apply(r, full(2, 1))
		r, changed := rules.Delivered(r, "crm", day.AddDate(0, 0, 2))
		if !changed {
			t.Error("the record did not change")
		}
		if _, effect := rules.Apply(r, full(3, 3)); effect != hold.Counting {
			t.Errorf("the next one: %q, want counting", effect)
		}
	})
	for _, tt := range []struct {
		wait int
		want hold.Effect
	}{{6, hold.Held}, {8, hold.Counting}} {
		t.Run(fmt.Sprintf("after seven quiet days when a report gave it: %d days", tt.wait), func(t *testing.T) {
			r, _ := rules.Apply(hold.Record{}, reported(full(1, 0), true))
			r, _ = rules.Apply(r, reported(full(2, 1), true))
			r, _ = rules.Delivered(r, "crm", day.AddDate(0, 0, 2))
			if _, effect := rules.Apply(r, reported(full(3, 2+tt.wait), true)); effect != tt.want {
				t.Errorf("the next one: %q, want %q", effect, tt.want)
			}
		})
	}
	t.Run("nothing known stays nothing known", func(t *testing.T) {
		if _, changed := rules.Delivered(hold.Record{}, "crm", day); changed {
			t.Error("an empty record changed")
		}
	})
}

func TestAReleaseBeginsANewEpoch(t *testing.T) {
	hard := said(1, day, "hard", "user_unknown", "Invalid")
	r, _ := rules.Apply(hold.Record{}, hard)
	r, released := r.Release("crm", day.Add(time.Hour))
	if !released {
		t.Fatal("nothing was released")
	}
	if _, held := r.State("crm", "example.org", false, day.Add(time.Hour)); held {
		t.Error("still on hold after the release")
	}
	old := reported(said(2, day.Add(2*time.Hour), "hard", "user_unknown", "Invalid"), true)
	old.Accepted = day
	if _, effect := rules.Apply(r, old); effect != hold.Nothing {
		t.Errorf("a report about mail from before the release: %q, want nothing", effect)
	}
	if _, effect := rules.Apply(r, said(3, day.Add(2*time.Hour), "hard", "user_unknown", "Invalid")); effect != hold.Held {
		t.Errorf("a hard reply after the release: %q, want held", effect)
	}
}

func TestSharedHardHoldsStopEveryApplication(t *testing.T) {
	for _, share := range []bool{false, true} {
		shared := hold.Rules{Share: share}
		r, _ := shared.Apply(hold.Record{}, said(1, day, "hard", "user_unknown", "Invalid"))
		if _, held := r.State("shop", "example.com", false, day); held != share {
			t.Errorf("share %v: another application is held: %v", share, held)
		}
	}
}

func TestAnOperatorsHoldSaysWhoAndWhy(t *testing.T) {
	r, effect := hold.Record{}.Add("", hold.Hold{Since: day, By: "eve", Reason: "asked by phone"})
	h, held := r.State("any", "example.org", false, day)
	if effect != hold.Held || !held || h.Rule != "operator" || h.By != "eve" {
		t.Errorf("effect %q, held %v, hold %+v", effect, held, h)
	}
}

func TestRulesDoNotChangeTheRecordTheyAreGiven(t *testing.T) {
	before, _ := rules.Apply(hold.Record{}, said(1, day, "soft", "mailbox_full", "Quota"))
	want := fmt.Sprintf("%+v", before)
	rules.Apply(before, said(2, day, "hard", "user_unknown", "Invalid"))
	rules.Delivered(before, "crm", day)
	before.Release("", day)
	if got := fmt.Sprintf("%+v", before); got != want {
		t.Errorf("the record became\n%s, want\n%s", got, want)
	}
}

func ExampleRules_Apply() {
	rules := hold.Rules{Thresholds: map[string]int{"Quota": 3}}
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	record, effect := rules.Apply(hold.Record{Address: "ann@example.net"}, hold.Evidence{
		Application: "crm", Accepted: at,
		Mark: hold.Mark{Time: at, Class: "hard", Reason: "user_unknown", Sync: true},
	})
	_, held := record.State("crm", "example.org", false, at)
	fmt.Println(effect, held)
	// Output: held true
}

func TestAWishToGetNoMoreIsCalledWhatItIs(t *testing.T) {
	for _, reason := range []string{"complaint", "unsubscribe"} {
		r, _ := rules.Apply(hold.Record{}, hold.Evidence{Application: "crm", Domain: "example.org", Accepted: day, Complaint: true,
			Mark: hold.Mark{Time: day.Add(time.Hour), Message: 1, Delivery: 1, Class: "none", Reason: reason}})
		if h, held := r.State("crm", "example.org", true, day.AddDate(1, 0, 0)); !held || h.Rule != reason || h.Reason != reason {
			t.Errorf("%s: held %v by %q for %q", reason, held, h.Rule, h.Reason)
		}
	}
}

func TestAnAnswerEndsTheHoldOfAWishAndNoOther(t *testing.T) {
	wish := func(domain, reason string, n uint64) hold.Evidence {
		return hold.Evidence{Application: "crm", Domain: domain, Accepted: day, Complaint: true,
			Mark: hold.Mark{Time: day.Add(time.Hour), Message: n, Delivery: n, Class: "none", Reason: reason}}
	}
	r, _ := rules.Apply(hold.Record{}, wish("example.org", "unsubscribe", 1))
	r, _ = rules.Apply(r, wish("shop.example", "unsubscribe", 2))
	r, _ = rules.Apply(r, wish("club.example", "complaint", 3))
	after, answered := r.Answer("crm", "example.org")
	for domain, want := range map[string]bool{"example.org": false, "shop.example": true, "club.example": true} {
		if _, held := after.State("crm", domain, true, day.AddDate(0, 1, 0)); held != want {
			t.Errorf("%s: held %v, want %v", domain, held, want)
		}
	}
	if _, again := after.Answer("crm", "example.org"); !answered || again {
		t.Errorf("answered %v, and again %v; want true and false", answered, again)
	}
	if _, other := r.Answer("other", "example.org"); other {
		t.Error("another application's answer counts")
	}
	if _, of := r.Answer("crm", "club.example"); of {
		t.Error("a complaint was answered")
	}
}

func TestAThresholdForgetsNoHardEvidenceOfItsType(t *testing.T) {
	at := func(days int) time.Time { return day.AddDate(0, 0, days) }
	r, _ := rules.Apply(hold.Record{}, reported(said(9, at(0), "hard", "user_unknown", "Quota"), false))
	for n := range 3 {
		r, _ = rules.Apply(r, said(uint64(n), at(n), "soft", "mailbox_full", "Quota"))
	}
	if _, effect := rules.Apply(r, reported(said(10, at(40), "hard", "user_unknown", "Quota"), false)); effect != hold.Held {
		t.Errorf("the second hard report does %q, want held", effect)
	}
}

func TestAnAnonymousRecordHoldsAndSaysNothingElse(t *testing.T) {
	r, _ := rules.Apply(hold.Record{Address: "ann@example.net"}, said(1, day, "hard", "user_unknown", "Invalid"))
	r, _ = r.Add("shop", hold.Hold{Since: day, By: "Olga", Reason: "Ann has called"})
	r, _ = r.Add("club", hold.Hold{Since: day, Until: day.AddDate(0, 0, 1), By: "Olga", Reason: "for a day"})
	now := day.AddDate(0, 0, 2)
	got := r.Anonymous(now)
	for application, want := range map[string]bool{"crm": true, "shop": true, "club": false} {
		if _, held := got.State(application, "example.org", true, now); held != want {
			t.Errorf("%s: held %v, want %v", application, held, want)
		}
	}
	if text := fmt.Sprintf("%+v", got); strings.Contains(text, "ann") || strings.Contains(text, "Ann") || strings.Contains(text, "Olga") || strings.Contains(text, "Diagnostic") || strings.Contains(text, "club") {
		t.Errorf("it still says %s", text)
	}
	if again := got.Join(got); len(again.Scopes) != len(got.Scopes) || len(again.Scopes[0].Holds) != len(got.Scopes[0].Holds) {
		t.Errorf("joined with itself it is %+v", again)
	}
	joined := hold.Record{Address: "ann@example.net"}.Join(got)
	if joined.Address != "ann@example.net" {
		t.Errorf("joined: %+v", joined)
	}
	if _, released := joined.Release("", now); !released {
		t.Error("it cannot be released")
	}
	if empty := (hold.Record{}).Anonymous(now); len(empty.Scopes) != 0 {
		t.Errorf("of nothing: %+v", empty)
	}
}
