// Package smtpclient speaks SMTP (RFC 5321) and LMTP (RFC 2033) as a client:
// pipelined, with a deadline for every step, bounded in what it takes and
// clean in what it writes.
package smtpclient

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"homing/internal/reply"
)

// Timeouts are how long each step may take (RFC 5321 section 4.5.3.2). A field
// that is zero has its default.
type Timeouts struct {
	Greeting time.Duration // 5 min
	Hello    time.Duration // 5 min: EHLO, STARTTLS, AUTH
	TLS      time.Duration // 1 min: the handshake
	Mail     time.Duration // 5 min
	Rcpt     time.Duration // 5 min
	Data     time.Duration // 2 min: until 354
	Block    time.Duration // 3 min: to write 64 KiB
	Dot      time.Duration // 10 min: until the answer to the final dot
	Reset    time.Duration // 1 min
	Quit     time.Duration // 2 s
}

func (t Timeouts) withDefaults() Timeouts {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	set(&t.Greeting, 5*time.Minute)
	set(&t.Hello, 5*time.Minute)
	set(&t.TLS, time.Minute)
	set(&t.Mail, 5*time.Minute)
	set(&t.Rcpt, 5*time.Minute)
	set(&t.Data, 2*time.Minute)
	set(&t.Block, 3*time.Minute)
	set(&t.Dot, 10*time.Minute)
	set(&t.Reset, time.Minute)
	set(&t.Quit, 2*time.Second)
	return t
}

// Options say how to speak to a peer.
type Options struct {
	Name         string // what we call ourselves in EHLO, HELO and LHLO
	Peer         string // what we call the peer in what we say of it: "mx.example.net[198.51.100.7]:25"
	LMTP         bool
	NoPipelining bool // wait for each reply, whatever the peer offers
	Window       int  // transactions in flight whole, where the peer offers what it takes; 0: none. Never over LMTP
	Timeouts     Timeouts
}

// An Outcome is what became of a step or of a recipient.
type Outcome struct {
	Stage reply.Stage
	Reply reply.Reply // what the peer said; with Ours, what we say in its place
	Ours  bool
	Cause error // for the log
}

// A Client is one dialogue. Its methods are for one goroutine, but Cut may be
// called from any. A method that returns an *Outcome returns nil when all went
// well.
type Client struct {
	o      Options
	wire   *wire
	in     *bufio.Reader
	out    *bufio.Writer
	to     io.Writer // below out: the wire, or TLS
	offers offers
	secure *tls.Conn // nil: no TLS
	begun  int       // transactions that had a reply to MAIL
	over   bool      // nothing more can be asked
	doubt  bool      // the end may have come from pipelining
	wholes int       // transactions that were sent whole
	sound  bool      // it was proven that their answers can be told apart
	astray error     // how the dialogue ended, if sending them so may be the cause
}

// bufferOut holds an ordinary message with the commands around it, so that
// they leave in one write.
const bufferOut = 16 << 10

// New makes a Client of a connection that was just opened.
func New(c net.Conn, o Options) *Client {
	o.Timeouts = o.Timeouts.withDefaults()
	w := newWire(c, o.Timeouts.Block)
	return &Client{o: o, wire: w, in: bufio.NewReaderSize(w, 4096), out: bufio.NewWriterSize(w, bufferOut), to: w}
}

// Peer is what Options called the peer.
func (c *Client) Peer() string { return c.o.Peer }

// TLS is the state of TLS; nil without.
func (c *Client) TLS() *tls.ConnectionState {
	if c.secure == nil {
		return nil
	}
	s := c.secure.ConnectionState()
	return &s
}

// Over reports whether the dialogue has ended: nothing more can be sent.
func (c *Client) Over() bool { return c.over }

// Doubtful reports whether the dialogue ended in a way that a peer explains
// which offers PIPELINING and cannot do it.
func (c *Client) Doubtful() bool { return c.doubt }

// Astray says how the dialogue ended, where a peer explains that to which
// transactions cannot be sent whole; nil otherwise.
func (c *Client) Astray() error { return c.astray }

// SetWindow changes Options.Window. The dialogue must be idle.
func (c *Client) SetWindow(n int) { c.o.Window = n }

// SetPeer changes Options.Peer: the same peer, by the name that it has for the
// mail to come. The dialogue must be idle.
func (c *Client) SetPeer(name string) { c.o.Peer = name }

