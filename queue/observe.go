package queue

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"homing/bounce"
	"homing/event"
	"homing/hold"
	"homing/internal/message"
	"homing/store"
)

// An Observation is what came in at the return address of a delivery.
type Observation struct {
	Delivery event.DeliveryID
	Report   bounce.Report
	Raw      store.Draft // the mail itself, kept for the sinks
	Peer     string      // who handed it in: "mx.example.net[198.51.100.7]"
	Related  bool        // the peer is related to the recipient's MX or domain
}

// maxSeen is how many digests of reports one recipient keeps.
const maxSeen = 16

// Observe takes what came in at a return address. It is durable when it
// returns nil. The same report again changes nothing. store.ErrNotFound means
// that the delivery has been forgotten, store.ErrFull that there is no room on
// the disk and the report has to come again.
func (q *Queue) Observe(ctx context.Context, o Observation) error {
	q.metrics.reports.WithLabelValues(string(o.Report.Kind)).Inc()
	err := q.apply(ctx, store.Change{Delivery: o.Delivery, Raw: o.Raw, Decide: func(c *store.Case) error {
		if !notice(&c.Recipient, o.Report.Digest) {
			return errSeen
		}
		return q.observed(c, o)
	}})
	if errors.Is(err, errSeen) {
		return nil
	}
	return err
}

// notice has a recipient remember the digest of a mail about it, and reports
// whether it is new.
func notice(r *store.Recipient, digest uint64) bool {
	if slices.Contains(r.Seen, digest) {
		return false
	}
	r.Seen = append(r.Seen, digest)
	if extra := len(r.Seen) - maxSeen; extra > 0 {
		r.Seen = slices.Delete(r.Seen, 0, extra)
	}
	return true
}

// errSeen ends an Apply that would change nothing.
var errSeen = errors.New("queue: this report was counted before")

// observed gives a report to the rule for its kind.
func (q *Queue) observed(c *store.Case, o Observation) error {
	f := q.finding(c, o)
	switch o.Report.Kind {
	case bounce.Bounce:
		return q.failedLater(c, f)
	case bounce.Delayed:
		return q.note(c, f, event.Deferred)
	case bounce.Delivered:
		return nil // we knew; only Seen is kept
	case bounce.Complaint:
		if f.verdict.Class == bounce.Sender { // RFC 6591: about our signatures, nobody complained
			return q.note(c, f, event.AutoReplied)
		}
		return q.complained(c, f)
	case bounce.AutoReply, bounce.Challenge, bounce.Disposition:
		return q.note(c, f, event.AutoReplied)
	case bounce.Unsubscribe:
		return q.unsubscribed(c, f)
	}
	return q.note(c, f, event.Replied)
}

// finding is what a report says of this delivery. The recipient is the
// delivery's own, whatever the report claims.
func (q *Queue) finding(c *store.Case, o Observation) finding {
	now := q.now()
	f := finding{now: now, related: o.Related, surge: q.surges.on(q.Provider(c.Recipient.Key), now)}
	said, ok := entryFor(o.Report, c.Recipient.Address)
	if !ok {
		return f
	}
	f.verdict = said.Verdict
	f.failed = said.Action == "" || strings.EqualFold(said.Action, "failed")
	f.outcome = judged(event.Outcome{Stage: "dsn", Code: said.Code, Status: said.Status, Diagnostic: said.Diagnostic,
		RemoteMTA: cmp.Or(said.RemoteMTA, o.Peer)}, said.Verdict)
	return f
}

// entryFor picks what a report says of an address: the entry that names it,
// else the first failure, else the first entry.
func entryFor(r bounce.Report, address string) (bounce.Recipient, bool) {
	want := hold.Canonical(address)
	names := func(x bounce.Recipient) bool {
		return hold.Canonical(x.Original) == want || hold.Canonical(x.Address) == want
	}
	failed := func(x bounce.Recipient) bool { return x.Action == "" || strings.EqualFold(x.Action, "failed") }
	for _, pick := range []func(bounce.Recipient) bool{names, failed, func(bounce.Recipient) bool { return true }} {
		if i := slices.IndexFunc(r.Recipients, pick); i >= 0 {
			return r.Recipients[i], true
		}
	}
	return bounce.Recipient{}, false
}

// failedLater ends a delivery by a report. After another outcome it changes
// nothing: one delivery, one outcome, and at most one late bounce.
func (q *Queue) failedLater(c *store.Case, f finding) error {
	if !f.failed {
		return q.note(c, f, event.Deferred)
	}
	switch c.Recipient.State {
	case store.Delivered, store.Waiting, store.Paused:
		c.Recipient.Last = f.outcome
		return q.ended(c, f, store.Bounced, event.Bounced)
	}
	return nil
}

// note tells of something that changes neither the delivery nor a hold.
func (q *Queue) note(c *store.Case, f finding, as event.Type) error {
	e := fact(as, c.Message, c.Recipient, f.now)
	e.Outcome, e.Raw, e.Sync, e.Basis = f.outcome, c.Raw, &f.sync, f.basis(c.Message)
	c.Events = append(c.Events, e)
	return nil
}

