package bolt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"

	"homing/event"
	"homing/store"
)

// An Examination is what Examine found.
type Examination struct {
	Dir         string
	Segments    int
	Frames      int // in the log
	Behind      int // of them, those that the index gets to know at the next start
	LogOctets   int64
	IndexOctets int64

	Messages, Events, Holds, Reports, Bodies int
	Recipients                               map[store.State]int

	// Loose is what a crash may leave behind and the next start clears away:
	// nothing of it was acknowledged.
	Loose []string
	// Faults are what no crash leaves behind. Those that are a *Damage have
	// their place.
	Faults []error
	// Starts is false when the server would refuse to start on this store.
	Starts bool
}

// Examine reads the store in a directory that no process has open, and
// changes nothing. The error is that it could not look; what is wrong with the
// store is in the Examination.
func Examine(ctx context.Context, dir string) (*Examination, error) {
	lock, err := lockForReading(dir)
	if err != nil {
		return nil, err
	}
	if lock != nil {
		defer lock.Close()
	}
	x := &examiner{Examination: &Examination{Dir: dir, Recipients: map[store.State]int{}, Starts: true}}
	x.s = &Store{dir: dir, bodyDir: filepath.Join(dir, "body"), slog: slog.New(slog.DiscardHandler), now: time.Now, fs: lookOnly{},
		active: newOverlay(), log: &log{dir: filepath.Join(dir, "log")}}
	defer func() { closeSegments(x.list) }()
	if err := x.log(ctx); err != nil {
		return nil, err
	}
	if err := x.index(ctx); err != nil {
		return nil, err
	}
	return x.Examination, nil
}

// An examiner is one Examine. Its Store has no committer and no flusher.
type examiner struct {
	*Examination
	s    *Store
	list []*segment // those with a header that can be read
}

// refuse notes a fault with which the server does not start.
func (x *examiner) refuse(err error) {
	x.Faults, x.Starts = append(x.Faults, err), false
}

// notStarting notes why a start would refuse the log. What is damaged is among
// the faults already; what is missing is not.
func (x *examiner) notStarting(err error) {
	var d, known *Damage
	for _, f := range x.Faults {
		if errors.As(err, &d) && errors.As(f, &known) && known.File == d.File {
			x.Starts = false
			return
		}
	}
	x.refuse(err)
}

