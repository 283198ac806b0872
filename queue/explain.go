package queue

import (
	"slices"
	"time"

	"homing/hold"
	"homing/queue/shape"
	"homing/store"
)

// An Explanation says where the mail of a domain goes, what limits it there,
// and what it waits for now.
type Explanation struct {
	Domain  string     `json:"domain"`
	From    string     `json:"from,omitempty"`    // the sending domain that was asked for
	Site    string     `json:"site"`              // where its mail goes; with Cause "nothing" the domain stands for it
	Cause   string     `json:"cause"`             // why there, see places.judge
	Host    string     `json:"host,omitempty"`    // the mail host that says so
	Address string     `json:"address,omitempty"` // of Host
	Limits  SiteLimits `json:"limits"`
	Ways    []Way      `json:"ways"` // one for each source address

	State string     `json:"state"`          // what its mail waits for, one of the States
	Next  *time.Time `json:"next,omitempty"` // when something is tried again, as far as time alone decides it
	Busy  int        `json:"busy"`           // recipients of the domain that are being sent
	Here  Waits      `json:"here"`           // at the domain
	There Waits      `json:"there"`          // at the site
	Pause []Pause    `json:"-"`              // what stops mail of the domain

	Others []string `json:"others,omitempty"` // sending domains whose mail goes another way

	// Of Cause "smarthost": that nothing can be handed to it.
	Unusable *Unusable `json:"unusable,omitempty"`
}

// An Unusable says since when a smarthost cannot be used, and why.
type Unusable struct {
	Since time.Time `json:"since"`
	Said  string    `json:"said"`
}

// SiteLimits are what a site puts up with from one source address.
type SiteLimits struct {
	Connections   int    `json:"connections"`
	PerConnection int    `json:"messages_per_connection,omitempty"` // 0: no limit
	Rate          int    `json:"rate,omitempty"`                    // messages in RateSeconds; 0: no limit
	RateSeconds   int    `json:"rate_seconds,omitempty"`
	Origin        string `json:"origin"` // where they stand
}

// A Way is how things are between a site and one of our source addresses.
type Way struct {
	Source      string     `json:"source"`
	Active      int        `json:"active"`      // dialogues
	Connections int        `json:"connections"` // how many there may be now
	Learned     int        `json:"learned,omitempty"`
	Bound       string     `json:"bound"` // what keeps bulk mail from one more dialogue; "": nothing
	Opens       *time.Time `json:"opens,omitempty"`
	Refused     int        `json:"refused,omitempty"` // how often in a row it wanted less, or nothing
	Since       *time.Time `json:"since,omitempty"`   // of the first of these
	Until       *time.Time `json:"until,omitempty"`   // it is left alone
	Said        string     `json:"said,omitempty"`
	Tried       *int       `json:"tried_today,omitempty"` // messages, while the source is warmed up; else nobody counts
	Allowance   *int       `json:"daily_limit,omitempty"` // of these
}

// Waits counts recipients that wait or are being sent.
type Waits struct {
	First  int `json:"first"` // receipts and the like, that go before
	Bulk   int `json:"bulk"`
	Paused int `json:"paused"` // of both
}

// The States of an Explanation.
const (
	StateNothing     = "nothing"     // nothing waits
	StateSending     = "sending"     // all of it is being sent
	StatePaused      = "paused"      // somebody decided so
	StateLater       = "later"       // it was tried, and is tried again later
	StateBackoff     = "backoff"     // the site wanted less mail, or none
	StateWarmup      = "warmup"      // the source addresses have sent what they may today
	StateRate        = "rate"        // of messages
	StateConnections = "connections" // all that the site may get are in use
	StateSilent      = "silent"      // the site keeps us waiting in the dialogues that there are
	StateSlots       = "slots"       // all that we have are taken, by whatever site
	StateTurn        = "turn"        // nothing stops it: it goes when its turn comes
)

