package bolt

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"homing/event"
	"homing/hold"
	"homing/internal/message"
	"homing/internal/parsedmail"
	"homing/store"
)

var moment = time.Date(2026, 11, 23, 10, 0, 0, 123456789, time.UTC)

func fullRecipient() store.Recipient {
	return store.Recipient{
		ID: 9, Message: 8, Address: "ann@example.net", ReturnPath: "r@bounce.example.org", Head: 3,
		Body: message.Ref{Body: 1, Head: 3, Size: 5}, Key: store.Key{Domain: "example.net", Lane: 2, Flow: "crm/a"}, State: store.Paused,
		Due: moment, Expires: moment.Add(time.Hour), Attempt: 4, Deferrals: store.Deferrals{Soft: 2, Sender: 1, None: 300}, Last: event.Outcome{Stage: "rcpt", Code: 550}, Ended: moment.Add(time.Minute),
		MTA: "mx", Seen: []uint64{0, 1, math.MaxUint64}, Notify: "NEVER", Original: "rfc822;ann",
	}
}

func fullMessage() messageRow {
	return messageRow{Message: store.Message{
		ID: 8, Accepted: moment, Application: "crm", Domain: "example.org", Sender: "s", From: "f", FromName: "F", Campaign: "c", HeaderID: "<1@x>",
		Subject: "Subject", Bulk: true, EightBit: true, UTF8: true, EnvelopeID: "env", ReturnContent: "FULL", RequireTLS: true, TLSOptional: true,
		SendAt: moment.Add(time.Hour), Metadata: `{"order":"4711"}`,
	}, key: "k", body: 7, deliveries: deliveryListOf([]event.DeliveryID{9, 10, 11, 5, 1 << 55}), left: 4}
}

func TestRowsComeBackAsTheyWere(t *testing.T) {
	r, m := fullRecipient(), fullMessage()
	b := bodyRow{segment: 3, headsAt: 64, at: 100, size: 50, heads: []uint64{10, 0, 26}, sum: 1, headSum: math.MaxUint32}
	w := waitOf(&r)
	c := event.Cursor{Seen: 5, Parked: []event.Parked{{Event: 1, Delivery: 2, Tries: 3, Since: moment, Next: moment}, {}}, Failing: moment, Paused: true}
	p := position{1, 2, 3}
	gotR, errR := decodeRecipient(r.ID, encodeRecipient(&r))
	gotM, errM := decodeMessage(m.ID, m.encode())
	gotB, errB := decodeBody(b.encode())
	gotW, errW := decodeWait(w.encode())
	gotC, errC := decodeCursor(encodeCursor(c))
	gotP, errP := decodePosition(encodePosition(p))
	for _, tt := range []struct {
		name      string
		got, want any
		err       error
	}{
		{"recipient", gotR, r, errR}, {"message", gotM, m, errM}, {"body", gotB, b, errB},
		{"waiting", gotW, w, errW}, {"cursor", gotC, c, errC}, {"position", gotP, p, errP},
	} {
		exported := cmp.AllowUnexported(messageRow{}, bodyRow{}, waitRow{}, position{})
		if diff := cmp.Diff(tt.want, tt.got, exported); diff != "" || tt.err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, tt.err, diff)
		}
	}
}

func TestTimesKeepNanosecondsAndZero(t *testing.T) {
	for _, want := range []time.Time{{}, moment, time.Unix(0, 0).UTC(), time.Unix(0, -1).UTC(), time.Date(1700, 1, 1, 0, 0, 0, 1, time.UTC)} {
		r := store.Recipient{Due: want}
		got, err := decodeRecipient(0, encodeRecipient(&r))
		if err != nil || !got.Due.Equal(want) || got.Due.IsZero() != want.IsZero() {
			t.Errorf("got %v, %v, want %v", got.Due, err, want)
		}
	}
	for _, n := range []int64{math.MinInt64 + 1, math.MinInt64 + 1e9, math.MaxInt64 - 1e9, math.MaxInt64} {
		if got := nanos(timeOf(n)); got != n {
			t.Errorf("%d nanoseconds became %d", n, got)
		}
	}
	far := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	if got := timeOf(nanos(far)); got.Year() != 2262 {
		t.Errorf("a time that nanoseconds cannot express became %v, want one in 2262", got)
	}
}

