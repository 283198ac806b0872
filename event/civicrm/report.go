package civicrm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"slices"
	"strings"
	"sync"

	"homing/event"
)

// A call is what a fact becomes.
type call struct {
	entity, action string
	params         map[string]any
	trace          *trace // nil: the site keeps none
}

// A trace is where the site shows that a call was applied.
type trace struct {
	entity string
	where  []any
	names  []string       // of the fields that ours needs
	ours   func(row) bool // nil: any may be of another call, and only their number tells
}

// where makes a condition of APIv4.
func where(field string, value any) []any { return []any{field, "=", value} }

// report makes the call for a fact, unless it was made before.
func (s *Sink) report(ctx context.Context, e event.Event, own Address) error {
	c, err := s.callOf(ctx, e, own)
	if err != nil {
		return err
	}
	done, t, err := s.prior(ctx, e, c)
	if err != nil || done {
		return err
	}
	if err := s.c.Memory.noteCall(ctx, e.ID, t); err != nil {
		return err
	}
	_, err = s.api.v3(ctx, c.entity, c.action, c.params)
	if err != nil {
		err = s.explain(ctx, e, c, err)
	}
	if err != nil {
		return err
	}
	t.Told = true
	return s.c.Memory.noteCall(context.WithoutCancel(ctx), e.ID, t)
}

// prior finds out whether the call for a fact was applied by an earlier try.
// Without a note of one, a fact of before the start may have been told by
// somebody who has forgotten it.
func (s *Sink) prior(ctx context.Context, e event.Event, c call) (done bool, t tried, err error) {
	t, known := s.c.Memory.call(e.ID)
	if known && t.Told {
		return true, t, nil
	}
	doubtful := known || e.ID.Time().Before(s.started)
	if !known {
		t.Before = -1
	}
	if c.trace == nil || !doubtful && c.trace.ours != nil {
		return false, t, nil
	}
	rows, told, err := s.recorded(ctx, *c.trace)
	switch {
	case !doubtful && is(err, (*callError).answered):
		return false, t, nil // only the count is missing, should the call get no answer
	case err != nil || !told:
		return false, t, err
	case c.trace.ours != nil && slices.ContainsFunc(rows, c.trace.ours):
	case c.trace.ours == nil && known && t.Before >= 0 && len(rows) > t.Before:
	default:
		if !known {
			t.Before = len(rows)
		}
		return false, t, nil
	}
	s.c.Metrics.fact(s.c.Name, found)
	s.c.Logger.Info("the site had this fact already", "event", e.ID, "item", e.Delivery)
	t.Told = true
	return true, t, s.c.Memory.noteCall(ctx, e.ID, t)
}

// blind is what a site cannot tell: its API has no such entity, or the contact
// that acts may not see it.
type blind struct {
	mu       sync.Mutex
	entities map[string]bool
}

func (b *blind) to(entity string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.entities[entity]
}

// become notes that a site cannot tell; it reports whether that is news.
func (b *blind) become(entity string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	news := !b.entities[entity]
	if b.entities == nil {
		b.entities = map[string]bool{}
	}
	b.entities[entity] = true
	return news
}

// recorded asks the site what it has recorded. told is false where it cannot
// tell.
func (s *Sink) recorded(ctx context.Context, t trace) (rows []row, told bool, err error) {
	if s.blind.to(t.entity) {
		return nil, false, nil
	}
	rows, err = s.api.v4(ctx, t.entity, "get", map[string]any{"select": append([]string{"id"}, t.names...), "where": t.where, "limit": 100})
	if is(err, (*callError).absent) || is(err, (*callError).denied) {
		if s.blind.become(t.entity) {
			s.c.Logger.Warn("the site cannot tell what it has recorded: a call that gets no answer is made again", "err", err)
		}
		return nil, false, nil
	}
	return rows, err == nil, err
}

// explain says what is to be done about a call that failed; nil: it was
// applied all the same.
func (s *Sink) explain(ctx context.Context, e event.Event, c call, err error) error {
	switch {
	case is(err, (*callError).unknown) && e.Type == event.Replied:
		// The same is said after recording, where CiviCRM forwards no replies.
		rows, told, failed := s.recorded(ctx, *c.trace)
		if failed != nil {
			return failed
		}
		if !told || len(rows) > 0 {
			return nil
		}
		return refused(err)
	case is(err, (*callError).unknown):
		return refused(err)
	}
	return allowed(err)
}

