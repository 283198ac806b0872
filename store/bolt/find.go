package bolt

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"homing/event"
	"homing/hold"
	"homing/store"
)

const (
	pageRows = 100  // rows of a page where the Query does not say
	pageMost = 1000 // rows of a page at most
)

// Recipient implements store.Store.
func (s *Store) Recipient(ctx context.Context, id event.DeliveryID) (store.Message, store.Recipient, error) {
	if err := s.closedOr(ctx); err != nil {
		return store.Message{}, store.Recipient{}, err
	}
	var m messageRow
	var r store.Recipient
	err := s.view(func(v *view) (err error) {
		m, r, err = v.recipient(id)
		return err
	})
	if err != nil {
		return store.Message{}, store.Recipient{}, err
	}
	return m.Message, r, nil
}

// Receipt implements store.Store.
func (s *Store) Receipt(ctx context.Context, key string) (id event.MessageID, receipt []byte, err error) {
	if err := s.closedOr(ctx); err != nil {
		return 0, nil, err
	}
	err = s.view(func(v *view) (err error) {
		row := v.get(bucketKey, key)
		if row == nil {
			return store.ErrNotFound
		}
		id, receipt, err = decodeReceipt(row)
		return err
	})
	return id, receipt, err
}

// Hold implements store.Store.
func (s *Store) Hold(ctx context.Context, address string) (hold.Record, error) {
	if err := s.closedOr(ctx); err != nil {
		return hold.Record{}, err
	}
	var r hold.Record
	err := s.view(func(v *view) (err error) {
		if row := v.get(bucketHold, hold.Canonical(address)); row != nil {
			r, err = decodeHold(row)
		}
		return err
	})
	return r, err
}

// closedOr lets reading go on after the disk failed, but not after Close.
func (s *Store) closedOr(ctx context.Context) error {
	select {
	case <-s.closing:
		return errClosed
	default:
		return ctx.Err()
	}
}

// Accepted implements store.Store. It looks at every message since then.
func (s *Store) Accepted(ctx context.Context, since time.Time) (map[string]int, error) {
	counts := map[string]int{}
	// A message is numbered after it was accepted.
	err := s.scan(bucketMessage, span{first: key64(event.FirstID(since))}, func(_ *view, key string, row []byte) (bool, error) {
		m, err := decodeMessage(id64[event.MessageID](key), row)
		if err == nil && !m.Accepted.Before(since) {
			counts[m.Application] += m.deliveries.len()
		}
		return ctx.Err() == nil, err
	})
	if err == nil {
		err = ctx.Err()
	}
	return counts, err
}

