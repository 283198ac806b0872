// Package source takes the mail of a folder that another server keeps, over
// IMAP (RFC 3501, RFC 9051): it is told of new mail (IDLE, RFC 2177), hands each
// over once, and moves it out of the folder when that is durable.
package source

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
)

// Security is how a connection is encrypted.
type Security string

// The kinds of security. Plain is for loopback: the password goes as it is.
const (
	Implicit Security = "implicit" // TLS from the first octet (RFC 8314)
	StartTLS Security = "starttls" // and never anything before it but that
	Plain    Security = "none"
)

// A Taker takes mail. Its methods may be called from many goroutines.
type Taker interface {
	// Take takes a mail under a name. It is durable when Take returns nil; one
	// that was taken under its name before changes nothing. An error whose
	// reply is permanent will not go away.
	Take(ctx context.Context, name string, r io.Reader) error
	// Taken gives the names under which mail was taken.
	Taken(ctx context.Context) ([]string, error)
	// Forget forgets names.
	Forget(ctx context.Context, names ...string) error
}

// Config is what a Source is made of.
type Config struct {
	Name     string // for people, logs and metrics: "civi@example.org/CiviMail"
	Address  string // host and port
	Security Security
	TLS      *tls.Config // nil: the authorities that this system trusts

	Username, Password string

	Folder  string // whose mail is taken
	Done    string // where it goes then; made where it is missing
	Ignored string // where mail goes that will never be taken; made as well

	MaxSize int64 // octets of a mail; what is larger is not even fetched. 0: any number
	Taker   Taker
	// Dial connects; nil is a net.Dialer, whose keep-alives notice that the
	// other side, or a NAT on the way, has forgotten us.
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	Log     *slog.Logger
	Metrics *Metrics
}

// A Source takes mail while Run runs.
type Source struct {
	c     Config
	later map[mark]retry // mail that could not be taken or moved; of Run alone

	mu     sync.Mutex
	status Status
}

// A mark names a mail in a folder for good (RFC 9051 section 2.3.1.1).
type mark struct {
	validity uint32
	uid      imap.UID
}

// A retry is a mail that is tried again.
type retry struct {
	next time.Time
	wait time.Duration
	why  *Failure
}

// A Status is how a Source stands.
type Status struct {
	Connected time.Time // since when the folder is watched; zero: it is not
	Last      time.Time // when the last mail was taken; zero: none since the start
	Waiting   int       // mails that could not be taken or moved, and are tried again
	Polled    bool      // the server cannot tell of news: it is asked every minute
	Failure   *Failure  // why the folder is not watched, or mail waits; nil: all is well
	Since     time.Time // of Failure
}

// A Step is where something failed.
type Step string

// The steps.
const (
	Connecting Step = "connect" // the network, or TLS
	LoggingIn  Step = "login"
	Opening    Step = "folder" // the folder is not there, or others cannot be made
	Watching   Step = "watch"  // a connection that worked
	Taking     Step = "take"   // we could not take a mail
	Moving     Step = "move"   // a mail could not be moved
)

// A Failure is an error and where it came up.
type Failure struct {
	Step Step
	Err  error
}

func (f *Failure) Error() string { return string(f.Step) + ": " + f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

// at says where an error came up, where nobody has.
func at(step Step, err error) error {
	var f *Failure
	if err == nil || errors.As(err, &f) {
		return err
	}
	return &Failure{step, err}
}

// New makes a Source.
func New(c Config) *Source {
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler)).With("source", c.Name)
	s := &Source{c: c, later: map[mark]retry{}}
	c.Metrics.appear(c.Name)
	return s
}

// Name gives the name of the Config.
func (s *Source) Name() string { return s.c.Name }

// Status says how the Source stands.
func (s *Source) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// Pauses before the next try to connect, and to take a mail: at first, and at
// most. Each is up to a fifth longer or shorter, so that many do not come at
// once. After a refused password it is longer: providers lock accounts.
const (
	firstPause = 5 * time.Second
	lastPause  = 15 * time.Minute
	loginPause = 5 * time.Minute
	firstRetry = time.Minute
	lastRetry  = time.Hour
)

// Run takes mail until ctx ends. It connects again, however long that fails.
func (s *Source) Run(ctx context.Context) error {
	defer s.c.Metrics.connected(s.c.Name, false)
	pause := firstPause
	for ctx.Err() == nil {
		err := s.session(ctx)
		if ctx.Err() != nil {
			break
		}
		var f *Failure
		switch errors.As(at(Watching, err), &f); f.Step {
		case Connecting, Opening:
		case LoggingIn:
			pause = max(pause, loginPause)
		default:
			pause = firstPause // it had worked
		}
		s.failed(f)
		s.c.Log.Warn("a folder cannot be watched", "step", f.Step, "err", f.Err, "retry", pause)
		if !sleep(ctx, jittered(pause)) {
			break
		}
		pause = min(2*pause, lastPause)
	}
	return nil
}

func jittered(d time.Duration) time.Duration { return d*4/5 + rand.N(d*2/5+1) }

// sleep reports whether d has passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// failed notes that the folder is not watched.
func (s *Source) failed(f *Failure) {
	s.c.Metrics.failed(s.c.Name, f.Step)
	s.c.Metrics.connected(s.c.Name, false)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status.Failure == nil {
		s.status.Since = time.Now()
	}
	s.status.Failure, s.status.Connected = f, time.Time{}
}

// watched notes that a session has looked at the whole folder, and what came of
// it: f is the last failure with a mail, or nil.
func (s *Source) watched(f *Failure, polled bool) {
	s.c.Metrics.connected(s.c.Name, true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status.Connected.IsZero() {
		s.status.Connected = time.Now()
		s.c.Log.Info("a folder is watched", "folder", s.c.Folder, "polled", polled)
	}
	if f != nil && s.status.Failure == nil {
		s.status.Since = time.Now()
	}
	s.status.Failure, s.status.Polled, s.status.Waiting = f, polled, len(s.later)
}

// moved notes that a mail is out of the folder.
func (s *Source) moved(outcome string) {
	s.c.Metrics.mail(s.c.Name, outcome)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Last = time.Now()
}
