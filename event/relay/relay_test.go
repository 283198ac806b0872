package relay_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"homing/event"
	"homing/event/relay"
	"homing/internal/message"
	"homing/internal/reply"
)

var at = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

const received = "Received: by mail.example.org (Homing) id 01M83XJ880000;\r\n\tMon, 23 Nov 2026 10:00:00 +0000\r\n" +
	"Envelope-To: civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org\r\n"

// stored is a message in a store that notes when it is closed.
type stored struct {
	*bytes.Reader
	closed *int
}

func (s stored) Close() error { *s.closed++; return nil }

// next is the server that mail is passed on to.
type next struct {
	from, to string
	content  string
	calls    int
	err      error
}

func (n *next) deliver(_ context.Context, body message.Body, from, to string) error {
	n.calls++
	n.from, n.to = from, to
	var b bytes.Buffer
	size, err := body.WriteTo(&b)
	if err != nil || size != body.Size() {
		return fmt.Errorf("wrote %d of %d octets: %w", size, body.Size(), err)
	}
	n.content = b.String()
	return n.err
}

func reply1(kind event.Type) event.Event {
	return event.Event{ID: event.FirstID(at), Type: kind, Delivery: 7, Recipient: "ann@example.net",
		Sender: "civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org", ReturnPath: "return+abc@bounce.example.org", Raw: message.Ref{Body: 1}}
}

// pass tells one fact with a mail and gives what the next server got.
func pass(t *testing.T, e event.Event, raw string, answer error) (*next, error) {
	t.Helper()
	n, closed := &next{err: answer}, 0
	s := relay.New(relay.Config{Name: "next", Kind: "lmtp", Hostname: "mail.example.org", Deliver: n.deliver, Now: func() time.Time { return at },
		OpenBody: func(_ context.Context, ref message.Ref) (message.Body, error) {
			if ref != e.Raw {
				t.Errorf("opened %v, want %v", ref, e.Raw)
			}
			return stored{bytes.NewReader([]byte(raw)), &closed}, nil
		}})
	err := s.Tell(t.Context(), e)
	if closed != 1 {
		t.Errorf("the mail was closed %d times, want once", closed)
	}
	return n, err
}

func TestWhatIsPassedOn(t *testing.T) {
	s := relay.New(relay.Config{Name: "next", Kind: "lmtp"})
	if s.Name() != "next" || s.Kind() != "lmtp" {
		t.Errorf("name %q, kind %q", s.Name(), s.Kind())
	}
	for _, kind := range []event.Type{event.Replied, event.Filed, event.AutoReplied, event.Complained, event.Bounced} {
		if !s.Wants(reply1(kind)) {
			t.Errorf("%s with a mail is not wanted", kind)
		}
		e := reply1(kind)
		e.Raw = message.Ref{}
		if s.Wants(e) {
			t.Errorf("%s without a mail is wanted", kind)
		}
		e = reply1(kind)
		e.Sender = ""
		if s.Wants(e) {
			t.Errorf("%s about mail that nobody sent is wanted", kind)
		}
	}
}

func TestMailGoesWhereItWouldHaveComeWithoutUs(t *testing.T) {
	for _, tt := range []struct {
		name string
		e    event.Event
		want string
	}{
		{"to a return address of ours: the application's own", reply1(event.Bounced), "civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org"},
		{"to the application's own address: that",
			event.Event{Type: event.Replied, Recipient: "ann@example.net", Sender: "civi+r.1.2.0a1b2c3d4e5f6a7b@bounce.example.org", Raw: message.Ref{Body: 1}},
			"civi+r.1.2.0a1b2c3d4e5f6a7b@bounce.example.org"},
		{"to a route: its address", event.Event{Type: event.Filed, Recipient: "civimail@bounce.example.org", Raw: message.Ref{Body: 1}}, "civimail@bounce.example.org"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, err := pass(t, tt.e, "Subject: Re: News\r\n\r\nThanks.\r\n", nil)
			if err != nil || n.to != tt.want {
				t.Errorf("to %q, %v; want %q", n.to, err, tt.want)
			}
		})
	}
}

