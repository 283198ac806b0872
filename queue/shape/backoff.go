package shape

import (
	"slices"
	"time"
)

// A Pause is how long a site is left alone from a source address that it told
// to slow down, or refuses.
type Pause struct {
	First time.Duration // after the first such reply; doubled for each that follows
	Most  time.Duration // at most so long
	Named time.Duration // what the reply itself says; 0: nothing
	Crowd bool          // it speaks of dialogues at once: fewer are the remedy
	Why   string        // the reply, for people
}

const (
	// remembered is how long after a site took us back it is still known
	// that it had refused us, and how many dialogues were too many.
	remembered = time.Hour
	// rampStep is how many messages must be served on each connection of a
	// site that recovers before it gets twice as many.
	rampStep = 5
)

// A backoff is what is remembered of a site that told us to slow down: it gets
// nothing, then one message to try, then twice as many connections again and
// again until it has all of them.
type backoff struct {
	level     int       // how often in a row; 0: not at all
	since     time.Time // of the first
	cooled    time.Time // of the last
	until     time.Time // when it may be tried again
	recovered time.Time // when it had all its connections again; zero: it has not
	why       string
	ceiling   int // connections while it recovers; 0: it does not
	served    int // messages since ceiling was set
	learned   int // how many dialogues it puts up with; 0: that is not known
}

// cool leaves the path alone. Replies to dialogues that began before it was
// left alone the last time say nothing new. It reports whether it did.
func (p *path) cool(began time.Time, pause Pause, now time.Time) bool {
	p.calm(now)
	if p.level > 0 && !began.After(p.cooled) {
		return false
	}
	if p.level == 0 || p.ceiling == 0 {
		p.since = now
	}
	if pause.Crowd && p.active > 1 {
		p.learned = max(1, p.active/2)
	}
	length := pause.First
	for range p.level {
		length = min(2*length, pause.Most)
	}
	p.level++
	length = max(min(length, pause.Most), pause.Named)
	p.until, p.cooled, p.recovered, p.why = now.Add(length), now, time.Time{}, pause.Why
	p.begin()
	return true
}

// begin has the site served little by little once it may be tried again.
func (p *path) begin() {
	p.ceiling, p.served = 1, 0
	p.scale = 1 / float64(max(p.rule.Connections, 1))
}

// probing reports whether the site has taken nothing since it was left alone.
func (p *path) probing() bool { return p.ceiling == 1 && p.served == 0 }

// serve notes that the site took a message, or refused it for its own sake. It
// reports whether the site has recovered now.
func (p *path) serve(began, now time.Time) bool {
	if p.ceiling == 0 || !began.After(p.cooled) {
		return false
	}
	p.served++
	if p.served < rampStep*p.ceiling {
		return false
	}
	p.served = 0
	p.ceiling *= 2
	full := p.rule.Connections
	if p.learned > 0 {
		full = min(full, p.learned)
	}
	p.scale = float64(p.ceiling) / float64(max(full, 1))
	if p.ceiling < full {
		return false
	}
	p.ceiling, p.scale, p.recovered = 0, 0, now
	return true
}

// calm forgets what a site said that has served us long enough since.
func (p *path) calm(now time.Time) {
	if p.level > 0 && p.ceiling == 0 && now.Sub(p.recovered) >= remembered {
		p.backoff = backoff{}
	}
}

// quietly reports whether a site has recovered by being quiet: it served some
// mail and did not complain for an hour, or there was nothing to try it with
// for a day.
func (p *path) quietly(now time.Time) bool {
	if p.ceiling == 0 || p.until.After(now) {
		return false
	}
	quiet := now.Sub(later(p.cooled, p.until))
	return p.served > 0 && quiet >= remembered || p.active == 0 && quiet >= 24*remembered
}

// Troubled gives the sites that get less than they used to, or nothing, from
// one of our addresses, because they told us to slow down or refuse us; in no
// order.
func (s *Shaper) Troubled(now time.Time) (all []Site) {
	for _, at := range s.sites {
		if slices.ContainsFunc(at.paths, func(p *path) bool { return p.ceiling > 0 }) {
			all = append(all, s.describe(at, now))
		}
	}
	return all
}

// A Way is a path that has news.
type Way struct{ Site, Source string }

// Tidy forgets sites of which nothing is worth knowing any more, and gives the
// paths that have recovered without much mail to show it. Call it now and then.
func (s *Shaper) Tidy(now time.Time) (recovered []Way) {
	for _, at := range s.sites {
		for _, p := range at.paths {
			if p.quietly(now) {
				p.ceiling, p.scale, p.recovered = 0, 0, now
				recovered = append(recovered, Way{at.name, p.source})
			}
		}
		s.settle(at, now)
	}
	return recovered
}
