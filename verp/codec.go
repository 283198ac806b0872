// Package verp makes and reads signed return addresses (VERP: variable
// envelope return paths), and recognises those that applications make
// themselves. It is pure: no I/O, and no state but the keys.
package verp

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync"
	"time"
)

// TagLength is the number of characters of a tag: 155 bits in base32
// (RFC 4648 section 6), lower case, without padding.
const TagLength = 31

// UnsubscribeAge is how long an unsubscribe link stays valid. It is longer
// than Options.MaxAge, because people find old newsletters.
const UnsubscribeAge = 400 * 24 * time.Hour

// Errors of Decode. All three are permanent: whoever uses the address can do
// nothing about them, so a server answers 550 5.1.1 to each.
var (
	ErrNotVERP = errors.New("verp: not in the form of our tags")
	ErrForged  = errors.New("verp: the signature does not match")
	ErrExpired = errors.New("verp: the tag is too old, or from the future")
)

// ErrRange says that Encode was given what no tag can carry: a delivery of
// more than 56 bits, a time before 2020 or after 2109 (a clock that was never
// set), or a domain of more than 255 octets.
var ErrRange = errors.New("verp: out of the range of a tag")

// A Purpose is what a tag is good for. A tag made for one purpose is forged
// for any other.
type Purpose byte

// The purposes.
const (
	Return      Purpose = 'r' // the envelope sender: what comes back counts
	Unsubscribe Purpose = 'u' // the link and the address of List-Unsubscribe
	Trial       Purpose = 't' // our own mail, by which the way back is tried
)

// A Key signs tags. Its ID travels in the tag, so that old tags still verify
// after a new key began to sign.
type Key struct {
	ID     uint8  // 0 to 15, not shared with another key
	Secret []byte // at least 16 octets; 32 random ones are best
}

// Options say how a Codec works.
type Options struct {
	Keys   []Key            // the first signs; all verify
	MaxAge time.Duration    // how long a tag is valid after its day; 0 means for ever
	Now    func() time.Time // the clock; nil means time.Now
}

// A Tag is what a genuine tag says.
type Tag struct {
	Delivery uint64    // 56 bits
	Sent     time.Time // the beginning of the day on which it was made, UTC
}

// A Codec turns Tags into text and back. Its methods may be called from many
// goroutines.
type Codec struct {
	keys   []Key
	seals  []cipher.AEAD // of links, one for each key
	byID   [16]int8      // index into keys; -1: no such key
	maxAge time.Duration
	now    func() time.Time
	pool   sync.Pool // of *signer
}

// New makes a Codec. Its error names the key that cannot be used.
func New(o Options) (*Codec, error) {
	c := &Codec{keys: o.Keys, maxAge: o.MaxAge, now: o.Now}
	if c.now == nil {
		c.now = time.Now
	}
	if len(c.keys) == 0 {
		return nil, errors.New("verp: no key to sign with")
	}
	for i := range c.byID {
		c.byID[i] = -1
	}
	for i, k := range c.keys {
		switch {
		case int(k.ID) >= len(c.byID):
			return nil, fmt.Errorf("verp: key id %d is not between 0 and 15", k.ID)
		case c.byID[k.ID] >= 0:
			return nil, fmt.Errorf("verp: two keys have the id %d", k.ID)
		case len(k.Secret) < 16:
			return nil, fmt.Errorf("verp: key %d has %d octets, want at least 16", k.ID, len(k.Secret))
		}
		c.byID[k.ID] = int8(i)
		seal, err := sealing(k)
		if err != nil {
			return nil, err
		}
		c.seals = append(c.seals, seal)
	}
	c.pool.New = func() any { return newSigner(c.keys) }
	return c, nil
}

// Encode makes the tag of a delivery for an address or link in domain (ASCII,
// letter case ignored). sent counts by its day in UTC. The only error is
// ErrRange.
func (c *Codec) Encode(domain string, p Purpose, delivery uint64, sent time.Time) (string, error) {
	day := dayOf(sent)
	if delivery >= 1<<deliveryBits || day < 0 || day >= 1<<dayBits || len(domain) > maxDomain {
		return "", ErrRange
	}
	s := c.pool.Get().(*signer)
	defer c.pool.Put(s)
	b := bits{key: c.keys[0].ID, delivery: delivery, day: uint16(day)}
	b.mac = s.sign(0, b, p, domain)
	return b.text(), nil
}