func TestTwoFieldsAreAddedAndNothingElse(t *testing.T) {
	const rest = "Received: from mx.example.net by mail.example.org; Mon, 23 Nov 2026 09:59:59 +0000\r\nSubject: Re: News\r\n\r\nThanks.\r\n"
	for _, tt := range []struct {
		name, raw, from, want string
	}{
		{"the return path becomes the reverse-path again", "Return-Path: <ann@example.net>\r\n" + rest, "ann@example.net", received + rest},
		{"the null one as well", "Return-Path: <>\r\n" + rest, "", received + rest},
		{"in any letter case", "return-path:<ann@example.net>\r\n" + rest, "ann@example.net", received + rest},
		{"without brackets", "Return-Path: ann@example.net\r\n" + rest, "ann@example.net", received + rest},
		{"without one it is null, and all goes on", rest, "", received + rest},
		{"one that is not on top is not ours", rest[:strings.Index(rest, "Subject")] + "Return-Path: <eve@example.com>\r\n\r\n", "",
			received + rest[:strings.Index(rest, "Subject")] + "Return-Path: <eve@example.com>\r\n\r\n"},
		{"one that names no address is null", "Return-Path: <a b>\r\n" + rest, "", received + rest},
		{"a folded one is not ours", "Return-Path:\r\n <eve@example.com>\r\n" + rest, "", received + "Return-Path:\r\n <eve@example.com>\r\n" + rest},
		{"nothing at all", "", "", received},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, err := pass(t, reply1(event.Replied), tt.raw, nil)
			if err != nil {
				t.Fatal(err)
			}
			if n.from != tt.from {
				t.Errorf("reverse-path %q, want %q", n.from, tt.from)
			}
			if n.content != tt.want {
				t.Errorf("passed on %q, want %q", n.content, tt.want)
			}
		})
	}
}

func TestWhatFailuresMean(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer error
		down   bool
	}{
		{"a refusal for now is the mail's", reply.Errorf(451, reply.Enhanced{4, 3, 0}, "later"), false},
		{"a refusal for good as well", reply.Errorf(550, reply.Enhanced{5, 1, 1}, "nobody here"), false},
		{"a server that closes down is down", reply.Errorf(421, reply.Enhanced{4, 3, 2}, "closing"), true},
		{"one that cannot be reached is down", os.ErrDeadlineExceeded, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, err := pass(t, reply1(event.Replied), "Subject: Re\r\n\r\n", tt.answer)
			var f *event.Failure
			if !errors.Is(err, tt.answer) || errors.As(err, &f) != tt.down || tt.down && f.Fault != event.Down {
				t.Errorf("Tell = %#v, want down %v", err, tt.down)
			}
			if n.calls != 1 {
				t.Errorf("%d deliveries in one telling", n.calls)
			}
		})
	}
}

func TestWhatAnybodyCanMakeUpIsGivenUpWhenItIsRefusedForGood(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer error
		final  bool
		want   event.Fault
	}{
		{"for good, at an address that anybody can make up", reply.Errorf(550, reply.Enhanced{5, 1, 1}, "no such list"), true, event.Refused},
		{"for now", reply.Errorf(451, reply.Enhanced{4, 3, 0}, "later"), true, event.Unclear},
		{"for good, at another address", reply.Errorf(550, reply.Enhanced{5, 1, 1}, "nobody here"), false, event.Unclear},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := relay.New(relay.Config{Final: func(event.Event) bool { return tt.final },
				OpenBody: func(context.Context, message.Ref) (message.Body, error) {
					return stored{bytes.NewReader([]byte("Subject: leave\r\n\r\n")), new(int)}, nil
				},
				Deliver: func(context.Context, message.Body, string, string) error { return tt.answer }})
			got := event.Unclear
			var f *event.Failure
			if err := s.Tell(t.Context(), reply1(event.Unsubscribed)); errors.As(err, &f) {
				got = f.Fault
			}
			if got != tt.want {
				t.Errorf("fault %d, want %d", got, tt.want)
			}
		})
	}
}

func TestAMailThatCannotBeOpenedFails(t *testing.T) {
	gone := errors.New("gone")
	s := relay.New(relay.Config{OpenBody: func(context.Context, message.Ref) (message.Body, error) { return nil, gone }})
	if err := s.Tell(t.Context(), reply1(event.Replied)); !errors.Is(err, gone) {
		t.Errorf("Tell = %v, want %v", err, gone)
	}
}

// TestWhatIsPassedOnReadsLikeOneMail checks the body against the contract of
// io.ReaderAt.
func TestWhatIsPassedOnReadsLikeOneMail(t *testing.T) {
	raw := "Return-Path: <ann@example.net>\r\nSubject: Re\r\n\r\n" + strings.Repeat("Thanks again.\r\n", 100)
	closed := 0
	s := relay.New(relay.Config{Hostname: "mail.example.org", Now: func() time.Time { return at },
		OpenBody: func(context.Context, message.Ref) (message.Body, error) {
			return stored{bytes.NewReader([]byte(raw)), &closed}, nil
		},
		Deliver: func(_ context.Context, body message.Body, _, _ string) error {
			want := received + raw[strings.Index(raw, "Subject"):]
			if _, err := body.ReadAt(make([]byte, 1), -1); err == nil {
				t.Error("a negative offset was read")
			}
			return iotest.TestReader(io.NewSectionReader(body, 0, body.Size()), []byte(want))
		}})
	if err := s.Tell(t.Context(), reply1(event.Replied)); err != nil {
		t.Error(err)
	}
}