// Offers reports whether the peer offers a service extension, such as
// "STARTTLS", in the dialogue that Hello began.
func (c *Client) Offers(keyword string) bool { return c.offers.has(keyword) }

// Hello reads the greeting and says EHLO, or HELO to a peer that refuses EHLO,
// or LHLO.
func (c *Client) Hello() *Outcome {
	r, failed := c.read(reply.Connect, c.o.Timeouts.Greeting)
	if failed != nil {
		return failed
	}
	if r.Code != 220 {
		return c.refused(reply.Connect, r)
	}
	return c.hello()
}

func (c *Client) hello() *Outcome {
	verb := "EHLO"
	if c.o.LMTP {
		verb = "LHLO"
	}
	r, failed := c.ask(reply.EHLO, c.o.Timeouts.Hello, verb, " ", c.o.Name)
	if failed != nil {
		return failed
	}
	c.offers = offers{}
	if r.Permanent() && !c.o.LMTP {
		r, failed = c.ask(reply.EHLO, c.o.Timeouts.Hello, "HELO ", c.o.Name)
		if failed != nil {
			return failed
		}
	} else if r.Positive() {
		c.offers = parseOffers(r.Text)
	}
	if !r.Positive() {
		return c.refused(reply.EHLO, r)
	}
	return nil
}

// StartTLS asks for TLS and begins the dialogue anew inside it. Where the peer
// refuses to, its reply is the Outcome and the dialogue goes on without; after
// a failure of TLS itself, which is Ours, it is Over.
func (c *Client) StartTLS(cfg *tls.Config) *Outcome {
	r, failed := c.ask(reply.STARTTLS, c.o.Timeouts.Hello, "STARTTLS")
	if failed != nil {
		return failed
	}
	if r.Code != 220 {
		c.over = c.over || r.Code == 421
		return &Outcome{Stage: reply.STARTTLS, Reply: r}
	}
	// What was sent ahead of TLS must not be read as if it came inside it.
	if failed := c.quiet(reply.STARTTLS); failed != nil {
		return failed
	}
	if failed := c.Handshake(cfg); failed != nil {
		return failed
	}
	return c.hello()
}

// Handshake begins TLS at once. Before Hello it is the TLS of port 465.
func (c *Client) Handshake(cfg *tls.Config) *Outcome {
	t := tls.Client(c.wire, cfg)
	if err := c.wire.SetReadDeadline(time.Now().Add(c.o.Timeouts.TLS)); err != nil {
		return c.lost(reply.STARTTLS, err)
	}
	if err := t.Handshake(); err != nil {
		c.over = true
		why := fmt.Sprintf("TLS with %s failed: %s", c.o.Peer, tlsText(err))
		return &Outcome{Stage: reply.STARTTLS, Ours: true, Cause: err,
			Reply: reply.Reply{Code: 454, Enhanced: reply.Enhanced{4, 7, 5}, Text: why}}
	}
	c.secure = t
	c.in.Reset(t)
	c.out.Reset(t)
	c.to = t
	return nil
}

// tlsText says why a handshake failed, without what only programs want.
func tlsText(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, io.EOF):
		return "connection closed"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timed out"
	}
	return clean([]byte(err.Error()))
}

// Quit ends the dialogue in good manners, waiting a moment for the answer, and
// closes the connection.
func (c *Client) Quit() {
	defer c.Cut()
	if c.over {
		return
	}
	c.over = true
	c.wire.block = c.o.Timeouts.Quit
	c.out.WriteString("QUIT\r\n")
	if c.out.Flush() == nil && c.wire.SetReadDeadline(time.Now().Add(c.o.Timeouts.Quit)) == nil {
		readReply(c.in) // whatever it says
	}
}

// Cut closes the connection. A step that is running ends with an Outcome.
func (c *Client) Cut() { c.wire.Conn.Close() }

// Quiet looks at an idle connection and reports whether it can still be used:
// a peer that has closed it, or said something unasked, has ended it.
func (c *Client) Quiet() bool { return !c.over && c.quiet(reply.MAIL) == nil }

