package bolt

import (
	"fmt"
	"maps"

	"homing/store"
)

// A frozen store is one moment of it for as long as it takes: rows, segments
// and bodies stay as they were. bbolt gives no pages free meanwhile.
type frozen struct {
	s      *Store
	v      *view
	segs   map[uint64]*frozenSegment
	doomed map[uint64]bool // bodies whose file was about to go
}

// A frozenSegment is a segment as it was, and what a Verify counts in it.
type frozenSegment struct {
	*segment
	end               int64
	live, rowsLive    int64
	bodies, rowsOwned int
}

// freeze must be followed by close. due is how much waits or is leased.
func (s *Store) freeze() (f *frozen, due map[store.Key]int, err error) {
	f = &frozen{s: s, segs: map[uint64]*frozenSegment{}, doomed: map[uint64]bool{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	tx, err := s.db.Begin(false)
	if err != nil {
		return nil, nil, err
	}
	s.frozen++
	f.v = &view{s: s, active: s.active.clone(), flushing: s.flushing.clone(), tx: tx}
	for number, g := range s.segments {
		g.pins++
		f.segs[number] = &frozenSegment{segment: g, live: g.live, bodies: g.owed}
		if number != s.newest {
			f.segs[number].end = g.end
		}
	}
	// The committer may be at the end of the newest one: what counts is what
	// was merged.
	f.segs[s.newest].end = segmentHeader
	for _, p := range []position{s.applied, s.flushing.position(), s.active.position()} {
		if p.segment == s.newest {
			f.segs[s.newest].end = p.offset
		}
	}
	for _, id := range s.doomed {
		f.doomed[id] = true
	}
	due = map[store.Key]int{}
	for key, w := range s.due.flows {
		if n := w.waiting.n + w.leased; n > 0 {
			due[key] = n
		}
	}
	return f, due, nil
}

func (o *overlay) position() position {
	if o == nil {
		return position{}
	}
	return o.upTo
}

func (o *overlay) clone() *overlay {
	if o == nil {
		return nil
	}
	twin := *o
	for b := range o.rows {
		twin.rows[b] = maps.Clone(o.rows[b])
	}
	twin.events = append([]string(nil), o.events...)
	return &twin
}

// close lets the store go on with what it put off.
func (f *frozen) close() {
	f.v.close()
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.s.frozen--
	for _, g := range f.segs {
		g.pins--
	}
	f.s.flushSoon()
}

// all gives all rows of a bucket.
func (f *frozen) all(b bucket, do func(key string, row []byte) error) error {
	for sp := (span{}); ; {
		rest, err := f.v.each(b, sp, func(key string, row []byte) (bool, error) { return true, do(key, row) })
		if err != nil {
			return fmt.Errorf("bucket %s: %w", bucketNames[b], err)
		}
		if rest == "" {
			return nil
		}
		sp.first = rest
	}
}
