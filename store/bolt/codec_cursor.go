package bolt

import "homing/event"

func encodeCursor(c event.Cursor) []byte {
	f := newRow(16 + 32*len(c.Parked))
	f.num(1, uint64(c.Seen))
	f.time(3, c.Failing)
	f.flag(4, c.Paused)
	for _, p := range c.Parked {
		var part fields
		part.num(1, uint64(p.Event))
		part.num(2, uint64(p.Delivery))
		part.int(3, p.Tries)
		part.time(4, p.Next)
		part.time(5, p.Since)
		f.sub(2, part)
	}
	return f
}

func decodeCursor(row []byte) (event.Cursor, error) {
	var c event.Cursor
	err := eachField(row, func(f field) error {
		switch f.n {
		case 1:
			c.Seen = event.ID(f.u)
		case 2:
			p, err := decodeParked(f.b)
			c.Parked = append(c.Parked, p)
			return err
		case 3:
			c.Failing = f.time()
		case 4:
			c.Paused = f.flag()
		}
		return nil
	})
	return c, err
}

func decodeParked(b []byte) (event.Parked, error) {
	var p event.Parked
	err := eachPart(b, func(f field) error {
		switch f.n {
		case 1:
			p.Event = event.ID(f.u)
		case 2:
			p.Delivery = event.DeliveryID(f.u)
		case 3:
			p.Tries = f.int()
		case 4:
			p.Next = f.time()
		case 5:
			p.Since = f.time()
		}
		return nil
	})
	return p, err
}
