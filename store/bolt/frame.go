package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// A frame is everything that one turn of the committer writes:
//
//	 0  4  "hmf" and the format version
//	 4  4  octets of payload
//	 8  8  number of the frame; frames are numbered without a gap
//	16  8  salt of the segment
//	24  4  CRC-32C of the octets 0 to 24 and of the payload
//	28  4  CRC-32C of the octets 0 to 28
//	32     payload, then zeros up to a multiple of 8
//
// and its payload is
//
//	0  4  octets of bodies
//	4     bodies: header blocks and contents, found by rows of bucket body
//	      operations: 'p' bucket length key length value | 'd' bucket length key
//
// Numbers are little-endian, lengths of operations are unsigned varints. The
// salt is random: octets that somebody sends in a mail never look like a
// frame. Operations are puts and deletes, so replaying one twice is harmless.
const (
	frameHeader  = 32
	frameVersion = 1
	frameAlign   = 8
	maxPayload   = 256 << 20

	opPut = 'p'
	opDel = 'd'
)

var frameMagic = [4]byte{'h', 'm', 'f', frameVersion}

// Errors of decodeFrame.
var (
	errNoFrame    = errors.New("no frame")
	errTornFrame  = errors.New("incomplete or damaged frame")
	errNewerFrame = errors.New("frame of a newer format")

	errOps = errors.New("operations that cannot be read") // in a frame that is valid
)

// castagnoli is the table of CRC-32C, which processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A frameWriter collects one frame. Its buffers are used again.
type frameWriter struct {
	buf []byte // header, length of bodies, bodies
	ops []byte
}

const frameBodies = frameHeader + 4 // where bodies begin in a frame

func (w *frameWriter) reset() {
	if cap(w.buf) > 4*groupOctets { // one big group does not cost memory for ever
		w.buf, w.ops = nil, nil
	}
	w.buf = append(w.buf[:0], make([]byte, frameBodies)...)
	w.ops = w.ops[:0]
}

// size is how many octets the frame takes in the log so far.
func (w *frameWriter) size() int { return align(len(w.buf) + len(w.ops)) }

func (w *frameWriter) empty() bool { return len(w.ops) == 0 && len(w.buf) == frameBodies }

// blob adds octets of a body and says where in the frame they lie.
func (w *frameWriter) blob(parts ...[]byte) int64 {
	at := int64(len(w.buf))
	for _, p := range parts {
		w.buf = append(w.buf, p...)
	}
	return at
}

func (w *frameWriter) put(b bucket, key string, value []byte) {
	w.ops = append(w.ops, opPut, byte(b))
	w.ops = binary.AppendUvarint(w.ops, uint64(len(key)))
	w.ops = append(w.ops, key...)
	w.ops = binary.AppendUvarint(w.ops, uint64(len(value)))
	w.ops = append(w.ops, value...)
}

func (w *frameWriter) del(b bucket, key string) {
	w.ops = append(w.ops, opDel, byte(b))
	w.ops = binary.AppendUvarint(w.ops, uint64(len(key)))
	w.ops = append(w.ops, key...)
}

// seal completes the frame. What it gives is valid until reset.
func (w *frameWriter) seal(number, salt uint64) []byte {
	bodies := len(w.buf) - frameBodies
	binary.LittleEndian.PutUint32(w.buf[frameHeader:], uint32(bodies))
	w.buf = append(w.buf, w.ops...)
	h := w.buf[:frameHeader]
	copy(h, frameMagic[:])
	binary.LittleEndian.PutUint32(h[4:], uint32(len(w.buf)-frameHeader))
	binary.LittleEndian.PutUint64(h[8:], number)
	binary.LittleEndian.PutUint64(h[16:], salt)
	sum := crc32.Update(crc32.Checksum(h[:24], castagnoli), castagnoli, w.buf[frameHeader:])
	binary.LittleEndian.PutUint32(h[24:], sum)
	binary.LittleEndian.PutUint32(h[28:], crc32.Checksum(h[:28], castagnoli))
	for len(w.buf)%frameAlign != 0 {
		w.buf = append(w.buf, 0)
	}
	return w.buf
}

