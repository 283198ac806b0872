package queue_test

import (
	"context"
	"testing"
	"time"

	"homing/event"
	"homing/hold"
	"homing/queue"
	"homing/store"
)

// at makes a submission one for a later time.
func at(when time.Time) func(*queue.Submission) {
	return func(s *queue.Submission) { s.Message.SendAt, s.Message.Metadata = when, `{"order":"4711"}` }
}

func TestMailForALaterTimeIsSentThenAlsoAfterARestart(t *testing.T) {
	var when time.Time
	restarted(t, options, func(w *world) {
		when = time.Now().Add(30 * 24 * time.Hour)
		w.send(at(when), "ann@example.net")
		w.submit("bob@example.net")
		w.sends("bob@example.net") // the same domain, campaign and lane
		w.idle()
	}, func() { after(20 * 24 * time.Hour) }, func(w *world) {
		w.idle()
		after(time.Until(when.Add(-time.Hour)))
		w.sends("ann@example.net")
		if late := time.Since(when); late != 0 {
			t.Errorf("it was sent %v late", late)
		}
		for _, e := range w.events() {
			if e.Recipient == "ann@example.net" && e.Metadata != `{"order":"4711"}` {
				t.Errorf("%s has the metadata %q", e.Type, e.Metadata)
			}
		}
	})
}

func TestTheLifetimeOfMailForALaterTimeBeginsThen(t *testing.T) {
	in(t, func(w *world) {
		when := time.Now().Add(options.Lifetime * 3)
		w.send(at(when), "ann@example.net")
		w.idle()
		for w.find("ann@example.net").Recipient.State.String() == "waiting" {
			w.attempt("451 4.3.0 later")
		}
		w.states("ann@example.net expired")
		if took := time.Since(when); took < options.Lifetime/2 || took > options.Lifetime {
			t.Errorf("it expired %v after its time, want within a lifetime of %v", took, options.Lifetime)
		}
	})
}

func TestNobodySendsMailForALaterTimeSoonerByRetryOrResume(t *testing.T) {
	in(t, func(w *world) {
		when := time.Now().Add(6 * time.Hour)
		id := w.send(at(when), "ann@example.net")
		w.tally(w.do(w.queue.Retry, order(queue.Filter{All: true})), "")
		w.tally(w.do(w.queue.Retry, order(queue.Filter{Message: id})), "")
		w.do(w.queue.Pause, order(queue.Filter{Sender: w.find("ann@example.net").Message.Sender}))
		w.states("ann@example.net paused")
		w.do(w.queue.Resume, order(queue.Filter{All: true}))
		w.idle()
		w.sends("ann@example.net")
		if late := time.Since(when); late != 0 {
			t.Errorf("it was sent %v late", late)
		}
	})
}

func TestMailForALaterTimeCanBeTriedAgainOnceItWasTried(t *testing.T) {
	in(t, func(w *world) {
		w.send(at(time.Now().Add(time.Hour)), "ann@example.net")
		w.attempt("452 4.2.2 mailbox full")
		w.tally(w.do(w.queue.Retry, order(queue.Filter{All: true})), "waiting 1")
	})
}

func TestWhoIsPutOnHoldMeanwhileGetsNoMailForALaterTime(t *testing.T) {
	in(t, func(w *world) {
		w.send(at(time.Now().Add(time.Hour)), "ann@example.net")
		w.addHold("ann@example.net", "", hold.Hold{By: "olga"})
		w.idle()
		w.states("ann@example.net suppressed")
	})
}

func TestOneMessageIsCancelledOrPausedAlone(t *testing.T) {
	in(t, func(w *world) {
		first := w.send(at(time.Now().Add(time.Hour)), "ann@example.net", "bob@example.net")
		second := w.send(at(time.Now().Add(time.Hour)), "eve@example.net")
		w.tally(w.do(w.queue.Pause, order(queue.Filter{Message: second})), "waiting 1")
		w.tally(w.do(w.queue.Cancel, order(queue.Filter{Message: first, Domain: "example.com"})), "")
		w.tally(w.do(w.queue.Cancel, order(queue.Filter{Message: first})), "waiting 2")
		w.states("ann@example.net cancelled", "bob@example.net cancelled", "eve@example.net paused")
		if all, aside, err := w.queue.Pauses(w.ctx); err != nil || aside != 1 || len(all) != 1 || all[0].Message != second || all[0].Standing() {
			t.Errorf("paused %+v, %d aside, %v", all, aside, err)
		}
		w.do(w.queue.Resume, order(queue.Filter{Message: second}))
		w.states("eve@example.net waiting")
		w.tally(w.do(w.queue.Cancel, order(queue.Filter{Message: event.MessageID(1)})), "")
	})
}

func TestCapturedMailForALaterTimeIsSentThenWhenItIsReleased(t *testing.T) {
	in(t, func(w *world) {
		when := time.Now().Add(6 * time.Hour)
		w.send(func(s *queue.Submission) { at(when)(s); s.Capture = true }, "ann@example.net")
		release := func(ctx context.Context, o queue.Order) (queue.Tally, error) {
			return w.queue.ReleaseCaptured(ctx, o, func(store.Message, store.Recipient) string { return "" })
		}
		w.tally(w.do(release, order(queue.Filter{All: true})), "captured 1")
		w.idle()
		w.sends("ann@example.net")
		if late := time.Since(when); late != 0 {
			t.Errorf("it was sent %v late", late)
		}
	})
}
