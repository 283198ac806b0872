package delivery

import (
	"net/netip"
	"sync"
	"time"
)

// maxIdle is how many connections wait for more mail at most.
const maxIdle = 200

// A pool keeps connections open for a moment after their last message, so
// that the next job for the same hosts finds them.
type pool struct {
	mu      sync.Mutex
	idle    map[poolKey][]*idle
	waiting int
	closed  bool
	quits   sync.WaitGroup
}

// A poolKey says which connections are as good as each other: where the
// certificate counts, only those to a host of the same name.
type poolKey struct {
	source string
	at     netip.AddrPort
	policy policy
	name   string
}

func keyOf(h hop) poolKey {
	k := poolKey{source: h.source, at: h.at, policy: h.policy}
	if h.mode == Require {
		k.name = h.name
	}
	return k
}

type idle struct {
	*session
	timer *time.Timer
}

func newPool() *pool { return &pool{idle: map[poolKey][]*idle{}} }

// put keeps a session for d, or ends it where enough are kept.
func (p *pool) put(s *session, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.waiting >= maxIdle {
		p.quits.Go(s.quit)
		return
	}
	k := keyOf(s.hop)
	i := &idle{session: s}
	p.idle[k] = append(p.idle[k], i)
	p.waiting++
	p.quits.Add(1)
	i.timer = time.AfterFunc(d, func() {
		defer p.quits.Done()
		if p.remove(k, i) {
			s.quit()
		}
	})
}

// get gives a session to one of the hops that can still be used, the first
// hop's before the others', and by the name of that hop; nil when there is none.
func (p *pool) get(hops []hop) *session {
	for _, h := range hops {
		k := keyOf(h)
		for i := p.take(k); i != nil; i = p.take(k) {
			if i.Quiet() {
				i.rename(h)
				return i.session
			}
			i.quit() // it is over: this does not wait
		}
	}
	return nil
}

// take removes the session that waits for the shortest time.
func (p *pool) take(k poolKey) *idle {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle[k])
	if n == 0 {
		return nil
	}
	i := p.idle[k][n-1]
	p.drop(k, n-1)
	if i.timer.Stop() {
		p.quits.Done()
	}
	return i
}

// remove reports whether i was still there.
func (p *pool) remove(k poolKey, i *idle) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n, other := range p.idle[k] {
		if other == i {
			p.drop(k, n)
			return true
		}
	}
	return false
}

// drop takes the n-th session of a key away. The caller holds mu.
func (p *pool) drop(k poolKey, n int) {
	all := p.idle[k]
	copy(all[n:], all[n+1:])
	all[len(all)-1] = nil
	p.idle[k] = all[:len(all)-1]
	if len(all) == 1 {
		delete(p.idle, k)
	}
	p.waiting--
}

// close ends all sessions and waits until they have ended. Sessions that are
// put later end at once.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	for _, all := range p.idle {
		for _, i := range all {
			if i.timer.Stop() {
				p.quits.Go(i.quit)
				p.quits.Done() // in place of the timer
			}
		}
	}
	p.mu.Unlock()
	p.quits.Wait()
}