// Explain says where the mail of a domain goes, from a sending domain ("": from
// those without a way of their own), and what it waits for. Hosts are its best
// mail hosts, none where they are not known.
func (q *Queue) Explain(domain, from string, hosts []Host) Explanation {
	domain, from = hold.CanonicalDomain(domain), hold.CanonicalDomain(from)
	found, now, o := q.places.look(domain, hosts), q.now(), q.options.Load()
	q.mu.Lock()
	at := q.shaper.At(store.Key{Domain: domain, Sending: from})
	switch {
	case o.Limits.Through(from) != "":
		found = place{site: at, by: bySmarthost}
	case found.site == "" && q.shaper.Knows(domain):
		found = place{site: at, by: byPast}
	case found.site == "":
		found.site = at
	}
	v := q.shaper.Look(domain, from, found.site, now)
	var unusable *Unusable
	if u, known := q.unusable[found.site]; known && found.by == bySmarthost {
		unusable = &u
	}
	q.mu.Unlock()

	e := Explanation{Domain: domain, From: from, Others: o.otherwise(from), Site: found.site, Cause: string(found.by), Host: found.host.Name, Limits: o.said(v.Site),
		Here: Waits(v.Here), There: Waits(v.Waits), Pause: q.stopping(domain, found.site, v.Domain), Unusable: unusable}
	if found.host.Address.IsValid() {
		e.Address = found.host.Address.Unmap().String()
	}
	for _, p := range v.Site.Paths {
		e.Ways = append(e.Ways, way(p, now))
	}
	for _, w := range v.Domain {
		e.Busy += w.Leased
	}
	e.State, e.Next = state(v, now)
	return e
}

// otherwise gives the sending domains whose mail goes another way than that of
// this one.
func (o *Options) otherwise(from string) []string {
	var others []string
	for domain, site := range o.Limits.Via {
		if domain != "" && domain != from && site != o.Limits.Through(from) {
			others = append(others, domain)
		}
	}
	slices.Sort(others)
	return others
}

// said words the limits of a site.
func (o *Options) said(s shape.Site) SiteLimits {
	l := SiteLimits{Connections: s.Rule.Connections, PerConnection: s.Rule.PerConnection, Rate: s.Rule.Rate.Count,
		RateSeconds: int(s.Rule.Rate.Per.Seconds()), Origin: o.Origin}
	if i := slices.IndexFunc(o.Providers, func(p Provider) bool { return p.Name == s.Name }); i >= 0 {
		l.Origin = o.Providers[i].Origin
	}
	return l
}

func way(p shape.Path, now time.Time) Way {
	w := Way{Source: p.Source, Active: p.Active, Connections: p.Connections, Learned: p.Learned, Bound: string(p.Bound),
		Opens: stamp(p.Opens), Refused: p.Level}
	if p.Level > 0 {
		w.Since, w.Said = stamp(p.Since), p.Why
	}
	if p.Until.After(now) {
		w.Until = stamp(p.Until)
	}
	if p.Allowance >= 0 {
		w.Tried, w.Allowance = &p.Sent, &p.Allowance
	}
	return w
}

// stamp is a time that may be missing.
func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// stopping gives the pauses that stop mail of a domain, or would.
func (q *Queue) stopping(domain, site string, works []shape.Held) (all []Pause) {
	for _, p := range q.pauses.Load().standing {
		stops := p.wantsKey(store.Key{Domain: domain}, site)
		for _, w := range works {
			if p.wantsKey(w.Key, site) {
				stops = true
				p.Recipients += w.Waiting + w.Leased
			}
		}
		if stops {
			all = append(all, p)
		}
	}
	return all
}

// state says what the mail of a domain waits for, and when that ends, as far
// as time alone decides it.
func state(v shape.View, now time.Time) (string, *time.Time) {
	var first time.Time
	waiting, free := 0, 0
	for _, w := range v.Domain {
		waiting += w.Waiting
		if w.Paused || w.Waiting == 0 {
			continue
		}
		if free += w.Waiting; first.IsZero() || w.Next.Before(first) {
			first = w.Next
		}
	}
	switch {
	case len(v.Domain) == 0:
		return StateNothing, nil
	case waiting == 0:
		return StateSending, nil
	case free == 0:
		return StatePaused, nil
	}
	bound, opens := gate(v.Site)
	switch {
	case bound != shape.Free && !opens.IsZero() && !opens.Before(first):
		return string(bound), stamp(opens)
	case first.After(now):
		return StateLater, stamp(first)
	case v.Site.Silent:
		return StateSilent, nil
	case bound != shape.Free:
		return string(bound), stamp(opens)
	case v.Crowded:
		return StateSlots, nil
	}
	return StateTurn, stamp(now)
}

// gate says what keeps all ways to a site shut, by the one that opens first,
// and when that is; zero: when something happens.
func gate(s shape.Site) (bound shape.Bound, opens time.Time) {
	for i, p := range s.Paths {
		if p.Bound == shape.Free {
			return shape.Free, time.Time{}
		}
		// Where a dialogue has to end, that is soon.
		if i == 0 || p.Opens.IsZero() || !opens.IsZero() && p.Opens.Before(opens) {
			bound, opens = p.Bound, p.Opens
		}
	}
	return bound, opens
}
