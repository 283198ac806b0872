package civicrm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"crypto/x509"

	"homing/event"
	"homing/event/civicrm"
	"homing/internal/civicrmtest"
	"homing/internal/message"
)

// A bench is a site of CiviCRM and the sink that tells it.
type bench struct {
	*testing.T
	site  *civicrmtest.Site
	sink  *civicrm.Sink
	queue *holds
	notes *notes
	now   time.Time
	last  event.ID
	log   bytes.Buffer
	more  func(*civicrm.Config)
}

const (
	apiKey  = "0f8f0a4a17b04bb2"
	siteKey = "d3f1c6a90a7e4c55"
)

// impatient is for tests of a site that does not answer.
func impatient(c *civicrm.Config) { c.Timeout = time.Second }

func newBench(t *testing.T, change ...func(*civicrmtest.Site)) *bench {
	t.Helper()
	b := &bench{T: t, now: time.Now(), queue: &holds{standing: map[string]civicrm.Standing{}}, notes: newNotes()}
	b.site = &civicrmtest.Site{APIKey: apiKey, SiteKey: siteKey, Prefix: "civi+", Domain: "bounce.example.org", From: `"News" <news@example.org>`}
	for _, c := range change {
		c(b.site)
	}
	if err := b.site.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.restart()
	return b
}

// restart makes the sink anew: what it knows is what was noted.
func (b *bench) restart() {
	b.Helper()
	memory, err := civicrm.NewMemory(b.Context(), b.notes, "crm", func() time.Time { return b.now })
	if err != nil {
		b.Fatal(err)
	}
	c := civicrm.Config{
		Name: "crm", URL: b.site.URL(), APIKey: apiKey, SiteKey: siteKey, Own: own, OpenBody: opens, Queue: b.queue, Memory: memory,
		Timeout: time.Minute, Now: func() time.Time { return b.now },
		Logger: slog.New(slog.NewTextHandler(&b.log, nil)),
	}
	if b.more != nil {
		b.more(&c)
	}
	if b.sink, err = civicrm.New(c); err != nil {
		b.Fatal(err)
	}
}

// own is the grammar of the site.
func own(application, address string) (civicrm.Address, bool) {
	local, _, _ := strings.Cut(address, "@")
	rest, ok := strings.CutPrefix(local, "civi+")
	words := strings.Split(rest, ".")
	if !ok || application != "civicrm" || len(words) != 4 {
		return civicrm.Address{}, false
	}
	job, _ := strconv.ParseUint(words[1], 10, 64)
	queue, _ := strconv.ParseUint(words[2], 10, 64)
	a := civicrm.Address{Job: job, Queue: queue, Hash: words[3]}
	switch words[0] {
	case "c":
		a.Action = civicrm.ActionConfirm
	case "s":
		a.Action = civicrm.ActionSubscribe
	}
	return a, true
}

type stored struct{ *bytes.Reader }

func (stored) Close() error { return nil }

// letterText is the mail behind every fact that has one.
const letterText = "Return-Path: <ann@example.net>\r\nReceived: from x by y; Mon, 23 Nov 2026 10:00:00 +0000\r\nFrom: Ann <ann@example.net>\r\n" +
	"Reply-To: ann@home.example\r\nSubject: Re: News\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nThank you – see you there\r\n"

func opens(context.Context, message.Ref) (message.Body, error) {
	return stored{bytes.NewReader([]byte(letterText))}, nil
}

func newNotes() *notes { return &notes{kept: map[string][]byte{}} }

// notes is a store's notes.
type notes struct {
	mu   sync.Mutex
	kept map[string][]byte
}

func (n *notes) Notes(_ context.Context, space string) (map[string][]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := map[string][]byte{}
	for name, v := range n.kept {
		if rest, ok := strings.CutPrefix(name, space+"\x00"); ok {
			all[rest] = v
		}
	}
	return all, nil
}

func (n *notes) Note(_ context.Context, space string, values map[string][]byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, v := range values {
		if n.kept[space+"\x00"+name] = v; v == nil {
			delete(n.kept, space+"\x00"+name)
		}
	}
	return nil
}

// holds is a queue with its holds, by application and address.
type holds struct {
	mu       sync.Mutex
	standing map[string]civicrm.Standing
	answered []string
}

