package message

import (
	"bufio"
	"bytes"
	"io"
	"strings"
)

// A visitor is shown a body in order: put together again, what it is shown is
// the body. Slices are valid during the call alone.
type visitor interface {
	// enter comes after the header of an entity: first the message itself,
	// then each part that can be understood. h may be changed.
	enter(h *Header) error
	// content is octets of the entity entered last, a leaf.
	content(p []byte) error
	// leave ends the entity entered last and not left yet; atEnd says that
	// no delimiter follows.
	leave(atEnd bool) error
	// gap is octets before the first and after the last delimiter of a
	// multipart, which nobody is shown (RFC 2046 section 5.1.1).
	gap(p []byte) error
	// fixed is everything else: delimiters, and parts that are to be left
	// alone.
	fixed(p []byte) error
}

// maxPartHeader is the longest header of a part that is understood.
const maxPartHeader = 64 << 10

// A tree walks the tree that MIME makes of a body (RFC 2046 section 5.1), to
// the depth and the number of parts that MaxDepth and MaxParts allow. What is
// deeper, and parts that come later, are left alone.
type tree struct {
	in     *bufio.Reader
	v      visitor
	marks  []string // delimiters without "--" at the end, outermost first
	parts  int
	line   []byte // what next gave
	begins bool   // line is the beginning of a line
	broken bool   // line has no end yet
	held   []byte // a line end that may belong to the delimiter after it
}

// walkTree shows the body of a message with header h.
func walkTree(h *Header, body io.Reader, v visitor) error {
	t := &tree{in: bufio.NewReaderSize(body, 32<<10), v: v}
	if err := v.enter(h); err != nil {
		return err
	}
	_, err := t.entity(h, 0)
	return err
}

// A mark is where something ended: at a delimiter of the multipart at level,
// or at the end of the body.
type mark struct {
	level int // -1: the end of the body
	last  bool
}

// entity reads the body of an entity that was entered, up to the delimiter
// that ends it.
func (t *tree) entity(h *Header, depth int) (mark, error) {
	boundary := boundaryOf(h)
	if boundary == "" || depth >= MaxDepth {
		m, err := t.copy(t.v.content)
		if err == nil {
			err = t.v.leave(m.level < 0)
		}
		return m, err
	}
	level := len(t.marks)
	t.marks = append(t.marks, "--"+boundary)
	m, err := t.copy(t.v.gap)
	for err == nil && m.level == level && !m.last {
		m, err = t.part(depth)
	}
	t.marks = t.marks[:level]
	if err == nil && m.level == level {
		if err = t.delimiter(); err == nil {
			m, err = t.copy(t.v.gap)
		}
	}
	if err == nil {
		err = t.v.leave(m.level < 0)
	}
	return m, err
}

// part reads a part from its delimiter on to the next one.
func (t *tree) part(depth int) (mark, error) {
	if err := t.delimiter(); err != nil {
		return mark{}, err
	}
	t.parts++
	block, m, whole, err := t.header()
	if err != nil {
		return m, err
	}
	h := ParseHeader(block)
	if !whole || h.Size() != len(block) || t.parts > MaxParts {
		if err := t.v.fixed(block); err != nil {
			return m, err
		}
		if whole {
			if err := t.v.fixed(t.line); err != nil {
				return m, err
			}
		}
		if m.level != none {
			return m, nil
		}
		return t.copy(t.v.fixed)
	}
	if err := t.v.enter(h); err != nil {
		return m, err
	}
	return t.entity(h, depth+1)
}

// none is the level of a mark that was not reached.
const none = -2

// header reads the header of a part. whole says that its empty line has come,
// which is then t.line; else m says what ended it, or that it is too long.
func (t *tree) header() (block []byte, m mark, whole bool, err error) {
	for len(block) <= maxPartHeader {
		switch err := t.next(); {
		case err == io.EOF:
			return block, mark{level: -1}, false, nil
		case err != nil:
			return nil, mark{}, false, err
		}
		if m, ok := t.mark(); ok {
			return block, m, false, nil
		}
		if t.begins && len(bytes.TrimRight(t.line, "\r\n")) == 0 {
			return block, mark{level: none}, true, nil
		}
		block = append(block, t.line...)
	}
	return block, mark{level: none}, false, nil
}

// copy shows everything up to the next delimiter. The line end before it
// belongs to it and is held.
func (t *tree) copy(show func([]byte) error) (mark, error) {
	t.held = t.held[:0]
	for {
		err := t.next()
		if err != nil && err != io.EOF {
			return mark{}, err
		}
		if m, ok := t.mark(); ok && err == nil {
			return m, nil
		}
		if len(t.held) > 0 {
			if err := show(t.held); err != nil {
				return mark{}, err
			}
			t.held = t.held[:0]
		}
		if err == io.EOF {
			return mark{level: -1}, nil
		}
		text := bytes.TrimSuffix(bytes.TrimSuffix(t.line, []byte("\n")), []byte("\r"))
		if t.broken {
			text = t.line
		}
		t.held = append(t.held, t.line[len(text):]...)
		if err := show(text); err != nil {
			return mark{}, err
		}
	}
}

// delimiter shows the delimiter that was found and the line end before it.
func (t *tree) delimiter() error {
	if len(t.held) > 0 {
		if err := t.v.fixed(t.held); err != nil {
			return err
		}
		t.held = t.held[:0]
	}
	if len(t.line) > MaxLine+2 { // with a thousand spaces at its end
		t.line = append(bytes.TrimRight(t.line, " \t\r\n"), "\r\n"...)
	}
	return t.v.fixed(t.line)
}

// next reads a line, or a piece of one that is longer than the buffer.
func (t *tree) next() error {
	t.begins = !t.broken
	line, err := t.in.ReadSlice('\n')
	t.line, t.broken = line, err == bufio.ErrBufferFull
	if t.broken || err == io.EOF && len(line) > 0 {
		return nil
	}
	return err
}

// mark reports whether the line is a delimiter, and whose: that of the
// innermost multipart that has it.
func (t *tree) mark() (m mark, ok bool) {
	if !t.begins || t.broken || len(t.line) < 3 || t.line[0] != '-' || t.line[1] != '-' {
		return mark{level: none}, false
	}
	line := bytes.TrimRight(t.line, " \t\r\n")
	for level := len(t.marks) - 1; level >= 0; level-- {
		rest, found := bytes.CutPrefix(line, []byte(t.marks[level]))
		switch {
		case found && len(rest) == 0:
			return mark{level: level}, true
		case found && string(rest) == "--":
			return mark{level: level, last: true}, true
		}
	}
	return mark{level: none}, false
}

// boundaryOf gives the boundary of a multipart that may be changed, "" for
// every other entity: what was signed or encrypted must keep its octets (RFC
// 1847 section 2.1).
func boundaryOf(h *Header) string {
	kind := ParseContentType(h.Get("Content-Type"))
	if !strings.HasPrefix(kind.Type, "multipart/") || kind.Type == "multipart/signed" || kind.Type == "multipart/encrypted" {
		return ""
	}
	b := strings.TrimRight(kind.Param("boundary"), " \t")
	if len(b) > 200 || eightBit([]byte(b)) {
		return ""
	}
	return b
}
