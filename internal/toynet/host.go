package toynet

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"homing/internal/reply"
)

// A Receipt is what one MX said about one recipient of one message, at the
// stage that decided: at RCPT when it refused there, else at the final dot.
type Receipt struct {
	Time     time.Time
	Host     string // the MX
	Peer     string // the client's address and port
	Hello    string
	TLS      bool
	From, To string // without angle brackets; From "" is the null reverse-path
	Stage    reply.Stage
	Reply    reply.Reply
	Unsaid   bool // a fault kept Reply from the client as it stands

	// Only where the whole message was read:
	ID      string            // the MX's own number for the message
	Octets  int64             // of the message, without dot-stuffing
	SHA256  [sha256.Size]byte // of the message
	Digest  [sha256.Size]byte // see Digest
	Message []byte            // only where World.Keep asks for it
}

// Accepted reports whether the MX took responsibility for the recipient.
func (r Receipt) Accepted() bool { return r.Stage == reply.Dot && r.Reply.Positive() }

// A Connection is one that a client opened to an MX.
type Connection struct {
	Time time.Time
	Host string
	Peer string
}

// A host is one MX of a Net.
type host struct {
	Host
	name    string
	addr    netip.Addr
	domains map[string]Domain // those it accepts mail for
	net     *Net
	tls     *tls.Config
	reading gate // messages that are being read
}

// maxOctets is the largest message a host takes that does not say otherwise.
const maxOctets = 64 << 20

// run serves one listening socket until ctx ends. It returns when every
// dialogue has ended.
func (h *host) run(ctx context.Context, socket net.Listener) error {
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{host: h, conn: c}, nil
	}))
	s.Domain = h.name
	s.EnableSMTPUTF8 = true
	s.MaxMessageBytes = maxOctets
	if h.MaxOctets > 0 {
		s.MaxMessageBytes = h.MaxOctets
	}
	if !h.NoTLS {
		s.TLSConfig = h.tls
	}
	s.ErrorLog = log.New(io.Discard, "", 0) // what a toy dialogue dies of is the client's to report
	d := &dock{Listener: socket, host: h, open: make(map[net.Conn]struct{})}
	defer context.AfterFunc(ctx, func() { d.Close() })()

	err := s.Serve(d)
	d.Close()
	s.Shutdown(context.WithoutCancel(ctx)) // waits for the dialogues, whose connections are closed
	h.reading.close()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("toynet: %s: %w", h.name, err)
}

// A dock is the listener of a host. It journals connections, makes those of a
// misbehaving host misbehave, and closes all of them together.
type dock struct {
	net.Listener
	host *host

	mu     sync.Mutex
	closed bool
	called time.Time // for the first time
	open   map[net.Conn]struct{}
}

// now is the host as it is at this call: without the faults that are over.
func (d *dock) now() Host {
	d.mu.Lock()
	defer d.mu.Unlock()
	h, now := d.host.Host, d.host.net.now()
	if d.called.IsZero() {
		d.called = now
	}
	h.Faults = slices.DeleteFunc(slices.Clone(h.Faults), func(f Fault) bool { return f.For > 0 && now.Sub(d.called) >= f.For })
	return h
}

func (d *dock) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	n := d.host.net
	n.Connections.Add(Connection{n.now(), d.host.name, c.RemoteAddr().String()})
	if h := d.now(); len(h.Faults) > 0 || h.Deaf {
		c = newFaultyConn(c, h)
	}
	c = &docked{c, d}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		c.(*docked).Conn.Close()
		return nil, net.ErrClosed
	}
	d.open[c] = struct{}{}
	return c, nil
}

// Close closes the socket and every open connection.
func (d *dock) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for c := range d.open {
		c.(*docked).Conn.Close()
	}
	return d.Listener.Close()
}

// docked is a connection that its dock knows of until it is closed.
type docked struct {
	net.Conn
	dock *dock
}

func (c *docked) Close() error {
	c.dock.mu.Lock()
	delete(c.dock.open, c)
	c.dock.mu.Unlock()
	return c.Conn.Close()
}

// A session is one dialogue with a host; its methods are called by go-smtp,
// one at a time.
type session struct {
	host *host
	conn *smtp.Conn
	from string
	rcpt []recipient
}

type recipient struct {
	address   string
	behaviour Behaviour
}

