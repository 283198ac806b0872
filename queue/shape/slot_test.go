package shape_test

import (
	"fmt"
	"testing"
	"time"

	"homing/queue/shape"
)

// patient are limits under which two slots may stall beside two that count.
var patient = shape.Limits{Total: 2, PerSite: 2, Batch: 5, Patience: time.Second, Stalled: 2}

// next takes a slot, which has to be there, and leases all that it is for.
func next(t *testing.T, s *shape.Shaper, at time.Time) shape.Pick {
	t.Helper()
	p, wake, ok := s.Next(at)
	if !ok {
		t.Fatalf("no slot, to be asked again at %v", wake)
	}
	s.Leased(p, 0, at)
	return p
}

// none makes sure that there is no slot, and gives when to ask again.
func none(t *testing.T, s *shape.Shaper, at time.Time) time.Time {
	t.Helper()
	p, wake, ok := s.Next(at)
	if ok {
		t.Fatalf("a slot for %s, want none", p.Key.Domain)
	}
	return wake
}

func TestSitesThatKeepUsWaitingKeepNoSlotsFromOthers(t *testing.T) {
	s := shape.New(patient)
	for i := range 3 {
		s.Update(work(fmt.Sprintf("tar%d.test", i), 0, 1, now), now)
	}
	s.Update(work("good.test", 1, 9, now), now)
	next(t, s, now)
	next(t, s, now.Add(time.Second/2))
	if wake, want := none(t, s, now.Add(time.Second/2)), now.Add(time.Second); !wake.Equal(want) {
		t.Errorf("ask again at %v, want %v, when the first slot stalls", wake, want)
	}
	if p := next(t, s, now.Add(time.Second)); p.Key.Domain != "tar2.test" {
		t.Errorf("the first slot that is lent goes to %s, want tar2.test", p.Key.Domain)
	}
	if p := next(t, s, now.Add(3*time.Second/2)); p.Key.Domain != "good.test" {
		t.Errorf("the second goes to %s, want good.test", p.Key.Domain)
	}
	if got := s.Active(); got != 4 {
		t.Errorf("%d slots are taken, want 4", got)
	}
	if wake := none(t, s, now.Add(time.Hour)); !wake.IsZero() {
		t.Errorf("ask again at %v, want not before news: no more may stall", wake)
	}
}

func TestASiteThatKeepsUsWaitingGetsNoFurtherSlot(t *testing.T) {
	limits := patient
	limits.Total = 4
	s := shape.New(limits)
	s.Update(work("tar.test", 0, 1, now), now)
	p := next(t, s, now)
	later := now.Add(time.Second)
	s.Update(work("tar.test", 0, 9, now), later)
	none(t, s, later)

	t.Run("until it has answered", func(t *testing.T) {
		if !s.Answered(p, later) {
			t.Error("the answer opens no slot")
		}
		next(t, s, later)
	})
	t.Run("but one that hangs is not held against it once another has answered", func(t *testing.T) {
		s := shape.New(limits)
		s.Update(work("site.test", 0, 9, now), now)
		next(t, s, now) // hangs
		s.Update(work("site.test", 0, 9, now), now)
		second := next(t, s, now)
		s.Answered(second, now.Add(time.Second/2))
		s.Finish(second, now)
		s.Update(work("site.test", 0, 9, now), later)
		next(t, s, later)
	})
}

func TestASlotThatIsAnsweredCountsAgain(t *testing.T) {
	s := shape.New(patient)
	a := func(n int) {
		s.Update(work(fmt.Sprintf("s%d.test", n), 0, 1, now), now)
	}
	for n := range 5 {
		a(n)
	}
	first := next(t, s, now)
	second := next(t, s, now)
	later := now.Add(time.Second)
	third := next(t, s, later)
	fourth := next(t, s, later)
	s.Answered(first, later)
	s.Answered(second, later)
	s.Finish(third, later)
	if wake, want := none(t, s, later), later.Add(time.Second); !wake.Equal(want) {
		t.Errorf("three slots are at work: ask again at %v, want %v", wake, want)
	}
	s.Finish(fourth, later)
	none(t, s, later)
	s.Finish(first, later)
	next(t, s, later)
	if s.Answered(first, later) {
		t.Error("an answer after the end changes something")
	}
	if got := s.Active(); got != 2 {
		t.Errorf("%d slots are taken, want 2", got)
	}
}

func TestASiteThatCannotBeAskedIsTriedByOneDialogueUntilItAnswers(t *testing.T) {
	s := shape.New(shape.Limits{Total: 10, PerSite: 4, Batch: 50})
	s.Update(work("a.test", 1, 40, now), now)
	first := next(t, s, now)
	if first.Max != 10 {
		t.Errorf("the first of four dialogues has %d recipients, want a share of 10", first.Max)
	}
	s.Failed(first, now)
	s.Finish(first, now)
	s.Update(work("a.test", 1, 40, now), now)
	second := next(t, s, now)
	if second.Max != 40 {
		t.Errorf("the one dialogue that tries has %d recipients, want all 40", second.Max)
	}
	s.Update(work("a.test", 1, 40, now), now)
	none(t, s, now)
	if !s.Answered(second, now) {
		t.Error("an answer opens no slot")
	}
	next(t, s, now)
}