// allowed says what to do about a call that the contact may not make.
func allowed(err error) error {
	if !is(err, (*callError).denied) || is(err, (*callError).ofSite) {
		return err
	}
	return &event.Failure{Fault: event.Down, Err: fmt.Errorf("%w: give the contact whose key it is \"access CiviCRM\" and \"access CiviMail\" "+
		"under Administer, Users and Permissions", err)}
}

func refused(err error) error {
	return &event.Failure{Fault: event.Refused, Err: fmt.Errorf("%w: CiviCRM has no such mail in the queue of a mailing; "+
		"it was deleted there, or the sink's url is of another site", err)}
}

// callOf says which call a fact becomes.
func (s *Sink) callOf(ctx context.Context, e event.Event, own Address) (call, error) {
	queued := map[string]any{"job_id": own.Job, "event_queue_id": own.Queue, "hash": own.Hash}
	switch e.Type {
	case event.Bounced, event.Expired, event.Complained:
		return bounce(e, own, queued), nil
	case event.Replied:
		return s.reply(ctx, e, own, queued)
	case event.Unsubscribed, event.OptedOut:
		optOut := e.Type == event.OptedOut
		if optOut {
			queued["org_unsubscribe"] = 1
		}
		return call{"MailingEventUnsubscribe", "create", queued, &trace{entity: "MailingEventUnsubscribe",
			where: []any{where("event_queue_id", own.Queue), where("org_unsubscribe", optOut)}}}, nil
	case event.Resubscribed:
		return call{"MailingEventResubscribe", "create", queued, nil}, nil
	case event.Subscribed:
		l, err := s.letter(ctx, e)
		return call{"MailingEventSubscribe", "create", map[string]any{"email": l.from, "group_id": own.Job}, nil}, err
	case event.Confirmed:
		return call{"MailingEventConfirm", "create", map[string]any{"contact_id": own.Job, "subscribe_id": own.Queue, "hash": own.Hash}, nil}, nil
	}
	return call{}, errors.New("civicrm: no call fits the fact") // Wants lets none through
}

// bounce is the call for a failure, with its type: so CiviCRM's own patterns
// do not judge it. Two alike of one entry are one: of each outcome there is
// one, and a complaint that comes twice is the same complaint.
func bounce(e event.Event, own Address, params map[string]any) call {
	kind, reason := typeOf(e), reasonOf(e)
	params["bounce_type_id"], params["bounce_reason"], params["body"] = kind, reason, reason
	ours := func(r row) bool {
		return r.number("bounce_type_id") == uint64(kind) && strings.TrimSpace(html.UnescapeString(r.text("bounce_reason"))) == reason
	}
	return call{"Mailing", "event_bounce", params, &trace{entity: "MailingEventBounce",
		where: []any{where("event_queue_id", own.Queue)}, names: []string{"bounce_type_id", "bounce_reason"}, ours: ours}}
}

// reply is the call for mail of a person to a mailing.
func (s *Sink) reply(ctx context.Context, e event.Event, own Address, params map[string]any) (call, error) {
	l, err := s.letter(ctx, e)
	if err != nil {
		return call{}, err
	}
	params["replyTo"], params["bodyTxt"], params["bodyHTML"] = l.replyTo, l.text, l.html
	if l.whole != "" {
		params["fullEmail"] = l.whole
	}
	return call{"Mailing", "event_reply", params, &trace{entity: "MailingEventReply", where: []any{where("event_queue_id", own.Queue)}}}, nil
}

// number gives a field that is a number, or one in quotes; 0: it is none.
func (r row) number(name string) (n uint64) {
	if json.Unmarshal([]byte(strings.Trim(string(r[name]), `"`)), &n) != nil {
		return 0
	}
	return n
}

// text gives a field that is a text; "": it is none.
func (r row) text(name string) (s string) {
	if json.Unmarshal(r[name], &s) != nil {
		return ""
	}
	return s
}
