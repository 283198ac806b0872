// Package shape decides what may be sent next: which key is due, whether its
// site takes one more dialogue, from which of our addresses, and who goes
// first. It is pure bookkeeping: it starts nothing, waits for nothing and reads
// no clock, so that half a million recipients can be simulated without a
// goroutine.
package shape

import (
	"cmp"
	"container/heap"
	"container/list"
	"maps"
	"time"

	"homing/store"
)

// Limits bound what is sent at once.
type Limits struct {
	Total   int             // slots altogether
	PerSite int             // slots at a site without a Rule, from each source
	Batch   int             // recipients for one slot at a time
	Rules   map[string]Rule // by site
	Sources []string        // the addresses we send from; none: one without a name

	// Via are the sites where all mail of a sending domain goes, whatever the
	// domains of its recipients; that of "" counts for all other domains.
	// Without any, mail goes to the sites of its recipients. What the sites of
	// Via put up with counts for all Sources together, and Allowance not there.
	Via map[string]string

	// Allowance is how many messages a source may send to a site on a day of
	// UTC that is one of its first there: 0 is the first, and only days count
	// on which it sent half of what it might. Below 0, and without it, it may
	// send as many as it likes.
	Allowance func(source string, day int) int

	// Patience is how long nothing may happen in a slot before it no longer
	// counts among Total; 0: for ever. Stalled is how many such slots there
	// may be.
	Patience time.Duration
	Stalled  int
}

// A Rule is what a site puts up with from one source address.
type Rule struct {
	Connections   int  // dialogues at once
	PerConnection int  // messages over one connection; 0: no limit
	Rate          Rate // messages in a length of time
}

// rule is the Rule of a site.
func (l Limits) rule(site string) Rule {
	r := l.Rules[site]
	if r.Connections == 0 {
		r.Connections = l.PerSite
	}
	return r
}

// Through is the site where all mail of a sending domain goes; "": there is none.
func (l Limits) Through(sending string) string {
	if site, ok := l.Via[sending]; ok {
		return site
	}
	return l.Via[""]
}

// relays reports whether a site is one of Via.
func (l Limits) relays(site string) bool {
	for _, via := range l.Via {
		if via == site {
			return true
		}
	}
	return false
}

// A Shaper holds what is waiting, by key, and who is being served. The zero
// value is not ready: see New. It is for one goroutine.
type Shaper struct {
	limits  Limits
	paused  func(k store.Key, site string) bool
	keys    map[store.Key]*entry
	domains map[destination]*domain
	sites   map[string]*site
	past    map[string]string // where domains were before a restart, until somebody says where they are
	later   byTime[*entry]    // keys whose earliest recipient is not due yet
	timers  byTime[*site]     // sites that may take more only after a time
	ready   [lanes]*list.List // *site with due keys and no slot, who waits longest first
	more    [lanes]*list.List // the same for sites that have slots and may have more
	lively  *list.List        // *slot that have not stalled, who was silent longest first
	bulk    *list.List        // *slot of lanes after the first that have not been asked to end, oldest first
	active  int               // slots, those included that have stalled
	stalled int
	waiting int
}

// lanes is how many lanes there are; lane 0 goes first.
const lanes = 2

// A destination is what keys have in common that go to the same site: the
// domain of the recipients, or else the site that all their mail goes to.
type destination struct{ domain, via string }

// A domain is a destination, where it is, and what goes there.
type domain struct {
	destination
	at   string // name of the site
	keys map[*entry]bool
}

type entry struct {
	work   store.Work
	domain *domain
	in     *campaign     // in a line of its site, or nil
	elem   *list.Element // in campaign.entries, or nil
	index  int           // in later, or -1
	fresh  bool          // updated since it was picked
	busy   bool          // picked and not yet leased
	paused bool
}

func (e *entry) lane() int { return min(int(e.work.Lane), lanes-1) }

// A Pick is a slot at a site and what to use it for.
type Pick struct {
	Key    store.Key
	Site   string
	Source string // which of Limits.Sources to send from
	Max    int    // recipients to lease
	Rule   Rule   // of the site
	Via    string // Site, where Limits.Via says so; else ""

	slot *slot
}

// New makes a Shaper that knows of no work.
func New(limits Limits) *Shaper {
	s := &Shaper{limits: limits, keys: map[store.Key]*entry{}, domains: map[destination]*domain{}, sites: map[string]*site{},
		lively: list.New(), bulk: list.New()}
	for lane := range s.ready {
		s.ready[lane], s.more[lane] = list.New(), list.New()
	}
	return s
}

