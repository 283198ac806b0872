package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"homing/bounce"
	"homing/event"
	"homing/internal/message"
	"homing/internal/reply"
	"homing/queue"
	"homing/server/smtpd"
	"homing/store"
	"homing/verp"
)

// Inbound takes what comes back: is the tag genuine, what is this mail, make
// what it means durable, 250. It is a smtpd.Backend for the MX and for LMTP,
// and what delivery hands mail for ourselves to. It never relays.
type Inbound struct {
	core
	reader   Reader
	identify func(ctx context.Context, peer net.Addr, mta, recipient string) (name string, related bool)
	each     bool // answer for each recipient, as LMTP does
}

// A Reader understands mail. *bounce.Reader is one.
type Reader interface {
	Read(r io.Reader) (bounce.Report, error)
}

// Answers of the MX.
var (
	errNobody  = reply.Errorf(550, reply.Enhanced{5, 1, 1}, "no such address here; this server does not relay")
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
	from  string
	to    []destination
}

func (s *inSession) Hello(_ context.Context, name string) error {
	s.hello = name
	return nil
}

// Auth is never offered here.
func (s *inSession) Auth(context.Context, string, string) error { return errBadPassword }

func (s *inSession) Mail(_ context.Context, from string, _ smtpd.MailOptions) error {
	if err := s.store.Room(); err != nil {
		return ofStore(err)
	}
	s.from = from
	return nil
}

// Rcpt decides without the disk.
func (s *inSession) Rcpt(_ context.Context, to string, _ smtpd.RcptOptions) error {
	d, err := s.policy.Load().locate(to)
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
	defer letter.raw.Discard()
	letter.peer = s.conn.Remote
	letter.from = s.from
	answers := make([]error, len(s.to))
	for i, d := range s.to {
		answers[i] = ofStore(s.deliver(ctx, letter, d))
	}
	if s.each {
		return answers
	}
	return []error{together(answers)}
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

func (s *inSession) Reset() { s.from, s.to = "", nil }
func (s *inSession) Close() {}

// trace is what this hop adds: it is the last one, so it notes the return path
// (RFC 5321 section 4.4).
func (s *inSession) trace() string {
	base := "ESMTP"
	if s.each {
		base = "LMTP"
	}
	return "Return-Path: <" + s.from + ">\r\n" +
		received(s.policy.Load().Hostname, protocol(base, s.conn, false), s.hello, s.conn.Remote, s.now())
}

// A letter is one mail that came in, kept and understood.
type letter struct {
	raw    store.Draft
	header *message.Header
	report bounce.Report
	from   string   // envelope
	peer   net.Addr // who handed it in; nil: we did
}

// keep stores mail as it comes in, and reads what it says.
func (in *Inbound) keep(ctx context.Context, trace string, content io.Reader) (*letter, error) {
	raw, err := in.store.NewBody(ctx)
	if err != nil {
		return nil, fmt.Errorf("keeping mail: %w", err)
	}
	l := &letter{raw: raw}
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
	case h.Count("Received") > maxReceived:
		return errLoop
	}
	l.header = h
	return nil
}

// deliver gives a letter to one of its recipients.
func (in *Inbound) deliver(ctx context.Context, l *letter, d destination) error {
	switch {
	case d.path != nil:
		return in.observe(ctx, l, event.DeliveryID(d.tag.Delivery))
	case d.own != nil:
		return in.ownMail(ctx, l, d)
	case d.route != nil:
		return in.routed(ctx, l, d)
	}
	return in.role(ctx, l, d)
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
		o.Peer, o.Related = in.identify(ctx, l.peer, r.MTA, r.Address)
	}
	in.log.Info("report for a delivery", "item", id, "message", m.ID, "kind", l.report.Kind, "format", l.report.Format,
		"rcpt", r.Address, "peer", o.Peer, "related", o.Related)
	err = in.queue.Observe(ctx, o)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// ownEvents says which fact mail to an application's own address is.