// quiet ends the dialogue when the peer said something that nothing asked for:
// every later reply would be taken for the answer to the wrong command.
func (c *Client) quiet(s reply.Stage) *Outcome {
	line, err := c.unasked()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	case err != nil:
		return c.lost(s, err)
	}
	c.over = true
	if strings.HasPrefix(string(line), "421") && c.wire.SetReadDeadline(time.Now().Add(c.o.Timeouts.Quit)) == nil {
		if r, err := readReply(c.in); err == nil {
			return &Outcome{Stage: s, Reply: r}
		}
	}
	return c.broke(s, fmt.Errorf("%w: unasked: %q", ErrProtocol, line))
}

// unasked gives the beginning of what the peer has said that was not read yet,
// or os.ErrDeadlineExceeded when that is nothing.
func (c *Client) unasked() ([]byte, error) {
	if c.in.Buffered() == 0 {
		if err := c.wire.SetReadDeadline(time.Time{}); err != nil {
			return nil, err
		}
		c.wire.looking = true
		_, err := c.in.Peek(1)
		c.wire.looking = false
		if err != nil {
			return nil, err
		}
	}
	return c.in.Peek(min(c.in.Buffered(), 60))
}

// ask sends one command and reads its reply.
func (c *Client) ask(s reply.Stage, patience time.Duration, command ...string) (reply.Reply, *Outcome) {
	if failed := c.quiet(s); failed != nil {
		return reply.Reply{}, failed
	}
	c.put(command...)
	return c.read(s, patience)
}

// put buffers a command line. An error of writing comes back in read.
func (c *Client) put(command ...string) {
	for _, s := range command {
		c.out.WriteString(s)
	}
	c.out.WriteString("\r\n")
}

// read sends what is buffered and reads one reply.
func (c *Client) read(s reply.Stage, patience time.Duration) (reply.Reply, *Outcome) {
	if err := c.out.Flush(); err != nil {
		return reply.Reply{}, c.lastWords(s, err)
	}
	if err := c.wire.wait(patience); err != nil {
		return reply.Reply{}, c.lost(s, err)
	}
	r, err := readReply(c.in)
	switch {
	case errors.Is(err, ErrProtocol):
		return r, c.broke(s, err)
	case err != nil:
		return r, c.lost(s, err)
	}
	c.over = c.over || r.Code == 421
	return r, nil
}

// lastWords gives what a peer said before it stopped taking what we write, or
// else that it is lost.
func (c *Client) lastWords(s reply.Stage, err error) *Outcome {
	if c.wire.SetReadDeadline(time.Now().Add(c.o.Timeouts.Quit)) == nil {
		if r, e := readReply(c.in); e == nil && (r.Temporary() || r.Permanent()) {
			c.over = true
			return &Outcome{Stage: s, Reply: r, Cause: err}
		}
	}
	return c.lost(s, err)
}

// refused is the end of a dialogue by a reply of the peer.
func (c *Client) refused(s reply.Stage, r reply.Reply) *Outcome {
	if !r.Temporary() && !r.Permanent() {
		return c.broke(s, fmt.Errorf("%w: %d to %s", ErrProtocol, r.Code, s))
	}
	c.over = c.over || r.Code == 421
	return &Outcome{Stage: s, Reply: r}
}

// lost is the end of a dialogue with nobody there any more.
func (c *Client) lost(s reply.Stage, err error) *Outcome {
	c.over = true
	text := fmt.Sprintf("connection to %s was lost %s", c.o.Peer, at(s))
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		text = fmt.Sprintf("%s took too long %s", c.o.Peer, at(s))
	}
	return &Outcome{Stage: s, Ours: true, Cause: err,
		Reply: reply.Reply{Code: 451, Enhanced: reply.Enhanced{4, 4, 2}, Text: text}}
}

// at says in words where a dialogue was.
func at(s reply.Stage) string {
	switch s {
	case reply.Connect:
		return "before its greeting"
	case reply.Dot:
		return "after the whole message was sent, which it may have accepted"
	}
	return "at " + strings.ToUpper(string(s))
}

// broke is the end of a dialogue with a peer that does not speak SMTP.
func (c *Client) broke(s reply.Stage, err error) *Outcome {
	c.over = true
	if c.wholes > 0 && c.astray == nil {
		c.astray = err
	}
	why := strings.TrimPrefix(err.Error(), ErrProtocol.Error()+": ")
	return &Outcome{Stage: s, Ours: true, Cause: err, Reply: reply.Reply{Code: 451, Enhanced: reply.Enhanced{4, 5, 0},
		Text: fmt.Sprintf("protocol error by %s: %s", c.o.Peer, why)}}
}
