// Package review keeps mail that is filed only once somebody has said so: whose
// sender nothing proves, and whom nobody has listed.
package review

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homing/event"
	"homing/internal/message"
	"homing/internal/parsedmail"
	"homing/internal/reply"
	"homing/store"
)

// MaxWaiting is how much mail may wait. More is put off, so that whoever sends
// it comes again.
const MaxWaiting = 5000

// Errors of a Keeper.
var (
	ErrUnknown = errors.New("review: no such mail waits: it was filed, discarded, or waited for too long")
	ErrBusy    = errors.New("review: somebody is deciding about this mail")
	// ErrTooMuch is temporary.
	ErrTooMuch = reply.Errorf(452, reply.Enhanced{4, 3, 1}, "too much mail waits for a decision here, try again later")
)

// A Mail waits. Its JSON is what the API answers, and what is noted.
type Mail struct {
	ID             event.MessageID      `json:"id"`
	Arrived        time.Time            `json:"arrived"`
	Why            string               `json:"why"`            // a sentence for people
	From           string               `json:"from,omitempty"` // addresses, where there are several with commas
	Sender         string               `json:"sender"`         // of the envelope; "": the null reverse-path
	Subject        string               `json:"subject"`
	MessageID      string               `json:"message_id,omitempty"`
	Size           int64                `json:"size"` // octets
	Authentication event.Authentication `json:"authentication"`
	Places         []Place              `json:"places"`
	People         []string             `json:"people,omitempty"` // canonical addresses of those whom it names
	Raw            message.Ref          `json:"raw"`
}

// A Place is where a mail is to be filed.
type Place struct {
	Recipient string   `json:"recipient"` // the address that it came to
	Domain    string   `json:"domain"`
	To        []string `json:"to"` // names of sinks
}

// A Teller makes facts durable, with notes in the same transaction.
// *queue.Queue is one.
type Teller interface {
	TellNoting(ctx context.Context, raw store.Draft, notes func(raw message.Ref) []store.NoteChange, events ...event.Event) error
}

// Config is what a Keeper is made of.
type Config struct {
	Notes    store.Notes
	Teller   Teller
	OpenBody func(ctx context.Context, ref message.Ref) (message.Body, error)
	Keep     func() time.Duration // how long mail waits
	// Sinks gives the sinks that are told now of mail to an address, since the
	// configuration may have changed while it waited. Nil, or none: those of then.
	Sinks   func(recipient string) []string
	Log     *slog.Logger
	Now     func() time.Time
	Metrics prometheus.Registerer // nil: not counted anywhere
}

// A Keeper has the mail that waits. Its methods may be called from many
// goroutines; Run once.
type Keeper struct {
	c       Config
	decided *prometheus.CounterVec

	mu      sync.Mutex
	waiting map[event.MessageID]Mail
	busy    map[event.MessageID]bool
}

// space is where mail that waits is noted, by its identifier.
const space = "review"

// New makes a Keeper with what an earlier one has kept.
func New(ctx context.Context, c Config) (*Keeper, error) {
	k := &Keeper{c: c, waiting: map[event.MessageID]Mail{}, busy: map[event.MessageID]bool{}}
	k.decided = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_review_decisions_total",
		Help: "Mail that waited for somebody to say whether it is filed, by what became of it: filed, discarded, expired."}, []string{"decision"})
	if c.Metrics != nil {
		c.Metrics.MustRegister(k.decided, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "homing_review_waiting",
			Help: "Mail that waits for somebody to say whether it is filed."}, func() float64 { return float64(k.Waiting()) }))
	}
	notes, err := c.Notes.Notes(ctx, space)
	if err != nil {
		return nil, fmt.Errorf("reading which mail waits for review: %w", err)
	}
	for name, text := range notes {
		var m Mail
		if err := json.Unmarshal(text, &m); err != nil || m.ID.String() != name {
			c.Log.Error("a note of mail that waits for review cannot be read and is passed over", "message", name, "err", err)
			continue
		}
		k.waiting[m.ID] = m
	}
	return k, nil
}

