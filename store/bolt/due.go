package bolt

import (
	"container/list"
	"context"
	"errors"
	"math"
	"time"

	"homing/event"
	"homing/store"
)

// A flow is the work under one Key.
type flow struct {
	key     store.Key
	waiting ordered // not leased, by due time
	leased  int
	changed store.Mark
	place   *list.Element // in dueIndex.news
	emptied time.Time     // when it last ran out of work
}

func (f *flow) empty() bool { return f.waiting.n == 0 && f.leased == 0 }

func (f *flow) work() store.Work {
	w := store.Work{Key: f.key, Waiting: f.waiting.n, Leased: f.leased}
	if first, ok := f.waiting.first(); ok {
		w.Next = timeOf(first.at)
		if e := f.waiting.expires(); e != math.MaxInt64 {
			w.Expires = timeOf(e)
		}
	}
	return w
}

// A lease is a claim. One that ran out has lapsed: the recipient may be
// claimed by others, but as long as nobody did, its owner may still settle it.
type lease struct {
	fence  uint64
	until  int64
	item   item
	flow   *flow
	lapsed bool
	busy   bool  // the committer is settling it: not to be claimed by others
	missed *flow // of whoever would have claimed it meanwhile
}

func (l *lease) end(id event.DeliveryID) item { return item{at: l.until, id: uint64(id)} }

// A dueIndex is the due work and the leases, all in memory: about 32 octets a
// waiting recipient. Store.mu guards it.
type dueIndex struct {
	flows  map[store.Key]*flow
	news   *list.List // of *flow, the one that changed last at the end
	mark   store.Mark
	gone   []*flow // emptied, oldest first; kept a while so that Due can say so
	leases map[event.DeliveryID]*lease
	ends   ordered // leases that run, by their end
	fence  uint64
	bell   bell
	counts [store.Delivered]int // recipients without an outcome, by state
}

// goneKept is how long Due remembers that a Key has no work left.
const goneKept = 10 * time.Minute

func newDueIndex(fence uint64) *dueIndex {
	return &dueIndex{flows: map[store.Key]*flow{}, news: list.New(), leases: map[event.DeliveryID]*lease{}, fence: fence}
}

func (d *dueIndex) flow(key store.Key) *flow {
	f := d.flows[key]
	if f == nil {
		f = &flow{key: key}
		f.place = d.news.PushBack(f)
		d.flows[key] = f
	}
	return f
}

// touch notes that there is news about a flow.
func (d *dueIndex) touch(f *flow, now time.Time) {
	d.mark++
	f.changed = d.mark
	d.news.MoveToBack(f.place)
	if f.empty() {
		f.emptied = now
		d.gone = append(d.gone, f)
	}
	d.bell.ring()
}

// tidy forgets flows that have been empty for long.
func (d *dueIndex) tidy(now time.Time) {
	for len(d.gone) > 0 {
		f := d.gone[0]
		old := now.Sub(f.emptied) >= goneKept
		if f.empty() && !old {
			return
		}
		if f.empty() && d.flows[f.key] == f {
			delete(d.flows, f.key)
			d.news.Remove(f.place)
		}
		d.gone = d.gone[1:]
	}
}

// itemOf places a recipient in the order of due times. One that never
// expires has no Expires.
func itemOf(id event.DeliveryID, w waitRow) item {
	it := item{at: w.due, expires: w.expires, id: uint64(id)}
	if it.expires == math.MinInt64 {
		it.expires = math.MaxInt64
	}
	return it
}

// A dueChange is what a transaction does to the due work.
type dueChange struct {
	id       event.DeliveryID
	old, new waitRow // in a state other than Waiting: not due work
	keep     bool    // a lease goes on
}

func (d *dueIndex) change(c dueChange, now time.Time) {
	d.counts[c.old.state]--
	d.counts[c.new.state]++
	l := d.leases[c.id]
	if l != nil && c.keep && c.new.state == store.Waiting {
		d.replace(l, c, now)
		return
	}
	if c.old.state == store.Waiting {
		f := d.flow(c.old.key)
		if l != nil {
			d.drop(c.id, l)
		}
		f.waiting.remove(itemOf(c.id, c.old))
		if c.new.state != store.Waiting || c.new.key != c.old.key {
			d.touch(f, now)
		}
	}
	if c.new.state == store.Waiting {
		f := d.flow(c.new.key)
		f.waiting.put(itemOf(c.id, c.new))
		d.touch(f, now)
	}
}

// replace changes what is known of a leased recipient and keeps the lease.
func (d *dueIndex) replace(l *lease, c dueChange, now time.Time) {
	was, is := l.flow, d.flow(c.new.key)
	if l.lapsed {
		was.waiting.remove(l.item)
	} else {
		was.leased--
		is.leased++
	}
	l.flow, l.item = is, itemOf(c.id, c.new)
	if l.lapsed {
		is.waiting.put(l.item)
	}
	if was != is {
		d.touch(was, now)
	}
	d.touch(is, now)
}

// drop ends a lease without giving its recipient back.
func (d *dueIndex) drop(id event.DeliveryID, l *lease) {
	if !l.lapsed {
		d.ends.remove(l.end(id))
		l.flow.leased--
	}
	delete(d.leases, id)
}

