package bolt

import "homing/hold"

func encodeHold(r *hold.Record) []byte {
	f := newRow(256)
	f.text(1, r.Address)
	for i := range r.Scopes {
		f.sub(2, encodeScope(&r.Scopes[i]))
	}
	return f
}

func encodeScope(s *hold.Scope) fields {
	var f fields
	f.text(1, s.Application)
	f.time(2, s.Epoch)
	for i := range s.Holds {
		h := &s.Holds[i]
		var part fields
		part.time(1, h.Since)
		part.time(2, h.Until)
		part.text(3, h.Domain)
		part.text(4, h.By)
		part.text(5, h.Reason)
		part.text(6, h.Rule)
		for j := range h.Marks {
			part.sub(7, encodeMark(&h.Marks[j]))
		}
		f.sub(3, part)
	}
	for i := range s.Marks {
		f.sub(4, encodeMark(&s.Marks[i]))
	}
	f.time(5, s.Delivered)
	return f
}

func encodeMark(m *hold.Mark) fields {
	var f fields
	f.time(1, m.Time)
	f.num(2, m.Message)
	f.num(3, m.Delivery)
	f.text(4, m.Class)
	f.text(5, m.Reason)
	f.text(6, m.CiviCRM)
	f.flag(7, m.Sync)
	f.flag(8, m.Related)
	f.int(9, m.Code)
	f.text(10, m.Status)
	f.text(11, m.Diagnostic)
	f.text(12, m.RemoteMTA)
	f.text(13, m.Rule)
	f.text(14, m.Matched)
	return f
}

func decodeHold(row []byte) (hold.Record, error) {
	var r hold.Record
	err := eachField(row, func(f field) error {
		switch f.n {
		case 1:
			r.Address = f.text()
		case 2:
			s, err := decodeScope(f.b)
			r.Scopes = append(r.Scopes, s)
			return err
		}
		return nil
	})
	return r, err
}

func decodeScope(b []byte) (hold.Scope, error) {
	var s hold.Scope
	err := eachPart(b, func(f field) error {
		switch f.n {
		case 1:
			s.Application = f.text()
		case 2:
			s.Epoch = f.time()
		case 3:
			h, err := decodeOneHold(f.b)
			s.Holds = append(s.Holds, h)
			return err
		case 4:
			m, err := decodeMark(f.b)
			s.Marks = append(s.Marks, m)
			return err
		case 5:
			s.Delivered = f.time()
		}
		return nil
	})
	return s, err
}

func decodeOneHold(b []byte) (hold.Hold, error) {
	var h hold.Hold
	err := eachPart(b, func(f field) error {
		switch f.n {
		case 1:
			h.Since = f.time()
		case 2:
			h.Until = f.time()
		case 3:
			h.Domain = f.text()
		case 4:
			h.By = f.text()
		case 5:
			h.Reason = f.text()
		case 6:
			h.Rule = f.text()
		case 7:
			m, err := decodeMark(f.b)
			h.Marks = append(h.Marks, m)
			return err
		}
		return nil
	})
	return h, err
}

func decodeMark(b []byte) (hold.Mark, error) {
	var m hold.Mark
	err := eachPart(b, func(f field) error {
		switch f.n {
		case 1:
			m.Time = f.time()
		case 2:
			m.Message = f.u
		case 3:
			m.Delivery = f.u
		case 4:
			m.Class = f.text()
		case 5:
			m.Reason = f.text()
		case 6:
			m.CiviCRM = f.text()
		case 7:
			m.Sync = f.flag()
		case 8:
			m.Related = f.flag()
		case 9:
			m.Code = f.int()
		case 10:
			m.Status = f.text()
		case 11:
			m.Diagnostic = f.text()
		case 12:
			m.RemoteMTA = f.text()
		case 13:
			m.Rule = f.text()
		case 14:
			m.Matched = f.text()
		}
		return nil
	})
	return m, err
}
