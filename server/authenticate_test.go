package server_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"homing/bounce"
	"homing/event"
	"homing/internal/mailauth"
	"homing/server"
)

// withActivities adds a route whose mail is filed.
func withActivities(p *server.Policy) {
	p.Routes = append(p.Routes, server.Route{Local: "file", Domain: tagDomain, As: server.RouteActivity, To: []string{"crm"}})
}

// kept is the mail that waits for review, or that the last fact tells of.
func (w *world) kept() string {
	w.Helper()
	if waiting := w.waits.List(); len(waiting) > 0 {
		return w.body(waiting[len(waiting)-1].Raw)
	}
	all := w.events()
	if len(all) == 0 {
		w.Fatal("nothing was told")
	}
	return w.body(all[len(all)-1].Raw)
}

// counted checks how much mail was authenticated, as "result n".
func (w *world) counted(result string) {
	w.Helper()
	want := "# HELP homing_server_inbound_authentication_total Mail to be filed and replies to be passed on, by what DMARC says of its From domain: pass, aligned (SPF or DKIM passes, and there is no record or it cannot be looked up), fail, none, temperror, permerror.\n" +
		"# TYPE homing_server_inbound_authentication_total counter\n" +
		"homing_server_inbound_authentication_total{result=\"" + result + "\"} 1\n"
	if err := testutil.GatherAndCompare(w.counts, strings.NewReader(want), "homing_server_inbound_authentication_total"); err != nil {
		w.Error(err)
	}
}

const forged = "Authentication-Results: MAIL.example.org; dmarc=pass header.from=member.test"

func TestMailToBeFiledSaysWhoItIsFrom(t *testing.T) {
	w := open(t, withActivities)
	mail := letter(forged, "Authentication-Results: mx.example.com;\r\n\tspf=pass smtp.mailfrom=member.test", "From: Ann <ann@member.test>", "Subject: hi")
	if got := w.comes("ann@member.test", "file@bounce.example.org", mail); got[:3] != "250" {
		t.Fatal(got)
	}
	got := w.kept()
	want := "Return-Path: <ann@member.test>\r\nAuthentication-Results: mail.example.org; spf=pass smtp.mailfrom=member.test;\r\n dkim=none; dmarc=pass (p=reject) header.from=member.test\r\nReceived: "
	if !strings.HasPrefix(got, want) {
		t.Errorf("kept\n%s\nwant it to begin\n%s", got, want)
	}
	rest := "\r\nAuthentication-Results: mx.example.com;\r\n\tspf=pass smtp.mailfrom=member.test\r\nFrom: Ann <ann@member.test>\r\nSubject: hi\r\n\r\nHello.\r\n"
	if !strings.HasSuffix(got, rest) || strings.Contains(got, "MAIL") {
		t.Errorf("kept\n%s\nwant nothing forged, and at the end\n%s", got, rest)
	}
	w.counted("pass")
}

func TestWhatIsCountedOfMailToBeFiled(t *testing.T) {
	for from, want := range map[string]string{"ann@member.test": "fail", "ann@nowhere.test": "none", "ann@member.test, m@evil.test": "permerror"} {
		t.Run(want, func(t *testing.T) {
			w := open(t, withActivities)
			if got := w.comes("m@evil.test", "file@bounce.example.org", letter("From: "+from)); got[:3] != "250" {
				t.Fatal(got)
			}
			w.counted(want)
		})
	}
}

func TestOverLMTPNobodyIsThePeer(t *testing.T) {
	w := open(t, withActivities)
	c := w.dial(w.lmtp)
	if got := c.talk("LHLO a", "MAIL FROM:<ann@member.test>", "RCPT TO:<file@bounce.example.org>", "DATA", letter("From: ann@member.test")); got != "250 250 250 354 250" {
		t.Fatal(got)
	}
	if got := w.kept(); !strings.Contains(got, "spf=none") || !strings.Contains(got, "dmarc=fail") {
		t.Errorf("kept\n%s\nwant spf=none, dmarc=fail", got)
	}
}

