package bolt

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"

	"homing/event"
	"homing/store"
)

// A messageRow is a message and what the engine keeps with it.
type messageRow struct {
	store.Message
	key        string       // idempotency key
	body       uint64       // its content
	deliveries deliveryList // all that it ever had, in order
	left       int          // how many of them are not forgotten
}

// A deliveryList is numbers as a row has them: packed distances, mostly one
// octet each. There may be a thousand, and whoever looks at one recipient of a
// message does not ask for the others.
type deliveryList []byte

func (m *messageRow) encode() []byte {
	f := newRow(160 + len(m.Subject) + len(m.deliveries))
	f.time(1, m.Accepted)
	f.text(2, m.Application)
	f.text(3, m.Domain)
	f.text(4, m.Sender)
	f.text(5, m.From)
	f.text(6, m.Campaign)
	f.text(7, m.HeaderID)
	f.text(8, m.Subject)
	f.flag(9, m.Bulk)
	f.flag(10, m.EightBit)
	f.flag(11, m.UTF8)
	f.text(12, m.EnvelopeID)
	f.text(13, m.ReturnContent)
	f.flag(14, m.RequireTLS)
	f.flag(15, m.TLSOptional)
	f.time(16, m.SendAt)
	f.text(17, string(m.Metadata))
	f.text(18, m.FromName)
	f.text(20, m.key)
	f.num(21, m.body)
	if len(m.deliveries) > 0 {
		f.sub(22, fields(m.deliveries))
	}
	f.num(23, uint64(m.left))
	f.text(40, m.OwnFields)
	return f
}

func decodeMessage(id event.MessageID, row []byte) (messageRow, error) {
	var m messageRow
	m.ID = id
	err := eachField(row, func(f field) error {
		switch f.n {
		case 1:
			m.Accepted = f.time()
		case 2:
			m.Application = f.text()
		case 3:
			m.Domain = f.text()
		case 4:
			m.Sender = f.text()
		case 5:
			m.From = f.text()
		case 6:
			m.Campaign = f.text()
		case 7:
			m.HeaderID = f.text()
		case 8:
			m.Subject = f.text()
		case 9:
			m.Bulk = f.flag()
		case 10:
			m.EightBit = f.flag()
		case 11:
			m.UTF8 = f.flag()
		case 12:
			m.EnvelopeID = f.text()
		case 13:
			m.ReturnContent = f.text()
		case 14:
			m.RequireTLS = f.flag()
		case 15:
			m.TLSOptional = f.flag()
		case 16:
			m.SendAt = f.time()
		case 17:
			m.Metadata = event.Metadata(f.text())
		case 18:
			m.FromName = f.text()
		case 20:
			m.key = f.text()
		case 21:
			m.body = f.u
		case 22:
			if n := len(f.b); n > 0 && f.b[n-1] >= 0x80 {
				return errRow
			}
			m.deliveries = bytes.Clone(f.b) // the row is the view's
		case 23:
			m.left = int(f.u)
		case 40:
			m.OwnFields = f.text()
		}
		return nil
	})
	return m, err
}

// deliveryListOf keeps the distances between numbers that mostly follow each
// other. A number below the one before wraps around, and back.
func deliveryListOf(ids []event.DeliveryID) deliveryList {
	list := make(deliveryList, 0, len(ids)+8)
	var last event.DeliveryID
	for _, id := range ids {
		list, last = protowire.AppendVarint(list, uint64(id-last)), id
	}
	return list
}

// ids is the inverse of deliveryListOf.
func (l deliveryList) ids() ([]event.DeliveryID, error) {
	ids := make([]event.DeliveryID, 0, l.len())
	var last event.DeliveryID
	for b := l; len(b) > 0; {
		d, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return nil, errRow
		}
		last += event.DeliveryID(d)
		ids, b = append(ids, last), b[n:]
	}
	return ids, nil
}

// len counts the numbers: the last octet of each has its high bit clear.
func (l deliveryList) len() (n int) {
	for _, b := range l {
		if b < 0x80 {
			n++
		}
	}
	return n
}

// encodeReceipt and decodeReceipt keep what an idempotency key stands for: the
// number is that of encodeNumber, so that older versions read it.
func encodeReceipt(id event.MessageID, receipt []byte) []byte {
	f := newRow(16 + len(receipt))
	f.num(1, uint64(id))
	f.text(2, string(receipt))
	return f
}

func decodeReceipt(row []byte) (id event.MessageID, receipt []byte, err error) {
	err = eachField(row, func(f field) error {
		switch f.n {
		case 1:
			id = event.MessageID(f.u)
		case 2:
			receipt = bytes.Clone(f.b) // the row is the view's
		}
		return nil
	})
	return id, receipt, err
}
