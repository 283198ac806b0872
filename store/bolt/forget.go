package bolt

import (
	"context"
	"errors"
	"slices"

	"homing/event"
	"homing/hold"
	"homing/store"
)

// Forget implements store.Store: in steps of at most 1,000 rows, each a
// transaction of its own.
func (s *Store) Forget(ctx context.Context, w store.What, limit int) (int, error) {
	step, err := s.forgetter(w)
	if err != nil {
		return 0, err
	}
	total := 0
	for total < limit {
		n, err := step(ctx, min(limit-total, changesMost))
		total += n
		if err != nil || n == 0 {
			return total, err
		}
	}
	return total, nil
}

// forgetter gives what forgets up to n rows of one kind and says how many
// went.
func (s *Store) forgetter(w store.What) (func(ctx context.Context, n int) (int, error), error) {
	var steps []func(context.Context, int) (int, error)
	if !w.EventsBefore.IsZero() {
		steps = append(steps, func(ctx context.Context, n int) (int, error) { return s.forgetEvents(ctx, w, n) })
	}
	if !w.IndexBefore.IsZero() {
		steps = append(steps, func(ctx context.Context, n int) (int, error) { return s.forgetIndex(ctx, w, n) })
	}
	if !w.ReportsBefore.IsZero() {
		steps = append(steps, func(ctx context.Context, n int) (int, error) { return s.forgetReports(ctx, w, n) })
	}
	if !w.CapturedBefore.IsZero() {
		steps = append(steps, func(ctx context.Context, n int) (int, error) { return s.forgetCaptured(ctx, w, n) })
	}
	if w.Address != "" {
		steps = append(steps, func(ctx context.Context, n int) (int, error) {
			return s.forgetPerson(ctx, hold.Canonical(w.Address), n)
		})
	}
	if len(steps) != 1 {
		return nil, errors.New("bolt: Forget needs exactly one field of What")
	}
	return steps[0], nil
}