// SetLimits replaces the limits. Slots already taken stay taken.
func (s *Shaper) SetLimits(l Limits, now time.Time) {
	same := maps.Equal(l.Via, s.limits.Via)
	s.limits = l
	for _, at := range s.sites {
		s.equip(at)
		s.settle(at, now)
	}
	if !same {
		s.redirect(now)
	}
}

// redirect has keys wait where the limits send them.
func (s *Shaper) redirect(now time.Time) {
	for k, e := range s.keys {
		to := s.destination(k)
		if to == e.domain.destination {
			continue
		}
		s.remove(e, now)
		s.part(e)
		s.join(e, to)
		if !e.busy {
			s.place(e, now)
		}
	}
}

// SetPaused replaces what is paused: keys of which paused says so wait until
// the next SetPaused. The name of a site that nobody has told is the domain.
func (s *Shaper) SetPaused(paused func(k store.Key, site string) bool, now time.Time) {
	s.paused = paused
	for _, e := range s.keys {
		if !e.busy {
			s.place(e, now)
		}
	}
	for _, at := range s.sites {
		for _, p := range at.paths {
			for t := range p.slots {
				if paused != nil && paused(t.key, at.name) {
					s.ask(t)
				}
			}
		}
	}
}

// destination is where work under a key goes.
func (s *Shaper) destination(k store.Key) destination {
	if via := s.limits.Through(k.Sending); via != "" {
		return destination{via: via}
	}
	return destination{domain: k.Domain}
}

// home is the site of a destination as long as nobody has said where it is.
func (s *Shaper) home(d destination) string { return cmp.Or(d.via, s.past[d.domain], d.domain) }

// Update takes news of one key.
func (s *Shaper) Update(w store.Work, now time.Time) {
	e := s.keys[w.Key]
	if e == nil {
		e = s.enter(w.Key)
	}
	s.waiting += w.Waiting + w.Leased - e.work.Waiting - e.work.Leased
	e.work, e.fresh = w, true
	if !e.busy {
		s.place(e, now)
	}
	if w.Waiting == 0 && w.Leased == 0 && !e.busy {
		s.leave(e)
	}
}

func (s *Shaper) enter(k store.Key) *entry {
	e := &entry{index: -1}
	s.join(e, s.destination(k))
	s.keys[k] = e
	return e
}

func (s *Shaper) leave(e *entry) {
	delete(s.keys, e.work.Key)
	s.part(e)
}

// join makes an entry one of those that go to a destination.
func (s *Shaper) join(e *entry, to destination) {
	d := s.domains[to]
	if d == nil {
		d = &domain{destination: to, at: s.home(to), keys: map[*entry]bool{}}
		s.domains[to] = d
	}
	e.domain, d.keys[e] = d, true
}

// part is the end of join.
func (s *Shaper) part(e *entry) {
	delete(e.domain.keys, e)
	if len(e.domain.keys) == 0 {
		delete(s.domains, e.domain.destination)
	}
}

// Locate says at which site a domain is. Its keys move there, and so does the
// slot of a Pick for it: the Pick that is returned is to be used from then on,
// for up to its Max recipients of those that were leased; 0: the site takes no
// more now, so give back everything and Finish. A Pick that has Via stays there.
func (s *Shaper) Locate(p Pick, site string, now time.Time) Pick {
	if p.Via != "" {
		return p
	}
	delete(s.past, p.Key.Domain)
	if d := s.domains[destination{domain: p.Key.Domain}]; d != nil {
		s.move(d, site, now)
	}
	if p.Site == site {
		return p
	}
	return s.reseat(p, site, now)
}

// move has the keys of a domain wait at another site.
func (s *Shaper) move(d *domain, site string, now time.Time) {
	if d.at == site {
		return
	}
	for e := range d.keys {
		s.remove(e, now)
	}
	d.at = site
	for e := range d.keys {
		if !e.busy {
			s.place(e, now)
		}
	}
}

