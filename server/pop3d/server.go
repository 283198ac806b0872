// Package pop3d lets software that can only poll fetch its mail: it serves
// Maildirs over POP3 (RFC 1939, 2449, 2595, 3206, 5034). Whose Maildir it is,
// and with which password, the Backend says.
package pop3d

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"homing/internal/maildir"
	"homing/server/smtpd"
)

// A Backend knows who may read what. Its method may be called from many
// goroutines.
type Backend interface {
	// Login gives the mailbox of a user. ErrLogin: no user has this name and
	// password; a Refusal: he has, and there is nothing to read for him. Any
	// other error is ours.
	Login(user, password string) (Mailbox, error)
}

// ErrLogin says that no user has this name and password.
var ErrLogin = errors.New("pop3d: user name or password is wrong")

// A Refusal says why somebody who gave the right password gets no mailbox, and
// what to do.
type Refusal struct{ Text string }

func (r *Refusal) Error() string { return r.Text }

// A Mailbox is what a user may read and empty.
type Mailbox struct {
	Name string // for the log
	Dir  maildir.Dir
	Keep time.Duration // messages older than this may be gone, read or not; 0: they stay
	// Settle is how old a message is before it is shown. What puts it there
	// would put it there again, if it was deleted and a crash made it forget
	// what it had done.
	Settle time.Duration
}

// A Way is how safe the connections of a listener are.
type Way struct {
	TLS      *tls.Config // nil: no STLS
	Implicit bool        // TLS begins with the connection (RFC 8314)
	Safe     bool        // passwords may come without TLS, as over loopback
}

// Options are what a Server is made of. The zero value of a limit is the
// default that its comment names.
type Options struct {
	Hostname string // in the greeting
	Limiter  *smtpd.AuthLimiter

	MaxConnections, MaxPerAddress int // 0 is no limit

	LoginTimeout time.Duration // until somebody has logged in, and for TLS to begin: 0 is 1 min
	IdleTimeout  time.Duration // for one command afterwards: 0 is 10 min, the least of RFC 1939 section 3
	WriteTimeout time.Duration // for a few KiB to be taken: 0 is 1 min

	Log     *slog.Logger // nil discards
	Metrics *Metrics     // nil counts nothing
}

// A Server speaks POP3 on the listeners that Serve is given. Nobody opens a
// mailbox that is open already, on whichever of them. Its methods may be called
// from many goroutines.
type Server struct {
	o       Options
	backend Backend
	open    *smtpd.Census

	mu    sync.Mutex
	taken map[maildir.Dir]bool // mailboxes that somebody has open
}

// New makes a Server.
func New(o Options, b Backend) *Server {
	o.LoginTimeout = cmp.Or(o.LoginTimeout, time.Minute)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 10*time.Minute)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, time.Minute)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	return &Server{o: o, backend: b, open: smtpd.NewCensus(), taken: map[maildir.Dir]bool{}}
}

// Serve accepts connections on l until ctx ends, and closes l. It returns when
// all are gone: nil after an orderly stop, or the error of l. Whoever has not
// said QUIT by then has deleted nothing.
func (s *Server) Serve(ctx context.Context, l net.Listener, way Way) error {
	var sessions sync.WaitGroup
	closed := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { closed <- l.Close() })
	err := smtpd.AcceptEach(ctx, l, s.o.Log.With("listener", "pop3"), func(context.Context) {}, func(c net.Conn) {
		if s.admit(c, way) {
			sessions.Go(func() {
				defer s.open.Leave(c.RemoteAddr())
				s.serve(ctx, c, way)
			})
		}
	})
	if stop() {
		err = errors.Join(err, l.Close())
	} else if e := <-closed; e != nil && !errors.Is(e, net.ErrClosed) {
		err = errors.Join(err, e)
	}
	sessions.Wait()
	return err
}

// admit counts a connection, or turns it away.
func (s *Server) admit(c net.Conn, way Way) bool {
	verdict := s.open.Enter(c.RemoteAddr(), s.o.MaxConnections, s.o.MaxPerAddress)
	if verdict == smtpd.Admitted {
		s.o.Metrics.connection("admitted")
		return true
	}
	outcome, why := "total", "-ERR [SYS/TEMP] too many connections, please try again later\r\n"
	if verdict == smtpd.TooManyFromThere {
		outcome, why = "address", "-ERR [SYS/TEMP] too many connections from your address\r\n"
	}
	s.o.Metrics.connection(outcome)
	s.o.Log.Info("connection refused", "listener", "pop3", "peer", c.RemoteAddr(), "outcome", outcome)
	if !way.Implicit {
		_ = c.SetWriteDeadline(time.Now().Add(courtesy)) // a new socket has room for it
		_, _ = c.Write([]byte(why))
	}
	_ = c.Close()
	return false
}

// courtesy is how long somebody who is turned away may take to be told why.
const courtesy = 5 * time.Millisecond

// take takes a mailbox for one session, unless another one has it.
func (s *Server) take(d maildir.Dir) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[d] {
		return false
	}
	s.taken[d] = true
	return true
}

func (s *Server) giveBack(d maildir.Dir) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.taken, d)
}