// forgetEvents forgets events that every sink of w has passed.
func (s *Store) forgetEvents(ctx context.Context, w store.What, n int) (int, error) {
	s.mu.Lock()
	shows := slices.Clone(w.Shows)
	if w.Shows == nil {
		shows = slices.Clone(w.Sinks)
	}
	s.counting, s.sweep = &shows, true
	p := s.passage(w.Sinks)
	s.flushSoon()
	s.mu.Unlock()
	end := min(p.upTo+1, event.FirstID(w.EventsBefore))
	var keys []string
	err := s.scan(bucketEvent, span{end: key64(end)}, func(_ *view, key string, row []byte) (bool, error) {
		e, err := decodeEvent(id64[event.ID](key), row)
		if err == nil && p.has(e.ID, e.Delivery) {
			keys = append(keys, key)
		}
		return len(keys) < n, err
	})
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	return len(keys), s.submit(ctx, true, func(t *txn) error {
		for _, key := range keys {
			if err := t.forgetEvent(key); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *txn) forgetEvent(key string) error {
	t.del(bucketEvent, key)
	return t.dropShown(key)
}

// forgetIndex forgets deliveries that ended before w.IndexBefore. It goes on
// where it stopped, so that many old ones without an outcome are not looked
// at again in each step.
func (s *Store) forgetIndex(ctx context.Context, w store.What, n int) (int, error) {
	ended := func(r *store.Recipient, _ *messageRow) bool {
		return r.State.Terminal() && r.Ended.Before(w.IndexBefore)
	}
	s.mu.Lock()
	from := s.forgotTo
	s.mu.Unlock()
	end := key64(event.FirstID(w.IndexBefore) + 1)
	for {
		var ids []event.DeliveryID
		err := s.scan(bucketRecipient, span{key64(from), end}, func(_ *view, key string, row []byte) (bool, error) {
			r, err := decodeRecipient(id64[event.DeliveryID](key), row)
			if err == nil && ended(&r, nil) {
				ids = append(ids, r.ID)
			}
			return len(ids) < n, err
		})
		if err != nil {
			return 0, err
		}
		if len(ids) > 0 {
			s.setForgotTo(ids[len(ids)-1])
			return s.forgetRecipients(ctx, ids, ended)
		}
		s.setForgotTo(0)
		if from == 0 {
			return 0, nil
		}
		from = 0
	}
}

func (s *Store) setForgotTo(id event.DeliveryID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgotTo = id
}

// forgetRecipients forgets those that are still as which says.
func (s *Store) forgetRecipients(ctx context.Context, ids []event.DeliveryID, which func(*store.Recipient, *messageRow) bool) (int, error) {
	var n int
	err := s.submit(ctx, true, func(t *txn) error {
		n = 0
		for _, id := range ids {
			went, err := t.forgetRecipient(id, which)
			if err != nil {
				return err
			}
			n += int(truth(went))
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

func (t *txn) forgetRecipient(id event.DeliveryID, which func(*store.Recipient, *messageRow) bool) (bool, error) {
	r, err := t.recipient(id)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	m, err := t.message(r.Message)
	if err != nil {
		return false, err
	}
	if !which(&r, &m) {
		return false, nil
	}
	key := key64(id)
	t.del(bucketRecipient, key)
	t.del(bucketAddress, historyKey(hold.Canonical(r.Address), id))
	if err := t.leaveReturn(returnKey(&m.Message, &r), id); err != nil {
		return false, err
	}
	if !r.State.Terminal() {
		t.del(bucketWaiting, key)
		t.owed[r.Body.Body]--
		t.ended = append(t.ended, id)
		t.due = append(t.due, dueChange{id: id, old: waitOf(&r)})
	}
	return true, t.leaveMessage(&m)
}

// leaveReturn forgets the return path of a delivery. One that served several
// stays until the last of them is forgotten: it must go on finding none of them.
func (t *txn) leaveReturn(key string, id event.DeliveryID) error {
	row := t.get(bucketReturn, key)
	if key == "" || row == nil {
		return nil
	}
	found, err := decodeReturning(row)
	switch {
	case err != nil:
		return err
	case found.delivery == id, found.delivery == 0 && found.count == 1:
		t.del(bucketReturn, key)
	case found.delivery == 0 && found.count > 1:
		found.count--
		t.put(bucketReturn, key, found.encode())
	}
	return nil
}

// leaveMessage forgets a message with the last of its deliveries.
func (t *txn) leaveMessage(m *messageRow) error {
	m.left--
	if m.left > 0 {
		t.put(bucketMessage, key64(m.ID), m.encode())
		return nil
	}
	t.del(bucketMessage, key64(m.ID))
	if m.key == "" {
		return nil
	}
	if row := t.get(bucketKey, m.key); row != nil {
		first, err := decodeNumber(row)
		if err != nil {
			return err
		}
		if event.MessageID(first) == m.ID {
			t.del(bucketKey, m.key)
		}
	}
	return nil
}

// forgetReports forgets reports and replies that came before.
func (s *Store) forgetReports(ctx context.Context, w store.What, n int) (int, error) {
	var keys []string
	err := s.scan(bucketReport, span{end: key64(event.FirstID(w.ReportsBefore))}, func(_ *view, key string, _ []byte) (bool, error) {
		keys = append(keys, key)
		return len(keys) < n, nil
	})
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	return len(keys), s.submit(ctx, true, func(t *txn) error {
		for _, key := range keys {
			t.dropReport(key)
		}
		return nil
	})
}

func (t *txn) dropReport(key string) {
	if t.get(bucketReport, key) != nil {
		t.del(bucketReport, key)
		t.owed[id64[uint64](key)]--
	}
}

// forgetCaptured forgets captured mail that was accepted before.
func (s *Store) forgetCaptured(ctx context.Context, w store.What, n int) (int, error) {
	old := func(r *store.Recipient, m *messageRow) bool {
		return r.State == store.Captured && m.Accepted.Before(w.CapturedBefore)
	}
	var ids []event.DeliveryID
	err := s.scan(bucketWaiting, span{}, func(v *view, key string, row []byte) (bool, error) {
		wait, err := decodeWait(row)
		if err != nil || wait.state != store.Captured {
			return true, err
		}
		m, r, err := v.recipient(id64[event.DeliveryID](key))
		if err == nil && old(&r, &m) {
			ids = append(ids, r.ID)
		}
		return len(ids) < n, skipGone(err)
	})
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return s.forgetRecipients(ctx, ids, old)
}

// skipGone passes over a row that went between two looks.
func skipGone(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// forgetPerson forgets all about an address but its hold: its deliveries,
// whatever their state, then the events about it with the reports they name.
func (s *Store) forgetPerson(ctx context.Context, address string, n int) (int, error) {
	var ids []event.DeliveryID
	err := s.scan(bucketAddress, historyOf(address), func(_ *view, key string, _ []byte) (bool, error) {
		ids = append(ids, id64[event.DeliveryID](key[len(address)+1:]))
		return len(ids) < n, nil
	})
	if err != nil {
		return 0, err
	}
	if len(ids) > 0 {
		return s.forgetRecipients(ctx, ids, func(*store.Recipient, *messageRow) bool { return true })
	}
	return s.forgetEventsOf(ctx, address, n)
}

// historyOf is the span of a person in bucketAddress.
func historyOf(canonical string) span { return span{canonical + "\x00", canonical + "\x01"} }

// forgetEventsOf looks through all events, so it remembers where it stopped.
func (s *Store) forgetEventsOf(ctx context.Context, address string, n int) (int, error) {
	s.mu.Lock()
	from := s.erasing[address]
	s.mu.Unlock()
	var keys, reports []string
	err := s.scan(bucketEvent, span{first: key64(from)}, func(_ *view, key string, row []byte) (bool, error) {
		e, err := decodeEvent(id64[event.ID](key), row)
		if err == nil && store.About(e, address) {
			keys = append(keys, key)
			if !e.Raw.IsZero() {
				reports = append(reports, key64(e.Raw.Body))
			}
		}
		return len(keys) < n, err
	})
	if err == nil && len(keys) > 0 {
		err = s.submit(ctx, true, func(t *txn) error {
			for _, key := range reports {
				t.dropReport(key)
			}
			for _, key := range keys {
				if err := t.forgetEvent(key); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(keys) < n {
		delete(s.erasing, address)
	} else {
		s.erasing[address] = id64[event.ID](keys[len(keys)-1])
	}
	return len(keys), nil
}
