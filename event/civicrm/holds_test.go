package civicrm_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"homing/event"
	"homing/event/civicrm"
	"homing/internal/civicrmtest"
)

const ann = "ann@example.net"

// receipt is a fact about mail that is no mailing.
func (b *bench) receipt(t event.Type, address string) event.Event {
	return b.fact("do-not-reply@example.org", func(e *event.Event) { e.Type, e.Recipient = t, address })
}

// hold puts an address on hold here, and tells it.
func (b *bench) hold(address string, s civicrm.Standing) {
	b.Helper()
	s.Held = true
	b.queue.set("civicrm", address, s)
	b.tell(b.receipt(event.Held, address))
}

// release releases an address here, and tells it.
func (b *bench) release(address string) {
	b.Helper()
	b.queue.set("civicrm", address, civicrm.Standing{})
	b.tell(b.receipt(event.Released, address))
}

func (b *bench) round() {
	b.Helper()
	if err := b.sink.Round(b.Context()); err != nil {
		b.Fatalf("a round: %v", err)
	}
}

// want checks "on hold" at CiviCRM.
func (b *bench) want(address string, level int) {
	b.Helper()
	if got := b.site.OnHold(address); got != level {
		b.Errorf("%s: on hold %d at CiviCRM, want %d", address, got, level)
	}
}

// isHeld reports whether an address is on hold here.
func (b *bench) isHeld(address string) bool {
	s, _ := b.queue.Standing(b.Context(), civicrm.Scope{Application: "civicrm"}, address)
	return s.Held
}

func TestAHoldIsSetAndClearedWithItsOwn(t *testing.T) {
	for name, tt := range map[string]struct {
		standing civicrm.Standing
		want     int
	}{"of a failure": {civicrm.Standing{}, 1}, "of a wish": {civicrm.Standing{OptOut: true}, 2}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.site.Contact("Ann@Example.net")
			b.site.Contact(ann) // of another contact
			b.hold(ann, tt.standing)
			for _, e := range b.site.Emails() {
				if e.OnHold != tt.want {
					t.Errorf("%+v, want on hold %d", e, tt.want)
				}
			}
			b.restart()
			b.round()
			b.want(ann, tt.want)
			b.release(ann)
			for _, e := range b.site.Emails() {
				if e.OnHold != 0 || e.ResetDate == "" {
					t.Errorf("%+v, want free, with the date", e)
				}
			}
		})
	}
}

func TestWhatOthersPutOnHoldStaysSo(t *testing.T) {
	for _, end := range []string{"released", "run out"} {
		t.Run(end, func(t *testing.T) {
			b := newBench(t)
			b.site.Contact(ann)
			b.site.Hold(ann, 1)
			b.hold(ann, civicrm.Standing{Until: b.now.Add(time.Hour)})
			if end == "released" {
				b.release(ann)
			} else {
				b.now = b.now.Add(2 * time.Hour)
				b.queue.set("civicrm", ann, civicrm.Standing{})
			}
			b.round()
			b.want(ann, 1)
		})
	}
}

func TestAHoldThatWasChangedThereIsLeftAlone(t *testing.T) {
	b := newBench(t)
	b.site.Contact(ann)
	b.hold(ann, civicrm.Standing{})
	b.site.Hold(ann, 2)
	b.release(ann)
	b.want(ann, 2)
}

func TestAHoldThatRunsOutEndsThere(t *testing.T) {
	b := newBench(t)
	b.site.Contact(ann)
	b.hold(ann, civicrm.Standing{Until: b.now.Add(30 * 24 * time.Hour)})
	b.round()
	b.want(ann, 1)
	b.now = b.now.Add(31 * 24 * time.Hour)
	b.queue.set("civicrm", ann, civicrm.Standing{})
	b.round()
	b.want(ann, 0)
}

func TestAReleaseThereReleasesHere(t *testing.T) {
	b := newBench(t)
	for _, a := range []string{ann, "bob@example.net"} {
		b.site.Contact(a)
		b.hold(a, civicrm.Standing{})
	}
	b.site.Contact(strings.ToUpper(ann)) // another contact gets the address
	b.site.Hold("bob@example.net", 0)
	b.round()
	if b.isHeld("bob@example.net") || !b.isHeld(ann) {
		t.Errorf("on hold here: bob %v, ann %v; want ann alone", b.isHeld("bob@example.net"), b.isHeld(ann))
	}
	b.tell(b.receipt(event.Released, "bob@example.net")) // what the queue tells of it
	b.round()
	b.want(ann, 1)
	b.want("bob@example.net", 0)
}

func TestAReleaseOfOneContactIsOneOfAll(t *testing.T) {
	b := newBench(t)
	b.site.Contact(ann)
	b.site.Contact("other@example.net")
	b.hold(ann, civicrm.Standing{})
	b.site.Contact(ann)
	b.hold(ann, civicrm.Standing{}) // the second contact's too
	b.site.Hold(ann, 0)
	b.round()
	if b.isHeld(ann) {
		t.Error("still on hold here")
	}
	for _, e := range b.site.Emails() {
		if e.OnHold != 0 {
			t.Errorf("%+v, want free", e)
		}
	}
}

// TestAReleaseThatOvertakesItsHold is what happens when a site comes back: facts
// of a delivery and facts of an address are told side by side.
func TestAReleaseThatOvertakesItsHold(t *testing.T) {
	b := newBench(t)
	b.site.Contact(ann)
	b.tell(b.receipt(event.Released, ann), b.receipt(event.Held, ann))
	b.want(ann, 0)
}

