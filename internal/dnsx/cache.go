package dnsx

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// A key is a question.
type key struct {
	name  string // canonical, with the final dot
	qtype uint16
}

func (k key) String() string { return dns.TypeToString[k.qtype] + " " + plain(k.name) }

// A cache keeps answers until they are too old or too many, and sees to it
// that one question is asked once at a time, however many want to know.
type cache struct {
	now func() time.Time
	max int // answers

	mu      sync.Mutex
	entries map[key]*list.Element // of *entry
	recent  *list.List            // the front was used last
	flights map[key]*flight
}

type entry struct {
	key     key
	answer  *answer
	expires time.Time
}

// A flight is a question that is being asked. It belongs to those who wait
// for it: when the last of them leaves, it ends.
type flight struct {
	cancel  context.CancelFunc
	waiting int           // guarded by cache.mu
	done    chan struct{} // closed when answer is set
	answer  *answer
}

func newCache(limit int, now func() time.Time) *cache {
	return &cache{now: now, max: limit, entries: map[key]*list.Element{}, recent: list.New(), flights: map[key]*flight{}}
}

// get gives the answer to k, from memory or from ask. The context that ask
// gets ends when nobody waits any more; what it answered then is not kept.
func (c *cache) get(ctx context.Context, k key, ask func(context.Context) *answer) *answer {
	c.mu.Lock()
	if a := c.fresh(k); a != nil {
		c.mu.Unlock()
		return a
	}
	f := c.flights[k]
	if f == nil {
		f = c.start(ctx, k, ask)
	}
	f.waiting++
	c.mu.Unlock()

	select {
	case <-f.done:
		return f.answer
	case <-ctx.Done():
		c.leave(k, f)
		return failed(k, ctx.Err())
	}
}

// fresh gives an answer that is still good, or nil.
func (c *cache) fresh(k key) *answer {
	e, ok := c.entries[k]
	if !ok {
		return nil
	}
	if c.now().Before(e.Value.(*entry).expires) {
		c.recent.MoveToFront(e)
		return e.Value.(*entry).answer
	}
	c.remove(e)
	return nil
}

func (c *cache) remove(e *list.Element) {
	delete(c.entries, e.Value.(*entry).key)
	c.recent.Remove(e)
}

// start asks in a goroutine of its own. c.mu is held.
func (c *cache) start(ctx context.Context, k key, ask func(context.Context) *answer) *flight {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight{cancel: cancel, done: make(chan struct{})}
	c.flights[k] = f
	go func() {
		defer cancel()
		defer close(f.done)
		f.answer = ask(ctx)
		c.land(k, f)
	}()
	return f
}

// land keeps the answer of a flight that somebody still waits for.
func (c *cache) land(k key, f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[k] != f {
		return
	}
	delete(c.flights, k)
	if e, ok := c.entries[k]; ok {
		c.remove(e)
	}
	c.entries[k] = c.recent.PushFront(&entry{k, f.answer, c.now().Add(f.answer.ttl)})
	for len(c.entries) > c.max {
		c.remove(c.recent.Back())
	}
}

// leave gives up waiting. The last one to leave ends the flight and waits
// until it has ended.
func (c *cache) leave(k key, f *flight) {
	c.mu.Lock()
	f.waiting--
	last := f.waiting == 0
	if last && c.flights[k] == f {
		delete(c.flights, k)
	}
	c.mu.Unlock()
	if last {
		f.cancel()
		<-f.done
	}
}
