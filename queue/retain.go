package queue

import (
	"context"
	"time"

	"homing/store"
)

const (
	retainSoon  = 10 * time.Second // after a start: only then the store knows which sinks count
	retainEvery = 10 * time.Minute
	retainRows  = 1000 // rows forgotten in one transaction
)

// retain forgets what is past its retention, a bounded step at a time.
func (q *Queue) retain(ctx context.Context) {
	for wait := retainSoon; pause(ctx, wait); wait = retainEvery {
		o, now := q.options.Load(), q.now()
		for _, w := range []store.What{
			{EventsBefore: now.Add(-o.Retention.Events), Sinks: o.Sinks, Shows: append([]string{}, o.Shows...)},
			{ReportsBefore: now.Add(-o.Retention.Bounces)},
			{CapturedBefore: now.Add(-o.Retention.Captured)},
			{IndexBefore: now.Add(-o.Retention.Index)},
		} {
			q.forget(ctx, w)
		}
	}
}

func (q *Queue) forget(ctx context.Context, w store.What) {
	for ctx.Err() == nil {
		n, err := q.store.Forget(ctx, w, retainRows)
		if err != nil {
			if ctx.Err() == nil {
				q.log.Error("forgetting old rows failed", "err", err)
			}
			return
		}
		if n < retainRows {
			return
		}
	}
}