func TestTwoHoldsOfOneAddressEndWithTheLast(t *testing.T) {
	b := newBench(t)
	b.site.Contact(ann)
	b.hold(ann, civicrm.Standing{})
	b.queue.set("shop", ann, civicrm.Standing{Held: true})
	b.tell(b.fact("", func(e *event.Event) { e.Type, e.Application = event.Held, "shop" }))
	b.release(ann)
	b.round()
	b.want(ann, 1)
	b.queue.set("shop", ann, civicrm.Standing{})
	b.round() // the fact of the release got lost
	b.want(ann, 0)
}

func TestOfMailingsCiviCRMJudges(t *testing.T) {
	heldBy := func(kind string) func(*event.Event) {
		return func(e *event.Event) { e.CiviCRM, e.Hold = kind, &event.HoldState{State: "held"} }
	}
	tests := []struct {
		name, kind string
		want       int // after the bounce
		end        func(*bench)
		wantEnd    int
		heldEnd    bool // here
	}{
		{"a type that holds at once, released here", "Invalid", 1, func(b *bench) { b.release(ann) }, 0, false},
		{"a type that holds at once, released there", "Invalid", 1, func(b *bench) { b.site.Hold(ann, 0) }, 0, false},
		{"a type that holds at once, run out here", "Invalid", 1, func(b *bench) {
			b.now = b.now.Add(2 * time.Hour)
			b.queue.set("civicrm", ann, civicrm.Standing{})
		}, 1, false},
		{"a type that does not hold yet", "Dns", 0, func(*bench) {}, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			verp := b.site.Enqueue(1, ann)[0]
			b.queue.set("civicrm", ann, civicrm.Standing{Held: true, Until: b.now.Add(time.Hour)})
			b.tell(b.fact(verp, heldBy(tt.kind)), b.fact(verp, ofType(event.Held)))
			b.want(ann, tt.want)
			b.round()
			tt.end(b)
			b.round()
			b.want(ann, tt.wantEnd)
			if got := b.isHeld(ann); got != tt.heldEnd {
				t.Errorf("on hold here: %v, want %v", got, tt.heldEnd)
			}
		})
	}
}

// TestALostAnswerLeavesNoHoldBehind has the calls that set and clear a hold
// carried out and their answers lost.
func TestALostAnswerLeavesNoHoldBehind(t *testing.T) {
	b := newBench(t)
	b.site.Contact(ann)
	b.queue.set("civicrm", ann, civicrm.Standing{Held: true})
	e := b.receipt(event.Held, ann)
	b.site.Break(civicrmtest.Cut)
	if err := b.sink.Tell(t.Context(), e); err == nil {
		t.Fatal("half an answer counts as one")
	}
	b.site.Break(civicrmtest.Healthy)
	b.restart()
	b.round()
	if !b.isHeld(ann) {
		t.Error("what was not set yet was taken for released there")
	}
	b.tell(e)
	b.want(ann, 1)
	b.release(ann)
	b.want(ann, 0)
}

func TestAContactThatMayNotSeeAddresses(t *testing.T) {
	b := newBench(t)
	verp := b.site.Enqueue(1, ann)[0]
	b.hold(ann, civicrm.Standing{})
	b.site.Grant("access CiviCRM", "access CiviMail")
	b.tell(b.fact(verp, func(e *event.Event) { e.Hold = &event.HoldState{State: "held"} })) // bounces it may tell
	b.round()
	if !b.isHeld(ann) {
		t.Error("what is not seen any more was taken for released")
	}
	b.site.Grant("access CiviCRM", "access CiviMail", "view all contacts")
	b.site.Contact("bob@example.net")
	b.queue.set("civicrm", "bob@example.net", civicrm.Standing{Held: true})
	err := b.sink.Tell(t.Context(), b.receipt(event.Held, "bob@example.net"))
	var f *event.Failure
	if err == nil || errors.As(err, &f) && f.Fault == event.Down || !strings.Contains(fmt.Sprint(err), "edit all contacts") {
		t.Errorf("%v; want which permission is missing, and that other facts go on", err)
	}
}

func TestAnAddressThatIsGoneThereIsForgotten(t *testing.T) {
	b := newBench(t)
	b.site.Contact(ann)
	b.site.Contact("bob@example.net")
	b.hold(ann, civicrm.Standing{})
	b.hold("bob@example.net", civicrm.Standing{})
	b.site.Rename(ann, "ann@new.example")
	b.round()
	if !b.isHeld(ann) {
		t.Error("an address that nobody has there any more is free here")
	}
	b.release(ann)
	b.want("ann@new.example", 1) // not ours to change: it is another address
}

func TestManyAddressesAreLookedAtInFewCalls(t *testing.T) {
	b := newBench(t)
	const many = 130
	for i := range many {
		address := fmt.Sprintf("m%d@example.net", i)
		b.site.Contact(address)
		b.hold(address, civicrm.Standing{})
	}
	before := b.site.Calls.Len()
	b.round()
	if calls := b.site.Calls.Len() - before; calls > 3 {
		t.Errorf("%d calls for %d addresses", calls, many)
	}
}

// TestFactsAboutOneAddressTakeTurns tells holds and releases of one address at
// once, while a round runs.
func TestFactsAboutOneAddressTakeTurns(t *testing.T) {
	b := newBench(t)
	b.site.Contact(ann)
	b.queue.set("civicrm", ann, civicrm.Standing{Held: true})
	var all sync.WaitGroup
	for i := range 20 {
		e := b.receipt([]event.Type{event.Held, event.Released}[i%2], ann)
		all.Go(func() {
			if err := b.sink.Tell(t.Context(), e); err != nil {
				t.Error(err)
			}
		})
	}
	all.Go(func() { b.round() })
	all.Wait()
	b.want(ann, 1)
	b.release(ann)
	b.want(ann, 0)
}
