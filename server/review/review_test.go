package review_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"homing/event"
	"homing/internal/message"
	"homing/internal/reply"
	"homing/server/review"
	"homing/store"
)

// A memory is notes, bodies and facts, with the promises of a store.
type memory struct {
	mu      sync.Mutex
	notes   map[string][]byte
	bodies  map[uint64]string
	facts   []event.Event
	refuses error
	hold    chan struct{} // what a change waits for; nil: nothing
}

func newMemory() *memory { return &memory{notes: map[string][]byte{}, bodies: map[uint64]string{}} }

func (m *memory) Notes(context.Context, string) (map[string][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.notes), nil
}

func (m *memory) Note(context.Context, string, map[string][]byte) error {
	return errors.New("not used")
}

func (m *memory) TellNoting(_ context.Context, raw store.Draft, notes func(message.Ref) []store.NoteChange, events ...event.Event) error {
	if m.hold != nil {
		<-m.hold
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuses != nil {
		return m.refuses
	}
	var ref message.Ref
	if raw != nil {
		ref = message.Ref{Body: uint64(event.FirstID(time.Now())) + uint64(len(m.bodies)), Size: raw.Size()}
		m.bodies[ref.Body] = raw.(draft).text
	}
	for _, n := range notes(ref) {
		if m.notes[n.Name] = n.Value; n.Value == nil {
			delete(m.notes, n.Name)
			delete(m.bodies, n.Raw.Body)
		}
	}
	m.facts = append(m.facts, events...)
	return nil
}

func (m *memory) open(_ context.Context, ref message.Ref) (message.Body, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text, known := m.bodies[ref.Body]
	if !known {
		return nil, store.ErrNotFound
	}
	return body{bytes.NewReader([]byte(text))}, nil
}

type body struct{ *bytes.Reader }

func (body) Close() error { return nil }

type draft struct {
	store.Draft
	text string
}

func (d draft) Size() int64 { return int64(len(d.text)) }

const mail = "From: Ann <ann@example.net>\r\nSubject: Hello\r\nMessage-ID: <1@example.net>\r\n\r\nGood morning\r\n"

func waiting() review.Mail {
	return review.Mail{Arrived: time.Now().UTC(), Why: "Nothing proves it.", From: "ann@example.net", Subject: "Hello", Authentication: event.Authentication{DMARC: "none"},
		Places: []review.Place{{Recipient: "file@example.org", Domain: "example.org", To: []string{"crm"}}, {Recipient: "other@example.org", Domain: "example.org", To: []string{"hooks"}}},
		People: []string{"ann@example.net", "office@example.org"}}
}

type bench struct {
	*testing.T
	*review.Keeper
	memory *memory
	log    bytes.Buffer
	reg    *prometheus.Registry
	sinks  map[string][]string // of now
}

func (b *bench) start() {
	b.Helper()
	b.reg = prometheus.NewRegistry()
	var err error
	b.Keeper, err = review.New(b.Context(), review.Config{Notes: b.memory, Teller: b.memory, OpenBody: b.memory.open, Now: time.Now, Metrics: b.reg,
		Sinks: func(recipient string) []string { return b.sinks[recipient] },
		Keep:  func() time.Duration { return 30 * 24 * time.Hour }, Log: slog.New(slog.NewTextHandler(&b.log, nil))})
	if err != nil {
		b.Fatal(err)
	}
}

func open(t *testing.T) *bench {
	b := &bench{T: t, memory: newMemory()}
	b.start()
	return b
}

func (b *bench) keep() review.Mail {
	b.Helper()
	if err := b.Tell(b.Context(), draft{text: mail}, waiting()); err != nil {
		b.Fatal(err)
	}
	all := b.List()
	return all[len(all)-1]
}

func TestMailWaitsAlsoAfterARestartUntilSomebodyFilesIt(t *testing.T) {
	b := open(t)
	kept := b.keep()
	b.start()
	m, body, err := b.Open(t.Context(), kept.ID)
	if err != nil || m.Why != "Nothing proves it." || m.Size != int64(len(mail)) || body.Size() != m.Size {
		t.Fatalf("%+v, %v", m, err)
	}
	if err := b.File(t.Context(), m.ID, "bob"); err != nil {
		t.Fatal(err)
	}
	if len(b.memory.facts) != 2 {
		t.Fatalf("told were %+v, want a fact for each place", b.memory.facts)
	}
	for i, e := range b.memory.facts {
		if p := m.Places[i]; e.Type != event.Filed || e.Recipient != p.Recipient || e.To[0] != p.To[0] || e.From != "ann@example.net" || e.Raw != m.Raw ||
			!e.Mail.Reviewed || e.Mail.ReviewedBy != "bob" || e.Mail.Text != "Good morning" || e.Mail.Authentication.DMARC != "none" {
			t.Errorf("told was %+v", e)
		}
	}
	b.start()
	if err := b.File(t.Context(), m.ID, "bob"); !errors.Is(err, review.ErrUnknown) || len(b.memory.facts) != 2 {
		t.Errorf("filed again: %v", err)
	}
	if got := len(b.memory.bodies); got != 1 {
		t.Errorf("%d bodies are kept, want that which the facts name", got)
	}
}

func TestMailIsFiledWhereItsRouteLeadsNow(t *testing.T) {
	b := open(t)
	b.sinks = map[string][]string{"file@example.org": {"new"}}
	b.start()
	if err := b.File(t.Context(), b.keep().ID, "bob"); err != nil {
		t.Fatal(err)
	}
	if f := b.memory.facts; f[0].To[0] != "new" || f[1].To[0] != "hooks" {
		t.Errorf("told were %+v", f)
	}
}

func TestMailThatIsDiscardedIsGone(t *testing.T) {
	b := open(t)
	m := b.keep()
	if err := b.Discard(t.Context(), m.ID, "bob"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Open(t.Context(), m.ID); !errors.Is(err, review.ErrUnknown) {
		t.Errorf("opened: %v", err)
	}
	if err := b.Discard(t.Context(), m.ID, "bob"); !errors.Is(err, review.ErrUnknown) {
		t.Errorf("discarded again: %v", err)
	}
	if len(b.memory.facts)+len(b.memory.bodies)+len(b.memory.notes) > 0 {
		t.Errorf("left are %+v", b.memory)
	}
}

func TestMailThatNamesAPersonIsForgottenWithHim(t *testing.T) {
	b := open(t)
	b.keep()
	b.keep()
	other := waiting()
	other.People = []string{"bob@example.com"}
	if err := b.Tell(t.Context(), draft{text: mail}, other); err != nil {
		t.Fatal(err)
	}
	b.start()
	if got := b.About("office@example.org"); got != 2 {
		t.Errorf("%d mails name him, want 2", got)
	}
	if n, err := b.Erase(t.Context(), "office@example.org"); n != 2 || err != nil {
		t.Errorf("forgot %d, %v", n, err)
	}
	if all := b.List(); len(all) != 1 || all[0].People[0] != "bob@example.com" || len(b.memory.bodies) != 1 || len(b.memory.notes) != 1 || strings.Contains(b.log.String(), "discarded") {
		t.Errorf("left are %+v; the log says %s", all, b.log.String())
	}
}

func TestOnlyOneDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t)
		m := b.keep()
		b.memory.hold = make(chan struct{})
		first := make(chan error)
		go func() { first <- b.File(t.Context(), m.ID, "ann") }()
		synctest.Wait() // it holds on
		if err := b.Discard(t.Context(), m.ID, "bob"); !errors.Is(err, review.ErrBusy) {
			t.Errorf("decided meanwhile: %v", err)
		}
		close(b.memory.hold)
		if err := <-first; err != nil || len(b.memory.facts) != 2 {
			t.Errorf("%v, and %d facts", err, len(b.memory.facts))
		}
	})
}

