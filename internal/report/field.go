package report

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/textproto"
)

const (
	foldAt  = 76  // where lines of fields are folded, if there is a space
	maxLine = 998 // octets of a line without CR LF (RFC 5322 section 2.1.1)
	maxText = 900 // octets of a field that may be cut short
)

// A rawField is a header field with its folds and its line end.
type rawField []byte

// unfolded gives a field on one line, for what must stay as it is.
func unfolded(name, value string) rawField {
	return rawField(name + ": " + clean(value, maxLine-len(name)-2) + "\r\n")
}

// folded gives a field in lines of at most 76 octets where it has spaces. Its
// value is made ASCII and cut short at 900 octets.
func folded(name, value string) rawField {
	value = clean(ascii(value), maxText)
	var b strings.Builder
	b.WriteString(name + ":")
	column := len(name) + 1
	for word := range strings.FieldsSeq(value) {
		if column+1+len(word) > foldAt && column > len(name)+1 {
			b.WriteString("\r\n")
			column = 0
		}
		b.WriteString(" " + word)
		column += 1 + len(word)
	}
	return rawField(b.String() + "\r\n")
}

// clean makes control characters spaces and cuts at most octets.
func clean(s string, most int) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, s)
	for len(s) > most {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return strings.TrimSpace(s)
}

// ascii makes every other character a question mark.
func ascii(s string) string {
	if isASCII(s) {
		return s
	}
	return strings.Map(func(c rune) rune {
		if c >= 0x80 {
			return '?'
		}
		return c
	}, s)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func isUTF8(b []byte) bool { return utf8.Valid(b) }

// isPlain reports whether text needs no encoding: ASCII without control
// characters, in lines of legal length that end in CR LF.
func isPlain(text []byte) bool {
	for line := range bytes.Lines(text) {
		content := bytes.TrimSuffix(line, []byte("\r\n"))
		if len(content) > maxLine {
			return false
		}
		for _, c := range content {
			if c >= 0x7f || c < ' ' && c != '\t' {
				return false
			}
		}
	}
	return true
}

// header gives fields in order as go-message wants them.
func header(fields []rawField) textproto.Header {
	var h textproto.Header
	for _, f := range slices.Backward(fields) {
		h.AddRaw(f)
	}
	return h
}

// checkAddress returns ErrAddress for what would break a header field or
// cannot be an address.
func checkAddress(a string) error {
	bad := strings.IndexFunc(a, func(c rune) bool { return c < ' ' || c == 0x7f || c == utf8.RuneError })
	if at := strings.LastIndexByte(a, '@'); at < 1 || at == len(a)-1 || bad >= 0 || len(a) > maxLine-32 {
		return fmt.Errorf("%w: %q", ErrAddress, a[:min(len(a), 100)])
	}
	return nil
}
