package smtpd

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"homing/internal/reply"
)

// errReset says that a message ended before its last chunk, by a command that
// has been answered.
var errReset = errors.New("smtpd: transaction was reset between two chunks")

var errChunk = reply.Errorf(501, reply.Enhanced{5, 5, 4}, "write BDAT size, and LAST behind the size of the last chunk")

// chunks is the source of a message that comes by BDAT (RFC 3030). It is read
// like one of DATA, by the goroutine of the dialogue: the commands between the
// chunks are carried out as the Session reads.
type chunks struct {
	e    *edge
	left int64 // octets of this chunk
	size int64
	last bool
	err  error // for good
}

// bdat begins a message, or refuses one: then the chunk is read all the same,
// because its octets are no commands. A malformed BDAT does not say what they
// are, so the connection ends.
func (e *edge) bdat(arg string) string {
	size, last, err := parseChunk(arg)
	switch {
	case !e.o.Chunking:
		e.refuse(reply.Errorf(502, reply.Enhanced{5, 5, 1}, "CHUNKING is not offered"))
		e.hangUp(nil)
	case err != nil:
		e.refuse(errChunk)
		e.hangUp(nil)
	case e.state != addressed:
		err := e.outOfOrder(command{in: addressed})
		if err := e.discard(size); err != nil {
			e.hangUp(err)
			return ""
		}
		e.refuse(err)
	default:
		return e.receive(&chunks{e: e, left: size, size: size, last: last})
	}
	return ""
}

// parseChunk reads "size" and "size LAST".
func parseChunk(arg string) (size int64, last bool, err error) {
	digits, word, more := strings.Cut(arg, " ")
	if last = strings.EqualFold(word, "LAST"); more && !last {
		return 0, false, errChunk
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, false, errChunk
	}
	return int64(n), last, nil
}

// discard reads n octets that nobody wants.
func (e *edge) discard(n int64) error {
	if n > maxSkip {
		return ErrTooBig // we do not wait for so many
	}
	e.pace = pace{}
	defer e.messageEnds()
	for n > 0 {
		w, err := e.window(1)
		if err != nil {
			return err
		}
		some := min(n, int64(len(w)))
		e.advance(int(some))
		n -= some
	}
	return nil
}

// window gives octets of the chunk that is coming, or of the next one.
func (c *chunks) window(int) ([]byte, error) {
	for c.left == 0 && c.err == nil {
		if c.last {
			return nil, io.EOF
		}
		c.e.ok(250, reply.Enhanced{2, 0, 0}, strconv.FormatInt(c.size, 10)+" octets received")
		c.err = c.next()
	}
	if c.err != nil {
		return nil, c.err
	}
	w, err := c.e.window(1)
	if err != nil {
		c.err = err
		return nil, err
	}
	return w[:min(int64(len(w)), c.left)], nil
}

func (c *chunks) advance(n int) {
	c.e.advance(n)
	c.left -= int64(n)
}

// next carries out commands until the next BDAT.
func (c *chunks) next() error {
	e := c.e
	for {
		line, err := e.line(false, true)
		if err == errLong || err == errLine {
			e.verb = unknown
			e.refuse(err)
		} else if err != nil {
			return err
		} else if done, err := c.command(line); done || err != nil {
			return err
		}
		if e.ended {
			return errReset
		}
	}
}

// command carries out one command between two chunks. done says that the next
// chunk follows.
func (c *chunks) command(line []byte) (done bool, err error) {
	e := c.e
	name, arg := cutVerb(line)
	switch e.verb = unknown; strings.ToUpper(string(name)) {
	case "BDAT":
		e.verb = "BDAT"
		c.size, c.last, err = parseChunk(string(arg))
		if c.left = c.size; err != nil {
			e.refuse(err)
			e.hangUp(nil)
			return false, errReset
		}
		return true, nil
	case "RSET":
		e.ok(250, reply.Enhanced{2, 0, 0}, "OK")
		return false, errReset
	case "QUIT":
		e.quit("")
		return false, errReset
	case "NOOP":
		e.noop("")
	default:
		e.refuse(reply.Errorf(503, reply.Enhanced{5, 5, 1}, "the next chunk is expected"))
	}
	return false, nil
}