func (h *holds) set(application, address string, s civicrm.Standing) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.standing[application+" "+address] = s
}

func (h *holds) Standing(_ context.Context, s civicrm.Scope, address string) (civicrm.Standing, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.standing[s.Application+" "+address], nil
}

func (h *holds) Release(_ context.Context, application, address string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.standing, application+" "+address)
	return nil
}

func (h *holds) Answered(_ context.Context, s civicrm.Scope, address string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answered = append(h.answered, s.Application+" "+s.Domain+" "+address)
	return nil
}

// fact is a failure of one delivery of a mailing; change makes another of it.
func (b *bench) fact(verp string, change func(*event.Event)) event.Event {
	at := b.now.Add(time.Second) // after the sink was made
	b.last = max(b.last+1, event.FirstID(at))
	e := event.Event{ID: b.last, Type: event.Bounced, Time: at, Delivery: 7, Recipient: "ann@example.net", Sender: verp, Application: "civicrm", Domain: "example.org",
		Outcome: event.Outcome{Class: "hard", Reason: "user_unknown", CiviCRM: "Invalid", Code: 550, Status: "5.1.1",
			Diagnostic: "550 5.1.1 <ann@example.net>: no such user", RemoteMTA: "mx.example.net[198.51.100.7]"}}
	if change != nil {
		change(&e)
	}
	return e
}

func ofType(t event.Type) func(*event.Event) {
	return func(e *event.Event) { e.Type, e.Outcome = t, event.Outcome{} }
}

// tell tells facts, which must be taken.
func (b *bench) tell(all ...event.Event) {
	b.Helper()
	for _, e := range all {
		if !b.sink.Wants(e) {
			b.Fatalf("the sink does not want %s of %s", e.Type, e.Sender)
		}
		if err := b.sink.Tell(b.Context(), e); err != nil {
			b.Fatalf("telling %s: %v", e.Type, err)
		}
	}
}

// as gives the address of another action for the same entry.
func as(verp, action string) string { return strings.Replace(verp, "civi+b", "civi+"+action, 1) }

