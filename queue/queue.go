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
	Limits    shape.Limits // Rules are those of Providers, and need not be given
	Providers []Provider   // sites that have limits of their own
	Origin    string       // where the limits of the others stand, for people
	Warmup    Warmup
	Breaker   bool // campaigns that go wrong are paused
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
	aliases aliases
	places  places
	tallies tallies
	breaker breaker
	surges  surges
	began   time.Time // when this process did
	awake   []span    // when those before it were running; set before anything is sent
	noting  sync.Mutex
	noted   map[string][]byte // the state of sites, as it is in the store; guarded by noting
	placed  map[string]string // the same of where domains are

	pauses       atomic.Pointer[pauses]
	cancelled    atomic.Bool // somebody has cancelled since the start: leases can have been lost
	pausing      sync.Mutex  // held while pauses change
	pausesLoaded bool        // guarded by pausing

	mu       sync.Mutex
	shaper   *shape.Shaper
	sources  map[string]source   // what is known of the addresses we send from
	warm     map[string]bool     // those that the operator calls warm
	unusable map[string]Unusable // smarthosts that nothing can be handed to, by site
	switched chan struct{}       // has one when the options were replaced
	news     chan struct{}       // closed and replaced when the shaper may have more to give
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
		news: make(chan struct{}), switched: make(chan struct{}, 1)}
	if q.now == nil {
		q.now = time.Now
	}
	if q.metrics == nil {
		q.metrics = NewMetrics(nil)
	}
	q.began = q.now()
	q.options.Store(&c.Options)
	q.pauses.Store(&pauses{})
	q.places.use(c.Options.Providers)
	q.shaper = shape.New(q.limits(c.Options))
	return q
}

// limits are the limits of some options, with the rules of the providers and
// what new sources may send.
func (q *Queue) limits(o Options) shape.Limits {
	l := o.Limits
	l.Rules = map[string]shape.Rule{}
	for _, p := range o.Providers {
		l.Rules[p.Name] = p.Rule
	}
	q.warm = map[string]bool{}
	for _, name := range o.Warmup.Warm {
		q.warm[name] = true
	}
	if o.Warmup.On {
		l.Allowance = q.allowance
	}
	return l
}

// SetOptions replaces the options. Recipients that already wait keep their
// next attempt and their lifetime.
func (q *Queue) SetOptions(o Options) {
	q.options.Store(&o)
	q.places.use(o.Providers)
	select {
	case q.switched <- struct{}{}:
	default: // it is there already
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.shaper.SetLimits(q.limits(o), q.now())
	q.wake()
}

// Run follows the news of the store and keeps its rows to their retention. It
// returns nil after ctx ended.
func (q *Queue) Run(ctx context.Context) error {
	var beside sync.WaitGroup
	defer beside.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	beside.Go(func() { q.retain(ctx) })
	for err := q.remember(ctx); err != nil; err = q.remember(ctx) {
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, store.ErrFailed):
			return err
		}
		q.log.Error("nothing is sent before it is known what is paused, and how sites are", "err", err)
		if !pause(ctx, time.Second) {
			return nil
		}
	}
	beside.Go(func() { q.lookAfter(ctx) })

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

// remember reads what was noted before the start.
func (q *Queue) remember(ctx context.Context) error {
	return errors.Join(q.recallSources(ctx), q.recall(ctx), q.recallPlaces(ctx), q.recallAwake(ctx), q.recallTallies(ctx), q.loadAliases(ctx, false), q.startPauses(ctx))
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
