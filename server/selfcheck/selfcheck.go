// Package selfcheck runs checks at the start, on a schedule and on demand,
// remembers how they ended, and tells what has changed. What is checked comes
// from elsewhere.
package selfcheck

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homing/dnscheck"
	"homing/event"
)

// A Check is something to look after. Run ends with ctx; several of one Name
// never run at once.
type Check struct {
	Name string
	Run  func(ctx context.Context) []dnscheck.Finding
}

// A Finding is one of dnscheck, and since when it is so.
type Finding struct {
	dnscheck.Finding
	Since time.Time `json:"since"` // when a run first ended with this verdict
}

// A Result is what a run found. The zero Result: there was none yet.
type Result struct {
	Time     time.Time `json:"time"` // when it ended
	Took     float64   `json:"took_seconds"`
	Findings []Finding `json:"findings"` // what needs attention first
}

// Worst is the worst verdict of a run: Fail, Warn or OK.
func (r Result) Worst() dnscheck.Verdict {
	worst := dnscheck.OK
	for _, f := range r.Findings {
		switch {
		case f.Verdict == dnscheck.Fail:
			return dnscheck.Fail
		case f.Verdict == dnscheck.Warn:
			worst = dnscheck.Warn
		}
	}
	return worst
}

// Notes keep small values durably. Every store.Store has them.
type Notes interface {
	Notes(ctx context.Context, space string) (map[string][]byte, error)
	Note(ctx context.Context, space string, values map[string][]byte) error
}

// Config is what a Checker is made of.
type Config struct {
	Checks  func() []Check // asked before each run
	Notes   Notes
	Tell    func(ctx context.Context, events ...event.Event) error // makes check_failed and check_recovered durable facts
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: not counted anywhere
}

// A Checker runs checks. Its methods may be called from any goroutine; Run
// once.
type Checker struct {
	c       Config
	crew    crew
	metrics *metrics
	turn    chan struct{} // held by whoever runs the checks
	again   chan struct{} // the interval has changed

	mu       sync.Mutex
	interval time.Duration
	last     Result
	known    map[string]standing
	past     []Change // newest last
}

// New makes a Checker that goes by what an earlier one has noted.
func New(ctx context.Context, c Config) (*Checker, error) {
	s := &Checker{c: c, metrics: newMetrics(c.Metrics), turn: make(chan struct{}, 1), again: make(chan struct{}, 1)}
	return s, s.recall(ctx)
}

// SetInterval says how long to wait between runs, from now on.
func (s *Checker) SetInterval(d time.Duration) {
	s.mu.Lock()
	s.interval = d
	s.mu.Unlock()
	select {
	case s.again <- struct{}{}:
	default: // it is there already
	}
}

// Times of a Checker.
const (
	// confirmAfter is how long after a run with a new failure the next one
	// comes: a failure is told when two runs in a row have it.
	confirmAfter = time.Minute
	// freshFor is how long a result counts as that of now: whoever asks
	// sooner gets it again, so that nobody can use us to ask others.
	freshFor = 10 * time.Second
)

// Run checks now, and again and again until ctx ends.
func (s *Checker) Run(ctx context.Context) error {
	defer s.crew.all.Wait()
	for {
		if _, err := s.Now(ctx); err != nil && ctx.Err() == nil {
			s.c.Log.Error("the result of the self-check could not be noted", "err", err)
		}
		for wait := true; wait; {
			t := time.NewTimer(time.Until(s.next()))
			select {
			case <-ctx.Done():
				t.Stop()
				return nil
			case <-t.C:
				wait = false
			case <-s.again:
			}
			t.Stop()
		}
	}
}

// next is when to check again.
func (s *Checker) next() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait := s.interval
	for _, k := range s.known {
		if k.Verdict == dnscheck.Fail && !k.Told {
			wait = min(wait, confirmAfter)
		}
	}
	return s.last.Time.Add(max(wait, freshFor))
}

// Last gives the newest result.
func (s *Checker) Last() Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Now checks, unless the last run has just ended, and gives the newest result.
// Whoever asks while a run is under way waits for it. The error says that the
// result could not be noted or told; it counts all the same.
func (s *Checker) Now(ctx context.Context) (Result, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return s.Last(), ctx.Err()
	}
	if last := s.Last(); !last.Time.IsZero() && time.Since(last.Time) < freshFor {
		return last, nil
	}
	began := time.Now()
	found := s.crew.run(ctx, s.c.Checks())
	if ctx.Err() != nil {
		return s.Last(), ctx.Err() // half a run says nothing
	}
	return s.judge(ctx, found, began)
}

// judge takes over the findings of a run.
func (s *Checker) judge(ctx context.Context, found []dnscheck.Finding, began time.Time) (Result, error) {
	now := time.Now().UTC()
	s.mu.Lock()
	r := Result{Time: now, Took: now.Sub(began).Seconds(), Findings: make([]Finding, 0, len(found))}
	before := maps.Clone(s.known)
	changes := s.compare(found, now)
	for _, f := range found {
		since := now
		if k, ok := s.known[keyOf(f)]; ok && f.Verdict == k.Verdict {
			since = k.Since
		}
		r.Findings = append(r.Findings, Finding{f, since})
	}
	s.last = r
	s.mu.Unlock()
	s.metrics.show(r)
	var events []event.Event
	for _, c := range changes {
		s.c.Log.Log(ctx, c.level(), "self-check", "check", c.Check, "subject", c.Subject, "verdict", c.Verdict, "found", c.Found)
		if c.told != "" {
			events = append(events, event.Event{Type: c.told, Time: now, Text: c.sentence()})
		}
	}
	if len(events) > 0 {
		if err := s.c.Tell(ctx, events...); err != nil {
			s.mu.Lock()
			s.known = before // so that the next run tells it
			s.mu.Unlock()
			return r, fmt.Errorf("telling what has changed: %w", err)
		}
	}
	return r, s.note(ctx, changes)
}
