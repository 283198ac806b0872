package queue_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/bounce"
	"homing/event"
	"homing/hold"
	"homing/queue"
	"homing/store"
)

// rule is an operator's rule for a word.
func rule(word string, reason bounce.Reason) bounce.Rule {
	return bounce.Rule{Name: "own", Words: []string{word}, Reason: reason}
}

// replay compares the shipped rules with those that have more in front.
func (w *world) replay(own ...bounce.Rule) queue.Replay {
	w.Helper()
	before := w.everything()
	r, err := w.queue.Replay(w.ctx, bounce.NewTable(), bounce.NewTable(own...))
	if err != nil {
		w.Fatal(err)
	}
	if diff := cmp.Diff(before, w.everything()); diff != "" {
		w.Errorf("a replay changed something (-before +after):\n%s", diff)
	}
	return r
}

// everything is all that the store remembers.
func (w *world) everything() []any {
	w.Helper()
	rows, err := w.store.Find(w.ctx, store.Query{Max: 1000})
	if err != nil {
		w.Fatal(err)
	}
	holds, err := w.store.Find(w.ctx, store.Query{Holds: true, Max: 1000})
	if err != nil {
		w.Fatal(err)
	}
	return []any{rows.Rows, holds.Holds, w.events()}
}

// outcome is what a Replay says of holds, in short.
func outcome(r queue.Replay) string {
	var words []string
	for _, x := range r.WouldHold {
		words = append(words, fmt.Sprintf("hold %s %s %s %s", x.Address, x.Application, x.Rule, x.Reason))
	}
	for _, x := range r.WouldRelease {
		words = append(words, fmt.Sprintf("release %s %s %s %s", x.Address, x.Application, x.Rule, x.Reason))
	}
	return strings.Join(words, "; ")
}

// mail hands over mail to an address and ends its first attempt.
func (w *world) mail(to, said string) queue.Item {
	w.Helper()
	w.submit(to)
	return w.attempt(said)[0]
}

// after lets time pass.
func after(d time.Duration) { <-time.After(d) }

const (
	day     = 24 * time.Hour
	nonsens = "550 5.9.9 frobnicated"
	gone    = "550 5.1.1 user unknown"
)

