package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"homing/bounce"
	"homing/event"
	"homing/internal/mailauth"
	"homing/internal/message"
	"homing/internal/parsedmail"
	"homing/internal/reply"
	"homing/queue"
	"homing/server/smtpd"
	"homing/store"
)

// Inbound takes what comes back: is the tag genuine, what is this mail, make
// what it means durable, 250. It is a smtpd.Backend for the MX and for LMTP,
// and what delivery hands mail for ourselves to. It never relays.
type Inbound struct {
	core
	reader    Reader
	names     Names
	claims    Claims
	origins   Authenticator // nil: nobody is proven
	each      bool          // LMTP: an answer for each recipient, and the peer is no MX
	mirror    *mirror
	postponed *postponed
	authors   *authors
	reviews   Reviewer
}

// A Reader understands mail. *bounce.Reader is one.
type Reader interface {
	Read(r io.Reader) (bounce.Report, error)
}

// Claims takes mail to the address for DMARC and TLS reports. *reports.Keeper
// is one. What it cannot understand is no error.
type Claims interface {
	Take(ctx context.Context, r io.Reader) error
}

// Answers of the MX.
var (
	errTrialAlone = reply.Errorf(452, reply.Enhanced{4, 5, 3}, "one at a time")

	errNobody  = reply.Errorf(550, reply.Enhanced{5, 1, 1}, "no such address here")
	errLooping = reply.Errorf(554, reply.Enhanced{5, 4, 6}, "this mail was here before: it is in a loop")
)

// NewSession begins a dialogue with a peer.
func (in *Inbound) NewSession(_ context.Context, c smtpd.Conn) (smtpd.Session, error) {
	return &inSession{Inbound: in, conn: c}, nil
}

type inSession struct {
	*Inbound
	conn  smtpd.Conn
	hello string
	who   *peer // once it was asked for
	from  string
	to    []destination

	requireTLS bool // REQUIRETLS: what is sent on needs it as well
	utf8       bool // SMTPUTF8: so does the header
}

func (s *inSession) Hello(_ context.Context, name string) error {
	s.hello = name
	s.mirror.hear(name)
	return nil
}

// Auth is never offered here.
func (s *inSession) Auth(context.Context, string, string) error { return errBadPassword }

func (s *inSession) Mail(_ context.Context, from string, o smtpd.MailOptions) error {
	if err := s.store.Room(); err != nil {
		return ofStore(err)
	}
	s.from, s.requireTLS, s.utf8 = from, o.RequireTLS, o.UTF8
	return nil
}

// Rcpt decides without the disk.
func (s *inSession) Rcpt(_ context.Context, to string, _ smtpd.RcptOptions) error {
	d, err := s.policy.Load().locate(to)
	if d.trial && len(s.to) > 0 || len(s.to) == 1 && s.to[0].trial {
		return errTrialAlone
	}
	if err != nil || !d.known() {
		s.metrics.refuse(err)
		return errNobody.With(err)
	}
	s.to = append(s.to, d)
	return nil
}

func (s *inSession) Data(ctx context.Context, c *smtpd.Content) []error {
	for _, d := range s.to {
		if d.path != nil {
			c.Forgive() // no bounce is lost for its line ends
		}
	}
	letter, err := s.keep(ctx, s.trace(), c)
	if err != nil {
		return []error{ofStore(err)}
	}
	defer func() { letter.raw.Discard() }() // the one that is its last
	letter.from, letter.requireTLS, letter.utf8 = s.from, s.requireTLS, s.utf8
	if len(s.to) == 1 && s.to[0].trial {
		s.mirror.take(s.to[0].tag.Delivery, Heard{Kind: string(letter.report.Kind), From: s.from, To: s.to[0].address, At: s.now()})
		return []error{nil}
	}
	if !s.each { // who hands mail in over LMTP has it from somebody else
		letter.peer = s.peer
		letter.hello, letter.remote = s.hello, remoteOf(s.conn.Remote)
	}
	answers := s.deliver(ctx, letter, s.to)
	if s.each {
		return answers
	}
	return []error{together(answers)}
}

// peer says who the other side is. The DNS is asked once for a connection,
// and only where the answer matters.
func (s *inSession) peer(ctx context.Context) peer {
	if s.who == nil {
		p := identify(ctx, s.names, s.conn.Remote)
		s.who = &p
	}
	return *s.who
}

