package delivery

import (
	"sync"
	"time"

	"homing/internal/smtpclient"
	"homing/queue"
)

// maxLosses is how many fresh connections in a row may end without one
// message being answered before a job gives up its slot.
const maxLosses = 2

// A worker does one job. Only what becomes of items that have ended goes on
// in other goroutines.
type worker struct {
	*Delivery
	times
	o         *Options
	job       *queue.Job
	smarthost *Smarthost // that all of the job goes to; nil: to the MXs of its domain
	began     time.Time
	supply    supply
	needs     needs // of the items in supply; others are put aside

	route    *route
	best     []hop         // of the first preference that has any
	hops     []hop         // that are left to try; the first one worked last
	tired    []hop         // that rest: to try when no other is left
	failed   *queue.Result // why the hops before could not be used
	careful  bool          // no pipelining: it seems broken
	current  *session
	reused   bool // current was idle in the pool before
	located  bool // the queue knows where the mail goes
	answered bool // current has answered for a message

	settling sync.WaitGroup
	room     chan struct{}
}

// do takes a job to its end.
func (d *Delivery) do(t times, j *queue.Job) {
	w := &worker{Delivery: d, times: t, o: d.options.Load(), job: j, began: time.Now(),
		room: make(chan struct{}, maxSettling)}
	w.smarthost = w.o.Smarthosts[j.Via]
	if w.smarthost == nil && j.Via != "" {
		d.Queue.Finish(j) // the configuration has just changed: it goes another way
		return
	}
	w.take(j.Items)
	for w.run(); w.takeTurns(); w.run() {
	}
	w.putDown()
	w.settling.Wait()
	d.Queue.Finish(j)
}

// run sends over one connection after another until nothing is left to send.
func (w *worker) run() {
	for fresh, losses := false, 0; w.any() && losses < maxLosses; fresh = true {
		s, failed := w.session(fresh)
		switch {
		case failed != nil:
			w.failAll(failed)
			return
		case s == nil:
			return // shutting down, or it is not our turn
		}
		why := w.send(s)
		if why == nil && !w.used(s) {
			w.pool.put(s, w.o.Timeouts.Idle)
			return
		}
		s.quit()
		if why == nil {
			continue
		}
		if w.answered {
			losses = 0
		} else if !w.reused {
			losses++
		}
	}
}

// used reports whether a connection has carried as many messages as one may.
func (w *worker) used(s *session) bool {
	return w.job.PerConnection > 0 && s.carried >= w.job.PerConnection
}

// locate tells the queue once where the mail goes, and reports whether some of
// it may be sent there now. What may not goes back when the job ends.
func (w *worker) locate() bool {
	if w.located {
		return true
	}
	w.located = true
	may := w.Queue.Locate(w.job, hostsOf(w.best))
	if may < len(w.job.Items) {
		w.supply.limit(may)
	}
	return may > 0
}

// send sends what there is over a session. When the session ends before that,
// it says why.
func (w *worker) send(s *session) *smtpclient.Outcome {
	w.current, w.answered = s, false
	left, why := s.Deliver(w.next)
	w.supply.back(left)
	if w.careful && w.answered {
		w.health.learn(s.at, pipeliningFailed)
	}
	w.careful = w.careful || s.Doubtful()
	return why
}

// session gives a connection that mail can be sent over: an idle one, unless
// it must be fresh, or else a new one to the best host that can be used. It
// gives nil when time is up, and when the site takes no more now.
func (w *worker) session(fresh bool) (*session, *queue.Result) {
	if w.route == nil {
		if failed := w.resolve(); failed != nil {
			return nil, w.unlessStopped(failed)
		}
	}
	for w.reused = false; w.begin.Err() == nil; {
		if !w.refill() {
			return nil, w.unlessStopped(w.nowhere())
		}
		if !w.locate() {
			return nil, nil
		}
		for i := range w.hops {
			w.hops[i].source = w.job.Source
		}
		if !fresh {
			if s := w.pool.get(w.hops); s != nil {
				w.reused = true
				w.Metrics.reused.Inc()
				w.widen(s)
				return s, nil
			}
		}
		// Nobody waits at a shutdown for what is only about to begin.
		c := w.reach(w.begin)
		if c == nil {
			continue
		}
		s, failed := w.open(w.begin, w.o, w.hops[0], c, w.careful)
		w.judge(w.hops[0], failed)
		if failed == nil && s.keep(w.work) {
			w.widen(s)
			return s, nil
		}
		if failed == nil {
			break
		}
		w.hops = w.hops[1:]
		w.blame(failed)
	}
	return nil, nil
}

// unlessStopped gives a failure only where it is not our own shutdown.
func (w *worker) unlessStopped(r *queue.Result) *queue.Result {
	if w.begin.Err() != nil {
		return nil
	}
	return r
}

func (w *worker) resolve() (failed *queue.Result) {
	if s := w.smarthost; s != nil {
		w.route = s.route(w.Resolver, w.o)
	} else if w.route, failed = w.routeWithPolicy(w.job.Domain); failed != nil {
		return failed
	}
	w.route.needs = w.needs
	return nil
}

// blame notes why a host cannot be used. The last one tried decides, but what
// may be better tomorrow counts more than what will not.
func (w *worker) blame(r *queue.Result) {
	if w.failed == nil || r.Reply.Temporary() || !w.failed.Reply.Temporary() {
		w.failed = r
	}
}

// nowhere is the outcome when no host is left.
func (w *worker) nowhere() *queue.Result {
	if why := w.route.why; why != nil && (w.failed == nil || !w.failed.Reply.Temporary() && why.Reply.Temporary()) {
		w.failed = why
	}
	return w.failed
}
