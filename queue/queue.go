// Package queue says what is due, and what an outcome means. It holds the
// single function in which a reply or a report changes a recipient, its hold
// and its events.
package queue

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"homing/bounce"
	"homing/hold"
	"homing/queue/shape"
	"homing/store"
)

// A Classifier says what a reply means. *bounce.Table is one.
type Classifier interface {
	Classify(e bounce.Evidence) bounce.Verdict
}

// Options are what an operator may change while the server runs.
type Options struct {
	Retry     []time.Duration // pauses between attempts; the last one repeats
	Lifetime  time.Duration   // from acceptance to the last attempt
	Rules     hold.Rules
	Limits    shape.Limits
	Retention Retention
	Sinks     []string // names of the sinks that events are kept for
	Shows     []string // of these, the ones that show what they are about: bodies are kept for them
}

// A Queue is the life of every recipient. Its methods may be called from many
// goroutines once Run has been started.
type Queue struct {
	store   store.Store
	table   Classifier
	log     *slog.Logger
	now     func() time.Time
	metrics *Metrics
	options atomic.Pointer[Options]
	reach   reach
	reading sync.Mutex // held while the whole log is read for somebody

	mu     sync.Mutex
	shaper *shape.Shaper
	news   chan struct{} // closed and replaced when the shaper may have more to give
}

// Config is what a Queue is made of.
type Config struct {
	Store   store.Store
	Table   Classifier
	Log     *slog.Logger
	Now     func() time.Time // nil: time.Now
	Metrics *Metrics         // nil: not counted anywhere
	Options Options
}

// New makes a Queue. Run must be started for Next to give anything.
func New(c Config) *Queue {
	q := &Queue{store: c.Store, table: c.Table, log: c.Log, now: c.Now, metrics: c.Metrics,
		shaper: shape.New(c.Options.Limits), news: make(chan struct{})}
	if q.now == nil {
		q.now = time.Now
	}
	if q.metrics == nil {
		q.metrics = NewMetrics(nil)
	}
	q.options.Store(&c.Options)
	return q
}

// SetOptions replaces the options. Recipients that already wait keep their
// next attempt and their lifetime.
func (q *Queue) SetOptions(o Options) {
	q.options.Store(&o)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.shaper.SetLimits(o.Limits)
	q.wake()
}

// Run follows the news of the store and keeps its rows to their retention. It
// returns nil after ctx ended.
func (q *Queue) Run(ctx context.Context) error {
	var retention sync.WaitGroup
	defer retention.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	retention.Go(func() { q.retain(ctx) })

	var mark store.Mark
	for {
		works, next, err := q.store.Due(ctx, mark)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, store.ErrFailed):
			return err
		case err != nil:
			q.log.Error("reading what is due failed", "err", err)
			if !pause(ctx, time.Second) {
				return nil
			}
			continue
		}
		mark = next
		q.learn(works)
	}
}

func (q *Queue) learn(works []store.Work) {
	now := q.now()
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range works {
		q.shaper.Update(w, now)
	}
	q.metrics.waiting.Set(float64(q.shaper.Waiting()))
	q.wake()
}

// wake lets everybody look again who found nothing. The caller holds mu.
func (q *Queue) wake() {
	close(q.news)
	q.news = make(chan struct{})
}

// pause waits and reports whether ctx still runs.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Waiting is the number of recipients that wait or are on their way.
func (q *Queue) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.shaper.Waiting()
}
