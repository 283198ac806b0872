package bolt

import (
	"sync"
	"time"
)

// A queue holds requests until the committer takes them, many at once: while
// it writes and syncs one group, the next one gathers here.
//
// How a delivery ended is known to nobody but us, so its request is patient:
// it may wait a moment for one that somebody waits for, and ride with it in
// one frame and one sync. That is a bet, and made only where it was often seen
// to have paid: each time that it is lost, twice as often.
//
// Where more mail goes out than can be written down, outcomes pile up. They
// are taken a few at a time then, behind those that somebody waits for.
type queue struct {
	mu      sync.Mutex
	list    []*request
	patient []*request
	ripe    bool // the committer may take them
	closed  bool
	news    chan struct{} // has room for one

	since  time.Time   // when the first patient one began to wait; zero: none waits
	timer  *time.Timer // nil before the first
	armed  bool        // it runs, perhaps for a wait that is over: setting it costs more than letting it run
	passed time.Time   // when the last patient one went at once
	pays   int         // how often, in a row, waiting would have paid
	lost   int         // bets in a row
}

const (
	gatherFor  = 2 * time.Millisecond // how long a patient request waits
	gatherMost = 64                   // and for how many others
	patientTop = 256                  // patient requests in one group
	paysOften  = 16                   // before the first bet
	lostMost   = 6                    // lost bets that count
)

func (q *queue) put(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errClosed
	}
	waits := !q.since.IsZero()
	if !r.patient {
		q.list = append(q.list, r)
		q.heed(waits)
		q.ripen()
		return nil
	}
	q.patient = append(q.patient, r)
	switch {
	case q.ripe:
	case waits && len(q.patient) < gatherMost:
	case !waits && q.pays >= paysOften<<q.lost:
		q.wait()
	default:
		if !waits {
			q.passed = time.Now()
		}
		q.ripen()
	}
	return nil
}

// heed learns from a request that somebody waits for. q.mu is held.
func (q *queue) heed(won bool) {
	switch {
	case won:
		q.lost = 0
	case q.passed.IsZero():
	case time.Since(q.passed) < gatherFor:
		q.pays++
	default:
		q.pays = 0
	}
	q.passed = time.Time{}
}

// wait lets a patient request wait. q.mu is held.
func (q *queue) wait() {
	q.since = time.Now()
	switch {
	case q.armed:
	case q.timer == nil:
		q.timer = time.AfterFunc(gatherFor, q.late)
	default:
		q.timer.Reset(gatherFor)
	}
	q.armed = true
}

// late ends a wait that nobody joined.
func (q *queue) late() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.armed = false
	if q.since.IsZero() || q.closed {
		return
	}
	if left := gatherFor - time.Since(q.since); left > 0 { // it was set for an earlier one
		q.timer.Reset(left)
		q.armed = true
		return
	}
	q.lost, q.pays = min(q.lost+1, lostMost), 0
	q.ripen()
}

// ripen gives the list to the committer. q.mu is held.
func (q *queue) ripen() {
	q.ripe, q.since = true, time.Time{}
	select {
	case q.news <- struct{}{}:
	default:
	}
}

func (q *queue) take() []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.ripe && !q.closed {
		return nil
	}
	n := min(len(q.patient), patientTop)
	list := append(q.list, q.patient[:n]...)
	q.list, q.patient = nil, q.patient[n:]
	if q.ripe = len(q.patient) > 0; !q.ripe {
		q.patient = nil
	}
	return list
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	if len(q.list)+len(q.patient) > 0 {
		q.ripen()
	}
	q.closed = true
	if q.timer != nil {
		q.timer.Stop()
	}
	close(q.news)
}
