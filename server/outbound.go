package server

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"homing/event"
	"homing/internal/message"
	"homing/internal/reply"
	"homing/queue"
	"homing/server/smtpd"
	"homing/store"
	"homing/verp"
)

// Outbound takes mail of applications: who is this, may it send as this
// domain, is the recipient on hold, sign, make durable, 250. It is a
// smtpd.Backend for submission listeners.
type Outbound struct {
	core
	quotas    *quotas
	incidents *incidents
	authors   *authors
	keys      keys      // of what is being injected
	readers   sync.Pool // of *bufio.Reader
}

// core is what both flows work with.
type core struct {
	policy  *atomic.Pointer[Policy]
	queue   *queue.Queue
	store   Store
	log     *slog.Logger
	now     func() time.Time
	metrics *Metrics
}

// Store is the part of store.Store that sessions need.
type Store interface {
	NewBody(ctx context.Context) (store.Draft, error)
	Room() error
	Recipient(ctx context.Context, id event.DeliveryID) (store.Message, store.Recipient, error)
	Find(ctx context.Context, q store.Query) (store.Page, error)
	Receipt(ctx context.Context, key string) (event.MessageID, []byte, error)
	store.Notes
	Accepted(ctx context.Context, since time.Time) (map[string]int, error)
}

// Answers of a submission listener. What an operator must mend is temporary,
// because applications count anything else as a bounce of the recipient.
var (
	errWhoAreYou     = reply.Errorf(530, reply.Enhanced{5, 7, 0}, "authentication required")
	errGone          = reply.Errorf(451, reply.Enhanced{4, 7, 0}, "this application was taken out of the configuration")
	errBadPassword   = reply.Errorf(535, reply.Enhanced{5, 7, 8}, "no application has this name and password")
	errUnknownClient = reply.Errorf(451, reply.Enhanced{4, 7, 0}, "no application sends from this address: add it to the networks of the application, or let it log in")
	errRefuse        = reply.Errorf(451, reply.Enhanced{4, 7, 1}, "sending is switched off (mode = \"refuse\"); try again later").With(ErrOff)
	errNoRoom        = reply.Errorf(452, reply.Enhanced{4, 3, 1}, "not enough room on the disk; try again later")
	errDisk          = reply.Errorf(451, reply.Enhanced{4, 3, 0}, "the disk failed; nothing is taken before it is repaired and the server started again")
	errHeld          = reply.Errorf(550, reply.Enhanced{5, 2, 1}, "this address is on hold")
	errLoop          = reply.Errorf(554, reply.Enhanced{5, 4, 6}, "more than %d Received fields: this mail is in a loop", maxReceived)
)

// maxReceived is how many Received fields a message may have.
const maxReceived = 50

// NewSession begins a dialogue with an application.
func (o *Outbound) NewSession(_ context.Context, c smtpd.Conn) (smtpd.Session, error) {
	return &outSession{Outbound: o, conn: c}, nil
}

type outSession struct {
	*Outbound
	conn  smtpd.Conn
	hello string
	user  string // the application that gave its password
	tx    outTransaction
}

// outTransaction is what MAIL and RCPT said, or an Injection.
type outTransaction struct {
	policy      *Policy // the one in force at MAIL holds until the dot
	application *Application
	from        string
	options     smtpd.MailOptions
	recipients  []queue.Recipient
	places      int // taken in the application's day
	origin      origin
	local       bool   // of a user of this machine
	uid         int    // which, if local
	late        bool   // nobody is there any more to hear an answer
	key         string // two transactions with one are one; "": none

	// Of an Injection alone:
	sendAt   time.Time
	campaign string // "": it is found in the message
	metadata event.Metadata
	receipt  func() ([]byte, error) // kept with key, made when all else is known
}

// origin is what the Received field says of whoever hands a message over.
type origin struct {
	protocol, hello string
	peer            net.Addr
}

// begins is when the message may first be sent.
func (tx outTransaction) begins(now time.Time) time.Time {
	if tx.sendAt.After(now) {
		return tx.sendAt
	}
	return now
}

func (s *outSession) Hello(_ context.Context, name string) error {
	s.hello = name
	return nil
}