// lapse gives back what ran out.
func (d *dueIndex) lapse(now time.Time) {
	for {
		end, ok := d.ends.takeDue(nanos(now))
		if !ok {
			return
		}
		l := d.leases[event.DeliveryID(end.id)]
		l.lapsed = true
		l.flow.leased--
		l.flow.waiting.put(l.item)
		d.touch(l.flow, now)
	}
}

// claim takes recipients for a LeaseRequest, the longest due first.
func (d *dueIndex) claim(r store.LeaseRequest) []store.Token {
	d.lapse(r.Now)
	f := d.flows[r.Key]
	if f == nil {
		return nil
	}
	var tokens []store.Token
	var busy []item
	now := nanos(r.Now)
	for len(tokens) < r.Max {
		it, ok := f.waiting.take(now, r.Expired)
		if !ok {
			break
		}
		id := event.DeliveryID(it.id)
		if l := d.leases[id]; l != nil && l.busy {
			l.missed = f
			busy = append(busy, it)
			continue
		}
		d.fence++
		l := &lease{fence: d.fence, until: nanos(r.Until), item: it, flow: f}
		d.leases[id] = l
		d.ends.put(l.end(id))
		f.leased++
		tokens = append(tokens, store.Token{Delivery: id, Fence: l.fence})
	}
	for _, it := range busy {
		f.waiting.put(it)
	}
	if len(tokens) > 0 {
		d.touch(f, r.Now)
	}
	return tokens
}

// extend moves the end of a lease; until zero gives it back.
func (d *dueIndex) extend(t store.Token, until, now time.Time) bool {
	l := d.leases[t.Delivery]
	if l == nil || l.fence != t.Fence {
		return false
	}
	switch {
	case l.lapsed && until.IsZero():
		delete(d.leases, t.Delivery)
		return true
	case l.lapsed: // nobody took it: it runs again
		l.flow.waiting.remove(l.item)
		l.flow.leased++
		l.lapsed = false
	default:
		d.ends.remove(l.end(t.Delivery))
	}
	if until.IsZero() {
		l.flow.leased--
		l.flow.waiting.put(l.item)
		delete(d.leases, t.Delivery)
		d.touch(l.flow, now)
		return true
	}
	l.until = nanos(until)
	d.ends.put(l.end(t.Delivery))
	return true
}

// since gives the work that changed after a mark.
func (d *dueIndex) since(mark store.Mark) []store.Work {
	if mark > d.mark {
		mark = 0 // of another Open
	}
	var list []store.Work
	for e := d.news.Back(); e != nil; e = e.Prev() {
		f := e.Value.(*flow)
		if f.changed <= mark {
			break
		}
		if mark > 0 || !f.empty() {
			list = append(list, f.work())
		}
	}
	return list
}

// Due implements store.Store.
func (s *Store) Due(ctx context.Context, since store.Mark) ([]store.Work, store.Mark, error) {
	for {
		work, mark, news, lapse := s.dueNow(since)
		if err := s.broken(ctx); err != nil {
			return nil, since, err
		}
		if len(work) > 0 || since == 0 && mark > 0 {
			return work, mark, nil
		}
		timer := time.NewTimer(lapse)
		select {
		case <-news:
		case <-timer.C:
		case <-ctx.Done():
		case <-s.failed.happened:
		case <-s.closing:
		}
		timer.Stop()
	}
}

// dueNow gives the news there is, and what to wait for when there is none.
func (s *Store) dueNow(since store.Mark) (work []store.Work, mark store.Mark, news <-chan struct{}, lapse time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.due.lapse(now)
	s.due.tidy(now)
	lapse = time.Hour
	if end, ok := s.due.ends.first(); ok {
		lapse = min(lapse, timeOf(end.at).Sub(now))
	}
	return s.due.since(since), s.due.mark, s.due.bell.wait(), lapse
}

// Lease implements store.Store.
func (s *Store) Lease(ctx context.Context, r store.LeaseRequest) ([]store.Lease, error) {
	if err := s.broken(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	tokens := s.due.claim(r)
	s.mu.Unlock()
	if len(tokens) == 0 {
		return nil, nil
	}
	leases := make([]store.Lease, 0, len(tokens))
	err := s.view(func(v *view) error {
		for _, t := range tokens {
			m, rc, err := v.recipient(t.Delivery)
			if errors.Is(err, store.ErrNotFound) || err == nil && rc.State != store.Waiting {
				continue // changed since, and with that the lease was lost
			}
			if err != nil {
				return err
			}
			leases = append(leases, store.Lease{Token: t, Message: m.Message, Recipient: rc})
		}
		return nil
	})
	if err != nil {
		return nil, s.giveBack(tokens, err)
	}
	return leases, nil
}

// giveBack ends leases that could not be handed out, and gives the cause.
func (s *Store) giveBack(tokens []store.Token, cause error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range tokens {
		s.due.extend(t, time.Time{}, s.now())
	}
	return cause
}

// Extend implements store.Store.
func (s *Store) Extend(ctx context.Context, until time.Time, tokens ...store.Token) error {
	if err := s.broken(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	now := s.now()
	for _, t := range tokens {
		if !s.due.extend(t, until, now) {
			err = store.ErrLeaseLost
		}
	}
	return err
}
