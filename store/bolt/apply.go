package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"homing/event"
	"homing/hold"
	"homing/internal/message"
	"homing/store"
)

// Enqueue implements store.Store. It takes at most 1,000 recipients.
func (s *Store) Enqueue(ctx context.Context, sub store.Submission) (event.MessageID, error) {
	if err := s.broken(ctx); err != nil {
		return 0, err
	}
	e, err := s.newEntry(sub)
	if err != nil {
		return 0, err
	}
	if err := e.content.prepare(sub.Heads); err != nil {
		return 0, s.check(err)
	}
	if err := s.submit(ctx, false, e.stage); err != nil {
		return 0, err
	}
	e.content.settle()
	return e.id, nil
}

// An entry is a Submission on its way into a frame: all that can be encoded
// before its turn comes.
type entry struct {
	id      event.MessageID
	key     string
	content *draft
	owed    int // recipients that do
	rows    []op
	due     []dueChange
	events  []event.Event
	returns []returnRow
}

// A returnRow finds a delivery by the return path that its application gave.
// A return path that serves several deliveries finds none of them.
type returnRow struct {
	key string
	id  event.DeliveryID
}

const (
	longestKey     = 1024 // octets of an idempotency key
	longestAddress = 1024 // octets of an address: bbolt has a limit for keys
	receiptMost    = 64 << 10
)

func (s *Store) newEntry(sub store.Submission) (*entry, error) {
	d, err := s.draftOf(sub.Body)
	switch {
	case err != nil:
		return nil, err
	case d == nil:
		return nil, errors.New("bolt: a submission needs a body")
	case d.named:
		return nil, errors.New("bolt: the body of the submission is used already")
	case len(sub.Heads) == 0 || len(sub.Recipients) == 0 || len(sub.Recipients) > changesMost:
		return nil, fmt.Errorf("bolt: a submission needs header blocks and 1 to %d recipients", changesMost)
	case len(sub.Key) > longestKey:
		return nil, fmt.Errorf("bolt: an idempotency key of more than %d octets", longestKey)
	case len(sub.Receipt) > receiptMost:
		return nil, fmt.Errorf("bolt: a receipt of more than %d octets", receiptMost)
	}
	e := &entry{id: event.MessageID(s.messages.Take(s.now(), 1)), key: sub.Key, content: d, events: sub.Events}
	m := messageRow{Message: sub.Message, key: sub.Key, body: d.id, left: len(sub.Recipients)}
	if m.Accepted.IsZero() {
		m.Accepted = s.now()
	}
	ids := make([]event.DeliveryID, 0, len(sub.Recipients))
	for i := range sub.Recipients {
		r := sub.Recipients[i]
		if err := e.add(&r, sub.Heads, d); err != nil {
			return nil, err
		}
		ids = append(ids, r.ID)
		if key := returnKey(&m.Message, &r); key != "" {
			e.returns = append(e.returns, returnRow{key, r.ID})
		}
	}
	m.deliveries = deliveryListOf(ids)
	e.rows = append(e.rows, op{bucketMessage, key64(e.id), m.encode()})
	if e.key != "" {
		e.rows = append(e.rows, op{bucketKey, e.key, encodeReceipt(e.id, sub.Receipt)})
	}
	return e, nil
}

func (e *entry) add(r *store.Recipient, heads [][]byte, d *draft) error {
	switch {
	case r.ID == 0:
		return errors.New("bolt: a recipient needs a number from Deliveries")
	case r.Head < 0 || r.Head >= len(heads):
		return fmt.Errorf("bolt: there is no header block %d", r.Head)
	case r.State == 0 || r.State.String() == fmt.Sprintf("state %d", uint8(r.State)):
		return fmt.Errorf("bolt: a recipient cannot begin in state %d", uint8(r.State))
	case len(r.Address) > longestAddress:
		return fmt.Errorf("bolt: an address of more than %d octets", longestAddress)
	}
	r.Message = e.id
	r.Body = message.Ref{Body: d.id, Head: uint32(r.Head), Size: int64(len(heads[r.Head])) + d.size}
	key := key64(r.ID)
	e.rows = append(e.rows, op{bucketRecipient, key, encodeRecipient(r)},
		op{bucketAddress, historyKey(hold.Canonical(r.Address), r.ID), present()})
	if !r.State.Terminal() {
		w := waitOf(r)
		e.rows = append(e.rows, op{bucketWaiting, key, w.encode()})
		e.due = append(e.due, dueChange{id: r.ID, new: w})
		e.owed++
	}
	return nil
}

// returnKey is the key of a delivery in bucketReturn, empty for a return path
// that is ours or null: those need no row.
func returnKey(m *store.Message, r *store.Recipient) string {
	if r.ReturnPath == "" || r.ReturnPath != m.Sender || len(r.ReturnPath) > longestAddress {
		return ""
	}
	return hold.Canonical(r.ReturnPath)
}

