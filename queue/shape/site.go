package shape

import (
	"container/heap"
	"container/list"
	"time"
)

// A site is a next hop: its paths, its slots, and the keys that are due there.
type site struct {
	name    string
	rule    Rule
	relay   bool    // it is one of Limits.Via
	paths   []*path // one for each source; of a relay one without a name
	turn    int     // which of paths goes first among equals
	active  int
	stalled int                  // of active
	news    time.Time            // when it last answered
	failed  time.Time            // when a dialogue with it failed and it had not answered since; zero: it has
	stuck   time.Time            // when the youngest slot that ever stalled was taken
	due     [lanes]line          // who waits
	elem    [lanes]*list.Element // in Shaper.ready or Shaper.more, or nil
	line    [lanes]*list.List    // which of the two
	wake    time.Time            // when time opens a path
	index   int                  // in Shaper.timers, or -1
}

// site gives a site, also one that was not known.
func (s *Shaper) site(name string) *site {
	at := s.sites[name]
	if at == nil {
		at = &site{name: name, index: -1}
		s.sites[name] = at
		s.equip(at)
	}
	return at
}

// equip gives a site its rule and its paths by the limits. Paths that it had
// keep what is known of them.
func (s *Shaper) equip(at *site) {
	at.rule, at.relay = s.limits.rule(at.name), s.limits.relays(at.name)
	sources := s.limits.Sources
	if len(sources) == 0 || at.relay {
		sources = []string{""}
	}
	old := at.paths
	at.paths = nil
	for _, source := range sources {
		way := pathFrom(old, source)
		if way == nil {
			way = &path{source: source, slots: map[*slot]bool{}}
		}
		way.rule, way.relay = at.rule, at.relay
		way.set(at.rule.Rate)
		at.paths = append(at.paths, way)
	}
}

func pathFrom(paths []*path, source string) *path {
	for _, p := range paths {
		if p.source == source {
			return p
		}
	}
	return nil
}

// choose gives the path that takes the next dialogue of a lane; nil: none
// does. One that is to become warm goes first, as far as it may; then the one
// with the most room.
func (s *Shaper) choose(at *site, lane int, now time.Time) (best *path) {
	if at.silent() || at.mute(now) && at.active > 0 {
		return nil
	}
	better := func(a, b *path) bool {
		warmA, warmB := s.allowance(a, now) < unlimited, s.allowance(b, now) < unlimited
		if warmA != warmB {
			return warmA
		}
		return a.active*b.connections() < b.active*a.connections()
	}
	for i := range at.paths {
		p := at.paths[(at.turn+i)%len(at.paths)]
		if why, _ := s.gate(p, lane, now); why == Free && (best == nil || better(p, best)) {
			best = p
		}
	}
	return best
}

// settle makes a site stand in line exactly where it has due keys and a path
// that takes them, has it wake when time will open one, and forgets a site of
// which nothing is worth knowing.
func (s *Shaper) settle(at *site, now time.Time) {
	s.sleep(at, time.Time{})
	for lane := range at.due {
		wants := at.due[lane].n > 0 && s.choose(at, lane, now) != nil
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
		if at.due[lane].n > 0 && !wants {
			s.sleep(at, s.opens(at, lane, now))
		}
	}
	if s.blank(at, now) {
		s.sleep(at, time.Time{})
		delete(s.sites, at.name)
	}
}

// opens is when time opens a path for a lane; zero: something must happen.
func (s *Shaper) opens(at *site, lane int, now time.Time) (first time.Time) {
	if at.silent() || at.mute(now) && at.active > 0 {
		return time.Time{}
	}
	for _, p := range at.paths {
		_, until := s.gate(p, lane, now)
		if !until.IsZero() && (first.IsZero() || until.Before(first)) {
			first = until
		}
	}
	return first
}

// sleep has a site looked at again at a time, if not sooner; the zero time: not.
func (s *Shaper) sleep(at *site, wake time.Time) {
	switch {
	case wake.IsZero():
		if at.index >= 0 {
			heap.Remove(&s.timers, at.index)
		}
	case at.index < 0:
		at.wake = wake
		heap.Push(&s.timers, at)
	case wake.Before(at.wake):
		at.wake = wake
		heap.Fix(&s.timers, at.index)
	}
}

// leave takes a site out of the line that it stands in.
func (at *site) leave(lane int) {
	if at.elem[lane] != nil {
		at.line[lane].Remove(at.elem[lane])
		at.elem[lane], at.line[lane] = nil, nil
	}
}

// waits reports whether somebody waits at the site.
func (at *site) waits() bool { return at.due[0].n+at.due[lanes-1].n > 0 }

// others reports whether somebody waits at the site who is not of the campaign
// that a slot serves.
func (at *site) others(t *slot) bool {
	for lane := range at.due {
		if n := at.due[lane].n; n > 0 && (lane != t.lane || n > at.due[lane].of(t.key.Flow)) {
			return true
		}
	}
	return false
}

// blank reports whether nothing is worth remembering of a site.
func (s *Shaper) blank(at *site, now time.Time) bool {
	if at.active > 0 || at.waits() || at.mute(now) {
		return false
	}
	for _, p := range at.paths {
		if !s.forgettable(p, now) {
			return false
		}
	}
	return true
}

// muteFor is how long it is remembered that a site could not be asked.
const muteFor = 10 * time.Minute

// mute reports whether a site has answered nothing since a dialogue with it
// failed a while ago.
func (at *site) mute(now time.Time) bool { return !at.failed.IsZero() && now.Sub(at.failed) < muteFor }

// silent reports whether a site keeps us waiting in a slot and has answered in
// none since that began. It gets no further slot before it has.
func (at *site) silent() bool { return at.stalled > 0 && !at.news.After(at.stuck) }
