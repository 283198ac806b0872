// Package dsn tells facts by mail: a delivery status notification (RFC 3464)
// to the envelope sender that the application gave, as RFC 3461 asks for.
package dsn

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"homing/event"
	"homing/internal/message"
	"homing/internal/report"
)

const (
	maxHead     = 64 << 10  // octets of the original's header block in a report
	maxReturn   = 128 << 10 // octets of a message that RET=FULL brings back
	delayedFrom = 4 * time.Hour
	maxDelayed  = 10_000 // deliveries whose senders are remembered to know
)

// A Mail is a report on its way. Its reverse-path is the null one, so that
// nobody answers it (RFC 3461 section 6.1).
type Mail struct {
	Key      string // the same for the same fact told again
	To       string
	Message  []byte // CR LF line ends
	EightBit bool   // needs 8BITMIME
	UTF8     bool   // needs SMTPUTF8

	RequireTLS bool // it is about a message that required TLS (RFC 8689 section 5)
}

// Config is what a Sink is made of.
type Config struct {
	Name     string
	Hostname string // of this server
	// OpenBody opens the message that is reported on. Without it, or where
	// it fails, reports go without the original.
	OpenBody func(ctx context.Context, ref message.Ref) (message.Body, error)
	// Submit takes a report durably: into our own queue, or at once to the
	// inbound side. Two calls with one Key are one mail.
	Submit func(ctx context.Context, m Mail) error
	// Skip says to which addresses nothing is sent, because what comes there
	// is read by ourselves as a report about a delivery: a report of ours
	// would be evidence for its own repetition. Nil: none.
	Skip func(to string) bool
}

// A Sink mails reports. Failures are reported unless NOTIFY says otherwise,
// what a hold suppressed among them; success and delay only where NOTIFY asks
// for it, and a delay once, when it has lasted four hours. (After a restart it
// may be told a second time.) There is never a report about a report.
type Sink struct {
	c Config

	mu      sync.Mutex
	delayed map[event.DeliveryID]struct{} // whose sender knows already
	order   []event.DeliveryID            // the same, oldest first
}

// New makes a Sink.
func New(c Config) *Sink {
	if c.Skip == nil {
		c.Skip = func(string) bool { return false }
	}
	return &Sink{c: c, delayed: map[event.DeliveryID]struct{}{}}
}

// Name implements event.Sink.
func (s *Sink) Name() string { return s.c.Name }

// Kind implements event.Sink.
func (s *Sink) Kind() string { return "dsn" }

// Wants implements event.Sink.
func (s *Sink) Wants(e event.Event) bool {
	if e.Sender == "" || e.Recipient == "" {
		return false
	}
	switch e.Type {
	case event.Bounced, event.Expired, event.Suppressed:
		return asks(e.Notify, "FAILURE") && !s.c.Skip(e.Sender)
	case event.Delivered:
		return asks(e.Notify, "SUCCESS") && !s.c.Skip(e.Sender)
	case event.Deferred:
		late := e.Message != 0 && e.Time.Sub(e.Message.Time()) >= delayedFrom
		return late && asks(e.Notify, "DELAY") && !s.c.Skip(e.Sender)
	}
	return false
}

// asks reports whether a value of NOTIFY (RFC 3461 section 4.1) asks for a
// report of that kind. Without NOTIFY failures are reported, and no more.
func asks(notify, kind string) bool {
	if notify == "" {
		return kind == "FAILURE"
	}
	for word := range strings.SplitSeq(notify, ",") {
		if strings.EqualFold(strings.TrimSpace(word), kind) {
			return true
		}
	}
	return false
}

// Tell implements event.Sink: it submits the report.
func (s *Sink) Tell(ctx context.Context, e event.Event) error {
	if e.Type == event.Deferred && s.knows(e.Delivery) {
		return nil
	}
	msg, err := s.Report(ctx, e)
	if err != nil {
		return err
	}
	m := Mail{Key: s.messageID(e), To: e.Sender, Message: msg, RequireTLS: e.RequireTLS}
	m.UTF8 = !isASCII(e.Sender)
	m.EightBit = m.UTF8 || !isASCII(string(msg))
	if err := s.c.Submit(ctx, m); err != nil {
		return fmt.Errorf("submitting the report: %w", err)
	}
	if e.Type == event.Deferred {
		s.remember(e.Delivery)
	}
	return nil
}

// Report composes the report of a fact that names a sender and a recipient,
// with CR LF line ends, whether the sink wants it or not.
func (s *Sink) Report(ctx context.Context, e event.Event) ([]byte, error) {
	return s.report(ctx, e).Compose()
}

func (s *Sink) knows(d event.DeliveryID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.delayed[d]
	return ok
}

func (s *Sink) remember(d event.DeliveryID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.order) >= maxDelayed {
		delete(s.delayed, s.order[0])
		s.order = s.order[1:]
	}
	s.delayed[d] = struct{}{}
	s.order = append(s.order, d)
}

// original reads what the report brings back: the whole message where RET
// asks for it, the report is about a failure and it is small and fit for mail
// (RFC 3461 section 4.3), its header block otherwise.
func (s *Sink) original(ctx context.Context, e event.Event) report.Original {
	if s.c.OpenBody == nil || e.Original.IsZero() {
		return report.Original{}
	}
	body, err := s.c.OpenBody(ctx, e.Original)
	if err != nil {
		return report.Original{} // forgotten by now: the report is good without
	}
	defer body.Close()
	if strings.EqualFold(e.ReturnContent, "FULL") && action(e) == "failed" && body.Size() <= maxReturn {
		whole := make([]byte, body.Size())
		if n, err := body.ReadAt(whole, 0); n == len(whole) && fits(whole) {
			return report.Original{Octets: whole, Full: true}
		} else if n < len(whole) && err != nil {
			return report.Original{}
		}
	}
	head, err := report.Head(body, maxHead)
	if err != nil {
		return report.Original{}
	}
	return report.Original{Octets: head}
}

// fits reports whether a message may stand in another as it is: lines end in
// CR LF and are no longer than RFC 5322 allows.
func fits(msg []byte) bool {
	start := 0
	for i, c := range msg {
		switch {
		case c == 0, c == '\r' && (i+1 == len(msg) || msg[i+1] != '\n'), c == '\n' && (i == 0 || msg[i-1] != '\r'):
			return false
		case c == '\n':
			start = i + 1
		case i-start >= 999:
			return false
		}
	}
	return true
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
