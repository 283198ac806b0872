package smtpd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"homing/internal/reply"
)

const (
	maxCommand  = 2000    // octets of a command line with its CR LF
	maxSASLLine = 12288   // the same for AUTH (RFC 4954 section 4)
	maxDiscard  = 1 << 20 // of one line that is too long; more ends the connection

	slack       = time.Minute     // of a message, before MinRate counts
	partingTime = 5 * time.Second // for the last reply
	lingerTime  = time.Second     // for a peer that is still sending to read it
	lingerSize  = 1 << 20
)

// Reasons for which a dialogue ends; what a peer is told at the end.
var (
	errStopping = reply.Errorf(421, reply.Enhanced{4, 3, 2}, "server is shutting down, please try again")
	errIdle     = reply.Errorf(421, reply.Enhanced{4, 4, 2}, "waited too long, please try again")
	errFault    = reply.Errorf(421, reply.Enhanced{4, 3, 0}, "local error, please try again")
	errErrors   = reply.Errorf(421, reply.Enhanced{4, 7, 0}, "too many errors")
)

// errLost is no reply: nobody hears us any more.
var errLost = errors.New("smtpd: connection lost")

// What is wrong with a line that is no command.
var (
	errLong = reply.Errorf(500, reply.Enhanced{5, 5, 2}, "line is too long")
	errLine = reply.Errorf(500, reply.Enhanced{5, 5, 2}, "line holds a bare CR or LF or a NUL; lines end in CR LF")
	// RFC 4954 section 4.
	errLongSASL = reply.Errorf(500, reply.Enhanced{5, 5, 6}, "authentication exchange line is too long")
)

// An edge is the net.Conn that go-smtp sees. go-smtp keeps the dialogue and
// calls back (see dialogue); the edge owns octets, lines, time and the words
// that are said. No octet of the peer reaches go-smtp but the name in EHLO: it
// reads one line of a few fixed ones at a time, each of which is in order and
// well formed, and what it writes is compared with what the edge has said and
// then dropped. So none of its own limits can show. TLS begins below it, and
// the message is read past it.
//
// All methods but stop and cut are called from one goroutine, that of go-smtp.
type edge struct {
	run  *run
	o    *Options
	raw  net.Conn // the socket; deadlines are set here
	conn net.Conn // raw, or TLS over it
	who  Conn

	// ctx is that of the connection. It is kept because go-smtp calls back
	// without one.
	ctx    context.Context
	cancel context.CancelFunc

	in   input
	out  []byte // what is said when we have to wait for the peer
	pend string // what go-smtp has still to read

	// expect is the first digit of what go-smtp must say next: 0 is nothing.
	expect byte
	opened bool // the greeting was said, or refused
	ended  bool // nothing more is read or said
	closed bool

	talk
	pace

	mu       sync.Mutex
	message  bool // the peer may take until Grace is over
	stopping bool // nothing but messages is waited for
	cutOff   bool // nothing is
}

// pace measures how fast a message comes.
type pace struct {
	got    int64 // octets
	waited time.Duration
}

// Read gives go-smtp its next line, and carries out all commands before it
// that go-smtp need not know.
func (e *edge) Read(p []byte) (int, error) {
	defer e.rescue()
	for e.pend == "" {
		if e.ended {
			return 0, io.EOF
		}
		e.pend = e.nextCommand()
	}
	n := copy(p, e.pend)
	e.pend = e.pend[n:]
	return n, nil
}

// Write is told what go-smtp says. The first thing is its greeting.
func (e *edge) Write(p []byte) (int, error) {
	defer e.rescue()
	switch {
	case e.ended:
	case !e.opened:
		e.open()
	case len(p) == 0 || p[0] != e.expect:
		e.fault("go-smtp disagrees", fmt.Sprintf("%.80q, want %q", p, e.expect))
	}
	return len(p), nil
}

// Close ends the Session and the connection.
func (e *edge) Close() error {
	if e.closed {
		return nil
	}
	e.closed = true
	defer e.run.forget(e)
	e.hangUp(nil)
	e.endSession()
	e.in.release()
	err := e.conn.Close()
	if e.conn != e.raw {
		_ = e.raw.Close() // TLS may have failed to say goodbye
	}
	return err
}

