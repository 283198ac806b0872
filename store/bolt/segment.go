package bolt

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A segment is one file of the log. It begins with
//
//	 0  8  "HOMINGLG"
//	 8  4  format version
//	16  8  number of the segment
//	24  8  number of its first frame
//	32  8  salt of its frames
//	40  8  when it was made, nanoseconds since 1970
//	60  4  CRC-32C of the octets 0 to 60
//
// and frames follow. What is preallocated behind them is zeros.
const (
	segmentHeader  = 64
	segmentVersion = 1
	segmentMagic   = "HOMINGLG"
	segmentSuffix  = ".log"

	allocStep    = 4 << 20  // preallocation goes on in such steps
	applyReserve = 4 << 20  // the last preallocated octets, which Enqueue leaves to Apply
	segmentLeast = 2 << 20  // on a small disk a segment is full at
	segmentShare = 32       // this part of it, and at least segmentLeast
	segmentFull  = 60 << 20 // a segment that reached this gets no further group, so it stays near 64 MiB
)

// ErrDamaged says that the store on disk is not what it was written as. The
// Store did not open and changed nothing.
var ErrDamaged = errors.New("the store is damaged")

// Damage is an ErrDamaged with its place.
type Damage struct {
	File string
	What string // with the octet, where that says something
}

func (d *Damage) Error() string {
	return fmt.Sprintf("bolt: %s: %s: %v; nothing was changed: keep a copy of the directory, run `homing doctor`, or restore a backup",
		d.File, d.What, ErrDamaged)
}

func (d *Damage) Unwrap() error { return ErrDamaged }

func damaged(name, format string, args ...any) error {
	return &Damage{File: name, What: fmt.Sprintf(format, args...)}
}

// ErrNewer says that a newer version of homing wrote the store.
var ErrNewer = errors.New("the store was written by a newer version of homing: run that version or a newer one, or restore a backup made by this one")

type segment struct {
	number  uint64
	first   uint64 // number of its first frame
	salt    uint64
	created time.Time
	name    string // path
	file    File
	end     int64  // after the last valid frame
	last    uint64 // number of the last frame; first-1 while there is none

	// Of the octets, those in bodies that are owed; and how many bodies
	// and readers there are. Guarded by Store.mu.
	live int64
	owed int
	pins int
}

func segmentName(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016x%s", number, segmentSuffix))
}

func (g *segment) header() []byte {
	h := make([]byte, segmentHeader)
	copy(h, segmentMagic)
	binary.LittleEndian.PutUint32(h[8:], segmentVersion)
	binary.LittleEndian.PutUint64(h[16:], g.number)
	binary.LittleEndian.PutUint64(h[24:], g.first)
	binary.LittleEndian.PutUint64(h[32:], g.salt)
	binary.LittleEndian.PutUint64(h[40:], uint64(g.created.UnixNano()))
	binary.LittleEndian.PutUint32(h[60:], crc32.Checksum(h[:60], castagnoli))
	return h
}

// errUnborn marks a segment whose making a crash cut short: it holds nothing.
var errUnborn = errors.New("segment without a header")

func (g *segment) readHeader(h []byte) error {
	if len(h) < segmentHeader || len(bytes.TrimLeft(h, "\x00")) == 0 {
		return errUnborn
	}
	if string(h[:8]) != segmentMagic || binary.LittleEndian.Uint32(h[60:]) != crc32.Checksum(h[:60], castagnoli) {
		return damaged(g.name, "its header does not match its checksum")
	}
	if binary.LittleEndian.Uint32(h[8:]) > segmentVersion {
		return fmt.Errorf("bolt: %s: %w", g.name, ErrNewer)
	}
	if n := binary.LittleEndian.Uint64(h[16:]); n != g.number {
		return damaged(g.name, "it is segment %016x under another name", n)
	}
	g.first = binary.LittleEndian.Uint64(h[24:])
	g.salt = binary.LittleEndian.Uint64(h[32:])
	g.created = time.Unix(0, int64(binary.LittleEndian.Uint64(h[40:])))
	g.last, g.end = g.first-1, segmentHeader
	return nil
}

// makeSegment creates, allocates and syncs a segment and its name, in this
// order: a frame in it is durable as soon as the file is synced again.
func makeSegment(fs FS, dir string, number, first uint64, now time.Time, alloc int64) (*segment, error) {
	var salt [8]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return nil, err
	}
	g := &segment{number: number, first: first, last: first - 1, end: segmentHeader, created: now,
		salt: binary.LittleEndian.Uint64(salt[:]), name: segmentName(dir, number)}
	f, err := fs.Open(g.name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	g.file = f
	if err = f.Allocate(0, alloc); err == nil {
		_, err = f.WriteAt(g.header(), 0)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), fs.Remove(g.name))
	}
	if err = errors.Join(f.Sync(), fs.SyncDir(dir)); err != nil {
		return nil, errors.Join(syncError{err}, f.Close(), fs.Remove(g.name))
	}
	return g, nil
}

