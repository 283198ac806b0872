package message

import (
	"bytes"
	"encoding/binary"
)

// A Scan sees a body go by and finds what some next hop may not take. The zero
// Scan is ready. It is for one goroutine.
type Scan struct {
	eight  bool
	long   bool
	column int // octets of the line so far
}

// Write looks at the next octets. It never fails.
func (s *Scan) Write(p []byte) (int, error) {
	s.eight = s.eight || eightBit(p)
	for rest := p; !s.long && len(rest) > 0; {
		// A line and its end fit a window: the last line end in it is as
		// good as the first, and found sooner.
		window := rest[:min(len(rest), MaxLine+2-s.column)]
		n := bytes.LastIndexByte(window, '\n')
		switch {
		case n >= 0:
			s.column = 0
			rest = rest[n+1:]
		case s.column+len(window) == MaxLine+2:
			s.long = true
		default:
			s.column += len(window)
			rest = nil
		}
	}
	return len(p), nil
}

// EightBit reports whether there were octets outside of ASCII: a next hop
// needs 8BITMIME (RFC 6152).
func (s *Scan) EightBit() bool { return s.eight }

// LongLine reports whether a line was longer than MaxLine: no next hop needs
// to take it (RFC 5321 section 4.5.3.1.6).
func (s *Scan) LongLine() bool { return s.long || s.column > MaxLine }

// eightBit reports whether there is an octet outside of ASCII, eight at a time.
func eightBit(b []byte) bool {
	const high = 0x8080808080808080
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b)&high != 0 {
			return true
		}
		b = b[8:]
	}
	for _, c := range b {
		if c >= 0x80 {
			return true
		}
	}
	return false
}