func (s *outSession) Auth(_ context.Context, user, secret string) error {
	if !s.policy.Load().authentic(user, secret) {
		return errBadPassword
	}
	s.user = user
	return nil
}

// application says who is talking: by password, else by local user, else by
// network where the listener is one that strangers cannot reach.
func (s *outSession) application(p *Policy) *Application {
	if s.user != "" {
		return p.byName(s.user)
	}
	if s.conn.UID >= 0 {
		return p.byUID(s.conn.UID)
	}
	if !private(s.conn.Listener) {
		return nil
	}
	remote, ok := s.conn.Remote.(*net.TCPAddr)
	if !ok {
		return nil
	}
	ip, _ := netip.AddrFromSlice(remote.IP)
	return p.byAddress(ip)
}

// private reports whether a listener is bound to a loopback or private address.
// One that is bound to every address is not, wherever a connection came in:
// behind a NAT or a container's proxy that is always a private one.
func private(listener net.Addr) bool {
	tcp, ok := listener.(*net.TCPAddr)
	return ok && (tcp.IP.IsLoopback() || tcp.IP.IsPrivate())
}

// local reports whether a user of this machine is talking.
func (s *outSession) local() bool { return s.conn.UID >= 0 && s.user == "" }

// nobody is the answer to a local user who is no application.
func (o *Outbound) nobody(uid int) error {
	o.metrics.mistakes.WithLabelValues("client").Inc()
	o.log.Warn("mail of a local user who is no application was refused", "uid", uid)
	return errUser(uid)
}

// stranger is the answer to a client that is no application. Where applications
// are known by their networks it may be one whose network was forgotten, and
// that is for the operator to mend.
func (s *outSession) stranger(p *Policy) error {
	if s.local() {
		return s.nobody(s.conn.UID)
	}
	byNetwork := slices.ContainsFunc(p.Applications, func(a *Application) bool { return len(a.Networks) > 0 })
	if s.user == "" && !(byNetwork && private(s.conn.Listener)) {
		return errWhoAreYou
	}
	s.metrics.mistakes.WithLabelValues("client").Inc()
	s.log.Warn("mail of an unknown client was put off", "peer", s.conn.Remote, "application", s.user)
	if s.user != "" {
		return errGone
	}
	return errUnknownClient
}

func (s *outSession) Mail(ctx context.Context, from string, o smtpd.MailOptions) error {
	p := s.policy.Load()
	a := s.application(p)
	if a == nil {
		return s.stranger(p)
	}
	if s.local() {
		from = p.author(a, from)
	}
	if err := s.admit(ctx, p, a, from); err != nil {
		return err
	}
	s.tx = outTransaction{policy: p, application: a, from: from, options: o, places: 1, local: s.local(), uid: s.conn.UID,
		origin: origin{protocol("ESMTP", s.conn, s.user != ""), s.hello, s.conn.Remote}}
	return nil
}

// admit says whether an application may hand over a message with this envelope
// sender now, and takes the first place in its day.
func (o *Outbound) admit(ctx context.Context, p *Policy, a *Application, from string) error {
	switch {
	case p.effective(a) == Refuse:
		return errRefuse
	case from != "" && a.sendsAs(from, true) == nil:
		return o.wrongSender(ctx, a, "envelope sender", from)
	}
	if err := o.store.Room(); err != nil {
		return o.disk(ctx, a, err)
	}
	if err := o.quotas.admit(ctx, a); err != nil {
		return o.mistake(ctx, a, "quota", "", err)
	}
	return nil
}

// wrongSender refuses a sender that the application may not use. It is for the
// operator to mend, so it is temporary.
func (o *Outbound) wrongSender(ctx context.Context, a *Application, what, address string) error {
	_, domain := split(address)
	return o.mistake(ctx, a, "sender", domain, reply.Errorf(451, reply.Enhanced{4, 7, 1},
		"application %s may not send as %s (%s): add the domain to the configuration, or change the sender", a.Name, domain, what).With(ErrSender))
}

// disk gives the answer to what the store did not take. A full disk is for the
// operator to mend; one that failed can note no incident either.
func (o *Outbound) disk(ctx context.Context, a *Application, err error) error {
	if errors.Is(err, store.ErrFull) {
		return o.mistake(ctx, a, "disk", "", ofStore(err))
	}
	return ofStore(err)
}

