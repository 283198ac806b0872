// Package shape decides what may be sent next: which key is due, whether its
// site has a free slot, and who goes first. It is pure bookkeeping: it starts
// nothing, waits for nothing and reads no clock, so that half a million
// recipients can be simulated without a goroutine.
package shape

import (
	"container/heap"
	"container/list"
	"time"

	"homing/store"
)

// Limits bound what is sent at once.
type Limits struct {
	Total   int                        // slots altogether
	PerSite int                        // slots at one site
	Batch   int                        // recipients for one slot at a time
	Site    func(domain string) string // which domains share a next hop; nil: each is its own site

	// Patience is how long nothing may happen in a slot before it no longer
	// counts among Total; 0: for ever. Stalled is how many such slots there
	// may be.
	Patience time.Duration
	Stalled  int
}

// A Shaper holds what is waiting, by key, and who is being served. The zero
// value is not ready: see New. It is for one goroutine.
type Shaper struct {
	limits  Limits
	keys    map[store.Key]*entry
	sites   map[string]*site
	later   dueHeap           // keys whose earliest recipient is not due yet
	ready   [lanes]*list.List // *site with due keys and no slot, who waits longest first
	more    [lanes]*list.List // the same for sites that have slots and may have more
	lively  *list.List        // *slot that have not stalled, who was silent longest first
	active  int               // slots, those included that have stalled
	stalled int
	waiting int
}

// lanes is how many lanes there are; lane 0 goes first.
const lanes = 2

// A site is a next hop: its slots, and the keys that are due there.
type site struct {
	name    string
	active  int
	stalled int                  // of active
	news    time.Time            // when it last answered
	stuck   time.Time            // when the youngest slot that ever stalled was taken
	due     [lanes]*list.List    // *entry, who waits longest first
	elem    [lanes]*list.Element // in Shaper.ready or Shaper.more, or nil
	line    [lanes]*list.List    // which of the two
}

type entry struct {
	work  store.Work
	site  string
	elem  *list.Element // in site.due, or nil
	index int           // in later, or -1
	fresh bool          // updated since it was picked
	busy  bool          // picked and not yet leased
}

// A Pick is a slot at a site and what to use it for.
type Pick struct {
	Key  store.Key
	Site string
	Max  int // recipients to lease

	slot *slot
}

// New makes a Shaper that knows of no work.
func New(limits Limits) *Shaper {
	s := &Shaper{limits: limits, keys: map[store.Key]*entry{}, sites: map[string]*site{}, lively: list.New()}
	for lane := range s.ready {
		s.ready[lane], s.more[lane] = list.New(), list.New()
	}
	return s
}

// SetLimits replaces the limits. Slots already taken stay taken.
func (s *Shaper) SetLimits(l Limits) {
	s.limits = l
	for _, at := range s.sites {
		s.settle(at)
	}
}

// Update takes news of one key.
func (s *Shaper) Update(w store.Work, now time.Time) {
	e := s.keys[w.Key]
	if e == nil {
		e = &entry{site: w.Domain, index: -1}
		if s.limits.Site != nil {
			e.site = s.limits.Site(w.Domain)
		}
		s.keys[w.Key] = e
	}
	s.waiting += w.Waiting + w.Leased - e.work.Waiting - e.work.Leased
	e.work, e.fresh = w, true
	if !e.busy {
		s.place(e, now)
	}
	if w.Waiting == 0 && w.Leased == 0 && !e.busy {
		delete(s.keys, w.Key)
	}
}

// place puts an entry where its work says that it belongs: in line at its
// site, among those due later, or nowhere.
func (s *Shaper) place(e *entry, now time.Time) {
	due := e.work.Waiting > 0 && !e.work.Next.After(now)
	if due && e.elem != nil {
		return // it keeps its place in line
	}
	s.remove(e)
	switch {
	case e.work.Waiting == 0:
	case due:
		s.enqueue(e)
	default:
		heap.Push(&s.later, e)
	}
}

func (e *entry) lane() int { return min(int(e.work.Lane), lanes-1) }

func (s *Shaper) enqueue(e *entry) {
	at := s.sites[e.site]
	if at == nil {
		at = &site{name: e.site}
		for lane := range at.due {
			at.due[lane] = list.New()
		}
		s.sites[e.site] = at
	}
	e.elem = at.due[e.lane()].PushBack(e)
	s.settle(at)
}