// A syncError is what no retry can mend: the disk may have dropped what it
// was given.
type syncError struct{ error }

func (e syncError) Unwrap() error { return e.error }

// openSegments opens what is in dir, oldest first, and reads the headers. A
// last segment that never got its header is removed.
func openSegments(fs FS, dir string) (list []*segment, err error) {
	defer func() {
		if err != nil {
			closeSegments(list)
			list = nil
		}
	}()
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for i, name := range names {
		number, perr := strconv.ParseUint(strings.TrimSuffix(name, segmentSuffix), 16, 64)
		if perr != nil || !strings.HasSuffix(name, segmentSuffix) {
			return list, damaged(filepath.Join(dir, name), "it is no file of the log")
		}
		g := &segment{number: number, name: segmentName(dir, number)}
		if g.file, err = fs.Open(g.name, os.O_RDWR); err != nil {
			return list, err
		}
		list = append(list, g)
		h := make([]byte, segmentHeader)
		n, _ := g.file.ReadAt(h, 0)
		switch err = g.readHeader(h[:n]); {
		case errors.Is(err, errUnborn) && i == len(names)-1:
			list = list[:i]
			if err = errors.Join(g.file.Close(), fs.Remove(g.name)); err != nil {
				return list, err
			}
		case errors.Is(err, errUnborn):
			return list, damaged(g.name, "it has no header")
		case err != nil:
			return list, err
		}
	}
	return list, nil
}

func closeSegments(list []*segment) error {
	var errs []error
	for _, g := range list {
		errs = append(errs, g.file.Close())
	}
	return errors.Join(errs...)
}

// read gives the frames from off on to do, the first of which must have
// the number want, and notes where they end. A torn end is no error, but one
// that a valid frame follows is ErrDamaged.
func (g *segment) read(off int64, want uint64, do func(frame, int64) error) error {
	size, err := g.file.Size()
	if err != nil {
		return err
	}
	if off < segmentHeader || off > size {
		return damaged(g.name, "it ends at octet %d and was longer than %d", size, off)
	}
	h := make([]byte, frameHeader)
	for g.end, g.last = off, want-1; ; {
		f, length, err := g.frameAt(h, g.end, size)
		if errors.Is(err, errNoFrame) || errors.Is(err, errTornFrame) {
			return g.checkEnd(size, want)
		}
		if err != nil {
			return err
		}
		if f.number != want {
			return damaged(g.name, "frame %d at octet %d should be frame %d", f.number, g.end, want)
		}
		if err := do(f, g.end); err != nil {
			return err
		}
		g.end, g.last, want = g.end+length, want, want+1
	}
}

// frameAt reads the frame at off; h is room for its header.
func (g *segment) frameAt(h []byte, off, size int64) (frame, int64, error) {
	if size-off < frameHeader {
		return frame{}, 0, errTornFrame
	}
	if _, err := g.file.ReadAt(h, off); err != nil {
		return frame{}, 0, err
	}
	length, err := frameLength(h, g.salt)
	if errors.Is(err, errNewerFrame) {
		return frame{}, 0, fmt.Errorf("bolt: %s: %w", g.name, ErrNewer)
	}
	if err != nil {
		return frame{}, 0, err
	}
	b := make([]byte, min(int64(length), size-off))
	if _, err := g.file.ReadAt(b, off); err != nil {
		return frame{}, 0, err
	}
	f, err := decodeFrame(b, g.salt)
	return f, int64(length), err
}

// checkEnd looks behind the end of the frames for one that is valid: then the
// end is no end but a hole.
func (g *segment) checkEnd(size int64, want uint64) error {
	tail, err := g.tail(size)
	if err != nil {
		return err
	}
	if f, _, ok := g.nextFrame(tail, want); ok {
		return damaged(g.name, "frame %d at octet %d is damaged and frame %d follows it", want, g.end, f.number)
	}
	return nil
}

// tail gives what is behind the end of the frames.
func (g *segment) tail(size int64) ([]byte, error) {
	tail := make([]byte, max(0, size-g.end))
	if _, err := g.file.ReadAt(tail, g.end); err != nil && len(tail) > 0 {
		return nil, err
	}
	return tail, nil
}

// nextFrame finds the first valid frame in a tail whose number is at least
// want, and where it begins. Frames begin at multiples of frameAlign and carry
// the salt, so few places need a closer look.
func (g *segment) nextFrame(tail []byte, want uint64) (f frame, begin int, ok bool) {
	salt := binary.LittleEndian.AppendUint64(nil, g.salt)
	for at := 0; ; {
		i := bytes.Index(tail[at:], salt)
		if i < 0 {
			return frame{}, 0, false
		}
		begin = at + i - 16
		at += i + 1
		if begin < 0 || begin%frameAlign != 0 {
			continue
		}
		if f, err := decodeFrame(tail[begin:], g.salt); err == nil && f.number >= want {
			return f, begin, true
		}
	}
}
