package dkim

import (
	"crypto/sha256"
	"hash"
)

// A BodyHash hashes the body of a message as it streams by, in the relaxed
// canonical form (RFC 6376 section 3.4.4). It is for one goroutine. The zero
// value is not ready: see NewBodyHash.
type BodyHash struct {
	hash  hash.Hash
	crlfs int  // line ends held back: empty lines at the end do not count
	space bool // white space held back: at the end of a line it does not count
	cr    bool // a CR was seen, its LF not yet
	wrote bool // something that counts was seen
	out   []byte
}

// NewBodyHash makes a BodyHash for one message.
func NewBodyHash() *BodyHash { return &BodyHash{hash: sha256.New()} }

// Write takes octets of the body, CR LF line ends. It never fails.
func (b *BodyHash) Write(p []byte) (int, error) {
	for i := 0; i < len(p); {
		if n := b.run(p[i:]); n > 0 {
			b.add(p[i])
			b.out = append(b.out, p[i+1:i+n]...)
			i += n
			continue
		}
		b.octet(p[i])
		i++
	}
	b.empty()
	return len(p), nil
}

// maxRun bounds the memory for a body that comes in one piece.
const maxRun = 4 << 10

// run gives the length of the text at the beginning of p that is canonical as
// it is, which most text is: words with one space or one line end between
// them.
func (b *BodyHash) run(p []byte) (n int) {
	if b.cr || p[0] <= ' ' {
		return 0
	}
	for end := min(len(p), maxRun); n < end; n++ {
		switch c := p[n]; {
		case c > ' ':
		case c == ' ' && n+1 < end && p[n+1] > ' ':
		case c == '\r' && n+2 < end && p[n+1] == '\n' && p[n+2] > ' ':
			n++
		default:
			return n
		}
	}
	return n
}

// octet takes one octet, or holds it back until it is known whether it counts.
func (b *BodyHash) octet(c byte) {
	switch {
	case b.cr && c == '\n':
		b.crlfs++
		b.cr, b.space = false, false
		return
	case b.cr: // a CR alone is content, whatever sent it
		b.cr = false
		b.add('\r')
	}
	switch c {
	case '\r':
		b.cr = true
	case ' ', '\t':
		b.space = true
	default:
		b.add(c)
	}
}

// add puts one octet that counts behind everything that was held back.
func (b *BodyHash) add(c byte) {
	for ; b.crlfs > 0; b.crlfs-- {
		b.out = append(b.out, '\r', '\n')
		b.limit()
	}
	if b.space {
		b.out = append(b.out, ' ')
		b.space = false
	}
	b.out = append(b.out, c)
	b.wrote = true
	b.limit()
}

// limit keeps what waits to be hashed small.
func (b *BodyHash) limit() {
	if len(b.out) >= maxRun {
		b.empty()
	}
}

func (b *BodyHash) empty() {
	b.hash.Write(b.out)
	b.out = b.out[:0]
}

// A BodySum is the SHA-256 of a canonical body.
type BodySum [sha256.Size]byte

// Sum gives the hash of everything that was written. Nothing may be written
// after.
func (b *BodyHash) Sum() BodySum {
	b.out = b.out[:0]
	if b.cr {
		b.cr = false
		b.add('\r')
	}
	if b.wrote {
		b.out = append(b.out, '\r', '\n')
	}
	b.hash.Write(b.out)
	return BodySum(b.hash.Sum(nil))
}
