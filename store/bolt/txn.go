package bolt

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"homing/event"
	"homing/hold"
	"homing/internal/message"
	"homing/store"
)

type rowKey struct {
	bucket bucket
	key    string
}

// A txn is one frame in the making, on top of a view. Only the committer has
// one. Requests are staged one after the other, each as a whole or not at all.
type txn struct {
	s     *Store
	now   time.Time
	view  *view
	frame frameWriter

	rows     map[rowKey][]byte // nil: deleted
	events   []string          // keys of events that are put, or forgotten
	due      []dueChange
	bodies   []bodyChange
	doomed   []uint64 // bodies whose own file goes
	ended    []event.DeliveryID
	busy     []*lease
	reserved []event.DeliveryID // leases without a Fence, in nobody's name
	named    []*draft
	undo     []undo

	owed map[uint64]int // of this request: reasons to keep a body, more or less
}

// An undo is what a row was before.
type undo struct {
	key     rowKey
	value   []byte
	existed bool // in txn.rows
}

// A mark is a point to which a txn can be rolled back.
type mark struct{ size, buf, ops, events, due, bodies, doomed, ended, named, undo int }

func newTxn(s *Store) *txn {
	return &txn{s: s, rows: map[rowKey][]byte{}, owed: map[uint64]int{}}
}

func (t *txn) begin() (err error) {
	t.frame.reset()
	clear(t.rows)
	clear(t.owed)
	t.events, t.due, t.bodies = t.events[:0], t.due[:0], t.bodies[:0]
	t.doomed, t.ended, t.named, t.undo = t.doomed[:0], t.ended[:0], t.named[:0], t.undo[:0]
	t.now = t.s.now()
	t.view, err = t.s.newView()
	return err
}

func (t *txn) mark() mark {
	return mark{t.frame.size(), len(t.frame.buf), len(t.frame.ops), len(t.events), len(t.due), len(t.bodies),
		len(t.doomed), len(t.ended), len(t.named), len(t.undo)}
}

func (t *txn) rollback(m mark) {
	t.frame.buf, t.frame.ops = t.frame.buf[:m.buf], t.frame.ops[:m.ops]
	t.events, t.due, t.bodies = t.events[:m.events], t.due[:m.due], t.bodies[:m.bodies]
	t.doomed, t.ended, t.named = t.doomed[:m.doomed], t.ended[:m.ended], t.named[:m.named]
	for _, u := range slices.Backward(t.undo[m.undo:]) {
		if u.existed {
			t.rows[u.key] = u.value
		} else {
			delete(t.rows, u.key)
		}
	}
	t.undo = t.undo[:m.undo]
	clear(t.owed)
}

// release lets others claim what was being settled. s.mu is held.
func (t *txn) release() {
	for _, l := range t.busy {
		l.busy = false
	}
	for _, id := range t.reserved {
		if f := t.s.due.leases[id].missed; f != nil {
			t.s.due.touch(f, t.now)
		}
		delete(t.s.due.leases, id)
	}
	t.busy, t.reserved = t.busy[:0], t.reserved[:0]
}

func (t *txn) get(b bucket, key string) []byte {
	if row, staged := t.rows[rowKey{b, key}]; staged {
		return row
	}
	return t.view.get(b, key)
}

func (t *txn) set(b bucket, key string, row []byte) {
	k := rowKey{b, key}
	old, existed := t.rows[k]
	t.undo = append(t.undo, undo{k, old, existed})
	t.rows[k] = row
	if b == bucketEvent {
		t.events = append(t.events, key)
	}
}

func (t *txn) put(b bucket, key string, row []byte) {
	t.set(b, key, row)
	t.frame.put(b, key, row)
}

func (t *txn) del(b bucket, key string) {
	t.set(b, key, nil)
	t.frame.del(b, key)
}

func (t *txn) message(id event.MessageID) (messageRow, error) {
	row := t.get(bucketMessage, key64(id))
	if row == nil {
		return messageRow{}, store.ErrNotFound
	}
	return decodeMessage(id, row)
}

func (t *txn) recipient(id event.DeliveryID) (store.Recipient, error) {
	row := t.get(bucketRecipient, key64(id))
	if row == nil {
		return store.Recipient{}, store.ErrNotFound
	}
	return decodeRecipient(id, row)
}

func (t *txn) hold(address string) (hold.Record, error) {
	row := t.get(bucketHold, address)
	if row == nil {
		return hold.Record{}, nil
	}
	return decodeHold(row)
}

// event gives an event its ID. What it shows is owed until the sinks that
// count have passed it.
func (t *txn) event(e *event.Event) {
	e.ID = event.ID(t.s.eventIDs.Take(t.now, 1))
	t.put(bucketEvent, key64(e.ID), encodeEvent(e))
	var shown []uint64
	for _, ref := range []message.Ref{e.Raw, e.Original} {
		if !ref.IsZero() && t.get(bucketBody, key64(ref.Body)) != nil && !slices.Contains(shown, ref.Body) {
			shown = append(shown, ref.Body)
			t.owed[ref.Body]++
		}
	}
	if len(shown) > 0 {
		t.put(bucketShown, key64(e.ID), encodeShown(e.Delivery, shown))
	}
}

// finish settles which bodies are owed after a request: reasons that came and
// went in it count together, so that a body may pass from one to another.
func (t *txn) finish() error {
	defer clear(t.owed)
	for _, id := range slices.Sorted(maps.Keys(t.owed)) {
		key := key64(id)
		row := t.get(bucketBody, key)
		if t.owed[id] == 0 || row == nil {
			continue
		}
		var n uint64
		if count := t.get(bucketOwed, key); count != nil {
			var err error
			if n, err = decodeNumber(count); err != nil {
				return err
			}
		}
		switch now := int64(n) + int64(t.owed[id]); {
		case now < 0:
			return fmt.Errorf("body %d is owed %d times: %w", id, now, errRow)
		case now > 0:
			t.put(bucketOwed, key, encodeNumber(uint64(now)))
		default:
			if err := t.dropBody(id, row); err != nil {
				return err
			}
		}
	}
	return nil
}
