package message

import (
	"bytes"
	"encoding/base64"
	"io"
)

// foldOctets is the longest line of encoded content (RFC 2045 section 6.7 and
// 6.8).
const foldOctets = 76

const upperHex = "0123456789ABCDEF"

// A quoter writes text in quoted-printable (RFC 2045 section 6.7). Close
// writes what it holds back.
type quoter struct {
	w      io.Writer
	column int
	space  byte // white space that is quoted if the line ends after it
	cr     bool // a CR that is a line end if LF follows
	out    []byte
}

func (q *quoter) Write(p []byte) (int, error) {
	q.out = q.out[:0]
	for i := 0; i < len(p); {
		if n := q.run(p[i:]); n > 0 {
			q.out = append(q.out, p[i:i+n]...)
			q.column += n
			i += n
			continue
		}
		q.octet(p[i])
		i++
	}
	_, err := q.w.Write(q.out)
	return len(p), err
}

// run gives how many octets may go through as they are: the fast way for what
// most of every text is.
func (q *quoter) run(p []byte) int {
	if q.cr || q.space != 0 || q.column == 0 {
		return 0
	}
	n, room := 0, min(len(p)-1, foldOctets-1-q.column)
	for n < room && (p[n] > ' ' && p[n] <= '~' && p[n] != '=' || p[n] == ' ' && p[n+1] > ' ' && p[n+1] <= '~') {
		n++
	}
	return n
}

// octet writes one octet, or holds it back until it is known what follows.
func (q *quoter) octet(c byte) {
	if q.cr {
		q.cr = false
		if c == '\n' {
			q.endLine()
			return
		}
		q.flushSpace(false)
		q.quote('\r')
	}
	if c == '\r' {
		q.cr = true
		return
	}
	q.flushSpace(false)
	switch {
	case c == ' ' || c == '\t':
		q.space = c
	case c > ' ' && c <= '~' && c != '=':
		q.plain(c)
	default:
		q.quote(c)
	}
}

// Close ends the text.
func (q *quoter) Close() error {
	q.out = q.out[:0]
	q.flushSpace(true)
	if q.cr {
		q.quote('\r')
	}
	_, err := q.w.Write(q.out)
	return err
}

func (q *quoter) endLine() {
	q.flushSpace(true)
	q.out = append(q.out, "\r\n"...)
	q.column = 0
}

// flushSpace writes the white space that was held back.
func (q *quoter) flushSpace(atEnd bool) {
	c := q.space
	q.space = 0
	switch {
	case c == 0:
	case atEnd:
		q.quote(c)
	default:
		q.plain(c)
	}
}

// plain writes an octet as it is. A line that begins with "-" might be taken
// for a delimiter that was none before, so there it is quoted.
func (q *quoter) plain(c byte) {
	q.room(1)
	if c == '-' && q.column == 0 {
		q.quote(c)
		return
	}
	q.out = append(q.out, c)
	q.column++
}

func (q *quoter) quote(c byte) {
	q.room(3)
	q.out = append(q.out, '=', upperHex[c>>4], upperHex[c&15])
	q.column += 3
}

// room breaks the line softly where n octets and a "=" would not fit.
func (q *quoter) room(n int) {
	if q.column+n >= foldOctets {
		q.out = append(q.out, "=\r\n"...)
		q.column = 0
	}
}

// A requoter mends content that claims to be quoted-printable and is not: too
// long lines, octets outside of ASCII. It says the same to every reader.
type requoter struct {
	q      quoter
	escape []byte // "=" and what came after it, until it is known what it is
}

func (r *requoter) Write(p []byte) (int, error) {
	r.q.out = r.q.out[:0]
	for _, c := range p {
		r.feed(c)
	}
	_, err := r.q.w.Write(r.q.out)
	return len(p), err
}

// feed takes one octet: two hexadecimal digits or a soft line break may follow
// a "="; anything else leaves it a "=".
func (r *requoter) feed(c byte) {
	if len(r.escape) == 0 && c != '=' {
		r.octet(c)
		return
	}
	r.escape = append(r.escape, c)
	digits := r.escape[1:]
	padded := bytes.TrimLeft(digits, " \t") // white space before the line end is no content
	blanks := len(digits) - len(padded)
	switch {
	case len(r.escape) < foldOctets && (len(padded) == 0 || string(padded) == "\r"):
	case string(padded) == "\r\n":
		r.q.out = append(r.q.out, "=\r\n"...)
		r.q.column = 0
		r.escape = r.escape[:0]
	case blanks == 0 && len(digits) == 1 && hex(digits[0]) >= 0:
	case blanks == 0 && len(digits) == 2 && hex(digits[0]) >= 0 && hex(digits[1]) >= 0:
		r.q.room(3)
		r.q.out = append(r.q.out, r.escape...)
		r.q.column += 3
		r.escape = r.escape[:0]
	default:
		r.literal()
	}
}

// literal writes a "=" that begins nothing, and reads what came after it anew.
func (r *requoter) literal() {
	rest := string(r.escape[1:])
	r.escape = r.escape[:0]
	r.q.quote('=')
	for i := range len(rest) {
		r.feed(rest[i])
	}
}

// octet writes what stands outside of escapes. White space stays where it is,
// also at the end of a line, where readers pass over it.
func (r *requoter) octet(c byte) {
	q := &r.q
	switch {
	case q.cr && c == '\n':
		q.cr = false
		q.out = append(q.out, "\r\n"...)
		q.column = 0
		return
	case q.cr:
		q.cr = false
		q.quote('\r')
	}
	switch {
	case c == '\r':
		q.cr = true
	case c > ' ' && c <= '~', isBlank(c):
		q.plain(c)
	default:
		q.quote(c)
	}
}

// Close ends the content.
func (r *requoter) Close() error {
	r.q.out = r.q.out[:0]
	for len(r.escape) > 0 {
		r.literal()
	}
	if r.q.cr {
		r.q.quote('\r')
	}
	_, err := r.q.w.Write(r.q.out)
	return err
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// A wrapper breaks base64 into lines of foldOctets and leaves out what is no
// base64, which readers ignore (RFC 2045 section 6.8).
type wrapper struct {
	w      io.Writer
	column int
	out    []byte
}

func (b *wrapper) Write(p []byte) (int, error) {
	b.out = b.out[:0]
	for _, c := range p {
		if base64Value(c) < 0 && c != '=' {
			continue
		}
		if b.column == foldOctets {
			b.out = append(b.out, "\r\n"...)
			b.column = 0
		}
		b.out = append(b.out, c)
		b.column++
	}
	_, err := b.w.Write(b.out)
	return len(p), err
}

func (b *wrapper) Close() error { return nil }

// newBase64 gives a writer of base64 in lines.
func newBase64(w io.Writer) io.WriteCloser {
	return base64.NewEncoder(base64.StdEncoding, &wrapper{w: w})
}