// Decode is the inverse of Encode. Letter case is ignored, because relays
// change it; apart from that there is one spelling of each tag. It returns
// ErrNotVERP, ErrForged or ErrExpired, and takes the same time for everything
// that has the form of a tag.
func (c *Codec) Decode(domain string, p Purpose, tag string) (Tag, error) {
	b, ok := parse(tag)
	if !ok || len(domain) > maxDomain {
		return Tag{}, ErrNotVERP
	}
	// An unknown key costs the same time as a known one.
	i, known := int(c.byID[b.key]), 1
	if i < 0 {
		i, known = 0, 0
	}
	s := c.pool.Get().(*signer)
	mac := s.sign(i, b, p, domain)
	c.pool.Put(s)
	if subtle.ConstantTimeCompare(mac[:], b.mac[:])&known != 1 {
		return Tag{}, ErrForged
	}
	t := Tag{Delivery: b.delivery, Sent: epoch.AddDate(0, 0, int(b.day))}
	if !c.valid(p, t.Sent) {
		return Tag{}, ErrExpired
	}
	return t, nil
}

// valid reports whether a tag of that day may still be used. A day of the
// future is forgiven where clocks of two machines disagree by less than one.
func (c *Codec) valid(p Purpose, day time.Time) bool {
	const oneDay = 24 * time.Hour
	age, limit := c.now().Sub(day), c.maxAge
	if p == Unsubscribe {
		limit = UnsubscribeAge
	}
	// The tag may have been made in the last second of its day.
	return age >= -oneDay && (limit == 0 || age < oneDay+limit)
}

const (
	deliveryBits = 56
	dayBits      = 15
	maxDomain    = 255 // RFC 1035 section 2.3.4
	macOctets    = 10
)

// epoch is day 0.
var epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// dayOf counts the days since the epoch; it is negative before it.
func dayOf(t time.Time) int64 {
	seconds := t.Unix() - epoch.Unix()
	if seconds < 0 {
		return -1
	}
	return seconds / 86400
}

// bits are the fields of a tag: 4, 56, 15 and 80 bits, in this order.
type bits struct {
	key      uint8
	delivery uint64
	day      uint16
	mac      [macOctets]byte
}

// text writes the 155 bits and drops the character of five zero bits that
// fills them up to whole octets.
func (b bits) text() string {
	high, low := binary.BigEndian.Uint64(b.mac[:8]), binary.BigEndian.Uint16(b.mac[8:])
	var raw [20]byte
	binary.BigEndian.PutUint64(raw[:], uint64(b.key)<<60|b.delivery<<4|uint64(b.day)>>11)
	binary.BigEndian.PutUint64(raw[8:], uint64(b.day)<<53|high>>11)
	binary.BigEndian.PutUint32(raw[16:], uint32(high)<<21|uint32(low)<<5)
	var text [TagLength + 1]byte
	encoding.Encode(text[:], raw[:])
	return string(text[:TagLength])
}

// parse is the inverse of text in any letter case.
func parse(tag string) (b bits, ok bool) {
	if len(tag) != TagLength {
		return bits{}, false
	}
	var text [TagLength + 1]byte
	for i := range TagLength {
		c := lower(tag[i])
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return bits{}, false
		}
		text[i] = c
	}
	text[TagLength] = 'a' // five zero bits
	var raw [20]byte
	if n, err := encoding.Decode(raw[:], text[:]); err != nil || n != len(raw) {
		return bits{}, false
	}
	first, second := binary.BigEndian.Uint64(raw[:]), binary.BigEndian.Uint64(raw[8:])
	third := binary.BigEndian.Uint32(raw[16:])
	b.key = uint8(first >> 60)
	b.delivery = first >> 4 & (1<<deliveryBits - 1)
	b.day = uint16(first&15)<<11 | uint16(second>>53)
	binary.BigEndian.PutUint64(b.mac[:], second<<11|uint64(third>>21))
	binary.BigEndian.PutUint16(b.mac[8:], uint16(third>>5))
	return b, true
}

// A signer keeps what computing a signature needs, so that it allocates once
// and not for each tag. It is for one goroutine at a time.
type signer struct {
	hashes []hash.Hash // one for each key
	text   [12 + maxDomain]byte
	sum    [sha256.Size]byte
}

func newSigner(keys []Key) *signer {
	s := &signer{}
	for _, k := range keys {
		s.hashes = append(s.hashes, hmac.New(sha256.New, k.Secret))
	}
	return s
}

// sign computes the signature with one key. The fields before the domain have
// fixed lengths, so that no two tags share a text.
func (s *signer) sign(key int, b bits, p Purpose, domain string) (mac [macOctets]byte) {
	s.text[0], s.text[1] = byte(p), b.key
	binary.BigEndian.PutUint64(s.text[2:], b.delivery)
	binary.BigEndian.PutUint16(s.text[10:], b.day)
	for i := range len(domain) {
		s.text[12+i] = lower(domain[i])
	}
	h := s.hashes[key]
	h.Reset()
	h.Write(s.text[:12+len(domain)])
	copy(mac[:], h.Sum(s.sum[:0]))
	return mac
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
