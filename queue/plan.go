package queue

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"homing/queue/shape"
	"homing/store"
)

// A Plan says how long a mailing would take that began now.
type Plan struct {
	Recipients int        `json:"recipients"`
	Basis      string     `json:"basis"`           // how it is known who has their mail, one of the Bases
	Since      *time.Time `json:"since,omitempty"` // of Basis "delivered": since when
	Sites      []PlanSite `json:"sites"`           // those with the most recipients, and the others together
	Through    *time.Time `json:"through"`         // null: nobody can say
	LimitedBy  string     `json:"limited_by"`      // what determines that, one of the Limits
	Limit      string     `json:"limit"`           // the same in words
	Provider   string     `json:"provider"`        // where
}

// The Bases of a Plan.
const (
	BasisDelivered = "delivered" // what was taken in the last 30 days
	BasisWaiting   = "waiting"   // what waits now
	BasisGuess     = "guess"     // nothing: as if one site had them all
)

// A PlanSite is the part of a Plan at one site.
type PlanSite struct {
	Provider   string     `json:"provider"`
	Recipients int        `json:"recipients"`
	Waiting    int        `json:"waiting_before"`
	Through    *time.Time `json:"through"`
	LimitedBy  string     `json:"limited_by"`
	Limit      string     `json:"limit"`
	Sites      int        `json:"sites,omitempty"` // how many stand here together
}

const (
	// planSites is how many sites a Plan names.
	planSites = 20
	// guessedSpeed is how many messages a second go over one connection,
	// where nobody has measured it.
	guessedSpeed = 2
	// guessedSite is the name of the site of a guess.
	guessedSite = "default"
	// describedAtOnce is how many sites are looked at while mail waits for it.
	describedAtOnce = 1000
	// enough is how many attempts measure the speed of a site.
	enough = 20
)

// A share is how much of a mailing goes to a site.
type share struct {
	site string
	n    int
}

// spread divides n recipients as weights say: the parts add up to n, and who
// has more weight has no less. Most weight first.
func spread(n int, weights map[string]int) []share {
	total := 0
	for _, w := range weights {
		total += w
	}
	names := slices.SortedFunc(maps.Keys(weights), func(a, b string) int { return cmp.Or(weights[b]-weights[a], cmp.Compare(a, b)) })
	var all []share
	seen, given := 0, 0
	for _, name := range names {
		// Rounding what all up to here get keeps the sum right.
		seen += weights[name]
		upTo := int(float64(n)*float64(seen)/float64(total) + 0.5)
		if part := upTo - given; part > 0 {
			all = append(all, share{name, part})
			given = upTo
		}
	}
	return all
}

// Plan says how long a mailing to n recipients would take that began now, as
// far as limits tell: by what sites took lately, else by what waits, else by a
// guess.
func (q *Queue) Plan(n int) Plan {
	now := q.now()
	sums, loads := q.tallies.sums(now), q.loads()
	p := Plan{Recipients: n}
	shares := spread(n, p.mix(sums, loads, q.Through(""), now))
	names := make([]string, len(shares))
	for i, s := range shares {
		names[i] = s.site
	}
	before := map[string]int{}
	for _, l := range loads {
		if !l.Paused {
			before[l.Site] += l.Waiting
		}
	}
	p.work(shares, before, q.roads(names, sums, now), q.options.Load().Limits.Total, now)
	return p
}

// mix gives how much of a mailing goes to each site, as weights, and says in
// the Plan how that is known. Through is where mail goes that has no other way.
func (p *Plan) mix(sums map[string]tallied, loads []shape.Load, through string, now time.Time) map[string]int {
	weights := map[string]int{}
	first := dateOf(now)
	for name, s := range sums {
		if s.Taken > 0 {
			weights[name] = s.Taken
			first = min(first, s.Date)
		}
	}
	switch {
	case len(weights) > 0:
		p.Basis, p.Since = BasisDelivered, stamp(time.Unix(first*24*60*60, 0))
	case len(loads) > 0:
		p.Basis = BasisWaiting
		for _, l := range loads {
			weights[l.Site] += l.Waiting
		}
	default:
		p.Basis, weights[cmp.Or(through, guessedSite)] = BasisGuess, 1
	}
	return weights
}

