package aggregate

import (
	"bufio"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// A visitor hears of the elements of a document. Names are without namespace
// and in lower case, as "parent/child".
type visitor interface {
	open(path string) error
	close(path, text string) error
}

// elements walks a document whose root has a name, with bounded depth, number
// of elements and memory. Entities but the five of XML are left as they are,
// and a document type is refused. What follows the root is not looked at.
func elements(in *bufio.Reader, root string, v visitor) error {
	meter := &meter{in: in}
	w := &walk{d: xml.NewDecoder(meter), v: v, root: root}
	w.d.Strict = false // a "&" that begins nothing is one
	w.d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	for {
		meter.spent = 0
		t, err := w.d.RawToken()
		switch {
		case errors.Is(err, io.EOF):
			return faultf(Syntax, "the XML ends too early")
		case err != nil:
			return syntax(err)
		}
		if err := w.token(t); err != nil || w.done {
			return err
		}
	}
}

// syntax makes a fault of what the parser does not understand, and leaves what
// is not its own.
func syntax(err error) error {
	var s *xml.SyntaxError
	if errors.As(err, &s) {
		return faultf(Syntax, "it is no XML: line %d: %s", s.Line, clip(s.Msg))
	}
	return err
}

// A walk is a document being walked.
type walk struct {
	d     *xml.Decoder
	v     visitor
	root  string
	names []string // of the elements that are open
	text  []byte   // of the innermost one, since it or a child of it began or ended
	count int
	typed bool // there was a document type
	done  bool
}

func (w *walk) token(t xml.Token) error {
	switch t := t.(type) {
	case xml.StartElement:
		return w.start(strings.ToLower(t.Name.Local))
	case xml.EndElement:
		return w.end(strings.ToLower(t.Name.Local))
	case xml.CharData:
		if len(w.text) < 4*MaxText {
			w.text = append(w.text, t[:min(len(t), 4*MaxText)]...)
		}
	case xml.Directive:
		w.typed = true
	}
	return nil
}

func (w *walk) start(name string) error {
	switch w.count++; {
	case len(w.names) == 0 && name != w.root:
		return errForeign
	case w.typed:
		return faultf(Syntax, "it has a document type, which no report has")
	case w.count > maxElements:
		return faultf(TooBig, "it has more than %d elements", maxElements)
	case len(w.names) >= maxDepth:
		return faultf(TooBig, "it has more than %d elements inside each other", maxDepth)
	}
	w.names = append(w.names, name)
	w.text = w.text[:0]
	return w.v.open(w.path())
}

func (w *walk) end(name string) error {
	if len(w.names) == 0 || w.names[len(w.names)-1] != name {
		return faultf(Syntax, "an element ends that did not begin: %s", clip(name))
	}
	if err := w.v.close(w.path(), string(w.text)); err != nil {
		return err
	}
	w.text = w.text[:0]
	w.names = w.names[:len(w.names)-1]
	w.done = len(w.names) == 0
	return nil
}

// path names the innermost element and the one around it.
func (w *walk) path() string { return strings.Join(w.names[max(0, len(w.names)-2):], "/") }

// A meter bounds what one token can have, because the parser keeps all of it.
type meter struct {
	in    *bufio.Reader
	spent int
}

func (m *meter) ReadByte() (byte, error) {
	if m.spent++; m.spent > maxToken {
		return 0, faultf(TooBig, "a piece of the XML has more than %d octets", maxToken)
	}
	return m.in.ReadByte()
}

// Read is there because the parser wants an io.Reader, and reads octets.
func (m *meter) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c, err := m.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = c
	return 1, nil
}
