package queue_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/event"
	"homing/hold"
	"homing/queue"
	"homing/store"
)

// erase erases a person.
func (w *world) erase(address string) queue.Erasure {
	w.Helper()
	e, err := w.queue.Erase(w.ctx, address, "olga")
	if err != nil {
		w.Fatal(err)
	}
	return e
}

// unknown checks that nothing names an address: no delivery, no fact, no hold.
func (w *world) unknown(address string) {
	w.Helper()
	page, err := w.store.Find(w.ctx, store.Query{Address: address})
	if err != nil || len(page.Rows) != 0 || len(page.Holds) != 0 {
		w.Errorf("of %s is known %+v, %v", address, page, err)
	}
	for _, e := range w.events() {
		if store.About(e, address) {
			w.Errorf("a fact about %s: %+v", address, e)
		}
	}
}

// isHeld checks whether bulk mail to an address is stopped.
func (w *world) isHeld(address string, want bool) hold.Hold {
	w.Helper()
	h, held, err := w.queue.Held(w.ctx, address, "crm", "example.org", true)
	if err != nil || held != want {
		w.Errorf("%s is held: %v, %v, want %v", address, held, err, want)
	}
	return h
}

// first waits for the first fact of a type.
func (w *world) first(kind event.Type) event.Event {
	for after := event.ID(0); ; {
		page, err := w.store.Events(w.ctx, after, 100)
		if err != nil {
			w.Error(err)
			return event.Event{}
		}
		for _, e := range page {
			if after = e.ID; e.Type == kind {
				return e
			}
		}
	}
}

// sinks gives options with some sinks.
func sinks(names ...string) queue.Options {
	o := options
	o.Sinks = names
	return o
}

func TestAnErasedPersonIsKnownNoMoreAndStaysOnHold(t *testing.T) {
	restarted(t, sinks(), func(w *world) {
		w.submit("Ann@example.net", "bob@example.net")
		for range 2 {
			w.attempt("550 5.1.1 no such user Ann@example.net")
		}
		w.send(captured, "ann@example.net")
		w.addHold("ann@example.net", "shop", hold.Hold{By: "Olga Example", Reason: "Ann has asked by telephone"})
		w.isHeld("ann@example.net", true)

		e := w.erase("ANN@example.net")
		if diff := cmp.Diff(map[store.State]int{store.Bounced: 1, store.Captured: 1}, e.Deliveries); diff != "" || e.Untold != 0 || e.Events == 0 {
			t.Errorf("erased %+v", e)
		}
		if !strings.HasSuffix(e.Alias, "@"+queue.ErasedDomain) || strings.Contains(e.Alias, "ann") {
			t.Errorf("the hold goes on as %q", e.Alias)
		}
		w.unknown("ann@example.net")
		if record, err := w.store.Hold(w.ctx, "bob@example.net"); err != nil || len(record.Scopes) == 0 {
			t.Errorf("of bob is known %+v, %v", record, err)
		}
		record, err := w.queue.Record(w.ctx, "Ann@example.net")
		if err != nil || len(record.Scopes) != 2 {
			t.Fatalf("the hold is %+v, %v", record, err)
		}
		for _, s := range record.Scopes {
			for _, h := range s.Holds {
				if len(h.Marks)+len(s.Marks) > 0 || h.Rule == "operator" && (h.By != "operator" || h.Reason != "") || h.Since.IsZero() {
					t.Errorf("left of %s is %+v", s.Application, h)
				}
			}
		}
		if again := w.erase("ann@example.net"); again.Alias != e.Alias || len(again.Deliveries) != 0 || again.Events != 0 {
			t.Errorf("once more: %+v", again)
		}
	}, func() {}, func(w *world) {
		if h := w.isHeld("Ann@Example.net", true); h.Rule != "hard" || h.Reason != "user_unknown" {
			t.Errorf("after a restart it is %+v", h)
		}
		w.submit("ann@example.net")
		w.idle()
		w.states("ann@example.net suppressed")
		w.isHeld("cid@example.net", false)

		if released, err := w.queue.Release(w.ctx, "ann@example.net", ""); err != nil || !released {
			t.Errorf("released: %v, %v", released, err)
		}
		if e := w.events()[len(w.events())-1]; e.Type != event.Released || e.Recipient != "ann@example.net" {
			t.Errorf("the last fact is %+v", e)
		}
		w.isHeld("ann@example.net", false)
		if page, err := w.store.Find(w.ctx, store.Query{Holds: true, Domain: queue.ErasedDomain}); err != nil || len(page.Holds) != 0 {
			t.Errorf("left are %+v, %v", page.Holds, err)
		}
	})
}

func TestTheHashedHoldCanBeReleasedByItsName(t *testing.T) {
	in(t, func(w *world) {
		w.addHold("ann@example.net", "", hold.Hold{By: "olga"})
		e := w.erase("ann@example.net")
		before := len(w.events())
		if released, err := w.queue.Release(w.ctx, e.Alias, ""); err != nil || !released {
			t.Errorf("released: %v, %v", released, err)
		}
		w.isHeld("ann@example.net", false)
		if after := len(w.events()); after != before {
			t.Errorf("%d facts were told of it, of which no sink knows who it is", after-before)
		}
	})
}

func TestWhoWasNotOnHoldIsMailedAgain(t *testing.T) {
	in(t, func(w *world) {
		w.submit("ann@example.net")
		w.sends("ann@example.net")
		w.addHold("bob@example.net", "", hold.Hold{By: "olga", Until: time.Now().Add(time.Minute)})
		after(time.Hour)
		if a, b := w.erase("ann@example.net"), w.erase("bob@example.net"); a.Alias != "" || b.Alias != "" {
			t.Errorf("holds go on as %q and %q", a.Alias, b.Alias)
		}
		w.unknown("ann@example.net")
		w.submit("ann@example.net", "bob@example.net")
		w.sends("ann@example.net", "bob@example.net")
	})
}