func align(n int) int { return (n + frameAlign - 1) &^ (frameAlign - 1) }

// A frame is one that was read.
type frame struct {
	number  uint64
	payload []byte
}

// frameLength reads a header of frameHeader octets: how long the whole frame
// is in the log. errNoFrame where nothing was ever written.
func frameLength(h []byte, salt uint64) (int, error) {
	if len(bytes.TrimLeft(h, "\x00")) == 0 {
		return 0, errNoFrame
	}
	if len(h) < frameHeader || binary.LittleEndian.Uint32(h[28:]) != crc32.Checksum(h[:28], castagnoli) {
		return 0, errTornFrame
	}
	if binary.LittleEndian.Uint64(h[16:]) != salt || !bytes.Equal(h[:3], frameMagic[:3]) {
		return 0, errTornFrame
	}
	if h[3] > frameVersion {
		return 0, errNewerFrame
	}
	n := binary.LittleEndian.Uint32(h[4:])
	if n < 4 || n > maxPayload {
		return 0, errTornFrame
	}
	return align(frameHeader + int(n)), nil
}

// decodeFrame reads the frame that b begins with: errNoFrame, errTornFrame or
// errNewerFrame when there is none. The payload is part of b.
func decodeFrame(b []byte, salt uint64) (frame, error) {
	if _, err := frameLength(b[:min(len(b), frameHeader)], salt); err != nil {
		return frame{}, err
	}
	n := int(binary.LittleEndian.Uint32(b[4:]))
	if frameHeader+n > len(b) { // of the zeros behind, nothing is asked
		return frame{}, errTornFrame
	}
	payload := b[frameHeader : frameHeader+n]
	sum := crc32.Update(crc32.Checksum(b[:24], castagnoli), castagnoli, payload)
	if sum != binary.LittleEndian.Uint32(b[24:]) {
		return frame{}, errTornFrame
	}
	return frame{number: binary.LittleEndian.Uint64(b[8:]), payload: payload}, nil
}

// An op is one put or, where value is nil, one delete.
type op struct {
	bucket bucket
	key    string
	value  []byte
}

// each gives the operations of a frame in order. The values are copies.
func (f frame) each(do func(op) error) error {
	bodies := int(binary.LittleEndian.Uint32(f.payload))
	if bodies > len(f.payload)-4 {
		return fmt.Errorf("frame %d: bodies do not fit: %w", f.number, errOps)
	}
	for b := f.payload[4+bodies:]; len(b) > 0; {
		o, rest, err := readOp(b)
		if err != nil {
			return fmt.Errorf("frame %d: %w: %w", f.number, errOps, err)
		}
		if err := do(o); err != nil {
			return err
		}
		b = rest
	}
	return nil
}

func readOp(b []byte) (o op, rest []byte, err error) {
	if len(b) < 3 || b[0] != opPut && b[0] != opDel {
		return o, nil, errors.New("no operation")
	}
	kind := b[0]
	o.bucket = bucket(b[1])
	if o.bucket == 0 || o.bucket >= bucketEnd {
		return o, nil, fmt.Errorf("bucket %d is unknown", b[1])
	}
	key, b, err := lengthPrefixed(b[2:])
	if err != nil {
		return o, nil, err
	}
	o.key = string(key)
	if kind == opDel {
		return o, b, nil
	}
	value, b, err := lengthPrefixed(b)
	if err != nil {
		return o, nil, err
	}
	o.value = append(make([]byte, 0, len(value)), value...)
	return o, b, nil
}

func lengthPrefixed(b []byte) (part, rest []byte, err error) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return nil, nil, errors.New("length does not fit")
	}
	return b[k : k+int(n)], b[k+int(n):], nil
}
