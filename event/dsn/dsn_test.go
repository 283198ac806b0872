package dsn_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gomessage "github.com/emersion/go-message"
	"github.com/google/go-cmp/cmp"

	"homing/event"
	"homing/event/dsn"
	"homing/internal/message"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var at = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

const original = "From: News <news@example.org>\r\nTo: Ann <ann@example.net>\r\nSubject: News\r\n\r\nAll the news.\r\n"

// stored is a message in a store.
type stored struct{ *bytes.Reader }

func (stored) Close() error { return nil }

func opens(text string) func(context.Context, message.Ref) (message.Body, error) {
	return func(context.Context, message.Ref) (message.Body, error) {
		return stored{bytes.NewReader([]byte(text))}, nil
	}
}

// outbox takes reports.
type outbox struct {
	mails []dsn.Mail
	err   error
}

func (o *outbox) submit(_ context.Context, m dsn.Mail) error {
	if o.err == nil {
		o.mails = append(o.mails, m)
	}
	return o.err
}

func sink(o *outbox) *dsn.Sink {
	return dsn.New(dsn.Config{Name: "mail", Hostname: "mail.example.org", OpenBody: opens(original), Submit: o.submit,
		Skip: func(to string) bool { return strings.HasPrefix(to, "return+") }})
}

func fact(kind event.Type) event.Event {
	return event.Event{
		ID: event.FirstID(at), Type: kind, Time: at, Message: event.MessageID(event.FirstID(at.Add(-5 * time.Hour))), Delivery: 7,
		Recipient: "ann@example.net", Sender: "news@example.org", Original: message.Ref{Body: 1},
		Outcome: event.Outcome{Class: "hard", Reason: "user_unknown", Code: 550, Status: "5.1.1",
			Diagnostic: "550 5.1.1 <ann@example.net>: Recipient address rejected: User unknown in virtual mailbox table", RemoteMTA: "mx.example.net[198.51.100.7]"},
	}
}

