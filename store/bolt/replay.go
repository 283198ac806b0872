package bolt

import "errors"

// A logReader reads the part of a log that the index does not know.
type logReader struct {
	dir     string
	list    []*segment // oldest first
	applied position   // what the index knows
	frame   func(f frame, after position) error
	ended   func(g *segment, last int64) error // each segment that was read; last is where its last frame begins
}

// read says where the log ends. It returns ErrDamaged for a log from which
// something is missing that was acknowledged, as far as that can be known:
// any prefix of a log is a legal one, unless the index knows more.
func (r *logReader) read() (position, error) {
	at := r.applied
	for i, g := range r.list {
		known := i+1 < len(r.list) && r.list[i+1].first <= r.applied.number+1
		if known && g.number != r.applied.segment {
			size, err := g.file.Size()
			if err != nil {
				return at, err
			}
			g.last, g.end = r.list[i+1].first-1, size
			continue
		}
		var err error
		if at, err = r.segment(g, at); err != nil {
			return at, err
		}
	}
	if len(r.list) == 0 && at.number > 0 {
		return at, damaged(r.dir, "it is empty, but the index knows frame %d", at.number)
	}
	return at, nil
}

// segment reads one segment; at is where the one before ended.
func (r *logReader) segment(g *segment, at position) (position, error) {
	from, want := int64(segmentHeader), g.first
	if g.number == r.applied.segment {
		from, want = r.applied.offset, r.applied.number+1
	} else if g.first != at.number+1 {
		return at, damaged(g.name, "it begins with frame %d, but frame %d comes next", g.first, at.number+1)
	}
	last := from
	err := g.read(from, want, func(f frame, off int64) error {
		last = off
		err := r.frame(f, position{g.number, off + int64(align(frameHeader+len(f.payload))), f.number})
		if errors.Is(err, errOps) {
			return damaged(g.name, "%v", err)
		}
		return err
	})
	if err != nil {
		return at, err
	}
	return position{g.number, g.end, g.last}, r.ended(g, last)
}

// settleEnd cuts a torn tail off, and writes the last frame again: if the
// sync of the process before failed, the system shows octets that the disk
// may not have. Nobody was promised them, but they are about to be trusted.
func (s *Store) settleEnd(g *segment, from int64) error {
	size, err := g.file.Size()
	if err != nil {
		return err
	}
	if size != g.end { // shorter by the zeros behind the last frame, too
		if err := g.file.Truncate(g.end); err != nil {
			return err
		}
	}
	if from < g.end {
		b := make([]byte, g.end-from)
		if _, err := g.file.ReadAt(b, from); err != nil {
			return err
		}
		if _, err := g.file.WriteAt(b, from); err != nil {
			return err
		}
	}
	return g.file.Sync()
}
