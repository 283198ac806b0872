package bolt

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"homing/store"
)

// A log appends frames. Only the committer calls its methods, once the Store
// is open.
type log struct {
	fs   FS
	dir  string
	slog *slog.Logger
	now  func() time.Time
	full int64 // a segment that reached this gets no further group

	cur    *segment
	alloc  int64 // cur is preallocated up to here
	filled int64 // and zeros are written up to here
	zeros  []byte
	short  int       // frames in a row that were not longer than fillMost
	failed time.Time // when a new segment could not be made
	added  func(*segment)
}

const (
	fillStep = 256 << 10 // zeros are written in such steps
	fillMost = 32 << 10  // ahead of frames that are not longer
	fillRun  = 8         // once so many came in a row: a long one would only write over the zeros
)

// begin starts a new segment behind number, for the frame first. On a full
// disk a segment without preallocation will do: outcomes may still find room.
func (l *log) begin(number, first uint64) error {
	const start = allocStep + applyReserve
	g, err := makeSegment(l.fs, l.dir, number, first, l.now(), start)
	alloc := int64(start)
	if noSpace(err) && l.cur == nil {
		g, err = makeSegment(l.fs, l.dir, number, first, l.now(), segmentHeader)
		alloc = segmentHeader
	}
	if err != nil {
		return err
	}
	l.cur, l.alloc, l.filled = g, alloc, 0
	l.added(g)
	return nil
}

// rollAgain is how long a new segment that could not be made is not tried
// again.
const rollAgain = time.Second

// roll goes on to a new segment when the current one is full. Where none can
// be made, for want of room or of descriptors, the current one grows.
func (l *log) roll() error {
	now := l.now()
	if wait := now.Sub(l.failed); l.cur.end < l.full || wait >= 0 && wait < rollAgain {
		return nil
	}
	old := l.cur
	err := l.begin(old.number+1, old.last+1)
	var sync syncError
	switch {
	case errors.As(err, &sync):
		return err
	case err != nil:
		l.failed = now
		l.slog.Warn("no new log segment; the current one grows", "err", err)
		return nil
	}
	// What was preallocated behind the end is not needed any more. Should
	// this be lost in a crash, zeros are left, which say nothing.
	if err := old.file.Truncate(old.end); err != nil {
		l.slog.Warn("log segment not shortened", "err", err)
	}
	return nil
}

// fits makes sure that n octets can be appended: ErrFull when the disk has no
// room. Only what settles may use the last applyReserve octets, so that an
// outcome is never dropped for want of space.
func (l *log) fits(n int, settles bool) error {
	want := l.cur.end + int64(n) + applyReserve
	if want <= l.alloc {
		return nil
	}
	target := (want + allocStep - 1) / allocStep * allocStep
	err := l.cur.file.Allocate(l.alloc, target-l.alloc)
	switch {
	case err == nil:
		l.alloc = target
		return nil
	case settles && l.fitsTightly(n):
		return nil
	}
	return fmt.Errorf("%w: preallocating the log: %w", store.ErrFull, err)
}

// fitsTightly makes sure of n octets without a reserve.
func (l *log) fitsTightly(n int) bool {
	const page = 4096
	want := (l.cur.end + int64(n) + page - 1) / page * page
	if want > l.alloc {
		if l.cur.file.Allocate(l.alloc, want-l.alloc) != nil {
			return false
		}
		l.alloc = want
	}
	return true
}

// append writes a frame and syncs. After ErrFull nothing was written; any
// syncError is for good.
func (l *log) append(b []byte) error {
	l.fill(len(b))
	n, err := l.cur.file.WriteAt(b, l.cur.end)
	if err == nil && n < len(b) {
		err = errors.New("short write without an error")
	}
	if err != nil {
		if cerr := l.cutBack(); cerr != nil {
			return syncError{errors.Join(err, cerr)}
		}
		if noSpace(err) {
			return store.ErrFull
		}
		// What a write that failed for another reason left behind, nobody
		// knows; but it is cut off, and nothing was acknowledged.
		return fmt.Errorf("bolt: writing the log: %w", err)
	}
	if err := l.cur.file.Sync(); err != nil {
		return syncError{err}
	}
	l.cur.end += int64(len(b))
	l.cur.last++
	return nil
}

// fill writes zeros behind the frame of n octets that comes next. File systems
// keep in their journal that preallocated octets were written for the first
// time, so that the sync of each small frame would write twice; this way one
// in many does. It is an economy alone: when it fails, the frame will tell.
func (l *log) fill(n int) {
	if l.short++; n > fillMost {
		l.short = 0
	}
	end := l.cur.end + int64(n)
	if end <= l.filled || l.short < fillRun {
		return
	}
	if l.zeros == nil {
		l.zeros = make([]byte, fillStep)
	}
	l.filled = end
	if ahead := min(l.alloc-end, fillStep); ahead > 0 {
		if n, err := l.cur.file.WriteAt(l.zeros[:ahead], end); err == nil {
			l.filled += int64(n)
		}
	}
}

// cutBack forgets what a write left behind the last frame. It gives up the
// preallocation, and tries to get it again.
func (l *log) cutBack() error {
	if err := l.cur.file.Truncate(l.cur.end); err != nil {
		return err
	}
	if err := l.cur.file.Sync(); err != nil {
		return err
	}
	old := l.alloc
	l.alloc, l.filled = l.cur.end, 0
	if old > l.alloc && l.cur.file.Allocate(l.alloc, old-l.alloc) == nil {
		l.alloc = old
	}
	return nil
}

// position is where the log ends.
func (l *log) position() position {
	return position{segment: l.cur.number, offset: l.cur.end, number: l.cur.last}
}