func (e *edge) LocalAddr() net.Addr              { return e.who.Local }
func (e *edge) RemoteAddr() net.Addr             { return e.who.Remote }
func (e *edge) SetDeadline(time.Time) error      { return nil } // time is the edge's
func (e *edge) SetReadDeadline(time.Time) error  { return nil }
func (e *edge) SetWriteDeadline(time.Time) error { return nil }

// stop ends the connection as soon as no message is under way.
func (e *edge) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopping = true
	if !e.message {
		_ = e.raw.SetReadDeadline(time.Unix(1, 0)) // fails only where nobody waits any more
	}
}

// cut ends the connection now.
func (e *edge) cut() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopping, e.cutOff = true, true
	_ = e.raw.SetDeadline(time.Unix(1, 0)) // as above
	e.cancel()
}

// arm sets until when the peer may keep us waiting. It returns errStopping
// where we are not to wait at all.
func (e *edge) arm(until time.Time, message bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cutOff || e.stopping && !message {
		return errStopping
	}
	e.message = message
	return e.raw.SetDeadline(until)
}

// halted says whether no further command is to be carried out.
func (e *edge) halted(message bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cutOff || e.stopping && !message
}

// messageEnds says that no message is under way any more.
func (e *edge) messageEnds() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.message = false
}

// fill waits for octets of the peer. Before it waits, it says what there is to
// say, so that nobody waits for the other. The error ends the dialogue.
func (e *edge) fill(until time.Time, message bool) error {
	if err := e.arm(until, message); err != nil {
		return e.broken(err)
	}
	if err := e.flush(); err != nil {
		return e.broken(err)
	}
	n, err := e.conn.Read(e.in.room(message))
	e.in.filled(n)
	if n > 0 || err == nil {
		return nil
	}
	return e.broken(err)
}

// speak says what there is to say, though we do not wait for the peer.
func (e *edge) speak() error {
	err := e.arm(e.o.Now().Add(e.o.IdleTimeout), true)
	if err == nil {
		err = e.flush()
	}
	if err != nil {
		return e.broken(err)
	}
	return nil
}

// broken says what an error of the connection means. The connection is dead by
// then, so the calls of the Session are cancelled.
func (e *edge) broken(err error) error {
	e.cancel()
	switch {
	case errors.Is(err, errStopping), errors.Is(err, os.ErrDeadlineExceeded) && e.halted(false):
		return errStopping
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errIdle
	case err == io.EOF:
		err = io.ErrUnexpectedEOF // the end of a connection is not that of a message
	}
	return fmt.Errorf("%w: %w", errLost, err)
}

// window makes the edge a source of the running message.
func (e *edge) window(n int) ([]byte, error) {
	for len(e.in.unread()) < n {
		if err := e.fillMessage(); err != nil {
			return nil, err
		}
	}
	return e.in.unread(), nil
}

func (e *edge) advance(n int) { e.in.advance(n) }

// fillMessage waits for more of a message, no longer than its pace allows. Our
// own time between two calls is not the peer's fault.
func (e *edge) fillMessage() error {
	start, had := e.o.Now(), len(e.in.unread())
	patience := e.o.IdleTimeout
	if rate := int64(e.o.MinRate); rate > 0 {
		allowed := slack + time.Duration(e.got/rate)*time.Second
		patience = min(patience, allowed-e.waited)
	}
	if e.got > 0 {
		acknowledge(e.raw) // who writes a message in pieces may wait for that
	}
	err := e.fill(start.Add(patience), true)
	e.waited += e.o.Now().Sub(start)
	e.got += int64(len(e.in.unread()) - had)
	return err
}

