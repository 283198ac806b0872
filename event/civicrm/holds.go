package civicrm

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"homing/event"
)

// Values of on_hold of an e-mail address at CiviCRM.
const (
	onHold = 1 // bounced
	optOut = 2
)

// before notes which records of an address are free, ahead of a call by which
// CiviCRM may put it on hold: what is not free afterwards is so by our word. Where
// they cannot be seen, bounces are told all the same.
func (s *Sink) before(ctx context.Context, e event.Event) error {
	if e.Hold == nil || e.Hold.State != "held" || e.Type != event.Bounced && e.Type != event.Expired && e.Type != event.Complained {
		return nil
	}
	done, err := s.c.Memory.turns.take(ctx, e.Recipient)
	if err != nil {
		return err
	}
	defer done()
	if _, known := s.c.Memory.entry(e.Recipient); known {
		return nil
	}
	records, err := s.records(ctx, []any{where("email", e.Recipient)})
	if is(err, (*callError).answered) {
		return nil // if it is the site that does not work, the call itself will say so
	}
	if err != nil || len(records) == 0 {
		return err
	}
	x := entry{Address: e.Recipient, Scopes: []Scope{{e.Application, e.Domain}}}
	for _, r := range records {
		x.Emails = append(x.Emails, email{ID: r.id, Whose: whoseWhen(r, caused), Reset: r.reset})
	}
	return s.c.Memory.noteEntry(ctx, x)
}

// whoseWhen says whose a hold on a record is, if it is free now and put on hold
// by somebody then.
func whoseWhen(r record, then whose) whose {
	if r.level != 0 {
		return theirs
	}
	return then
}

// held puts an address on hold at CiviCRM, if it still is here. Of its own
// mailings CiviCRM judges by itself: there we only watch what it made of our
// word.
func (s *Sink) held(ctx context.Context, e event.Event, mailing bool) error {
	done, err := s.c.Memory.turns.take(ctx, e.Recipient)
	if err != nil {
		return err
	}
	defer done()
	scope := Scope{e.Application, e.Domain}
	standing, err := s.c.Queue.Standing(ctx, scope, e.Recipient)
	if err != nil || !standing.Held {
		return err
	}
	records, err := s.records(ctx, []any{where("email", e.Recipient)})
	if mailing && (is(err, (*callError).denied) || is(err, (*callError).absent)) {
		return nil
	}
	if err != nil {
		return permit(err)
	}
	x, _ := s.c.Memory.entry(e.Recipient)
	x.Address, x.Until = e.Recipient, standing.Until
	if !slices.Contains(x.Scopes, scope) {
		x.Scopes = append(x.Scopes, scope)
	}
	if mailing && x.Level == 0 {
		return s.watch(ctx, x, records)
	}
	x.Level = onHold
	if standing.OptOut {
		x.Level = optOut
	}
	return s.set(ctx, x, records)
}

// permit says what to do about a call for holds that the contact may not make,
// or the site does not have: no reason to keep bounces from it.
func permit(err error) error {
	switch {
	case is(err, (*callError).absent):
		return fmt.Errorf("holds need APIv4, which this site does not have at /civicrm/ajax/api4: %v", err)
	case !is(err, (*callError).denied):
		return err
	}
	return fmt.Errorf("%w: give the contact whose key it is \"view all contacts\" and \"edit all contacts\" under Administer, Users and Permissions", err)
}

// watch remembers which records CiviCRM has on hold.
func (s *Sink) watch(ctx context.Context, x entry, records []record) error {
	before := x.Emails
	x.Emails, x.Done = nil, true
	for _, r := range records {
		if r.level == 0 {
			continue
		}
		m := email{ID: r.id, Whose: theirs, Reset: r.reset}
		if i := slices.IndexFunc(before, func(b email) bool { return b.ID == r.id }); i >= 0 {
			m.Whose = before[i].Whose
		}
		x.Emails = append(x.Emails, m)
	}
	if len(x.Emails) == 0 {
		return s.c.Memory.forget(ctx, x.Address)
	}
	return s.c.Memory.noteEntry(ctx, x)
}

