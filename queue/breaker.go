package queue

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"homing/bounce"
	"homing/event"
	"homing/store"
)

// When a campaign is stopped: after so many results, of which so many in a
// hundred are bad. Later ones are judged too, until nobody can call it the
// beginning any more; complaints come late and always count.
const (
	breakerAfter      = 200
	breakerUntil      = 1000
	breakerUnknown    = 25 // per cent: addresses that do not exist
	breakerRefused    = 30 // per cent: refused for what we send
	breakerComplaints = 5  // at least, and half a per cent
)

// ofCampaign are the reasons for which a message is refused for what it is.
var ofCampaign = []bounce.Reason{bounce.Spam, bounce.Content, bounce.Virus, bounce.Policy, bounce.BadReputation, bounce.AuthFailure, bounce.Rejected}

// A breaker counts what becomes of campaigns, so that one that goes wrong is
// stopped before it does more harm. It forgets at a restart: then the counts
// begin anew, but the pauses that it made are known.
type breaker struct {
	mu        sync.Mutex
	campaigns map[string]*results // by Key.Flow
}

// results are what became of a campaign so far.
type results struct {
	all, unknown, refused, complaints int
	tripped                           bool // it was stopped, and is not stopped a second time
}

// campaignsMost bounds what is remembered.
const campaignsMost = 10_000

// take counts a fact, and says why its campaign is to be stopped; "": it is not.
func (b *breaker) take(e event.Event) (why string) {
	if e.Campaign == "" || e.Application == "" {
		return ""
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.campaigns == nil || len(b.campaigns) > campaignsMost {
		b.campaigns = map[string]*results{}
	}
	flow := store.FlowOf(e.Application, e.Campaign)
	r := b.campaigns[flow]
	if r == nil {
		r = &results{}
		b.campaigns[flow] = r
	}
	if !r.count(e) || r.tripped {
		return ""
	}
	why = r.verdict()
	r.tripped = why != ""
	return why
}

// count counts a fact, and reports whether it was a result.
func (r *results) count(e event.Event) bool {
	late := e.Sync != nil && !*e.Sync
	switch e.Type {
	case event.Delivered:
		r.all++
		return true
	case event.Complained:
		r.complaints++
		return true
	case event.Bounced:
	case event.Deferred:
		if e.Attempt > 1 || late {
			return false
		}
	default:
		return false
	}
	reason := bounce.Reason(e.Reason)
	refused := e.Class == string(bounce.Sender) && slices.Contains(ofCampaign, reason)
	if e.Type == event.Deferred && !refused {
		return false
	}
	if !late {
		r.all++
	}
	if refused {
		r.refused++
	}
	if e.Class == string(bounce.Hard) {
		r.unknown++
	}
	return true
}

// verdict says what is wrong with a campaign; "": nothing, or too little is
// known.
func (r *results) verdict() string {
	if r.all < breakerAfter {
		return ""
	}
	switch {
	case r.complaints >= breakerComplaints && 200*r.complaints > r.all:
		return fmt.Sprintf("%d recipients of %d so far have called it spam", r.complaints, r.all)
	case r.all > breakerUntil:
		return ""
	case 100*r.unknown > breakerUnknown*r.all:
		return fmt.Sprintf("%d of the first %d addresses do not exist (is the list an old one?)", r.unknown, r.all)
	case 100*r.refused > breakerRefused*r.all:
		return fmt.Sprintf("%d of the first %d messages were refused for what they are", r.refused, r.all)
	}
	return ""
}

// breakerName is whose pauses those of the breaker are.
const breakerName = "homing"

// byBreaker reports whether the breaker made the pause.
func (p Pause) byBreaker() bool { return p.By == breakerName && p.Campaign != "" }

// watch stops the campaigns that facts show to go wrong.
func (q *Queue) watch(ctx context.Context, told []event.Event) {
	if !q.options.Load().Breaker {
		return
	}
	for _, e := range told {
		why := q.breaker.take(e)
		f := Filter{Application: e.Application, Campaign: e.Campaign}
		if why == "" || q.pauses.Load().broke(f) {
			continue
		}
		t, err := q.Pause(ctx, Order{Filter: f, By: breakerName, Why: why})
		if err != nil {
			q.log.Error("stopping a campaign failed", "campaign", e.Campaign, "why", why, "err", err)
			continue
		}
		if !t.Pauses[0].byBreaker() {
			continue // somebody was faster, and will look after it
		}
		text := fmt.Sprintf("The campaign %s of %s is paused: %s. Look at what it sends and to whom, then let it go on or end it: homing queue resume --application %s --campaign %s, or cancel.",
			e.Campaign, e.Application, why, e.Application, e.Campaign)
		q.tell(ctx, []event.Event{{Type: event.IncidentOpened, Time: q.now().UTC(), Application: e.Application, Campaign: e.Campaign, Domain: e.Domain, Text: text}})
	}
}

// broke reports whether the breaker has stopped a campaign before, as far as
// that is remembered.
func (p *pauses) broke(f Filter) bool {
	return slices.ContainsFunc(p.past, func(p Pause) bool { return p.byBreaker() && p.Filter == f })
}

// resumed ends the incidents of campaigns that somebody lets go on.
func (q *Queue) resumed(ctx context.Context, lifted []Pause) {
	var told []event.Event
	for _, p := range lifted {
		if p.byBreaker() {
			told = append(told, event.Event{Type: event.IncidentClosed, Time: q.now().UTC(), Application: p.Application, Campaign: p.Campaign,
				Text: fmt.Sprintf("The campaign %s of %s is paused no more.", p.Campaign, p.Application)})
		}
	}
	q.tell(ctx, told)
}
