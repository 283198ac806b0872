// Package smtptest plays the server's part of an SMTP dialogue from a script,
// for tests of clients: the well-behaved server and every other.
package smtptest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Script is a dialogue as it reads on paper, one step a line:
//
//	S: 250 OK     say a line
//	S" 250 O"     say these octets (a Go string literal)
//	C: MAIL FROM  hear a line that begins so, in any letter case
//	C.            hear message content to its end
//	chunk         hear BDAT LAST and the message content that it announces
//	quiet 1s      hear nothing for a while
//	wait 10s      say nothing for a while
//	silence       hear everything and say nothing until the client goes
//	tls           begin TLS
//	close         hang up
//
// At its end the server hangs up.
type Script string

// A Player is one server at work.
type Player struct {
	TLS *tls.Config // for "tls"

	// After Play: what the client said, inside TLS where there was some, and
	// the content of the messages, as it was on the wire.
	Heard    bytes.Buffer
	Messages []string

	conn net.Conn
	in   *bufio.Reader
}

// Play plays a script on a connection and closes it. It returns nil when the
// client said what the script expects, step by step; a client that goes early
// makes that io.EOF.
func (p *Player) Play(conn net.Conn, s Script) error {
	defer func() { p.conn.Close() }()
	p.use(conn)
	for i, step := range strings.Split(strings.TrimSpace(string(s)), "\n") {
		if step = strings.TrimSpace(step); step == "" {
			continue
		}
		if err := p.play(step); err != nil {
			return fmt.Errorf("step %d, %.60q: %w", i+1, step, err)
		}
	}
	return nil
}

func (p *Player) use(c net.Conn) {
	p.conn, p.in = c, bufio.NewReader(io.TeeReader(c, &p.Heard))
}

func (p *Player) play(step string) error {
	text, say := strings.CutPrefix(step, "S: ")
	want, hear := strings.CutPrefix(step, "C: ")
	pause, wait := strings.CutPrefix(step, "wait ")
	still, quiet := strings.CutPrefix(step, "quiet ")
	switch {
	case say:
		return p.say(text + "\r\n")
	case strings.HasPrefix(step, `S"`):
		octets, err := strconv.Unquote(step[1:])
		if err != nil {
			return err
		}
		return p.say(octets)
	case hear:
		return p.hear(want)
	case step == "C.":
		return p.message()
	case step == "chunk":
		return p.chunk()
	case wait:
		return pauseFor(pause)
	case quiet:
		return p.quiet(still)
	case step == "silence":
		_, err := io.Copy(io.Discard, p.in)
		return gone(err)
	case step == "tls":
		return p.secure()
	case step == "close":
		return p.conn.Close()
	}
	return errors.New("not a step")
}

// say ignores a client that has gone: what matters is what it said.
func (p *Player) say(octets string) error {
	_, err := io.WriteString(p.conn, octets)
	return gone(err)
}

func gone(err error) error {
	var closed *net.OpError
	if errors.As(err, &closed) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (p *Player) hear(want string) error {
	line, err := p.in.ReadString('\n')
	if err != nil {
		return fmt.Errorf("heard %q: %w", line, err)
	}
	if !strings.HasPrefix(strings.ToUpper(line), strings.ToUpper(want)) {
		return fmt.Errorf("heard %q", line)
	}
	return nil
}

func (p *Player) message() error {
	var m strings.Builder
	for {
		line, err := p.in.ReadString('\n')
		if err != nil {
			return err
		}
		m.WriteString(line)
		if line == ".\r\n" {
			p.Messages = append(p.Messages, m.String())
			return nil
		}
	}
}

// chunk hears a message that comes whole (RFC 3030 section 2).
func (p *Player) chunk() error {
	line, err := p.in.ReadString('\n')
	if err != nil {
		return fmt.Errorf("heard %q: %w", line, err)
	}
	var octets int
	if _, err := fmt.Sscanf(line, "BDAT %d LAST\r\n", &octets); err != nil {
		return fmt.Errorf("heard %q: %w", line, err)
	}
	m := make([]byte, octets)
	if _, err := io.ReadFull(p.in, m); err != nil {
		return err
	}
	p.Messages = append(p.Messages, string(m))
	return nil
}

// quiet fails when the client says something.
func (p *Player) quiet(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return err
	}
	if err := p.conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	if said, err := p.in.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("heard %q, %w", said, err)
	}
	return p.conn.SetReadDeadline(time.Time{})
}

func pauseFor(text string) error {
	d, err := time.ParseDuration(text)
	if err == nil {
		<-time.After(d)
	}
	return err
}

// secure begins TLS. A client that does not want to is the client's business.
func (p *Player) secure() error {
	t := tls.Server(p.conn, p.TLS)
	if err := t.Handshake(); err != nil {
		return nil
	}
	p.Heard.Reset() // it was ciphertext from the handshake on
	p.use(t)
	return nil
}

// Clean says what is wrong with the octets that a client wrote: a CR without
// LF, an LF without CR or a NUL. It returns nil when there is none.
func (p *Player) Clean() error {
	b := p.Heard.Bytes()
	for i, c := range b {
		switch {
		case c == 0, c == '\r' && (i+1 == len(b) || b[i+1] != '\n'), c == '\n' && (i == 0 || b[i-1] != '\r'):
			return fmt.Errorf("octet %d is %q, in %q", i, c, b[max(0, i-20):min(len(b), i+20)])
		}
	}
	return nil
}
