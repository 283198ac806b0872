package bolt

import (
	"errors"
	"testing"
	"time"

	"homing/event"
	"homing/store"
)

// together has the committer take several Applies in one group, in order, and
// gives their errors.
func together(t *testing.T, s *Store, list ...[]store.Change) []error {
	t.Helper()
	taken, free, held := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { // keeps the committer busy until all are queued
		held <- s.Apply(t.Context(), store.Change{Decide: func(*store.Case) error {
			close(taken)
			<-free
			return nil
		}})
	}()
	<-taken
	var requests []*request
	for _, changes := range list {
		a := &application{changes: changes}
		r := &request{stage: a.stage, settles: true, done: make(chan struct{})}
		if err := s.queue.put(r); err != nil {
			t.Fatal(err)
		}
		requests = append(requests, r)
	}
	close(free)
	if err := <-held; err != nil {
		t.Fatal(err)
	}
	var errs []error
	for _, r := range requests {
		<-r.done
		errs = append(errs, r.err)
	}
	return errs
}

// count is a Change that counts an attempt and says so.
func count(id event.DeliveryID, lease store.Token) store.Change {
	return store.Change{Delivery: id, Lease: lease, Decide: func(c *store.Case) error {
		c.Recipient.Attempt++
		c.Events = append(c.Events, event.Event{Type: event.Deferred})
		return nil
	}}
}

func TestInOneGroupEachApplyIsWholeOrNothing(t *testing.T) {
	p := newPlace(t)
	p.Open(t)
	defer p.Close(t)
	id, err := tryEnqueue(t, p.s, 10)
	if err != nil {
		t.Fatal(err)
	}
	leases, err := p.s.Lease(t.Context(), store.LeaseRequest{Now: time.Now(), Until: time.Now().Add(time.Hour), Max: 1})
	if err != nil || len(leases) != 1 {
		t.Fatalf("leased %v, %v", leases, err)
	}
	token, no := leases[0].Token, errors.New("no")
	refuse := store.Change{Decide: func(*store.Case) error { return no }}
	frames := p.s.log.cur.last
	errs := together(t, p.s,
		[]store.Change{count(id, token), refuse},                           // undone: the lease is not ended
		[]store.Change{count(id, token), count(id, token)},                 // ends it, for the next Apply
		[]store.Change{count(id, token)},                                   // too late
		[]store.Change{count(id, store.Token{}), count(id, store.Token{})}, // needs none
	)
	for i, want := range []error{no, nil, store.ErrLeaseLost, nil} {
		if !errors.Is(errs[i], want) {
			t.Errorf("Apply %d: got %v, want %v", i, errs[i], want)
		}
	}
	if got := p.s.log.cur.last - frames; got != 1 {
		t.Errorf("they took %d frames, want 1", got)
	}
	for range 2 {
		_, r, err := p.s.Recipient(t.Context(), id)
		if err != nil || r.Attempt != 4 {
			t.Errorf("got %d attempts, %v, want 4", r.Attempt, err)
		}
		list, err := p.s.Events(t.Context(), 0, 10)
		if err != nil || len(list) != 4 {
			t.Errorf("got %d events, %v, want 4", len(list), err)
		}
		p.Kill(t)
		p.Open(t)
	}
	if err := p.s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}
