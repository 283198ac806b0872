package event

import (
	"math/rand/v2"
	"slices"
	"time"
)

// How long things take.
const (
	firstRetry = time.Second
	lastRetry  = 10 * time.Minute
	maxAfter   = time.Hour      // most that a receiver may ask us to wait
	probeEvery = time.Hour      // a paused sink
	patience   = 72 * time.Hour // then a sink is paused, a fact given up
	downAfter  = 4              // different facts that failed and none that was taken
)

// A State says whether a sink takes facts.
type State string

// The states of a sink.
const (
	Working State = "working"
	Failing State = "failing" // every telling fails; it is tried again with back-off
	Paused  State = "paused"  // it failed for three days, or asked to be left alone
)

// stateMoves lists every legal change of a State.
var stateMoves = map[State][]State{
	Working: {Failing, Paused},
	Failing: {Working, Paused},
	Paused:  {Working},
}

// health is what the tellings of one sink say about the sink. It does no I/O.
type health struct {
	state    State
	failing  time.Time      // since when every telling failed; zero: the last one succeeded
	success  time.Time      // the last one
	suspects map[ID]*fact   // failed since the last success, and not known to fail alone
	tries    int            // failures in a row while failing
	until    time.Time      // failing, paused: no telling before; zero: none at all
	judged   time.Time      // when until was set
	cause    string         // what the last failure said
	jitter   func() float64 // 0 to 1
}

// newHealth begins where a cursor ends. A sink that failed is probed at once.
func newHealth(c Cursor, now time.Time) *health {
	h := &health{state: Working, failing: c.Failing, suspects: map[ID]*fact{}, jitter: rand.Float64}
	switch {
	case c.Paused:
		h.state = Paused
	case !c.Failing.IsZero():
		h.state = Failing
	}
	h.until = now
	return h
}

// move is the only writer of state.
func (h *health) move(to State) bool {
	if !slices.Contains(stateMoves[h.state], to) {
		return false
	}
	h.state = to
	h.tries = 0
	return true
}

// open reports whether something may be told now.
func (h *health) open(now time.Time) bool {
	return h.state == Working || !h.until.IsZero() && !now.Before(h.until)
}

// succeeded notes that the sink took a fact or refused it for good. What had
// failed before failed alone, or, when the sink was failing, with all others:
// then it starts anew. With full, too many facts are parked for the sink to
// count as well. It reports whether the sink came back.
func (h *health) succeeded(now time.Time, full bool) (back bool) {
	h.success = now
	back = h.move(Working)
	if back || !full {
		h.failing = time.Time{}
	}
	if full && h.failing.IsZero() {
		h.failing = now
	}
	for _, f := range h.suspects {
		f.alone = true
		if back {
			f.since, f.due = now, now
		}
	}
	clear(h.suspects)
	return back
}

// failed notes that the sink did not take f, in a telling that began at start.
func (h *health) failed(f *fact, fail Failure, start, now time.Time) {
	h.cause = fail.Error()
	if h.failing.IsZero() {
		h.failing = now
	}
	if !f.alone {
		h.suspects[f.event.ID] = f
	}
	switch {
	case fail.Fault == Gone:
		h.move(Paused)
		h.until = time.Time{}
	case h.state == Paused && h.until.IsZero(): // asked to be left alone meanwhile
	case h.state != Working && !start.After(h.judged): // began before we knew
	case h.state == Paused || now.Sub(h.failing) >= patience:
		h.move(Paused)
		h.wait(now, probeEvery)
	case h.state == Failing || fail.Fault == Down || len(h.suspects) >= downAfter:
		h.move(Failing)
		h.wait(now, max(backoff(h.tries, h.jitter()), min(fail.After, maxAfter)))
		h.tries++
	}
}

// advice says when a paused sink is tried again.
func (h *health) advice() string {
	if h.until.IsZero() {
		return "It asked to be told no more: it is tried again at the next start or reload."
	}
	return "It is tried once an hour, and at the next start or reload."
}

func (h *health) wait(now time.Time, d time.Duration) { h.judged, h.until = now, now.Add(d) }

// hopeless reports whether f, which failed again just now, is to be given up:
// for three days it failed alone, and since the try before the sink took
// something else.
func (h *health) hopeless(f *fact, now time.Time) bool {
	return h.state == Working && f.alone && f.tries > 0 && now.Sub(f.since) >= patience && h.success.After(f.tried)
}

// backoff is how long to wait after tries failures and one more: 1 s, doubled
// each time, at most 10 min, a fifth more or less.
func backoff(tries int, jitter float64) time.Duration {
	d := lastRetry
	if tries < 10 {
		d = min(lastRetry, firstRetry<<tries)
	}
	return time.Duration(float64(d) * (0.8 + 0.4*jitter))
}
