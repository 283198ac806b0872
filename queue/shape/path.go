package shape

import (
	"math"
	"time"
)

// A Bound is what keeps a path from taking one more dialogue.
type Bound string

// The bounds, in the order in which they are looked at.
const (
	Free          Bound = ""
	ByBackoff     Bound = "backoff"     // the site told us to slow down, or refuses us
	ByWarmup      Bound = "warmup"      // the address has sent there what it may today
	ByRate        Bound = "rate"        // messages in a length of time
	ByConnections Bound = "connections" // dialogues at once
)

// A path is the way to a site from one source address.
type path struct {
	source string
	rule   Rule
	relay  bool // to one: it knows us by our account, and not by our address
	active int
	slots  map[*slot]bool
	bucket
	backoff
	warmth
}

// A warmth is how used a site is to a source address: what that sent there
// today (UTC), and on how many days it sent enough before.
type warmth struct {
	date int64 // days since 1970
	sent int
	day  int // how many days there were before this
}

// dayOf numbers the days of UTC.
func dayOf(now time.Time) int64 { return now.Unix() / (24 * 60 * 60) }

// morning is when the next day begins.
func morning(now time.Time) time.Time {
	return time.Unix((dayOf(now)+1)*24*60*60, 0).In(now.Location())
}

// unlimited is an allowance, or a number of connections, without an end.
const unlimited = math.MaxInt32

// dawn begins a new day where one has begun.
func (s *Shaper) dawn(p *path, now time.Time) {
	today := dayOf(now)
	if p.date == today || p.date == today+1 { // a clock that is set back a little makes no new day
		return
	}
	if p.sent > 0 && 2*p.sent >= s.daily(p) {
		p.day++
	}
	p.date, p.sent = today, 0
}

// daily is how many messages the path may take on its present day.
func (s *Shaper) daily(p *path) int {
	if s.limits.Allowance == nil || p.relay {
		return unlimited
	}
	a := s.limits.Allowance(p.source, p.day)
	if a < 0 {
		return unlimited
	}
	return a
}

// allowance is how many messages more the path may take today.
func (s *Shaper) allowance(p *path, now time.Time) int {
	s.dawn(p, now)
	a := s.daily(p)
	if a == unlimited {
		return a
	}
	return max(0, a-p.sent-p.promised)
}

// connections is how many dialogues the path may have now.
func (p *path) connections() int {
	n := p.rule.Connections
	if p.learned > 0 {
		n = min(n, p.learned)
	}
	if p.ceiling > 0 {
		n = min(n, p.ceiling)
	}
	return max(n, 1)
}

// gate says what keeps the path from taking a dialogue of a lane, and until
// when; the zero time where only an event can tell.
func (s *Shaper) gate(p *path, lane int, now time.Time) (Bound, time.Time) {
	p.calm(now)
	switch {
	case p.until.After(now):
		return ByBackoff, p.until
	case s.allowance(p, now) == 0:
		return ByWarmup, morning(now)
	case p.has(lane, now) == 0:
		return ByRate, p.when(lane, now)
	case p.active >= p.connections():
		return ByConnections, time.Time{}
	}
	return Free, now
}

// most is how many messages a dialogue of a lane may be given now.
func (s *Shaper) most(p *path, lane int, now time.Time) int {
	n := min(s.limits.Batch, p.has(lane, now), p.chunk(p.connections()), s.allowance(p, now))
	if p.probing() {
		n = min(n, 1)
	}
	return n
}

// forgettable reports whether nothing is worth remembering of the path.
func (s *Shaper) forgettable(p *path, now time.Time) bool {
	p.calm(now)
	return p.active == 0 && p.level == 0 && p.learned == 0 && p.full(now) && (s.daily(p) == unlimited && p.day == 0 || p.sent == 0 && p.day == 0)
}