func (q *Queue) complained(c *store.Case, f finding) error {
	f.outcome.Class, f.outcome.Reason = string(bounce.None), string(bounce.Complained)
	return q.stopBulk(c, f, event.Complained)
}

func (q *Queue) unsubscribed(c *store.Case, f finding) error {
	f.outcome.Class, f.outcome.Reason = string(bounce.None), hold.Unsubscribed
	return q.stopBulk(c, f, event.Unsubscribed)
}

// stopBulk tells of a wish to get no more, and holds bulk mail of the domain.
func (q *Queue) stopBulk(c *store.Case, f finding, as event.Type) error {
	held := q.holdFor(c, f, true)
	e := fact(as, c.Message, c.Recipient, f.now)
	e.Outcome, e.Raw, e.Hold, e.Basis = f.outcome, c.Raw, held.Hold, f.basis(c.Message)
	c.Events = append(c.Events, e)
	if held.Type != "" {
		c.Events = append(c.Events, held)
	}
	return nil
}

// Tell makes facts durable that concern no delivery: mail for a route, an
// incident. It returns store.ErrFull where there is no room for them.
func (q *Queue) Tell(ctx context.Context, raw store.Draft, events ...event.Event) error {
	return q.TellNoting(ctx, raw, nil, events...)
}

// TellNoting is Tell that takes notes in the same transaction. notes is given
// what raw became; it is pure, because it may be asked again.
func (q *Queue) TellNoting(ctx context.Context, raw store.Draft, notes func(raw message.Ref) []store.NoteChange, events ...event.Event) error {
	return q.apply(ctx, store.Change{Raw: raw, Decide: func(c *store.Case) error {
		if notes != nil {
			c.Notes = append(c.Notes, notes(c.Raw)...)
		}
		now := q.now().UTC()
		for _, e := range events {
			if e.Time.IsZero() {
				e.Time = now
			}
			if raw != nil {
				e.Raw = c.Raw
			}
			c.Events = append(c.Events, e)
		}
		return nil
	}})
}

// AddHold puts an address on hold by an operator's word, for one application
// or, with "", for all. It is durable when it returns nil.
func (q *Queue) AddHold(ctx context.Context, address, application string, h hold.Hold) error {
	canonical := hold.Canonical(address)
	return q.apply(ctx, store.Change{Address: canonical, Decide: func(c *store.Case) error {
		h.Since = q.now()
		after, effect := c.Hold.Add(application, h)
		c.Hold, c.Hold.Address = after, canonical
		if effect == hold.Held {
			c.Events = append(c.Events, event.Event{Type: event.Held, Time: h.Since.UTC(), Recipient: address,
				Application: application, Hold: holdState(h), Outcome: event.Outcome{Reason: h.Reason, Rule: "operator"}})
		}
		return nil
	}})
}

// Release ends the holds on an address for one application or, with "", for
// all, and reports whether there was one. It is durable when it returns nil.
func (q *Queue) Release(ctx context.Context, address, application string) (released bool, err error) {
	canonical := hold.Canonical(address)
	alias, err := q.alias(ctx, canonical)
	if err != nil {
		return false, err
	}
	erased := false
	var changes []store.Change
	if alias != "" {
		changes = append(changes, store.Change{Address: alias, Decide: func(c *store.Case) error {
			c.Hold, erased = c.Hold.Release(application, q.now())
			c.Hold = c.Hold.Anonymous(q.now())
			c.Hold.Address = alias
			return nil
		}})
	}
	changes = append(changes, store.Change{Address: canonical, Decide: func(c *store.Case) error {
		now := q.now()
		c.Hold, released = c.Hold.Release(application, now)
		c.Hold.Address = canonical
		released = released || erased
		if released && !isAlias(canonical) { // of which no sink knows who it is
			c.Events = append(c.Events, event.Event{Type: event.Released, Time: now.UTC(), Recipient: address,
				Application: application, Hold: &event.HoldState{State: "free"}})
		}
		return nil
	}})
	err = q.apply(ctx, changes...)
	return released, err
}

// Answered says that an application has done what somebody asked for who wished
// to get no more of its mail: bulk mail of the domain, which was kept from him
// meanwhile, may go to him again, for now it is the application that knows what
// he gets. It is durable when it returns nil.
func (q *Queue) Answered(ctx context.Context, address, application, domain string) error {
	canonical := hold.Canonical(address)
	return q.apply(ctx, store.Change{Address: canonical, Decide: func(c *store.Case) error {
		after, answered := c.Hold.Answer(application, domain)
		if !answered {
			return nil
		}
		c.Hold, c.Hold.Address = after, canonical
		e := event.Event{Type: event.Released, Time: q.now().UTC(), Recipient: address, Application: application, Domain: domain,
			Outcome: event.Outcome{Reason: hold.Unsubscribed}, Hold: &event.HoldState{State: "free"}}
		if h, held := after.State(application, domain, true, q.now()); held {
			e.Hold = holdState(h)
		}
		c.Events = append(c.Events, e)
		return nil
	}})
}

// Retention is how long rows are kept.
type Retention struct {
	Events, Bounces, Captured, Index time.Duration
}
