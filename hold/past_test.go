package hold_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/hold"
)

func TestTheSameEvidenceLeadsToTheSameOnceMore(t *testing.T) {
	at := func(days int) time.Time { return day.AddDate(0, 0, days) }
	var evidence []hold.Evidence
	for n := range 6 {
		evidence = append(evidence, said(uint64(n+1), at(n), "soft", "mailbox_full", "Quota"))
	}
	var whole hold.Record
	for _, e := range evidence[:4] {
		whole, _ = rules.Apply(whole, e)
	}
	whole, _ = whole.Release("crm", at(3).Add(time.Hour))
	for _, e := range evidence[4:] {
		whole, _ = rules.Apply(whole, e)
	}
	for _, began := range []int{0, 2, 5, 10} {
		again := whole.Before(at(began))
		for _, e := range evidence[min(began, len(evidence)):] {
			again, _ = rules.Apply(again, e)
		}
		if diff := cmp.Diff(whole, again); diff != "" {
			t.Errorf("from day %d on (-first +again):\n%s", began, diff)
		}
	}
}

func TestThePastHasNothingOfLater(t *testing.T) {
	var r hold.Record
	r, _ = rules.Apply(r, said(1, day, "hard", "user_unknown", "Invalid"))
	r, _ = rules.Apply(r, reported(said(2, day.Add(time.Hour), "soft", "mailbox_full", "Quota"), true))
	r, _ = rules.Delivered(r, "crm", day.Add(2*time.Hour))
	for _, tt := range []struct {
		name         string
		before       time.Time
		holds, marks int
		delivered    bool
	}{
		{"before anything was said", day, 0, 0, false},
		{"before the report", day.Add(time.Hour), 1, 0, false},
		{"before the delivery", day.Add(2 * time.Hour), 1, 1, false},
		{"after all", day.Add(3 * time.Hour), 1, 1, true},
	} {
		s := r.Before(tt.before).Scopes[0]
		if len(s.Holds) != tt.holds || len(s.Marks) != tt.marks || s.Delivered.IsZero() == tt.delivered {
			t.Errorf("%s: %d holds, %d marks, delivered %v", tt.name, len(s.Holds), len(s.Marks), s.Delivered)
		}
	}
	if s := r.Scopes[0]; len(s.Holds) != 1 || len(s.Marks) != 1 || s.Delivered.IsZero() {
		t.Errorf("the record itself was changed: %+v", s)
	}
}

func TestOfTwoEpochsTheLaterCounts(t *testing.T) {
	released := func(at time.Time) hold.Record {
		var r hold.Record
		r, _ = rules.Apply(r, said(1, day, "hard", "user_unknown", "Invalid"))
		r, _ = r.Release("", at)
		return r
	}
	early, late := released(day.Add(time.Hour)), released(day.Add(2*time.Hour))
	if got := early.WithEpochs(late).Scopes[0].Epoch; !got.Equal(late.Scopes[0].Epoch) {
		t.Errorf("epoch %v, want the later one", got)
	}
	if got := late.WithEpochs(early).Scopes[0].Epoch; !got.Equal(late.Scopes[0].Epoch) {
		t.Errorf("epoch %v, want the later one", got)
	}
	if got := (hold.Record{}).WithEpochs(late); len(got.Scopes) != 0 {
		t.Errorf("an application that is not known got an epoch: %+v", got)
	}
}

func TestTheHoldsThatRunForAnApplication(t *testing.T) {
	var r hold.Record
	r, _ = rules.Apply(r, said(1, day, "hard", "user_unknown", "Invalid"))
	complaint := said(2, day, "none", "complaint", "Spam")
	complaint.Complaint = true
	r, _ = rules.Apply(r, complaint)
	r, _ = r.Add("", hold.Hold{Since: day, Until: day.Add(time.Hour), By: "olga"})
	words := func(application string, at time.Time) (out []string) {
		for _, h := range r.Running(application, at) {
			word := h.Rule
			if h.OfFailures() {
				word += ", of failures"
			}
			out = append(out, word)
		}
		return out
	}
	for _, tt := range []struct {
		name, application string
		at                time.Time
		want              []string
	}{
		{"its own and those for all", "crm", day, []string{"operator", "hard, of failures", "complaint"}},
		{"those for all", "shop", day, []string{"operator"}},
		{"none that has run out", "crm", day.Add(time.Hour), []string{"hard, of failures", "complaint"}},
		{"none", "shop", day.Add(time.Hour), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, words(tt.application, tt.at)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