// line gives the next line without its CR LF. Only CR LF ends a line: what
// stands before and behind a bare LF, up to the next CR LF, is refused piece
// by piece, and of a line that is too long nothing is read as another command.
// An errLong, errLongSASL or errLine is an answer; every other error ends the
// dialogue. The octets live until the next fill.
func (e *edge) line(sasl, message bool) ([]byte, error) {
	if e.halted(message) {
		return nil, e.broken(errStopping)
	}
	var until time.Time
	searched, discarded := 0, 0
	for {
		w := e.in.unread()
		if i := bytes.IndexByte(w[searched:], '\n'); i >= 0 {
			line := w[:searched+i+1]
			e.in.advance(len(line))
			ends := bytes.HasSuffix(line, crlf)
			if discarded == 0 && len(line) <= limitOf(line, sasl) {
				return e.checkLine(line, ends)
			}
			if discarded += len(line); ends {
				e.tainted = false
				return nil, tooLong(sasl)
			}
			searched = 0
			continue
		}
		if searched = len(w); searched > 0 && (discarded > 0 || searched > limitOf(w, sasl)) {
			// The last octet may be the CR that makes a LF an end.
			discarded += searched - 1
			e.in.advance(searched - 1)
			searched = 0
		}
		if discarded > maxDiscard {
			return nil, errErrors
		}
		if until.IsZero() {
			until = e.commandUntil()
		}
		if err := e.fill(until, message); err != nil {
			return nil, err
		}
	}
}

// commandUntil says until when the next command may come as a whole.
func (e *edge) commandUntil() time.Time {
	if e.state == connected {
		return e.since.Add(e.o.HelloTimeout)
	}
	return e.o.Now().Add(e.o.IdleTimeout)
}

func limitOf(line []byte, sasl bool) int {
	if sasl || len(line) >= 5 && bytes.EqualFold(line[:5], []byte("AUTH ")) {
		return maxSASLLine
	}
	return maxCommand
}

func tooLong(sasl bool) error {
	if sasl {
		return errLongSASL
	}
	return errLong
}

// checkLine gives a line without its CR LF, or errLine.
func (e *edge) checkLine(line []byte, ends bool) ([]byte, error) {
	tainted := e.tainted
	e.tainted = !ends
	if !ends || tainted {
		return nil, errLine
	}
	line = line[:len(line)-2]
	if bytes.IndexByte(line, '\r') >= 0 || bytes.IndexByte(line, 0) >= 0 {
		return nil, errLine
	}
	return line, nil
}

// say keeps a reply until we have to wait for the peer. A 421 ends the
// dialogue (RFC 5321 section 3.8).
func (e *edge) say(r reply.Reply) {
	e.out = appendReply(e.out, r)
	if r.Code == 421 {
		e.hangUp(nil)
	}
}

func (e *edge) flush() error {
	if len(e.out) == 0 {
		return nil
	}
	_, err := e.conn.Write(e.out)
	if e.out = e.out[:0]; cap(e.out) > maxCommand {
		e.out = nil
	}
	return err
}

// hangUp ends the dialogue. It says err where that is a reply, and nothing
// where it is an error of the connection or nil.
func (e *edge) hangUp(err error) {
	if e.ended {
		return
	}
	e.ended = true
	e.cancel()
	if r, ok := errors.AsType[*reply.Error](err); ok {
		e.out = appendReply(e.out, r.Reply)
	}
	e.mu.Lock()
	sending := e.message || len(e.in.unread()) > 0
	e.mu.Unlock()
	if len(e.out) == 0 {
		return
	}
	_ = e.raw.SetWriteDeadline(e.o.Now().Add(partingTime)) // if it fails, so does flush
	if err := e.flush(); err == nil && sending {
		e.linger()
	}
}

// linger lets a peer that is still sending read our last words: closing a
// socket with octets unread makes its kernel throw them away.
func (e *edge) linger() {
	half, ok := e.raw.(interface{ CloseWrite() error })
	if !ok {
		return
	}
	if c, ok := e.conn.(interface{ CloseWrite() error }); ok && e.conn != e.raw {
		_ = c.CloseWrite() // courtesy, as all that follows
	}
	_ = half.CloseWrite()
	_ = e.raw.SetReadDeadline(e.o.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, e.raw, lingerSize)
}

// fault ends a dialogue in which we made a mistake.
func (e *edge) fault(what string, detail any) {
	e.o.Metrics.fault(e.o.Kind)
	e.o.Log.Error(what, "listener", e.o.Kind, "peer", e.who.Remote, "err", detail)
	e.hangUp(errFault)
}

// rescue is deferred where a panic would end the process.
func (e *edge) rescue() {
	if p := recover(); p != nil {
		e.fault("dialogue panicked", fmt.Sprintf("%v\n%s", p, debug.Stack()))
	}
}
