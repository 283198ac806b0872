package delivery

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"

	"homing/event"
	"homing/internal/reply"
	"homing/internal/smtpclient"
	"homing/queue"
)

// A Mode says how a connection must be secured.
type Mode int

// The modes. Opportunistic is for MXs: encrypted where the peer offers it,
// with any certificate (RFC 7435).
const (
	Opportunistic Mode = iota
	Require            // with a certificate for the name of the host
	None
)

// A policy is what a connection must be before mail goes over it. Connections
// of different policies are never exchanged for each other.
type policy struct {
	mode     Mode
	implicit bool // TLS before the greeting (RFC 8314)
	user     string
	password string
	proof    proof
}

// A session is an open dialogue with a hop.
type session struct {
	*smtpclient.Client
	hop
	host  string      // who says what we hear: mta of hop
	shown event.TLS   // how it is secured
	local netip.Addr  // our end; zero: not over IP
	stop  func() bool // of cutting it when work ends
	gauge func()
	stray func(error) // hears how a dialogue with whole transactions went wrong; nil: nobody
	once  sync.Once

	carried int // messages that were begun on it
}

// quit ends the dialogue, waiting a moment for the answer. How one ended that
// was cut says nothing about the peer.
func (s *session) quit() {
	s.Quit()
	s.once.Do(func() {
		uncut := s.stop()
		s.gauge()
		if why := s.Astray(); why != nil && uncut && s.stray != nil {
			s.stray(why)
		}
	})
}

// rename gives a session the name that its host has in the route of another
// job: events name the MX of the recipient's domain.
func (s *session) rename(h hop) {
	s.shown = s.shownFor(h)
	s.hop, s.host = h, h.mta()
	s.SetPeer(h.String())
}

// keep lets a session go on until ctx ends, where it would have been cut
// before, and reports whether that has not happened yet.
func (s *session) keep(ctx context.Context) bool {
	if !s.stop() {
		s.quit()
		return false
	}
	s.stop = context.AfterFunc(ctx, s.Cut)
	return true
}

// dialTCP is the Dialer of the network.
func dialTCP(ctx context.Context, source netip.Addr, to netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	if source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	return d.DialContext(ctx, "tcp", to.String())
}

// open says hello over a new connection to a hop, until mail can be sent.
// After TLS failed where it is opportunistic, it connects once more, without.
func (d *Delivery) open(ctx context.Context, o *Options, h hop, c net.Conn, noPipelining bool) (*session, *queue.Result) {
	lesson := d.health.about(h.at)
	not := without{lesson.noTLS && h.mode == Opportunistic, noPipelining || lesson.noPipelining()}
	s, failed := d.connect(ctx, o, h, c, not)
	if failed == nil || !failed.noTLS || h.mode != Opportunistic || ctx.Err() != nil {
		return s, failed.result()
	}
	again, why := d.dial(ctx, o, h)
	if why != nil {
		return nil, why
	}
	not.tls = true
	s, failed = d.connect(ctx, o, h, again, not)
	if failed == nil {
		d.health.learn(h.at, tlsFailed)
	}
	return s, failed.result()
}

// A failure is a Result before any mail was sent.
type failure struct {
	queue.Result
	noTLS bool // it is TLS that failed: without, it may be better
}

func (f *failure) result() *queue.Result {
	if f == nil {
		return nil
	}
	return &f.Result
}

// without says what a dialogue does without although the peer may offer it.
type without struct{ tls, pipelining bool }

func (d *Delivery) connect(ctx context.Context, o *Options, h hop, c net.Conn, not without) (*session, *failure) {
	d.Metrics.connections.Inc()
	s := &session{hop: h, host: h.mta(), gauge: d.Metrics.connections.Dec, Client: smtpclient.New(c, smtpclient.Options{
		Name: o.Hostname, Peer: h.String(), NoPipelining: not.pipelining, Timeouts: o.Timeouts.Timeouts})}
	s.stop = context.AfterFunc(ctx, s.Cut)
	f := d.greet(s, not.tls)
	s.shown, s.local = d.secured(s), addrOf(c.LocalAddr())
	if !not.tls {
		d.account(o, s, f)
	}
	if f != nil {
		s.quit()
		f.RemoteMTA, f.TLS = s.host, s.shown
		return nil, f
	}
	if !o.trial {
		d.Metrics.sessions.WithLabelValues(cmp.Or(s.shown.Verified, "plain")).Inc()
	}
	return s, nil
}