// lockForReading makes sure that no server has the store open, and leaves the
// file as it is.
func lockForReading(dir string) (*os.File, error) {
	f, err := os.Open(filepath.Join(dir, lockName))
	if errors.Is(err, os.ErrNotExist) { // no server was here yet, but it may be a copy or a backup
		if _, err := os.Stat(filepath.Join(dir, "log")); err != nil {
			return nil, fmt.Errorf("bolt: there is no store in %s", dir)
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := claim(f, dir); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// lookOnly is the disk of the system for reading.
type lookOnly struct{ disk }

func (lookOnly) Open(name string, _ int) (File, error) { return disk{}.Open(name, os.O_RDONLY) }
func (lookOnly) Remove(string) error                   { return syscall.EROFS }

// log reads all segments.
func (x *examiner) log(ctx context.Context) error {
	names, err := x.s.fs.List(x.s.log.dir)
	if err != nil {
		return err
	}
	for i, name := range names { // os.ReadDir sorts them
		if err := ctx.Err(); err != nil {
			return err
		}
		path := filepath.Join(x.s.log.dir, name)
		number, err := strconv.ParseUint(strings.TrimSuffix(name, segmentSuffix), 16, 64)
		if err != nil || path != segmentName(x.s.log.dir, number) {
			x.refuse(damaged(path, "it is no file of the log"))
			continue
		}
		g := &segment{number: number, name: path}
		if g.file, err = x.s.fs.Open(path, os.O_RDONLY); err != nil {
			return err
		}
		if err := x.segment(g, i == len(names)-1); err != nil {
			return err
		}
	}
	return nil
}

// segment reads one segment from its first to its last frame.
func (x *examiner) segment(g *segment, newest bool) error {
	size, err := g.file.Size()
	if err != nil {
		return err
	}
	x.Segments++
	x.LogOctets += size
	h := make([]byte, segmentHeader)
	n, _ := g.file.ReadAt(h, 0)
	switch err := g.readHeader(h[:n]); {
	case errors.Is(err, errUnborn) && newest:
		x.Loose = append(x.Loose, g.name+": a segment that was never begun; it is removed")
		return g.file.Close()
	case errors.Is(err, errUnborn):
		x.refuse(damaged(g.name, "it has no header"))
		return g.file.Close()
	case err != nil:
		x.refuse(err)
		return g.file.Close()
	}
	x.list = append(x.list, g)
	return x.frames(g, size)
}

// frames walks through the frames of a segment, and over what is damaged.
func (x *examiner) frames(g *segment, size int64) error {
	h := make([]byte, frameHeader)
	for g.end = segmentHeader; ; {
		f, length, err := g.frameAt(h, g.end, size)
		if err == nil && f.number == g.last+1 {
			x.Frames++
			if err := f.each(func(op) error { return nil }); err != nil {
				x.Faults = append(x.Faults, damaged(g.name, "octet %d: %v", g.end, err))
			}
			g.end, g.last = g.end+length, f.number
			continue
		}
		if err != nil && !errors.Is(err, errNoFrame) && !errors.Is(err, errTornFrame) {
			return err
		}
		tail, err := g.tail(size)
		if err != nil {
			return err
		}
		next, skip, ok := g.nextFrame(tail, g.last+1)
		if !ok {
			if torn := len(strings.TrimRight(string(tail), "\x00")); torn > 0 {
				x.Loose = append(x.Loose, fmt.Sprintf("%s: an incomplete frame at octet %d, %d octets; it is cut off", g.name, g.end, torn))
			}
			return nil
		}
		x.Faults = append(x.Faults, damaged(g.name, "octets %d to %d are damaged: frame %d, and what else was before frame %d",
			g.end, g.end+int64(skip), g.last+1, next.number))
		g.end, g.last = g.end+int64(skip), next.number-1
	}
}

// index reads the rows, with what the log knows and the index does not.
func (x *examiner) index(ctx context.Context) error {
	path := indexPath(x.s.dir)
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		if len(x.list) > 0 && x.list[0].first > 1 {
			x.refuse(damaged(path, "it is missing, and the log begins with frame %d", x.list[0].first))
		} else {
			x.Loose = append(x.Loose, path+": it is missing; it is made anew from the log, which is whole. Rows were not looked at")
		}
		return nil
	}
	if err != nil {
		return err
	}
	x.IndexOctets = info.Size()
	err = guarded(path, func() error {
		db, err := openBolt(path, &bolt.Options{ReadOnly: true, Timeout: time.Second})
		if err != nil {
			return err
		}
		defer db.Close()
		return db.View(func(tx *bolt.Tx) error { return x.rows(ctx, tx) })
	})
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrNewer) {
		x.refuse(err)
		return nil
	}
	return err
}

func (x *examiner) rows(ctx context.Context, tx *bolt.Tx) error {
	for err := range tx.Check() {
		x.Faults = append(x.Faults, damaged(indexPath(x.s.dir), "%v", err))
	}
	for b := bucketMessage; b < bucketEnd; b++ {
		// Stores of versions without notes get theirs at the next start.
		if name := bucketNames[b]; b != bucketNote && tx.Bucket([]byte(name)) == nil {
			return damaged(indexPath(x.s.dir), "it has no bucket %s", name)
		}
	}
	applied, err := readApplied(tx)
	if err != nil {
		return err
	}
	r := logReader{dir: x.s.log.dir, list: x.list, applied: applied, ended: func(*segment, int64) error { return nil },
		frame: func(f frame, at position) error {
			x.Behind++
			return f.each(func(o op) error { x.s.active.apply(o); return nil })
		}}
	if _, err := r.read(); err != nil {
		x.notStarting(err)
	}
	f := &frozen{s: x.s, v: &view{s: x.s, active: x.s.active, tx: tx}, segs: map[uint64]*frozenSegment{}, doomed: map[uint64]bool{}}
	for _, g := range x.list {
		f.segs[g.number] = &frozenSegment{segment: g}
	}
	c := f.check(nil)
	if err := errors.Join(c.rows(ctx), x.count(f)); err != nil {
		return err
	}
	if c.stray > 0 {
		x.Loose = append(x.Loose, fmt.Sprintf("%s: %d files of mail that was never acknowledged or is owed to nobody; they are removed", x.s.bodyDir, c.stray))
	}
	x.Faults = append(x.Faults, c.found...)
	x.Starts = x.Starts && !c.gone
	return nil
}

// readApplied says how far the index knows the log.
func readApplied(tx *bolt.Tx) (position, error) {
	meta := tx.Bucket([]byte(bucketNames[bucketMeta]))
	if format := meta.Get([]byte(metaFormat)); len(format) != 1 || format[0] > indexVersion {
		return position{}, ErrNewer
	}
	row := meta.Get([]byte(metaApplied))
	if row == nil {
		return position{}, nil
	}
	return decodePosition(row)
}

// count counts what the store holds.
func (x *examiner) count(f *frozen) error {
	for b, n := range map[bucket]*int{bucketMessage: &x.Messages, bucketEvent: &x.Events, bucketHold: &x.Holds,
		bucketReport: &x.Reports, bucketBody: &x.Bodies} {
		if err := f.all(b, func(string, []byte) error { *n++; return nil }); err != nil {
			return err
		}
	}
	return f.all(bucketRecipient, func(key string, row []byte) error {
		r, err := decodeRecipient(id64[event.DeliveryID](key), row)
		x.Recipients[r.State]++
		return err
	})
}
