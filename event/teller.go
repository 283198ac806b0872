package event

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// ErrNoSink says that no sink of that name is in use.
var ErrNoSink = errors.New("event: no sink has this name")

// A Teller reads the log of facts and tells them to the sinks: each at least
// once, under the same ID, and those of one delivery in order.
//
// Each sink has a cursor of its own and is told by itself: one that is slow
// or fails delays nobody else. A fact that alone keeps failing is parked: it
// is tried again after 1 s, 2 s and so on up to every 10 min, later facts of
// its delivery wait, and the rest flows. After three days it is given up. A
// sink that takes nothing is tried with the same back-off and loses nothing:
// after three days it is paused, an incident opens, and it is tried once an
// hour, and at once after a start or a call of Use. The incident closes when
// it takes a fact again. A sink with too many facts parked is read to
// no further and counts as one that takes nothing.
//
// A new sink is told from now on; in a log that began within the last hour it
// is told everything.
type Teller struct {
	c Config

	mu      sync.Mutex
	sinks   []Sink
	changed chan struct{} // closed and replaced by Use
	feeds   map[string]*feed
}

// Config is what a Teller is made of.
type Config struct {
	Log Log
	// Wants reports whether a fact is routed to a sink. Routes.Wants is one.
	// Nil: every fact to every sink.
	Wants func(sink string, e Event) bool
	// Report makes incident_opened and incident_closed durable facts. It is
	// tried again until it returns nil. Nil: they are only logged.
	Report   func(ctx context.Context, e Event) error
	Logger   *slog.Logger     // nil: nothing is logged
	Metrics  *Metrics         // nil: not counted anywhere
	Now      func() time.Time // nil: time.Now
	InFlight int              // facts that one sink is told at once; 0: 8
	// MaxParked is how many facts may be parked at a sink before it is read
	// to no further: what fails so often is no matter of single facts.
	// 0: 1,000.
	MaxParked int
	Timeout   time.Duration // most that one telling may take; 0: 2 min
	Grace     time.Duration // what a telling gets to end after ctx ended; 0: 5 s
}

// NewTeller makes a Teller without sinks.
func NewTeller(c Config) *Teller {
	if c.Wants == nil {
		c.Wants = func(string, Event) bool { return true }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.InFlight = orDefault(c.InFlight, 8)
	c.MaxParked = orDefault(c.MaxParked, 1000)
	c.Timeout = orDefault(c.Timeout, 2*time.Minute)
	c.Grace = orDefault(c.Grace, 5*time.Second)
	return &Teller{c: c, changed: make(chan struct{}), feeds: map[string]*feed{}}
}

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

// Use replaces the sinks. It may be called at any time; a running Teller goes
// on with the new ones once the tellings in flight have ended, and tries
// those that were paused. No two may have the same name.
func (t *Teller) Use(sinks ...Sink) error {
	for i, s := range sinks {
		if slices.ContainsFunc(sinks[:i], func(x Sink) bool { return x.Name() == s.Name() }) {
			return fmt.Errorf("event: two sinks are called %q", s.Name())
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sinks = slices.Clone(sinks)
	close(t.changed)
	t.changed = make(chan struct{})
	return nil
}

// Run tells until ctx ends. Then tellings in flight get Config.Grace to end,
// the cursors are written and it returns nil.
func (t *Teller) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		t.mu.Lock()
		sinks, changed := t.sinks, t.changed
		t.mu.Unlock()
		t.serve(ctx, sinks, changed)
	}
	return nil
}

// serve tells the given sinks until ctx ends or they are replaced.
func (t *Teller) serve(ctx context.Context, sinks []Sink, changed <-chan struct{}) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	feeds := make(map[string]*feed, len(sinks))
	for _, s := range sinks {
		feeds[s.Name()] = newFeed(t.c, s)
	}
	t.show(feeds)
	for _, f := range feeds {
		running.Go(func() { f.run(ctx) })
	}
	select {
	case <-ctx.Done():
	case <-changed:
		stop()
	}
	running.Wait()
}

// show makes feeds the ones that Status and the metrics speak of.
func (t *Teller) show(feeds map[string]*feed) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.feeds = feeds
	all := make([]*feed, 0, len(feeds))
	for _, f := range feeds {
		all = append(all, f)
	}
	t.c.Metrics.gauges.show(all)
}

// A Status says how one sink does.
type Status struct {
	Name, Kind string
	State      State
	Since      time.Time     // failing or paused: of the first failure since the last success
	Lag        time.Duration // age of the oldest fact it waits for; parked ones count only while it fails
	Parked     int           // facts that alone keep failing, and those behind them
	Told       ID            // everything up to here is told, given up or parked
	Failure    string        // what the last failure said; "" when there was none
}

// Status says how the sinks do, in order of their names.
func (t *Teller) Status() []Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]Status, 0, len(t.feeds))
	for _, f := range t.feeds {
		all = append(all, f.status())
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Replay tells a sink again what is routed to it after one ID and up to
// another, one by one in order of the log, and says how many it took. What it
// has not been told yet is left to Run; upTo zero means all that it was told.
// It ends at the first failure. ErrNoSink.
func (t *Teller) Replay(ctx context.Context, sink string, after, upTo ID) (int, error) {
	t.mu.Lock()
	f := t.feeds[sink]
	t.mu.Unlock()
	if f == nil {
		return 0, ErrNoSink
	}
	if seen := f.status().Told; upTo == 0 || upTo > seen {
		upTo = seen
	}
	told := 0
	for after < upTo {
		page, err := f.Log.Events(ctx, after, pageSize)
		if err != nil {
			return told, fmt.Errorf("reading the log: %w", err)
		}
		for _, e := range page {
			after = e.ID
			if e.ID > upTo {
				break
			}
			if !f.wants(e) {
				continue
			}
			if err := f.sink.Tell(ctx, e); err != nil {
				return told, fmt.Errorf("telling %v to %s: %w", e.ID, sink, err)
			}
			told++
		}
	}
	return told, nil
}
