package event_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"homing/event"
)

// memLog is a log in memory. What durable says is what a crash leaves.
type memLog struct {
	mu      sync.Mutex
	ids     event.Sequence
	events  []event.Event
	news    chan struct{}
	cursors map[string]event.Cursor
	writes  int   // calls of Advance
	fail    error // what every method answers, if set
}

func newMemLog() *memLog {
	return &memLog{news: make(chan struct{}), cursors: map[string]event.Cursor{}}
}

// add commits facts and gives their IDs.
func (l *memLog) add(events ...event.Event) []event.ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := make([]event.ID, 0, len(events))
	for _, e := range events {
		now := time.Now()
		e.ID, e.Time = event.ID(l.ids.Take(now, 1)), now
		l.events = append(l.events, e)
		ids = append(ids, e.ID)
	}
	close(l.news)
	l.news = make(chan struct{})
	return ids
}

// forget drops a fact as retention does.
func (l *memLog) forget(id event.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = slices.DeleteFunc(l.events, func(e event.Event) bool { return e.ID == id })
}

func (l *memLog) broken(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = err
}

func (l *memLog) Events(ctx context.Context, after event.ID, limit int) ([]event.Event, error) {
	for {
		l.mu.Lock()
		i, _ := slices.BinarySearchFunc(l.events, after+1, func(e event.Event, id event.ID) int { return int(int64(e.ID) - int64(id)) })
		found, news, fail := slices.Clone(l.events[i:min(len(l.events), i+limit)]), l.news, l.fail
		l.mu.Unlock()
		if fail != nil || len(found) > 0 {
			return found, fail
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-news:
		}
	}
}

func (l *memLog) Cursor(_ context.Context, sink string) (event.Cursor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cursors[sink], l.fail
}

func (l *memLog) Advance(_ context.Context, sink string, c event.Cursor) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail == nil {
		l.cursors[sink] = c
		l.writes++
	}
	return l.fail
}

func (l *memLog) cursor(sink string) event.Cursor {
	c, _ := l.Cursor(context.Background(), sink)
	return c
}

// memSink notes what it is told. answer decides; nil takes everything.
type memSink struct {
	name   string
	answer func(ctx context.Context, e event.Event) error
	wants  func(e event.Event) bool

	mu     sync.Mutex
	took   []event.Event
	tries  map[event.ID][]time.Time
	flying int
	most   int // most tellings at once
}

func (s *memSink) Name() string             { return s.name }
func (s *memSink) Kind() string             { return "memory" }
func (s *memSink) Wants(e event.Event) bool { return s.wants == nil || s.wants(e) }

func (s *memSink) Tell(ctx context.Context, e event.Event) error {
	s.mu.Lock()
	if s.tries == nil {
		s.tries = map[event.ID][]time.Time{}
	}
	s.tries[e.ID] = append(s.tries[e.ID], time.Now())
	s.flying++
	s.most = max(s.most, s.flying)
	answer := s.answer
	s.mu.Unlock()

	var err error
	if answer != nil {
		err = answer(ctx, e)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying--
	if err == nil {
		s.took = append(s.took, e)
	}
	return err
}

func (s *memSink) becomes(answer func(ctx context.Context, e event.Event) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// told gives the IDs that were taken, in order.
func (s *memSink) told() []event.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]event.ID, 0, len(s.took))
	for _, e := range s.took {
		ids = append(ids, e.ID)
	}
	return ids
}

// triedAt gives when a fact was tried, counted from start.
func (s *memSink) triedAt(id event.ID, start time.Time) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var at []time.Duration
	for _, t := range s.tries[id] {
		at = append(at, t.Sub(start))
	}
	return at
}

// allTries counts every telling.
func (s *memSink) allTries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for t := range maps.Values(s.tries) {
		n += len(t)
	}
	return n
}

var errNo = errors.New("no")

func never(context.Context, event.Event) error { return errNo }

// refuses gives an answer that fails for one delivery alone.
func refuses(d event.DeliveryID) func(context.Context, event.Event) error {
	return func(_ context.Context, e event.Event) error {
		if e.Delivery == d {
			return errNo
		}
		return nil
	}
}

// takes gives an answer that takes some time.
func takes(d time.Duration) func(context.Context, event.Event) error {
	return func(ctx context.Context, _ event.Event) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d):
			return nil
		}
	}
}

// of makes a fact about a delivery.
func of(d event.DeliveryID) event.Event {
	return event.Event{Type: event.Delivered, Delivery: d, Recipient: "ann@example.net", Application: "crm"}
}

// incidents collects what a Teller reports.
type incidents struct {
	mu  sync.Mutex
	all []event.Event
}

func (i *incidents) report(_ context.Context, e event.Event) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.all = append(i.all, e)
	return nil
}

func (i *incidents) types() []event.Type {
	i.mu.Lock()
	defer i.mu.Unlock()
	var types []event.Type
	for _, e := range i.all {
		types = append(types, e.Type)
	}
	return types
}

// run starts a Teller in a bubble; stop ends it and waits.
func run(t *testing.T, c event.Config, sinks ...event.Sink) (teller *event.Teller, stop func()) {
	t.Helper()
	teller = event.NewTeller(c)
	if err := teller.Use(sinks...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- teller.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	}
	t.Cleanup(stop)
	synctest.Wait()
	return teller, stop
}

// later lets time pass in a bubble, and everything happen that is due by then.
func later(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
