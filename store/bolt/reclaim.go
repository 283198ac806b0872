package bolt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"homing/store"
)

const (
	compactAfter = time.Hour // younger segments mostly empty by themselves
	compactLive  = 4         // a segment is worth it when less than a quarter is owed
	compactStep  = 1 << 20   // octets moved in one transaction
)

// reclaim removes segments that nobody needs: the index knows what is in
// them, no body in them is owed, and nobody reads.
func (s *Store) reclaim() {
	s.mu.Lock()
	var gone []*segment
	for number, g := range s.segments {
		if number < s.newest && g.last <= s.applied.number && g.owed == 0 && g.pins == 0 {
			gone = append(gone, g)
			delete(s.segments, number)
		}
	}
	s.mu.Unlock()
	for _, g := range gone {
		if err := errors.Join(g.file.Close(), s.fs.Remove(g.name)); err != nil {
			s.slog.Warn("log segment not removed", "err", err)
		}
	}
}

// compact moves the bodies that are still owed out of old segments that hold
// little else.
func (s *Store) compact(ctx context.Context) error {
	for {
		g := s.sparse()
		if g == nil {
			return nil
		}
		if err := s.evacuate(ctx, g); err != nil {
			return err
		}
		if err := s.keepUp(); err != nil {
			return err
		}
	}
}

// keepUp brings the index up to the log when that has become urgent: for the
// committer, which does not wait for the flusher while it does other things.
func (s *Store) keepUp() error {
	s.mu.RLock()
	lag := s.active.octets
	s.mu.RUnlock()
	if lag < overlayFlush {
		return nil
	}
	return s.flush()
}

// sparse gives a segment worth compacting.
func (s *Store) sparse() *segment {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, g := range s.segments {
		old := s.now().Sub(g.created) >= compactAfter
		if g.number < s.newest && g.last <= s.applied.number && old && g.owed > 0 && g.live < g.end/compactLive {
			return g
		}
	}
	return nil
}

// A moving is a body on its way to another segment.
type moving struct {
	key         string
	row         bodyRow
	heads, body []byte
}

// evacuate moves all bodies out of a segment.
func (s *Store) evacuate(ctx context.Context, g *segment) error {
	var list []moving
	octets := 0
	err := s.scan(bucketBody, span{}, func(_ *view, key string, row []byte) (bool, error) {
		b, err := decodeBody(row)
		if err != nil || b.segment != g.number {
			return true, err
		}
		m := moving{key: key, row: b, heads: make([]byte, b.headSize()), body: make([]byte, b.size)}
		list, octets = append(list, m), octets+int(b.octets())
		return octets < compactStep && len(list) < changesMost, nil
	})
	if err != nil {
		return err
	}
	if len(list) == 0 {
		s.mu.RLock()
		defer s.mu.RUnlock()
		if g.owed == 0 { // the last one was dropped since
			return nil
		}
		return fmt.Errorf("bolt: %s: it owes %d bodies that nobody knows: %w", g.name, g.owed, ErrDamaged)
	}
	for i := range list {
		if err := list[i].load(g); err != nil {
			return fmt.Errorf("bolt: %s: %w", g.name, err)
		}
	}
	err = s.submit(ctx, false, func(t *txn) error { return t.move(list) })
	if errors.Is(err, store.ErrFull) {
		return fmt.Errorf("bolt: compacting %s: %w", g.name, err)
	}
	return err
}

func (m *moving) load(g *segment) error {
	if _, err := (section{g.file, m.row.headsAt, int64(len(m.heads))}).ReadAt(m.heads, 0); err != nil && len(m.heads) > 0 {
		return err
	}
	if _, err := (section{g.file, m.row.at, m.row.size}).ReadAt(m.body, 0); err != nil && len(m.body) > 0 {
		return err
	}
	return m.row.verify(m.heads, m.body)
}

// move writes bodies again, unless they were dropped or moved meanwhile.
func (t *txn) move(list []moving) error {
	cur := t.s.log.cur
	for _, m := range list {
		row := t.get(bucketBody, m.key)
		if row == nil {
			continue
		}
		b, err := decodeBody(row)
		if err != nil {
			return err
		}
		if b.segment != m.row.segment || b.at != m.row.at {
			continue
		}
		t.bodies = append(t.bodies, bodyChange{b.segment, -b.octets(), -1}, bodyChange{cur.number, b.octets(), 1})
		b.segment = cur.number
		b.headsAt = cur.end + t.frame.blob(m.heads)
		b.at = cur.end + t.frame.blob(m.body)
		t.put(bucketBody, m.key, b.encode())
	}
	return nil
}
