package shape

import (
	"time"

	"homing/store"
)

// A Site is what is known of a site, for people and for the next start.
type Site struct {
	Name   string
	Rule   Rule
	Silent bool
	Paths  []Path
}

// A Path is the way to a site from one source address.
type Path struct {
	Source      string
	Active      int       // dialogues
	Connections int       // how many there may be now
	Learned     int       // how many the site puts up with, as it said itself; 0: it did not
	Bound       Bound     // what keeps bulk mail from taking one more now
	Opens       time.Time // when that ends; zero: when a dialogue ends, or now
	Level       int       // how often the site told us to slow down, or refused us, in a row
	Recovering  bool      // it serves us again, and gets more little by little
	Since       time.Time // of the first of these
	Until       time.Time // it is left alone until then
	Recovered   time.Time // when it had served us enough since; zero: it has not
	Why         string
	Spent       float64   // messages that the rate does not allow again yet, at the time of Told
	Told        time.Time // zero: there is no rate
	Date        int64     // today, as days since 1970 (UTC)
	Sent        int       // messages today
	Day         int       // on how many days before today it sent enough to become warm
	Allowance   int       // how many messages there may be today; below 0: any number
}

// Sites tells of all sites that are known, in no order.
func (s *Shaper) Sites(now time.Time) []Site {
	all := make([]Site, 0, len(s.sites))
	for _, at := range s.sites {
		all = append(all, s.describe(at, now))
	}
	return all
}

// At gives the name of the site where work under a key waits; the domain of its
// recipients as long as nobody knows better.
func (s *Shaper) At(k store.Key) string {
	to := s.destination(k)
	if d := s.domains[to]; d != nil {
		return d.at
	}
	return s.home(to)
}

func (s *Shaper) describe(at *site, now time.Time) Site {
	out := Site{Name: at.name, Rule: at.rule, Silent: at.silent()}
	for _, p := range at.paths {
		bound, opens := s.gate(p, lanes-1, now)
		if bound == Free {
			opens = time.Time{}
		}
		s.dawn(p, now)
		allowance := s.daily(p)
		if allowance == unlimited {
			allowance = -1
		}
		spent, told := p.spent(now)
		out.Paths = append(out.Paths, Path{Source: p.source, Active: p.active, Connections: p.connections(), Learned: p.learned,
			Bound: bound, Opens: opens, Level: p.level, Recovering: p.ceiling > 0 && !p.until.After(now), Since: p.since, Until: p.until,
			Recovered: p.recovered, Why: p.why, Spent: spent, Told: told, Date: p.date, Sent: p.sent, Day: p.day, Allowance: allowance})
	}
	return out
}

// Restore gives a path back what Sites told of it before a restart: how long
// it is left alone, and what was sent of what its rate and the day allow.
func (s *Shaper) Restore(site string, was Path, now time.Time) {
	at := s.site(site)
	p := pathFrom(at.paths, was.Source)
	if p == nil {
		return // we do not send from there any more
	}
	p.date, p.sent, p.day = was.Date, was.Sent, was.Day
	p.learned = was.Learned
	p.spend(was.Spent, was.Told, now)
	if was.Level > 0 {
		p.level, p.since, p.until, p.cooled, p.recovered, p.why = was.Level, was.Since, was.Until, now, was.Recovered, was.Why
		if was.Recovered.IsZero() {
			p.begin()
		}
	}
	s.settle(at, now)
}

// Left is work for a site that is left alone from every source, so that
// nothing goes there: whoever is past its lifetime will not be tried.
type Left struct {
	store.Work
	Since time.Time // the site has wanted less mail, or none, from every source since then
}

// Abandoned gives what is Left and not paused, in no order.
func (s *Shaper) Abandoned(now time.Time) (all []Left) {
	since := map[string]time.Time{} // by site; zero: it is not left alone
	for _, at := range s.sites {
		since[at.name] = at.shut(now)
	}
	for _, e := range s.keys {
		if at := since[e.domain.at]; !at.IsZero() && !e.paused && e.work.Waiting > 0 && !e.work.Expires.IsZero() {
			all = append(all, Left{e.work, at})
		}
	}
	return all
}

// shut says since when the site has wanted less mail, or none, from every
// source; zero: it is not left alone from one of them.
func (at *site) shut(now time.Time) (since time.Time) {
	for _, p := range at.paths {
		if !p.until.After(now) {
			return time.Time{}
		}
		since = later(since, p.since)
	}
	return since
}

// Why gives what a site said when it asked to be left alone the last time.
func (s *Shaper) Why(name string) string {
	at := s.sites[name]
	if at == nil {
		return ""
	}
	var last *path
	for _, p := range at.paths {
		if last == nil || p.cooled.After(last.cooled) {
			last = p
		}
	}
	return last.why
}

// A Load is how much of a flow waits at a site under one key.
type Load struct {
	Site, Flow string
	Domain     string // of the recipients
	Lane       uint8
	Waiting    int // due or later, and on their way
	Paused     bool
	Next       time.Time // when the first of it that is not being sent is due
}

// Loads tells what waits where, in no order: one Load for each key, so that
// whoever adds them up need not do it here.
func (s *Shaper) Loads() []Load {
	all := make([]Load, 0, len(s.keys))
	for _, e := range s.keys {
		l := Load{Site: e.domain.at, Domain: e.work.Domain, Flow: e.work.Flow, Lane: e.work.Lane, Paused: e.paused, Waiting: e.work.Waiting + e.work.Leased}
		if e.work.Waiting > 0 {
			l.Next = e.work.Next
		}
		all = append(all, l)
	}
	return all
}

// Places tells at which sites the domains are that something waits for, as far
// as somebody has said so.
func (s *Shaper) Places() map[string]string {
	all := map[string]string{}
	for to, d := range s.domains {
		if to.domain != "" && d.at != to.domain {
			all[to.domain] = d.at
		}
	}
	return all
}

// Recall says what Places told before a restart. The Shaper keeps the map.
func (s *Shaper) Recall(places map[string]string, now time.Time) {
	s.past = places
	for to, d := range s.domains {
		if site, known := places[to.domain]; known && d.at == to.domain {
			s.move(d, site, now)
		}
	}
}
