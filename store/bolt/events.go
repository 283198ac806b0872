package bolt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"homing/event"
)

// eventsMost is how many events one call gives.
const eventsMost = 1000

// Events implements store.Store. It gives at most 1,000.
func (s *Store) Events(ctx context.Context, after event.ID, limit int) ([]event.Event, error) {
	if limit <= 0 {
		return nil, errors.New("bolt: Events with no limit")
	}
	limit = min(limit, eventsMost)
	for {
		s.mu.Lock()
		news := s.eventBell.wait()
		s.mu.Unlock()
		// What there is can be had also after ctx has ended.
		if err := s.broken(context.WithoutCancel(ctx)); err != nil {
			return nil, err
		}
		list, err := s.eventsAfter(after, limit)
		if err != nil || len(list) > 0 {
			return list, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		select {
		case <-news:
		case <-ctx.Done():
		case <-s.failed.happened:
		case <-s.closing:
		}
	}
}

func (s *Store) eventsAfter(after event.ID, limit int) (list []event.Event, err error) {
	err = s.scan(bucketEvent, span{first: key64(after + 1)}, func(_ *view, key string, row []byte) (bool, error) {
		e, err := decodeEvent(id64[event.ID](key), row)
		list = append(list, e)
		return len(list) < limit, err
	})
	return list, err
}

// Cursor implements store.Store.
func (s *Store) Cursor(ctx context.Context, sink string) (event.Cursor, error) {
	if err := s.broken(ctx); err != nil {
		return event.Cursor{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := s.cursors[sink]
	c.Parked = slices.Clone(c.Parked)
	return c, nil
}

// Advance implements store.Store. It is durable within a second, and when the
// Store is closed.
func (s *Store) Advance(ctx context.Context, sink string, c event.Cursor) error {
	if err := s.broken(ctx); err != nil {
		return err
	}
	if sink == "" || len(sink) > longestKey {
		return fmt.Errorf("bolt: %q is no name for a sink", sink)
	}
	c.Parked = slices.Clone(c.Parked)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursors[sink] = c
	s.moved[sink] = true
	s.flushSoon()
	return nil
}

// writeCursors makes the cursors durable that moved.
func (s *Store) writeCursors(ctx context.Context) error {
	s.mu.Lock()
	moved := s.moved
	s.moved = map[string]bool{}
	s.mu.Unlock()
	if len(moved) == 0 {
		return nil
	}
	err := s.submit(ctx, true, func(t *txn) error {
		s.mu.RLock()
		defer s.mu.RUnlock()
		for sink := range moved {
			t.put(bucketCursor, sink, encodeCursor(s.cursors[sink]))
		}
		return nil
	})
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		maps.Copy(s.moved, moved)
	}
	return err
}

// A passage says which events every sink that counts has been told, or given
// up.
type passage struct {
	upTo   event.ID
	parked map[event.DeliveryID]event.ID // deliveries that wait, each from this event on
	single map[event.ID]bool             // events about no delivery that wait
}

// has reports whether everybody has passed an event.
func (p passage) has(id event.ID, delivery event.DeliveryID) bool {
	first, waits := p.parked[delivery]
	return id <= p.upTo && !p.single[id] && !(waits && id >= first)
}

// maxID is above every identifier.
const maxID = 1 << 60

// passage looks at the cursors of sinks. Without sinks, everything is passed.
// s.mu is held.
func (s *Store) passage(sinks []string) passage {
	p := passage{upTo: maxID, parked: map[event.DeliveryID]event.ID{}, single: map[event.ID]bool{}}
	for _, sink := range sinks {
		c := s.cursors[sink]
		p.upTo = min(p.upTo, c.Seen)
		for _, x := range c.Parked {
			switch first, known := p.parked[x.Delivery]; {
			case x.Delivery == 0:
				p.single[x.Event] = true
			case !known || x.Event < first:
				p.parked[x.Delivery] = x.Event
			}
		}
	}
	return p
}

// countingPassage is the passage of the sinks that count for bodies.
func (s *Store) countingPassage() passage {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case s.counting != nil:
		return s.passage(*s.counting)
	case len(s.cursors) == 0:
		return passage{}
	}
	return s.passage(slices.Collect(maps.Keys(s.cursors)))
}

// releaseShown ends what events owe once every sink has passed them.
func (s *Store) releaseShown(ctx context.Context) error {
	p := s.countingPassage()
	for first := ""; ; {
		var keys []string
		err := s.scan(bucketShown, span{first, key64(p.upTo + 1)}, func(_ *view, key string, row []byte) (bool, error) {
			delivery, _, err := decodeShown(row)
			if err == nil && p.has(id64[event.ID](key), delivery) {
				keys = append(keys, key)
			}
			return len(keys) < changesMost, err
		})
		if err != nil || len(keys) == 0 {
			return err
		}
		err = s.submit(ctx, true, func(t *txn) error {
			for _, key := range keys {
				if err := t.dropShown(key); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := s.keepUp(); err != nil {
			return err
		}
		first = keys[len(keys)-1] // before it, the rest waits for a sink
	}
}

// dropShown ends what one event owes.
func (t *txn) dropShown(key string) error {
	row := t.get(bucketShown, key)
	if row == nil {
		return nil
	}
	_, bodies, err := decodeShown(row)
	if err != nil {
		return err
	}
	t.del(bucketShown, key)
	for _, id := range bodies {
		t.owed[id]--
	}
	return nil
}
