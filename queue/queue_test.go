package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"homing/bounce"
	"homing/event"
	"homing/hold"
	"homing/internal/reply"
	"homing/queue"
	"homing/queue/shape"
	"homing/store"
	"homing/store/bolt"
)

// A world is a queue over a real store, in virtual time.
type world struct {
	*testing.T
	ctx   context.Context
	queue *queue.Queue
	store store.Store
}

var options = queue.Options{
	Retry:    []time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour},
	Lifetime: 4 * time.Hour,
	Rules:    hold.Rules{Thresholds: map[string]int{"Quota": 3, "Host": 2}},
	Limits:   shape.Limits{Total: 10, PerSite: 2, Batch: 5},
	Retention: queue.Retention{Events: 90 * 24 * time.Hour, Bounces: 30 * 24 * time.Hour,
		Captured: 30 * 24 * time.Hour, Index: 30 * 24 * time.Hour},
}

// in runs a test in virtual time, with a queue that runs.
func in(t *testing.T, test func(w *world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { open(t, dir, test) })
}

// restarted runs a queue, and another one over the same store after something
// happened while there was none. Both start with options o.
func restarted(t *testing.T, o queue.Options, before func(w *world), meanwhile func(), after func(w *world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		openWith(t, dir, o, before)
		meanwhile()
		openWith(t, dir, o, after)
	})
}

// open opens the store in dir, runs a queue over it for the time of a test, and
// closes it.
func open(t *testing.T, dir string, test func(w *world)) {
	t.Helper()
	openWith(t, dir, options, test)
}

