package server_test

import (
	"fmt"
	"strings"
	"testing"

	"homing/server"
	"homing/server/smtpd"
)

func TestADayIsNeverOverdrawn(t *testing.T) {
	limit := func(n int) func(p *server.Policy) {
		return func(p *server.Policy) { p.Applications[0].DailyLimit = n }
	}
	t.Run("by one transaction", func(t *testing.T) {
		w := open(t, limit(2))
		c := w.dial(w.submit)
		if got := c.talk("EHLO a", "MAIL FROM:<news@example.org>", "RCPT TO:<a@example.net>", "RCPT TO:<b@example.net>", "RCPT TO:<c@example.net>", "DATA", news); got != "250 250 250 250 452 354 250" {
			t.Errorf("got %s", got)
		}
		if got := w.SentToday("crm"); got != 2 {
			t.Errorf("sent today: %d, want 2", got)
		}
		if got := c.say("MAIL FROM:<news@example.org>"); got[:3] != "451" {
			t.Errorf("the next one: %q, want 451", got)
		}
	})
	t.Run("by two at once", func(t *testing.T) {
		w := open(t, limit(1))
		one, two := w.dial(w.submit), w.dial(w.submit)
		one.talk("EHLO a", "MAIL FROM:<news@example.org>", "RCPT TO:<a@example.net>")
		if got := two.talk("EHLO a", "MAIL FROM:<news@example.org>"); got != "250 451" {
			t.Errorf("while another is under way: %s, want 250 451", got)
		}
		if got := one.talk("DATA", news); got != "354 250" {
			t.Errorf("the first: %s", got)
		}
	})
	for name, end := range map[string][]string{
		"RSET":                      {"RSET"},
		"a message that is refused": {"DATA", letter("From: boss@bank.test")},
		"a new EHLO":                {"EHLO a"},
	} {
		t.Run("places come back after "+name, func(t *testing.T) {
			w := open(t, limit(2))
			c := w.dial(w.submit)
			c.talk("EHLO a", "MAIL FROM:<news@example.org>", "RCPT TO:<a@example.net>", "RCPT TO:<b@example.net>")
			c.talk(end...)
			if got := c.talk("MAIL FROM:<news@example.org>", "RCPT TO:<a@example.net>", "RCPT TO:<b@example.net>", "DATA", news); got != "250 250 250 354 250" {
				t.Errorf("got %s", got)
			}
		})
	}
	t.Run("places come back when the client goes away", func(t *testing.T) {
		w := open(t, limit(1))
		c := w.dial(w.submit)
		c.talk("EHLO a", "MAIL FROM:<news@example.org>", "QUIT")
		got := ""
		for range 100 { // the server may notice a moment later
			if got = w.send("news@example.org", "a@example.net", news); got[:3] == "250" {
				break
			}
		}
		if got[:3] != "250" {
			t.Errorf("got %q", got)
		}
	})
}

func TestTheRateIsOneOfRecipients(t *testing.T) {
	w := open(t, func(p *server.Policy) { p.Applications[0].Rate = 2 })
	c := w.dial(w.submit)
	c.talk("EHLO a", "MAIL FROM:<news@example.org>")
	for n := range 100 {
		c.talk(fmt.Sprintf("RCPT TO:<u%d@example.net>", n))
	}
	if got := c.talk("DATA", news); got != "354 250" {
		t.Fatal(got)
	}
	// Fifty seconds of the rate are used up: more than a client waits.
	if got := c.say("MAIL FROM:<news@example.org>"); !strings.HasPrefix(got, "451 4.7.1") {
		t.Errorf("got %q, want 451 4.7.1", got)
	}
}

func TestAMessageHasAThousandRecipientsAndEachOnce(t *testing.T) {
	w := open(t, nil)
	port := w.listener("127.0.0.1:0", smtpd.Options{MaxRecipients: 5000})
	c := w.dial("127.0.0.1:" + port)
	c.talk("EHLO a", "MAIL FROM:<news@example.org>", "RCPT TO:<u0@example.net>")
	for n := range 1000 {
		if got := c.say(fmt.Sprintf("RCPT TO:<u%d@example.net>", n)); got[:3] != "250" {
			t.Fatalf("recipient %d: %q", n, got)
		}
	}
	if got := c.say("RCPT TO:<one.more@example.net>"); !strings.HasPrefix(got, "452 4.5.3") {
		t.Errorf("got %q, want 452 4.5.3", got)
	}
	if got := c.talk("DATA", news); got != "354 250" {
		t.Errorf("got %s, want 354 250", got)
	}
	if got := w.SentToday("crm"); got != 1000 {
		t.Errorf("%d recipients were accepted, want 1000", got)
	}
}
