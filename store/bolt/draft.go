package bolt

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"homing/store"
)

const (
	draftInMemory = 128 << 10 // a longer body gets a file of its own
	headsInFrame  = 1 << 20   // and so does a body with longer header blocks
)

// A draft is a body without an owner: in memory, or in a file that is removed
// unless a transaction names it.
type draft struct {
	s    *Store
	id   uint64
	size int64
	sum  uint32 // CRC-32C of the content
	mem  []byte // while file is nil
	file File

	heads   [][]byte
	headSum uint32
	synced  bool   // content and name of the file
	once    string // the key of a note that Apply takes; "": none
	named   bool   // set by the committer: it is a body now
	gone    bool
}

// NewBody implements store.Store.
func (s *Store) NewBody(ctx context.Context) (store.Draft, error) {
	if err := s.broken(ctx); err != nil {
		return nil, err
	}
	return &draft{s: s, id: s.bodies.Take(s.now(), 1)}, nil
}

// draftOf gives the draft behind the interface, nil for none.
func (s *Store) draftOf(d store.Draft) (*draft, error) {
	if d == nil {
		return nil, nil
	}
	own, ok := d.(*draft)
	if !ok || own.s != s || own.gone {
		return nil, errors.New("bolt: a Draft of another store, or one that was discarded")
	}
	return own, nil
}

// Once implements store.Draft.
func (d *draft) Once(space, name string) { d.once = noteKey(space, name) }

func bodyName(dir string, id uint64) string { return filepath.Join(dir, fmt.Sprintf("%016x", id)) }

// Write implements io.Writer. It returns store.ErrFull on a full disk.
func (d *draft) Write(p []byte) (int, error) {
	if d.named || d.gone {
		return 0, errors.New("bolt: writing to a Draft that is used")
	}
	if d.file == nil && d.size+int64(len(p)) > draftInMemory {
		if err := d.spill(); err != nil {
			return 0, err
		}
	}
	n := len(p)
	var err error
	if d.file == nil {
		if d.mem == nil {
			d.mem = d.s.buffers.get(len(p))
		}
		d.mem = append(d.mem, p...)
	} else if n, err = d.file.WriteAt(p, d.size); err != nil {
		err = full(err)
	}
	d.size += int64(n)
	d.sum = crc32.Update(d.sum, castagnoli, p[:n])
	d.synced = false
	return n, err
}

// full names a full disk as callers know it.
func full(err error) error {
	if noSpace(err) {
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}

// spill moves the content to a file of its own.
func (d *draft) spill() error {
	f, err := d.s.fs.Open(bodyName(d.s.bodyDir, d.id), os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return full(err)
	}
	d.file = f
	if _, err := f.WriteAt(d.mem, 0); err != nil {
		return full(err)
	}
	d.s.buffers.put(d.mem)
	d.mem = nil
	return nil
}

// ReadAt implements io.ReaderAt.
func (d *draft) ReadAt(p []byte, off int64) (int, error) {
	var from section
	if d.file != nil {
		from = section{d.file, 0, d.size}
	} else {
		from = section{memory(d.mem), 0, d.size}
	}
	return from.ReadAt(p, off)
}

// Size implements store.Draft.
func (d *draft) Size() int64 { return d.size }

// Sync implements store.Draft.
func (d *draft) Sync() error {
	if d.file == nil || d.synced {
		return nil
	}
	if err := errors.Join(d.file.Sync(), d.s.fs.SyncDir(d.s.bodyDir)); err != nil {
		return d.s.check(syncError{err})
	}
	d.synced = true
	return nil
}

// prepare makes a Draft ready to be named with these header blocks: what lies
// in a file is durable after that, before any frame speaks of it.
func (d *draft) prepare(heads [][]byte) error {
	if d.named {
		return nil
	}
	d.heads, d.headSum = heads, 0
	var n int64
	for _, h := range heads {
		n += int64(len(h))
		d.headSum = crc32.Update(d.headSum, castagnoli, h)
	}
	if d.file == nil && n > headsInFrame {
		if err := d.spill(); err != nil {
			return err
		}
	}
	if d.file == nil {
		return nil
	}
	at := d.size
	for _, h := range heads {
		if _, err := d.file.WriteAt(h, at); err != nil {
			return full(err)
		}
		at += int64(len(h))
		d.synced = false
	}
	return d.Sync()
}

// settle closes the file of a Draft that has become a body.
func (d *draft) settle() {
	if d.named && d.file != nil {
		d.file.Close()
		d.file = nil
	}
}

// Discard implements store.Draft.
func (d *draft) Discard() {
	if d.file == nil {
		d.s.buffers.put(d.mem) // the log has a copy of what a transaction named
		d.mem = nil
	}
	if d.named || d.gone {
		return
	}
	d.gone = true
	if d.file == nil {
		return
	}
	err := d.file.Close()
	if !d.s.failed.is() {
		err = errors.Join(err, d.s.fs.Remove(bodyName(d.s.bodyDir, d.id)))
	} // else a frame may name it that was written and not synced: the next start knows
	if err != nil {
		d.s.slog.Warn("body without an owner not removed; the next start will", "err", err)
	}
}