func TestWhatAChangeOfRulesWouldDo(t *testing.T) {
	tests := []struct {
		name string
		make func(w *world)
		rule bounce.Rule
		want string
	}{
		{"an unknown reply that means a dead address would hold", func(w *world) { w.mail("Ann@example.net", nonsens) },
			rule("frobnicated", bounce.Disabled), "hold ann@example.net crm hard disabled"},
		{"a dead address that is our fault would be released", func(w *world) { w.mail("ann@example.net", gone) },
			rule("user unknown", bounce.Policy), "release ann@example.net crm hard user_unknown"},
		{"another word for the same changes no hold", func(w *world) { w.mail("ann@example.net", gone) },
			rule("user unknown", bounce.Moved), ""},
		{"what an operator has released is not on hold", func(w *world) {
			w.mail("ann@example.net", gone)
			after(time.Minute)
			w.release("ann@example.net")
		}, rule("user unknown", bounce.Policy), ""},
		{"what an operator has released would not be held for what was said before", func(w *world) {
			w.mail("ann@example.net", gone)
			w.mail("bob@example.net", "452 4.2.2 mailbox full") // a record, and no hold
			w.attempt(nonsens)
			after(time.Minute)
			w.release("bob@example.net")
			w.mail("cyd@example.net", "550 5.2.2 mailbox full")
			after(time.Minute)
			w.mail("cyd@example.net", nonsens)
			w.release("cyd@example.net")
		}, rule("frobnicated", bounce.Disabled), ""},
		{"what is said after a release holds", func(w *world) {
			w.mail("ann@example.net", gone)
			after(time.Minute)
			w.release("ann@example.net")
			after(time.Minute)
			w.mail("ann@example.net", nonsens)
		}, rule("frobnicated", bounce.Disabled), "hold ann@example.net crm hard disabled"},
		{"a hold of an operator beside it is not released", func(w *world) {
			w.mail("ann@example.net", gone)
			w.addHold("ann@example.net", "", hold.Hold{By: "olga"})
		}, rule("user unknown", bounce.Policy), ""},
		{"a hold of an operator alone is none of failures", func(w *world) {
			w.mail("ann@example.net", nonsens)
			w.addHold("ann@example.net", "crm", hold.Hold{By: "olga"})
		}, rule("frobnicated", bounce.Disabled), ""},
		{"a hold of an operator that has run out changes nothing", func(w *world) {
			w.addHold("ann@example.net", "crm", hold.Hold{By: "olga", Until: time.Now().Add(time.Hour)})
			after(day)
			w.mail("ann@example.net", nonsens)
		}, rule("frobnicated", bounce.Disabled), "hold ann@example.net crm hard disabled"},
		{"a complaint beside it is not released", func(w *world) {
			w.complain(w.mail("ann@example.net", "250 2.0.0 OK"))
			w.single("ann@example.net", gone)
		}, rule("user unknown", bounce.Policy), ""},
		{"a complaint stops less than a dead address", func(w *world) {
			w.complain(w.mail("ann@example.net", "250 2.0.0 OK"))
			w.single("ann@example.net", nonsens)
		}, rule("frobnicated", bounce.Disabled), "hold ann@example.net crm hard disabled"},
		{"what we say ourselves has no words", func(w *world) { w.mail("ann@example.net", "!550 5.9.9 frobnicated") },
			rule("frobnicated", bounce.Disabled), ""},
		{"what is said before RCPT holds nobody", func(w *world) { w.mail("ann@example.net", "MAIL: "+nonsens) },
			rule("frobnicated", bounce.Disabled), ""},
		{"what a smarthost says of itself is our fault", func(w *world) {
			for range 3 {
				w.smarthost("ann@example.net", nonsens)
				after(day)
			}
		}, rule("frobnicated", bounce.Loop), ""},
		{"the same said by somebody else counts", func(w *world) {
			for range 3 {
				w.mail("ann@example.net", nonsens)
				after(day)
			}
		}, rule("frobnicated", bounce.SystemError), "hold ann@example.net crm threshold system_error"},
		{"a delivery between takes back what was soft", func(w *world) {
			w.mail("ann@example.net", nonsens)
			after(day)
			w.mail("ann@example.net", "250 2.0.0 OK")
			after(day)
			w.mail("ann@example.net", nonsens)
		}, rule("frobnicated", bounce.SystemError), ""},
		{"our own mail counts against nobody", func(w *world) {
			w.send(func(s *queue.Submission) { s.Message = store.Message{From: "MAILER-DAEMON@mail.example.org"} }, "ann@example.net")
			w.attempt(nonsens)
		}, rule("frobnicated", bounce.Disabled), ""},
		{"each application by itself", func(w *world) {
			w.mail("ann@example.net", nonsens)
			w.send(func(s *queue.Submission) { s.Message.Application = "shop" }, "ann@example.net")
			w.attempt(gone)
		}, rule("frobnicated", bounce.Disabled), "hold ann@example.net crm hard disabled"},
		{"a hold that is shared, for each of them", func(w *world) {
			o := options
			o.Rules.Share = true
			w.queue.SetOptions(o)
			w.mail("ann@example.net", nonsens)
			w.send(func(s *queue.Submission) { s.Message.Application = "shop" }, "ann@example.net")
			w.attempt("250 2.0.0 OK")
		}, rule("frobnicated", bounce.Disabled), "hold ann@example.net crm hard disabled; hold ann@example.net shop hard disabled"},
		{"what ran out is not released", func(w *world) {
			for range 2 {
				w.mail("ann@example.net", "554 5.3.0 system error")
				after(day)
			}
			after(40 * day)
		}, rule("system error", bounce.Policy), ""},
		{"a threshold that would not have been reached", func(w *world) {
			for range 2 {
				w.mail("ann@example.net", "554 5.3.0 system error")
				after(day)
			}
		}, rule("system error", bounce.Policy), "release ann@example.net crm threshold system_error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(w *world) {
				tt.make(w)
				if got := outcome(w.replay(tt.rule)); got != tt.want {
					t.Errorf("%q, want %q", got, tt.want)
				}
				if r := w.replay(); r.Changed != 0 || outcome(r) != "" {
					t.Errorf("with the same rules something would change: %+v", r)
				}
			})
		})
	}
}

func (w *world) release(address string) {
	w.Helper()
	if _, err := w.queue.Release(w.ctx, address, ""); err != nil {
		w.Fatal(err)
	}
}

func (w *world) addHold(address, application string, h hold.Hold) {
	w.Helper()
	if err := w.queue.AddHold(w.ctx, address, application, h); err != nil {
		w.Fatal(err)
	}
}

