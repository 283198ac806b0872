package server_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"homing/internal/reply"
	"homing/server"
	"homing/store"
)

// injection is a letter of the shop.
func injection(to ...string) server.Injection {
	return server.Injection{Application: "shop", From: "shop@example.com", To: to, Content: []byte("From: shop@example.com\nSubject: Hi\n\nHello.\n"), Peer: loopback}
}

var loopback = addr("127.0.0.1:4711")

type addr string

func (addr) Network() string  { return "tcp" }
func (a addr) String() string { return string(a) }

func (w *world) inject(in server.Injection) server.Injected {
	w.Helper()
	out, err := w.Outbound.Inject(w.ctx, in)
	if err != nil {
		w.Fatal(err)
	}
	return out
}

func TestAnInjectionIsAMessageAsBySMTP(t *testing.T) {
	w := open(t, nil)
	out := w.inject(injection("ann@example.net", "ann@example.net"))
	row, text := w.sent()
	if len(out.Recipients) != 1 || row.Message.ID != out.Message || row.Message.Sender != "shop@example.com" || row.Message.Domain != "example.com" {
		t.Errorf("%+v is %+v", out, row.Message)
	}
	for _, want := range []string{"Received: from localhost\r\n\tby mail.example.org with HTTP;", "Subject: Hi\r\n", "Message-ID: <", "\r\n\r\nHello.\r\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	if got := w.told(); got != "accepted ann@example.net" {
		t.Errorf("told %q", got)
	}
}

func TestAKeyOutlivesTheServer(t *testing.T) {
	w := open(t, nil)
	in := injection("ann@example.net")
	in.Key, in.Digest, in.SendAt = "k", [32]byte{1}, time.Now().Add(time.Hour)
	first := w.inject(in)
	later := func() time.Time { return time.Now().Add(24 * time.Hour) } // when in.SendAt is past
	again, err := server.New(w.ctx, server.Config{Policy: &w.policy, Queue: w.queue, Store: w.store, Log: slog.New(slog.DiscardHandler), Now: later, Metrics: server.NewMetrics(nil)})
	if err != nil {
		t.Fatal(err)
	}
	second, err := again.Outbound.Inject(w.ctx, in)
	if err != nil || second.Message != first.Message || !second.Repeated || second.Recipients[0] != first.Recipients[0] {
		t.Errorf("%+v, %v, want %+v", second, err, first)
	}
	in.Digest = [32]byte{2}
	if _, err := again.Outbound.Inject(w.ctx, in); !errors.Is(err, server.ErrKeyUsed) {
		t.Errorf("another request under the key: %v, want %v", err, server.ErrKeyUsed)
	}
	in.Key = "other"
	if _, err := again.Outbound.Inject(w.ctx, in); !errors.Is(err, server.ErrPast) {
		t.Errorf("for a time that is past: %v, want %v", err, server.ErrPast)
	}
	w.sent() // one recipient
}

func TestWhatWasNotTakenUsesNoKeyAndNoPlaceInTheDay(t *testing.T) {
	w := open(t, func(p *server.Policy) { p.Applications[1].DailyLimit = 1 })
	in := injection("ann@example.net")
	in.Key = "k"
	w.store.refuse(store.ErrFull)
	if _, err := w.Outbound.Inject(w.ctx, in); !errors.Is(err, store.ErrFull) || !reply.Of(err).Temporary() {
		t.Fatalf("on a full disk: %v", err)
	}
	w.store.refuse(nil)
	if out := w.inject(in); out.Repeated || w.SentToday("shop") != 1 {
		t.Errorf("%+v, %d sent today", out, w.SentToday("shop"))
	}
	if out := w.inject(in); !out.Repeated {
		t.Errorf("once it was taken: %+v, want the same again, although the day is full", out)
	}
	in.Key = "other"
	if _, err := w.Outbound.Inject(w.ctx, in); !errors.Is(err, server.ErrDaily) {
		t.Errorf("on a full day: %v", err)
	}
}

func TestASenderThatTheApplicationMayNotUseIsAnIncidentByHTTPToo(t *testing.T) {
	w := open(t, nil)
	in := injection("ann@example.net")
	in.From = "news@example.org"
	if _, err := w.Outbound.Inject(w.ctx, in); !errors.Is(err, server.ErrSender) {
		t.Errorf("the sender of another: %v", err)
	}
	in = injection("ann@example.net")
	in.Content = []byte("From: news@example.org\n\nx\n")
	if _, err := w.Outbound.Inject(w.ctx, in); !errors.Is(err, server.ErrSender) {
		t.Errorf("the author of another: %v", err)
	}
	in.Application = "nobody"
	if _, err := w.Outbound.Inject(w.ctx, in); !errors.Is(err, server.ErrNoApplication) {
		t.Errorf("an application that is not there: %v", err)
	}
	if got := w.told(); got != "incident_opened " {
		t.Errorf("told %q", got)
	}
	if len(w.rows()) != 0 {
		t.Error("something was taken")
	}
}
