package source

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
)

// Limits of a session. IDLE ends before the 30 minutes after which servers may
// hang up (RFC 2177), each time after another while.
const (
	stepTime  = 30 * time.Second // for a server to answer a command
	fetchTime = 10 * time.Minute // for a mail
	idleTime  = 25 * time.Minute
	idleMore  = 3 * time.Minute
	pollTime  = time.Minute // between looks where the server cannot tell of news
	// settleTime is the first IDLE after there was something to do: some servers
	// say nothing, in IDLE, of mail that came just before it began.
	settleTime = 10 * time.Second
)

// A session is one connection.
type session struct {
	*Source
	ctx      context.Context // of the whole session; kept because steps go by it
	conn     net.Conn
	client   *imapclient.Client
	caps     imap.CapSet
	news     chan struct{}   // the server says that there is more
	validity uint32          // of the folder's UIDs
	taken    map[string]bool // by name, mail that is only to be moved
	recalled bool            // taken has what earlier sessions left
	trouble  *Failure        // the last one with a mail of this look
	looked   bool            // once, at least
	busy     bool            // the last look had something to do, or was the first
}

// session connects and watches the folder until ctx ends or something fails.
func (s *Source) session(ctx context.Context) (err error) {
	dial, cancel := context.WithTimeout(ctx, stepTime)
	conn, err := s.c.Dial(dial, "tcp", s.c.Address)
	cancel()
	if err != nil {
		return &Failure{Connecting, err}
	}
	x := &session{Source: s, ctx: ctx, conn: conn, news: make(chan struct{}, 1), taken: map[string]bool{}}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer x.close()
	for _, step := range []struct {
		Step
		do func() error
	}{{Connecting, x.greet}, {LoggingIn, x.login}, {Opening, x.open}} {
		if err := x.within(stepTime, step.do); err != nil {
			return at(step.Step, err)
		}
	}
	for {
		next, err := x.look()
		if err != nil {
			return err
		}
		s.watched(x.trouble, !x.caps.Has(imap.CapIdle))
		if err := x.await(next); err != nil {
			return err
		}
	}
}

// close ends the connection and waits for what reads it.
func (x *session) close() {
	_ = x.conn.Close()
	if x.client != nil {
		_ = x.client.Close()
	}
}

// errSilent says that the server does not answer.
var errSilent = errors.New("the server does not answer")

// within bounds a step. The library waits for an answer for as long as the
// connection is there, which a NAT that forgot us can make for ever.
func (x *session) within(d time.Duration, step func() error) error {
	var late atomic.Bool
	t := time.AfterFunc(d, func() {
		late.Store(true)
		_ = x.conn.Close()
	})
	defer t.Stop()
	err := step()
	if late.Load() {
		return fmt.Errorf("%w within %v", errSilent, d)
	}
	return err
}

// greet encrypts the connection and waits for the greeting.
func (x *session) greet() error {
	o := &imapclient.Options{TLSConfig: x.tlsConfig(), UnilateralDataHandler: &imapclient.UnilateralDataHandler{Mailbox: x.hear}}
	switch x.c.Security {
	case StartTLS:
		// Nothing that was said before TLS counts (RFC 9051 section 6.2.1).
		client, err := imapclient.NewStartTLS(x.conn, o)
		if err != nil {
			return err
		}
		x.client = client
		return nil
	case Plain:
		x.client = imapclient.New(x.conn, o)
	default:
		c := tls.Client(x.conn, o.TLSConfig)
		if err := c.HandshakeContext(x.ctx); err != nil {
			return err
		}
		x.client = imapclient.New(c, o)
	}
	return x.client.WaitGreeting()
}

func (x *session) tlsConfig() *tls.Config {
	c := new(tls.Config)
	if x.c.TLS != nil {
		c = x.c.TLS.Clone()
	}
	if c.ServerName == "" {
		c.ServerName, _, _ = net.SplitHostPort(x.c.Address)
	}
	return c
}

// hear is told what the server says by itself, while nothing may wait.
func (x *session) hear(d *imapclient.UnilateralDataMailbox) {
	if d.NumMessages == nil {
		return
	}
	select {
	case x.news <- struct{}{}:
	default: // it is known already
	}
}

func (x *session) login() error {
	caps := x.client.Caps()
	var err error
	switch {
	case caps.Has(imap.AuthCap(sasl.Plain)):
		err = x.client.Authenticate(sasl.NewPlainClient("", x.c.Username, x.c.Password))
	case caps.Has(imap.CapLoginDisabled):
		return errors.New("the server takes no password on this connection")
	default:
		err = x.client.Login(x.c.Username, x.c.Password).Wait()
	}
	if err != nil {
		return err
	}
	x.caps = x.client.Caps()
	return nil
}

// open opens the folder, and makes those that mail is moved to.
func (x *session) open() error {
	for _, name := range []string{x.c.Done, x.c.Ignored} {
		found, err := x.client.List("", name, nil).Collect()
		if err == nil && len(found) == 0 {
			err = x.client.Create(name, nil).Wait()
		}
		if err != nil {
			return fmt.Errorf("making the folder %s: %w", name, err)
		}
	}
	data, err := x.client.Select(x.c.Folder, nil).Wait()
	if err != nil {
		return fmt.Errorf("opening the folder %s: %w", x.c.Folder, err)
	}
	x.validity = data.UIDValidity
	return nil
}

// await waits until the server has news, until next (zero: there is no next),
// or until it is time to see whether the connection is still there.
func (x *session) await(next time.Time) error {
	d := idleTime + rand.N(idleMore)
	idles := x.caps.Has(imap.CapIdle)
	switch {
	case !idles:
		d = pollTime
	case x.busy:
		d = settleTime
	}
	if !next.IsZero() {
		d = min(d, max(time.Until(next), 0))
	}
	if !idles {
		x.rest(d)
		return x.within(stepTime, func() error { return x.client.Noop().Wait() })
	}
	var idle *imapclient.IdleCommand
	err := x.within(stepTime, func() (err error) {
		idle, err = x.client.Idle()
		return err
	})
	if err != nil {
		return err
	}
	x.rest(d)
	return x.within(stepTime, func() error { return errors.Join(idle.Close(), idle.Wait()) })
}

// rest waits for news, or as long as d.
func (x *session) rest(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-x.news:
	case <-t.C:
	case <-x.client.Closed():
	case <-x.ctx.Done():
	}
}