func (d *Delivery) dial(ctx context.Context, o *Options, h hop) (net.Conn, *queue.Result) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeouts.Connect)
	defer cancel()
	c, err := d.Dial(ctx, o.source(h.source, h.at.Addr()), h.at)
	if err == nil {
		return c, nil
	}
	why := ours(reply.Connect, 451, reply.Enhanced{4, 4, 1}, "connect to %s: %s", h, dialText(err))
	why.Cause, why.RemoteMTA = err, h.mta()
	return nil, why
}

// dialText says why there is no connection, without what people know already.
func dialText(err error) string {
	var number syscall.Errno
	var timeout net.Error
	switch {
	case errors.As(err, &number):
		return number.Error()
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "connection timed out"
	}
	return err.Error()
}

// greet takes a new connection to where MAIL can be said.
func (d *Delivery) greet(s *session, noTLS bool) *failure {
	if s.implicit {
		if failed := s.Handshake(d.tls(s.hop)); failed != nil {
			return from(failed, false)
		}
	}
	if failed := s.Hello(); failed != nil {
		return from(failed, false)
	}
	if f := d.secure(s, noTLS); f != nil {
		return f
	}
	if s.proof.required && !s.Offers("REQUIRETLS") {
		return &failure{Result: *noRequireTLS("%s does not offer REQUIRETLS, which the message needs", s.hop)}
	}
	if s.user == "" {
		return nil
	}
	if s.TLS() == nil && s.mode != None {
		return &failure{Result: *ours(reply.AUTH, 454, reply.Enhanced{4, 7, 0}, "%s offers no TLS, and without it the password is not sent", s.hop)}
	}
	if failed := s.Auth(s.user, s.password); failed != nil {
		return from(failed, false)
	}
	return nil
}

// secure begins TLS where it is wanted and offered.
func (d *Delivery) secure(s *session, noTLS bool) *failure {
	required := s.mode == Require
	switch {
	case s.TLS() != nil || s.mode == None || noTLS:
		return nil
	case s.Offers("STARTTLS"):
		failed := s.StartTLS(d.tls(s.hop))
		if failed == nil || !failed.Ours && !required && !s.Over() {
			return nil // refused, and it goes on without
		}
		return s.owed(from(failed, true))
	case required:
		return s.owed(&failure{Result: *ours(reply.STARTTLS, 451, reply.Enhanced{4, 7, 4}, "%s does not offer the TLS that we require", s.hop)})
	}
	return nil
}

// tls is how TLS with a hop is begun.
func (d *Delivery) tls(h hop) *tls.Config {
	c := &tls.Config{ServerName: h.name, DynamicRecordSizingDisabled: true}
	if h.proof.by != "" {
		return d.proving(h, c)
	}
	if h.mode == Require {
		c.RootCAs, c.MinVersion = d.Roots, tls.VersionTLS12
		return c
	}
	// Any encryption is better than none, which is the alternative.
	c.InsecureSkipVerify, c.MinVersion, c.CipherSuites = true, tls.VersionTLS10, anySuites
	c.ClientSessionCache = d.sessions
	return c
}

// anySuites are the cipher suites for who would get the mail in the clear
// otherwise: all that there are, but for RC4 (RFC 7465).
var anySuites = func() (all []uint16) {
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if !strings.Contains(s.Name, "RC4") {
			all = append(all, s.ID)
		}
	}
	return all
}()

func from(o *smtpclient.Outcome, tls bool) *failure {
	return &failure{Result: queue.Result{Stage: o.Stage, Reply: o.Reply, Ours: o.Ours, Cause: o.Cause}, noTLS: tls && o.Ours}
}

// String names a mode as the configuration does.
func (m Mode) String() string {
	switch m {
	case Opportunistic:
		return "opportunistic"
	case Require:
		return "require"
	case None:
		return "none"
	}
	return fmt.Sprintf("mode %d", int(m))
}