// place puts an entry where its work says that it belongs: in line at its
// site, among those due later, or nowhere.
func (s *Shaper) place(e *entry, now time.Time) {
	e.paused = s.paused != nil && e.work.Waiting > 0 && s.paused(e.work.Key, e.domain.at)
	due := e.work.Waiting > 0 && !e.work.Next.After(now) && !e.paused
	if due && e.elem != nil {
		return // it keeps its place in line
	}
	s.remove(e, now)
	switch {
	case e.work.Waiting == 0 || e.paused:
	case due:
		s.enqueue(e, now)
	default:
		heap.Push(&s.later, e)
	}
}

func (s *Shaper) enqueue(e *entry, now time.Time) {
	at := s.site(e.domain.at)
	at.due[e.lane()].push(e)
	s.settle(at, now)
	if e.lane() == 0 && (at.elem[0] == nil || s.counted() >= s.limits.Total) {
		s.press(at, now)
	}
}

func (s *Shaper) remove(e *entry, now time.Time) {
	if e.index >= 0 {
		heap.Remove(&s.later, e.index)
	}
	if e.elem != nil {
		at := s.sites[e.domain.at]
		at.due[e.lane()].remove(e)
		s.settle(at, now)
	}
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
		s.enqueue(heap.Pop(&s.later).(*entry), now)
	}
	for len(s.timers) > 0 && !s.timers[0].wake.After(now) {
		s.settle(s.timers[0], now)
	}
	s.stall(now)
	for s.counted() < s.limits.Total {
		at, lane := s.front()
		if at == nil {
			break
		}
		// What was open when the site was put in line may have closed.
		if p, ok := s.take(at, lane, now); ok {
			return p, time.Time{}, true
		}
	}
	return Pick{}, s.wake(), false
}

// wake is when time alone may open a slot; zero: never.
func (s *Shaper) wake() (wake time.Time) {
	sooner := func(t time.Time) {
		if !t.IsZero() && (wake.IsZero() || t.Before(wake)) {
			wake = t
		}
	}
	if s.inLine() > 0 {
		sooner(s.nextStall())
	}
	if len(s.later) > 0 {
		sooner(s.later[0].work.Next)
	}
	if len(s.timers) > 0 {
		sooner(s.timers[0].wake)
	}
	return wake
}

// take claims a slot at a site for the key whose turn it is there. The site
// goes to the end of the line.
func (s *Shaper) take(at *site, lane int, now time.Time) (Pick, bool) {
	at.leave(lane)
	way := s.choose(at, lane, now)
	if way == nil {
		s.settle(at, now)
		return Pick{}, false
	}
	e := at.due[lane].pop()
	e.fresh, e.busy = false, true
	// What waits is shared among the free slots, so that a short queue
	// does not crawl over one connection.
	free := way.connections() - way.active
	if at.mute(now) {
		free = 1
	}
	share := (e.work.Waiting + free - 1) / free
	p := Pick{Key: e.work.Key, Site: at.name, Via: e.domain.via, Source: way.source, Rule: at.rule,
		Max: min(max(share, 1), s.most(way, lane, now)), slot: s.open(at, way, e, now)}
	s.grant(p.slot, p.Max)
	s.settle(at, now)
	return p, true
}

// Leased says how many recipients a Pick brought. A full share means that
// there may be more: the key stands in line again.
func (s *Shaper) Leased(p Pick, got int, now time.Time) {
	s.grant(p.slot, got-p.Max)
	defer s.settle(p.slot.at, now)
	e := s.keys[p.Key]
	if e == nil {
		return
	}
	e.busy = false
	switch {
	case e.fresh:
		s.Update(e.work, now)
	case got >= p.Max:
		s.place(e, now)
	}
}

// More says how many further recipients of its key a Pick may lease, and
// counts them; 0: none, because a limit is reached, others wait, or the site is
// tried with one message that has not been answered. What Leased was not used is
// given back by Finish.
func (s *Shaper) More(p Pick, now time.Time) int {
	t := p.slot
	if t.end.Load() || t.way.until.After(now) || s.Crowded() || t.at.others(t) && s.choose(t.at, lanes-1, now) == nil {
		return 0
	}
	if t.way.probing() && t.granted > 0 {
		return 0 // it would ride behind the one that tries the site
	}
	n := s.most(t.way, t.lane, now)
	if e := s.keys[p.Key]; e != nil {
		// The end of a mailing is shared too, or one dialogue would take it
		// while the others run dry.
		n = min(n, max(1, (e.work.Waiting+t.at.active-1)/t.at.active))
	}
	s.grant(t, n)
	return n
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