func TestWhatIsTold(t *testing.T) {
	verp := "civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org"
	b := newBench(t)
	tests := []struct {
		name   string
		change func(*event.Event)
		want   bool
	}{
		{"a hard failure", nil, true},
		{"a soft failure", func(e *event.Event) { e.Class = "soft" }, true},
		{"the end of the last attempt", func(e *event.Event) { e.Type, e.Class = event.Expired, "soft" }, true},
		{"a failure of ours, as a note", func(e *event.Event) { e.Class = "sender" }, true},
		{"a complaint", ofType(event.Complained), true},
		{"a reply", ofType(event.Replied), true},
		{"an unsubscribe", ofType(event.Unsubscribed), true},
		{"an opt-out", ofType(event.OptedOut), true},
		{"a resubscribe", ofType(event.Resubscribed), true},
		{"a hold, of any mail", func(e *event.Event) { e.Type, e.Sender = event.Held, "" }, true},
		{"a release", func(e *event.Event) { e.Type, e.Sender = event.Released, "" }, true},
		{"not what is no failure", func(e *event.Event) { e.Class = "none" }, false},
		{"not what is only late", func(e *event.Event) { e.Type, e.Class = event.Deferred, "soft" }, false},
		{"not what machines answer", ofType(event.AutoReplied), false},
		{"not what was not sent because of a hold", func(e *event.Event) { e.Type = event.Suppressed }, false},
		{"not a delivery", ofType(event.Delivered), false},
		{"not a confirmation of an entry of a queue", ofType(event.Confirmed), false},
		{"not a bounce of mail that is no mailing", func(e *event.Event) { e.Sender = "do-not-reply@example.org" }, false},
		{"not a bounce of mail that nobody sent", func(e *event.Event) { e.Sender = "" }, false},
		{"not a bounce of another application's", func(e *event.Event) { e.Application = "other" }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := b.sink.Wants(b.fact(verp, tt.change)); got != tt.want {
				t.Errorf("Wants = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestAFailureIsABounceOfItsType(t *testing.T) {
	tests := []struct {
		name   string
		change func(*event.Event)
		kind   int
		reason string
	}{
		{"a hard one", nil, 6, "There is no such address: 550 5.1.1 (ann@example.net): no such user (mx.example.net[198.51.100.7])"},
		{"a full mailbox", func(e *event.Event) { e.Class, e.Reason, e.CiviCRM, e.Diagnostic = "soft", "mailbox_full", "Quota", "" }, 8, "The mailbox is full (mx.example.net[198.51.100.7])"},
		{"one that ran out of time", func(e *event.Event) {
			e.Type, e.Outcome = event.Expired, event.Outcome{Class: "soft", Reason: "expired", CiviCRM: "Host"}
		}, 4, "Nobody took the mail within the time that was given to it"},
		{"one whose type nobody knows", func(e *event.Event) {
			e.Outcome = event.Outcome{Class: "soft", Reason: "unknown", Diagnostic: "550 go away"}
		}, 11, "The mail was refused: 550 go away"},
		{"a complaint", func(e *event.Event) {
			e.Type, e.Outcome = event.Complained, event.Outcome{Class: "none", Reason: "complaint"}
		}, 10, "The recipient called the mail unwanted"},
		{"a text that no table holds", func(e *event.Event) {
			e.RemoteMTA, e.Diagnostic = "", strings.Repeat("🙂", 300)
		}, 6, "There is no such address: " + strings.Repeat("?", 228) + "…"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			verp := b.site.Enqueue(1, "bob@example.net", "ann@example.net")[1]
			b.tell(b.fact(verp, tt.change))
			got := b.site.Bounces()
			if len(got) != 1 || got[0].Queue != 2 || got[0].Type != tt.kind || got[0].Reason != tt.reason {
				t.Errorf("bounces %+v, want one of entry 2, type %d, %q", got, tt.kind, tt.reason)
			}
		})
	}
}

func TestWhatPeopleWishReachesCiviCRM(t *testing.T) {
	b := newBench(t, func(s *civicrmtest.Site) { s.ForwardReplies = true })
	verp := b.site.Enqueue(1, "ann@example.net")[0]
	mail := func(t event.Type, address string) event.Event {
		return b.fact(address, func(e *event.Event) {
			e.Type, e.Outcome, e.Delivery, e.Raw = t, event.Outcome{}, 0, message.Ref{Body: 1, Size: int64(len(letterText))}
		})
	}
	b.tell(mail(event.Unsubscribed, as(verp, "u")), mail(event.OptedOut, as(verp, "o")), mail(event.Resubscribed, as(verp, "e")),
		mail(event.Replied, as(verp, "r")), mail(event.Subscribed, "civi+s.5.0.x@bounce.example.org"))
	if got := fmt.Sprint(b.site.Unsubscribes()); got != "[{1 1 false} {2 1 true}]" {
		t.Errorf("unsubscribes %v, want one of the mailing and one of everything", got)
	}
	if got := b.site.Resubscribes(); len(got) != 1 {
		t.Errorf("resubscribes %v, want one", got)
	}
	replies := b.site.Replies()
	if len(replies) != 1 || replies[0].ReplyTo != "ann@home.example" || replies[0].Text != "Thank you – see you there\n" {
		t.Fatalf("replies %+v", replies)
	}
	if whole := replies[0].Whole; !strings.HasPrefix(whole, "Received: from x") || !strings.Contains(whole, "Subject: Re: News\r\n") {
		t.Errorf("the mail goes on as %q", whole)
	}
	if got := b.site.Member("ann@example.net", 5); got != "Pending" {
		t.Errorf("who subscribed is %q in the group, want Pending", got)
	}
	b.tell(mail(event.Confirmed, "civi+c.1.5.0a1b2c3d4e5f6a7b@bounce.example.org"))
	if got := b.site.Member("ann@example.net", 5); got != "Added" {
		t.Errorf("who confirmed is %q in the group, want Added", got)
	}
}

func TestAnAnswerEndsTheHoldThatWaitedForIt(t *testing.T) {
	b := newBench(t)
	verp := b.site.Enqueue(1, "ann@example.net")[0]
	b.tell(b.fact(verp, ofType(event.Unsubscribed)))
	if got := fmt.Sprint(b.queue.answered); got != "[civicrm example.org ann@example.net]" {
		t.Errorf("answered %v", got)
	}
}

func TestOurOwnFaultsAreNoted(t *testing.T) {
	b := newBench(t)
	verp := b.site.Enqueue(1, "ann@example.net")[0]
	fault := b.fact(verp, func(e *event.Event) { e.Class, e.Reason, e.CiviCRM = "sender", "blocked", "Spam" })
	b.tell(fault)
	if n := b.site.Calls.Len(); n != 0 || !strings.Contains(b.log.String(), "a failure of ours is not told as a bounce") {
		t.Errorf("%d calls, and the log says %s", n, &b.log)
	}
	b.more = func(c *civicrm.Config) { c.ReportSenderFaults = true }
	b.restart()
	b.tell(fault)
	if got := b.site.Bounces(); len(got) != 1 || got[0].Type != 2 || b.site.OnHold("ann@example.net") != 0 {
		t.Errorf("asked to report them: bounces %+v, want one of type 2, Away", got)
	}
}

func TestWhatASiteAnswersIsUnderstood(t *testing.T) {
	tests := []struct {
		name  string
		harm  func(*bench)
		fault event.Fault
		says  string
	}{
		{"down", func(b *bench) { b.site.Down() }, event.Down, "dial"},
		{"in maintenance", func(b *bench) { b.site.Break(civicrmtest.Maintenance) }, event.Down, "maintenance"},
		{"in maintenance that says 200", func(b *bench) { b.site.Break(civicrmtest.Page) }, event.Down, "maintenance"},
		{"a redirect", func(b *bench) { b.site.Break(civicrmtest.Moved) }, event.Down, "redirects are not followed"},
		{"a web server that forbids it", func(b *bench) { b.site.Break(civicrmtest.Forbidden) }, event.Down, "url is not that of CiviCRM"},
		{"a wrong key", func(b *bench) { b.more = func(c *civicrm.Config) { c.APIKey = "wrong" } }, event.Down, "api_key_file"},
		{"a wrong site key", func(b *bench) { b.more = func(c *civicrm.Config) { c.SiteKey = "wrong" } }, event.Down, "401"},
		{"another address", func(b *bench) { b.more = func(c *civicrm.Config) { c.URL += "/shop" } }, event.Down, "url"},
		{"a contact that may not", func(b *bench) { b.site.Grant("access CiviCRM") }, event.Down, "access CiviMail"},
		{"an error of PHP", func(b *bench) { b.site.Break(civicrmtest.Broken) }, event.Unclear, "500"},
		{"no JSON", func(b *bench) { b.site.Break(civicrmtest.Garbage) }, event.Unclear, "nothing that CiviCRM would say"},
		{"an error of the database", func(b *bench) { b.site.Break(civicrmtest.DatabaseError) }, event.Unclear, "DB Error"},
		{"an answer without end", func(b *bench) { b.site.Break(civicrmtest.Endless) }, event.Unclear, "octets"},
		{"an answer that breaks off", func(b *bench) { b.site.Break(civicrmtest.Cut) }, event.Unclear, "broke off"},
		{"no answer", func(b *bench) { b.site.Break(civicrmtest.Deaf); b.more = impatient }, event.Unclear, "no answer in time"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			verp := b.site.Enqueue(1, "ann@example.net")[0]
			tt.harm(b)
			b.restart()
			err := b.sink.Tell(t.Context(), b.fact(verp, nil))
			var f *event.Failure
			fault := event.Unclear
			if errors.As(err, &f) {
				fault = f.Fault
			}
			if err == nil || fault != tt.fault || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("fault %d, %v; want %d and %q", fault, err, tt.fault, tt.says)
			}
			if text := fmt.Sprint(err) + b.log.String(); strings.Contains(text, apiKey) || strings.Contains(text, siteKey) {
				t.Errorf("a key is in %q", text)
			}
		})
	}
}

func TestAnEntryThatCiviCRMDoesNotKnowIsReportedOnce(t *testing.T) {
	b := newBench(t)
	for _, kind := range []event.Type{event.Bounced, event.Unsubscribed, event.Replied} {
		err := b.sink.Tell(t.Context(), b.fact("civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org", func(e *event.Event) { e.Type = kind }))
		var f *event.Failure
		if !errors.As(err, &f) || f.Fault != event.Refused || !strings.Contains(err.Error(), "another site") {
			t.Errorf("%s: %v, want that it is refused and why", kind, err)
		}
	}
}

func TestAReplyThatIsRecordedAndNotForwardedIsTold(t *testing.T) {
	b := newBench(t)
	verp := b.site.Enqueue(1, "ann@example.net")[0]
	first, second := b.fact(as(verp, "r"), ofType(event.Replied)), b.fact(as(verp, "r"), ofType(event.Replied))
	b.tell(first, first, second)
	if got := b.site.Replies(); len(got) != 2 {
		t.Errorf("replies %+v, want two", got)
	}
}

// TestACallWithoutAnAnswerIsNotMadeTwice has each call carried out and the
// answer lost, or not carried out, and tells the fact again: by the same sink,
// and by one that a crash has left with its notes alone.
func TestACallWithoutAnAnswerIsNotMadeTwice(t *testing.T) {
	rows := map[event.Type]func(*civicrmtest.Site) int{
		event.Bounced:      func(s *civicrmtest.Site) int { return len(s.Bounces()) },
		event.Complained:   func(s *civicrmtest.Site) int { return len(s.Bounces()) },
		event.Replied:      func(s *civicrmtest.Site) int { return len(s.Replies()) },
		event.Unsubscribed: func(s *civicrmtest.Site) int { return len(s.Unsubscribes()) },
		event.OptedOut:     func(s *civicrmtest.Site) int { return len(s.Unsubscribes()) },
	}
	for kind, count := range rows {
		for name, fault := range map[string]civicrmtest.Fault{"applied, no answer": civicrmtest.Mute, "applied, half an answer": civicrmtest.Cut, "not applied": civicrmtest.Deaf} {
			for _, crash := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, crash %v", kind, name, crash), func(t *testing.T) {
					t.Parallel()
					b := newBench(t, func(s *civicrmtest.Site) { s.ForwardReplies = true })
					verp := b.site.Enqueue(1, "ann@example.net")[0]
					alike := func(e *event.Event) {
						if e.Type = kind; kind != event.Bounced {
							e.Outcome = event.Outcome{}
						}
					}
					b.tell(b.fact(verp, alike)) // an earlier one, which must not count for this
					if kind == event.Bounced || kind == event.Complained {
						verp = b.site.Enqueue(1, "bob@example.net")[0] // there is one of each outcome
					}
					e := b.fact(verp, alike)
					b.more = impatient
					b.restart()
					b.site.Break(fault)
					if err := b.sink.Tell(t.Context(), e); err == nil {
						t.Fatal("a call without an answer counts as told")
					}
					b.site.Break(civicrmtest.Healthy)
					if crash {
						b.restart()
					}
					b.tell(e, e)
					if got := count(b.site); got != 2 {
						t.Errorf("%d rows, want two: the earlier one, and one of this fact", got)
					}
				})
			}
		}
	}
}

