// Package bolt is the embedded engine of store: an append-only log that is
// the truth, and bbolt as its lazy index.
//
// A directory holds
//
//	lock      names the process that has the store open
//	log/      segments: frames with everything that was ever written (frame.go)
//	body/     bodies of more than 128 KiB, each a file
//	index.db  rows by key (overlay.go), which follow the log within a moment
//	suspect   there after the disk failed: the next start trusts no cache
//
// Everything that callers want written goes through one committer: it stages
// what has gathered, writes one frame, syncs once, and then answers all
// (commit.go). What bbolt does not know yet is kept in memory as an overlay;
// after a crash the log gives it back.
package bolt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"homing/event"
	"homing/store"
)

// Options say where a Store is and what it may use.
type Options struct {
	Dir     string           // made with mode 0700 if it is missing
	Log     *slog.Logger     // nil: slog.Default()
	Now     func() time.Time // nil: time.Now
	Reserve Reserve          // how much of the disk Room keeps free

	FS        FS                                               // nil: the operating system
	OpenIndex func(string, int, os.FileMode) (*os.File, error) // opens the file of bbolt; nil: os.OpenFile

	segmentFull int64 // 0: by the size of the disk
}

// A Store is a store.Store in one directory. It must be closed.
type Store struct {
	dir, bodyDir string
	slog         *slog.Logger
	now          func() time.Time
	fs           FS
	reserve      Reserve
	lock         *os.File
	db           *bolt.DB

	log     *log // the committer's
	queue   queue
	room    room
	buffers buffers

	messages, deliveries, eventIDs, bodies event.Sequence

	failed    *fault
	closing   chan struct{}
	closeOnce sync.Once
	closeErr  error
	workers   sync.WaitGroup
	wake      chan struct{} // something to do before long; has room for one
	urgent    chan struct{} // at once
	tending   sync.Mutex    // one round of the flusher at a time

	mu        sync.RWMutex
	active    *overlay // what the log knows and bbolt does not
	flushing  *overlay // of that, what is on its way
	applied   position // what bbolt knows for sure
	segments  map[uint64]*segment
	newest    uint64 // the segment that the committer writes
	due       *dueIndex
	cursors   map[string]event.Cursor
	moved     map[string]bool // cursors that are not written yet
	counting  *[]string       // sinks that count for bodies; nil: all with a cursor
	doomed    []uint64        // bodies whose file is to be removed
	eventBell bell
	flushEnd  bell
	indexing  bool // the index is being written
	indexFull bool // the last try found no room
	armed     bool // the flusher will look before long
	sweep     bool // bodies that events show may have become free
	frozen    int  // how many need every file as it is
	forgotTo  event.DeliveryID
	erasing   map[string]event.ID
}

var _ store.Store = (*Store)(nil)