func (s *session) Reset()        { s.from, s.rcpt = "", nil }
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if _, secure := s.conn.TLSConnectionState(); s.host.RequireTLS && !secure {
		return said(reply.Reply{Code: 530, Enhanced: reply.Enhanced{5, 7, 0}, Text: "Must issue a STARTTLS command first"})
	}
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	local, domain := cutAddress(to)
	d, ok := s.host.domains[domain]
	if !ok {
		return s.refuse(to, reply.Reply{Code: 554, Enhanced: reply.Enhanced{5, 7, 1}, Text: "<{rcpt}>: Relay access denied"})
	}
	b := d.behaviour(local)
	if b.RCPT.Code != 0 && s.host.net.attempts.refused(b, s.from, to) {
		return s.refuse(to, b.RCPT)
	}
	s.rcpt = append(s.rcpt, recipient{to, b})
	return nil
}

// refuse journals a refusal at RCPT and gives it as an error for go-smtp.
func (s *session) refuse(to string, r reply.Reply) error {
	r = filled(r, s.peer(), to)
	s.host.net.Receipts.Add(s.receipt(to, reply.RCPT, r))
	return said(r)
}

// Data reads the message, journals it for each recipient before the client
// hears the answer, and arranges what comes back later.
func (s *session) Data(r io.Reader) error {
	n := s.host.net
	if !s.host.reading.enter() {
		return said(reply.Reply{Code: 421, Enhanced: reply.Enhanced{4, 3, 2}, Text: "shutting down"})
	}
	defer s.host.reading.leave()
	message, err := io.ReadAll(r)
	if err != nil {
		return err // go-smtp's own: too large, or the client went away
	}
	id := n.queueID()
	answer := s.answer(id)
	one := s.receipt("", reply.Dot, answer)
	one.ID = id
	one.Octets, one.SHA256, one.Digest = int64(len(message)), sha256.Sum256(message), Digest(message)
	if n.world.Keep {
		one.Message = message
	}
	for _, to := range s.rcpt {
		one.To = to.address
		n.Receipts.Add(one)
		if answer.Positive() {
			n.post.arrange(s.host, to.behaviour.Later, one, headOf(message))
		}
	}
	return said(answer)
}

// answer is what is said at the final dot: the refusal of the first recipient
// that has one, else 250 with the number of the message.
func (s *session) answer(id string) reply.Reply {
	for _, to := range s.rcpt {
		if b := to.behaviour; b.Dot.Code != 0 && s.host.net.attempts.refused(b, s.from, to.address) {
			return filled(b.Dot, s.peer(), to.address)
		}
	}
	return reply.Reply{Code: 250, Enhanced: reply.Enhanced{2, 0, 0}, Text: "Ok: queued as " + id}
}

func (s *session) receipt(to string, stage reply.Stage, r reply.Reply) Receipt {
	_, secure := s.conn.TLSConnectionState()
	return Receipt{Time: s.host.net.now(), Host: s.host.name, Peer: s.conn.Conn().RemoteAddr().String(),
		Hello: s.conn.Hostname(), TLS: secure, From: s.from, To: to, Stage: stage, Reply: r, Unsaid: s.unsaid(stage, secure)}
}

// unsaid reports whether a fault changes what the client hears at stage.
func (s *session) unsaid(stage reply.Stage, secure bool) bool {
	for _, f := range s.host.Faults {
		if f.At == stage || f.At == Always {
			return !secure && !strings.HasPrefix(f.Say, Proper)
		}
	}
	return false
}

// peer is the client's address without its port.
func (s *session) peer() string { return addrPort(s.conn.Conn().RemoteAddr()).Addr().String() }

// said is a reply as go-smtp wants it, which takes a positive one too.
func said(r reply.Reply) error {
	e := smtp.EnhancedCode(r.Enhanced)
	if r.Enhanced == (reply.Enhanced{}) {
		e = smtp.NoEnhancedCode
	}
	return &smtp.SMTPError{Code: r.Code, EnhancedCode: e, Message: r.Text}
}

// cutAddress gives the local part, and the domain in lower case.
func cutAddress(address string) (local, domain string) {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return address, ""
	}
	return address[:i], strings.ToLower(address[i+1:])
}

// attempts counts attempts by return path and recipient, for refusals that do
// not last. Its methods may be called from many goroutines.
type attempts struct {
	now func() time.Time

	mu   sync.Mutex
	seen map[[2]string]*attempt
}

type attempt struct {
	count int
	first time.Time
}

// refused counts one more attempt and reports whether b still refuses it.
func (a *attempts) refused(b Behaviour, from, to string) bool {
	if b.Times == 0 && b.For == 0 {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	key, now := [2]string{from, to}, a.now()
	one := a.seen[key]
	if one == nil {
		one = &attempt{first: now}
		a.seen[key] = one
	}
	one.count++
	return b.refuses(one.count, now.Sub(one.first))
}
