package server_test

import (
	"strings"
	"testing"

	"homing/event"
	"homing/server"
	"homing/store"
)

func TestTheDNSIsAskedOnceForAPeerHoweverManyTagsItWritesTo(t *testing.T) {
	w := open(t, nil)
	var tags []string
	for range 20 {
		w.send("news@example.org", "ann@example.net", news)
	}
	for _, r := range w.rows() {
		tags = append(tags, r.Recipient.ReturnPath)
	}
	c := w.dial(w.mx)
	for range 2 {
		c.talk("EHLO mx.example.net", "MAIL FROM:<>")
		for _, tag := range tags {
			c.talk("RCPT TO:<" + tag + ">")
		}
		if got := c.talk("DATA", bounced); got != "354 250" {
			t.Fatal(got)
		}
	}
	if got := w.names.asked.Load(); got != 1 {
		t.Errorf("the DNS was asked %d times, want once", got)
	}
}

func TestWhoHandsAReportInOverLMTPIsRelatedToNobody(t *testing.T) {
	w := open(t, nil) // the client's reverse name is in the recipient's domain
	w.send("news@example.org", "ann@example.net", news)
	r := w.delivered()
	c := w.dial(w.lmtp)
	if got := c.talk("LHLO mx.example.net", "MAIL FROM:<>", "RCPT TO:<"+r.ReturnPath+">", "DATA", bounced); got != "250 250 250 354 250" {
		t.Fatal(got)
	}
	all := w.events()
	if e := all[len(all)-1]; e.Type != event.Bounced || e.Hold.State != "provisional" {
		t.Errorf("told %s, hold %+v; want bounced, provisional", e.Type, e.Hold)
	}
}

func TestAFactIsToldOnceWhenAnotherRecipientHasToBeTriedAgain(t *testing.T) {
	w := open(t, nil)
	w.send("news@example.org", "ann@example.net", news)
	r := w.delivered()
	say := func(want string) {
		t.Helper()
		c := w.dial(w.mx)
		if got := c.talk("EHLO a", "MAIL FROM:<>", "RCPT TO:<civimail@bounce.example.org>", "RCPT TO:<"+r.ReturnPath+">", "RCPT TO:<whoever@bounce.example.org>", "DATA", bounced); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	w.store.reports = true
	w.store.refuse(store.ErrFull)
	say("250 250 250 250 250 354 452")
	w.store.refuse(nil)
	say("250 250 250 250 250 354 250")
	if got, want := w.told(), "accepted ann@example.net, delivered ann@example.net, bounced ann@example.net, held ann@example.net, "+
		"replied civimail@bounce.example.org, replied whoever@bounce.example.org"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestWhoIsNamedTwiceGetsOneCopy(t *testing.T) {
	w := open(t, nil)
	for _, at := range []string{w.mx, w.lmtp} {
		before := len(w.events())
		c := w.dial(at)
		hello := map[string]string{w.mx: "EHLO a", w.lmtp: "LHLO a"}[at]
		c.talk(hello, "MAIL FROM:<ann@example.net>", "RCPT TO:<civimail@bounce.example.org>", "RCPT TO:<CiviMail@BOUNCE.example.org>", "DATA", letter("From: ann@example.net"))
		if at == w.lmtp && !strings.HasPrefix(c.reply(), "250") {
			t.Error("the second recipient has no answer")
		}
		if got := w.events()[before:]; len(got) != 1 {
			t.Errorf("%d facts, want 1", len(got))
		}
	}
}

func TestAReportAtTheExactReturnAddressThatWasKeptCountsAtARouteToo(t *testing.T) {
	w := open(t, func(p *server.Policy) { p.Domains[0].Keep = true })
	w.send("bounce-17@bounce.example.org", "ann@example.net", news) // of no grammar that we know
	w.delivered()
	w.report("bounce-18@bounce.example.org", bounced)
	if w.held("ann@example.net") {
		t.Fatal("a report at another address counts")
	}
	w.report("bounce-17@bounce.example.org", letter("From: ann@example.net", "Subject: hello"))
	before := len(w.events())
	w.report("bounce-17@bounce.example.org", bounced)
	if !w.held("ann@example.net") {
		t.Errorf("told %q, and ann is not on hold", w.told())
	}
	for _, e := range w.events()[before:] {
		if len(e.To) > 0 {
			t.Errorf("the route was told of %s as well", e.Type)
		}
	}
}

func TestFiftyReceivedFieldsMayComeIn(t *testing.T) {
	w := open(t, nil)
	for fields, want := range map[int]string{50: "250", 51: "554"} {
		got := w.report("civimail@bounce.example.org", strings.Repeat("Received: by a; today\r\n", fields)+news)
		if got[:3] != want {
			t.Errorf("%d fields: %q, want %s", fields, got, want)
		}
	}
}

func TestMailToAnAddressForBouncesThatIsNoneIsAReply(t *testing.T) {
	w := open(t, nil)
	c := w.dial(w.mx)
	c.talk("EHLO a", "MAIL FROM:<ann@example.net>", "RCPT TO:<civi+b.1.2.0123456789abcdef@bounce.example.org>", "DATA", letter("From: ann@example.net", "Subject: thank you"))
	if got, want := w.told(), "replied ann@example.net"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestMailForOurselvesKeepsItsReturnPath(t *testing.T) {
	w := open(t, nil)
	w.send("news@example.org", "office@example.org", news)
	row, _ := w.sent()
	body, err := w.store.OpenBody(w.ctx, row.Recipient.Body)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	w.Inbound.Deliver(w.ctx, "news@example.org", "office@example.org", body)
	all := w.events()
	raw, err := w.store.OpenBody(w.ctx, all[len(all)-1].Raw)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	var b strings.Builder
	if _, err := raw.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if want := "Return-Path: <news@example.org>\r\nReceived: "; !strings.HasPrefix(b.String(), want) {
		t.Errorf("kept %.200q, want it to begin with %q", b.String(), want)
	}
}

func TestALargeReportReachesATagAndThePostmaster(t *testing.T) {
	w := open(t, nil)
	w.send("news@example.org", "ann@example.net", news)
	r := w.delivered()
	large := strings.Replace(bounced, "It could not be delivered.", strings.Repeat("It could not be delivered.\r\n", 10_000), 1)
	c := w.dial(w.mx)
	if got := c.talk("EHLO a", "MAIL FROM:<>", "RCPT TO:<"+r.ReturnPath+">", "RCPT TO:<postmaster@example.org>", "RCPT TO:<civimail@bounce.example.org>", "DATA", large); got != "250 250 250 250 250 354 250" {
		t.Fatal(got)
	}
	if got := w.told(); !strings.Contains(got, "bounced ann@example.net") || !strings.Contains(got, "accepted it@example.net") || !strings.Contains(got, "civimail") {
		t.Errorf("told %q", got)
	}
}

func TestWhatComesBackIsForTheSiteAndNotForItsClone(t *testing.T) {
	w := open(t, func(p *server.Policy) {
		clone := *p.Applications[0]
		clone.Name, clone.Mode = "clone", server.Capture
		p.Applications = append([]*server.Application{&clone}, p.Applications...)
	})
	w.comes("ann@example.net", "civi+u.1.2.0123456789abcdef@bounce.example.org", letter("From: ann@example.net", "Subject: enough"))
	if all := w.events(); len(all) != 1 || all[0].Application != "crm" {
		t.Errorf("told %+v, want one fact, of crm", all)
	}
}
