package bolt

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"homing/event"
	"homing/internal/message"
	"homing/store"
)

func encodeRecipient(r *store.Recipient) []byte {
	f := newRow(256)
	f.num(1, uint64(r.Message))
	f.text(2, r.Address)
	f.text(3, r.ReturnPath)
	f.int(4, r.Head)
	putRef(&f, 5, r.Body)
	f.text(6, r.Key.Domain)
	f.num(7, uint64(r.Key.Lane))
	f.text(8, r.Key.Flow)
	f.num(9, uint64(r.State))
	f.time(10, r.Due)
	f.time(11, r.Expires)
	f.int(12, r.Attempt)
	putOutcome(&f, 13, r.Last)
	f.time(14, r.Ended)
	f.text(15, r.MTA)
	if len(r.Seen) > 0 {
		seen := make(fields, 0, 8*len(r.Seen))
		for _, digest := range r.Seen {
			seen = binary.LittleEndian.AppendUint64(seen, digest)
		}
		f.sub(16, seen)
	}
	f.text(17, r.Notify)
	f.text(18, r.Original)
	f.int(19, r.Deferrals.Soft)
	f.int(20, r.Deferrals.Sender)
	f.int(21, r.Deferrals.None)
	f.text(22, r.Key.Sending)
	return f
}

func decodeRecipient(id event.DeliveryID, row []byte) (store.Recipient, error) {
	r := store.Recipient{ID: id}
	err := eachField(row, func(f field) (err error) {
		switch f.n {
		case 1:
			r.Message = event.MessageID(f.u)
		case 2:
			r.Address = f.text()
		case 3:
			r.ReturnPath = f.text()
		case 4:
			r.Head = f.int()
		case 5:
			r.Body, err = decodeRef(f.b)
		case 6:
			r.Key.Domain = f.text()
		case 7:
			r.Key.Lane = uint8(f.u)
		case 8:
			r.Key.Flow = f.text()
		case 9:
			r.State = store.State(f.u)
		case 10:
			r.Due = f.time()
		case 11:
			r.Expires = f.time()
		case 12:
			r.Attempt = f.int()
		case 13:
			r.Last, err = decodeOutcome(f.b)
		case 14:
			r.Ended = f.time()
		case 15:
			r.MTA = f.text()
		case 16:
			r.Seen, err = decodeSeen(f.b)
		case 17:
			r.Notify = f.text()
		case 18:
			r.Original = f.text()
		case 19:
			r.Deferrals.Soft = f.int()
		case 20:
			r.Deferrals.Sender = f.int()
		case 21:
			r.Deferrals.None = f.int()
		case 22:
			r.Key.Sending = f.text()
		}
		return err
	})
	return r, err
}

func decodeSeen(b []byte) ([]uint64, error) {
	if len(b)%8 != 0 {
		return nil, errRow
	}
	var seen []uint64
	for ; len(b) > 0; b = b[8:] {
		seen = append(seen, binary.LittleEndian.Uint64(b))
	}
	return seen, nil
}

// A waitRow is what bucket waiting keeps of a recipient without an outcome:
// enough to rebuild the due work at a start.
type waitRow struct {
	key          store.Key
	state        store.State
	due, expires int64 // nanoseconds since 1970
}

func waitOf(r *store.Recipient) waitRow {
	return waitRow{key: r.Key, state: r.State, due: nanos(r.Due), expires: nanos(r.Expires)}
}

func (w waitRow) encode() []byte {
	f := newRow(32 + len(w.key.Domain) + len(w.key.Flow) + len(w.key.Sending))
	f.text(1, w.key.Domain)
	f.num(2, uint64(w.key.Lane))
	f.text(3, w.key.Flow)
	f.num(4, uint64(w.state))
	f.time(5, timeOf(w.due))
	f.time(6, timeOf(w.expires))
	f.text(7, w.key.Sending)
	return f
}

func decodeWait(row []byte) (waitRow, error) {
	w := waitRow{due: math.MinInt64, expires: math.MinInt64} // what the zero Time is
	err := eachField(row, func(f field) error {
		switch f.n {
		case 1:
			w.key.Domain = f.text()
		case 2:
			w.key.Lane = uint8(f.u)
		case 3:
			w.key.Flow = f.text()
		case 4:
			w.state = store.State(f.u)
		case 5:
			w.due = int64(f.u)
		case 6:
			w.expires = int64(f.u)
		case 7:
			w.key.Sending = f.text()
		}
		return nil
	})
	return w, err
}

func putRef(f *fields, n protowire.Number, r message.Ref) {
	if r.IsZero() {
		return
	}
	var part fields
	part.num(1, r.Body)
	part.num(2, uint64(r.Head))
	part.num(3, uint64(r.Size))
	f.sub(n, part)
}

func decodeRef(b []byte) (message.Ref, error) {
	var r message.Ref
	err := eachPart(b, func(f field) error {
		switch f.n {
		case 1:
			r.Body = f.u
		case 2:
			r.Head = uint32(f.u)
		case 3:
			r.Size = int64(f.u)
		}
		return nil
	})
	return r, err
}
