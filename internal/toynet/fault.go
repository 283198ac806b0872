package toynet

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"

	"homing/internal/reply"
)

// faultyConn stands between a client and a well-behaved SMTP server and makes
// a misbehaving one of them. It gives the server one command at a time, so
// that it knows which command each reply belongs to, and commits the faults of
// the host where they fit. Once TLS begins it only passes octets on.
type faultyConn struct {
	net.Conn
	faults []Fault
	deaf   bool
	closed chan struct{} // closed by Close
	once   sync.Once

	in    *bufio.Reader
	rest  []byte      // of a line that the server has still to read
	begin bool        // the next octets begin a line
	chunk int64       // octets of BDAT still to pass
	data  bool        // between 354 and the final dot
	stage reply.Stage // what the next reply answers
	out   []byte      // lines of a reply that is not complete
	plain bool        // TLS goes on above
	ended bool        // by Close or Hang
}

func newFaultyConn(c net.Conn, h Host) *faultyConn {
	return &faultyConn{Conn: c, faults: h.Faults, deaf: h.Deaf, closed: make(chan struct{}),
		in: bufio.NewReader(c), begin: true, stage: reply.Connect}
}

// Close ends all waiting too. It may be called from any goroutine, and again.
func (c *faultyConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// Read gives at most one line.
func (c *faultyConn) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		switch {
		case c.ended:
			return 0, io.EOF
		case c.plain:
			return c.in.Read(p)
		case c.chunk > 0:
			n, err := c.in.Read(p[:min(int64(len(p)), c.chunk)])
			c.chunk -= int64(n)
			return n, err
		}
		line, err := c.in.ReadSlice('\n')
		if len(line) == 0 {
			return 0, err
		}
		if c.take(line) {
			c.rest = bytes.Clone(line)
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// take looks at a line, or a piece of a long one, and reports whether the
// server is to see it.
func (c *faultyConn) take(line []byte) bool {
	begins := c.begin
	c.begin = line[len(line)-1] == '\n'
	if c.data {
		if begins && string(line) == ".\r\n" {
			c.data = false
			c.stage = reply.Dot
		}
		return true
	}
	if !begins {
		return true
	}
	c.command(line)
	if c.deaf {
		c.in.Discard(c.in.Buffered())
	}
	f := c.fault()
	if f == nil || strings.Contains(f.Say, Proper) || c.stage == reply.Dot || c.stage == Quit {
		return true
	}
	c.commit(*f, "")
	return false
}

// command says which stage a command opens.
func (c *faultyConn) command(line []byte) {
	words := strings.Fields(strings.ToUpper(string(line)))
	if len(words) == 0 {
		words = []string{""}
	}
	switch verb := words[0]; verb {
	case "EHLO", "HELO":
		c.stage = reply.EHLO
	case "STARTTLS":
		c.stage = reply.STARTTLS
	case "MAIL":
		c.stage = reply.MAIL
	case "RCPT":
		c.stage = reply.RCPT
	case "DATA":
		c.stage = reply.DATA
	case "BDAT":
		c.stage = reply.DATA
		if words[len(words)-1] == "LAST" {
			c.stage = reply.Dot
		}
		if len(words) > 1 {
			c.chunk, _ = strconv.ParseInt(words[1], 10, 64) // the server refuses what is no number
		}
	case "QUIT":
		c.stage = Quit
	default:
		c.stage = reply.Stage(strings.ToLower(verb))
	}
}

// Write collects the lines of one reply, then lets it out, or what a fault
// makes of it.
func (c *faultyConn) Write(p []byte) (int, error) {
	if c.plain {
		return c.Conn.Write(p)
	}
	c.out = append(c.out, p...)
	if !complete(c.out) {
		return len(p), nil
	}
	text := string(c.out)
	c.out = c.out[:0]
	if c.ended {
		return len(p), nil
	}
	switch {
	case strings.HasPrefix(text, "354"):
		c.data = true
	case strings.HasPrefix(text, "220") && c.stage == reply.STARTTLS:
		c.plain = true
	}
	f := c.fault()
	if f == nil {
		f = &Fault{Say: Proper}
	}
	return len(p), c.commit(*f, text)
}

// complete reports whether a reply ends with these octets (RFC 5321 section
// 4.2.1: its last line has no hyphen behind the code).
func complete(octets []byte) bool {
	line, ok := bytes.CutSuffix(octets, []byte("\r\n"))
	if !ok {
		return false
	}
	line = line[bytes.LastIndexByte(line, '\n')+1:]
	return len(line) < 4 || line[3] != '-'
}

// fault gives the one that fits the stage; nil when there is none.
func (c *faultyConn) fault() *Fault {
	for i := range c.faults {
		if at := c.faults[i].At; at == c.stage || at == Always {
			return &c.faults[i]
		}
	}
	return nil
}

// commit does what a fault says. Its error is that of the connection.
func (c *faultyConn) commit(f Fault, proper string) error {
	if f.Wait > 0 && !pause(c.closed, f.Wait) {
		return net.ErrClosed
	}
	text := []byte(strings.ReplaceAll(f.Say, Proper, proper))
	for n := 0; len(text) > 0 && (f.Repeat == Forever || n <= f.Repeat); n++ {
		if err := c.say(text, f); err != nil {
			return err
		}
	}
	switch f.Then {
	case Close:
		c.ended = true
		return c.Close()
	case Hang:
		c.ended = true
		io.Copy(io.Discard, c.in) // until either side closes
	}
	return nil
}

func (c *faultyConn) say(text []byte, f Fault) error {
	if f.Each == 0 {
		_, err := c.Conn.Write(text)
		return err
	}
	for i := range text {
		if !pause(c.closed, f.Each) {
			return net.ErrClosed
		}
		if _, err := c.Conn.Write(text[i : i+1]); err != nil {
			return err
		}
	}
	return nil
}