// loads gives what waits where.
func (q *Queue) loads() []shape.Load {
	q.mu.Lock()
	all := q.shaper.Loads()
	q.mu.Unlock()
	return slices.DeleteFunc(all, func(l shape.Load) bool { return l.Waiting == 0 })
}

// roads gives what there is to know of sites to say how long mail takes.
func (q *Queue) roads(names []string, sums map[string]tallied, now time.Time) map[string]*road {
	o := q.options.Load()
	allow := map[string][]int{}
	var sites []shape.Site
	for part := range slices.Chunk(names, describedAtOnce) {
		q.mu.Lock()
		sites = append(sites, q.shaper.Describe(part, now)...)
		q.mu.Unlock()
	}
	q.mu.Lock()
	for _, name := range q.sourceNames() {
		if o.Warmup.On && q.allowance(name, 0) >= 0 {
			allow[name] = schedule
		}
	}
	q.mu.Unlock()
	var all tallied
	for _, s := range sums {
		all.Ended, all.Busy = all.Ended+s.Ended, all.Busy+s.Busy
	}
	paused, roads := q.pauses.Load(), map[string]*road{}
	for _, s := range sites {
		if s.Name == others { // they are many, each with few
			s.Rule.Connections = o.Limits.Total
		}
		roads[s.Name] = &road{site: s, allow: allow, speed: speed(sums[s.Name], all),
			paused: slices.ContainsFunc(paused.standing, func(p Pause) bool { return p.stopsSite(s.Name) })}
	}
	return roads
}

// stopsSite reports whether a pause stops all mail to a site.
func (p Pause) stopsSite(site string) bool {
	return p.Domain == "" && p.Application == "" && p.Campaign == "" && p.wantsKey(store.Key{}, site)
}

// speed is how many messages a second go over one connection of a site: as
// measured there, else on the average, else guessed.
func speed(here, all tallied) float64 {
	for _, s := range []tallied{here, all} {
		if s.Ended >= enough && s.Busy > 0 {
			return float64(s.Ended) / (float64(s.Busy) / 1000)
		}
	}
	return guessedSpeed
}

func slotWords(slots int) string { return fmt.Sprintf("%d dialogues of the server at once", slots) }

// work fills a Plan.
func (p *Plan) work(shares []share, before map[string]int, roads map[string]*road, slots int, now time.Time) {
	var whole, rest arrival
	var busy float64 // seconds of dialogues
	small := PlanSite{Provider: "others"}
	for i, s := range shares {
		r := roads[s.site]
		a := r.through(s.n+before[s.site], now)
		busy += float64(s.n+before[s.site]) / r.speed
		if whole = whole.later(a); whole == a {
			p.Provider = s.site
		}
		if i < planSites && s.site != others {
			p.Sites = append(p.Sites, PlanSite{Provider: s.site, Recipients: s.n, Waiting: before[s.site], Through: stamp(a.at), LimitedBy: a.by, Limit: a.why})
			continue
		}
		rest = rest.later(a)
		small.Recipients, small.Waiting, small.Sites = small.Recipients+s.n, small.Waiting+before[s.site], small.Sites+1
	}
	if small.Sites > 0 {
		small.Through, small.LimitedBy, small.Limit = stamp(rest.at), rest.by, rest.why
		p.Sites = append(p.Sites, small)
	}
	if p.Provider == others {
		p.Provider = small.Provider
	}
	all := arrival{now.Add(time.Duration(busy / float64(max(slots, 1)) * float64(time.Second))), LimitSlots, slotWords(slots)}
	if !whole.at.IsZero() && all.at.After(whole.at) {
		whole, p.Provider = all, ""
	}
	p.Through, p.LimitedBy, p.Limit = stamp(whole.at), whole.by, whole.why
}