// ofStore gives the answer to an error of the store. Any other stays as it is.
func ofStore(err error) error {
	switch {
	case errors.Is(err, store.ErrFull):
		return errNoRoom.With(err)
	case errors.Is(err, store.ErrFailed):
		return errDisk.With(err)
	}
	return err
}

// tellTime is how long an application may be kept waiting for the incident
// that its mail opens: on a full disk that might be for ever.
const tellTime = 2 * time.Second

// mistake opens an incident for what an operator must mend, and gives back the
// error to answer. What is mistaken, if anything, tells incidents of one kind
// apart.
func (o *Outbound) mistake(ctx context.Context, a *Application, kind, what string, err error) error {
	o.metrics.mistakes.WithLabelValues(kind).Inc()
	name := a.Name + " " + kind
	if what != "" {
		name = o.incidents.name(name, what)
	}
	e := event.Event{Application: a.Name, Domain: a.Domains[0].Name, Text: reply.Of(err).Text}
	ctx, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	if told := o.incidents.see(ctx, name, e); told != nil {
		o.log.Error("noting an incident failed", "application", a.Name, "err", told)
	}
	return err
}

func (s *outSession) Rcpt(ctx context.Context, to string, o smtpd.RcptOptions) error {
	if !strings.Contains(to, "@") { // <postmaster>, RFC 5321 section 4.5.1
		to += "@" + s.tx.policy.Hostname
	}
	return s.name(ctx, &s.tx, queue.Recipient{Address: to, Notify: o.Notify, Original: o.Original})
}