// set puts the records of an address on hold that are free. Which ones they are
// is noted before, so that they are ours whatever happens on the way.
func (s *Sink) set(ctx context.Context, x entry, records []record) error {
	if len(records) == 0 {
		return s.c.Memory.forget(ctx, x.Address) // nobody there has the address
	}
	var free []uint64
	before := x.Emails
	x.Emails, x.Done = nil, false
	for _, r := range records {
		m := email{ID: r.id, Whose: whoseWhen(r, ours), Reset: r.reset}
		if i := slices.IndexFunc(before, func(b email) bool { return b.ID == r.id }); i >= 0 && r.level != 0 {
			m.Whose = before[i].Whose
		}
		if r.level == 0 {
			free = append(free, r.id)
		}
		x.Emails = append(x.Emails, m)
	}
	if err := s.c.Memory.noteEntry(ctx, x); err != nil {
		return err
	}
	if err := s.update(ctx, free, 0, x.Level); err != nil {
		return permit(err)
	}
	if len(free) > 0 {
		s.c.Metrics.fact(s.c.Name, held)
		s.c.Logger.Info("an address is on hold at CiviCRM", "rcpt", x.Address, "level", x.Level)
	}
	x.Done = true
	return s.c.Memory.noteEntry(ctx, x)
}

// released takes an address off hold at CiviCRM where nothing here stops its
// mail any more, and only what was put on hold by us or our word.
func (s *Sink) released(ctx context.Context, e event.Event) error {
	done, err := s.c.Memory.turns.take(ctx, e.Recipient)
	if err != nil {
		return err
	}
	defer done()
	x, known := s.c.Memory.entry(e.Recipient)
	if !known {
		return nil
	}
	left, err := s.standing(ctx, x)
	if err != nil {
		return err
	}
	if len(left.Scopes) > 0 {
		return s.c.Memory.noteEntry(ctx, left)
	}
	return s.end(ctx, x, ours, caused)
}

// standing gives an entry with the holds that still stand here.
func (s *Sink) standing(ctx context.Context, x entry) (entry, error) {
	left := x
	left.Scopes, left.Until = nil, time.Time{}
	for _, scope := range x.Scopes {
		now, err := s.c.Queue.Standing(ctx, scope, x.Address)
		if err != nil {
			return x, err
		}
		if now.Held {
			left.Scopes, left.Until = append(left.Scopes, scope), now.Until
		}
	}
	return left, nil
}

// end takes off hold what is of these, and forgets the address.
func (s *Sink) end(ctx context.Context, x entry, of ...whose) error {
	var ids []uint64
	for _, m := range x.Emails {
		if slices.Contains(of, m.Whose) {
			ids = append(ids, m.ID)
		}
	}
	if err := s.update(ctx, ids, max(x.Level, onHold), 0); err != nil {
		return permit(err)
	}
	if len(ids) > 0 {
		s.c.Metrics.fact(s.c.Name, cleared)
		s.c.Logger.Info("an address is no longer on hold at CiviCRM", "rcpt", x.Address)
	}
	return s.c.Memory.forget(ctx, x.Address)
}

// A record is an e-mail address of a contact at CiviCRM.
type record struct {
	id, level uint64
	address   string
	reset     string // when somebody took it off hold
}

// maxRecords is the most records of one address, or of one look at many.
const maxRecords = 200

func (s *Sink) records(ctx context.Context, conditions []any) (all []record, err error) {
	rows, err := s.api.v4(ctx, "Email", "get", map[string]any{"select": []string{"id", "email", "on_hold", "reset_date"}, "where": conditions, "limit": maxRecords})
	for _, r := range rows {
		if id := r.number("id"); id != 0 {
			all = append(all, record{id, r.level(), r.text("email"), r.text("reset_date")})
		}
	}
	return all, err
}

// level reads on_hold, which was a yes or no before it was a number.
func (r row) level() uint64 {
	if string(r["on_hold"]) == "true" {
		return onHold
	}
	return r.number("on_hold")
}

// update moves records from one level to another: those that have it now. So a
// repetition changes nothing.
func (s *Sink) update(ctx context.Context, ids []uint64, from, to int) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := s.api.v4(ctx, "Email", "update", map[string]any{
		"where": []any{[]any{"id", "IN", ids}, where("on_hold", from)}, "values": map[string]any{"on_hold": to}})
	return err
}

// turns lets one goroutine at a time work on an address. The zero turns is
// ready.
type turns struct {
	mu   sync.Mutex
	busy map[string]chan struct{}
}

// take waits for the turn on an address, and gives what ends it.
func (t *turns) take(ctx context.Context, address string) (done func(), err error) {
	name := strings.ToLower(address)
	for {
		t.mu.Lock()
		other, taken := t.busy[name]
		if !taken {
			mine := make(chan struct{})
			if t.busy == nil {
				t.busy = map[string]chan struct{}{}
			}
			t.busy[name] = mine
			t.mu.Unlock()
			return func() { t.leave(name, mine) }, nil
		}
		t.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (t *turns) leave(name string, mine chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.busy, name)
	close(mine)
}