// historyKey is a row in the history of a person. Addresses hold no zero
// octet; one that does is only filed badly.
func historyKey(canonical string, id event.DeliveryID) string { return canonical + "\x00" + key64(id) }

func (e *entry) stage(t *txn) error {
	if e.key != "" {
		if row := t.get(bucketKey, e.key); row != nil {
			first, err := decodeNumber(row)
			e.id = event.MessageID(first)
			return err
		}
	}
	if e.owed > 0 {
		t.putBody(e.content)
		t.owed[e.content.id] += e.owed
	}
	for _, p := range e.rows {
		if p.bucket == bucketRecipient && t.get(p.bucket, p.key) != nil {
			return fmt.Errorf("bolt: delivery %v exists already", id64[event.DeliveryID](p.key))
		}
		t.put(p.bucket, p.key, p.value)
	}
	for _, r := range e.returns {
		now := returning{delivery: r.id}
		if row := t.get(bucketReturn, r.key); row != nil {
			before, err := decodeReturning(row)
			if err != nil {
				return err
			}
			now = before.and()
		}
		t.put(bucketReturn, r.key, now.encode())
	}
	t.due = append(t.due, e.due...)
	for i := range e.events {
		ev := e.events[i]
		ev.Message = e.id
		t.event(&ev)
	}
	return nil
}

// Apply implements store.Store. It takes at most 1,000 changes. A Raw is kept
// when an event or a note of its Change names it: what nobody can find needs no
// room.
//
// A change without a Lease ends the lease on its recipient when it moves the
// recipient away from Waiting; otherwise the dialogue under way goes on.
func (s *Store) Apply(ctx context.Context, changes ...store.Change) error {
	if err := s.broken(ctx); err != nil {
		return err
	}
	if len(changes) > changesMost {
		return fmt.Errorf("bolt: %d changes at once; %d are the most", len(changes), changesMost)
	}
	a := &application{changes: changes, raws: map[*draft]bool{}}
	for _, c := range changes {
		d, err := s.draftOf(c.Raw)
		if err != nil {
			return err
		}
		if d == nil || a.raws[d] {
			continue
		}
		a.raws[d] = true
		if err := d.prepare(nil); err != nil {
			return s.check(err)
		}
	}
	err := s.commission(ctx, &request{stage: a.stage, settles: true, patient: a.leased()})
	for d := range a.raws {
		d.settle()
	}
	return err
}

// An application is one Apply.
type application struct {
	changes []store.Change
	raws    map[*draft]bool
}

// leased reports whether all changes end a lease.
func (a *application) leased() bool {
	return !slices.ContainsFunc(a.changes, func(c store.Change) bool { return c.Lease == (store.Token{}) })
}

func (a *application) stage(t *txn) error {
	for d := range a.raws {
		if err := t.once(d); err != nil {
			return err
		}
	}
	ended := len(t.ended) // a lease serves all changes of one Apply
	for i := range a.changes {
		if err := t.change(&a.changes[i], t.ended[:ended]); err != nil {
			return err
		}
	}
	return nil
}

// once notes that what a draft has brought is done.
func (t *txn) once(d *draft) error {
	switch {
	case d.once == "":
		return nil
	case len(d.once) > longestKey:
		return errNote
	case t.get(bucketNote, d.once) != nil:
		return store.ErrOnce
	}
	t.put(bucketNote, d.once, present())
	return nil
}

func (t *txn) change(c *store.Change, ended []event.DeliveryID) error {
	if c.Idle && !t.reserve(c.Delivery) {
		return nil
	}
	k, before, err := t.caseOf(c, ended)
	if err != nil {
		return err
	}
	raw, err := t.s.draftOf(c.Raw)
	if err != nil {
		return err
	}
	if raw != nil {
		k.Raw = message.Ref{Body: raw.id, Size: raw.size}
	}
	old := k.Recipient
	if err := c.Decide(k); err != nil {
		return err
	}
	if c.Delivery != 0 {
		if err := t.putRecipient(c, &old, &k.Recipient, before.recipient); err != nil {
			return err
		}
	}
	if err := t.putHold(k.Hold, before); err != nil {
		return err
	}
	return t.tell(k, raw)
}

// before is what rows were when Decide looked at them.
type before struct {
	address   string // of the hold; "" when the Case is about nobody
	recipient []byte
	hold      []byte
}

