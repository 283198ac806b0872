package bolt

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"

	"homing/internal/message"
	"homing/store"
)

// When a body is owed. Bucket owed counts the reasons, in the transaction in
// which they come and go:
//
//   - one for each recipient without an outcome (captured mail included);
//   - one while retention wants it as a report or reply (bucket report);
//   - one for each event that names it as Raw or Original, until every sink
//     that counts has passed the event (bucket shown). A sink has passed an
//     event when its cursor has, and when no delivery that it parked holds the
//     event back. The sinks that count are What.Shows of the last Forget with
//     EventsBefore: one that only tells must not keep bodies; before there was one in this process, those that have a
//     cursor, and nothing is passed while none has. Forgetting the event
//     ends the reason as well.
//
// At no reason left, its rows go, and its octets with the segment.

// A bodyChange is what a transaction does to the octets that a segment owes.
type bodyChange struct {
	segment uint64
	octets  int64
	bodies  int
}

// putBody stores a Draft: in the frame, unless it has a file.
func (t *txn) putBody(d *draft) {
	b := bodyRow{headsAt: d.size, size: d.size, sum: d.sum, headSum: d.headSum}
	for _, h := range d.heads {
		b.heads = append(b.heads, uint64(len(h)))
	}
	if d.file == nil {
		cur := t.s.log.cur
		b.segment = cur.number
		b.headsAt = cur.end + t.frame.blob(d.heads...)
		b.at = cur.end + t.frame.blob(d.mem)
		t.bodies = append(t.bodies, bodyChange{b.segment, b.octets(), 1})
	}
	t.put(bucketBody, key64(d.id), b.encode())
	t.named = append(t.named, d)
}

// dropBody forgets a body that is owed to nobody.
func (t *txn) dropBody(id uint64, row []byte) error {
	b, err := decodeBody(row)
	if err != nil {
		return err
	}
	key := key64(id)
	t.del(bucketBody, key)
	if t.get(bucketOwed, key) != nil {
		t.del(bucketOwed, key)
	}
	if b.segment == 0 {
		t.doomed = append(t.doomed, id)
	} else {
		t.bodies = append(t.bodies, bodyChange{b.segment, -b.octets(), -1})
	}
	return nil
}

// account keeps what segments owe. s.mu is held.
func (s *Store) account(c bodyChange) {
	if g := s.segments[c.segment]; g != nil {
		g.live += c.octets
		g.owed += c.bodies
	}
}

// OpenBody implements store.Store.
func (s *Store) OpenBody(ctx context.Context, ref message.Ref) (message.Body, error) {
	if err := s.broken(ctx); err != nil {
		return nil, err
	}
	for tries := 0; ; tries++ {
		var row bodyRow
		err := s.view(func(v *view) (err error) {
			found := v.get(bucketBody, key64(ref.Body))
			if found == nil {
				return store.ErrNotFound
			}
			row, err = decodeBody(found)
			return err
		})
		if err != nil {
			return nil, err
		}
		b, err := s.openAt(ref, row)
		if !errors.Is(err, errMoved) {
			return b, err
		}
		if tries == 10 {
			return nil, damaged(segmentName(s.log.dir, row.segment), "it is missing, and body %016x is in it", ref.Body)
		}
	}
}

// errMoved: the body was moved to another segment, or dropped, after its row
// was read. Another look tells.
var errMoved = errors.New("body moved")

