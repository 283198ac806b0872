// Package civicrm tells CiviCRM through its API what became of its mail, and
// keeps the holds on addresses in step with it.
package civicrm

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"time"

	"homing/event"
	"homing/internal/message"
)

// An Address is what one of CiviCRM's own addresses says. With ActionConfirm,
// Job is the contact and Queue the subscription; with ActionSubscribe, Job is
// the group.
type Address struct {
	Action     Action
	Job, Queue uint64
	Hash       string
}

// An Action is what mail to an address of CiviCRM asks for.
type Action uint8

// The actions that matter here. All but two are about an entry of the queue of
// a mailing, which Job, Queue and Hash name.
const (
	ActionMailing Action = iota
	ActionConfirm
	ActionSubscribe
)

// A Standing is the hold on an address as it is now. The zero Standing is none.
type Standing struct {
	Held   bool
	Until  time.Time // zero: until released
	OptOut bool      // the recipient wished to get no more
}

// A Queue is where holds are kept. cmd makes one of *queue.Queue.
type Queue interface {
	// Standing gives the hold that stops bulk mail of an application, sent as
	// a domain, to an address.
	Standing(ctx context.Context, h Scope, address string) (Standing, error)
	// Release ends the holds of an application on an address.
	Release(ctx context.Context, application, address string) error
	// Answered says that CiviCRM has done what a recipient asked for: the
	// hold that kept bulk mail of the domain from him meanwhile ends.
	Answered(ctx context.Context, h Scope, address string) error
}

// A Scope says which mail a hold stops.
type Scope struct {
	Application string `json:"application,omitempty"`
	Domain      string `json:"domain,omitempty"`
}

// Config is what a Sink is made of.
type Config struct {
	Name string
	// URL is that of the site, or of its REST end point where that is
	// elsewhere than at /civicrm/ajax/rest. http goes to addresses that are
	// not public alone, because the keys go with every call.
	URL             string
	APIKey, SiteKey string // SiteKey may be empty
	// ReportSenderFaults has failures that are our own fault told as bounces
	// of the type that counts least, and not only noted.
	ReportSenderFaults bool
	Filing             Filing
	// Own reads an address of the site's own grammar: only an application
	// that tells this sink has one. Package verp, which knows the grammar, is
	// not ours to import, and which prefix and domain are the site's only the
	// configuration knows.
	Own func(application, address string) (Address, bool)
	// OpenBody opens a mail that came in.
	OpenBody func(ctx context.Context, ref message.Ref) (message.Body, error)
	Queue    Queue
	Memory   *Memory
	Logger   *slog.Logger     // nil: nothing is logged
	Metrics  *Metrics         // nil: not counted anywhere
	Timeout  time.Duration    // for one call; 0: a minute, since some send mail meanwhile
	RootCAs  *x509.CertPool   // nil: those of the system
	Resolver *net.Resolver    // nil: that of the system
	Now      func() time.Time // nil: time.Now
}

// A Sink tells one site of CiviCRM. What its mailings met with becomes the call
// that CiviCRM's own Email Processor would make; what is held or released for
// mail that is no mailing sets or clears "on hold" of the e-mail address there;
// mail that was filed becomes an activity.
//
// CiviCRM's calls are not idempotent. Each is noted durably before and after,
// so that none is made again that was answered. Where no answer came, the site
// is asked what it has recorded before the call is made again.
type Sink struct {
	c       Config
	api     *api
	started time.Time
	blind   blind // what the site cannot tell
}

// New makes a Sink. It connects to nobody yet.
func New(c Config) (*Sink, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Timeout == 0 {
		c.Timeout = callTime
	}
	a, err := newAPI(c)
	if err != nil {
		return nil, err
	}
	if c.Filing.Type == "" {
		c.Filing.Type = inbound
	}
	c.Logger = c.Logger.With("sink", c.Name)
	return &Sink{c: c, api: a, started: c.Now()}, nil
}

// Name implements event.Sink.
func (s *Sink) Name() string { return s.c.Name }

// Kind implements event.Sink.
func (s *Sink) Kind() string { return "civicrm" }

// Close closes the connections that are idle.
func (s *Sink) Close() { s.api.client.CloseIdleConnections() }

// Wants implements event.Sink: what CiviCRM has a call for. Never what is only
// late or was not sent because of a hold, nor what machines answered: CiviCRM
// would hold people for it.
func (s *Sink) Wants(e event.Event) bool {
	if e.Type == event.Held || e.Type == event.Released {
		return e.Recipient != ""
	}
	if e.Type == event.Filed {
		return e.Mail != nil
	}
	own, ok := s.own(e)
	if !ok {
		return false
	}
	switch e.Type {
	case event.Bounced, event.Expired:
		return own.Action == ActionMailing && (e.Class == "hard" || e.Class == "soft" || e.Class == "sender")
	case event.Complained, event.Replied, event.Unsubscribed, event.OptedOut, event.Resubscribed:
		return own.Action == ActionMailing
	case event.Confirmed:
		return own.Action == ActionConfirm
	case event.Subscribed:
		return own.Action == ActionSubscribe
	}
	return false
}

// own reads the address by which CiviCRM knows what a fact is about. Its
// transactional mail has none.
func (s *Sink) own(e event.Event) (Address, bool) {
	if e.Sender == "" {
		return Address{}, false
	}
	return s.c.Own(e.Application, e.Sender)
}

// Tell implements event.Sink.
func (s *Sink) Tell(ctx context.Context, e event.Event) error {
	own, isOwn := s.own(e)
	switch {
	case e.Type == event.Held:
		return s.held(ctx, e, isOwn)
	case e.Type == event.Released:
		return s.released(ctx, e)
	case e.Type == event.Filed:
		return s.file(ctx, e)
	case !isOwn:
		return nil
	case (e.Type == event.Bounced || e.Type == event.Expired) && e.Class == "sender" && !s.c.ReportSenderFaults:
		s.note(e)
		return nil
	}
	if err := s.before(ctx, e); err != nil {
		return err
	}
	if err := s.report(ctx, e, own); err != nil {
		return err
	}
	if e.Delivery != 0 && (e.Type == event.Unsubscribed || e.Type == event.OptedOut) {
		return s.c.Queue.Answered(ctx, Scope{e.Application, e.Domain}, e.Recipient)
	}
	return nil
}

// note keeps a failure of ours out of CiviCRM. There is nothing in it that
// would fit: a note or an activity for each recipient would fill the records
// of thousands of people, mailing after mailing, with what is no fact about
// them. Whoever can mend it hears of the incident; a person's journey says it
// too.
func (s *Sink) note(e event.Event) {
	s.c.Metrics.fact(s.c.Name, noted)
	s.c.Logger.Info("a failure of ours is not told as a bounce", "event", e.ID, "item", e.Delivery, "rcpt", e.Recipient,
		"campaign", e.Campaign, "class", e.Class, "reason", e.Reason, "code", e.Code, "status", e.Status)
}
