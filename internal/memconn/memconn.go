// Package memconn connects two sides of a test in memory, with buffers as a
// kernel has them. net.Pipe has none, so that pipelining deadlocks on it; a
// real socket stops the clock of testing/synctest. A Conn does neither.
package memconn

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Buffer is how many octets one direction of a Pipe holds before Write waits.
const Buffer = 64 << 10

// Addr is an address of nothing. It is used where the caller names none.
type Addr struct{}

// Network gives "memory".
func (Addr) Network() string { return "memory" }

func (Addr) String() string { return "memory" }

// A Conn is one end of a connection. Close and CloseWrite let the other end
// read what was written before, then io.EOF. It keeps the promises of net.Conn
// about deadlines and concurrent calls.
type Conn struct {
	in, out       *half
	local, remote net.Addr
}

// Pipe makes a connection and gives both of its ends. A nil address is Addr{}.
func Pipe(client, server net.Addr) (*Conn, *Conn) { return Narrow(Buffer, client, server) }

// Narrow is a Pipe of which each direction holds so many octets.
func Narrow(octets int, client, server net.Addr) (*Conn, *Conn) {
	if client == nil {
		client = Addr{}
	}
	if server == nil {
		server = Addr{}
	}
	up, down := newHalf(octets), newHalf(octets)
	return &Conn{down, up, client, server}, &Conn{up, down, server, client}
}

// Read waits until there is something to read, the other end is closed
// (io.EOF), or the deadline has passed (os.ErrDeadlineExceeded).
func (c *Conn) Read(p []byte) (int, error) { return c.in.read(p, true) }

// TryRead is Read that does not wait: os.ErrDeadlineExceeded when there is
// nothing to read.
func (c *Conn) TryRead(p []byte) (int, error) { return c.in.read(p, false) }

// Write waits while the buffer is full. It returns io.ErrClosedPipe when the
// other end is closed.
func (c *Conn) Write(p []byte) (int, error) { return c.out.write(p) }

// CloseWrite ends the direction from here to the other end.
func (c *Conn) CloseWrite() error { c.out.end(); return nil }

// Close ends both directions; octets that were not read here are lost.
func (c *Conn) Close() error {
	c.out.end()
	c.in.abandon()
	return nil
}

// LocalAddr gives the address of this end.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr gives the address of the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines; the zero time removes them.
func (c *Conn) SetDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.reader, t)
	c.out.setDeadline(&c.out.writer, t)
	return nil
}

// SetReadDeadline sets the deadline of Read, also of one that waits.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.reader, t)
	return nil
}

// SetWriteDeadline sets the deadline of Write, also of one that waits.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.writer, t)
	return nil
}

// half is one direction of a connection.
type half struct {
	mu             sync.Mutex
	change         *sync.Cond
	size           int // of buf at most
	buf            []byte
	ended          bool // nothing more will be written
	abandoned      bool // nothing more will be read
	reader, writer deadline
}

type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func newHalf(size int) *half {
	h := &half{size: size}
	h.change = sync.NewCond(&h.mu)
	return h
}

func (h *half) read(p []byte, wait bool) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.abandoned:
			return 0, net.ErrClosed
		case wait && h.reader.passed():
			return 0, os.ErrDeadlineExceeded
		case len(h.buf) > 0 || len(p) == 0:
			n := copy(p, h.buf)
			h.buf = h.buf[:copy(h.buf, h.buf[n:])]
			h.change.Broadcast()
			return n, nil
		case h.ended:
			return 0, io.EOF
		case !wait:
			return 0, os.ErrDeadlineExceeded
		}
		h.change.Wait()
	}
}

func (h *half) write(p []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.ended:
			return n, net.ErrClosed
		case h.abandoned:
			return n, io.ErrClosedPipe
		case h.writer.passed():
			return n, os.ErrDeadlineExceeded
		case len(p) == 0:
			return n, nil
		}
		if room := min(h.size-len(h.buf), len(p)); room > 0 {
			h.buf = append(h.buf, p[:room]...)
			n, p = n+room, p[room:]
			h.change.Broadcast()
			continue
		}
		h.change.Wait()
	}
}

func (h *half) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	h.stop(&h.writer)
	h.change.Broadcast()
}

func (h *half) abandon() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.abandoned = true
	h.buf = nil
	h.stop(&h.reader)
	h.change.Broadcast()
}

func (h *half) stop(d *deadline) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

func (h *half) setDeadline(d *deadline, t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d.at = t
	h.stop(d)
	if wait := time.Until(t); !t.IsZero() && wait > 0 && !h.abandoned {
		d.timer = time.AfterFunc(wait, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.change.Broadcast()
		})
	}
	h.change.Broadcast()
}

// A Listener is a net.Listener whose connections are made by Dial.
type Listener struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Listen makes a Listener. A nil address is Addr{}.
func Listen(addr net.Addr) *Listener {
	if addr == nil {
		addr = Addr{}
	}
	return &Listener{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects as if from the address given; nil is Addr{}. It waits until
// the connection is accepted, and returns net.ErrClosed when it never will be.
func (l *Listener) Dial(ctx context.Context, from net.Addr) (*Conn, error) {
	client, server := Pipe(from, l.addr)
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept gives the next connection, or net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial. Connections that were made live on.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr gives the address that Listen was given.
func (l *Listener) Addr() net.Addr { return l.addr }