// TestWhatWasToldBeforeACrashIsNotToldAgain is about the second in which the
// log forgets how far a sink was told.
func TestWhatWasToldBeforeACrashIsNotToldAgain(t *testing.T) {
	b := newBench(t, func(s *civicrmtest.Site) { s.Old = true })
	verp := b.site.Enqueue(1, "ann@example.net")[0]
	all := []event.Event{b.fact(verp, nil), b.fact(as(verp, "u"), ofType(event.Unsubscribed)), b.fact(as(verp, "e"), ofType(event.Resubscribed))}
	b.tell(all...)
	b.restart()
	b.tell(all...)
	if b.site.Calls.Len() != 3+1 { // and one that asks what an old release cannot tell
		t.Errorf("%d calls, want three and a question", b.site.Calls.Len())
	}
	if len(b.site.Bounces()) != 1 || len(b.site.Unsubscribes()) != 1 || len(b.site.Resubscribes()) != 1 {
		t.Errorf("bounces %v, unsubscribes %v, resubscribes %v; want one each", b.site.Bounces(), b.site.Unsubscribes(), b.site.Resubscribes())
	}
}

func TestAFactOfBeforeTheStartIsLookedUpFirst(t *testing.T) {
	b := newBench(t)
	verp := b.site.Enqueue(1, "ann@example.net")[0]
	first, second := b.fact(verp, nil), b.fact(verp, func(e *event.Event) { e.CiviCRM = "Spam" })
	b.tell(first)
	clear(b.notes.kept)
	b.now = b.now.Add(time.Hour)
	b.restart()
	b.tell(first, second)
	if got := b.site.Bounces(); len(got) != 2 || got[1].Type != 10 {
		t.Errorf("bounces %+v; want the one that was told, and the one that was not", got)
	}
}