func (t *txn) caseOf(c *store.Change, ended []event.DeliveryID) (*store.Case, before, error) {
	k := new(store.Case)
	b := before{address: hold.Canonical(c.Address)}
	if c.Delivery != 0 {
		if err := t.leased(c, ended); err != nil {
			return nil, b, err
		}
		b.recipient = t.get(bucketRecipient, key64(c.Delivery))
		r, err := t.recipient(c.Delivery)
		if err != nil {
			return nil, b, err
		}
		m, err := t.message(r.Message)
		if err != nil {
			return nil, b, err
		}
		k.Recipient, k.Message, b.address = r, m.Message, hold.Canonical(r.Address)
	}
	if len(b.address) > longestAddress*2 {
		return nil, b, errors.New("bolt: the address is too long")
	}
	if b.address == "" {
		return k, b, nil
	}
	var err error
	b.hold = t.get(bucketHold, b.address)
	k.Hold, err = t.hold(b.address)
	k.Hold.Address = b.address
	return k, b, err
}

// leased checks the Fence of a change that has one. ended are the leases that
// earlier requests of this frame ended.
func (t *txn) leased(c *store.Change, ended []event.DeliveryID) error {
	if c.Lease == (store.Token{}) {
		return nil
	}
	if slices.Contains(ended, c.Delivery) {
		return store.ErrLeaseLost
	}
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	l := t.s.due.leases[c.Delivery]
	if c.Lease.Delivery != c.Delivery || l == nil || l.fence != c.Lease.Fence {
		return store.ErrLeaseLost
	}
	if !l.busy {
		l.busy = true
		t.busy = append(t.busy, l)
	}
	return nil
}

// reserve keeps a recipient from being leased until the frame is done. It
// reports false where somebody has leased it, also one whose lease has lapsed
// and who may still be sending.
func (t *txn) reserve(id event.DeliveryID) bool {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	switch l := t.s.due.leases[id]; {
	case l == nil:
		t.s.due.leases[id] = &lease{lapsed: true, busy: true}
		t.reserved = append(t.reserved, id)
	case l.fence != 0:
		return false
	}
	return true
}

// putRecipient writes what Decide made of a recipient.
func (t *txn) putRecipient(c *store.Change, old, r *store.Recipient, oldRow []byte) error {
	if r.ID != old.ID || r.Message != old.Message || r.Address != old.Address || r.Body != old.Body || r.Head != old.Head {
		return fmt.Errorf("bolt: delivery %v was made another one", c.Delivery)
	}
	if r.State != old.State {
		if probe := *old; probe.Move(r.State, t.now) != nil {
			return fmt.Errorf("%w: %v to %v", store.ErrMove, old.State, r.State)
		}
	}
	key := key64(r.ID)
	if row := encodeRecipient(r); !bytes.Equal(row, oldRow) {
		t.put(bucketRecipient, key, row)
	}
	was, is := waitOf(old), waitOf(r)
	switch {
	case old.State.Terminal():
		return nil
	case r.State.Terminal():
		t.del(bucketWaiting, key)
		t.owed[r.Body.Body]--
		is = waitRow{}
	case is != was:
		t.put(bucketWaiting, key, is.encode())
	}
	ends := c.Lease != (store.Token{}) || r.State != store.Waiting
	if ends {
		t.ended = append(t.ended, r.ID)
	}
	if ends || is != was {
		t.due = append(t.due, dueChange{id: r.ID, old: was, new: is, keep: !ends})
	}
	return nil
}

func (t *txn) putHold(r hold.Record, b before) error {
	if b.address == "" {
		if len(r.Scopes) > 0 {
			return errors.New("bolt: a hold without an address")
		}
		return nil
	}
	if r.Address != b.address {
		return fmt.Errorf("bolt: the hold on %s was made one on another address", b.address)
	}
	if len(r.Scopes) == 0 {
		if b.hold != nil {
			t.del(bucketHold, b.address)
		}
		return nil
	}
	if row := encodeHold(&r); !bytes.Equal(row, b.hold) {
		t.put(bucketHold, b.address, row)
	}
	return nil
}

// tell writes the events and notes of a Case, and Raw if one of them names it.
func (t *txn) tell(k *store.Case, raw *draft) error {
	named := raw != nil && (slices.ContainsFunc(k.Events, func(e event.Event) bool { return e.Raw.Body == raw.id }) ||
		slices.ContainsFunc(k.Notes, func(n store.NoteChange) bool { return n.Raw.Body == raw.id }))
	if named {
		t.keepReport(raw)
	}
	for _, n := range k.Notes {
		if err := fitsNote(n.Space, n.Name, n.Value); err != nil {
			return err
		}
		if t.note(n.Space, n.Name, n.Value); n.Value == nil && !n.Raw.IsZero() {
			t.dropReport(key64(n.Raw.Body))
		}
	}
	for i := range k.Events {
		t.event(&k.Events[i])
	}
	return nil
}

// keepReport keeps a Draft until Forget with ReportsBefore, once.
func (t *txn) keepReport(d *draft) {
	key := key64(d.id)
	if t.get(bucketReport, key) != nil {
		return
	}
	if t.get(bucketBody, key) == nil {
		t.putBody(d)
	}
	t.put(bucketReport, key, present())
	t.owed[d.id]++
}
