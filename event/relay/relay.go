// Package relay passes mail that came in on to another server, over LMTP or
// SMTP.
package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"homing/event"
	"homing/internal/message"
	"homing/internal/reply"
)

// Config is what a Sink is made of.
type Config struct {
	Name     string
	Kind     string // "lmtp" or "smtp"
	Hostname string // of this server
	OpenBody func(ctx context.Context, ref message.Ref) (message.Body, error)
	// Deliver hands a message to the next server and returns nil once that
	// has taken it. A *reply.Error says what the server answered; any other
	// error that it could not be talked to. It may read body until it
	// returns; it does not close it.
	Deliver func(ctx context.Context, body message.Body, from, to string) error
	// Report composes a report (RFC 3464) of a failure. Nil: none is made.
	Report func(ctx context.Context, e event.Event) ([]byte, error)
	// Reads says to which addresses no report can be mailed, because what
	// comes there is read by ourselves. Nil: there are none.
	Reads func(to string) bool
	// Final says of which facts a refusal for good is the end: mail to
	// addresses that anybody can make up. Nil: of none.
	Final func(e event.Event) bool
	Now   func() time.Time // nil: time.Now
}

// A Sink passes on the mail behind a fact: replies, complaints, reports and
// what was filed. It goes to the address that it would have come to without
// us: the application's own where it came to a return address of ours, else
// the one it was sent to. What goes on is what came in, but for the
// Return-Path field that was added here on top: that is the reverse-path again,
// and in its place are a Received and an Envelope-To field.
//
// Of a failure that nobody has sent a mail about, since the other side refused
// or never answered, it makes the report itself, where the application's address
// is one that Homing reads, so that no report can be mailed there: software
// behind us hears of every failure that counts against somebody.
//
// What the server refuses, for now or for good, fails alone and is tried for
// three days: it was taken from somebody who cannot be told any more, and the
// reason may be one that an operator puts right. Config.Final knows exceptions.
type Sink struct{ c Config }

// New makes a Sink.
func New(c Config) *Sink {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Final == nil {
		c.Final = func(event.Event) bool { return false }
	}
	return &Sink{c}
}

// Name implements event.Sink.
func (s *Sink) Name() string { return s.c.Name }

// Kind implements event.Sink.
func (s *Sink) Kind() string { return s.c.Kind }

// Wants implements event.Sink: facts with a mail that came in, and failures
// without one.
func (s *Sink) Wants(e event.Event) bool {
	return !e.Raw.IsZero() && recipient(e) != "" || s.reports(e)
}

// reports reports whether a report is to be made of a fact. What is our own
// fault counts against nobody, and the reader would count it.
func (s *Sink) reports(e event.Event) bool {
	failed := e.Type == event.Bounced || e.Type == event.Expired || e.Type == event.Suppressed
	return failed && e.Raw.IsZero() && (e.Class == "hard" || e.Class == "soft") &&
		s.c.Report != nil && e.Sender != "" && s.c.Reads != nil && s.c.Reads(e.Sender)
}

// recipient gives the address that mail is passed on to.
func recipient(e event.Event) string {
	if e.Sender != "" {
		return e.Sender // what came here for it: to a tag, or to itself
	}
	if e.Delivery != 0 {
		return "" // mail that nobody sent; nobody waits for what comes back
	}
	return e.Recipient // a route
}

// Tell implements event.Sink.
func (s *Sink) Tell(ctx context.Context, e event.Event) error {
	if s.reports(e) {
		msg, err := s.c.Report(ctx, e)
		if err != nil {
			return fmt.Errorf("making a report: %w", err)
		}
		return s.deliver(ctx, e, made{bytes.NewReader(msg)}, "")
	}
	raw, err := s.c.OpenBody(ctx, e.Raw)
	if err != nil {
		return fmt.Errorf("opening the mail to pass on: %w", err)
	}
	defer raw.Close()
	from, skip, err := returnPath(raw)
	if err != nil {
		return fmt.Errorf("reading the mail to pass on: %w", err)
	}
	return s.deliver(ctx, e, &passed{Body: raw, head: s.received(e), skip: skip}, from)
}

// deliver hands a mail over, and says what a failure means.
func (s *Sink) deliver(ctx context.Context, e event.Event, body message.Body, from string) error {
	err := s.c.Deliver(ctx, body, from, recipient(e))
	var said *reply.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &said) && said.Reply.Code != 421: // RFC 5321 section 3.8: the server is closing down
		err = fmt.Errorf("the next server refused it: %w", err)
		if said.Reply.Permanent() && s.c.Final(e) {
			return &event.Failure{Fault: event.Refused, Err: err}
		}
		return err
	}
	return &event.Failure{Fault: event.Down, Err: fmt.Errorf("passing mail on: %w", err)}
}

// received is what this hop adds (RFC 5321 section 4.4), and the address that the
// mail goes to, in a field that list software reads where To has another: mail
// that came to a return address of ours names that.
func (s *Sink) received(e event.Event) []byte {
	return fmt.Appendf(nil, "Received: by %s (Homing) id %s;\r\n\t%s\r\nEnvelope-To: %s\r\n", s.c.Hostname, e.ID,
		s.c.Now().Format("Mon, 02 Jan 2006 15:04:05 -0700"), recipient(e))
}

// maxReturnPath is the most octets of a Return-Path field that we look at.
const maxReturnPath = 1024

// returnPath reads the Return-Path field that stands on top of a kept mail
// (RFC 5321 section 4.4): its address, and how many octets the field has.
// Without one, both are zero: "" is the null reverse-path, to which nobody
// answers.
func returnPath(raw io.ReaderAt) (from string, length int64, err error) {
	start := make([]byte, maxReturnPath)
	n, err := raw.ReadAt(start, 0)
	if err != nil && err != io.EOF {
		return "", 0, err
	}
	line, rest, found := bytes.Cut(start[:n], []byte("\r\n"))
	name, value, colon := strings.Cut(string(line), ":")
	folded := len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t'
	if !found || !colon || folded || !strings.EqualFold(name, "Return-Path") {
		return "", 0, nil
	}
	from = strings.TrimSpace(value)
	if inner, ok := strings.CutPrefix(from, "<"); ok {
		from = strings.TrimSuffix(inner, ">")
	}
	if strings.IndexFunc(from, func(c rune) bool { return c <= ' ' || c == 0x7f }) >= 0 || !strings.Contains(from, "@") {
		from = ""
	}
	return from, int64(len(line) + 2), nil
}

// made is a report that we made.
type made struct{ *bytes.Reader }

// Close implements message.Body.
func (made) Close() error { return nil }

// passed is a kept mail with another beginning.
type passed struct {
	message.Body
	head []byte
	skip int64 // octets of Body that head stands for
}

// Size implements message.Body.
func (p *passed) Size() int64 { return int64(len(p.head)) + p.Body.Size() - p.skip }

// ReadAt implements io.ReaderAt.
func (p *passed) ReadAt(b []byte, off int64) (int, error) {
	n := 0
	if off < 0 {
		return 0, errors.New("relay: negative offset")
	}
	if off < int64(len(p.head)) {
		if n = copy(b, p.head[off:]); n == len(b) {
			return n, nil
		}
	}
	m, err := p.Body.ReadAt(b[n:], off+int64(n)-int64(len(p.head))+p.skip)
	return n + m, err
}

// WriteTo implements io.WriterTo.
func (p *passed) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(p.head)
	if err != nil {
		return int64(n), err
	}
	m, err := io.Copy(w, io.NewSectionReader(p.Body, p.skip, p.Body.Size()-p.skip))
	return int64(n) + m, err
}
