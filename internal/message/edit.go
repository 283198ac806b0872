package message

import (
	"crypto/rand"
	"slices"
	"strings"
	"time"
)

const (
	// foldAt is where lines of generated fields end, if white space allows
	// (RFC 5322 section 2.1.1).
	foldAt = 78
	// MaxLine is the longest line that mail may have, without CR LF (RFC
	// 5321 section 4.5.3.1.6).
	MaxLine = 998
)

// Clone gives a copy that can be changed alone. Octets are shared.
func (h *Header) Clone() *Header { return &Header{slices.Clone(h.fields)} }

// Remove takes every field of that name out and says how many there were.
func (h *Header) Remove(name string) int {
	return h.RemoveFunc(func(f Field) bool { return f.is(name) })
}

// RemoveFunc takes out every field that unwanted picks and says how many there
// were.
func (h *Header) RemoveFunc(unwanted func(Field) bool) int {
	before := len(h.fields)
	h.fields = slices.DeleteFunc(h.fields, unwanted)
	return before - len(h.fields)
}

// Prepend adds a field at the top, as trace fields want it, folded at white
// space. Line ends and other controls in value become spaces: it cannot make
// a field of its own.
func (h *Header) Prepend(name, value string) {
	h.fields = slices.Insert(h.fields, 0, newField(name, value))
}

// Append adds a field at the bottom; see Prepend.
func (h *Header) Append(name, value string) {
	h.fields = append(h.fields, newField(name, value))
}

// Set puts a field in the place of the first one of that name and removes the
// others; where there is none it is added at the bottom. See Prepend.
func (h *Header) Set(name, value string) {
	i := slices.IndexFunc(h.fields, func(f Field) bool { return f.is(name) })
	if i < 0 {
		h.Append(name, value)
		return
	}
	rest := slices.DeleteFunc(h.fields[i+1:], func(f Field) bool { return f.is(name) })
	h.fields[i] = newField(name, value)
	h.fields = h.fields[:i+1+len(rest)]
}

// PrependBlock adds whole fields at the top, octet for octet, for instance
// signatures.
func (h *Header) PrependBlock(block []byte) {
	h.fields = slices.Insert(h.fields, 0, ParseHeader(block).fields...)
}

// Complete adds what every message has to have and an application may leave
// to us: a Date, and a Message-ID such as "<x@example.org>" (RFC 6409 section
// 8).
func (h *Header) Complete(now time.Time, messageID string) {
	if !h.Has("Date") {
		h.Append("Date", now.Format("Mon, 2 Jan 2006 15:04:05 -0700"))
	}
	if !h.Has("Message-ID") {
		h.Append("Message-ID", messageID)
	}
}

// NewID makes a Message-ID in a domain, with its brackets.
func NewID(domain string) string { return "<" + rand.Text() + "@" + domain + ">" }

// newField makes a field of a name and an unfolded value.
func newField(name, value string) Field {
	value = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(value, "?"))
	return Field{foldField(name, strings.Trim(value, " \t")), len(name)}
}

// foldField writes a field and breaks it before white space, so that lines
// have at most foldAt octets where it can be done. No line is of white space
// alone.
func foldField(name, value string) []byte {
	b := append(make([]byte, 0, len(name)+len(value)+16), name...)
	b = append(b, ':')
	column := len(b)
	if value != "" {
		value = " " + value
	}
	for value != "" {
		// A word goes with the white space before it.
		rest := strings.TrimLeft(value, " \t")
		word := firstWord(rest)
		if gap := value[:len(value)-len(rest)]; len(gap) < foldAt {
			word = gap + word
		} else {
			word = " " + word // so much white space says no more than that
		}
		value = strings.TrimPrefix(rest, firstWord(rest))
		first := column == len(name)+1
		if column+len(word) > foldAt && !first || column+len(word) > MaxLine {
			b = append(b, "\r\n"...)
			column = 0
		}
		b = append(b, word...)
		column += len(word)
	}
	return append(b, "\r\n"...)
}