func TestMailOfWhichTheDNSDoesNotSayWhoItIsFromComesAgain(t *testing.T) {
	w := open(t, withActivities)
	mail := letter("From: ann@down.test")
	c := w.dial(w.mx)
	c.talk("EHLO mx.example.net", "MAIL FROM:<ann@down.test>", "RCPT TO:<postmaster@example.org>", "RCPT TO:<file@bounce.example.org>", "DATA")
	if got := c.say(mail); !strings.HasPrefix(got, "451 4.7.0 ") {
		t.Errorf("answered %q, want 451 4.7.0", got)
	}
	if told, rows := w.told(), w.rows(); told != "" || len(rows) > 0 {
		t.Errorf("told %q, and %d mails forwarded to the postmaster; want nothing, because it comes again", told, len(rows))
	}
	w.counted("temperror")
}

func TestOverLMTPOthersGetWhatCannotBeFiledNow(t *testing.T) {
	w := open(t, withActivities)
	c := w.dial(w.lmtp)
	c.talk("LHLO a", "MAIL FROM:<ann@down.test>", "RCPT TO:<file@bounce.example.org>", "RCPT TO:<civimail@bounce.example.org>", "DATA")
	first := c.say(letter("From: ann@down.test"))
	if second := c.reply(); !strings.HasPrefix(first, "451 4.7.0 ") || second[:3] != "250" {
		t.Errorf("answered %q and %q, want 451 4.7.0 and 250", first, second)
	}
	if all := w.events(); len(all) != 1 || all[0].Type != event.Replied {
		t.Errorf("told %+v, want the reply alone", all)
	}
}

func TestNobodyAsksWhoOtherMailIsFrom(t *testing.T) {
	w := open(t, func(p *server.Policy) { rewritten(p); withActivities(p) })
	w.send("news@example.org", "ann@example.net", news)
	tag := w.delivered().ReturnPath
	for to, mail := range map[string]string{
		tag:                           bounced,
		"civimail@bounce.example.org": letter(forged, "From: ann@down.test"),
		"file@bounce.example.org":     reportOf("its header", "X-Homing-Return: "+tag+"\r\n"),
	} {
		if got := w.comes("", to, mail); got[:3] != "250" {
			t.Errorf("%s: %s", to, got)
		}
	}
	if n := w.names.texts.Load(); n > 0 {
		t.Errorf("%d questions, want none", n)
	}
	if got := w.told(); strings.Contains(got, "filed") || !strings.Contains(got, "bounced ann@example.net") {
		t.Errorf("told %q, want a bounce, and nothing filed", got)
	}
}

func TestMailOfABrokenDomainIsTakenAfterAnHour(t *testing.T) {
	w := open(t, withActivities)
	now := time.Now()
	s, err := server.New(w.ctx, server.Config{Policy: &w.policy, Queue: w.queue, Store: w.store, Reader: bounce.NewReader(bounce.NewTable()), Names: w.names,
		Origins: &mailauth.Checker{Resolver: w.names}, Reviews: w.waits, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }, Metrics: server.NewMetrics(nil)})
	if err != nil {
		t.Fatal(err)
	}
	come := func(id string) string {
		text := strings.TrimSuffix(letter("From: ann@down.test", "Message-ID: <"+id+"@down.test>"), ".")
		r := s.Inbound.Deliver(w.ctx, "ann@down.test", "file@bounce.example.org", inMemory{strings.NewReader(text)})
		return fmt.Sprint(r.Code, r.Enhanced)
	}
	for _, step := range []struct {
		after    time.Duration
		id, want string
	}{
		{0, "one", "451 4.7.0"}, {59 * time.Minute, "one", "451 4.7.0"}, {time.Minute, "two", "451 4.7.0"}, {0, "one", "250 2.0.0"},
	} {
		now = now.Add(step.after)
		if got := come(step.id); got != step.want {
			t.Errorf("%s, %v later: %s, want %s", step.id, step.after, got, step.want)
		}
	}
	if got := w.kept(); !strings.Contains(got, "dmarc=temperror header.from=down.test") {
		t.Errorf("kept\n%s\nwant dmarc=temperror", got)
	}
	if all := w.waits.List(); len(all) != 1 || !strings.Contains(all[0].Why, "The DNS did not say for an hour") {
		t.Errorf("waiting for review are %+v", all)
	}
}

// inMemory is mail that is in no store.
type inMemory struct{ *strings.Reader }

func (inMemory) Close() error { return nil }
