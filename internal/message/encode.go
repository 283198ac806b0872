package message

import (
	"bufio"
	"io"
	"strings"
	"unicode/utf8"
)

// Encode writes the body of a message so that every next hop takes it: text
// that is 8-bit or has lines over MaxLine becomes quoted-printable, or base64
// where most of it is outside of ASCII; other content becomes base64. It
// changes no part that needs nothing, and none inside of multipart/signed,
// multipart/encrypted or message/*, deeper than MaxDepth or after MaxParts
// parts. h is changed accordingly, and made ASCII as Header.Encode does; so
// are the headers of changed and unchanged parts alike.
//
// The body is read twice; it has CR LF line ends, and so has what is written.
// The Scan tells what remains for a next hop to take. An error is one of w or
// body.
func Encode(w io.Writer, h *Header, body io.ReaderAt, size int64) (*Scan, error) {
	var plan survey
	if err := walkTree(h, io.NewSectionReader(body, 0, size), &plan); err != nil {
		return nil, err
	}
	left := &Scan{}
	out := bufio.NewWriterSize(io.MultiWriter(w, left), 32<<10)
	r := rewriter{w: out, plan: plan.entities}
	if err := walkTree(h, io.NewSectionReader(body, 0, size), &r); err != nil {
		return nil, err
	}
	return left, out.Flush()
}

// A treatment is what is done to the content of an entity.
type treatment int

const (
	keep treatment = iota
	toQuotedPrintable
	toBase64
	mendQuotedPrintable
	mendBase64
)

// An entity is what the first reading finds out about the message or a part.
type entity struct {
	parent    int // index of the multipart around it; -1: none
	kind      string
	encoding  string
	scan      Scan
	size      int64
	foreign   int64 // octets outside of ASCII
	utf8      utf8Check
	typed     bool // it has a Content-Type
	treatment treatment
	eight     bool // 8-bit content is left in it
}

// A survey is the visitor that finds out what to do.
type survey struct {
	entities []entity
	open     []int // indices of entities that were not left yet
}

func (s *survey) enter(h *Header) error {
	parent := -1
	if n := len(s.open); n > 0 {
		parent = s.open[n-1]
	}
	e := entity{
		parent:   parent,
		kind:     ParseContentType(h.Get("Content-Type")).Type,
		encoding: encodingOf(h),
		typed:    h.Has("Content-Type"),
	}
	if parent >= 0 && !e.typed && s.entities[parent].kind == "multipart/digest" {
		e.kind = "message/rfc822" // RFC 2046 section 5.1.5
	}
	s.open = append(s.open, len(s.entities))
	s.entities = append(s.entities, e)
	return nil
}

func (s *survey) content(p []byte) error {
	e := &s.entities[s.open[len(s.open)-1]]
	_, _ = e.scan.Write(p) // never fails
	e.size += int64(len(p))
	if eightBit(p) {
		for _, c := range p {
			if c >= 0x80 {
				e.foreign++
			}
		}
	}
	if !e.typed {
		e.utf8.write(p)
	}
	return nil
}

func (s *survey) leave(bool) error {
	last := len(s.open) - 1
	e := &s.entities[s.open[last]]
	s.open = s.open[:last]
	e.treatment = e.decide()
	e.eight = e.eight || e.treatment == keep && e.scan.EightBit()
	if e.eight && e.parent >= 0 {
		s.entities[e.parent].eight = true
	}
	return nil
}

func (s *survey) gap([]byte) error { return nil }

// fixed sees parts that are left alone.
func (s *survey) fixed(p []byte) error {
	if eightBit(p) {
		s.entities[s.open[len(s.open)-1]].eight = true
	}
	return nil
}

// decide says what to do with the content of a leaf.
func (e *entity) decide() treatment {
	text := strings.HasPrefix(e.kind, "text/")
	switch {
	case !e.scan.EightBit() && !e.scan.LongLine(),
		strings.HasPrefix(e.kind, "multipart/"), strings.HasPrefix(e.kind, "message/"):
		return keep
	case e.encoding == "quoted-printable":
		return mendQuotedPrintable
	case e.encoding == "base64":
		return mendBase64
	case e.encoding != "":
		return keep
	case text && e.foreign*2 <= e.size:
		return toQuotedPrintable
	}
	return toBase64
}