func TestWishesAndBouncesNeedNoMoreThanTheirCall(t *testing.T) {
	for name, fault := range map[string]civicrmtest.Fault{"APIv4 fails": civicrmtest.BrokenAPIv4, "there is no APIv4": civicrmtest.NoAPIv4} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			verp := b.site.Enqueue(1, "ann@example.net")[0]
			b.site.Break(fault)
			b.tell(b.fact(as(verp, "u"), ofType(event.Unsubscribed)), b.fact(as(verp, "r"), ofType(event.Resubscribed)),
				b.fact(verp, func(e *event.Event) { e.Hold = &event.HoldState{State: "held"} }))
			if len(b.site.Unsubscribes()) != 1 || len(b.site.Bounces()) != 1 {
				t.Errorf("unsubscribes %v, bounces %v; want one each", b.site.Unsubscribes(), b.site.Bounces())
			}
			b.queue.set("civicrm", "ann@example.net", civicrm.Standing{Held: true})
			err := b.sink.Tell(t.Context(), b.fact("", ofType(event.Held)))
			var f *event.Failure
			if err == nil || errors.As(err, &f) && f.Fault == event.Down {
				t.Errorf("a hold: %v; want that it alone fails", err)
			}
		})
	}
}

func TestAnOldReleaseThatCannotTellHearsItAgain(t *testing.T) {
	b := newBench(t, func(s *civicrmtest.Site) { s.Old = true })
	verp := b.site.Enqueue(1, "ann@example.net")[0]
	e := b.fact(verp, nil)
	b.more = impatient
	b.restart()
	b.site.Break(civicrmtest.Mute)
	if err := b.sink.Tell(t.Context(), e); err == nil {
		t.Fatal("a call without an answer counts as told")
	}
	b.site.Break(civicrmtest.Healthy)
	b.tell(e)
	if got := b.site.Bounces(); len(got) != 2 {
		t.Errorf("bounces %+v; want two, since nothing may be lost", got)
	}
	if !strings.Contains(b.log.String(), "cannot tell") {
		t.Errorf("the log says nothing of it: %s", &b.log)
	}
}