func TestRowsWithUnknownFieldsAreReadAndNewerVersionsRefused(t *testing.T) {
	r := fullRecipient()
	row := fields(encodeRecipient(&r))
	row.text(900, "of a later version")
	row.num(901, 7)
	got, err := decodeRecipient(r.ID, row)
	if diff := cmp.Diff(r, got); diff != "" || err != nil {
		t.Errorf("with unknown fields: %v (-want +got):\n%s", err, diff)
	}
	row[0] = rowVersion + 1
	if _, err := decodeRecipient(r.ID, row); err != errNewerRow {
		t.Errorf("a newer version gave %v, want %v", err, errNewerRow)
	}
}

func TestAnEventOfAVersionThatKeptNoBasisHasNone(t *testing.T) {
	old := event.Event{Type: event.Bounced, Time: moment, Outcome: event.Outcome{Class: "hard"}}
	got, err := decodeEvent(0, encodeEvent(&old))
	if diff := cmp.Diff(old, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// rowCodecs decode a row and encode what they understood.
func rowCodecs() map[string]func(row []byte) ([]byte, error) {
	return map[string]func([]byte) ([]byte, error){
		"message":   func(b []byte) ([]byte, error) { m, err := decodeMessage(1, b); return m.encode(), err },
		"recipient": func(b []byte) ([]byte, error) { r, err := decodeRecipient(1, b); return encodeRecipient(&r), err },
		"waiting":   func(b []byte) ([]byte, error) { w, err := decodeWait(b); return w.encode(), err },
		"event":     func(b []byte) ([]byte, error) { e, err := decodeEvent(1, b); return encodeEvent(&e), err },
		"hold":      func(b []byte) ([]byte, error) { h, err := decodeHold(b); return encodeHold(&h), err },
		"body":      func(b []byte) ([]byte, error) { r, err := decodeBody(b); return r.encode(), err },
		"cursor":    func(b []byte) ([]byte, error) { c, err := decodeCursor(b); return encodeCursor(c), err },
		"position":  func(b []byte) ([]byte, error) { p, err := decodePosition(b); return encodePosition(p), err },
		"shown":     func(b []byte) ([]byte, error) { d, ids, err := decodeShown(b); return encodeShown(d, ids), err },
		"receipt":   func(b []byte) ([]byte, error) { id, r, err := decodeReceipt(b); return encodeReceipt(id, r), err },
		"returning": func(b []byte) ([]byte, error) { r, err := decodeReturning(b); return r.encode(), err },
		"number":    func(b []byte) ([]byte, error) { n, err := decodeNumber(b); return encodeNumber(n), err },
	}
}

// FuzzRows states the promises of the row decoders about any input: they do
// not panic, and what they understood they would write and read again as the
// same.
func FuzzRows(f *testing.F) {
	r, m := fullRecipient(), fullMessage()
	until := moment
	e := event.Event{Type: event.Held, Metadata: `{"a":"b"}`, Sync: new(true), Hold: &event.HoldState{State: "held", Until: &until}, To: []string{"", "a"}, Basis: &event.Basis{Accepted: moment, Related: true}, Mail: &event.Mail{Mail: parsedmail.Mail{Date: moment}, Reviewed: true}}
	h := hold.Record{Address: "a@example.net", Scopes: []hold.Scope{{Holds: []hold.Hold{{Marks: []hold.Mark{{Code: 5}}}}}}}
	b := bodyRow{segment: 1, heads: []uint64{1, 2}}
	for _, row := range [][]byte{
		encodeRecipient(&r), m.encode(), encodeEvent(&e), encodeHold(&h), b.encode(), {rowVersion}, {},
		encodeCursor(event.Cursor{Parked: []event.Parked{{Tries: -1}}}), encodeShown(3, []uint64{1, 2}),
	} {
		f.Add(row)
	}
	f.Fuzz(func(t *testing.T, row []byte) {
		for name, again := range rowCodecs() {
			once, err := again(row)
			if err != nil {
				continue
			}
			twice, err := again(once)
			if err != nil || !bytes.Equal(once, twice) {
				t.Errorf("%s: %x became %x, then %x, %v", name, row, once, twice, err)
			}
		}
	})
}

func exampleFrame(number, salt uint64) []byte {
	var w frameWriter
	w.reset()
	w.blob([]byte("head"), []byte("body"))
	w.put(bucketHold, "ann@example.net", []byte{rowVersion, 1, 2, 3})
	w.put(bucketAddress, "a\x00b", []byte{})
	w.del(bucketKey, "gone")
	return bytes.Clone(w.seal(number, salt))
}

func TestFramesComeBackAsTheyWere(t *testing.T) {
	b := exampleFrame(7, 99)
	f, err := decodeFrame(b, 99)
	if err != nil || f.number != 7 || len(b)%frameAlign != 0 {
		t.Fatalf("got frame %d, %v of %d octets", f.number, err, len(b))
	}
	var got []op
	if err := f.each(func(o op) error { got = append(got, o); return nil }); err != nil {
		t.Fatal(err)
	}
	want := []op{{bucketHold, "ann@example.net", []byte{rowVersion, 1, 2, 3}}, {bucketAddress, "a\x00b", []byte{}}, {bucketKey, "gone", nil}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(op{})); diff != "" {
		t.Errorf("operations differ (-want +got):\n%s", diff)
	}
	if got[1].value == nil {
		t.Error("an empty value came back as a delete")
	}
	if string(b[frameBodies:frameBodies+8]) != "headbody" {
		t.Errorf("the bodies are %q", b[frameBodies:frameBodies+8])
	}
}

func TestEveryChangedOctetOfAFrameIsSeen(t *testing.T) {
	b := exampleFrame(7, 99)
	end := len(bytes.TrimRight(b, "\x00"))
	for i := range end {
		for _, bit := range []byte{1, 0x80, 0xff} {
			b[i] ^= bit
			if _, err := decodeFrame(b, 99); err == nil {
				t.Errorf("octet %d changed by %#x: the frame is taken", i, bit)
			}
			b[i] ^= bit
		}
	}
	for n := range end {
		if _, err := decodeFrame(b[:n], 99); err == nil {
			t.Errorf("cut to %d octets: the frame is taken", n)
		}
	}
	if _, err := decodeFrame(b, 98); err == nil {
		t.Error("a frame with the salt of another segment is taken")
	}
}

// FuzzFrame states the promises of the frame reader about any input: it does
// not panic, and the operations of what it takes for a frame are those that a
// writer would be given to write it.
func FuzzFrame(f *testing.F) {
	f.Add(exampleFrame(1, 5), uint64(5))
	f.Add(exampleFrame(1, 0), uint64(0))
	f.Add(make([]byte, 64), uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, salt uint64) {
		got, err := decodeFrame(b, salt)
		if err != nil {
			return
		}
		var w frameWriter
		w.reset()
		err = got.each(func(o op) error {
			if o.value == nil {
				w.del(o.bucket, o.key)
			} else {
				w.put(o.bucket, o.key, o.value)
			}
			return nil
		})
		if err != nil {
			return
		}
		var again []op
		twin, err := decodeFrame(w.seal(got.number, salt), salt)
		if err == nil {
			err = twin.each(func(o op) error { again = append(again, o); return nil })
		}
		var want []op
		if e := got.each(func(o op) error { want = append(want, o); return nil }); e != nil {
			t.Fatal(e)
		}
		if diff := cmp.Diff(want, again, cmp.AllowUnexported(op{}), cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
}

// resum gives a segment header the checksum that belongs to it.
func resum(h []byte) []byte {
	binary.LittleEndian.PutUint32(h[60:], crc32.Checksum(h[:60], castagnoli))
	return h
}
