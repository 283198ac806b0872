package bolt

import (
	"encoding/json"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"homing/event"
)

func encodeEvent(e *event.Event) []byte {
	f := newRow(384)
	f.text(1, string(e.Type))
	f.time(2, e.Time)
	f.num(3, uint64(e.Message))
	f.text(4, e.Recipient)
	f.text(5, e.Sender)
	f.text(6, e.From)
	f.text(7, e.ReturnPath)
	f.text(8, e.Domain)
	f.text(9, e.Application)
	f.text(10, e.Campaign)
	f.int(11, e.Attempt)
	if e.Sync != nil {
		f.num(12, 1+truth(*e.Sync)) // 0 is "nothing said"
	}
	putOutcome(&f, 13, e.Outcome)
	if e.Hold != nil {
		var part fields
		part.text(1, e.Hold.State)
		if e.Hold.Until != nil {
			part.num(2, 1)
			part.time(3, *e.Hold.Until)
		}
		f.sub(14, part)
	}
	f.text(15, e.Text)
	f.num(16, uint64(e.Delivery))
	putRef(&f, 17, e.Raw)
	putRef(&f, 18, e.Original)
	f.texts(19, e.To)
	f.text(20, e.Notify)
	f.text(21, e.EnvelopeID)
	f.text(22, e.OriginalRecipient)
	f.text(23, e.ReturnContent)
	f.flag(25, e.RequireTLS)
	f.text(26, string(e.Metadata))
	if e.Mail != nil {
		// Nobody looks into it here. JSON has no words for some dates alone,
		// which no mail that was read has.
		if text, err := json.Marshal(e.Mail); err == nil {
			f.text(27, string(text))
		}
	}
	f.text(40, e.OwnFields)
	if e.Basis != nil {
		var part fields
		part.time(1, e.Basis.Accepted)
		part.flag(2, e.Basis.Ours)
		part.flag(3, e.Basis.Smarthost)
		part.flag(4, e.Basis.Related)
		part.flag(5, e.Basis.Offline)
		part.flag(6, e.Basis.Surge)
		f.sub(24, part)
	}
	return f
}

func truth(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func decodeEvent(id event.ID, row []byte) (event.Event, error) {
	e := event.Event{ID: id}
	err := eachField(row, func(f field) error { return decodeEventField(&e, f) })
	return e, err
}

func decodeEventField(e *event.Event, f field) (err error) {
	switch f.n {
	case 1:
		e.Type = event.Type(f.text())
	case 2:
		e.Time = f.time()
	case 3:
		e.Message = event.MessageID(f.u)
	case 4:
		e.Recipient = f.text()
	case 5:
		e.Sender = f.text()
	case 6:
		e.From = f.text()
	case 7:
		e.ReturnPath = f.text()
	case 8:
		e.Domain = f.text()
	case 9:
		e.Application = f.text()
	case 10:
		e.Campaign = f.text()
	case 11:
		e.Attempt = f.int()
	case 12:
		if f.u > 0 {
			e.Sync = new(f.u == 2)
		}
	case 13:
		e.Outcome, err = decodeOutcome(f.b)
	case 14:
		e.Hold, err = decodeHoldState(f.b)
	case 15:
		e.Text = f.text()
	case 26:
		e.Metadata = event.Metadata(f.text())
	default:
		err = decodeEventPrivate(e, f)
	}
	return err
}

// decodeEventPrivate reads what sinks need and applications are not told.
func decodeEventPrivate(e *event.Event, f field) (err error) {
	switch f.n {
	case 16:
		e.Delivery = event.DeliveryID(f.u)
	case 17:
		e.Raw, err = decodeRef(f.b)
	case 18:
		e.Original, err = decodeRef(f.b)
	case 19:
		e.To = append(e.To, f.text())
	case 20:
		e.Notify = f.text()
	case 21:
		e.EnvelopeID = f.text()
	case 22:
		e.OriginalRecipient = f.text()
	case 23:
		e.ReturnContent = f.text()
	case 24:
		e.Basis, err = decodeBasis(f.b)
	case 25:
		e.RequireTLS = f.flag()
	case 27:
		e.Mail = new(event.Mail)
		err = json.Unmarshal(f.b, e.Mail)
	case 40:
		e.OwnFields = f.text()
	}
	return err
}

func decodeBasis(b []byte) (*event.Basis, error) {
	basis := new(event.Basis)
	err := eachPart(b, func(f field) error {
		switch f.n {
		case 1:
			basis.Accepted = f.time()
		case 2:
			basis.Ours = f.flag()
		case 3:
			basis.Smarthost = f.flag()
		case 4:
			basis.Related = f.flag()
		case 5:
			basis.Offline = f.flag()
		case 6:
			basis.Surge = f.flag()
		}
		return nil
	})
	return basis, err
}

func decodeHoldState(b []byte) (*event.HoldState, error) {
	h := new(event.HoldState)
	var until time.Time
	limited := false
	err := eachPart(b, func(f field) error {
		switch f.n {
		case 1:
			h.State = f.text()
		case 2:
			limited = f.flag()
		case 3:
			until = f.time()
		}
		return nil
	})
	if limited {
		h.Until = &until
	}
	return h, err
}

func putOutcome(f *fields, n protowire.Number, o event.Outcome) {
	if o == (event.Outcome{}) {
		return
	}
	part := make(fields, 0, 160)
	part.text(1, o.Stage)
	part.text(2, o.Class)
	part.text(3, o.Reason)
	part.text(4, o.CiviCRM)
	part.int(5, o.Code)
	part.text(6, o.Status)
	part.text(7, o.Diagnostic)
	part.text(8, o.RemoteMTA)
	part.text(9, o.Rule)
	part.text(10, o.Matched)
	part.text(11, o.TLS.Version)
	part.text(12, o.TLS.Cipher)
	part.text(13, o.TLS.Verified)
	f.sub(n, part)
}

func decodeOutcome(b []byte) (event.Outcome, error) {
	var o event.Outcome
	err := eachPart(b, func(f field) error {
		switch f.n {
		case 1:
			o.Stage = f.text()
		case 2:
			o.Class = f.text()
		case 3:
			o.Reason = f.text()
		case 4:
			o.CiviCRM = f.text()
		case 5:
			o.Code = f.int()
		case 6:
			o.Status = f.text()
		case 7:
			o.Diagnostic = f.text()
		case 8:
			o.RemoteMTA = f.text()
		case 9:
			o.Rule = f.text()
		case 10:
			o.Matched = f.text()
		case 11:
			o.TLS.Version = f.text()
		case 12:
			o.TLS.Cipher = f.text()
		case 13:
			o.TLS.Verified = f.text()
		}
		return nil
	})
	return o, err
}
