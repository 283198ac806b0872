package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	bolt "go.etcd.io/bbolt"

	"homing/event"
	"homing/store"
)

const (
	indexName    = "index.db"
	indexVersion = 1

	metaFormat  = "format"  // format version, as a number in one octet
	metaApplied = "applied" // the position up to which bbolt knows the log
	metaHigh    = "high"    // the highest identifiers given
)

// openIndex opens bbolt. The map of addresses is large, so that it need not
// be made anew (which waits for readers) while the file grows; it takes
// memory only for what is read. Where the system grants no such map, a small
// one has to do.
func openIndex(path string, openFile func(string, int, os.FileMode) (*os.File, error)) (*bolt.DB, error) {
	sizes := []int{1 << 30, 0}
	if strconv.IntSize == 64 {
		sizes = []int{64 << 30, 4 << 30, 0}
	}
	var err error
	for _, size := range sizes {
		var db *bolt.DB
		db, err = openBolt(path, &bolt.Options{
			Timeout: time.Second, FreelistType: bolt.FreelistMapType, InitialMmapSize: size, OpenFile: openFile,
		})
		if err == nil || errors.Is(err, ErrDamaged) {
			return db, err
		}
	}
	return nil, err
}

// prepareIndex makes the buckets and checks the format version.
func prepareIndex(db *bolt.DB) (applied position, err error) {
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range bucketNames[1:] {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		meta := tx.Bucket([]byte(bucketNames[bucketMeta]))
		switch format := meta.Get([]byte(metaFormat)); {
		case format == nil:
			return meta.Put([]byte(metaFormat), []byte{indexVersion})
		case len(format) != 1 || format[0] > indexVersion:
			return ErrNewer
		}
		if row := meta.Get([]byte(metaApplied)); row != nil {
			applied, err = decodePosition(row)
		}
		return err
	})
	return applied, err
}

func encodePosition(p position) []byte {
	f := newRow(32)
	f.num(1, p.segment)
	f.num(2, uint64(p.offset))
	f.num(3, p.number)
	return f
}

func decodePosition(row []byte) (position, error) {
	var p position
	err := eachField(row, func(f field) error {
		switch f.n {
		case 1:
			p.segment = f.u
		case 2:
			p.offset = int64(f.u)
		case 3:
			p.number = f.u
		}
		return nil
	})
	return p, err
}

// writeOverlay brings bbolt to where the overlay is: rows and position in one
// transaction, in the order of the keys.
func writeOverlay(db *bolt.DB, o *overlay) error {
	return db.Update(func(tx *bolt.Tx) error {
		for b := bucketMessage; b < bucketEnd; b++ {
			if len(o.rows[b]) == 0 {
				continue
			}
			if err := writeBucket(tx, b, o); err != nil {
				return err
			}
		}
		return tx.Bucket([]byte(bucketNames[bucketMeta])).Put([]byte(metaApplied), encodePosition(o.upTo))
	})
}

func writeBucket(tx *bolt.Tx, b bucket, o *overlay) error {
	rows := tx.Bucket([]byte(bucketNames[b]))
	if b.byTime() {
		rows.FillPercent = 0.9
	}
	list := make([]op, 0, len(o.rows[b]))
	for key, value := range o.rows[b] {
		list = append(list, op{b, key, value})
	}
	sortOps(list)
	for _, p := range list {
		var err error
		if p.value == nil {
			err = rows.Delete([]byte(p.key))
		} else {
			err = rows.Put([]byte(p.key), p.value)
		}
		if err != nil {
			return fmt.Errorf("bolt: writing bucket %s: %w", bucketNames[b], err)
		}
	}
	return nil
}

// A view is the store at one moment, for a short while: what the overlays
// know, else what bbolt knows. It may already see later commits.
type view struct {
	s                *Store
	active, flushing *overlay
	tx               *bolt.Tx
}

// maxView bounds how long a view may be kept while it looks through rows:
// bbolt cannot use pages again that a reader may still need.
const maxView = 25 * time.Millisecond

// newView must be closed. Overlays and transaction are taken together: a row
// that leaves an overlay is in bbolt before.
func (s *Store) newView() (*view, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	tx, err := s.db.Begin(false)
	if err != nil {
		return nil, err
	}
	return &view{s: s, active: s.active, flushing: s.flushing, tx: tx}, nil
}

func (v *view) close() { v.tx.Rollback() }

// view gives a view to do.
func (s *Store) view(do func(*view) error) error {
	v, err := s.newView()
	if err != nil {
		return err
	}
	defer v.close()
	return do(v)
}