func openWith(t *testing.T, dir string, o queue.Options, test func(w *world)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	log := slog.New(slog.DiscardHandler)
	s, err := bolt.Open(ctx, bolt.Options{Dir: dir, Log: log, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	q := queue.New(queue.Config{Store: s, Table: bounce.NewTable(), Log: log, Options: o})
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	test(&world{T: t, ctx: ctx, queue: q, store: s})
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// submit hands one message for each address to the queue.
func (w *world) submit(to ...string) event.MessageID {
	w.Helper()
	return w.send(func(*queue.Submission) {}, to...)
}

func (w *world) send(change func(*queue.Submission), to ...string) event.MessageID {
	w.Helper()
	body, err := w.store.NewBody(w.ctx)
	if err != nil {
		w.Fatal(err)
	}
	io.WriteString(body, "Hello.\r\n")
	s := queue.Submission{
		Message: store.Message{Application: "crm", Domain: "example.org", Sender: "civi+b.1.2.0123456789abcdef@bounce.example.org", From: "news@example.org", Bulk: true},
		Body:    body, Heads: [][]byte{[]byte("Subject: hi\r\n\r\n")},
		ReturnPath: func(id event.DeliveryID, _ string) string { return "return+" + id.String() + "@bounce.example.org" },
	}
	for _, a := range to {
		s.Recipients = append(s.Recipients, queue.Recipient{Address: a})
	}
	change(&s)
	id, err := w.queue.Submit(w.ctx, s)
	if err != nil {
		w.Fatal(err)
	}
	return id
}

// next takes the next job, within a day, and leaves it open.
func (w *world) next() *queue.Job {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 24*time.Hour)
	defer cancel()
	job, err := w.queue.Next(ctx)
	if err != nil {
		w.Fatalf("no job: %v", err)
	}
	return job
}

// attempt takes the next job and ends each of its items with a reply at RCPT.
func (w *world) attempt(said string) []queue.Item {
	w.Helper()
	job := w.next()
	for _, it := range job.Items {
		if err := w.queue.Done(w.ctx, it, result(said)); err != nil {
			w.Fatal(err)
		}
	}
	w.queue.Finish(job)
	return job.Items
}

// result is an answer at RCPT, with "MAIL: " before it one at MAIL, or with "!"
// one that we give ourselves.
func result(said string) queue.Result {
	said, ours := strings.CutPrefix(said, "!")
	said, mail := strings.CutPrefix(said, "MAIL: ")
	r := queue.Result{Stage: reply.RCPT, RemoteMTA: "mx.example.net[198.51.100.7]", Ours: ours}
	var status string
	fmt.Sscanf(said, "%d %s", &r.Reply.Code, &status)
	fmt.Sscanf(status, "%d.%d.%d", &r.Reply.Enhanced[0], &r.Reply.Enhanced[1], &r.Reply.Enhanced[2])
	_, r.Reply.Text, _ = strings.Cut(said, status+" ")
	if r.Reply.Positive() {
		r.Stage = reply.Dot
	}
	if ours {
		r.Stage = reply.Connect
	}
	if mail {
		r.Stage = reply.MAIL
	}
	return r
}

// told gives the types of all events so far, with what they say of holds.
func (w *world) told() string {
	w.Helper()
	var words []string
	for _, e := range w.events() {
		word := string(e.Type)
		if e.Class != "" {
			word += ":" + e.Class
		}
		if e.Hold != nil && e.Hold.State != "free" {
			word += "(" + e.Hold.State + ")"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// last is the last fact about a delivery.
func (w *world) last() event.Event {
	w.Helper()
	for _, e := range slices.Backward(w.events()) {
		if e.Delivery != 0 {
			return e
		}
	}
	w.Fatal("nothing was told of a delivery")
	return event.Event{}
}

func (w *world) events() (all []event.Event) {
	w.Helper()
	ctx, cancel := context.WithCancel(w.ctx)
	cancel() // so that Events waits for nothing
	for after := event.ID(0); ; after = all[len(all)-1].ID {
		page, err := w.store.Events(ctx, after, 1000)
		if err != nil && !errors.Is(err, context.Canceled) {
			w.Fatal(err)
		}
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
	}
}

func (w *world) state(id event.DeliveryID) store.State {
	w.Helper()
	_, r, err := w.store.Recipient(w.ctx, id)
	if err != nil {
		w.Fatal(err)
	}
	return r.State
}

// report observes a report of a kind about a delivery, as a related peer sends it.
func (w *world) report(id event.DeliveryID, r bounce.Report) error {
	w.Helper()
	raw, err := w.store.NewBody(w.ctx)
	if err != nil {
		w.Fatal(err)
	}
	defer raw.Discard()
	io.Copy(raw, bytes.NewReader([]byte("Subject: report\r\n\r\nIt failed.\r\n")))
	return w.queue.Observe(w.ctx, queue.Observation{Delivery: id, Report: r, Raw: raw, Peer: "mx.example.net[198.51.100.7]", Related: true})
}

func dead(digest uint64) bounce.Report {
	return bounce.Report{Kind: bounce.Bounce, Digest: digest, Recipients: []bounce.Recipient{{
		Address: "someone.else@example.com", Action: "failed", Status: "5.1.1", Code: 550, Diagnostic: "550 5.1.1 user unknown",
		Verdict: bounce.Verdict{Class: bounce.Hard, Reason: bounce.UserUnknown, CiviCRM: "Invalid", Rule: "status-5.1.1"}}}}
}

func TestWhatAnAnswerMeans(t *testing.T) {
	tests := []struct {
		name  string
		said  string
		state store.State
		told  string
	}{
		{"250 is delivered", "250 2.0.0 OK", store.Delivered, "accepted delivered"},
		{"a dead address bounces and is held", "550 5.1.1 user unknown", store.Bounced, "accepted bounced:hard(held) held:hard(held)"},
		{"a full mailbox for good bounces and counts", "552 5.2.2 mailbox full", store.Bounced, "accepted bounced:soft(counting)"},
		{"our address listed bounces and holds nobody", "554 5.7.1 blocked: 192.0.2.1 is listed at zen.spamhaus.org", store.Bounced, "accepted bounced:sender incident_opened:sender"},
		{"a message called spam bounces and holds nobody", "554 5.7.1 message rejected as spam", store.Bounced, "accepted bounced:sender"},
		{"a host that fails before it knows the person counts against nobody", "MAIL: 554 5.3.0 mailer error", store.Bounced, "accepted bounced:soft"},
		{"a full mailbox for now is tried again", "452 4.2.2 mailbox full", store.Waiting, "accepted deferred:soft"},
		{"greylisting is tried again", "450 4.7.1 greylisted, try again", store.Waiting, "accepted deferred:none"},
		{"nobody there is tried again", "!451 4.4.1 connection refused", store.Waiting, "accepted deferred:soft"},
		{"a host that cannot do the TLS that its domain asks for is tried again", "!451 4.7.5 mx does not offer TLS", store.Waiting, "accepted deferred:sender"},
		{"a host without REQUIRETLS bounces and holds nobody", "!550 5.7.30 mx does not offer REQUIRETLS", store.Bounced, "accepted bounced:sender"},
		{"what nobody understands is tried again", "!0 0.0.0 gibberish", store.Waiting, "accepted deferred:soft"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(w *world) {
				w.submit("ann@example.net")
				items := w.attempt(tt.said)
				if got := w.state(items[0].Delivery); got != tt.state {
					t.Errorf("state %v, want %v", got, tt.state)
				}
				if got := w.told(); got != tt.told {
					t.Errorf("told %q, want %q", got, tt.told)
				}
			})
		})
	}
}

func TestAttemptsFollowTheScheduleUntilTheLifetimeEnds(t *testing.T) {
	in(t, func(w *world) {
		start := time.Now()
		w.submit("ann@example.net")
		var at []time.Duration
		var last queue.Item
		for w.state0() == store.Waiting {
			last = w.attempt("452 4.2.2 mailbox full")[0]
			at = append(at, time.Since(start).Round(time.Second))
		}
		if got, want := fmt.Sprint(at), "[0s 5m0s 20m0s 1h20m0s 2h20m0s 3h20m0s]"; got != want {
			t.Errorf("attempts at %v, want %v", got, want)
		}
		if got := w.state(last.Delivery); got != store.Expired {
			t.Errorf("in the end it is %v, want expired", got)
		}
		all := w.events()
		if e := all[len(all)-1]; e.Type != event.Expired || e.Reason != "expired" || e.Class != "soft" || e.CiviCRM != "Host" {
			t.Errorf("the last event is %s %s %s %s, want expired soft expired Host", e.Type, e.Class, e.Reason, e.CiviCRM)
		}
	})
}

// state0 is the state of the first recipient there is.
func (w *world) state0() store.State {
	w.Helper()
	page, err := w.store.Find(w.ctx, store.Query{Max: 1})
	if err != nil || len(page.Rows) == 0 {
		w.Fatalf("no recipient: %v", err)
	}
	return page.Rows[0].Recipient.State
}

func TestMailToSomebodyNewlyHeldIsSuppressed(t *testing.T) {
	in(t, func(w *world) {
		w.submit("ann@example.net")
		w.attempt("452 4.2.2 mailbox full")
		if err := w.queue.AddHold(w.ctx, "Ann@Example.net", "crm", hold.Hold{By: "eve", Reason: "asked"}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(w.ctx, time.Hour)
		defer cancel()
		if job, err := w.queue.Next(ctx); err == nil {
			t.Errorf("it was handed out for delivery: %+v", job.Items)
		}
		if got, want := w.told(), "accepted deferred:soft held(held) suppressed(held)"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}

func TestMailForAnAddressOnHoldIsAcceptedAndNeverSent(t *testing.T) {
	in(t, func(w *world) {
		h := hold.Hold{Rule: "hard", Reason: "user_unknown", Since: time.Now()}
		w.send(func(s *queue.Submission) { s.Recipients[0].Held = &h }, "ann@example.net", "bob@example.net")
		if items := w.attempt("250 2.0.0 OK"); len(items) != 1 || items[0].Recipient.Address != "bob@example.net" {
			t.Errorf("handed out: %+v, want bob alone", items)
		}
		if got, want := w.told(), "accepted suppressed(held) accepted delivered"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}

func TestCapturedMailIsKeptAndNotSent(t *testing.T) {
	in(t, func(w *world) {
		w.send(func(s *queue.Submission) { s.Capture = true }, "ann@example.net")
		ctx, cancel := context.WithTimeout(w.ctx, 24*time.Hour)
		defer cancel()
		if job, err := w.queue.Next(ctx); err == nil {
			t.Errorf("it was handed out for delivery: %+v", job.Items)
		}
		if got, want := w.told(), "accepted captured"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}

func TestWhatALaterReportMeans(t *testing.T) {
	kind := func(k bounce.Kind) bounce.Report { return bounce.Report{Kind: k, Digest: 9} }
	delayed := dead(9)
	delayed.Kind, delayed.Recipients[0].Action = bounce.Delayed, "delayed"
	blocked := dead(9)
	blocked.Recipients[0].Verdict = bounce.Verdict{Class: bounce.Sender, Reason: bounce.Blocked, CiviCRM: "Spam"}
	tests := []struct {
		name   string
		report bounce.Report
		state  store.State
		told   string
	}{
		{"a failure ends it late, and counts against its own recipient", dead(9), store.Bounced, "bounced:hard(held) held:hard(held)"},
		{"a delay is no failure", delayed, store.Delivered, "deferred:hard"},
		{"our own fault holds nobody", blocked, store.Bounced, "bounced:sender"},
		{"a success notice says nothing new", kind(bounce.Delivered), store.Delivered, ""},
		{"a vacation note is told", kind(bounce.AutoReply), store.Delivered, "auto_replied"},
		{"a human reply is told", kind(bounce.Message), store.Delivered, "replied"},
		{"a complaint holds bulk mail", kind(bounce.Complaint), store.Delivered, "complained:none(held) held:none(held)"},
		{"an unsubscribe holds bulk mail", kind(bounce.Unsubscribe), store.Delivered, "unsubscribed:none(held) held:none(held)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(w *world) {
				w.submit("ann@example.net")
				id := w.attempt("250 2.0.0 OK")[0].Delivery
				for range 3 { // one report has one effect, however often it is sent
					if err := w.report(id, tt.report); err != nil {
						t.Fatal(err)
					}
				}
				if got := w.state(id); got != tt.state {
					t.Errorf("state %v, want %v", got, tt.state)
				}
				if got, want := w.told(), strings.TrimSpace("accepted delivered "+tt.told); got != want {
					t.Errorf("told %q, want %q", got, want)
				}
				if h, err := w.store.Hold(w.ctx, "someone.else@example.com"); err != nil || len(h.Scopes) > 0 {
					t.Errorf("somebody whom the report only named has a record: %+v %v", h, err)
				}
			})
		})
	}
}

func TestBulkMailGoesAgainOnceTheApplicationHasAnswered(t *testing.T) {
	in(t, func(w *world) {
		w.submit("ann@example.net")
		id := w.attempt("250 2.0.0 OK")[0].Delivery
		if err := w.report(id, bounce.Report{Kind: bounce.Unsubscribe, Digest: 9}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := w.queue.Answered(w.ctx, "Ann@example.net", "crm", "example.org"); err != nil {
				t.Fatal(err)
			}
		}
		if _, held, err := w.queue.Held(w.ctx, "ann@example.net", "crm", "example.org", true); err != nil || held {
			t.Errorf("held %v, %v; want that bulk mail may go again", held, err)
		}
		if got, want := w.told(), "accepted delivered unsubscribed:none(held) held:none(held) released"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}

func TestALateBounceComesOnceAndSaysSo(t *testing.T) {
	in(t, func(w *world) {
		w.submit("ann@example.net")
		id := w.attempt("250 2.0.0 OK")[0].Delivery
		for digest := range uint64(3) {
			if err := w.report(id, dead(digest+1)); err != nil {
				t.Fatal(err)
			}
		}
		bounced := 0
		for _, e := range w.events() {
			if e.Type != event.Bounced {
				continue
			}
			bounced++
			if e.Sync == nil || *e.Sync || e.Recipient != "ann@example.net" || e.Raw.IsZero() {
				t.Errorf("the late bounce is %+v: want sync false, its own recipient, the report", e)
			}
		}
		if bounced != 1 {
			t.Errorf("%d bounced events, want 1", bounced)
		}
	})
}

func TestAReportForAForgottenDeliveryIsNotFound(t *testing.T) {
	in(t, func(w *world) {
		if err := w.report(12345, dead(1)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Observe gives %v, want ErrNotFound", err)
		}
	})
}

func TestAReportDuringAnAttemptWins(t *testing.T) {
	in(t, func(w *world) {
		w.submit("ann@example.net")
		job := w.next()
		it := job.Items[0]
		if err := w.report(it.Delivery, dead(1)); err != nil {
			t.Fatal(err)
		}
		if err := w.queue.Done(w.ctx, it, result("250 2.0.0 OK")); err != nil {
			t.Errorf("Done after the report: %v", err)
		}
		w.queue.Finish(job)
		if got, want := w.told(), "accepted bounced:hard(held) held:hard(held)"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}

func TestAJobThatIsGivenUpIsHandedOutAgain(t *testing.T) {
	in(t, func(w *world) {
		w.submit("ann@example.net")
		job := w.next()
		w.queue.Finish(job)
		if again := w.attempt("250 2.0.0 OK"); again[0].Delivery != job.Items[0].Delivery {
			t.Errorf("handed out %v, want %v again", again[0].Delivery, job.Items[0].Delivery)
		}
	})
}

func TestADomainThatTakesAllItsSlotsHoldsBackNobodyElse(t *testing.T) {
	in(t, func(w *world) {
		for n := range 40 {
			w.submit(fmt.Sprintf("u%d@slow.test", n))
		}
		w.submit("ann@quick.test")
		slow := 0
		for {
			job := w.next()
			defer w.queue.Finish(job)
			if job.Domain == "quick.test" {
				break
			}
			if slow++; slow > options.Limits.PerSite {
				t.Fatalf("%d jobs for one site, limit %d", slow, options.Limits.PerSite)
			}
		}
	})
}

func TestANetworkFailureCountsOnlyWhileOthersAnswer(t *testing.T) {
	for _, tt := range []struct {
		name   string
		others bool
		want   string
	}{
		{"nobody answers: it is us", false, "free"},
		{"others answer: it is them", true, "counting"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(w *world) {
				w.submit("ann@example.net")
				for w.state0() == store.Waiting {
					if tt.others {
						w.submit("bob@example.com")
					}
					w.attempt2(map[string]string{"example.com": "250 2.0.0 OK", "example.net": "!451 4.4.1 connection refused"})
					<-time.After(5 * time.Minute)
				}
				for _, e := range w.events() {
					if e.Type == event.Expired && e.Hold.State != tt.want {
						t.Errorf("the hold is %q, want %q", e.Hold.State, tt.want)
					}
				}
			})
		})
	}
}

// attempt2 is attempt with an answer by domain.
func (w *world) attempt2(said map[string]string) {
	w.Helper()
	job := w.next()
	defer w.queue.Finish(job)
	for _, it := range job.Items {
		if err := w.queue.Done(w.ctx, it, result(said[job.Domain])); err != nil {
			w.Fatal(err)
		}
	}
}

func TestARestartResumes(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		open(t, dir, func(w *world) {
			w.submit("ann@example.net", "bob@example.net")
			if _, err := w.queue.Next(w.ctx); err != nil { // its leases die with it
				t.Fatal(err)
			}
		})
		open(t, dir, func(w *world) {
			sent := 0
			for sent < 2 {
				sent += len(w.attempt("250 2.0.0 OK"))
			}
			if got, want := w.told(), "accepted accepted delivered delivered"; got != want {
				t.Errorf("told %q, want %q", got, want)
			}
		})
	})
}

func TestAReleasedAddressIsMailedAgain(t *testing.T) {
	in(t, func(w *world) {
		w.submit("ann@example.net")
		w.attempt("550 5.1.1 user unknown")
		if _, held, err := w.queue.Held(w.ctx, "ANN@example.NET", "crm", "example.org", false); err != nil || !held {
			t.Fatalf("held %v, %v; want held", held, err)
		}
		if released, err := w.queue.Release(w.ctx, "ann@example.net", ""); err != nil || !released {
			t.Fatalf("released %v, %v", released, err)
		}
		if _, held, _ := w.queue.Held(w.ctx, "ann@example.net", "crm", "example.org", false); held {
			t.Error("still held after the release")
		}
		if released, err := w.queue.Release(w.ctx, "ann@example.net", ""); err != nil || released {
			t.Errorf("released again: %v %v", released, err)
		}
	})
}

func TestWhatAHostileReplySaysIsKeptInBounds(t *testing.T) {
	in(t, func(w *world) {
		w.submit("ann@example.net")
		job := w.next()
		said := result("550 5.1.1 user unknown")
		said.Reply.Text += "\x1b[2J" + strings.Repeat(" and so on", 6000)
		if err := w.queue.Done(w.ctx, job.Items[0], said); err != nil {
			t.Fatal(err)
		}
		w.queue.Finish(job)
		_, r, err := w.store.Recipient(w.ctx, job.Items[0].Delivery)
		if err != nil {
			t.Fatal(err)
		}
		record, err := w.store.Hold(w.ctx, "ann@example.net")
		if err != nil || len(record.Scopes) == 0 || len(record.Scopes[0].Holds) == 0 {
			t.Fatalf("hold %+v, %v", record, err)
		}
		kept := []string{r.Last.Diagnostic, record.Scopes[0].Holds[0].Marks[0].Diagnostic}
		for _, e := range w.events() {
			kept = append(kept, e.Diagnostic)
		}
		for _, s := range kept {
			if len(s) > 1000 || strings.ContainsRune(s, '\x1b') {
				t.Errorf("%d octets are kept: %q", len(s), s[:min(len(s), 80)])
			}
		}
	})
}

func TestOurOwnMailIsStoppedByNoHoldAndLeadsToNone(t *testing.T) {
	in(t, func(w *world) {
		our := func(s *queue.Submission) {
			s.Message = store.Message{From: "MAILER-DAEMON@mail.example.org"}
			s.ReturnPath = func(event.DeliveryID, string) string { return "" }
		}
		w.send(our, "news@example.com")
		w.attempt("550 5.1.1 user unknown")
		if r, err := w.store.Hold(w.ctx, "news@example.com"); err != nil || len(r.Scopes) > 0 {
			t.Errorf("a report that could not be delivered left %+v, %v", r, err)
		}
		if err := w.queue.AddHold(w.ctx, "it@example.com", "", hold.Hold{By: "eve"}); err != nil {
			t.Fatal(err)
		}
		w.send(our, "it@example.com")
		w.attempt("250 2.0.0 OK")
		if got, want := w.told(), "accepted bounced:hard held(held) accepted delivered"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}

func TestWhatIsPastItsLifetimeWhenWeComeBackHasOneMoreAttempt(t *testing.T) {
	for said, want := range map[string]string{
		"250 2.0.0 OK":                    "accepted deferred:soft delivered",
		"452 4.2.2 mailbox full":          "accepted deferred:soft expired:soft(counting)",
		"!451 4.4.1 connection refused":   "accepted deferred:soft expired:sender", // nobody else answers: it may be our network
		"!451 4.3.0 it cannot be read":    "accepted deferred:soft expired:sender",
		"550 5.1.1 user unknown":          "accepted deferred:soft bounced:hard(held) held:hard(held)",
		"421 4.7.0 too many, listed at x": "accepted deferred:soft expired:sender incident_opened:sender",
	} {
		t.Run(said, func(t *testing.T) {
			restarted(t, options, func(w *world) {
				w.submit("ann@example.net")
				w.attempt("452 4.2.2 mailbox full")
			}, func() { <-time.After(30 * 24 * time.Hour) }, func(w *world) {
				w.attempt(said)
				if got := w.told(); got != want {
					t.Errorf("told %q, want %q", got, want)
				}
			})
		})
	}
}

func TestWhatPrevailedDecidesWhatAnExpiryMeans(t *testing.T) {
	const (
		full = "452 4.2.2 mailbox full"
		spam = "451 4.7.1 message rejected as spam"
		grey = "450 4.7.1 greylisted, try again"
	)
	tests := []struct {
		name string
		said []string // in turn; the last one repeats
		want string   // class, type and hold of the expiry
	}{
		{"always a full mailbox", []string{full}, "soft Host counting"},
		{"we were refused, and full once at the end", []string{spam, spam, spam, spam, spam, full}, "sender Host free"},
		{"full, and we were refused at the end", []string{full, full, full, full, full, spam}, "soft Host counting"},
		{"greylisted for ever", []string{grey}, "none  free"},
		{"as often our fault as theirs", []string{full, full, full, spam}, "sender Host free"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(w *world) {
				w.submit("ann@example.net")
				for n := 0; w.state0() == store.Waiting; n++ {
					w.attempt(tt.said[min(n, len(tt.said)-1)])
				}
				e := w.last()
				if got := e.Class + " " + e.CiviCRM + " " + e.Hold.State; e.Type != event.Expired || got != tt.want {
					t.Errorf("%s: %q, want %q", e.Type, got, tt.want)
				}
			})
		})
	}
}

func TestWhoReportsTheSuccessThatAnApplicationAskedFor(t *testing.T) {
	tests := []struct {
		name      string
		dsn, keep bool // the next hop has DSN; the application's own return path is kept
		want      string
	}{
		{"we, where the next hop has no DSN", false, true, "SUCCESS"},
		{"the next hop, to the application itself", true, true, ""},
		{"we, where its report would come to us", true, false, "SUCCESS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(w *world) {
				w.send(func(s *queue.Submission) {
					s.Recipients[0].Notify = "SUCCESS"
					if tt.keep {
						s.ReturnPath = func(event.DeliveryID, string) string { return s.Message.Sender }
					}
				}, "ann@example.net")
				job := w.next()
				defer w.queue.Finish(job)
				said := result("250 2.0.0 OK")
				said.DSN = tt.dsn
				if err := w.queue.Done(w.ctx, job.Items[0], said); err != nil {
					t.Fatal(err)
				}
				all := w.events()
				if e := all[len(all)-1]; e.Type != event.Delivered || e.Notify != tt.want {
					t.Errorf("%s asks for reports of %q, want %q", e.Type, e.Notify, tt.want)
				}
			})
		})
	}
}