func TestTheCertificateIsChecked(t *testing.T) {
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"is_error":0,"version":3,"count":1,"values":[]}`)
	}))
	defer site.Close()
	site.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	b := newBench(t)
	b.more = func(c *civicrm.Config) { c.URL = site.URL }
	b.restart()
	e := b.fact("civi+e.1.2.0a1b2c3d4e5f6a7b@bounce.example.org", ofType(event.Resubscribed))
	err := b.sink.Tell(t.Context(), e)
	var f *event.Failure
	if !errors.As(err, &f) || f.Fault != event.Down || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v, want that the site is down", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(site.Certificate())
	b.more = func(c *civicrm.Config) { c.URL, c.RootCAs = site.URL, roots }
	b.restart()
	b.tell(e)
}

func TestWhereTheAPIIs(t *testing.T) {
	paths := make(chan string, 2)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths <- r.URL.RequestURI()
		io.WriteString(w, `{"is_error":0,"values":[]}`)
	}))
	defer site.Close()
	for url, want := range map[string]string{
		"":                               "/civicrm/ajax/rest",
		"/":                              "/civicrm/ajax/rest",
		"/crm/":                          "/crm/civicrm/ajax/rest",
		"/civicrm/ajax/rest":             "/civicrm/ajax/rest",
		"/?civiwp=1&q=civicrm/ajax/rest": "/?civiwp=1&q=civicrm/ajax/rest",
	} {
		b := newBench(t)
		b.more = func(c *civicrm.Config) { c.URL = site.URL + url }
		b.restart()
		b.tell(b.fact("civi+e.1.2.0a1b2c3d4e5f6a7b@bounce.example.org", ofType(event.Resubscribed)))
		if got := <-paths; got != want {
			t.Errorf("url %q: APIv3 at %s, want %s", url, got, want)
		}
		b.queue.set("civicrm", "ann@example.net", civicrm.Standing{Held: true})
		b.tell(b.fact("", ofType(event.Held)))
		if got, want := <-paths, strings.Replace(want, "ajax/rest", "ajax/api4/Email/get", 1); got != want {
			t.Errorf("url %q: APIv4 at %s, want %s", url, got, want)
		}
	}
}

func TestKeysDoNotGoUnencryptedToPublicAddresses(t *testing.T) {
	b := newBench(t)
	b.more = func(c *civicrm.Config) { c.URL = "http://93.184.215.14" }
	b.restart()
	err := b.sink.Tell(t.Context(), b.fact("civi+e.1.2.0a1b2c3d4e5f6a7b@bounce.example.org", ofType(event.Resubscribed)))
	if err == nil || !strings.Contains(err.Error(), "https://") {
		t.Errorf("%v, want that url has to begin with https://", err)
	}
}

func TestAConfigurationThatCannotWork(t *testing.T) {
	for _, c := range []civicrm.Config{{Name: "crm", APIKey: "k"}, {Name: "crm", URL: "crm.example.org", APIKey: "k"}, {Name: "crm", URL: "https://crm.example.org"}} {
		if _, err := civicrm.New(c); err == nil {
			t.Errorf("New(%+v) works", c)
		}
	}
}

// FuzzAnswer states what holds for any answer: it is taken only if it says that
// there was no error, its error is one short line, and no key is in it.
func FuzzAnswer(f *testing.F) {
	f.Add(200, `{"is_error":0,"values":[]}`)
	f.Add(200, `{"is_error":"1","error_message":"no_queue_event `+apiKey+`"}`)
	f.Add(500, `{"error_code":0,"error_message":"DB\nError"}`)
	f.Add(200, `null`)
	var status int
	var text string
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, text)
	}))
	f.Cleanup(site.Close)
	memory, err := civicrm.NewMemory(context.Background(), newNotes(), "crm", time.Now)
	if err != nil {
		f.Fatal(err)
	}
	sink, err := civicrm.New(civicrm.Config{Name: "crm", URL: site.URL, APIKey: apiKey, Own: own, Queue: &holds{}, Memory: memory})
	if err != nil {
		f.Fatal(err)
	}
	id := event.FirstID(time.Now().Add(time.Hour))
	f.Fuzz(func(t *testing.T, code int, answer string) {
		if code < 200 || code > 599 {
			return
		}
		status, text = code, answer
		id++
		err := sink.Tell(t.Context(), event.Event{ID: id, Type: event.Resubscribed, Application: "civicrm", Recipient: "ann@example.net",
			Sender: "civi+e.1.2.0a1b2c3d4e5f6a7b@bounce.example.org"})
		var said struct {
			IsError any `json:"is_error"`
		}
		parsed := json.Unmarshal([]byte(answer), &said)
		switch {
		case err == nil && (code != 200 || parsed != nil || said.IsError == 1.0 || said.IsError == true):
			t.Errorf("%d %q counts as told", code, answer)
		case err == nil:
		case strings.Contains(err.Error(), apiKey) || strings.ContainsAny(err.Error(), "\r\n") || len(err.Error()) > 1200:
			t.Errorf("the error is %q", err)
		}
	})
}

func ExampleNew() {
	memory, err := civicrm.NewMemory(context.Background(), newNotes(), "crm", time.Now)
	if err != nil {
		fmt.Println(err)
		return
	}
	sink, err := civicrm.New(civicrm.Config{Name: "crm", URL: "https://crm.example.org", APIKey: "secret", Own: own, Memory: memory})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sink.Kind(), sink.Wants(event.Event{Type: event.Bounced, Outcome: event.Outcome{Class: "hard"},
		Application: "civicrm", Sender: "civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org"}))
	// Output: civicrm true
}