var ownEvents = map[verp.Action]event.Type{
	verp.ActionReply:       event.Replied,
	verp.ActionUnsubscribe: event.Unsubscribed,
	verp.ActionOptOut:      event.OptedOut,
	verp.ActionResubscribe: event.Resubscribed,
	verp.ActionConfirm:     event.Confirmed,
	verp.ActionSubscribe:   event.Subscribed,
}

// ownMail takes mail to an address of an application's own grammar. Such an
// address carries no signature of ours, so it counts against nobody, unless
// it is the very address that a delivery was sent with.
func (in *Inbound) ownMail(ctx context.Context, l *letter, d destination) error {
	if id, ok, err := in.recorded(ctx, d.address); err != nil || ok {
		if err != nil {
			return err
		}
		return in.observe(ctx, l, id)
	}
	what, ok := ownEvents[d.own.Action]
	if isReport(l.report.Kind) {
		// A machine wrote it: whatever the address asks for, nobody asked.
		what, ok = event.AutoReplied, l.report.Kind == bounce.AutoReply || l.report.Kind == bounce.Challenge
	}
	if !ok {
		in.metrics.forgotten.Inc()
		in.log.Info("report for an address that was not sent with", "rcpt", d.address, "kind", l.report.Kind)
		return nil
	}
	return in.queue.Tell(ctx, l.raw, event.Event{
		Type: what, Recipient: l.from, Sender: d.address, Domain: d.own.domain.Name,
		Application: d.own.application.Name, Campaign: d.own.Campaign(),
	})
}

// isReport tells what machines write from what people write.
func isReport(k bounce.Kind) bool { return k != bounce.Message && k != bounce.Unsubscribe }

// recorded finds the delivery that was sent with an application's own address
// as its return path (verp = "keep").
func (in *Inbound) recorded(ctx context.Context, address string) (event.DeliveryID, bool, error) {
	page, err := in.store.Find(ctx, store.Query{ReturnPath: address, Max: 1})
	if err != nil {
		return 0, false, fmt.Errorf("looking for a return address: %w", err)
	}
	if len(page.Rows) == 0 {
		return 0, false, nil
	}
	return page.Rows[0].Recipient.ID, true, nil
}

// routeEvents says which fact mail for a route is.
var routeEvents = map[RouteUse]event.Type{
	RouteActivity:  event.Filed,
	RouteReply:     event.Replied,
	RouteBounce:    event.Replied,
	RouteComplaint: event.Complained,
	RouteReport:    event.Filed,
	RouteForward:   event.Replied,
}

// routed takes mail for a route. A report among it is told as what it is, but
// as of nobody: without a tag it counts against no one.
func (in *Inbound) routed(ctx context.Context, l *letter, d destination) error {
	what := routeEvents[d.route.As]
	switch l.report.Kind {
	case bounce.AutoReply, bounce.Challenge:
		what = event.AutoReplied
	case bounce.Complaint:
		what = event.Complained
	}
	e := event.Event{Type: what, Recipient: d.address, From: l.from, Domain: d.route.Domain, To: d.route.To}
	if d.route.As == RouteBounce && l.report.Kind == bounce.Bounce {
		e.Type = event.Bounced
	}
	if len(l.report.Recipients) > 0 {
		e.Outcome = saidOf(l.report.Recipients[0])
	}
	return in.queue.Tell(ctx, l.raw, e)
}

func saidOf(r bounce.Recipient) event.Outcome {
	v := r.Verdict
	o := event.Outcome{Stage: "dsn", Class: string(v.Class), Reason: string(v.Reason), CiviCRM: v.CiviCRM, Code: r.Code,
		Status: r.Status, Diagnostic: r.Diagnostic, RemoteMTA: r.RemoteMTA, Rule: v.Rule, Matched: v.Matched}
	return o.Tidy()
}
