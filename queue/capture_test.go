package queue_test

import (
	"testing"
	"testing/synctest"
	"time"

	"homing/queue"
	"homing/store"
)

// captured makes mail that is kept and not sent.
func captured(s *queue.Submission) { s.Capture = true }

// renewed gives a reverse-path of another day.
func renewed(_ store.Message, r store.Recipient) string { return "return+new@bounce.example.org" }

func TestCapturedMailIsSentWhereSomebodyReleasesIt(t *testing.T) {
	dir := t.TempDir()
	release := func(w *world, o queue.Order) (queue.Tally, error) { return w.queue.ReleaseCaptured(w.ctx, o, renewed) }
	synctest.Test(t, func(t *testing.T) {
		open(t, dir, func(w *world) {
			first := w.send(captured, "ann@example.net", "bob@example.net")
			w.send(captured, "eve@example.com")
			w.send(captured, "kept@example.com")
			w.submit("zoe@example.org")
			w.sends("zoe@example.org")
			w.idle()
			after(options.Lifetime + time.Hour)

			o := order(queue.Filter{Message: first, Recipient: "Bob@Example.NET"})
			o.DryRun = true
			got, err := release(w, o)
			if err != nil || len(got.Examples) != 1 || got.Examples[0].Recipient.Address != "bob@example.net" {
				t.Errorf("would release %+v, %v", got, err)
			}
			w.states("bob@example.net captured")
			o.DryRun = false
			if got, err = release(w, o); err != nil {
				t.Fatal(err)
			}
			w.tally(got, "captured 1")
			if r := w.find("bob@example.net").Recipient; r.ReturnPath != "return+new@bounce.example.org" || !r.Expires.Equal(time.Now().Add(options.Lifetime)) {
				t.Errorf("it goes with %s until %v", r.ReturnPath, r.Expires)
			}
			w.states("ann@example.net captured", "eve@example.com captured")
			w.sends("bob@example.net")
			w.idle()

			got, err = release(w, order(queue.Filter{Recipient: "eve@example.com"}))
			if err != nil {
				t.Fatal(err)
			}
			w.tally(got, "captured 1")
		})
		open(t, dir, func(w *world) { // it is durable
			w.sends("eve@example.com")
			w.idle()
			if _, err := w.queue.ReleaseCaptured(w.ctx, order(queue.Filter{}), renewed); err != queue.ErrNoFilter {
				t.Errorf("without a filter: %v", err)
			}
			got, err := w.queue.ReleaseCaptured(w.ctx, order(queue.Filter{All: true}), func(store.Message, store.Recipient) string { return "" })
			if err != nil {
				t.Fatal(err)
			}
			w.tally(got, "captured 2")
			if r := w.find("ann@example.net").Recipient; r.ReturnPath == "return+new@bounce.example.org" || r.ReturnPath == "" {
				t.Errorf("ann's goes with %q", r.ReturnPath)
			}
			w.attempt("250 2.0.0 OK")
			w.attempt("250 2.0.0 OK")
			w.states("ann@example.net delivered", "kept@example.com delivered")
		})
	})
}

func TestOneMessageOrRecipientIsCancelled(t *testing.T) {
	in(t, func(w *world) {
		first := w.submit("ann@example.net", "bob@example.net")
		w.submit("bob@example.net2.test")
		w.tally(w.do(w.queue.Cancel, order(queue.Filter{Recipient: "bob@example.net"})), "waiting 1")
		w.tally(w.do(w.queue.Cancel, order(queue.Filter{Message: first})), "waiting 1")
		w.states("ann@example.net cancelled", "bob@example.net cancelled", "bob@example.net2.test waiting")
	})
}
