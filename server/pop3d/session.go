package pop3d

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Limits of a dialogue.
const (
	maxLine   = 4096 // octets, for a response to AUTH; commands have 255 (RFC 2449 section 4)
	maxErrors = 10   // commands that were refused, wrong passwords included
	grace     = 5 * time.Second
)

// A session is one connection: at first nobody (AUTHORIZATION), then with a
// mailbox (TRANSACTION), which QUIT brings up to date (UPDATE).
type session struct {
	*Server
	ctx    context.Context // of the whole session; kept because deadlines go by it
	way    Way
	conn   net.Conn
	in     *bufio.Reader
	out    *bufio.Writer
	began  time.Time // when it could be talked over
	secure bool
	user   string // that USER has named
	box    *box   // nil: nobody has logged in
	errors int
}

// Errors that end a session.
var (
	errDone    = errors.New("pop3d: the session is over, and the client knows")
	errTooLong = errors.New("pop3d: a line is too long")
	errEnough  = errors.New("pop3d: too many mistakes")
)

// serve speaks with one client until one of the two has enough.
func (s *Server) serve(ctx context.Context, c net.Conn, way Way) {
	d := &session{Server: s, ctx: ctx, way: way, conn: c}
	// Whoever waits for a command waits no longer, once the server stops.
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Now()) })
	defer stop()
	defer func() { _ = d.conn.Close() }()
	defer d.leave()
	d.use(c)
	if way.Implicit {
		if err := d.handshake(); err != nil {
			return
		}
	}
	d.ok("POP3 server %s ready", s.o.Hostname)
	err := d.converse()
	switch {
	case errors.Is(err, errDone):
	case ctx.Err() != nil:
		d.fail("SYS/TEMP", "the server stops")
	case errors.Is(err, errEnough):
		d.fail("", "too many mistakes")
	case errors.Is(err, errTooLong):
		d.fail("", "the line is too long")
	}
	_ = d.out.Flush() // whoever is gone is gone
}

// leave lets others have the mailbox.
func (d *session) leave() {
	if d.box != nil {
		d.giveBack(d.box.Dir)
		d.box = nil
	}
}

// use reads and writes over a connection from now on.
func (d *session) use(c net.Conn) {
	d.conn, d.began = c, time.Now()
	d.in, d.out = bufio.NewReaderSize(c, maxLine), bufio.NewWriter(patient{d})
}

// patient writes with a deadline of its own for each few KiB.
type patient struct{ d *session }

func (p patient) Write(b []byte) (int, error) {
	limit := p.d.o.WriteTimeout
	if p.d.ctx.Err() != nil {
		limit = min(limit, grace)
	}
	if err := p.d.conn.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return 0, err
	}
	return p.d.conn.Write(b)
}

// converse carries out one command after the other. Answers to commands that
// came together go out together (PIPELINING, RFC 2449 section 6.6).
func (d *session) converse() error {
	for {
		line, err := d.line()
		if err != nil {
			return err
		}
		if err := d.obey(line); err != nil {
			return err
		}
		if d.errors > maxErrors {
			return errEnough
		}
	}
}

// line reads a line, without its end. It is good until the next read.
func (d *session) line() ([]byte, error) {
	if there, _ := d.in.Peek(d.in.Buffered()); bytes.IndexByte(there, '\n') < 0 {
		if err := d.out.Flush(); err != nil {
			return nil, err
		}
	}
	deadline := d.began.Add(d.o.LoginTimeout)
	if d.box != nil {
		deadline = time.Now().Add(d.o.IdleTimeout)
	}
	if err := d.conn.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	if err := d.ctx.Err(); err != nil {
		return nil, err
	}
	line, err := d.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, errTooLong
	case err != nil:
		return nil, err
	}
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, nil
}

// A verb says when a command may be given, and what it does. Its error ends
// the session.
type verb struct {
	before, after bool // before somebody has logged in, and after
	run           func(d *session, c command) error
}

var verbs = map[string]verb{
	"CAPA": {true, true, (*session).capa},
	"QUIT": {true, true, (*session).quit},
	"STLS": {true, false, (*session).stls},
	"USER": {true, false, (*session).userCommand},
	"PASS": {true, false, (*session).pass},
	"AUTH": {true, false, (*session).auth},
	"NOOP": {false, true, (*session).noop},
	"STAT": {false, true, (*session).stat},
	"LIST": {false, true, (*session).list},
	"UIDL": {false, true, (*session).uidl},
	"RETR": {false, true, (*session).retr},
	"TOP":  {false, true, (*session).top},
	"DELE": {false, true, (*session).dele},
	"RSET": {false, true, (*session).rset},
}

func (d *session) obey(line []byte) error {
	c, err := parse(line)
	if err != nil {
		d.fail("", err.Error())
		return nil
	}
	v, known := verbs[c.verb]
	switch {
	case !known:
		d.fail("", "there is no such command here; CAPA lists what there is")
	case d.box == nil && !v.before:
		d.fail("", "log in first")
	case d.box != nil && !v.after:
		d.fail("", "you are logged in already")
	default:
		return v.run(d, c)
	}
	return nil
}

// ok says yes, in one line.
func (d *session) ok(format string, args ...any) { d.say("+OK "+format, args...) }

// fail says no, with a response code (RFC 2449 section 8) where there is one
// that fits, and counts it.
func (d *session) fail(code, text string) {
	d.errors++
	if code != "" {
		text = "[" + code + "] " + text
	}
	d.say("-ERR %s", text)
}

func (d *session) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\r\n", args...) }

// capa lists what this server can, now (RFC 2449 section 5).
func (d *session) capa(command) error {
	d.ok("what this server can")
	for _, c := range []string{"TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING"} {
		d.say("%s", c)
	}
	if d.box == nil && d.mayLogIn() {
		d.say("USER")
		d.say("SASL PLAIN")
	}
	if d.box == nil && d.mayStartTLS() {
		d.say("STLS")
	}
	if d.box != nil && d.box.Keep > 0 {
		d.say("EXPIRE %d", int(d.box.Keep/(24*time.Hour)))
	}
	d.say(".")
	return nil
}

func (d *session) mayLogIn() bool { return d.secure || d.way.Safe }

func (d *session) mayStartTLS() bool { return d.way.TLS != nil && !d.secure }

// stls begins TLS (RFC 2595 section 4). What came before counts no more.
func (d *session) stls(command) error {
	if !d.mayStartTLS() {
		d.fail("", "TLS is not offered here, or in use already")
		return nil
	}
	if d.in.Buffered() > 0 {
		// Somebody on the way may have put it there, to be carried out as if it
		// had come inside TLS.
		d.o.Log.Warn("octets behind STLS", "listener", "pop3", "peer", d.conn.RemoteAddr())
		d.fail("", "nothing may follow STLS")
		return errDone
	}
	d.ok("begin TLS")
	if err := d.out.Flush(); err != nil {
		return err
	}
	d.user = ""
	return d.handshake()
}

// handshake puts TLS on the connection.
func (d *session) handshake() error {
	c := tls.Server(d.conn, d.way.TLS)
	ctx, cancel := context.WithTimeout(d.ctx, d.o.LoginTimeout)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		d.o.Metrics.connection("tls")
		d.o.Log.Info("handshake failed", "listener", "pop3", "peer", d.conn.RemoteAddr(), "err", err)
		d.out = bufio.NewWriter(io.Discard) // nothing that we could say would be understood
		return err
	}
	d.use(c)
	d.secure = true
	return nil
}
