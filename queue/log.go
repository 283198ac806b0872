package queue

import (
	"context"
	"errors"
	"time"

	"homing/event"
)

// ErrBusy says that the whole log is being read already, which is enough at
// one time.
var ErrBusy = errors.New("queue: the event log is being read for somebody else")

// logPage is how many events are read in one go.
const logPage = 500

// readLog gives the events from one ID on to do: up to another, or with 0 what
// has happened by now, so that it comes to an end however much goes on. After
// each page it rests for as long as that took: it has half a processor at most.
// An error is that of ctx, of the store or of do.
func (q *Queue) readLog(ctx context.Context, from, to event.ID, do func(event.Event) error) error {
	ended, end := context.WithCancel(ctx)
	end() // so that Events waits for nothing
	start := q.now()
	for ctx.Err() == nil {
		began := time.Now()
		page, err := q.store.Events(ended, from-1, logPage)
		if errors.Is(err, context.Canceled) {
			break
		}
		if err != nil {
			return err
		}
		for _, e := range page {
			if to != 0 && e.ID > to || to == 0 && e.Time.After(start) {
				return nil
			}
			if err := do(e); err != nil {
				return err
			}
			from = e.ID + 1
		}
		if len(page) < logPage || !pause(ctx, time.Since(began)) {
			break
		}
	}
	return ctx.Err()
}