// Counts implements store.Store.
func (s *Store) Counts(ctx context.Context) (map[store.State]int, error) {
	if err := s.closedOr(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	counts := map[store.State]int{}
	for state, n := range s.due.counts[1:] {
		counts[store.State(state+1)] = n
	}
	return counts, nil
}

// Find implements store.Store. A page has at most 1,000 rows.
func (s *Store) Find(ctx context.Context, q store.Query) (store.Page, error) {
	if err := s.closedOr(ctx); err != nil {
		return store.Page{}, err
	}
	if q.Max <= 0 {
		q.Max = pageRows
	}
	q.Max = min(q.Max, pageMost)
	q.Address, q.Domain = canonicalOrNone(q.Address), hold.CanonicalDomain(q.Domain)
	switch {
	case q.Holds:
		return s.findHolds(ctx, q)
	case q.ReturnPath != "":
		return s.findReturn(q.ReturnPath)
	}
	return s.findRecipients(ctx, q)
}

// findReturn finds the delivery that alone was sent under a return path of its
// application's own.
func (s *Store) findReturn(path string) (page store.Page, err error) {
	err = s.view(func(v *view) error {
		row := v.get(bucketReturn, hold.Canonical(path))
		if row == nil {
			return nil
		}
		found, err := decodeReturning(row)
		if err != nil || found.delivery == 0 {
			return err
		}
		m, r, err := v.recipient(found.delivery)
		if err == nil {
			page.Rows = []store.Row{{Message: m.Message, Recipient: r}}
		}
		return skipGone(err)
	})
	return page, err
}

func canonicalOrNone(address string) string {
	if address == "" {
		return ""
	}
	return hold.Canonical(address)
}

func (s *Store) findHolds(ctx context.Context, q store.Query) (store.Page, error) {
	var page store.Page
	sp := span{}
	switch {
	case q.After != "":
		sp.first = q.After + "\x00"
	case q.Address != "":
		sp = span{q.Address, q.Address + "\x00"}
	}
	err := s.scan(bucketHold, sp, func(_ *view, key string, row []byte) (bool, error) {
		r, err := decodeHold(row)
		if err != nil || !holdMatches(&q, key, &r) {
			return ctx.Err() == nil, err
		}
		if len(page.Holds) == q.Max {
			page.Next = page.Holds[q.Max-1].Address
			return false, nil
		}
		page.Holds = append(page.Holds, r)
		return ctx.Err() == nil, nil
	})
	if err == nil {
		err = ctx.Err()
	}
	return page, err
}

func holdMatches(q *store.Query, address string, r *hold.Record) bool {
	if q.Address != "" && address != q.Address {
		return false
	}
	if q.Domain != "" && address[strings.LastIndexByte(address, '@')+1:] != q.Domain {
		return false
	}
	return q.Application == "" || slices.ContainsFunc(r.Scopes, func(sc hold.Scope) bool {
		return sc.Application == "" || sc.Application == q.Application
	})
}

// A search fills one page.
type search struct {
	q       store.Query
	after   event.DeliveryID
	page    store.Page
	message messageRow // the last one looked at
}

func (s *Store) findRecipients(ctx context.Context, q store.Query) (store.Page, error) {
	f := &search{q: q}
	if q.After != "" {
		if err := f.after.UnmarshalText([]byte(q.After)); err != nil {
			return store.Page{}, fmt.Errorf("bolt: Query.After: %w", err)
		}
	}
	if err := s.withHold(ctx, f); err != nil {
		return store.Page{}, err
	}
	b, sp, err := s.source(f)
	if err != nil || b == 0 {
		return f.page, err
	}
	err = s.scan(b, sp, func(v *view, key string, row []byte) (bool, error) {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if b == bucketWaiting {
			if w, err := decodeWait(row); err != nil || !slices.Contains(q.States, w.state) || q.Key != nil && !q.Key(w.key) {
				return true, err
			}
		}
		more, err := f.look(v, id64[event.DeliveryID](key[len(key)-8:]))
		return more, skipGone(err)
	})
	return f.page, err
}

// withHold adds the hold record where all that is known of a person is asked.
func (s *Store) withHold(ctx context.Context, f *search) error {
	q := f.q
	alone := q.Address != "" && q.Message == 0 && len(q.States) == 0 && q.Domain == "" && q.Sender == "" &&
		q.Application == "" && q.Campaign == "" && q.Before.IsZero() && q.Key == nil && q.After == ""
	if !alone {
		return nil
	}
	r, err := s.Hold(ctx, q.Address)
	if err == nil && len(r.Scopes) > 0 {
		f.page.Holds = []hold.Record{r}
	}
	return err
}

// source gives the bucket with the fewest rows that answers a Query. The
// recipients of one message need none: they are looked up here.
func (s *Store) source(f *search) (bucket, span, error) {
	q := &f.q
	sp := span{first: key64(f.after + 1)}
	switch {
	case q.Message != 0:
		return 0, sp, s.lookThrough(f)
	case q.Address != "":
		sp = historyOf(q.Address)
		sp.first += key64(f.after + 1)
		return bucketAddress, sp, nil
	}
	open := len(q.States) > 0 && !slices.ContainsFunc(q.States, store.State.Terminal)
	if open {
		return bucketWaiting, sp, nil
	}
	return bucketRecipient, sp, nil
}

// lookThrough looks at the recipients of one message.
func (s *Store) lookThrough(f *search) error {
	return s.view(func(v *view) error {
		m, err := v.message(f.q.Message)
		if err != nil {
			return skipGone(err)
		}
		ids, err := m.deliveries.ids()
		if err != nil {
			return err
		}
		slices.Sort(ids)
		for _, id := range ids {
			if id <= f.after {
				continue
			}
			if more, err := f.look(v, id); skipGone(err) != nil || err == nil && !more {
				return err
			}
		}
		return nil
	})
}

// look adds a recipient to the page if it is asked for.
func (f *search) look(v *view, id event.DeliveryID) (more bool, err error) {
	row := v.get(bucketRecipient, key64(id))
	if row == nil {
		return true, nil
	}
	r, err := decodeRecipient(id, row)
	if err != nil || !f.wants(&r) {
		return true, err
	}
	if f.message.ID != r.Message {
		if f.message, err = v.message(r.Message); err != nil {
			return true, err
		}
	}
	if !f.wantsMessage() {
		return true, nil
	}
	if n := len(f.page.Rows); n == f.q.Max {
		f.page.Next = f.page.Rows[n-1].Recipient.ID.String()
		return false, nil
	}
	f.page.Rows = append(f.page.Rows, store.Row{Message: f.message.Message, Recipient: r})
	return true, nil
}

func (f *search) wants(r *store.Recipient) bool {
	q := &f.q
	if q.Message != 0 && r.Message != q.Message || len(q.States) > 0 && !slices.Contains(q.States, r.State) {
		return false
	}
	if q.Address != "" && hold.Canonical(r.Address) != q.Address || q.Key != nil && !q.Key(r.Key) {
		return false
	}
	return q.Domain == "" || hold.CanonicalDomain(r.Address[strings.LastIndexByte(r.Address, '@')+1:]) == q.Domain
}

func (f *search) wantsMessage() bool {
	q, m := &f.q, &f.message
	switch {
	case q.Sender != "" && m.Sender != q.Sender,
		q.Application != "" && m.Application != q.Application,
		q.Campaign != "" && m.Campaign != q.Campaign,
		!q.Before.IsZero() && !m.Accepted.Before(q.Before):
		return false
	}
	return true
}
