package bolt

import (
	"errors"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// A row is a version octet and fields with tags (the wire format of protocol
// buffers). A reader skips tags that it does not know and zero values are left
// out, so fields can be added. The version rises only when old readers must
// not touch new rows. Tags are on disk: never use one again.
const rowVersion = 1

// Errors of the row decoders.
var (
	errRow      = errors.New("bolt: a row cannot be read; stop the server and run `homing doctor`")
	errNewerRow = errors.New("bolt: a row was written by a newer version of homing; run that version or a newer one")
)

// fields encodes.
type fields []byte

func newRow(room int) fields { return append(make(fields, 0, room), rowVersion) }

func (f *fields) text(n protowire.Number, s string) {
	if s != "" {
		*f = protowire.AppendString(protowire.AppendTag(*f, n, protowire.BytesType), s)
	}
}

// texts keeps empty members: they have a meaning in a list.
func (f *fields) texts(n protowire.Number, list []string) {
	for _, s := range list {
		*f = protowire.AppendString(protowire.AppendTag(*f, n, protowire.BytesType), s)
	}
}

func (f *fields) num(n protowire.Number, v uint64) {
	if v != 0 {
		*f = protowire.AppendVarint(protowire.AppendTag(*f, n, protowire.VarintType), v)
	}
}

func (f *fields) int(n protowire.Number, v int) { f.num(n, protowire.EncodeZigZag(int64(v))) }

func (f *fields) flag(n protowire.Number, v bool) {
	if v {
		f.num(n, 1)
	}
}

// time keeps nanoseconds since 1970; what they cannot express (before 1678,
// after 2262) becomes the nearest that they can.
func (f *fields) time(n protowire.Number, t time.Time) {
	if t.IsZero() {
		return
	}
	*f = protowire.AppendFixed64(protowire.AppendTag(*f, n, protowire.Fixed64Type), uint64(nanos(t)))
}

// sub adds a group of fields; it is there even when it is empty.
func (f *fields) sub(n protowire.Number, part fields) {
	*f = protowire.AppendBytes(protowire.AppendTag(*f, n, protowire.BytesType), part)
}

// nums keeps a list of numbers, packed.
func (f *fields) nums(n protowire.Number, list []uint64) {
	if len(list) == 0 {
		return
	}
	size := 0
	for _, v := range list {
		size += protowire.SizeVarint(v)
	}
	*f = protowire.AppendVarint(protowire.AppendTag(*f, n, protowire.BytesType), uint64(size))
	for _, v := range list {
		*f = protowire.AppendVarint(*f, v)
	}
}

// A field is what a decoder gets: u for numbers and times, b for the rest.
type field struct {
	n protowire.Number
	u uint64
	b []byte
}

func (f field) text() string { return string(f.b) }
func (f field) int() int     { return int(protowire.DecodeZigZag(f.u)) }
func (f field) flag() bool   { return f.u != 0 }

func (f field) time() time.Time { return time.Unix(0, int64(f.u)).UTC() }

func (f field) nums() ([]uint64, error) {
	var list []uint64
	for b := f.b; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return nil, errRow
		}
		list, b = append(list, v), b[n:]
	}
	return list, nil
}

// eachField gives the fields of a row to do.
func eachField(row []byte, do func(field) error) error {
	if len(row) == 0 {
		return errRow
	}
	if row[0] > rowVersion {
		return errNewerRow
	}
	return eachPart(row[1:], do)
}

// eachPart gives the fields of a group within a row to do. Times must come as
// fixed64 and numbers as varint: both arrive in u.
func eachPart(b []byte, do func(field) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errRow
		}
		b = b[n:]
		f := field{n: num}
		switch typ {
		case protowire.VarintType:
			f.u, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			f.u, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			f.b, n = protowire.ConsumeBytes(b)
		default: // of a later format: nothing of ours
			f.n, n = 0, protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return errRow
		}
		if f.n != 0 {
			if err := do(f); err != nil {
				return err
			}
		}
		b = b[n:]
	}
	return nil
}

// The earliest and the latest time that nanoseconds since 1970 express.
var earliest, latest = time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64)

// nanos is t in nanoseconds since 1970, cut to what they can express. The
// zero Time is the earliest of all.
func nanos(t time.Time) int64 {
	switch {
	case t.Before(earliest):
		return math.MinInt64
	case t.After(latest):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// timeOf is the inverse of nanos.
func timeOf(n int64) time.Time {
	if n == math.MinInt64 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
