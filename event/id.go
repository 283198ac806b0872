package event

import (
	"errors"
	"strings"
	"sync"
	"time"
)

// ID, MessageID and DeliveryID number events, messages and deliveries (one
// recipient of one message). All three have 56 bits: milliseconds since 1970
// in the upper 44, a count in the lower 12. They increase, so that old rows
// lie before young ones. As text they are the ten characters that a ULID of
// that millisecond begins with, and three for the count.
type (
	ID         uint64
	MessageID  uint64
	DeliveryID uint64
)

const (
	countBits = 12
	idLength  = 13
	crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)

// ErrID says that a text is no identifier of ours.
var ErrID = errors.New("not an identifier of ours: want 13 characters such as 01KAQ3V5Z8001")

func encode(n uint64) string {
	var b [idLength]byte
	count, ms := n&(1<<countBits-1), n>>countBits
	for i := idLength - 1; i > 9; i-- {
		b[i] = crockford[count&31]
		count >>= 5
	}
	for i := 9; i >= 0; i-- {
		b[i] = crockford[ms&31]
		ms >>= 5
	}
	return string(b[:])
}

func decode(s string) (uint64, error) {
	if len(s) != idLength {
		return 0, ErrID
	}
	var ms, count uint64
	for i, c := range []byte(strings.ToUpper(s)) {
		v := strings.IndexByte(crockford, c)
		if v < 0 {
			return 0, ErrID
		}
		if i < 10 {
			ms = ms<<5 | uint64(v)
		} else {
			count = count<<5 | uint64(v)
		}
	}
	if ms >= 1<<44 || count >= 1<<countBits {
		return 0, ErrID
	}
	return ms<<countBits | count, nil
}

func (id ID) String() string         { return encode(uint64(id)) }
func (id MessageID) String() string  { return encode(uint64(id)) }
func (id DeliveryID) String() string { return encode(uint64(id)) }

// Time is when the identifier was given, to the millisecond.
func (id ID) Time() time.Time { return time.UnixMilli(int64(id >> countBits)) }

// Time is when the identifier was given, to the millisecond.
func (id MessageID) Time() time.Time { return time.UnixMilli(int64(id >> countBits)) }

// Time is when the identifier was given, to the millisecond.
func (id DeliveryID) Time() time.Time { return time.UnixMilli(int64(id >> countBits)) }

// MarshalText gives the same text as String.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText gives the same text as String.
func (id MessageID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText gives the same text as String.
func (id DeliveryID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote; ErrID otherwise.
func (id *ID) UnmarshalText(b []byte) error { return parse((*uint64)(id), b) }

// UnmarshalText reads what MarshalText wrote; ErrID otherwise.
func (id *MessageID) UnmarshalText(b []byte) error { return parse((*uint64)(id), b) }

// UnmarshalText reads what MarshalText wrote; ErrID otherwise.
func (id *DeliveryID) UnmarshalText(b []byte) error { return parse((*uint64)(id), b) }

func parse(to *uint64, b []byte) error {
	n, err := decode(string(b))
	if err == nil {
		*to = n
	}
	return err
}

// FirstID is the smallest ID that can have been given at t.
func FirstID(t time.Time) ID { return ID(uint64(t.UnixMilli()) << countBits) }

// A Sequence gives increasing numbers for one of the three kinds. Its methods
// may be called from many goroutines. The zero Sequence is ready.
type Sequence struct {
	mu   sync.Mutex
	last uint64
}

// Raise makes the Sequence give only numbers above n.
func (s *Sequence) Raise(n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last, n)
}

// Take gives the first of n numbers in a row, all above every number given
// before, also when the clock was set back.
func (s *Sequence) Take(now time.Time, n int) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := max(s.last+1, uint64(now.UnixMilli())<<countBits)
	s.last = first + uint64(n) - 1
	return first
}