// together is one answer for all recipients. What can be tried again comes
// first: a report that is repeated has no second effect. What was taken for
// one recipient is not refused for another.
func together(answers []error) error {
	taken := false
	for _, err := range answers {
		if err != nil && !reply.Of(err).Permanent() {
			return err
		}
		taken = taken || err == nil
	}
	if taken {
		return nil
	}
	return answers[0]
}

func (s *inSession) Reset() { s.from, s.to, s.requireTLS, s.utf8 = "", nil, false, false }
func (s *inSession) Close() {}

// trace is what this hop adds.
func (s *inSession) trace() string {
	base := "ESMTP"
	if s.each {
		base = "LMTP"
	}
	return returnPathField(s.from) +
		received(s.policy.Load().Hostname, protocol(base, s.conn, false), s.hello, s.conn.Remote, s.now())
}

// returnPathField notes the reverse-path, as the last hop does (RFC 5321
// section 4.4).
func returnPathField(from string) string { return "Return-Path: <" + from + ">\r\n" }

// A letter is one mail that came in, kept and understood.
type letter struct {
	raw    store.Draft
	header *message.Header
	report bounce.Report
	own    int64                          // octets of raw that this hop has added in front
	from   string                         // envelope
	peer   func(ctx context.Context) peer // who handed it in; nil: nobody whom the DNS knows
	hello  string                         // as what, with peer
	remote netip.Addr                     // from where, with peer
	local  bool                           // we have sent it ourselves

	origin   *mailauth.Result // who it is from, once that was asked
	attested bool             // raw says origin
	mail     *parsedmail.Mail // what it says, once that was asked

	requireTLS, utf8 bool

	passed []string // who got it as a reply already
}

// keep stores mail as it comes in, and reads what it says.
func (in *Inbound) keep(ctx context.Context, trace string, content io.Reader) (*letter, error) {
	raw, err := in.store.NewBody(ctx)
	if err != nil {
		return nil, fmt.Errorf("keeping mail: %w", err)
	}
	l := &letter{raw: raw, own: int64(len(trace))}
	if err := l.fill(trace, content, in.reader); err != nil {
		raw.Discard()
		return nil, err
	}
	return l, nil
}

func (l *letter) fill(trace string, content io.Reader, reader Reader) error {
	if _, err := io.WriteString(l.raw, trace); err != nil {
		return fmt.Errorf("keeping mail: %w", err)
	}
	if _, err := io.Copy(l.raw, content); err != nil {
		return err // its reply is in it: too big, line ends, the peer went away
	}
	if err := l.readHeader(); err != nil {
		return err
	}
	report, err := reader.Read(io.NewSectionReader(l.raw, 0, l.raw.Size()))
	if err != nil {
		return fmt.Errorf("reading mail that came in: %w", err)
	}
	l.report = report
	return nil
}

// readHeader finds mail that goes in circles. A header block that nobody can
// read is no reason to lose a bounce.
func (l *letter) readHeader() error {
	h, err := message.ReadHeader(bufio.NewReader(io.NewSectionReader(l.raw, 0, l.raw.Size())), message.MaxHeader)
	switch {
	case errors.Is(err, message.ErrHeaderTooBig):
		h = &message.Header{}
	case err != nil:
		return fmt.Errorf("reading mail that came in: %w", err)
	case h.Count("Received") > maxReceived+1: // one of them is ours
		return errLoop
	}
	l.header = h
	return nil
}

// observe takes mail to a genuine tag. Mail for a delivery that was forgotten
// is welcome and counts for nothing.
func (in *Inbound) observe(ctx context.Context, l *letter, id event.DeliveryID) error {
	m, r, err := in.store.Recipient(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		in.metrics.forgotten.Inc()
		in.log.Info("mail for a delivery that was forgotten", "item", id, "kind", l.report.Kind)
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking up a delivery: %w", err)
	}
	o := queue.Observation{Delivery: id, Report: l.report, Raw: l.raw}
	if l.peer != nil {
		p := l.peer(ctx)
		o.Peer, o.Related = p.name, p.related(r.MTA, r.Address)
	}
	in.log.Info("report for a delivery", "item", id, "message", m.ID, "kind", l.report.Kind, "format", l.report.Format,
		"rcpt", r.Address, "peer", o.Peer, "related", o.Related)
	err = in.queue.Observe(ctx, o)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
