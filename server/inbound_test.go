package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"homing/bounce"
	"homing/event"
	"homing/internal/reply"
	"homing/server"
	"homing/verp"
)

func TestWhoGetsARecipientOnTheMX(t *testing.T) {
	w := open(t, nil)
	tag, err := w.codec.Encode(tagDomain, verp.Return, 42, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	old, _ := w.codec.Encode(tagDomain, verp.Return, 42, time.Now().AddDate(0, 0, -40))
	other, _ := w.codec.Encode("bounce.example.com", verp.Return, 42, time.Now())
	wrong := strings.Map(func(r rune) rune { return map[rune]rune{'a': 'b'}[r] + map[bool]rune{true: r}[r != 'a'] }, tag)
	if wrong == tag {
		wrong = tag[:30] + map[bool]string{true: "b", false: "a"}[tag[30] == 'a']
	}
	tests := []struct {
		name, rcpt, want string
	}{
		{"a genuine tag", "return+" + tag + "@bounce.example.org", "250"},
		{"with the other separator", "return-" + tag + "@bounce.example.org", "250"},
		{"upper-cased by a relay", strings.ToUpper("return+" + tag + "@bounce.example.org"), "250"},
		{"a tag with one character changed", "return+" + wrong + "@bounce.example.org", "550"},
		{"an expired tag", "return+" + old + "@bounce.example.org", "550"},
		{"another domain's tag", "return+" + other + "@bounce.example.org", "550"},
		{"the application's own address", "civi+b.1.2.0123456789abcdef@bounce.example.org", "250"},
		{"an exact route", "CiviMail@bounce.example.org", "250"},
		{"a route's sub-address", "civimail+x@bounce.example.org", "250"},
		{"the catch-all", "whoever@bounce.example.org", "250"},
		{"a route beside other people's mailboxes", "office@example.org", "250"},
		{"postmaster", "postmaster@example.org", "250"},
		{"postmaster without a domain", "Postmaster", "250"},
		{"abuse", "abuse@mail.example.org", "250"},
		{"a mailbox that is elsewhere", "ann@example.org", "550"},
		{"somebody else's domain", "ann@example.net", "550"},
		{"somebody else's postmaster", "postmaster@example.net", "550"},
	}
	forged := ""
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := w.dial(w.mx)
			c.talk("EHLO mx.example.net", "MAIL FROM:<>")
			got := c.say("RCPT TO:<" + tt.rcpt + ">")
			if got[:3] != tt.want {
				t.Errorf("got %q, want %s", got, tt.want)
			}
			if tt.want == "550" {
				if v := bounce.NewTable().Classify(bounce.Evidence{Stage: reply.RCPT, Code: 550, Status: "5.1.1", Text: got[4:]}); v.Reason != bounce.UserUnknown {
					t.Errorf("other mail systems take %q for %s", got, v.Reason)
				}
				if forged != "" && got != forged {
					t.Errorf("%q differs from %q: a refusal tells why", got, forged)
				}
				forged = got
			}
		})
	}
}

func TestTheMXNeverRelaysForAnybody(t *testing.T) {
	w := open(t, nil) // the client's address is in the CRM's network
	if got := w.dial(w.mx).talk("EHLO a", "MAIL FROM:<news@example.org>", "RCPT TO:<ann@example.net>"); got != "250 250 550" {
		t.Errorf("got %s, want 250 250 550", got)
	}
	if got := w.dial(w.mx).talk("EHLO a", "AUTH PLAIN AHNob3AAb3BlbiBzZXNhbWU="); got != "250 502" && got != "250 500" && got != "250 503" {
		t.Errorf("AUTH on the MX: %s", got)
	}
}