func (w *world) complain(it queue.Item) {
	w.Helper()
	if err := w.report(it.Delivery, bounce.Report{Kind: bounce.Complaint, Digest: 77}); err != nil {
		w.Fatal(err)
	}
}

// single is mail with one recipient of which a complaint stops none.
func (w *world) single(to, said string) {
	w.Helper()
	w.send(func(s *queue.Submission) { s.Message.Bulk = false }, to)
	w.attempt(said)
}

// smarthost is mail that a smarthost answers.
func (w *world) smarthost(to, said string) {
	w.Helper()
	w.submit(to)
	job := w.next()
	defer w.queue.Finish(job)
	r := result(said)
	r.Smarthost = true
	if err := w.queue.Done(w.ctx, job.Items[0], r); err != nil {
		w.Fatal(err)
	}
}

func TestAReplaySaysWhatChangesAndWhy(t *testing.T) {
	in(t, func(w *world) {
		start := time.Now().UTC()
		w.mail("ann@example.net", nonsens)
		after(time.Hour)
		w.mail("bob@example.net", "550 5.9.9 frobnicated as well")
		after(time.Hour)
		w.mail("cyd@example.net", gone)
		after(time.Hour)
		w.mail("dan@example.net", "452 4.2.2 mailbox full")
		got := w.replay(rule("frobnicated", bounce.Disabled), bounce.Rule{Name: "nobody", Words: []string{"user unknown"}, Reason: bounce.UserUnknown})
		unknown, disabled := queue.Meaning{Class: "soft", Reason: "unknown", CiviCRM: "Syntax", Rule: "unknown"}, queue.Meaning{Class: "hard", Reason: "disabled", CiviCRM: "Inactive", Rule: "own"}
		said := func(who, text string, hours int) queue.Said {
			return queue.Said{Time: start.Add(time.Duration(hours) * time.Hour), Recipient: who, RemoteMTA: "mx.example.net[198.51.100.7]", Diagnostic: text}
		}
		ann, bob := said("ann@example.net", nonsens, 0), said("bob@example.net", "550 5.9.9 frobnicated as well", 1)
		want := queue.Replay{From: start, To: start.Add(3 * time.Hour), Failures: 4, Changed: 3, Changes: []queue.Turn{
			{Count: 2, Now: unknown, Then: disabled, Example: bob},
			{Count: 1, Now: queue.Meaning{Class: "hard", Reason: "user_unknown", CiviCRM: "Invalid", Rule: "status-5.1.1"},
				Then: queue.Meaning{Class: "hard", Reason: "user_unknown", CiviCRM: "Invalid", Rule: "nobody"}, Example: said("cyd@example.net", gone, 2)},
		}, WouldHold: []queue.HeldTurn{
			{Address: "ann@example.net", Application: "crm", Rule: "hard", Reason: "disabled", Since: start, Why: queue.Turn{Count: 1, Now: unknown, Then: disabled, Example: ann}},
			{Address: "bob@example.net", Application: "crm", Rule: "hard", Reason: "disabled", Since: start.Add(time.Hour), Why: queue.Turn{Count: 1, Now: unknown, Then: disabled, Example: bob}},
		}, WouldRelease: []queue.HeldTurn{}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// notice is a report as mail, about two recipients.
func notice(ann, bob string) string {
	return "From: MAILER-DAEMON@mx.example.net\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nNo.\r\n" +
		"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.net\r\n\r\n" +
		"Final-Recipient: rfc822; bob@example.net\r\nAction: failed\r\nStatus: 5.0.0\r\nDiagnostic-Code: smtp; " + bob + "\r\n\r\n" +
		"Final-Recipient: rfc822; ann@example.net\r\nAction: failed\r\nStatus: 5.0.0\r\nDiagnostic-Code: smtp; " + ann + "\r\n--b--\r\n"
}

// reported lets mail be delivered and a report about it come back.
func (w *world) reported(to, text string, related bool) {
	w.Helper()
	it := w.mail(to, "250 2.0.0 OK")
	raw, err := w.store.NewBody(w.ctx)
	if err != nil {
		w.Fatal(err)
	}
	defer raw.Discard()
	io.WriteString(raw, text)
	report, err := bounce.NewReader(bounce.NewTable()).Read(strings.NewReader(text))
	if err != nil {
		w.Fatal(err)
	}
	o := queue.Observation{Delivery: it.Delivery, Report: report, Raw: raw, Peer: "mx.example.net[198.51.100.7]", Related: related}
	if err := w.queue.Observe(w.ctx, o); err != nil {
		w.Fatal(err)
	}
}

func TestReportsAreReadAgainWhileTheyAreKept(t *testing.T) {
	// Only the whole mail says what of it is about whom.
	long := "550 " + strings.Repeat("blah ", 300) + "frobnicated"
	tests := []struct {
		name    string
		text    string
		related bool
		forget  bool
		want    string
	}{
		{"of a related peer", notice("550 frobnicated", "550 all is well"), true, false, "hold ann@example.net crm hard-report disabled"},
		{"of a stranger, which is not enough", notice("550 frobnicated", "550 all is well"), false, false, ""},
		{"what it says of somebody else does not count", notice("550 all is well", "550 frobnicated"), true, false, ""},
		{"what the event keeps only the beginning of", notice(long, "550 all is well"), true, false, "hold ann@example.net crm hard-report disabled"},
		{"that is forgotten, by its diagnostic", notice("550 frobnicated", "550 all is well"), true, true, "hold ann@example.net crm hard-report disabled"},
		{"that is forgotten, by no more than that", notice(long, "550 all is well"), true, true, ""},
		{"of a delay, which is none", strings.ReplaceAll(notice("450 frobnicated", "450 frobnicated"), "failed", "delayed"), true, false, ""},
		{"of a delay that is forgotten", strings.ReplaceAll(notice("450 frobnicated", "450 frobnicated"), "failed", "delayed"), true, true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(w *world) {
				w.reported("ann@example.net", tt.text, tt.related)
				if tt.forget {
					after(day)
					if n, err := w.store.Forget(w.ctx, store.What{ReportsBefore: time.Now()}, 10); err != nil || n != 1 {
						t.Fatalf("forgot %d, %v", n, err)
					}
				}
				if got := outcome(w.replay(rule("frobnicated", bounce.Disabled))); got != tt.want {
					t.Errorf("%q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestAForgottenReportOfWhatWasPutOffMeansThatItExpired(t *testing.T) {
	in(t, func(w *world) {
		text := notice("450 4.9.9 frobnicated", "450 4.9.9 frobnicated")
		w.reported("ann@example.net", text, true)
		mine := rule("frobnicated", bounce.Greylisted)
		kept := w.replay(mine)
		after(day)
		if n, err := w.store.Forget(w.ctx, store.What{ReportsBefore: time.Now()}, 10); err != nil || n != 1 {
			t.Fatalf("forgot %d, %v", n, err)
		}
		forgotten := w.replay(mine)
		want := queue.Meaning{Class: "soft", Reason: "expired", CiviCRM: "Host", Rule: "own"}
		for _, r := range []queue.Replay{kept, forgotten} {
			if len(r.Changes) != 1 || r.Changes[0].Then != want {
				t.Errorf("%+v, want %+v", r.Changes, want)
			}
		}
	})
}

func TestTwoReportsOfStrangersAreAddedUp(t *testing.T) {
	in(t, func(w *world) {
		for _, text := range []string{"550 frobnicated", "550 frobnicated again"} {
			w.reported("ann@example.net", notice(text, ""), false)
			after(2 * day)
		}
		if got, want := outcome(w.replay(rule("frobnicated", bounce.Disabled))), "hold ann@example.net crm two-reports disabled"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func TestAnExpiryIsJudgedByTheDeferralsThatWouldPrevail(t *testing.T) {
	const odd, full, ours = "479 4.9.9 frobnicated", "452 4.2.2 mailbox full", "451 4.7.1 message rejected as spam"
	tests := []struct {
		name string
		said []string // in turn; the last one repeats
		rule bounce.Rule
		want string
	}{
		{"always what would be our fault", []string{odd}, rule("frobnicated", bounce.RateLimited), "release ann@example.net crm threshold expired"},
		{"half of it would be", []string{odd, odd, odd, full}, rule("frobnicated", bounce.RateLimited), "release ann@example.net crm threshold expired"},
		{"once it would be", []string{odd, full}, rule("frobnicated", bounce.RateLimited), ""},
		{"what would be their fault", []string{ours}, rule("rejected as spam", bounce.SystemFull), "hold ann@example.net crm threshold expired"},
		{"the last word alone does not decide", []string{ours, ours, ours, ours, ours, full}, rule("mailbox full", bounce.Greylisted), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(w *world) {
				for mail := range 2 {
					w.submit("ann@example.net")
					for n := 0; strings.Count(w.told(), "expired") == mail; n++ {
						w.attempt(tt.said[min(n, len(tt.said)-1)])
					}
					after(2 * day)
				}
				if got := strings.Count(w.told(), "expired"); got != 2 {
					t.Fatalf("%d expired, want 2", got)
				}
				if got := outcome(w.replay(tt.rule)); got != tt.want {
					t.Errorf("%q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestAnExpiryWhoseDeferralsAreForgottenStaysWhatItWas(t *testing.T) {
	in(t, func(w *world) {
		o := options
		o.Rules.Thresholds = map[string]int{"Host": 1}
		w.queue.SetOptions(o)
		w.submit("ann@example.net")
		for range 6 {
			w.attempt("479 4.9.9 frobnicated")
		}
		ours := rule("frobnicated", bounce.RateLimited)
		if got, want := outcome(w.replay(ours)), "release ann@example.net crm threshold expired"; got != want {
			t.Errorf("with all of them: %q, want %q", got, want)
		}
		w.forget(w.events()[2].Time)
		if r := w.replay(ours); outcome(r) != "" || r.Failures != 5 || r.Changed != 5 {
			t.Errorf("without the first: %q of %d failures, %d changed, want nothing of 5, 5", outcome(r), r.Failures, r.Changed)
		}
	})
}

// forget forgets the events before a time.
func (w *world) forget(before time.Time) {
	w.Helper()
	if n, err := w.store.Forget(w.ctx, store.What{EventsBefore: before}, 1000); err != nil || n == 0 {
		w.Fatalf("forgot %d events, %v", n, err)
	}
}

func TestWhatIsOlderThanTheLogStillCounts(t *testing.T) {
	in(t, func(w *world) {
		w.mail("ann@example.net", "554 5.3.0 system error")
		w.mail("bob@example.net", gone)
		after(day)
		cut := time.Now()
		after(day)
		w.mail("ann@example.net", nonsens)
		w.forget(cut)
		r := w.replay(rule("frobnicated", bounce.SystemError))
		if got, want := outcome(r), "hold ann@example.net crm threshold system_error"; got != want || r.Failures != 1 {
			t.Errorf("%q of %d failures, want %q of one", got, r.Failures, want)
		}
	})
}

func TestWhatEarlierVersionsToldIsNotJudged(t *testing.T) {
	in(t, func(w *world) {
		w.submit("ann@example.net")
		old := event.Event{Type: event.Bounced, Recipient: "ann@example.net", Application: "crm", Domain: "example.org", Delivery: 7, Message: 6, Sync: new(true),
			Outcome: event.Outcome{Stage: "rcpt", Class: "soft", Reason: "unknown", CiviCRM: "Syntax", Code: 550, Diagnostic: "550 frobnicated", Rule: "unknown"}}
		if err := w.queue.Tell(w.ctx, nil, old); err != nil {
			t.Fatal(err)
		}
		r := w.replay(rule("frobnicated", bounce.Disabled))
		if r.Failures != 1 || r.Unjudged != 1 || r.Changed != 0 || outcome(r) != "" {
			t.Errorf("%+v, want one failure that is not judged", r)
		}
		list, err := w.queue.Unknown(w.ctx, time.Time{}, bounce.NewTable(rule("frobnicated", bounce.Disabled)))
		if err != nil || list.Replies != 1 {
			t.Errorf("%+v, %v, want one that was not understood then", list, err)
		}
	})
}

func TestTheListsOfAReplayHaveAnEnd(t *testing.T) {
	in(t, func(w *world) {
		const people, listed = 10_500, 10_000
		var page []event.Event
		for n := range people {
			page = append(page, event.Event{Type: event.Bounced, Recipient: fmt.Sprintf("u%05d@example.net", n), Application: "crm", Delivery: event.DeliveryID(n + 1),
				Message: event.MessageID(n + 1), Attempt: 1, Sync: new(true), Outcome: event.Outcome{Stage: "rcpt", Code: 550, Diagnostic: "550 frobnicated"}, Basis: &event.Basis{}})
			if len(page) == 500 {
				if err := w.queue.Tell(w.ctx, nil, page...); err != nil {
					t.Fatal(err)
				}
				page = nil
			}
		}
		then := bounce.NewTable(rule("frobnicated", bounce.Disabled))
		r, err := w.queue.Replay(w.ctx, bounce.NewTable(), then)
		if err != nil || !r.Cut || len(r.WouldHold) != listed || r.Changed != people || len(r.Changes) != 1 || r.Changes[0].Count != people {
			t.Errorf("%v: %d of %d changed, %d listed, cut %v; want all, %d, cut", err, r.Changed, r.Failures, len(r.WouldHold), r.Cut, listed)
		}
		if first, last := r.WouldHold[0].Address, r.WouldHold[listed-1].Address; first != "u00000@example.net" || last != "u09999@example.net" {
			t.Errorf("listed from %s to %s", first, last)
		}
	})
}

// A gate is a store of which a reader of events waits until somebody lets him
// in.
type gate struct {
	store.Store
	entered chan struct{}
	open    chan struct{}
}

func (g *gate) Events(ctx context.Context, after event.ID, limit int) ([]event.Event, error) {
	g.entered <- struct{}{}
	<-g.open
	return g.Store.Events(ctx, after, limit)
}

func TestOneReadsTheWholeLogAtATimeAndCanBeStopped(t *testing.T) {
	in(t, func(w *world) {
		w.mail("ann@example.net", nonsens)
		g := &gate{w.store, make(chan struct{}), make(chan struct{})}
		q := queue.New(queue.Config{Store: g, Table: bounce.NewTable(), Options: options})
		ctx, cancel := context.WithCancel(w.ctx)
		done := make(chan error)
		go func() {
			_, err := q.Replay(ctx, bounce.NewTable(), bounce.NewTable())
			done <- err
		}()
		<-g.entered
		if _, err := q.Replay(w.ctx, bounce.NewTable(), bounce.NewTable()); !errors.Is(err, queue.ErrBusy) {
			t.Errorf("a second replay: %v, want ErrBusy", err)
		}
		if _, err := q.Unknown(w.ctx, time.Time{}, bounce.NewTable()); !errors.Is(err, queue.ErrBusy) {
			t.Errorf("a list of what is unknown meanwhile: %v, want ErrBusy", err)
		}
		cancel()
		close(g.open)
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the first one, whose caller went: %v, want Canceled", err)
		}
		go func() { <-g.entered }()
		if list, err := q.Unknown(w.ctx, time.Time{}, bounce.NewTable()); err != nil || list.Replies != 1 {
			t.Errorf("afterwards: %+v, %v, want one", list, err)
		}
	})
}

func TestWhatNoRuleUnderstandsIsGroupedByItsShape(t *testing.T) {
	in(t, func(w *world) {
		w.mail("ann@example.net", "550 5.9.9 frobnicated ann at 10:00")
		after(time.Hour)
		hour := time.Now()
		w.mail("bob@example.com", "550 5.9.9 frobnicated bob at 11:00")
		w.mail("cyd@example.com", gone)
		w.reported("eve@example.net", notice("x", "y"), true)
		w.submit("fay@late.example")
		for range 6 { // five deferrals and an expiry
			w.attempt("479 4.9.9 frobnicated for now")
		}
		w.mail("dan@example.com", "!0 0.0.0 gibberish of ours")
		shapes := func(since time.Time, own ...bounce.Rule) string {
			list, err := w.queue.Unknown(w.ctx, since, bounce.NewTable(own...))
			if err != nil {
				t.Fatal(err)
			}
			var words []string
			for _, g := range list.Groups {
				words = append(words, fmt.Sprintf("%d×%s (%d, %d)", g.Count, g.Shape, g.Domains, g.Hosts))
			}
			return strings.Join(words, "; ")
		}
		if got, want := shapes(time.Time{}), "6×479 4.9.9 frobnicated for now (1, 1); 2×550 5.9.9 frobnicated {address} at {time} (2, 1); 1×5.0.0 y (1, 1)"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if got, want := shapes(hour), "6×479 4.9.9 frobnicated for now (1, 1); 1×5.0.0 y (1, 1); 1×550 5.9.9 frobnicated {address} at {time} (1, 1)"; got != want {
			t.Errorf("since an hour: %q, want %q", got, want)
		}
		if got, want := shapes(time.Time{}, rule("frobnicated", bounce.Policy)), "1×5.0.0 y (1, 1)"; got != want {
			t.Errorf("once there is a rule: %q, want %q", got, want)
		}
	})
}