func (s *Shaper) remove(e *entry) {
	if e.index >= 0 {
		heap.Remove(&s.later, e.index)
	}
	if e.elem != nil {
		at := s.sites[e.site]
		at.due[e.lane()].Remove(e.elem)
		e.elem = nil
		s.settle(at)
	}
}

// settle makes a site stand in line exactly where it has due keys and a free
// slot, and forgets a site that has nothing.
func (s *Shaper) settle(at *site) {
	idle := at.active == 0
	for lane, due := range at.due {
		wants := due.Len() > 0 && at.active < s.limits.PerSite && !at.silent()
		line := s.ready[lane]
		if at.active > 0 {
			line = s.more[lane]
		}
		if at.elem[lane] != nil && (!wants || at.line[lane] != line) {
			at.leave(lane)
		}
		if wants && at.elem[lane] == nil {
			at.elem[lane], at.line[lane] = line.PushBack(at), line
		}
		idle = idle && due.Len() == 0
	}
	if idle {
		delete(s.sites, at.name)
	}
}

// leave takes a site out of the line that it stands in.
func (at *site) leave(lane int) {
	at.line[lane].Remove(at.elem[lane])
	at.elem[lane], at.line[lane] = nil, nil
}

// front gives the site whose turn it is. Sites without a slot go before those
// that have some, and the second half of all slots is for them alone: however
// much mail waits for a few sites that hang, the others are served.
func (s *Shaper) front() (at *site, lane int) {
	for lane := range lanes {
		if e := s.ready[lane].Front(); e != nil {
			return e.Value.(*site), lane
		}
		if e := s.more[lane].Front(); e != nil && s.counted() < (s.limits.Total+1)/2 {
			return e.Value.(*site), lane
		}
	}
	return nil, 0
}

// Next takes a slot for a key that is due. Without one it says when to ask
// again (zero: not before news or Finish). Every Pick must be followed by
// Leased, by Answered whenever the site answers, and in the end by Finish.
func (s *Shaper) Next(now time.Time) (p Pick, wake time.Time, ok bool) {
	for len(s.later) > 0 && !s.later[0].work.Next.After(now) {
		s.enqueue(heap.Pop(&s.later).(*entry))
	}
	s.stall(now)
	if s.counted() < s.limits.Total {
		if at, lane := s.front(); at != nil {
			return s.take(at, lane, now), time.Time{}, true
		}
	}
	if s.inLine() > 0 {
		wake = s.nextStall()
	}
	if len(s.later) > 0 && (wake.IsZero() || s.later[0].work.Next.Before(wake)) {
		wake = s.later[0].work.Next
	}
	return Pick{}, wake, false
}

// take claims a slot at a site for the key that waits longest there. The site
// goes to the end of the line.
func (s *Shaper) take(at *site, lane int, now time.Time) Pick {
	at.leave(lane)
	e := at.due[lane].Remove(at.due[lane].Front()).(*entry)
	e.elem, e.fresh, e.busy = nil, false, true
	// What waits is shared among the free slots, so that a short queue
	// does not crawl over one connection.
	free := s.limits.PerSite - at.active
	share := (e.work.Waiting + free - 1) / free
	t := s.open(at, now)
	s.settle(at)
	return Pick{Key: e.work.Key, Site: at.name, Max: min(max(share, 1), s.limits.Batch), slot: t}
}

// Leased says how many recipients a Pick brought. A full share means that
// there may be more: the key stands in line again.
func (s *Shaper) Leased(p Pick, got int, now time.Time) {
	e := s.keys[p.Key]
	if e == nil {
		return
	}
	e.busy = false
	switch {
	case e.fresh:
		s.Update(e.work, now)
	case got >= p.Max:
		s.enqueue(e)
	}
}

// Crowded reports whether somebody waits for a slot while all are taken.
func (s *Shaper) Crowded() bool {
	return s.counted() >= s.limits.Total && s.inLine() > 0
}

// inLine counts the sites that would take another slot, for each lane in which
// they would.
func (s *Shaper) inLine() (count int) {
	for lane := range lanes {
		count += s.ready[lane].Len() + s.more[lane].Len()
	}
	return count
}

// Active is the number of slots taken.
func (s *Shaper) Active() int { return s.active }

// Waiting is the number of recipients known to wait or to be on their way.
func (s *Shaper) Waiting() int { return s.waiting }

// dueHeap has the key on top that is due first.
type dueHeap []*entry

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].work.Next.Before(h[j].work.Next) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *dueHeap) Push(x any) {
	e := x.(*entry)
	e.index = len(*h)
	*h = append(*h, e)
}
func (h *dueHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	e.index = -1
	return e
}
