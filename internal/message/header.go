package message

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
	"strings"
)

// MaxHeader is the most octets of a header block that we take. RFC 5322 sets
// no limit; the longest that real mail has is a tenth of it.
const MaxHeader = 1 << 20

// ErrHeaderTooBig says that a header block is longer than the limit.
var ErrHeaderTooBig = errors.New("message: the header block is too long")

// A Header is a header block for editing: every field that is not touched
// keeps its octets. (Fields is for reading what may be broken.) The zero
// Header is empty. Reading may be done from many goroutines, changing not.
type Header struct {
	fields []Field
}

// A Field is one header field (RFC 5322 section 2.2). It is a value; its
// octets are never changed.
type Field struct {
	raw   []byte // name, colon, body with its folds, CR LF
	colon int
}

// Name gives the field's name in the letter case that it came in.
func (f Field) Name() string { return string(bytes.TrimRight(f.raw[:f.colon], " \t")) }

// Raw gives the field as it is, with its folds and its line end.
func (f Field) Raw() []byte { return f.raw }

// Value gives the field's body, unfolded (RFC 5322 section 2.2.3) and without
// white space at its ends.
func (f Field) Value() string {
	body := f.raw[f.colon+1:]
	if bytes.IndexByte(body[:len(body)-2], '\r') < 0 {
		return string(bytes.Trim(body, " \t\r\n"))
	}
	out := make([]byte, 0, len(body))
	for _, c := range body {
		if c != '\r' && c != '\n' {
			out = append(out, c)
		}
	}
	return string(bytes.Trim(out, " \t"))
}

// is reports whether the field has that name, in any letter case.
func (f Field) is(name string) bool {
	return f.colon >= len(name) && strings.EqualFold(string(f.raw[:len(name)]), name) &&
		len(bytes.TrimRight(f.raw[len(name):f.colon], " \t")) == 0
}

// ReadHeader reads a header block of at most limit octets and leaves r, which
// buffers at least 512, at the first octet of the body. The empty line belongs to neither. As other mail
// systems do, it takes a line that can be no field for the first of the body,
// and passes over an mbox "From " line at the beginning. Bare LF is read as CR
// LF. Its errors are ErrHeaderTooBig and those of r; the end of r is none.
func ReadHeader(r *bufio.Reader, limit int) (*Header, error) {
	var block []byte
	var starts []int // of fields in block
	for first := true; ; first = false {
		kind, err := peekLine(r)
		if err != nil && err != io.EOF {
			return nil, err
		}
		switch {
		case kind == mboxLine && first, kind == emptyLine:
			if _, err := readLine(r, nil, limit); err != nil {
				return nil, err
			}
		case kind == foldLine && len(starts) > 0, kind == fieldStart:
			if kind == fieldStart {
				starts = append(starts, len(block))
			}
			if block, err = readLine(r, block, limit); err != nil {
				return nil, err
			}
		}
		if kind == emptyLine || kind == otherLine || kind == foldLine && len(starts) == 0 || kind == mboxLine && !first {
			return newHeader(block, starts), nil
		}
	}
}

// newHeader makes a Header of a block in which fields begin at starts.
func newHeader(block []byte, starts []int) *Header {
	// Room for what is added on the way through.
	h := &Header{fields: make([]Field, 0, len(starts)+8)}
	for i, start := range starts {
		end := len(block)
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		raw := block[start:end:end]
		h.fields = append(h.fields, Field{raw, bytes.IndexByte(raw, ':')})
	}
	return h
}

// lineKind is what a line of a header block is, seen at its beginning.
type lineKind int

const (
	otherLine lineKind = iota // no line of a header, or the end
	emptyLine
	fieldStart
	foldLine // continues a field
	mboxLine // "From somebody date"
)

// maxName is more octets than any field name has.
const maxName = 256

// peekLine says what the next line is without reading it.
func peekLine(r *bufio.Reader) (lineKind, error) {
	for n := 1; n <= maxName; n++ {
		if n < r.Buffered() {
			n = min(r.Buffered(), maxName) // as far as can be seen without waiting
		}
		b, err := r.Peek(n)
		if kind, sure := classifyLine(b); sure || err != nil {
			return kind, err
		}
	}
	return otherLine, nil
}

// classifyLine tells the kind of a line from its beginning; sure is false
// while more octets could tell something else.
func classifyLine(b []byte) (kind lineKind, sure bool) {
	if len(b) == 0 {
		return otherLine, false
	}
	switch b[0] {
	case '\n':
		return emptyLine, true
	case ' ', '\t':
		return foldLine, true
	case '\r':
		if len(b) == 1 {
			return otherLine, false
		}
		if b[1] == '\n' {
			return emptyLine, true
		}
		return otherLine, true
	}
	n := bytes.IndexFunc(b, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' })
	if n < 0 {
		return otherLine, false
	}
	// White space may stand before the colon (RFC 5322 section 4.5).
	rest := bytes.TrimLeft(b[n:], " \t")
	switch {
	case n == 0:
		return otherLine, true
	case len(rest) == 0:
		return otherLine, false
	case rest[0] == ':':
		return fieldStart, true
	case string(b[:n]) == "From" && b[n] == ' ':
		return mboxLine, true
	}
	return otherLine, true
}

// readLine appends one line to block, with CR LF at its end.
func readLine(r *bufio.Reader, block []byte, limit int) ([]byte, error) {
	for {
		piece, err := r.ReadSlice('\n')
		if len(block)+len(piece) > limit {
			return nil, ErrHeaderTooBig
		}
		block = append(block, piece...)
		switch err {
		case bufio.ErrBufferFull:
		case nil, io.EOF:
			block = bytes.TrimSuffix(block, []byte("\n"))
			return append(bytes.TrimSuffix(block, []byte("\r")), "\r\n"...), nil
		default:
			return nil, err
		}
	}
}

// ParseHeader reads a header block from memory, with or without its empty
// line; what follows is passed over.
func ParseHeader(block []byte) *Header {
	// Reading from memory within its own length cannot fail.
	h, err := ReadHeader(bufio.NewReaderSize(bytes.NewReader(block), 512), len(block)+2)
	if err != nil {
		return &Header{}
	}
	return h
}

// All gives the fields in order.
func (h *Header) All() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for _, f := range h.fields {
			if !yield(f) {
				return
			}
		}
	}
}

// Get gives the value of the first field of that name, "" where there is none.
func (h *Header) Get(name string) string {
	for _, f := range h.fields {
		if f.is(name) {
			return f.Value()
		}
	}
	return ""
}

// Has reports whether there is a field of that name.
func (h *Header) Has(name string) bool { return h.Count(name) > 0 }

// Count says how many fields of that name there are.
func (h *Header) Count(name string) (n int) {
	for _, f := range h.fields {
		if f.is(name) {
			n++
		}
	}
	return n
}

// Values gives the values of all fields of that name.
func (h *Header) Values(name string) (all []string) {
	for _, f := range h.fields {
		if f.is(name) {
			all = append(all, f.Value())
		}
	}
	return all
}

// Size is the number of octets of all fields.
func (h *Header) Size() (n int) {
	for _, f := range h.fields {
		n += len(f.raw)
	}
	return n
}

// AppendTo appends all fields to b, without the empty line.
func (h *Header) AppendTo(b []byte) []byte {
	for _, f := range h.fields {
		b = append(b, f.raw...)
	}
	return b
}

// Block gives all fields and the empty line.
func (h *Header) Block() []byte {
	b := make([]byte, 0, h.Size()+2)
	return append(h.AppendTo(b), "\r\n"...)
}