// FuzzPass states that whatever mail was kept, it goes on octet for octet
// behind one field of ours, but for a first line that names a return path, and
// that the reverse-path is fit for an envelope.
func FuzzPass(f *testing.F) {
	f.Add("Return-Path: <ann@example.net>\r\nSubject: Re\r\n\r\n")
	f.Add("Return-Path: <>\r\n")
	f.Add("\r\n")
	f.Fuzz(func(t *testing.T, raw string) {
		n, err := pass(t, reply1(event.Replied), raw, nil)
		if err != nil {
			t.Fatal(err)
		}
		rest, ok := strings.CutPrefix(n.content, received)
		if !ok || !strings.HasSuffix(raw, rest) {
			t.Fatalf("passed on %q of %q", n.content, raw)
		}
		if gone := raw[:len(raw)-len(rest)]; gone != "" &&
			(!strings.EqualFold(gone[:min(len(gone), 12)], "return-path:") || strings.Count(gone, "\r\n") != 1) {
			t.Errorf("%q is gone", gone)
		}
		if strings.ContainsAny(n.from, " \r\n\t\x00") {
			t.Errorf("reverse-path %q", n.from)
		}
	})
}

func ExampleSink() {
	s := relay.New(relay.Config{Name: "next", Kind: "lmtp", Hostname: "mail.example.org",
		OpenBody: func(context.Context, message.Ref) (message.Body, error) {
			return stored{bytes.NewReader([]byte("Return-Path: <ann@example.net>\r\nSubject: Re: News\r\n\r\nThanks.\r\n")), new(int)}, nil
		},
		Deliver: func(_ context.Context, _ message.Body, from, to string) error {
			fmt.Println("from", from, "to", to)
			return nil
		}})
	e := event.Event{Type: event.Filed, Recipient: "civimail@bounce.example.org", Raw: message.Ref{Body: 1}}
	fmt.Println(s.Wants(e), s.Tell(context.Background(), e))
	// Output:
	// from ann@example.net to civimail@bounce.example.org
	// true <nil>
}

// TestAFailureThatNobodyWroteAboutBecomesAReport where no report can be mailed.
func TestAFailureThatNobodyWroteAboutBecomesAReport(t *testing.T) {
	const ours = "news-bounces+ann=example.net@lists.example.org"
	failure := event.Event{ID: event.FirstID(at), Type: event.Bounced, Delivery: 7, Recipient: "ann@example.net", Sender: ours,
		Outcome: event.Outcome{Class: "hard", Reason: "user_unknown", Code: 550}}
	n := &next{}
	c := relay.Config{Name: "lists", Kind: "lmtp", Hostname: "mail.example.org", Deliver: n.deliver,
		Reads: func(to string) bool { return to == ours },
		Report: func(_ context.Context, e event.Event) ([]byte, error) {
			return []byte("report of " + e.Recipient + "\r\n"), nil
		}}
	s := relay.New(c)
	if !s.Wants(failure) {
		t.Fatal("the failure is not wanted")
	}
	if err := s.Tell(t.Context(), failure); err != nil || n.from != "" || n.to != ours || n.content != "report of ann@example.net\r\n" {
		t.Errorf("from %q to %q: %q, %v", n.from, n.to, n.content, err)
	}
	for name, change := range map[string]func(e *event.Event){
		"an address whose MX is elsewhere": func(e *event.Event) { e.Sender = "news@example.org" },
		"mail without a sender":            func(e *event.Event) { e.Sender = "" },
		"a fault of ours":                  func(e *event.Event) { e.Class = "sender" },
		"what is only late":                func(e *event.Event) { e.Type = event.Deferred },
		"what was delivered":               func(e *event.Event) { e.Type = event.Delivered },
	} {
		e := failure
		if change(&e); s.Wants(e) {
			t.Errorf("%s is wanted", name)
		}
	}
	c.Report = func(context.Context, event.Event) ([]byte, error) { return nil, errors.New("no such address") }
	if err := relay.New(c).Tell(t.Context(), failure); err == nil || n.calls != 1 {
		t.Errorf("%v after %d calls: a report that cannot be made is an error, and nothing is sent", err, n.calls)
	}
}
