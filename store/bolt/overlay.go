package bolt

import (
	"encoding/binary"
	"slices"
)

// A bucket is a kind of row. The numbers are in the log: never change them.
type bucket byte

const (
	bucketMessage   bucket = iota + 1 // message ID → messageRow
	bucketRecipient                   // delivery ID → store.Recipient
	bucketWaiting                     // delivery ID without an outcome → waitRow
	bucketBody                        // body ID → bodyRow: where it lies
	bucketOwed                        // body ID → how many reasons there are to keep it
	bucketHold                        // canonical address → hold.Record
	bucketAddress                     // canonical address, 0, delivery ID: a person's history
	bucketEvent                       // event ID → event.Event
	bucketShown                       // event ID → bodies that sinks show with it
	bucketReport                      // body ID of a kept report or reply
	bucketCursor                      // name of a sink → event.Cursor
	bucketKey                         // idempotency key → message ID
	bucketMeta                        // the engine's own notes
	bucketReturn                      // canonical return path that an application gave → delivery ID; 0 and how many: of several
	bucketNote                        // space, 0, name → octets
	bucketEnd
)

// bucketNames are the buckets in bbolt.
var bucketNames = [bucketEnd]string{
	bucketMessage: "message", bucketRecipient: "recipient", bucketWaiting: "waiting", bucketBody: "body",
	bucketOwed: "owed", bucketHold: "hold", bucketAddress: "address", bucketEvent: "event", bucketShown: "shown",
	bucketReport: "report", bucketCursor: "cursor", bucketKey: "key", bucketMeta: "meta", bucketReturn: "return",
	bucketNote: "note",
}

// byTime reports whether new keys of a bucket come after all old ones.
func (b bucket) byTime() bool {
	switch b {
	case bucketMessage, bucketRecipient, bucketWaiting, bucketBody, bucketOwed, bucketEvent, bucketShown, bucketReport:
		return true
	}
	return false
}

// present is the value of rows that only have to be there.
func present() []byte { return []byte{rowVersion} }

// key64 and id64 make keys of numbers, in the order of the numbers.
func key64[T ~uint64](id T) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(id))
	return string(b[:])
}

func id64[T ~uint64](key string) T {
	if len(key) != 8 {
		return 0
	}
	return T(binary.BigEndian.Uint64([]byte(key)))
}

// A position is a place in the log: after the frame of this number.
type position struct {
	segment uint64
	offset  int64
	number  uint64
}

// An overlay is what the log knows and bbolt does not yet. A nil value is a
// row that was deleted.
type overlay struct {
	rows   [bucketEnd]map[string][]byte
	events []string // keys of bucketEvent, sorted: readers follow their end
	octets int
	upTo   position // of the last frame in it
}

func newOverlay() *overlay {
	o := new(overlay)
	for b := range o.rows {
		o.rows[b] = map[string][]byte{}
	}
	return o
}

func (o *overlay) empty() bool { return o.octets == 0 }

const rowOverhead = 64 // octets that a map entry costs, roughly

func (o *overlay) apply(p op) {
	if _, known := o.rows[p.bucket][p.key]; !known && p.bucket == bucketEvent {
		// New events come last; only what is forgotten lies before.
		at, _ := slices.BinarySearch(o.events, p.key)
		o.events = slices.Insert(o.events, at, p.key)
	}
	o.rows[p.bucket][p.key] = p.value
	o.octets += len(p.key) + len(p.value) + rowOverhead
}

// get says whether the overlay knows the row; value is nil when it is gone.
func (o *overlay) get(b bucket, key string) (value []byte, known bool) {
	if o == nil {
		return nil, false
	}
	value, known = o.rows[b][key]
	return value, known
}

// A span is a range of keys: from first on, up to but without end. An empty
// end is no end.
type span struct{ first, end string }

func (s span) holds(key string) bool { return key >= s.first && (s.end == "" || key < s.end) }

// within gives the rows of a span, sorted. Of many events it gives only the
// first; rest is then where the others begin.
func (o *overlay) within(b bucket, s span) (list []op, rest string) {
	switch {
	case o == nil || len(o.rows[b]) == 0:
		return nil, ""
	case b == bucketEvent:
		return o.eventsWithin(s)
	}
	for key, value := range o.rows[b] {
		if s.holds(key) {
			list = append(list, op{b, key, value})
		}
	}
	sortOps(list)
	return list, ""
}

// maxTail is how many events of an overlay one look takes.
const maxTail = 1024

func (o *overlay) eventsWithin(s span) (list []op, rest string) {
	at, _ := slices.BinarySearch(o.events, s.first)
	for i, key := range o.events[at:] {
		if !s.holds(key) {
			break
		}
		if i == maxTail {
			return list, key
		}
		list = append(list, op{bucketEvent, key, o.rows[bucketEvent][key]})
	}
	return list, ""
}

func sortOps(list []op) {
	slices.SortFunc(list, func(a, b op) int {
		switch {
		case a.key < b.key:
			return -1
		case a.key > b.key:
			return 1
		}
		return 0
	})
}
