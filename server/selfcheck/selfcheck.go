// Package selfcheck runs checks at the start, on a schedule and on demand,
// remembers how they ended, and tells what has changed. What is checked comes
// from elsewhere.
package selfcheck

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homing/dnscheck"
	"homing/event"
	"homing/store"
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

// Config is what a Checker is made of.
type Config struct {
	Checks  func() []Check // asked before each run
	Notes   store.Notes
	Tell    func(ctx context.Context, events ...event.Event) error // makes check_failed and check_recovered durable facts
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: not counted anywhere
	Now     func() time.Time      // what people call now, which may jump: waits do not go by it; nil: time.Now
}

// A Checker runs checks. Its methods may be called from any goroutine; Run
// once.
type Checker struct {
	c       Config
	crew    crew
	metrics *metrics
	news    chan struct{} // something that next goes by has changed

	mu       sync.Mutex
	interval time.Duration
	last     Result
	ended    time.Time // when the last run did, by the clock that never jumps
	round    *round    // that is under way or asked for; nil: none
	over     bool      // Run has ended
	known    map[string]standing
	past     []Change // newest last
	unnoted  notes
}

// A round is a run that somebody may wait for.
type round struct {
	ended chan struct{}
	err   error // why it came to no result, once it has ended
}

// New makes a Checker that goes by what an earlier one has noted.
func New(ctx context.Context, c Config) (*Checker, error) {
	s := &Checker{c: c, metrics: newMetrics(c.Metrics), news: make(chan struct{}, 1)}
	if s.c.Now == nil {
		s.c.Now = time.Now
	}
	return s, s.recall(ctx)
}

// SetInterval says how long to wait between runs, from now on.
func (s *Checker) SetInterval(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.interval = d
	s.wake()
}

func (s *Checker) wake() {
	select {
	case s.news <- struct{}{}:
	default: // it is there already
	}
}

// Times of a Checker.
const (
	// confirmAfter is how long after a run with a new failure the next one
	// comes: a failure is told when a run so much later has it still.
	confirmAfter = time.Minute
	// freshFor is how long a result counts as that of now: whoever asks
	// sooner gets it again, so that nobody can use us to ask others.
	freshFor = 10 * time.Second
	// noteTime is how long it may take to tell and note what a run has found.
	noteTime = 10 * time.Second
)

// errOver says that there will be no run any more.
var errOver = errors.New("selfcheck: the server is stopping")

// Run checks now, and again and again until ctx ends. A check that does not
// heed its context is left behind then.
func (s *Checker) Run(ctx context.Context) error {
	defer s.crew.leave()
	defer s.end()
	for {
		s.run(ctx)
		for {
			wait := s.next()
			if wait <= 0 {
				break
			}
			t := time.NewTimer(wait)
			select {
			case <-ctx.Done():
				t.Stop()
				return nil
			case <-t.C:
			case <-s.news:
			}
			t.Stop()
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// run makes one run for all who wait for one.
func (s *Checker) run(ctx context.Context) {
	s.mu.Lock()
	if s.round == nil {
		s.round = &round{ended: make(chan struct{})}
	}
	s.mu.Unlock()
	began := time.Now()
	found := s.crew.run(ctx, s.c.Checks())
	err := ctx.Err() // half a run says nothing
	if err == nil {
		s.judge(ctx, found, time.Since(began))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finish(err)
}

// finish lets go whoever waits for the round. s.mu is held.
func (s *Checker) finish(err error) {
	if s.round != nil {
		s.round.err = err
		close(s.round.ended)
		s.round = nil
	}
}

func (s *Checker) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.finish(errOver)
}

// next is how long to wait for the next run. The longer a failure can be
// neither confirmed nor refuted, the longer it is until that is tried again.
func (s *Checker) next() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.round != nil {
		return 0
	}
	wait := s.interval
	for _, k := range s.known {
		if k.Verdict == dnscheck.Fail && !k.Told {
			wait = min(wait, confirmAfter<<min(k.doubts, 10))
		}
	}
	return time.Until(s.ended.Add(max(wait, freshFor)))
}

// Last gives the newest result.
func (s *Checker) Last() Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Now has Run check, unless the last run has just ended, and gives the newest
// result. Whoever asks while a run is under way waits for it; who goes away
// ends none. An error says that there is no result of now.
func (s *Checker) Now(ctx context.Context) (Result, error) {
	s.mu.Lock()
	if s.over {
		defer s.mu.Unlock()
		return s.last, errOver
	}
	if s.round == nil && !s.ended.IsZero() && time.Since(s.ended) < freshFor {
		defer s.mu.Unlock()
		return s.last, nil
	}
	if s.round == nil {
		s.round = &round{ended: make(chan struct{})}
		s.wake()
	}
	waits := s.round
	s.mu.Unlock()
	select {
	case <-waits.ended:
		return s.Last(), waits.err
	case <-ctx.Done():
		return s.Last(), ctx.Err()
	}
}

// judge takes over the findings of a run, and tells what has changed. What
// could not be told or noted is tried again with the next run.
func (s *Checker) judge(ctx context.Context, found []dnscheck.Finding, took time.Duration) {
	now := s.c.Now().UTC()
	s.mu.Lock()
	s.ended = time.Now()
	before := maps.Clone(s.known)
	changes := s.compare(found, now)
	s.last = s.resultOf(found, now, took)
	r := s.last
	s.mu.Unlock()
	s.metrics.show(r)
	s.log(ctx, found, changes)
	// What is told must be noted as well, or it would be told again after a
	// restart.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	if events := eventsOf(changes); len(events) > 0 {
		if err := s.c.Tell(ctx, events...); err != nil {
			s.c.Log.Error("what has changed in the self-check could not be told", "err", err)
			s.mu.Lock()
			s.known = before
			s.mu.Unlock()
			return
		}
	}
	if err := s.note(ctx, changes); err != nil {
		s.c.Log.Error("the result of the self-check could not be noted", "err", err)
	}
}

// resultOf makes a result of findings. s.mu is held.
func (s *Checker) resultOf(found []dnscheck.Finding, now time.Time, took time.Duration) Result {
	r := Result{Time: now, Took: took.Seconds(), Findings: make([]Finding, 0, len(found))}
	for _, f := range found {
		since := now
		if k, ok := s.known[keyOf(f)]; ok && f.Verdict == k.Verdict {
			since = k.Since
		}
		r.Findings = append(r.Findings, Finding{f, since})
	}
	return r
}

func (s *Checker) log(ctx context.Context, found []dnscheck.Finding, changes []Change) {
	for _, f := range found {
		if f.Check == Unfinished {
			s.c.Log.Warn("a check gave no finding", "check", f.Subject, "found", f.Found)
		}
	}
	for _, c := range changes {
		s.c.Log.Log(ctx, c.level(), "self-check", "check", c.Check, "subject", c.Subject, "verdict", c.Verdict, "found", c.Found)
	}
}