func TestSinksHearOfCancelledMailBeforeThePersonIsForgotten(t *testing.T) {
	in(t, func(w *world) {
		w.queue.SetOptions(sinks("crm", "down"))
		w.addHold("zoe@example.net", "", hold.Hold{By: "olga"})
		for _, name := range []string{"crm", "down"} {
			if err := w.store.Advance(w.ctx, name, event.Cursor{Seen: w.events()[0].ID, Failing: map[bool]time.Time{true: time.Now()}[name == "down"]}); err != nil {
				t.Fatal(err)
			}
		}
		w.submit("ann@example.net")
		heard := make(chan event.Event, 1)
		go func() { // the sink
			e := w.first(event.Cancelled)
			if err := w.store.Advance(w.ctx, "crm", event.Cursor{Seen: e.ID}); err != nil {
				t.Error(err)
			}
			heard <- e
		}()
		began := time.Now()
		e := w.erase("ann@example.net")
		if got := <-heard; got.Recipient != "ann@example.net" || e.Events != 2 || e.Untold != 2 {
			t.Errorf("the sink heard %+v, erased %+v, of which the one that is down hears nothing", got, e)
		}
		if took := time.Since(began); took >= 10*time.Second {
			t.Errorf("it waited for a sink that is down: %v", took)
		}
		w.unknown("ann@example.net")
	})
}

func TestASinkThatHearsNothingDelaysAnErasureBySeconds(t *testing.T) {
	in(t, func(w *world) {
		w.queue.SetOptions(sinks("slow"))
		w.submit("ann@example.net")
		if e, err := w.queue.WouldErase(w.ctx, "ann@example.net"); err != nil || e.Deliveries[store.Waiting] != 1 || e.Events != 1 || e.Alias != "" {
			t.Errorf("would erase %+v, %v", e, err)
		}
		began := time.Now()
		if e := w.erase("ann@example.net"); e.Events != 2 || e.Untold != 2 { // accepted, cancelled
			t.Errorf("erased %+v", e)
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("it took %v", took)
		}
		w.unknown("ann@example.net")
	})
}

func TestADryRunErasesNothing(t *testing.T) {
	in(t, func(w *world) {
		w.submit("ann@example.net")
		w.attempt("450 4.2.2 over quota")
		w.addHold("ann@example.net", "shop", hold.Hold{By: "olga"})
		e, err := w.queue.WouldErase(w.ctx, "Ann@example.net")
		if err != nil || e.Deliveries[store.Waiting] != 1 || e.Events != 3 || e.Alias != "…@"+queue.ErasedDomain {
			t.Errorf("would erase %+v, %v", e, err)
		}
		w.states("ann@example.net waiting")
		if record, err := w.store.Hold(w.ctx, "ann@example.net"); err != nil || len(record.Scopes) == 0 {
			t.Errorf("the hold is %+v, %v", record, err)
		}
		if notes, err := w.store.Notes(w.ctx, "erase"); err != nil || len(notes) != 0 {
			t.Errorf("noted is %v, %v", notes, err)
		}
	})
}

func TestWhatComesOfMailThatWasBeingSentIsNotNoted(t *testing.T) {
	in(t, func(w *world) {
		w.submit("ann@example.net")
		job := w.next()
		w.erase("ann@example.net")
		if err := w.queue.Done(w.ctx, job.Items[0], result("550 5.1.1 no such user")); err != nil {
			t.Errorf("Done: %v", err)
		}
		w.queue.Finish(job)
		w.unknown("ann@example.net")
		if err := w.report(job.Items[0].Delivery, dead(3)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a report afterwards: %v", err)
		}
		w.unknown("ann@example.net")
		w.isHeld("ann@example.net", false)
	})
}

func TestAPauseOfOnePersonsMailIsErasedWithIt(t *testing.T) {
	in(t, func(w *world) {
		w.submit("ann@example.net", "bob@example.net")
		for _, address := range []string{"ann@example.net", "bob@example.net"} {
			w.do(w.queue.Pause, queue.Order{Filter: queue.Filter{Recipient: address}, By: "olga"})
		}
		w.erase("ann@example.net")
		w.states("bob@example.net paused")
		notes, err := w.store.Notes(w.ctx, "pause")
		if err != nil || len(notes) != 1 {
			t.Errorf("noted are %q, %v", notes, err)
		}
		for _, text := range notes {
			if strings.Contains(string(text), "ann@") {
				t.Errorf("a note still names the person: %s", text)
			}
		}
	})
}

func TestAHoldThatComesWhileSinksAreWaitedForIsErasedToo(t *testing.T) {
	in(t, func(w *world) {
		w.queue.SetOptions(sinks("slow"))
		w.submit("ann@example.net")
		done := make(chan queue.Erasure)
		go func() { done <- w.erase("ann@example.net") }()
		after(5 * time.Second)
		w.addHold("ann@example.net", "", hold.Hold{By: "olga", Reason: "Ann has asked by telephone"})
		if e := <-done; !strings.HasSuffix(e.Alias, "@"+queue.ErasedDomain) {
			t.Errorf("the hold goes on as %q", e.Alias)
		}
		w.unknown("ann@example.net")
		if record, err := w.store.Hold(w.ctx, "ann@example.net"); err != nil || len(record.Scopes) != 0 {
			t.Errorf("a hold still names the person: %+v, %v", record, err)
		}
		w.isHeld("ann@example.net", true)
	})
}
