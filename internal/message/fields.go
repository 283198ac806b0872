package message

import (
	"bytes"
	"mime"
	"strings"
)

// Fields is a header block as it was read, its fields found. It tolerates what
// RFC 5322 section 2.2 forbids. It shares the block's memory.
type Fields struct {
	block []byte
	at    []span
}

// A span is where a field is: its name, and its body with folds.
type span struct{ name, colon, body, end int32 }

// ParseFields finds the fields of a header block. Lines that belong to no
// field are left out.
func ParseFields(block []byte) Fields {
	f := Fields{block: block}
	f.at = make([]span, 0, min(1+bytes.Count(block, []byte(":"))/2, 64))
	for pos := 0; pos < len(block); {
		end := len(block)
		if i := bytes.IndexByte(block[pos:], '\n'); i >= 0 {
			end = pos + i + 1
		}
		line := block[pos:end]
		switch {
		case folded(line):
			if n := len(f.at); n > 0 && int(f.at[n-1].end) == pos {
				f.at[n-1].end = int32(end)
			}
		case fieldLine(line):
			colon := pos + bytes.IndexByte(line, ':')
			f.at = append(f.at, span{int32(pos), int32(colon), int32(colon + 1), int32(end)})
		}
		pos = end
	}
	return f
}

// fieldLine reports whether a line begins a header field: a name of visible
// characters, then a colon (RFC 5322 section 3.6.8; white space before the
// colon is of section 4.5).
func fieldLine(line []byte) bool {
	i := bytes.IndexByte(line[:min(len(line), 200)], ':')
	if i <= 0 {
		return false
	}
	for _, c := range bytes.TrimRight(line[:i], " \t") {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return line[0] > ' '
}

// folded reports whether a line continues a field.
func folded(line []byte) bool { return len(line) > 0 && (line[0] == ' ' || line[0] == '\t') }

// Len is how many fields there are.
func (f Fields) Len() int { return len(f.at) }

// At gives the name and the body of a field, unfolded and trimmed.
func (f Fields) At(i int) (name, body string) {
	s := f.at[i]
	return f.Name(i), unfold(f.block[s.body:s.end])
}

// Name gives the name of a field.
func (f Fields) Name(i int) string {
	s := f.at[i]
	return string(bytes.TrimRight(f.block[s.name:s.colon], " \t"))
}

// find gives the first field of a name from position i on, or -1. Letter case
// of names is ignored.
func (f Fields) find(name string, i int) int {
	for ; i < len(f.at); i++ {
		s := f.at[i]
		if got := f.block[s.name:s.colon]; len(got) >= len(name) && equalFold(bytes.TrimRight(got, " \t"), name) {
			return i
		}
	}
	return -1
}

func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		if b[i]|0x20 != s[i]|0x20 {
			return false
		}
	}
	return true
}

// Has reports whether there is a field of that name.
func (f Fields) Has(name string) bool { return f.find(name, 0) >= 0 }

// Get gives the body of the first field of that name, unfolded and trimmed;
// "" where there is none.
func (f Fields) Get(name string) string {
	i := f.find(name, 0)
	if i < 0 {
		return ""
	}
	return unfold(f.block[f.at[i].body:f.at[i].end])
}

// Values gives the bodies of all fields of that name.
func (f Fields) Values(name string) []string {
	var all []string
	for i := f.find(name, 0); i >= 0; i = f.find(name, i+1) {
		all = append(all, unfold(f.block[f.at[i].body:f.at[i].end]))
	}
	return all
}

// Text is Get for people: encoded words (RFC 2047) are decoded, broken ones
// stay as they are, and octets that are no UTF-8 are read as best as can be.
func (f Fields) Text(name string) string {
	v := f.Get(name)
	if strings.Contains(v, "=?") {
		d := mime.WordDecoder{CharsetReader: charsetReader}
		if s, err := d.DecodeHeader(v); err == nil {
			v = s
		}
	}
	return toUTF8([]byte(v), "")
}

// unfold removes folds (RFC 5322 section 2.2.3) and white space at the ends.
func unfold(body []byte) string {
	body = bytes.TrimSpace(body)
	if bytes.IndexByte(body, '\n') < 0 {
		return string(body)
	}
	out := make([]byte, 0, len(body))
	for _, c := range body {
		switch c {
		case '\r', '\n':
		case '\t':
			out = append(out, ' ')
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

// A ContentType is a Content-Type field, understood as far as it can be (RFC
// 2045 section 5.1).
type ContentType struct {
	Type   string // "text/plain" where the field has none
	params string
}

// ParseContentType reads a Content-Type field. It never fails: what it cannot
// read is text/plain.
func ParseContentType(body string) ContentType {
	name, params, _ := strings.Cut(body, ";")
	name = strings.TrimSpace(name)
	if i := strings.IndexAny(name, " \t"); i >= 0 { // the semicolon was left out
		name, params = name[:i], name[i:]+";"+params
	}
	name = strings.ToLower(name)
	if main, sub, ok := strings.Cut(name, "/"); !ok || main == "" || sub == "" {
		if name != "text" {
			params = ""
		}
		name = "text/plain"
	}
	return ContentType{name, params}
}

// Param gives a parameter without its quotes; "" where there is none.
func (t ContentType) Param(name string) string {
	for rest := t.params; rest != ""; {
		rest = strings.TrimLeft(rest, "; \t\r\n")
		eq := strings.IndexAny(rest, "=; \t")
		if eq < 0 {
			return ""
		}
		key := rest[:eq]
		rest = strings.TrimLeft(rest[eq:], " \t")
		if !strings.HasPrefix(rest, "=") {
			continue
		}
		var value string
		value, rest = paramValue(strings.TrimLeft(rest[1:], " \t"))
		if strings.EqualFold(key, name) {
			return value
		}
	}
	return ""
}

// paramValue splits a parameter's value, quoted or not, from what follows.
func paramValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		if i := strings.IndexAny(s, "; \t\r\n"); i >= 0 {
			return s[:i], s[i:]
		}
		return s, ""
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), "" // the quote never ended
}
