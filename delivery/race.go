package delivery

import (
	"context"
	"net"
	"slices"
	"time"

	"homing/internal/reply"
	"homing/queue"
)

// How connections to the hosts of one preference race (after RFC 8305).
const (
	// headStart is how long a host is alone before the next one is tried
	// beside it. It is longer than any round trip on earth, so that no host
	// that is well sees a connection that is closed for nothing, and shorter
	// than the second after which a lost SYN is sent again.
	headStart = 500 * time.Millisecond

	maxRacing = 3 // connections that are being made at once for one job
)

// refill makes sure that there are hops to try, and reports whether there are.
// Hosts of a worse preference come only when all better ones have been given
// up (RFC 5321 section 5.1), and hosts that rest when nobody else is left.
func (w *worker) refill() bool {
	for len(w.hops) == 0 {
		hops := w.route.next(w.begin)
		if len(hops) == 0 {
			w.hops, w.tired = w.tired, nil
			break
		}
		if w.best == nil {
			w.best = hops
		}
		for _, h := range hops {
			if w.health.resting(h.at) {
				w.tired = append(w.tired, h)
			} else {
				w.hops = append(w.hops, h)
			}
		}
		w.hops = alternate(w.hops)
	}
	return len(w.hops) > 0
}

// alternate orders hops so that the families of their addresses take turns,
// IPv4 first. Within a family they stay in order.
func alternate(hops []hop) []hop {
	var four, six, out []hop
	for _, h := range hops {
		if h.at.Addr().Unmap().Is4() {
			four = append(four, h)
		} else {
			six = append(six, h)
		}
	}
	for i := range max(len(four), len(six)) {
		out = append(out, four[min(i, len(four)):min(i+1, len(four))]...)
		out = append(out, six[min(i, len(six)):min(i+1, len(six))]...)
	}
	return out
}

// reach connects to the first of the hops that answers, and puts it first. It
// gives nil when none did: then all are gone. Those that could not be reached
// go, and those that were too slow come last.
func (w *worker) reach(ctx context.Context) net.Conn {
	r := &race{worker: w, ended: make(chan attempt)}
	ctx, cancel := context.WithCancel(ctx)
	won := r.run(ctx)
	cancel()
	r.drain()
	var first, rest []hop
	for i, h := range w.hops {
		switch {
		case won.conn != nil && i == won.hop:
			first = append(first, h)
		case i >= r.begun:
			rest = append(rest, h)
		}
	}
	w.hops = slices.Concat(first, rest, r.slow)
	return won.conn
}

// A race is connections to several hops that are being made at once.
type race struct {
	*worker
	begun   int // of hops
	running int
	slow    []hop // that had not answered when another did
	ended   chan attempt
}

// An attempt is how one of them ended.
type attempt struct {
	hop    int
	began  time.Time
	conn   net.Conn
	failed *queue.Result
}

// run gives the first attempt that succeeds, or the zero attempt.
func (r *race) run(ctx context.Context) attempt {
	r.start(ctx)
	next := time.NewTimer(headStart)
	defer next.Stop()
	for r.running > 0 {
		select {
		case a := <-r.ended:
			r.running--
			if a.conn != nil {
				return a
			}
			r.lost(ctx, a)
		case <-next.C:
		}
		if ctx.Err() == nil && r.begun < len(r.hops) && r.running < maxRacing {
			r.start(ctx)
			next.Reset(headStart)
		}
	}
	return attempt{}
}

// start tries the next hop.
func (r *race) start(ctx context.Context) {
	i := r.begun
	r.begun++
	r.running++
	h, began := r.hops[i], time.Now()
	go func() {
		c, failed := r.dial(ctx, r.o, h)
		r.ended <- attempt{i, began, c, failed}
	}()
}

// lost is the end of an attempt that failed. One that we ended says nothing
// about the host.
func (r *race) lost(ctx context.Context, a attempt) {
	if ctx.Err() == nil {
		r.judge(r.hops[a.hop], a.failed)
	}
	r.blame(a.failed)
}

// drain waits for the attempts that another one has beaten, and closes those
// that came through meanwhile. A host that had no more time than any other has
// alone may be well.
func (r *race) drain() {
	for won := time.Now(); r.running > 0; r.running-- {
		a := <-r.ended
		h := r.hops[a.hop]
		r.slow = append(r.slow, h)
		switch {
		case a.conn != nil:
			a.conn.Close()
		case r.begin.Err() == nil && won.Sub(a.began) >= headStart:
			r.health.missed(h.at)
		}
	}
}

// judge remembers whether a host talks to us.
func (w *worker) judge(h hop, failed *queue.Result) {
	switch {
	case failed == nil || failed.Stage != reply.Connect && failed.Stage != reply.EHLO:
		w.health.well(h.at)
	case w.begin.Err() == nil:
		w.health.missed(h.at)
	}
}