// Waiting is how much mail waits.
func (k *Keeper) Waiting() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.waiting)
}

// Tell keeps a mail that has to wait, and makes facts about others of its
// recipients durable in the same transaction. ID, Size and Raw are filled in.
// ErrTooMuch, and the errors of the Teller.
func (k *Keeper) Tell(ctx context.Context, raw store.Draft, m Mail, facts ...event.Event) error {
	if k.Waiting() >= MaxWaiting {
		return ErrTooMuch
	}
	var failed error
	err := k.c.Teller.TellNoting(ctx, raw, func(ref message.Ref) []store.NoteChange {
		m.ID, m.Raw, m.Size = event.MessageID(ref.Body), ref, ref.Size
		text, err := json.Marshal(m)
		failed = err
		return []store.NoteChange{{Space: space, Name: m.ID.String(), Value: text, Raw: ref}}
	}, facts...)
	if err = errors.Join(failed, err); err != nil {
		return fmt.Errorf("keeping mail for review: %w", err)
	}
	k.mu.Lock()
	k.waiting[m.ID] = m
	k.mu.Unlock()
	k.c.Log.Info("mail waits for review", "message", m.ID, "from", m.From, "rcpt", m.Places[0].Recipient, "why", m.Why)
	return nil
}

// List gives the mail that waits, oldest first.
func (k *Keeper) List() []Mail {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.SortedFunc(maps.Values(k.waiting), func(a, b Mail) int { return cmp.Compare(a.ID, b.ID) })
}

// Open gives a mail that waits, and its octets. ErrUnknown.
func (k *Keeper) Open(ctx context.Context, id event.MessageID) (Mail, message.Body, error) {
	k.mu.Lock()
	m, known := k.waiting[id]
	k.mu.Unlock()
	if !known {
		return Mail{}, nil, ErrUnknown
	}
	body, err := k.c.OpenBody(ctx, m.Raw)
	if errors.Is(err, store.ErrNotFound) {
		return Mail{}, nil, ErrUnknown // decided about a moment ago, or too old
	}
	return m, body, err
}

// Until is when a mail that waits is forgotten, if nobody decides.
func (k *Keeper) Until(m Mail) time.Time { return m.Arrived.Add(k.c.Keep()) }

// File files a mail: it is told as a fact, for each place, as if nobody had
// doubted it. It is durable when File returns nil. ErrUnknown, ErrBusy.
func (k *Keeper) File(ctx context.Context, id event.MessageID, by string) error {
	m, err := k.claim(id)
	if err != nil {
		return err
	}
	defer k.leave(id)
	facts, err := k.facts(ctx, m, by)
	if err != nil {
		return err
	}
	if err := k.settle(ctx, m, false, facts...); err != nil {
		return err
	}
	k.decided.WithLabelValues("filed").Inc()
	k.c.Log.Info("mail is filed after review", "message", m.ID, "from", m.From, "by", by)
	return nil
}

// Discard forgets a mail. It is durable when Discard returns nil. ErrUnknown,
// ErrBusy.
func (k *Keeper) Discard(ctx context.Context, id event.MessageID, by string) error {
	m, err := k.claim(id)
	if err != nil {
		return err
	}
	defer k.leave(id)
	if err := k.settle(ctx, m, true); err != nil {
		return err
	}
	k.decided.WithLabelValues("discarded").Inc()
	k.c.Log.Info("mail is discarded after review", "message", m.ID, "from", m.From, "by", by)
	return nil
}

// About counts the mail that waits and names a person, by his canonical address.
func (k *Keeper) About(canonical string) int { return len(k.about(canonical)) }

func (k *Keeper) about(canonical string) []Mail {
	return slices.DeleteFunc(k.List(), func(m Mail) bool { return !slices.Contains(m.People, canonical) })
}

