package queue_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"homing/bounce"
	"homing/event"
	"homing/hold"
	"homing/queue"
	"homing/store"
)

// A fullStore takes no changes until somebody makes room.
type fullStore struct {
	store.Store
	full atomic.Bool
	err  error // what it says instead
}

func newFullStore(s store.Store) *fullStore {
	f := &fullStore{Store: s, err: store.ErrFull}
	f.full.Store(true)
	return f
}

func (s *fullStore) Apply(ctx context.Context, changes ...store.Change) error {
	if s.full.Load() {
		return s.err
	}
	return s.Store.Apply(ctx, changes...)
}

func TestOnAFullDiskWhoeverWaitsIsAnswered(t *testing.T) {
	in(t, func(w *world) {
		w.submit("ann@example.net")
		id := w.attempt("250 2.0.0 OK")[0].Delivery
		full := newFullStore(w.store)
		q := queue.New(queue.Config{Store: full, Table: bounce.NewTable(), Log: slog.New(slog.DiscardHandler), Options: options})
		ctx, cancel := context.WithTimeout(w.ctx, time.Hour)
		defer cancel()
		began := time.Now()
		for what, do := range map[string]func() error{
			"a report": func() error { return q.Observe(ctx, queue.Observation{Delivery: id, Report: dead(1)}) },
			"a fact":   func() error { return q.Tell(ctx, nil, event.Event{Type: event.IncidentOpened}) },
			"a hold":   func() error { return q.AddHold(ctx, "bob@example.net", "", hold.Hold{}) },
			"no hold":  func() error { _, err := q.Release(ctx, "bob@example.net", ""); return err },
		} {
			if err := do(); !errors.Is(err, store.ErrFull) {
				t.Errorf("%s: %v, want ErrFull", what, err)
			}
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("they waited %v", took)
		}
	})
}

func TestAnOutcomeWaitsForRoomOnTheDisk(t *testing.T) { testOutcomeWaits(t, store.ErrFull) }

func TestAnOutcomeOutlivesAHiccupOfTheStore(t *testing.T) {
	testOutcomeWaits(t, errors.New("too many open files"))
}

// testOutcomeWaits has a store say for ten seconds that it takes nothing.
func testOutcomeWaits(t *testing.T, because error) {
	in(t, func(w *world) {
		w.submit("ann@example.net")
		job := w.next()
		full := newFullStore(w.store)
		full.err = because
		q := queue.New(queue.Config{Store: full, Table: bounce.NewTable(), Log: slog.New(slog.DiscardHandler), Options: options})
		time.AfterFunc(10*time.Second, func() { full.full.Store(false) })
		if err := q.Done(w.ctx, job.Items[0], result("250 2.0.0 OK")); err != nil {
			t.Fatal(err)
		}
		w.queue.Finish(job)
		if got := w.state(job.Items[0].Delivery); got != store.Delivered {
			t.Errorf("state %v, want delivered", got)
		}
	})
}
