package queue

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"homing/queue/shape"
	"homing/store"
)

// A Campaign is mail of one campaign that waits, and when it will be through.
type Campaign struct {
	Application string     `json:"application"`
	Campaign    string     `json:"campaign"`
	Waiting     int        `json:"waiting"` // recipients, those included that are being sent
	Paused      int        `json:"paused"`  // of these
	Through     *time.Time `json:"through"` // of those that are not paused; null: nobody can say
	LimitedBy   string     `json:"limited_by"`
	Limit       string     `json:"limit"`    // in words
	Provider    string     `json:"provider"` // where it takes longest; "": at none in particular
}

// turns says how many messages have gone when each flow is through that has so
// many, where applications take turns, and the campaigns of each.
func turns(flows map[string]int) map[string]int {
	left, campaigns := map[string]float64{}, map[string]int{}
	for flow, n := range flows {
		left[flow] = float64(n)
		application, _ := store.SplitFlow(flow)
		campaigns[application]++
	}
	// speed is what a flow gets of one message, as long as the same go on.
	speed := func(flow string) float64 {
		application, _ := store.SplitFlow(flow)
		return 1 / float64(len(campaigns)) / float64(campaigns[application])
	}
	gone, ends := 0.0, map[string]int{}
	for len(left) > 0 {
		step := -1.0
		for flow, n := range left {
			if t := n / speed(flow); step < 0 || t < step {
				step = t
			}
		}
		gone += step
		var ended []string
		for flow := range left {
			if left[flow] -= step * speed(flow); left[flow] <= 1e-6+1e-9*float64(flows[flow]) {
				ended = append(ended, flow)
			}
		}
		for _, flow := range ended {
			ends[flow] = int(gone + 0.5)
			delete(left, flow)
			application, _ := store.SplitFlow(flow)
			if campaigns[application]--; campaigns[application] == 0 {
				delete(campaigns, application)
			}
		}
	}
	return ends
}

// A crowd is what waits in one place, by lane and flow.
type crowd [2]map[string]int

func (c *crowd) add(l shape.Load, n int) {
	lane := min(int(l.Lane), len(c)-1)
	if c[lane] == nil {
		c[lane] = map[string]int{}
	}
	c[lane][l.Flow] += n
}

// ends says how many messages have gone there when each flow is through. The
// first lane goes before.
func (c *crowd) ends() map[string]int {
	all, before := turns(c[0]), 0
	for _, n := range c[0] {
		before += n
	}
	for flow, n := range turns(c[1]) {
		all[flow] = before + n
	}
	return all
}

// Campaigns gives the campaigns of which something waits, those with the most
// recipients first, and when each will be through as far as limits tell.
func (q *Queue) Campaigns() []Campaign {
	now, loads := q.now(), q.loads()
	found := map[string]*Campaign{}
	for _, l := range loads {
		application, name := store.SplitFlow(l.Flow)
		if name == "" {
			continue
		}
		if found[l.Flow] == nil {
			found[l.Flow] = &Campaign{Application: application, Campaign: name}
		}
		found[l.Flow].Waiting += l.Waiting
		if l.Paused {
			found[l.Flow].Paused += l.Waiting
		}
	}
	if len(found) > 0 {
		q.foresee(found, loads, now)
	}
	return slices.SortedFunc(values(found), func(a, b Campaign) int {
		return cmp.Or(b.Waiting-a.Waiting, cmp.Compare(a.Application, b.Application), cmp.Compare(a.Campaign, b.Campaign))
	})
}

func values(found map[string]*Campaign) func(yield func(Campaign) bool) {
	return func(yield func(Campaign) bool) {
		for _, c := range found {
			if !yield(*c) {
				return
			}
		}
	}
}

// foresee says when campaigns will be through.
func (q *Queue) foresee(found map[string]*Campaign, loads []shape.Load, now time.Time) {
	sites := map[string]*crowd{}
	for _, l := range loads {
		if l.Paused {
			continue
		}
		if sites[l.Site] == nil {
			sites[l.Site] = &crowd{}
		}
		sites[l.Site].add(l, l.Waiting)
	}
	roads := q.roads(slices.Collect(maps.Keys(sites)), q.tallies.sums(now), now)
	last := map[string]arrival{}
	for name, here := range sites {
		for flow, n := range here.ends() {
			c := found[flow]
			if c == nil {
				continue
			}
			a := roads[name].through(n, now)
			if last[flow] = last[flow].later(a); last[flow] == a {
				c.Provider = name
			}
		}
	}
	q.delay(found, last, loads, roads, now)
	for flow, c := range found {
		a, ok := last[flow]
		if !ok {
			a = arrival{by: LimitPaused, why: "it is paused"}
		}
		c.Through, c.LimitedBy, c.Limit = stamp(a.at), a.by, a.why
	}
}

// delay has campaigns end later that no site alone holds up: because they share
// the slots of the server, and because some of it was put off.
func (q *Queue) delay(found map[string]*Campaign, last map[string]arrival, loads []shape.Load, roads map[string]*road, now time.Time) {
	put := func(flow string, a arrival, provider string) {
		if c := found[flow]; c != nil && !last[flow].at.IsZero() && a.at.After(last[flow].at) {
			last[flow], c.Provider = a, provider
		}
	}
	// What is counted here is milliseconds of dialogues.
	slots, all := max(q.options.Load().Limits.Total, 1), &crowd{}
	for _, l := range loads {
		if !l.Paused {
			all.add(l, int(1000*float64(l.Waiting)/roads[l.Site].speed))
		}
	}
	for flow, busy := range all.ends() {
		put(flow, arrival{now.Add(time.Duration(busy) * time.Millisecond / time.Duration(slots)), LimitSlots, slotWords(slots)}, "")
	}
	for _, l := range loads {
		if !l.Paused && l.Next.After(now) {
			put(l.Flow, arrival{l.Next, LimitLater, "what was put off is tried again then"}, l.Site)
		}
	}
}