// Erase forgets the mail that waits and names a person, and says how much it
// was. ErrBusy where somebody is deciding about some of it: that is left.
func (k *Keeper) Erase(ctx context.Context, canonical string) (n int, err error) {
	for _, m := range k.about(canonical) {
		one := func() error {
			if _, err := k.claim(m.ID); err != nil {
				return err
			}
			defer k.leave(m.ID)
			return k.settle(ctx, m, true)
		}
		switch failed := one(); {
		case errors.Is(failed, ErrUnknown): // it is gone already
		case failed != nil:
			err = errors.Join(err, failed)
		default:
			n++
			k.decided.WithLabelValues("discarded").Inc()
		}
	}
	return n, err
}

// claim lets one caller at a time decide about a mail.
func (k *Keeper) claim(id event.MessageID) (Mail, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m, known := k.waiting[id]
	switch {
	case !known:
		return m, ErrUnknown
	case k.busy[id]:
		return m, ErrBusy
	}
	k.busy[id] = true
	return m, nil
}

func (k *Keeper) leave(id event.MessageID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.busy, id)
}

// settle ends the waiting of a mail together with what became of it.
func (k *Keeper) settle(ctx context.Context, m Mail, drop bool, facts ...event.Event) error {
	gone := store.NoteChange{Space: space, Name: m.ID.String()}
	if drop {
		gone.Raw = m.Raw
	}
	if err := k.c.Teller.TellNoting(ctx, nil, func(message.Ref) []store.NoteChange { return []store.NoteChange{gone} }, facts...); err != nil {
		return fmt.Errorf("ending a review: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.waiting, m.ID)
	return nil
}

// facts are what a mail is filed as.
func (k *Keeper) facts(ctx context.Context, m Mail, by string) (facts []event.Event, err error) {
	body, err := k.c.OpenBody(ctx, m.Raw)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, fmt.Errorf("opening mail that waits for review: %w", err)
	}
	defer body.Close()
	parsed, err := parsedmail.Read(io.NewSectionReader(body, 0, body.Size()))
	if err != nil {
		return nil, err
	}
	for _, p := range m.Places {
		if k.c.Sinks != nil {
			if now := k.c.Sinks(p.Recipient); len(now) > 0 {
				p.To = now
			}
		}
		e := Fact(p, parsed, m.Authentication)
		e.Mail.Authentication.By = event.ByReview
		e.Raw, e.Mail.Reviewed, e.Mail.ReviewedBy = m.Raw, true, by
		facts = append(facts, e)
	}
	return facts, nil
}

// Fact is what a mail is filed as at a place.
func Fact(p Place, m parsedmail.Mail, a event.Authentication) event.Event {
	e := event.Event{Type: event.Filed, Recipient: p.Recipient, Domain: p.Domain, To: p.To, Mail: &event.Mail{Mail: m, Authentication: a}}
	if len(m.From) > 0 {
		e.From = m.From[0].Address
	}
	return e
}

// tick is how often the Keeper looks for mail that has waited for too long.
const tick = 10 * time.Minute

// Run forgets what has waited for too long, until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	timer := time.NewTicker(tick)
	defer timer.Stop()
	for {
		k.expire(ctx)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// expire forgets mail that nobody has decided about.
func (k *Keeper) expire(ctx context.Context) {
	for _, m := range k.List() {
		if k.c.Now().Sub(m.Arrived) < k.c.Keep() {
			return
		}
		if _, err := k.claim(m.ID); err != nil {
			continue
		}
		err := k.settle(ctx, m, true)
		k.leave(m.ID)
		if err != nil {
			if ctx.Err() == nil {
				k.c.Log.Error("mail that has waited too long for review could not be forgotten", "message", m.ID, "err", err)
			}
			return
		}
		k.decided.WithLabelValues("expired").Inc()
		k.c.Log.Warn("nobody has decided about a mail that waited for review: it is forgotten, and was not filed",
			"message", m.ID, "from", m.From, "rcpt", m.Places[0].Recipient, "arrived", m.Arrived)
	}
}