func (s *Store) openAt(ref message.Ref, row bodyRow) (message.Body, error) {
	at, size, ok := row.head(ref.Head)
	if !ok {
		return nil, store.ErrNotFound
	}
	b := &body{s: s, sum: row.sum}
	if row.segment == 0 {
		f, err := s.fs.Open(bodyName(s.bodyDir, ref.Body), os.O_RDONLY)
		if errors.Is(err, os.ErrNotExist) {
			return nil, s.vanished(ref.Body)
		}
		if err != nil {
			return nil, err
		}
		b.file, b.head, b.content = f, section{f, at, size}, section{f, row.at, row.size}
		return b, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.segments[row.segment]
	if g == nil {
		return nil, errMoved
	}
	g.pins++
	b.segment, b.head, b.content = g, section{g.file, at, size}, section{g.file, row.at, row.size}
	return b, nil
}

// vanished tells a body that was dropped a moment ago from a lost file.
func (s *Store) vanished(id uint64) error {
	err := s.view(func(v *view) error {
		if v.get(bucketBody, key64(id)) == nil {
			return store.ErrNotFound
		}
		return nil
	})
	if err == nil {
		err = fmt.Errorf("bolt: the file of body %016x is missing: %w", id, ErrDamaged)
	}
	return err
}

// A body is a stored message opened for reading.
type body struct {
	s             *Store
	segment       *segment // pinned; nil for a file of its own
	file          File
	head, content section
	sum           uint32
	once          sync.Once
}

// Size implements message.Body.
func (b *body) Size() int64 { return b.head.size + b.content.size }

// ReadAt implements io.ReaderAt.
func (b *body) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("bolt: negative offset")
	}
	if off < b.head.size {
		n, err = b.head.ReadAt(p, off)
		if n == len(p) || err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
	}
	m, err := b.content.ReadAt(p[n:], off+int64(n)-b.head.size)
	return n + m, err
}

// WriteTo implements io.WriterTo. It fails when the content does not match
// its checksum: at most the head was written then, or, of more than 128 KiB,
// everything.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	size := int(min(draftInMemory, max(b.head.size, b.content.size)))
	buf := b.s.buffers.get(size)[:size]
	defer b.s.buffers.put(buf)
	done, _, err := b.head.copy(w, buf, 0, false)
	if err != nil {
		return done, err
	}
	n, sum, err := b.content.copy(w, buf, b.sum, b.content.size <= int64(len(buf)))
	if err == nil && sum != b.sum {
		err = fmt.Errorf("bolt: a body does not match its checksum: %w", ErrDamaged)
	}
	return done + n, err
}

// Close implements io.Closer.
func (b *body) Close() (err error) {
	b.once.Do(func() {
		if b.segment == nil {
			err = b.file.Close()
			return
		}
		b.s.mu.Lock()
		defer b.s.mu.Unlock()
		b.segment.pins--
		if b.segment.owed == 0 {
			b.s.flushSoon() // which also removes segments
		}
	})
	return err
}

// A section is part of a file.
type section struct {
	from     io.ReaderAt
	at, size int64
}

func (s section) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("bolt: negative offset")
	}
	if off >= s.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > s.size-off
	if short {
		p = p[:s.size-off]
	}
	n, err := s.from.ReadAt(p, s.at+off)
	switch {
	case n < len(p) && (err == nil || errors.Is(err, io.EOF)):
		err = fmt.Errorf("bolt: a body is cut short: %w", ErrDamaged)
	case n == len(p):
		err = nil
		if short {
			err = io.EOF
		}
	}
	return n, err
}

// copy writes the section to w by way of buf and gives its CRC-32C. With
// check, which needs all of it in buf, it writes only what has the sum want.
func (s section) copy(w io.Writer, buf []byte, want uint32, check bool) (done int64, sum uint32, err error) {
	for done < s.size {
		p := buf[:min(int64(len(buf)), s.size-done)]
		if _, err := s.ReadAt(p, done); err != nil {
			return done, sum, err
		}
		if sum = crc32.Update(sum, castagnoli, p); check && sum != want {
			return done, sum, nil
		}
		n, err := w.Write(p)
		done += int64(n)
		if err != nil {
			return done, sum, err
		}
	}
	return done, sum, nil
}

// memory is octets as a file.
type memory []byte

func (m memory) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(m)) {
		return 0, io.EOF
	}
	n := copy(p, m[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
