// Package notice mails the people who run the server what needs attention:
// incidents and failing checks, and that these are over.
package notice

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"mime/quotedprintable"
	"slices"
	"strings"
	"sync"
	"time"

	"homing/event"
)

// A Mail is a notice on its way, under the null reverse-path: nobody answers
// it.
type Mail struct {
	Key  string // the same for the same facts told again
	From string
	To   []string
	Head []byte // header block with its empty line
	Body []byte
}

// Config is what a Sink is made of.
type Config struct {
	Name     string
	Hostname string        // of this server
	From     func() string // the author of a mail that is made now
	To       []string      // who is told; nobody: nothing is mailed
	// Submit takes a mail durably. Two calls with one Key are one mail.
	Submit func(ctx context.Context, m Mail) error
	Now    func() time.Time // nil: time.Now
}

// How long facts are gathered for one mail: those of one moment, and more when
// there was a mail already a moment ago.
const (
	gatherFirst = 5 * time.Second
	gatherMore  = time.Minute
	busyFor     = 10 * time.Minute
)

// A Sink mails notices. Facts of one moment share a mail.
type Sink struct {
	c Config

	mu   sync.Mutex
	open *batch // that takes more facts; nil: none
	last time.Time
}

// A batch is the facts of one mail.
type batch struct {
	facts []event.Event
	done  chan struct{} // closed when the mail was submitted, or not
	err   error
}

// New makes a Sink.
func New(c Config) *Sink {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Sink{c: c}
}

// Name implements event.Sink.
func (s *Sink) Name() string { return s.c.Name }

// Kind implements event.Sink.
func (s *Sink) Kind() string { return "notify" }

// Wants implements event.Sink.
func (s *Sink) Wants(e event.Event) bool {
	switch e.Type {
	case event.IncidentOpened, event.IncidentClosed, event.CheckFailed, event.CheckRecovered:
		return len(s.c.To) > 0
	}
	return false
}

// mostFacts is how many facts a mail has at most.
const mostFacts = 100

// AtOnce implements event.Gatherer.
func (s *Sink) AtOnce() int { return mostFacts }

// Tell implements event.Sink: the fact is in a mail when it returns nil.
func (s *Sink) Tell(ctx context.Context, e event.Event) error {
	s.mu.Lock()
	b, leads := s.open, false
	if b == nil {
		b, leads = &batch{done: make(chan struct{})}, true
		s.open = b
	}
	b.facts = append(b.facts, e)
	wait := gatherFirst
	if s.c.Now().Sub(s.last) < busyFor {
		wait = gatherMore
	}
	s.mu.Unlock()
	if leads {
		s.lead(ctx, b, wait)
	}
	// Also at the end, when who leads hurries: a fact that is in the mail must
	// not count as one that was not told.
	<-b.done
	return b.err
}

// lead gathers facts for a while and mails them.
func (s *Sink) lead(ctx context.Context, b *batch, wait time.Duration) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done(): // at the end what there is must do
	}
	s.mu.Lock()
	s.open = nil
	s.mu.Unlock()
	slices.SortFunc(b.facts, func(a, b event.Event) int { return cmp.Compare(a.ID, b.ID) })
	if b.err = s.c.Submit(context.WithoutCancel(ctx), s.mail(b.facts)); b.err == nil {
		s.mu.Lock()
		s.last = s.c.Now()
		s.mu.Unlock()
	}
	close(b.done)
}

// mail composes a notice.
func (s *Sink) mail(facts []event.Event) Mail {
	var bad, over []event.Event
	for _, e := range facts {
		if e.Type == event.IncidentOpened || e.Type == event.CheckFailed {
			bad = append(bad, e)
		} else {
			over = append(over, e)
		}
	}
	var text strings.Builder
	tell(&text, "This needs attention:", bad)
	tell(&text, "This is over:", over)
	fmt.Fprintf(&text, "How it stands now: `homing status` and `homing check` on %s.\n", s.c.Hostname)
	return Compose(s.c, Words{Subject: subject(bad, over), Text: text.String(), ID: idOf(facts)})
}

func tell(b *strings.Builder, title string, facts []event.Event) {
	if len(facts) == 0 {
		return
	}
	fmt.Fprintf(b, "%s\n\n", title)
	for _, e := range facts {
		fmt.Fprintf(b, "* %s\n  %s\n\n", e.Time.UTC().Format("2006-01-02 15:04 MST"), strings.ReplaceAll(strings.TrimSpace(e.Text), "\n", "\n  "))
	}
}

func subject(bad, over []event.Event) string {
	switch {
	case len(bad) == 1:
		return "1 thing needs attention"
	case len(bad) > 1:
		return fmt.Sprintf("%d things need attention", len(bad))
	case len(over) == 1:
		return "1 thing is over that needed attention"
	}
	return fmt.Sprintf("%d things are over that needed attention", len(over))
}

// idOf is the same for the same facts.
func idOf(facts []event.Event) string {
	h := sha256.New()
	for _, e := range facts {
		fmt.Fprintf(h, "%v ", e.ID)
	}
	return fmt.Sprintf("notice.%x", h.Sum(nil)[:10])
}

// Words are what a mail to the people who run the server says. ID is the same
// for the same mail; it is an atom of RFC 5322.
type Words struct{ Subject, Text, ID string }

// Compose makes a mail of words.
func Compose(c Config, w Words) Mail {
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	var h, b bytes.Buffer
	from := c.From()
	for _, f := range [][2]string{
		{"From", "Homing <" + from + ">"},
		{"To", "<" + strings.Join(c.To, ">,\r\n <") + ">"},
		{"Date", now().Format("Mon, 02 Jan 2006 15:04:05 -0700")},
		{"Subject", fmt.Sprintf("[%s] %s", c.Hostname, w.Subject)},
		{"Message-ID", fmt.Sprintf("<%s@%s>", w.ID, c.Hostname)},
		{"Auto-Submitted", "auto-generated"},
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "quoted-printable"},
	} {
		fmt.Fprintf(&h, "%s: %s\r\n", f[0], f[1])
	}
	h.WriteString("\r\n")
	q := quotedprintable.NewWriter(&b)
	q.Write([]byte(strings.ReplaceAll(strings.ToValidUTF8(w.Text, "?"), "\n", "\r\n"))) // a buffer takes everything
	q.Close()
	return Mail{Key: w.ID, From: from, To: c.To, Head: h.Bytes(), Body: b.Bytes()}
}
