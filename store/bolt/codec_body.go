package bolt

import (
	"fmt"
	"hash/crc32"

	"homing/event"
)

// A bodyRow says where a body lies. Its header blocks lie one after the
// other, its content apart from them.
type bodyRow struct {
	segment uint64   // 0: in a file of its own
	headsAt int64    // octet in the segment or file
	at      int64    // of the content
	size    int64    // of the content
	heads   []uint64 // octets of each header block
	sum     uint32   // CRC-32C of the content
	headSum uint32   // CRC-32C of all header blocks
}

// headSize is how many octets the header blocks have together.
func (b *bodyRow) headSize() int64 {
	var n int64
	for _, h := range b.heads {
		n += int64(h)
	}
	return n
}

// octets is all that the body takes.
func (b *bodyRow) octets() int64 { return b.size + b.headSize() }

// head gives offset and length of one header block. A body without any has
// an empty first one.
func (b *bodyRow) head(i uint32) (at, size int64, ok bool) {
	if len(b.heads) == 0 && i == 0 {
		return b.headsAt, 0, true
	}
	if int64(i) >= int64(len(b.heads)) {
		return 0, 0, false
	}
	at = b.headsAt
	for _, h := range b.heads[:i] {
		at += int64(h)
	}
	return at, int64(b.heads[i]), true
}

func (b *bodyRow) encode() []byte {
	f := newRow(48 + 2*len(b.heads))
	f.num(1, b.segment)
	f.num(2, uint64(b.headsAt))
	f.num(3, uint64(b.at))
	f.num(4, uint64(b.size))
	f.nums(5, b.heads)
	f.num(6, uint64(b.sum))
	f.num(7, uint64(b.headSum))
	return f
}

func decodeBody(row []byte) (bodyRow, error) {
	var b bodyRow
	err := eachField(row, func(f field) (err error) {
		switch f.n {
		case 1:
			b.segment = f.u
		case 2:
			b.headsAt = int64(f.u)
		case 3:
			b.at = int64(f.u)
		case 4:
			b.size = int64(f.u)
		case 5:
			b.heads, err = f.nums()
		case 6:
			b.sum = uint32(f.u)
		case 7:
			b.headSum = uint32(f.u)
		}
		return err
	})
	return b, err
}

// encodeNumber and decodeNumber keep a row that is one number.
func encodeNumber(n uint64) []byte {
	f := newRow(11)
	f.num(1, n)
	return f
}

func decodeNumber(row []byte) (uint64, error) {
	var n uint64
	err := eachField(row, func(f field) error {
		if f.n == 1 {
			n = f.u
		}
		return nil
	})
	return n, err
}

// A returning is what a return path of an application's own finds: the one
// delivery that was sent with it, or none where it served several. Rows that
// older versions wrote for several have no count, and stay.
type returning struct {
	delivery event.DeliveryID // 0: several
	count    uint64           // of several: how many are not forgotten; 0: nobody has counted
}

func (r returning) encode() []byte {
	f := newRow(22)
	f.num(1, uint64(r.delivery))
	f.num(2, r.count)
	return f
}

func decodeReturning(row []byte) (r returning, err error) {
	err = eachField(row, func(f field) error {
		switch f.n {
		case 1:
			r.delivery = event.DeliveryID(f.u)
		case 2:
			r.count = f.u
		}
		return nil
	})
	return r, err
}

// and gives the row with one more delivery.
func (r returning) and() returning {
	switch {
	case r.delivery != 0:
		return returning{count: 2}
	case r.count > 0:
		r.count++
	}
	return r
}

// encodeShown and decodeShown keep which bodies sinks show with an event, and
// which delivery the event is about.
func encodeShown(delivery event.DeliveryID, bodies []uint64) []byte {
	f := newRow(28)
	f.nums(1, bodies)
	f.num(2, uint64(delivery))
	return f
}

func decodeShown(row []byte) (delivery event.DeliveryID, bodies []uint64, err error) {
	err = eachField(row, func(f field) (err error) {
		switch f.n {
		case 1:
			bodies, err = f.nums()
		case 2:
			delivery = event.DeliveryID(f.u)
		}
		return err
	})
	return delivery, bodies, err
}

// verify compares octets that were read with the checksums.
func (b *bodyRow) verify(heads, content []byte) error {
	if crc32.Checksum(heads, castagnoli) != b.headSum || crc32.Checksum(content, castagnoli) != b.sum {
		return fmt.Errorf("a body does not match its checksum: %w", ErrDamaged)
	}
	return nil
}