// Open opens the store in a directory, or makes one. What was acknowledged
// before a crash is there again. It returns ErrDamaged and ErrNewer, and an
// error that says what to do when another process has the store open.
func Open(ctx context.Context, o Options) (*Store, error) {
	s := &Store{
		dir: o.Dir, bodyDir: filepath.Join(o.Dir, "body"), slog: o.Log, now: o.Now, fs: o.FS, reserve: o.Reserve,
		failed: newFault(), closing: make(chan struct{}), wake: make(chan struct{}, 1), urgent: make(chan struct{}, 1),
		active: newOverlay(), sweep: true, segments: map[uint64]*segment{}, cursors: map[string]event.Cursor{},
		moved: map[string]bool{}, erasing: map[string]event.ID{},
	}
	s.queue.news = make(chan struct{}, 1)
	if s.slog == nil {
		s.slog = slog.Default()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.fs == nil {
		s.fs = disk{}
	}
	s.log = &log{fs: s.fs, dir: filepath.Join(o.Dir, "log"), slog: s.slog, now: s.now, added: s.addSegment}
	s.log.full = o.segmentFull
	if err := s.open(ctx, o.OpenIndex); err != nil {
		return nil, errors.Join(err, s.shut())
	}
	s.workers.Go(s.commitLoop)
	s.workers.Go(s.flushLoop)
	return s, nil
}

func (s *Store) open(ctx context.Context, openFile func(string, int, os.FileMode) (*os.File, error)) error {
	for _, dir := range []string{s.dir, s.log.dir, s.bodyDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	var err error
	if s.lock, err = takeLock(s.dir); err != nil {
		return err
	}
	if err := distrust(s.dir); err != nil {
		return err
	}
	if s.log.full, err = s.segmentSize(s.log.full); err != nil {
		return err
	}
	if s.db, err = s.openIndex(openFile); err != nil {
		return err
	}
	var last position
	err = guarded(indexPath(s.dir), func() (err error) {
		if s.applied, err = prepareIndex(s.db); err != nil {
			return fmt.Errorf("bolt: %s: %w", indexPath(s.dir), err)
		}
		if last, err = s.replay(); err != nil {
			return err
		}
		return s.load(ctx)
	})
	if err != nil {
		return err
	}
	// Directories and the file of the index may be new: without their names,
	// what is synced in them is lost.
	if err := s.fs.SyncDir(s.dir); err != nil {
		return err
	}
	if err := s.fs.SyncDir(filepath.Dir(s.dir)); err != nil && !errors.Is(err, os.ErrPermission) {
		return err
	}
	if err := s.log.begin(last.segment+1, last.number+1); err != nil {
		return fmt.Errorf("bolt: beginning a log segment: %w", full(err))
	}
	// A fence is the number of the segment that this start made and a count.
	s.due.fence = s.log.cur.number << 40
	s.reclaim()
	return nil
}

// openIndex opens the index. One that a crash left unfinished before there was
// anything to know is made anew.
func (s *Store) openIndex(openFile func(string, int, os.FileMode) (*os.File, error)) (*bolt.DB, error) {
	db, err := openIndex(indexPath(s.dir), openFile)
	if !errors.Is(err, ErrDamaged) {
		return db, err
	}
	segments, serr := s.fs.List(s.log.dir)
	bodies, berr := s.fs.List(s.bodyDir)
	if serr != nil || berr != nil || len(segments)+len(bodies) > 0 {
		return nil, err
	}
	if err := s.fs.Remove(indexPath(s.dir)); err != nil {
		return nil, err
	}
	return openIndex(indexPath(s.dir), openFile)
}

// replay brings bbolt up to the log and says where the log ends.
func (s *Store) replay() (position, error) {
	list, err := openSegments(s.fs, s.log.dir)
	if err != nil {
		return position{}, err
	}
	for _, g := range list {
		s.addSegment(g)
	}
	r := logReader{dir: s.log.dir, list: list, applied: s.applied, ended: s.settleEnd}
	r.frame = func(f frame, at position) error {
		// What came before this frame was synced before it was written. Of
		// the last one that is not known until its segment is settled.
		if s.active.octets >= overlayFlush {
			if err := s.flush(); err != nil {
				return err
			}
		}
		err := f.each(func(o op) error { s.active.apply(o); return nil })
		s.active.upTo = at
		return err
	}
	end, err := r.read()
	if err != nil {
		return end, err
	}
	return end, s.flush()
}

func (s *Store) addSegment(g *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segments[g.number] = g
	s.newest = max(s.newest, g.number)
}

// segmentSize says when a segment is full: sooner on a small disk, where the
// current segment, which is never removed, must not be what fills it.
func (s *Store) segmentSize(given int64) (int64, error) {
	if given > 0 {
		return given, nil
	}
	_, total, err := s.fs.Free(s.dir)
	return min(segmentFull, max(segmentLeast, int64(min(total, 1<<40)/segmentShare))), err
}

// load fills the memory from bbolt, which knows everything now.
func (s *Store) load(ctx context.Context) error {
	s.due = newDueIndex(0)
	owned := map[uint64]bool{}
	err := s.db.View(func(tx *bolt.Tx) error {
		if row := tx.Bucket([]byte(bucketNames[bucketMeta])).Get([]byte(metaHigh)); row != nil {
			if err := s.raise(row); err != nil {
				return err
			}
		}
		return errors.Join(s.loadWaiting(ctx, tx), s.loadBodies(tx, owned), s.loadCursors(tx))
	})
	if err != nil {
		return err
	}
	return s.removeUnnamed(owned)
}

func (s *Store) loadWaiting(ctx context.Context, tx *bolt.Tx) error {
	now, n := s.now(), 0
	return tx.Bucket([]byte(bucketNames[bucketWaiting])).ForEach(func(k, row []byte) error {
		w, err := decodeWait(row)
		if err != nil {
			return err
		}
		if n++; n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		s.due.change(dueChange{id: id64[event.DeliveryID](string(k)), new: w}, now)
		return nil
	})
}

func (s *Store) loadBodies(tx *bolt.Tx, owned map[uint64]bool) error {
	return tx.Bucket([]byte(bucketNames[bucketBody])).ForEach(func(k, row []byte) error {
		b, err := decodeBody(row)
		if err != nil {
			return err
		}
		id := id64[uint64](string(k))
		if b.segment == 0 {
			owned[id] = true
			return nil
		}
		if s.segments[b.segment] == nil {
			return damaged(segmentName(s.log.dir, b.segment), "it is missing, and body %016x is in it", id)
		}
		s.account(bodyChange{b.segment, b.octets(), 1})
		return nil
	})
}

func (s *Store) loadCursors(tx *bolt.Tx) error {
	return tx.Bucket([]byte(bucketNames[bucketCursor])).ForEach(func(k, row []byte) (err error) {
		s.cursors[string(k)], err = decodeCursor(row)
		return err
	})
}

// removeUnnamed removes files of bodies that no transaction named.
func (s *Store) removeUnnamed(owned map[uint64]bool) error {
	names, err := s.fs.List(s.bodyDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if id, ok := bodyID(name); ok && !owned[id] {
			if err := s.fs.Remove(filepath.Join(s.bodyDir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close waits for what was submitted, brings the index up to the log and
// gives the directory back. Calls that wait end with an error. It may be
// called again, and gives the same error.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		err := s.writeCursors(context.Background())
		close(s.closing)
		s.queue.close()
		s.workers.Wait()
		if !s.failed.is() {
			err = errors.Join(err, s.flush(), s.log.cur.file.Truncate(s.log.cur.end))
			s.removeDoomed()
			s.reclaim()
		}
		s.closeErr = errors.Join(err, s.shut())
	})
	return s.closeErr
}

// shut closes what is open.
func (s *Store) shut() error {
	var errs []error
	s.mu.Lock()
	list := slices.Collect(maps.Values(s.segments))
	s.mu.Unlock()
	errs = append(errs, closeSegments(list))
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
