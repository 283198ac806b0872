package queue

import (
	"cmp"
	"context"
	"time"

	"homing/event"
	"homing/hold"
	"homing/store"
)

// A Submission is a message that an application hands over, or one of our own:
// a report, mail for the postmaster. That has no Message.Application; no hold
// stops it, and what becomes of it leads to none.
type Submission struct {
	Key     string // idempotency key; empty: none
	Receipt []byte // kept with Key, for whoever submits it again
	Message store.Message
	Body    store.Draft
	Heads   [][]byte // whole header blocks with their empty line
	// Own makes the header block of one recipient, in the place of Heads; nil:
	// some share one.
	Own        func(id event.DeliveryID, address string) ([]byte, error)
	Recipients []Recipient
	Capture    bool   // keep it and send nothing
	Lane       Lane   // whether it goes before others
	Sending    string // whose way out it takes; "": Message.Domain, else the domain of its author
	// ReturnPath mints the reverse-path of a delivery.
	ReturnPath func(id event.DeliveryID, address string) string
}

// A Recipient is one recipient of a Submission.
type Recipient struct {
	Address  string
	Head     int        // which of Heads
	Notify   string     // NOTIFY (RFC 3461)
	Original string     // ORCPT (RFC 3461)
	Held     *hold.Hold // set: the address is on hold, so it is suppressed
}

// A Lane says who goes first. The zero Lane is for the queue to find: mail to one
// recipient without list fields (a receipt, a password) goes before the rest.
type Lane string

// The lanes that whoever submits may ask for.
const (
	Transactional Lane = "transactional" // before all bulk mail
	Bulk          Lane = "bulk"
)

// Numbers of lanes in the store.
const (
	laneSingle = 0
	laneBulk   = 1
)

// number is the number of a lane for a message.
func (l Lane) number(m store.Message) uint8 {
	if l == Bulk || l != Transactional && m.Bulk {
		return laneBulk
	}
	return laneSingle
}

// Submit takes a message into the queue. It is durable when it returns nil.
// The errors are those of store.Enqueue and of Submission.Own.
func (q *Queue) Submit(ctx context.Context, s Submission) (event.MessageID, error) {
	now := q.now()
	s.Message.Accepted = now
	out := store.Submission{Key: s.Key, Receipt: s.Receipt, Message: s.Message, Body: s.Body, Heads: s.Heads,
		Recipients: make([]store.Recipient, 0, len(s.Recipients)), Events: make([]event.Event, 0, len(s.Recipients))}
	id := q.store.Deliveries(len(s.Recipients))
	for i, in := range s.Recipients {
		if s.Own != nil {
			head, err := s.Own(id+event.DeliveryID(i), in.Address)
			if err != nil {
				return 0, err
			}
			in.Head, out.Heads = i, append(out.Heads, head)
		}
		r, events := q.enter(s, in, id+event.DeliveryID(i), now)
		out.Recipients = append(out.Recipients, r)
		out.Events = append(out.Events, events...)
	}
	mid, err := q.store.Enqueue(ctx, out)
	if err != nil {
		return 0, err
	}
	q.metrics.count(out.Events)
	return mid, nil
}

// enter makes the row and the events with which a recipient's life begins.
func (q *Queue) enter(s Submission, in Recipient, id event.DeliveryID, now time.Time) (store.Recipient, []event.Event) {
	m := s.Message
	r := store.Recipient{
		ID: id, Address: in.Address, ReturnPath: s.ReturnPath(id, in.Address), Head: in.Head,
		Key: store.Key{Domain: domainOf(in.Address), Lane: s.Lane.number(m), Flow: store.FlowOf(m.Application, m.Campaign),
			Sending: cmp.Or(s.Sending, m.Domain, domainOf(m.From))},
		State: store.Waiting, Due: m.Begins(), Expires: m.Begins().Add(q.options.Load().Lifetime),
		Notify: in.Notify, Original: in.Original,
	}
	events := []event.Event{unshown(fact(event.Accepted, m, r, now))}
	switch {
	case in.Held != nil:
		r.State, r.Ended = store.Suppressed, now
		events = append(events, suppressed(m, r, *in.Held, now))
	case s.Capture:
		r.State = store.Captured
		events = append(events, unshown(fact(event.Captured, m, r, now)))
	}
	return r, events
}

// domainOf gives the canonical domain of an address.
func domainOf(address string) string {
	c := hold.Canonical(address)
	for i := len(c) - 1; i >= 0; i-- {
		if c[i] == '@' {
			return c[i+1:]
		}
	}
	return c
}

// suppressed is the fact that nothing was sent because the address is on hold.
func suppressed(m store.Message, r store.Recipient, h hold.Hold, now time.Time) event.Event {
	e := fact(event.Suppressed, m, r, now)
	e.Hold = holdState(h)
	e.Outcome = event.Outcome{Reason: h.Reason}
	if n := len(h.Marks); n > 0 {
		e.Outcome = outcomeOf(h.Marks[n-1])
	}
	return e
}

func holdState(h hold.Hold) *event.HoldState {
	s := &event.HoldState{State: string(hold.Held)}
	if !h.Until.IsZero() {
		until := h.Until.UTC()
		s.Until = &until
	}
	return s
}

func outcomeOf(m hold.Mark) event.Outcome {
	return event.Outcome{Class: m.Class, Reason: m.Reason, CiviCRM: m.CiviCRM, Code: m.Code, Status: m.Status,
		Diagnostic: m.Diagnostic, RemoteMTA: m.RemoteMTA, Rule: m.Rule, Matched: m.Matched}
}
