package smtpd

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"homing/internal/reply"
)

// Errors of Content.Read that a peer can do something about. Each is the
// reply that its name promises, so a Session may return it as it is.
var (
	// ErrBare: a CR that no LF follows, or a NUL (RFC 5321 section 2.3.8).
	ErrBare = reply.Errorf(550, reply.Enhanced{5, 6, 11}, "message holds a bare CR or a NUL")
	// ErrTooBig: more octets than Options.MaxMessage (RFC 1870).
	ErrTooBig = reply.Errorf(552, reply.Enhanced{5, 3, 4}, "message is too big")
)

// errRead is what a Session gets that reads a Content after its Data has
// returned: the octets that come now are commands.
var errRead = errors.New("smtpd: message read after Data returned")

// Content is the message of a running transaction: without its dot-stuffing,
// ending at CR LF . CR LF and nothing else. A bare LF is read as CR LF. A
// bare CR or a NUL makes Read return ErrBare, unless Forgive was called: then
// it is read as a space. More than Options.MaxMessage octets make Read return
// ErrTooBig. Both stay: later calls return the same. io.EOF says that the end
// was seen; take no responsibility for a message before it. A Content is for
// one goroutine, and only until Data returns.
type Content struct {
	scan scanner
	rest []byte // read from scan, not yet by the Session
}

// NewContent makes a Content of a message that came by another road than a
// dialogue: no dot ends it, the other rules are the same. It holds at most max
// octets; 0 means any number.
func NewContent(r io.Reader, max int64) *Content {
	return &Content{scan: scanner{src: stream{bufio.NewReader(r)}, max: max, bol: true}}
}

// Forgive makes bare CR and NUL readable as spaces. Call it before Read.
func (c *Content) Forgive() { c.scan.forgive = true }

func (c *Content) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(c.rest) == 0 {
		var err error
		if c.rest, err = c.scan.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// WriteTo writes what is left of the message to w, straight from the input
// buffer. It is what io.Copy uses.
func (c *Content) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		if len(c.rest) > 0 {
			n, err := w.Write(c.rest)
			total += int64(n)
			c.rest = c.rest[n:]
			if err != nil {
				return total, err
			}
		}
		var err error
		if c.rest, err = c.scan.next(); err == io.EOF {
			return total, nil
		} else if err != nil {
			return total, err
		}
	}
}

// skip reads up to max octets more, to the end of the message, and returns
// what keeps it from getting there. Nothing can be read afterwards.
func (c *Content) skip(max int64) error {
	s := &c.scan
	if s.err == ErrBare || s.err == ErrTooBig {
		s.err = nil
	}
	s.forgive, s.max = true, s.n+max
	for s.err == nil {
		_, _ = s.next() // s.err is what it returns
	}
	err := s.err
	c.rest, s.err = nil, errRead
	if err == io.EOF {
		return nil
	}
	return err
}

// A source is where a scanner reads the octets of a message as they came.
type source interface {
	// window gives all octets that are at hand and not yet consumed. It waits
	// until there are n. io.EOF: the message ends here.
	window(n int) ([]byte, error)
	// advance consumes n octets. It ends the life of what window gave.
	advance(n int)
}

// stream is a source that ends where its reader does.
type stream struct{ *bufio.Reader }

func (s stream) window(n int) ([]byte, error) {
	w, err := s.Peek(n)
	if len(w) < n {
		return nil, err
	}
	w, _ = s.Peek(s.Buffered())
	return w, nil
}

func (s stream) advance(n int) { _, _ = s.Discard(n) } // never more than window gave

// A scanner makes clean octets of a source. It moves no octet that is clean
// already: next gives pieces of the source's own buffer.
type scanner struct {
	src     source
	dots    bool  // dot-stuffed and ended by a lone dot (RFC 5321 section 4.5.2)
	forgive bool  // bare CR and NUL are spaces
	max     int64 // most octets to give; 0 means any number
	n       int64 // octets given
	used    int   // octets of the source that the last piece occupies
	err     error // for good: io.EOF, ErrBare, ErrTooBig, or the source's

	// bol: at the beginning of a line. With dots, only CR LF begins one,
	// because only there may a dot be taken for the end.
	bol bool
	cr  bool // a CR was consumed, and what follows is not yet known
}

var (
	crlf  = []byte("\r\n")
	space = []byte(" ")
)

// next gives the next clean octets, at least one. They live until the next
// call.
func (s *scanner) next() ([]byte, error) {
	s.src.advance(s.used)
	s.used = 0
	for s.err == nil {
		piece := s.step()
		if len(piece) == 0 {
			continue
		}
		if s.max > 0 && s.n+int64(len(piece)) > s.max {
			s.err = ErrTooBig
			break
		}
		s.n += int64(len(piece))
		return piece, nil
	}
	return nil, s.err
}

// step consumes something, and gives a piece, or nothing, or sets err.
func (s *scanner) step() []byte {
	w, err := s.src.window(1)
	if err != nil {
		return s.finish(err)
	}
	if s.cr {
		s.cr = false
		if w[0] != '\n' {
			return s.bare()
		}
		s.src.advance(1)
		s.bol = true
		return crlf
	}
	if s.dots && s.bol && w[0] == '.' {
		s.dot()
		return nil
	}
	if n := s.clean(w); n > 0 {
		s.used = n
		return w[:n]
	}
	c := w[0]
	s.src.advance(1)
	switch c {
	case '\n':
		s.bol = !s.dots
		return crlf
	case '\r':
		s.cr = true
		return nil
	}
	return s.bare() // NUL
}

// clean says how many octets at the head of w may be given as they are, and
// moves bol over them. A CR at the end of w is not among them.
func (s *scanner) clean(w []byte) int {
	if nul := bytes.IndexByte(w, 0); nul >= 0 {
		w = w[:nul]
	}
	i := 0
	for i < len(w) {
		line := w[i:]
		if s.dots && s.bol && line[0] == '.' {
			return i
		}
		lf := bytes.IndexByte(line, '\n')
		if lf >= 0 {
			line = line[:lf]
		}
		cr := bytes.IndexByte(line, '\r')
		if lf > 0 && cr == lf-1 {
			i += lf + 1
			s.bol = true
			continue
		}
		if cr >= 0 {
			line = line[:cr]
		}
		if len(line) > 0 {
			s.bol = false
		}
		if i += len(line); cr >= 0 || lf >= 0 {
			return i
		}
	}
	return i
}

// dot is called at a dot that begins a line: it ends the message where CR LF
// follows, and is taken away elsewhere.
func (s *scanner) dot() {
	// Wait for no more octets than decide: after ". CR LF" nothing may come.
	for n := 2; n <= 3; n++ {
		w, err := s.src.window(n)
		if err != nil {
			s.err = err
			return
		}
		if w[n-1] != ".\r\n"[n-1] {
			s.src.advance(1)
			s.bol = false
			return
		}
	}
	s.src.advance(3)
	s.err = io.EOF
}

// bare is called where a bare CR or a NUL was consumed.
func (s *scanner) bare() []byte {
	s.bol = false
	if !s.forgive {
		s.err = ErrBare
		return nil
	}
	return space
}

// finish is called where the source ends. A message that no dot ends may lack
// its last CR LF: it is given one, because whoever sends it on must.
func (s *scanner) finish(err error) []byte {
	if err != io.EOF {
		s.err = err
		return nil
	}
	if s.cr {
		s.cr = false
		return s.bare()
	}
	if !s.bol {
		s.bol = true
		return crlf
	}
	s.err = io.EOF
	return nil
}