func TestABounceCountsAgainstTheTagAndNobodyElse(t *testing.T) {
	w := open(t, nil)
	w.send("civi+b.7.8.0123456789abcdef@bounce.example.org", "ann@example.net", news)
	r := w.delivered()
	for range 2 { // sent twice, it has one effect
		if got := w.report(r.ReturnPath, bounced); got[:3] != "250" {
			t.Fatalf("the report is answered %q", got)
		}
	}
	if got, want := w.told(), "accepted ann@example.net, delivered ann@example.net, bounced ann@example.net, held ann@example.net"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	if !w.held("ann@example.net") || w.held("somebody.else@example.com") {
		t.Errorf("held: ann %v, somebody else %v; want true, false", w.held("ann@example.net"), w.held("somebody.else@example.com"))
	}
	for _, e := range w.events() {
		if e.Type == event.Bounced && (e.Sender != "civi+b.7.8.0123456789abcdef@bounce.example.org" || e.Reason != "user_unknown" || e.Campaign != "civicrm:job:7" || e.Sync == nil || *e.Sync) {
			t.Errorf("the application is told %+v", e)
		}
	}
}

func TestABounceFromAStrangerIsProvisional(t *testing.T) {
	w := open(t, nil)
	w.send("news@example.org", "ann@other.test", news) // the peer's name is mx.example.net
	job, err := w.queue.Next(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	took := accepted
	took.RemoteMTA = "mx.other.test[192.0.2.1]"
	if err := w.queue.Done(w.ctx, job.Items[0], took); err != nil {
		t.Fatal(err)
	}
	w.queue.Finish(job)
	w.report(job.Items[0].Recipient.ReturnPath, bounced)
	if w.held("ann@other.test") {
		t.Error("a stranger put somebody on hold")
	}
	all := w.events()
	if e := all[len(all)-1]; e.Type != event.Bounced || e.Hold == nil || e.Hold.State != "provisional" {
		t.Errorf("the last event is %+v, want bounced, provisional", e)
	}
}

func TestBareLineEndsLoseNoBounceAndNothingElseGetsAway(t *testing.T) {
	w := open(t, nil)
	w.send("news@example.org", "ann@example.net", news)
	r := w.delivered()
	broken := strings.Replace(bounced, "It could not", "It\rcould\x00not", 1)
	if got := w.report(r.ReturnPath, broken); got[:3] != "250" {
		t.Errorf("to a genuine tag: %q, want 250", got)
	}
	if got := w.report("civimail@bounce.example.org", broken); !strings.HasPrefix(got, "550 5.6.11") {
		t.Errorf("to a route: %q, want 550 5.6.11", got)
	}
	if !w.held("ann@example.net") {
		t.Error("the bounce was not counted")
	}
}

func TestAGenuineTagWhoseRecordIsGoneIsWelcome(t *testing.T) {
	w := open(t, nil)
	tag, err := w.codec.Encode(tagDomain, verp.Return, 42, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if got := w.report("return+"+tag+"@bounce.example.org", bounced); got[:3] != "250" {
		t.Errorf("answered %q, want 250", got)
	}
	if got := w.told(); got != "" {
		t.Errorf("told %q, want nothing", got)
	}
}

func TestTheReturnAddressThatAnApplicationKeptCounts(t *testing.T) {
	w := open(t, func(p *server.Policy) { p.Domains[0].Keep = true })
	own := "civi+b.7.8.0123456789abcdef@bounce.example.org"
	w.send(own, "ann@example.net", news)
	w.delivered()
	w.report("civi+b.7.9.0123456789abcdef@bounce.example.org", bounced) // nobody was sent this
	if got, want := w.told(), "accepted ann@example.net, delivered ann@example.net"; got != want {
		t.Errorf("after a report to an address that was never sent: told %q, want %q", got, want)
	}
	w.report(own, bounced)
	if !w.held("ann@example.net") {
		t.Errorf("told %q, and ann is not on hold", w.told())
	}
}

func TestMailToAnApplicationsOwnAddressIsAWish(t *testing.T) {
	for action, want := range map[string]string{"r": "replied", "u": "unsubscribed", "o": "opted_out", "e": "resubscribed", "c": "confirmed"} {
		t.Run(want, func(t *testing.T) {
			w := open(t, nil)
			own := fmt.Sprintf("civi+%s.7.8.0123456789abcdef@bounce.example.org", action)
			c := w.dial(w.mx)
			if got := c.talk("EHLO a", "MAIL FROM:<ann@example.net>", "RCPT TO:<"+own+">", "DATA", letter("From: ann@example.net", "Subject: hi")); got != "250 250 250 354 250" {
				t.Fatal(got)
			}
			all := w.events()
			if len(all) != 1 || string(all[0].Type) != want || all[0].Sender != own || all[0].Application != "crm" {
				t.Errorf("told %+v, want %s from %s", all, want, own)
			}
		})
	}
}

func TestRoutesTellTheirSinks(t *testing.T) {
	w := open(t, nil)
	for rcpt, sink := range map[string]string{
		"civimail@bounce.example.org": "crm", "civimail+any@bounce.example.org": "crm", "civimail+vip@bounce.example.org": "vip",
		"civimail+vip+x@bounce.example.org": "vip", "whoever@bounce.example.org": "rest",
	} {
		before := len(w.events())
		c := w.dial(w.lmtp)
		if got := c.talk("LHLO a", "MAIL FROM:<ann@example.net>", "RCPT TO:<"+rcpt+">", "DATA", letter("From: ann@example.net", "Subject: hi")); got != "250 250 250 354 250" {
			t.Fatalf("%s: %s", rcpt, got)
		}
		all := w.events()[before:]
		if len(all) != 1 || len(all[0].To) != 1 || all[0].To[0] != sink || !w.Wants(sink, all[0]) || w.Wants("hooks", all[0]) || all[0].Raw.IsZero() {
			t.Errorf("%s: told %+v, want one for %s with the mail", rcpt, all, sink)
		}
	}
}

func TestPostmasterMailGoesToAPersonAndDoesNotLoop(t *testing.T) {
	w := open(t, nil)
	note := letter("From: ann@example.net", "Subject: your server")
	if got := w.report("postmaster@example.org", note); got[:3] != "250" {
		t.Fatal(got)
	}
	row, text := w.sent()
	if row.Recipient.Address != "it@example.net" || row.Recipient.ReturnPath != "" || !strings.HasPrefix(text, "Delivered-To: postmaster@example.org\r\n") {
		t.Errorf("forwarded to %s from %q:\n%s", row.Recipient.Address, row.Recipient.ReturnPath, text)
	}
	if strings.Contains(text, "Return-Path") || row.Message.EightBit {
		t.Errorf("needs 8BITMIME: %v; forwarded:\n%s", row.Message.EightBit, text)
	}
	if got := w.report("postmaster@example.org", "Delivered-To: postmaster@example.org\r\n"+note); !strings.HasPrefix(got, "554 5.4.6") {
		t.Errorf("the second time round: %q, want 554 5.4.6", got)
	}
}

func TestSinksHearOfTheirApplicationOrDomain(t *testing.T) {
	w := open(t, nil)
	tests := []struct {
		name string
		e    event.Event
		want string
	}{
		{"an application that names sinks", event.Event{Application: "crm", Domain: "example.org"}, "hooks"},
		{"one that names none: the domain's", event.Event{Application: "shop", Domain: "example.com"}, "mail"},
		{"a fact that names its own", event.Event{Application: "crm", To: []string{"vip"}}, "vip"},
		{"a hold for all applications: everybody", event.Event{Type: event.Held}, "hooks mail vip"},
		{"a release for all applications: everybody", event.Event{Type: event.Released}, "hooks mail vip"},
		{"an incident of nobody's: everybody", event.Event{Type: event.IncidentOpened}, "hooks mail vip"},
		{"a failing check: everybody", event.Event{Type: event.CheckFailed}, "hooks mail vip"},
		{"a check that is well again: everybody", event.Event{Type: event.CheckRecovered}, "hooks mail vip"},
		{"an incident of a sink: itself alone", event.Event{Type: event.IncidentOpened, To: []string{"vip"}}, "vip"},
		{"a hold for one", event.Event{Type: event.Held, Application: "crm"}, "hooks"},
		{"another fact of nobody: nobody", event.Event{Type: event.Accepted}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, sink := range []string{"hooks", "mail", "vip"} {
				if got := w.Wants(sink, tt.e); got != slices.Contains(strings.Fields(tt.want), sink) {
					t.Errorf("Wants(%s) = %v", sink, got)
				}
			}
		})
	}
}