// name adds a recipient as he was named: a user of this machine stands for who
// reads his mail, and who is named twice gets one copy.
func (o *Outbound) name(ctx context.Context, tx *outTransaction, r queue.Recipient) (err error) {
	if tx.local {
		if r.Address, err = tx.policy.reader(tx.application, r.Address); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(tx.recipients, func(x queue.Recipient) bool { return x.Address == r.Address }) {
		return nil
	}
	return o.add(ctx, tx, r)
}

// add adds a recipient to a transaction, or says why there is no place for it.
func (o *Outbound) add(ctx context.Context, tx *outTransaction, r queue.Recipient) error {
	if err := o.room(tx); err != nil {
		return err
	}
	a := tx.application
	h, held, err := o.queue.Held(ctx, r.Address, a.Name, "", false)
	switch {
	case err != nil:
		return err
	case held && a.RejectHeld && !tx.late:
		return errHeld
	case held:
		r.Held = &h
	}
	tx.recipients = append(tx.recipients, r)
	return nil
}

// maxRecipients is how many recipients one message has in the store, whatever
// more a listener would take.
const maxRecipients = 1000

var errTooManyRecipients = reply.Errorf(452, reply.Enhanced{4, 5, 3}, "too many recipients; send to the others in another transaction")

// room makes room for one more recipient: MAIL has taken the first place.
func (o *Outbound) room(tx *outTransaction) error {
	if len(tx.recipients) >= maxRecipients {
		return errTooManyRecipients
	}
	if len(tx.recipients) < tx.places {
		return nil
	}
	if !o.quotas.take(tx.application) {
		return errNoMore
	}
	tx.places++
	return nil
}

func (s *outSession) Data(ctx context.Context, c *smtpd.Content) []error {
	id, err := s.take(ctx, &s.tx, c)
	if err != nil {
		return []error{err}
	}
	return []error{&reply.Error{Reply: reply.Reply{Code: 250, Enhanced: reply.Enhanced{2, 0, 0}, Text: "queued as " + id.String()}}}
}

// take takes the message of a transaction, and turns its places in the day of
// the application into recipients.
func (o *Outbound) take(ctx context.Context, tx *outTransaction, c *smtpd.Content) (event.MessageID, error) {
	id, err := o.accept(ctx, *tx, c)
	if err != nil {
		err = o.disk(ctx, tx.application, err)
		o.log.Info("message refused", "application", tx.application.Name, "from", tx.from,
			"code", reply.Of(err).Code, "err", err)
		return 0, err
	}
	o.quotas.count(tx.application, tx.places, len(tx.recipients))
	tx.places = 0
	o.log.Info("message accepted", "message", id, "application", tx.application.Name, "from", tx.from,
		"recipients", len(tx.recipients), "peer", tx.origin.peer.String())
	return id, nil
}

// accept takes one message from the wire into the queue.
func (o *Outbound) accept(ctx context.Context, tx outTransaction, c *smtpd.Content) (event.MessageID, error) {
	m, err := o.read(ctx, tx, c)
	if err != nil {
		return 0, err
	}
	defer m.body.Discard()
	sub := queue.Submission{
		Key:     cmp.Or(tx.key, m.key),
		Message: m.describe(tx), Body: m.body, Recipients: tx.recipients,
		Capture: tx.policy.effective(tx.application) == Capture, Lane: m.lane,
		ReturnPath: func(id event.DeliveryID, _ string) string {
			return returnPath(tx.policy, m.as, tx.from, id, tx.begins(o.now()))
		},
	}
	if err := o.suppressBulk(ctx, &sub); err != nil {
		return 0, err
	}
	if m.as.Rewritten || m.wantsLink(sub.Message.Bulk) {
		o.ownHeads(tx, m, &sub)
	} else {
		head, err := m.signed(m.header)
		if err != nil {
			return 0, err
		}
		sub.Heads = [][]byte{head}
	}
	if tx.receipt != nil {
		if sub.Receipt, err = tx.receipt(); err != nil {
			return 0, err
		}
	}
	id, err := o.queue.Submit(ctx, sub)
	if a := tx.application; err == nil && a.Forward && a.Grammar != nil && a.Grammar.Kind == verp.CiviCRM && sub.Message.Campaign != "" {
		o.authors.note(ctx, a.Name, sub.Message.Campaign, message.Mailbox{Name: sub.Message.FromName, Address: m.from})
	}
	return id, err
}

// suppressBulk looks again at holds that stop only bulk mail of one domain:
// only now is it known whether this is such mail.
func (o *Outbound) suppressBulk(ctx context.Context, sub *queue.Submission) error {
	if !sub.Message.Bulk {
		return nil
	}
	for i := range sub.Recipients {
		r := &sub.Recipients[i]
		if r.Held != nil {
			continue
		}
		h, held, err := o.queue.Held(ctx, r.Address, sub.Message.Application, sub.Message.Domain, true)
		if err != nil {
			return err
		}
		if held {
			r.Held = &h
		}
	}
	return nil
}

// returnPath gives the reverse-path of a delivery: signed, unless the null
// reverse-path or the configuration says to keep what the application gave.
func returnPath(p *Policy, as *Domain, from string, id event.DeliveryID, now time.Time) string {
	if from == "" || as.Keep {
		return from
	}
	// A clock that was never set: better an unsigned address than no mail.
	return cmp.Or(signedPath(p, as, id, now), from)
}

// signedPath gives the signed return address of a delivery; "": there is none,
// or no tag can be made.
func signedPath(p *Policy, as *Domain, id event.DeliveryID, now time.Time) string {
	if as.Path.Domain == "" {
		return ""
	}
	tag, err := p.Verp.Encode(as.Path.Domain, verp.Return, uint64(id), now)
	if err != nil {
		return ""
	}
	return as.Path.Format(tag)
}

// ReturnPath mints the reverse-path of a delivery anew, with the configuration
// of now and the day of now, or that on which it may be sent; "": it cannot be
// told, or there is none.
func (s *Server) ReturnPath(m store.Message, r store.Recipient) string {
	p, day := s.policy.Load(), s.Outbound.now()
	if m.SendAt.After(day) {
		day = m.SendAt
	}
	for _, d := range p.Domains {
		if d.Name == m.Domain {
			return returnPath(p, d, m.Sender, r.ID, day)
		}
	}
	return ""
}

// Reset gives back what the transaction has taken and not used.
func (s *outSession) Reset() {
	s.giveBack(&s.tx)
	s.tx = outTransaction{}
}

// giveBack gives back the places that a transaction has taken and not used.
func (o *Outbound) giveBack(tx *outTransaction) {
	if tx.places > 0 {
		o.quotas.release(tx.application, tx.places)
		tx.places = 0
	}
}

func (s *outSession) Close() { s.Reset() }
