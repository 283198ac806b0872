package smtpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"homing/internal/reply"
)

// Replies to a connection that is one too many.
var (
	errTooMany      = reply.Errorf(421, reply.Enhanced{4, 3, 2}, "too many connections, please try again later")
	errTooManyThere = reply.Errorf(421, reply.Enhanced{4, 7, 0}, "too many connections from your address")
)

// A Server speaks SMTP or LMTP on the listeners that Serve is given. Make one
// with New. Its methods may be called from many goroutines.
type Server struct {
	backend Backend
	options atomic.Pointer[Options]
	open    *Census
	buffers sync.Pool // of *[largeBuffer]byte
}

// New makes a Server that asks b what to accept.
func New(o Options, b Backend) *Server {
	s := &Server{backend: b, open: NewCensus()}
	s.buffers.New = func() any { return new([largeBuffer]byte) }
	s.SetOptions(o)
	return s
}

// SetOptions changes the options of connections to come, all but Kind; those
// that are open keep theirs.
func (s *Server) SetOptions(o Options) {
	s.options.Store(o.withDefaults())
	s.open.wake() // the limit may be higher
}

// Serve accepts connections on l until ctx ends, and closes l. Then everyone
// who is not sending a message is told 421 4.3.2 at once, and the others when
// their message is answered, or when Options.Grace is over. It returns when all
// are gone: nil after an orderly stop, or the error of l. No goroutine outlives
// it, if the methods of Sessions return when their ctx ends. Listeners of one
// Server share its limits.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	// Dialogues end when they may, which is up to Grace after ctx.
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	o := s.options.Load()
	r := &run{
		backend: s.backend, census: s.open, work: work,
		edges: make(map[*edge]struct{}),
		gate:  gate{conns: make(chan net.Conn), closed: make(chan struct{}), addr: l.Addr()},
	}
	g := smtp.NewServer(goBackend{})
	g.Domain, g.LMTP, g.MaxLineLength = o.Hostname, o.Kind == LMTP, 0
	g.ErrorLog = goLog{o.Log}
	var dialogues sync.WaitGroup
	dialogues.Go(func() {
		if err := g.Serve(&r.gate); err != nil && !errors.Is(err, net.ErrClosed) {
			o.Log.Error("go-smtp gave up", "listener", o.Kind, "err", err)
		}
	})

	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		_ = l.Close() // Accept returns its error
		s.open.wake()
	})
	err := s.accept(ctx, l, r)
	if stop() {
		err = errors.Join(err, l.Close())
	} else {
		<-stopped
	}
	r.drain()
	// Every connection is closed, so this only waits for goroutines that are
	// on their way out.
	if e := g.Shutdown(context.WithoutCancel(ctx)); e != nil {
		err = errors.Join(err, fmt.Errorf("stopping go-smtp: %w", e))
	}
	dialogues.Wait()
	return err
}

// accept hands connections to go-smtp until ctx ends or l fails.
func (s *Server) accept(ctx context.Context, l net.Listener, r *run) error {
	log := s.options.Load().Log.With("listener", s.options.Load().Kind)
	return AcceptEach(ctx, l, log, s.awaitRoom, func(c net.Conn) { s.admit(c, r) })
}

// awaitRoom waits until another connection may be accepted, with the kinds that
// must not be refused.
func (s *Server) awaitRoom(ctx context.Context) {
	s.open.await(func() int {
		if o := s.options.Load(); o.Kind != SMTP {
			return o.MaxConnections
		}
		return 0
	}, func() bool { return ctx.Err() != nil })
}

// admit gives a connection an edge and hands it to go-smtp, or turns it away.
func (s *Server) admit(c net.Conn, r *run) {
	o := s.options.Load()
	limit := o.MaxConnections
	if o.Kind != SMTP {
		limit = 0 // awaitRoom was asked
	}
	switch s.open.Enter(c.RemoteAddr(), limit, o.MaxPerAddress) {
	case TooManyInAll:
		o.Metrics.connection(o.Kind, "total")
		turnAway(c, o, errTooMany)
	case TooManyFromThere:
		o.Metrics.connection(o.Kind, "address")
		turnAway(c, o, errTooManyThere)
	default:
		o.Metrics.open(o.Kind, 1)
		e := &edge{run: r, o: o, raw: c, conn: c, in: input{pool: &s.buffers}}
		e.who = Conn{Remote: c.RemoteAddr(), Local: c.LocalAddr(), Listener: r.gate.addr, UID: peerUID(c)}
		e.ctx, e.cancel = context.WithCancel(r.work)
		r.enter(e)
		r.gate.conns <- e
	}
}

// turnAway says why, which a new socket has room for, and closes.
func turnAway(c net.Conn, o *Options, why *reply.Error) {
	o.Log.Info("connection refused", "listener", o.Kind, "peer", c.RemoteAddr(), "code", why.Reply.Code, "status", why.Reply.Enhanced)
	if !o.ImplicitTLS {
		_ = c.SetWriteDeadline(o.Now().Add(firstPause)) // courtesy, as the next
		_, _ = c.Write(appendReply(nil, why.Reply))
	}
	_ = c.Close()
}

// run is one call of Serve.
type run struct {
	backend Backend
	census  *Census
	work    context.Context // of all dialogues; kept because go-smtp passes none
	gate    gate
	all     sync.WaitGroup

	mu    sync.Mutex
	edges map[*edge]struct{}
}

func (r *run) enter(e *edge) {
	r.all.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.edges[e] = struct{}{}
}

// forget is called when a connection is closed.
func (r *run) forget(e *edge) {
	r.mu.Lock()
	delete(r.edges, e)
	r.mu.Unlock()
	r.census.Leave(e.raw.RemoteAddr())
	e.o.Metrics.open(e.o.Kind, -1)
	r.all.Done()
}

// drain ends all connections and waits for them.
func (r *run) drain() {
	_ = r.gate.Close() // cannot fail
	var grace time.Duration
	r.each(func(e *edge) {
		e.stop()
		grace = max(grace, e.o.Grace)
	})
	t := time.AfterFunc(grace, func() { r.each((*edge).cut) })
	defer t.Stop()
	r.all.Wait()
}

func (r *run) each(f func(*edge)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for e := range r.edges {
		f(e)
	}
}

// gate is the listener that go-smtp sees.
type gate struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	addr   net.Addr
}

func (g *gate) Accept() (net.Conn, error) {
	select {
	case c := <-g.conns:
		return c, nil
	case <-g.closed:
		return nil, net.ErrClosed
	}
}

func (g *gate) Close() error {
	g.once.Do(func() { close(g.closed) })
	return nil
}

func (g *gate) Addr() net.Addr { return g.addr }

// goLog takes what go-smtp logs: panics that got as far as there.
type goLog struct{ log *slog.Logger }

func (l goLog) Printf(format string, v ...any) {
	l.log.Error("go-smtp failed", "err", fmt.Sprintf(format, v...))
}

func (l goLog) Println(v ...any) { l.log.Error("go-smtp failed", "err", fmt.Sprint(v...)) }
