package shape

import (
	"time"

	"homing/store"
)

// A View is what is known of a domain and of the site where its mail goes.
type View struct {
	Site    Site
	Domain  []Held // the work for the domain, in no order
	Here    Waits  // the same, counted
	Waits   Waits  // all that waits at the site
	Crowded bool   // somebody waits for a slot while all are taken
}

// A Held is work, and whether it is paused.
type Held struct {
	store.Work
	Paused bool
}

// Waits counts recipients that wait or are on their way.
type Waits struct {
	First  int // in lane 0
	Bulk   int
	Paused int // of both
}

func (w *Waits) add(e *entry) {
	n := e.work.Waiting + e.work.Leased
	if e.lane() == 0 {
		w.First += n
	} else {
		w.Bulk += n
	}
	if e.paused {
		w.Paused += n
	}
}

// Look tells of mail to a domain from another one, as if it went to the site of
// that name; with "" of the one where it waits.
func (s *Shaper) Look(to, from, name string, now time.Time) View {
	k := store.Key{Domain: to, Sending: from}
	if name == "" {
		name = s.At(k)
	}
	v := View{Crowded: s.Crowded()}
	d := s.domains[s.destination(k)]
	for _, other := range s.domains {
		if other.at != name && other != d {
			continue
		}
		for e := range other.keys {
			v.Waits.add(e)
		}
	}
	if d != nil {
		for e := range d.keys {
			if e.work.Domain == to {
				v.Domain = append(v.Domain, Held{e.work, e.paused})
				v.Here.add(e)
			}
		}
	}
	at := s.site(name)
	v.Site = s.describe(at, now)
	v.Site.Silent = v.Site.Silent || at.mute(now) && at.active > 0
	s.settle(at, now)
	return v
}

// Knows reports whether somebody has said where the mail of a domain goes that
// goes straight there.
func (s *Shaper) Knows(domain string) bool {
	d := s.domains[destination{domain: domain}]
	return d != nil && d.at != domain
}

// Describe tells of sites, also of such that are not known, but not how many
// wait there. What the unknown have in common is shared, and must not be changed.
func (s *Shaper) Describe(names []string, now time.Time) []Site {
	blank := map[bool]Site{} // by whether it is a relay
	all := make([]Site, 0, len(names))
	for _, name := range names {
		if at := s.sites[name]; at != nil {
			all = append(all, s.describe(at, now))
			continue
		}
		relay := s.limits.relays(name)
		fresh, known := blank[relay]
		if !known {
			at := &site{name: name, index: -1}
			s.equip(at)
			fresh = s.describe(at, now)
			blank[relay] = fresh
		}
		fresh.Name, fresh.Rule = name, s.limits.rule(name)
		all = append(all, fresh)
	}
	return all
}
