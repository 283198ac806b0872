package notice_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"homing/event"
	"homing/event/notice"
)

// post is where mails go.
type post struct {
	mu    sync.Mutex
	mails []notice.Mail
	err   error
}

func (p *post) submit(_ context.Context, m notice.Mail) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.mails = append(p.mails, m)
	}
	return p.err
}

func (p *post) sink() *notice.Sink {
	return notice.New(notice.Config{Name: "notify", Hostname: "mail.example.org", From: func() string { return "postmaster@example.org" }, To: []string{"it@example.org", "bob@example.net"}, Submit: p.submit})
}

// tell tells facts at once and gives how it ended.
func tell(ctx context.Context, s *notice.Sink, facts ...event.Event) error {
	errs := make([]error, len(facts))
	var all sync.WaitGroup
	for i, e := range facts {
		all.Go(func() { errs[i] = s.Tell(ctx, e) })
		synctest.Wait()
	}
	all.Wait()
	return errors.Join(errs...)
}

func fact(id event.ID, kind event.Type, text string) event.Event {
	return event.Event{ID: id, Type: kind, Time: time.Now(), Text: text}
}

func TestFactsOfOneMomentShareAMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p post
		s := p.sink()
		began := time.Now()
		err := tell(t.Context(), s, fact(1, event.CheckFailed, "The check ptr of 203.0.113.5 fails: no record — none.\nTo mend it: ask."), fact(2, event.IncidentClosed, "google takes mail again as before."))
		if err != nil || len(p.mails) != 1 || time.Since(began) != 5*time.Second {
			t.Fatalf("%d mails after %v, %v; want one after 5 s", len(p.mails), time.Since(began), err)
		}
		m := p.mails[0]
		msg, err := mail.ReadMessage(io.MultiReader(bytes.NewReader(m.Head), bytes.NewReader(m.Body)))
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"From": "Homing <postmaster@example.org>", "To": "<it@example.org>, <bob@example.net>",
			"Subject": "[mail.example.org] 1 thing needs attention", "Auto-Submitted": "auto-generated", "Date": "Sat, 01 Jan 2000 00:00:05 +0000"} {
			if got := msg.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		text, err := io.ReadAll(quotedprintable.NewReader(msg.Body))
		const want = "This needs attention:\r\n\r\n* 2000-01-01 00:00 UTC\r\n  The check ptr of 203.0.113.5 fails: no record — none.\r\n  To mend it: ask.\r\n\r\n" +
			"This is over:\r\n\r\n* 2000-01-01 00:00 UTC\r\n  google takes mail again as before.\r\n\r\nHow it stands now: `homing status` and `homing check` on mail.example.org.\r\n"
		if err != nil || string(text) != want {
			t.Errorf("%v\n%q, want\n%q", err, text, want)
		}
		if i := bytes.IndexFunc(append(m.Head, m.Body...), func(r rune) bool { return r > '~' }); i >= 0 {
			t.Error("the mail is not plain ASCII")
		}
	})
}

func TestAfterAMailTheNextGathersLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p post
		s := p.sink()
		for _, want := range []time.Duration{5 * time.Second, time.Minute} {
			began := time.Now()
			if err := tell(t.Context(), s, fact(1, event.IncidentOpened, "x")); err != nil || time.Since(began) != want {
				t.Errorf("told after %v, %v, want %v", time.Since(began), err, want)
			}
		}
		<-time.After(10 * time.Minute)
		began := time.Now()
		if err := tell(t.Context(), s, fact(1, event.IncidentOpened, "x")); err != nil || time.Since(began) != 5*time.Second {
			t.Errorf("after a while: %v, %v", time.Since(began), err)
		}
	})
}

func TestWhatCouldNotBeSubmittedIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := post{err: errors.New("no room")}
		s := p.sink()
		if err := tell(t.Context(), s, fact(1, event.IncidentOpened, "x"), fact(2, event.IncidentOpened, "y")); err == nil || strings.Count(err.Error(), "no room") != 2 {
			t.Errorf("%v, want no room for both", err)
		}
		p.err = nil
		if err := tell(t.Context(), s, fact(1, event.IncidentOpened, "x")); err != nil || len(p.mails) != 1 {
			t.Errorf("later: %d mails, %v", len(p.mails), err)
		}
	})
}

func TestAtTheEndWhatThereIsIsMailedAndNotToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 20 { // in one of two select would choose the wrong end
			var p post
			ctx, cancel := context.WithCancel(t.Context())
			began := time.Now()
			go func() { <-time.After(time.Second); cancel() }()
			err := tell(ctx, p.sink(), fact(1, event.IncidentOpened, "x"), fact(2, event.IncidentOpened, "y"))
			if err != nil || len(p.mails) != 1 || time.Since(began) != time.Second {
				t.Fatalf("%d mails after %v, %v", len(p.mails), time.Since(began), err)
			}
		}
	})
}

func TestTheSameFactsAreTheSameMailInWhateverOrderTheyCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p post
		now := time.Now()
		facts := []event.Event{{ID: 1, Type: event.CheckFailed, Time: now, Text: "x"}, {ID: 2, Type: event.CheckFailed, Time: now, Text: "y"}}
		if err := tell(t.Context(), p.sink(), facts...); err != nil {
			t.Fatal(err)
		}
		slices.Reverse(facts)
		if err := tell(t.Context(), p.sink(), facts...); err != nil || len(p.mails) != 2 {
			t.Fatal(len(p.mails), err)
		}
		if a, b := p.mails[0], p.mails[1]; a.Key != b.Key || !bytes.Equal(a.Body, b.Body) {
			t.Errorf("%s\n%s\nis not\n%s\n%s", a.Key, a.Body, b.Key, b.Body)
		}
	})
}

func TestOnlyWhatNeedsAttentionIsMailed(t *testing.T) {
	var p post
	s := p.sink()
	for kind, want := range map[event.Type]bool{event.IncidentOpened: true, event.IncidentClosed: true, event.CheckFailed: true, event.CheckRecovered: true, event.Bounced: false, event.Delivered: false} {
		if got := s.Wants(event.Event{Type: kind}); got != want {
			t.Errorf("%s: %v, want %v", kind, got, want)
		}
	}
	if notice.New(notice.Config{}).Wants(event.Event{Type: event.CheckFailed}) {
		t.Error("something is mailed to nobody")
	}
}
