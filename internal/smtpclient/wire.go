package smtpclient

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// A wire is the connection below TLS. Each piece that it writes has a deadline
// of its own, so that a large message to a slow peer may take its time and a
// peer that takes nothing may not. While it is looking, Read does not wait.
// One goroutine may read while another writes.
type wire struct {
	net.Conn
	block   time.Duration // patience for one piece
	looking bool
	begun   time.Time
	until   atomic.Int64 // nanoseconds after begun: when patience ends altogether; 0: not at all
	deaf    atomic.Int64 // nanoseconds: the peer takes nothing more, and its last words may take so long

	// For a look at a socket; made once, used by one goroutine.
	socket syscall.RawConn
	try    func(fd uintptr) bool
	into   []byte
	n      int
	err    error
}

// piece is how much is written under one deadline, in octets.
const piece = 64 << 10

func newWire(c net.Conn, block time.Duration) *wire {
	w := &wire{Conn: c, block: block, begun: time.Now()}
	if s, ok := c.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			w.socket = raw
			w.try = func(fd uintptr) bool {
				w.n, w.err = syscall.Read(int(fd), w.into)
				return true
			}
		}
	}
	return w
}

func (w *wire) Read(p []byte) (int, error) {
	if w.looking {
		return w.look(p)
	}
	return w.Conn.Read(p)
}

func (w *wire) Write(p []byte) (n int, err error) {
	for {
		by := time.Now().Add(w.block)
		if until := w.until.Load(); until > 0 {
			if end := w.begun.Add(time.Duration(until)); end.Before(by) {
				by = end
			}
		}
		if err := w.SetWriteDeadline(by); err != nil {
			return n, err
		}
		m, err := w.Conn.Write(p[n:min(n+piece, len(p))])
		n += m
		if err != nil || n == len(p) {
			return n, err
		}
	}
}

// hurry limits the time for a whole message of so many octets.
func (w *wire) hurry(octets int64) {
	w.until.Store(int64(time.Since(w.begun) + w.block + time.Duration(octets/slowest)*time.Second))
}

// relax takes that limit back.
func (w *wire) relax() { w.until.Store(0) }

// slowest is how slowly a peer may take a message, in octets per second.
const slowest = 2 << 10

// wait sets the patience of Read.
func (w *wire) wait(patience time.Duration) error {
	err := w.SetReadDeadline(time.Now().Add(patience))
	if last := w.deaf.Load(); err == nil && last > 0 {
		err = w.SetReadDeadline(time.Now().Add(time.Duration(last)))
	}
	return err
}

// deafened cuts the patience of a Read that another goroutine is in, or will
// be, because this one could not write.
func (w *wire) deafened(patience time.Duration) {
	w.deaf.Store(int64(patience))
	_ = w.SetReadDeadline(time.Now().Add(patience)) // where it fails, so does Read
}

// look reads what is there, and gives os.ErrDeadlineExceeded when nothing is.
// crypto/tls takes that error for a passing one and goes on afterwards. A
// connection that cannot be asked without waiting is taken to be silent.
func (w *wire) look(p []byte) (int, error) {
	if t, ok := w.Conn.(interface{ TryRead([]byte) (int, error) }); ok {
		return t.TryRead(p)
	}
	if w.socket == nil || len(p) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	w.into = p
	if err := w.socket.Read(w.try); err != nil {
		return 0, err
	}
	w.into = nil
	switch {
	case errors.Is(w.err, syscall.EAGAIN) || errors.Is(w.err, syscall.EINTR):
		return 0, os.ErrDeadlineExceeded
	case w.err != nil:
		return 0, w.err
	case w.n == 0:
		return 0, io.EOF
	}
	return w.n, nil
}