func TestWhoIsToldOfWhat(t *testing.T) {
	for _, tt := range []struct {
		name   string
		kind   event.Type
		notify string
		change func(*event.Event)
		want   bool
	}{
		{"failures, without NOTIFY", event.Bounced, "", nil, true},
		{"the last attempt, without NOTIFY", event.Expired, "", nil, true},
		{"what a hold suppressed, without NOTIFY", event.Suppressed, "", nil, true},
		{"failures, where NOTIFY asks for them", event.Bounced, "SUCCESS,FAILURE", nil, true},
		{"failures, however it is spelled", event.Bounced, "success, failure", nil, true},
		{"no failures, where NOTIFY asks for success alone", event.Bounced, "SUCCESS", nil, false},
		{"nothing, where NOTIFY says NEVER", event.Bounced, "NEVER", nil, false},
		{"no success, without NOTIFY", event.Delivered, "", nil, false},
		{"success, where NOTIFY asks for it", event.Delivered, "SUCCESS", nil, true},
		{"no success with NEVER", event.Delivered, "NEVER", nil, false},
		{"no delay, without NOTIFY", event.Deferred, "", nil, false},
		{"a delay of four hours, where NOTIFY asks for it", event.Deferred, "DELAY,FAILURE", nil, true},
		{"no shorter one", event.Deferred, "DELAY", func(e *event.Event) { e.Time = e.Message.Time().Add(4*time.Hour - time.Second) }, false},
		{"nothing about mail that nobody sent: a report about a report", event.Bounced, "", func(e *event.Event) { e.Sender = "" }, false},
		{"nothing where we would read it ourselves as a report", event.Bounced, "", func(e *event.Event) { e.Sender = "return+x@bounce.example.org" }, false},
		{"nothing about replies", event.Replied, "SUCCESS,FAILURE,DELAY", nil, false},
		{"nothing about mail that an operator cancelled", event.Cancelled, "", nil, false},
		{"nothing about no recipient", event.Bounced, "", func(e *event.Event) { e.Recipient = "" }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := fact(tt.kind)
			e.Notify = tt.notify
			if tt.change != nil {
				tt.change(&e)
			}
			if got := sink(&outbox{}).Wants(e); got != tt.want {
				t.Errorf("Wants = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestReportsAsTheyAre(t *testing.T) {
	for name, e := range map[string]event.Event{
		"bounced.eml":    with(fact(event.Bounced), func(e *event.Event) { e.EnvelopeID, e.OriginalRecipient = "job 7", "rfc822;Ann@example.net" }),
		"expired.eml":    with(fact(event.Expired), func(e *event.Event) { e.Status, e.Diagnostic = "", "the connection timed out" }),
		"suppressed.eml": with(fact(event.Suppressed), func(e *event.Event) { e.Outcome = event.Outcome{Reason: "user_unknown"} }),
		"delayed.eml":    with(fact(event.Deferred), func(e *event.Event) { e.Status, e.Diagnostic = "4.2.2", "452 4.2.2 mailbox full" }),
		"relayed.eml":    with(fact(event.Delivered), func(e *event.Event) { e.Status, e.Diagnostic = "2.0.0", "250 2.0.0 ok" }),
		"full.eml":       with(fact(event.Bounced), func(e *event.Event) { e.ReturnContent = "FULL" }),
		"utf8.eml": with(fact(event.Bounced), func(e *event.Event) {
			e.Recipient, e.Diagnostic = "zoë@bücher.example", "550 5.1.1 Empfänger unbekannt"
		}),
	} {
		t.Run(name, func(t *testing.T) {
			got := tell(t, e)
			path := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(path, got.Message, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got.Message)); diff != "" {
				t.Error(diff)
			}
			if got.To != e.Sender || got.Key != e.ID.String()+".dsn@mail.example.org" || got.EightBit || got.UTF8 {
				t.Errorf("mail %q to %q, 8-bit %v, UTF-8 %v; want plain, to the sender", got.Key, got.To, got.EightBit, got.UTF8)
			}
		})
	}
}

func with(e event.Event, change func(*event.Event)) event.Event {
	change(&e)
	return e
}

func tell(t *testing.T, e event.Event) dsn.Mail {
	t.Helper()
	var o outbox
	if err := sink(&o).Tell(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if len(o.mails) != 1 {
		t.Fatalf("%d reports, want one", len(o.mails))
	}
	return o.mails[0]
}

func TestAReportSaysThatNobodyWroteIt(t *testing.T) {
	m, err := mail.ReadMessage(bytes.NewReader(tell(t, fact(event.Bounced)).Message))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Header.Get("Auto-Submitted"); got != "auto-replied" {
		t.Errorf("Auto-Submitted: %q", got)
	}
	if from, err := m.Header.AddressList("From"); err != nil || from[0].Address != "MAILER-DAEMON@mail.example.org" {
		t.Errorf("From: %v, %v", from, err)
	}
}

func TestWhatIsBroughtBack(t *testing.T) {
	long := "Subject: News\r\n\r\n" + strings.Repeat("x", 999) + "\r\n"
	big := "Subject: News\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 2000)
	head, _, _ := strings.Cut(original, "\r\n\r\n")
	for _, tt := range []struct {
		name, ret, text string
		kind            event.Type
		want            string // type of the part
		content         string
	}{
		{"the header, without RET", "", original, event.Bounced, "text/rfc822-headers", head + "\r\n"},
		{"the header, with RET=HDRS", "HDRS", original, event.Bounced, "text/rfc822-headers", head + "\r\n"},
		{"the message, with RET=FULL", "FULL", original, event.Bounced, "message/rfc822", original},
		{"the header of what was delivered", "FULL", original, event.Delivered, "text/rfc822-headers", head + "\r\n"},
		{"the header of what is only late", "FULL", original, event.Deferred, "text/rfc822-headers", head + "\r\n"},
		{"the header of a big message", "FULL", big, event.Bounced, "text/rfc822-headers", "Subject: News\r\n"},
		{"the header of one with lines that are too long", "FULL", long, event.Bounced, "text/rfc822-headers", "Subject: News\r\n"},
		{"the header of one with a bare LF", "FULL", "Subject: News\r\n\r\na\nb\r\n", event.Bounced, "text/rfc822-headers", "Subject: News\r\n"},
		{"the header of one with a bare CR", "FULL", "Subject: News\r\n\r\na\rb\r\n", event.Bounced, "text/rfc822-headers", "Subject: News\r\n"},
		{"the header of one with a NUL", "FULL", "Subject: News\r\n\r\na\x00b\r\n", event.Bounced, "text/rfc822-headers", "Subject: News\r\n"},
		{"eight bits as they are", "FULL", "Subject: News\r\n\r\nä\r\n", event.Bounced, "message/rfc822", "Subject: News\r\n\r\nä\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var o outbox
			s := dsn.New(dsn.Config{Hostname: "mail.example.org", OpenBody: opens(tt.text), Submit: o.submit})
			e := fact(tt.kind)
			e.ReturnContent = tt.ret
			if err := s.Tell(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			kind, content := thirdPart(t, o.mails[0].Message)
			if kind != tt.want || content != tt.content {
				t.Errorf("the third part is %s %.100q, want %s %.100q", kind, content, tt.want, tt.content)
			}
			if want := strings.Contains(content, "ä"); o.mails[0].EightBit != want {
				t.Errorf("EightBit is %v, want %v", o.mails[0].EightBit, want)
			}
		})
	}
}

// thirdPart reads a report with a library that is not ours.
func thirdPart(t *testing.T, msg []byte) (kind, content string) {
	t.Helper()
	e, err := gomessage.Read(bytes.NewReader(msg))
	if err != nil {
		t.Fatal(err)
	}
	r := e.MultipartReader()
	for range 3 {
		p, err := r.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if kind, _, err = p.Header.ContentType(); err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p.Body)
		if err != nil {
			t.Fatal(err)
		}
		content = string(b)
	}
	return kind, content
}

func TestAReportGoesWithoutAnOriginalThatIsGone(t *testing.T) {
	var o outbox
	s := dsn.New(dsn.Config{Hostname: "mail.example.org", Submit: o.submit,
		OpenBody: func(context.Context, message.Ref) (message.Body, error) { return nil, errors.New("gone") }})
	if err := s.Tell(t.Context(), fact(event.Bounced)); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(o.mails[0].Message, []byte("text/rfc822-headers")) {
		t.Error("the report has a third part")
	}
}

func TestADelayIsToldOnce(t *testing.T) {
	var o outbox
	s := sink(&o)
	for i := range 3 {
		e := fact(event.Deferred)
		e.ID, e.Notify = e.ID+event.ID(i), "DELAY"
		o.err = nil
		if i == 0 {
			o.err = errors.New("full") // then it was not told
		}
		if err := s.Tell(t.Context(), e); (err != nil) != (i == 0) {
			t.Fatal(err)
		}
	}
	if len(o.mails) != 1 {
		t.Errorf("%d reports of delay, want one", len(o.mails))
	}
	other := fact(event.Deferred)
	other.Delivery = 8
	if err := s.Tell(t.Context(), other); err != nil || len(o.mails) != 2 {
		t.Errorf("another delivery: %v, %d reports", err, len(o.mails))
	}
}

func TestWhatIsRememberedOfDelaysIsBounded(t *testing.T) {
	var o outbox
	s := dsn.New(dsn.Config{Hostname: "mail.example.org", Submit: o.submit})
	for i := range 10_001 {
		e := fact(event.Deferred)
		e.Delivery = event.DeliveryID(i + 1)
		if err := s.Tell(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []event.DeliveryID{10_001, 1} {
		e := fact(event.Deferred)
		e.Delivery = d
		if err := s.Tell(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if want := 10_001 + btoi(d == 1); len(o.mails) != want {
			t.Errorf("delivery %d again: %d reports, want %d", d, len(o.mails), want)
		}
	}
}

func TestASenderInUTF8NeedsSMTPUTF8(t *testing.T) {
	e := fact(event.Bounced)
	e.Sender = "büro@example.org"
	if m := tell(t, e); !m.UTF8 || !m.EightBit {
		t.Errorf("UTF8 %v, EightBit %v; want both", m.UTF8, m.EightBit)
	}
}

func TestASubmissionThatFailsIsTriedAgain(t *testing.T) {
	o := outbox{err: errors.New("no room")}
	if err := sink(&o).Tell(t.Context(), fact(event.Bounced)); !errors.Is(err, o.err) {
		t.Errorf("Tell = %v, want the error of Submit", err)
	}
}

func ExampleSink() {
	s := dsn.New(dsn.Config{Name: "mail", Hostname: "mail.example.org", Submit: func(_ context.Context, m dsn.Mail) error {
		subject, err := mail.ReadMessage(bytes.NewReader(m.Message))
		fmt.Println("to", m.To+":", subject.Header.Get("Subject"), err)
		return nil
	}})
	e := event.Event{Type: event.Bounced, Recipient: "ann@example.net", Sender: "news@example.org"}
	fmt.Println(s.Wants(e), s.Tell(context.Background(), e))
	// Output:
	// to news@example.org: Delivery Status Notification (Failure) <nil>
	// true <nil>
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestAReportAboutMailThatRequiresTLSRequiresItToo(t *testing.T) {
	for _, required := range []bool{false, true} {
		e := fact(event.Bounced)
		e.RequireTLS = required
		if m := tell(t, e); m.RequireTLS != required {
			t.Errorf("RequireTLS %v about mail with %v", m.RequireTLS, required)
		}
	}
}