// get gives a row, nil when there is none. It is valid until the view is
// closed and must not be changed.
func (v *view) get(b bucket, key string) []byte {
	v.s.mu.RLock()
	value, known := v.active.get(b, key)
	if !known {
		value, known = v.flushing.get(b, key)
	}
	v.s.mu.RUnlock()
	if known {
		return value
	}
	return v.tx.Bucket([]byte(bucketNames[b])).Get([]byte(key))
}

// message and recipient give rows; store.ErrNotFound.
func (v *view) message(id event.MessageID) (messageRow, error) {
	row := v.get(bucketMessage, key64(id))
	if row == nil {
		return messageRow{}, store.ErrNotFound
	}
	return decodeMessage(id, row)
}

func (v *view) recipient(id event.DeliveryID) (messageRow, store.Recipient, error) {
	row := v.get(bucketRecipient, key64(id))
	if row == nil {
		return messageRow{}, store.Recipient{}, store.ErrNotFound
	}
	r, err := decodeRecipient(id, row)
	if err != nil {
		return messageRow{}, r, err
	}
	m, err := v.message(r.Message)
	return m, r, err
}

// overlaid gives what the overlays know of a span, sorted: all of it when
// rest is empty, else what lies before rest.
func (v *view) overlaid(b bucket, s span) (list []op, rest string) {
	v.s.mu.RLock()
	old, oldRest := v.flushing.within(b, s)
	young, youngRest := v.active.within(b, s)
	v.s.mu.RUnlock()
	if rest = oldRest; rest == "" || youngRest != "" && youngRest < rest {
		rest = youngRest
	}
	for len(old) > 0 || len(young) > 0 {
		var next op
		switch {
		case len(young) == 0 || len(old) > 0 && old[0].key < young[0].key:
			next, old = old[0], old[1:]
		case len(old) > 0 && old[0].key == young[0].key:
			old = old[1:]
			continue
		default:
			next, young = young[0], young[1:]
		}
		if rest != "" && next.key >= rest {
			break
		}
		list = append(list, next)
	}
	return list, rest
}

// each gives the rows of a span in order to do, until it says stop or the
// view is old; then rest is where to go on with another view, else empty.
// What do gets is valid until the view is closed.
func (v *view) each(b bucket, s span, do func(key string, row []byte) (more bool, err error)) (string, error) {
	over, rest := v.overlaid(b, s)
	if rest != "" {
		s.end = rest
	}
	cursor := v.tx.Bucket([]byte(bucketNames[b])).Cursor()
	began := time.Now()
	k, row := cursor.Seek([]byte(s.first))
	for n := 0; ; n++ {
		if k != nil && s.end != "" && string(k) >= s.end {
			k = nil
		}
		if k == nil && len(over) == 0 {
			return rest, nil
		}
		var key string
		var value []byte
		switch c := compareNext(k, over); {
		case c < 0:
			key, value = string(k), row
			k, row = cursor.Next()
		default:
			if c == 0 {
				k, row = cursor.Next()
			}
			key, value, over = over[0].key, over[0].value, over[1:]
		}
		if n%64 == 63 && time.Since(began) > maxView {
			return key, nil
		}
		if value == nil {
			continue
		}
		if more, err := do(key, value); err != nil || !more {
			return "", err
		}
	}
}

// compareNext says whose turn it is: below 0 bbolt's, above 0 the overlay's,
// and 0 when both have the key and the overlay wins.
func compareNext(k []byte, over []op) int {
	switch {
	case len(over) == 0:
		return -1
	case k == nil:
		return 1
	}
	return bytes.Compare(k, []byte(over[0].key))
}

// scan gives all rows of a span to do, with a fresh view whenever one is old,
// so that it may take as long as it needs.
func (s *Store) scan(b bucket, sp span, do func(v *view, key string, row []byte) (more bool, err error)) error {
	for {
		var rest string
		err := s.view(func(v *view) (err error) {
			rest, err = v.each(b, sp, func(key string, row []byte) (bool, error) { return do(v, key, row) })
			return err
		})
		if err != nil || rest == "" {
			return err
		}
		sp.first = rest
	}
}

// flush brings bbolt up to the log. A full disk is an error that goes away;
// any other makes the store fail.
func (s *Store) flush() error {
	s.mu.Lock()
	if s.flushing == nil && !s.active.empty() {
		s.flushing, s.active = s.active, newOverlay()
	}
	o := s.flushing
	s.indexing = o != nil
	s.mu.Unlock()
	if o == nil {
		return nil
	}
	err := writeOverlay(s.db, o)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.indexing, s.indexFull = false, noSpace(err)
	s.flushEnd.ring()
	switch {
	case err == nil:
		s.flushing, s.applied = nil, o.upTo
		return nil
	case noSpace(err):
		return errors.Join(store.ErrFull, err)
	}
	return s.fail(err)
}

func indexPath(dir string) string { return filepath.Join(dir, indexName) }