func TestWhatCannotBeKeptDoesNotWait(t *testing.T) {
	b := open(t)
	m := b.keep()
	b.memory.refuses = store.ErrFull
	if err := b.Tell(t.Context(), draft{text: mail}, waiting()); !errors.Is(err, store.ErrFull) || b.Waiting() != 1 {
		t.Errorf("%v, and %d wait", err, b.Waiting())
	}
	for _, decide := range []func(context.Context, event.MessageID, string) error{b.File, b.Discard} {
		if err := decide(t.Context(), m.ID, "ann"); !errors.Is(err, store.ErrFull) || b.Waiting() != 1 {
			t.Errorf("%v, and %d wait", err, b.Waiting())
		}
	}
	b.memory.refuses = nil
	if err := b.File(t.Context(), m.ID, "ann"); err != nil {
		t.Errorf("later: %v", err)
	}
}

func TestMailPastItsTimeIsForgottenWithANotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t)
		b.keep()
		<-time.After(29 * 24 * time.Hour)
		young := b.keep()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Keeper.Run(ctx) }()
		<-time.After(24*time.Hour + 11*time.Minute)
		if all := b.List(); len(all) != 1 || all[0].ID != young.ID || len(b.memory.bodies) != 1 {
			t.Errorf("waiting are %+v", all)
		}
		if log := b.log.String(); strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, "was not filed") {
			t.Errorf("the log says %s", log)
		}
		want := "# HELP homing_review_waiting Mail that waits for somebody to say whether it is filed.\n# TYPE homing_review_waiting gauge\nhoming_review_waiting 1\n"
		if err := testutil.GatherAndCompare(b.reg, strings.NewReader(want), "homing_review_waiting"); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestTooMuchIsPutOff(t *testing.T) {
	b := open(t)
	for range review.MaxWaiting {
		if err := b.Tell(t.Context(), draft{text: mail}, waiting()); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Tell(t.Context(), draft{text: mail}, waiting()); !errors.Is(err, review.ErrTooMuch) || reply.Of(err).Code != 452 {
		t.Error(err)
	}
}

func TestANoteThatNobodyCanReadDisturbsNoOther(t *testing.T) {
	b := open(t)
	b.keep()
	b.memory.notes["odd"] = []byte("{")
	b.memory.notes["other"] = []byte("{}")
	if b.start(); b.Waiting() != 1 || strings.Count(b.log.String(), "cannot be read") != 2 {
		t.Errorf("%d wait; %s", b.Waiting(), b.log.String())
	}
}
