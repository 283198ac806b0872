package queue_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"homing/bounce"
	"homing/queue"
	"homing/store"
	"homing/store/bolt"
)

// A forgetful store cannot read or write notes for a while.
type forgetful struct {
	*bolt.Store
	err atomic.Value // of failure
}

// A failure is an error, or none.
type failure struct{ error }

func (f *forgetful) fails(err error) { f.err.Store(failure{err}) }

func (f *forgetful) Notes(ctx context.Context, space string) (map[string][]byte, error) {
	if err := f.err.Load().(failure).error; err != nil {
		return nil, err
	}
	return f.Store.Notes(ctx, space)
}

func (f *forgetful) Note(ctx context.Context, space string, values map[string][]byte) error {
	if err := f.err.Load().(failure).error; err != nil {
		return err
	}
	return f.Store.Note(ctx, space, values)
}

// forgetting runs a test over a forgetful store in a directory.
func forgetting(t *testing.T, dir string, err error, test func(w *world, f *forgetful)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	log := slog.New(slog.DiscardHandler)
	s, openErr := bolt.Open(ctx, bolt.Options{Dir: dir, Log: log, Now: time.Now})
	if openErr != nil {
		t.Fatal(openErr)
	}
	f := &forgetful{Store: s}
	f.fails(err)
	q := queue.New(queue.Config{Store: f, Table: bounce.NewTable(), Log: log, Options: options})
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	test(&world{T: t, ctx: ctx, queue: q, store: s}, f)
	cancel()
	if err := errors.Join(<-done, s.Close()); err != nil {
		t.Error(err)
	}
}

func TestNothingIsSentBeforeItIsKnownWhatIsPaused(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		open(t, dir, func(w *world) {
			w.do(w.queue.Pause, order(queue.Filter{Domain: "example.net"}))
			w.submit("ann@example.net")
			w.submit("bob@example.com")
		})
		forgetting(t, dir, errors.New("a bad sector"), func(w *world, f *forgetful) {
			w.idle()
			if _, _, err := w.queue.Pauses(w.ctx); err == nil {
				t.Error("it is known what is paused")
			}
			f.fails(nil)
			w.sends("bob@example.com")
			w.idle()
		})
	})
}

func TestAPauseThatCannotBeNotedIsNotInForce(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		forgetting(t, dir, nil, func(w *world, f *forgetful) {
			w.submit("ann@example.net")
			synctest.Wait() // until it is known that nothing is paused
			f.fails(store.ErrFull)
			for _, p := range []queue.Filter{{Domain: "example.net"}, {Sender: "civi+b.1.2.0123456789abcdef@bounce.example.org"}} {
				if _, err := w.queue.Pause(w.ctx, order(p)); !errors.Is(err, store.ErrFull) {
					t.Errorf("pausing %v: %v, want ErrFull", p, err)
				}
			}
			w.sends("ann@example.net")
			f.fails(nil)
			w.do(w.queue.Pause, order(queue.Filter{Domain: "example.net"}))
			f.fails(store.ErrFull)
			if _, err := w.queue.Resume(w.ctx, order(queue.Filter{All: true})); !errors.Is(err, store.ErrFull) {
				t.Errorf("resuming: %v, want ErrFull", err)
			}
			w.submit("bob@example.net")
			w.idle()
			f.fails(nil)
			w.do(w.queue.Resume, order(queue.Filter{All: true}))
			w.sends("bob@example.net")
		})
	})
}