// encodingOf gives the transfer encoding of an entity (RFC 2045 section 6.1);
// "" for those that encode nothing.
func encodingOf(h *Header) string {
	v := strings.ToLower(h.Get("Content-Transfer-Encoding"))
	if i := strings.IndexAny(v, " \t;("); i >= 0 {
		v = v[:i]
	}
	switch v {
	case "7bit", "8bit", "binary", "7-bit", "8-bit":
		return ""
	}
	return v
}

// A rewriter is the visitor that writes.
type rewriter struct {
	w       io.Writer
	plan    []entity
	entered int
	encoder io.WriteCloser // of the leaf entered last; nil: octets as they are
	base64  bool
	wrote   bool // content of that leaf
	column  int  // of a gap
	out     []byte
}

func (r *rewriter) enter(h *Header) error {
	e := &r.plan[r.entered]
	r.entered++
	e.relabel(h)
	h.Encode()
	r.encoder, r.wrote, r.column = nil, false, 0
	r.base64 = e.treatment == toBase64 || e.treatment == mendBase64
	switch e.treatment {
	case toQuotedPrintable:
		r.encoder = &quoter{w: r.w}
	case toBase64:
		r.encoder = newBase64(r.w)
	case mendQuotedPrintable:
		r.encoder = &requoter{q: quoter{w: r.w}}
	case mendBase64:
		r.encoder = &wrapper{w: r.w}
	}
	if r.entered == 1 {
		return nil // the message's own header is written by the caller
	}
	_, err := r.w.Write(h.Block())
	return err
}

// relabel makes the header say what the content will be.
func (e *entity) relabel(h *Header) {
	encoding := map[treatment]string{toQuotedPrintable: "quoted-printable", toBase64: "base64"}[e.treatment]
	label := h.Get("Content-Transfer-Encoding")
	if strings.HasPrefix(e.kind, "multipart/") && !e.eight && e.encoding == "" && label != "" && !strings.EqualFold(label, "7bit") {
		encoding = "7bit"
	}
	if encoding == "" {
		return
	}
	if e.parent < 0 && !h.Has("MIME-Version") {
		h.Append("MIME-Version", "1.0")
	}
	if e.parent < 0 && !e.typed {
		h.Append("Content-Type", "text/plain; charset="+e.charset())
	}
	h.Set("Content-Transfer-Encoding", encoding)
}

// charset is that of text which does not say its own.
func (e *entity) charset() string {
	switch {
	case e.foreign == 0:
		return "us-ascii"
	case e.utf8.valid():
		return "utf-8"
	}
	return "windows-1252"
}

func (r *rewriter) content(p []byte) error {
	r.wrote = true
	if r.encoder == nil {
		return r.fixed(p)
	}
	_, err := r.encoder.Write(p)
	return err
}

func (r *rewriter) leave(atEnd bool) error {
	if r.encoder == nil {
		return nil
	}
	err := r.encoder.Close()
	r.encoder = nil
	if err == nil && r.base64 && atEnd && r.wrote {
		_, err = r.w.Write([]byte("\r\n"))
	}
	return err
}

// gap writes what readers pass over, without what needs an encoding.
func (r *rewriter) gap(p []byte) error {
	r.out = r.out[:0]
	for _, c := range p {
		if c >= 0x80 {
			c = '?'
		}
		switch {
		case c == '\n':
			r.column = -1
		case r.column >= MaxLine && c != '\r':
			r.out = append(r.out, "\r\n "...)
			r.column = 1
		}
		r.out = append(r.out, c)
		r.column++
	}
	return r.fixed(r.out)
}

func (r *rewriter) fixed(p []byte) error {
	_, err := r.w.Write(p)
	return err
}

// A utf8Check finds out whether octets that come in pieces are UTF-8.
type utf8Check struct {
	rest []byte // the beginning of a character
	bad  bool
}

func (u *utf8Check) write(p []byte) {
	if u.bad || len(u.rest) == 0 && !eightBit(p) {
		return
	}
	if len(u.rest) > 0 {
		p = append(u.rest, p...)
	}
	// The last character may not be complete.
	n := len(p)
	for i := 1; i <= min(utf8.UTFMax-1, len(p)); i++ {
		if c := p[len(p)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(p[len(p)-i:]) {
				n = len(p) - i
			}
			break
		}
	}
	u.bad = !utf8.Valid(p[:n])
	u.rest = append([]byte(nil), p[n:]...)
}

func (u *utf8Check) valid() bool { return !u.bad && len(u.rest) == 0 }
