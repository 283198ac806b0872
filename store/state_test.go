package store_test

import (
	"errors"
	"testing"
	"time"

	"homing/store"
)

var (
	day    = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	states = []store.State{store.Waiting, store.Paused, store.Captured, store.Delivered,
		store.Bounced, store.Expired, store.Cancelled, store.Suppressed}
)

// legal says in one letter for each state, in the order of states, where a
// recipient may go from the state on the left.
var legal = map[store.State]string{
	//                 WPCDBECS
	store.Waiting:    ".PCDBECS",
	store.Paused:     "W...BECS",
	store.Captured:   "W.....C.",
	store.Delivered:  "....B...",
	store.Bounced:    "........",
	store.Expired:    "........",
	store.Cancelled:  "........",
	store.Suppressed: "........",
}

func TestARecipientMakesOnlyTheMovesOfTheTable(t *testing.T) {
	for _, from := range states {
		for i, to := range states {
			r := store.Recipient{State: from}
			err := r.Move(to, day)
			allowed := legal[from][i] != '.'
			switch {
			case allowed && (err != nil || r.State != to):
				t.Errorf("%v to %v: %v, state %v, want it to move", from, to, err, r.State)
			case !allowed && (!errors.Is(err, store.ErrMove) || r.State != from || !r.Ended.IsZero()):
				t.Errorf("%v to %v: %v, state %v, want ErrMove and no change", from, to, err, r.State)
			}
		}
	}
}

func TestARecipientWithoutAStateGoesNowhere(t *testing.T) {
	for _, to := range states {
		var r store.Recipient
		if err := r.Move(to, day); !errors.Is(err, store.ErrMove) {
			t.Errorf("zero to %v: %v, want ErrMove", to, err)
		}
	}
}

func TestTheOutcomeIsDated(t *testing.T) {
	r := store.Recipient{State: store.Waiting}
	if err := r.Move(store.Paused, day); err != nil || !r.Ended.IsZero() {
		t.Errorf("paused: %v, ended %v, want not ended", err, r.Ended)
	}
	if err := r.Move(store.Bounced, day.Add(time.Hour)); err != nil || !r.Ended.Equal(day.Add(time.Hour)) {
		t.Errorf("bounced: %v, ended %v, want %v", err, r.Ended, day.Add(time.Hour))
	}
}

func TestALateReportChangesADeliveryOnce(t *testing.T) {
	r := store.Recipient{State: store.Delivered}
	if err := r.Move(store.Bounced, day); err != nil {
		t.Errorf("the first report: %v", err)
	}
	if err := r.Move(store.Bounced, day); !errors.Is(err, store.ErrMove) {
		t.Errorf("the second report: %v, want ErrMove", err)
	}
}

func TestStatesHaveNamesThatReadBack(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range states {
		got, err := store.ParseState(s.String())
		if err != nil || got != s || seen[s.String()] {
			t.Errorf("%d is called %q, which reads as %d, %v", s, s, got, err)
		}
		seen[s.String()] = true
		if want := s != store.Waiting && s != store.Paused && s != store.Captured; s.Terminal() != want {
			t.Errorf("%v is terminal: %v, want %v", s, s.Terminal(), want)
		}
	}
	if _, err := store.ParseState("leased"); err == nil {
		t.Error("leased was read as a state")
	}
}
