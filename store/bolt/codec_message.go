package bolt

import (
	"homing/event"
	"homing/store"
)

// A messageRow is a message and what the engine keeps with it.
type messageRow struct {
	store.Message
	key        string             // idempotency key
	body       uint64             // its content
	deliveries []event.DeliveryID // all that it ever had, in order
	left       int                // how many of them are not forgotten
}

func (m *messageRow) encode() []byte {
	f := newRow(160 + len(m.Subject) + 4*len(m.deliveries))
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
	f.text(20, m.key)
	f.num(21, m.body)
	f.nums(22, deltas(m.deliveries))
	f.num(23, uint64(m.left))
	return f
}

func decodeMessage(id event.MessageID, row []byte) (messageRow, error) {
	var m messageRow
	m.ID = id
	err := eachField(row, func(f field) (err error) {
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
		case 20:
			m.key = f.text()
		case 21:
			m.body = f.u
		case 22:
			m.deliveries, err = undeltas(f)
		case 23:
			m.left = int(f.u)
		}
		return err
	})
	return m, err
}

// deltas keeps the distances between numbers that mostly follow each other:
// one octet each. A number below the one before wraps around, and back.
func deltas(ids []event.DeliveryID) []uint64 {
	list := make([]uint64, len(ids))
	var last event.DeliveryID
	for i, id := range ids {
		list[i], last = uint64(id-last), id
	}
	return list
}

func undeltas(f field) ([]event.DeliveryID, error) {
	list, err := f.nums()
	ids := make([]event.DeliveryID, len(list))
	var last event.DeliveryID
	for i, d := range list {
		last += event.DeliveryID(d)
		ids[i] = last
	}
	return ids, err
}
