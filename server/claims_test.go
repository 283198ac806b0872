package server_test

import (
	"strings"
	"testing"

	"homing/server"
	"homing/store"
)

// reporting gives a policy addresses for reports.
func reporting(p *server.Policy) {
	p.Routes = append(p.Routes, server.Route{Local: "dmarc", Domain: tagDomain, As: server.RouteReport},
		server.Route{Local: "tls", Domain: tagDomain, As: server.RouteReport, To: []string{"rest"}})
}

var claim = letter("From: noreply@reporter.example", "Subject: Report domain: example.org", "Content-Type: application/zip")

func TestMailToAnAddressForReportsIsUnderstoodOnceAndTold(t *testing.T) {
	w := open(t, reporting)
	for _, at := range []string{w.mx, w.lmtp} {
		c := w.dial(at)
		hello := map[string]string{w.mx: "EHLO a", w.lmtp: "LHLO a"}[at]
		if got := c.talk(hello, "MAIL FROM:<noreply@reporter.example>", "RCPT TO:<dmarc@bounce.example.org>", "RCPT TO:<tls@bounce.example.org>", "DATA", claim); got != "250 250 250 250 354 250" {
			t.Fatal(got)
		}
		if at == w.lmtp && !strings.HasPrefix(c.reply(), "250") {
			t.Error("the second recipient has no answer")
		}
		if taken := w.claims.refuse(nil); len(taken) != 1 || !strings.Contains(taken[0], "Report domain: example.org") || !strings.HasSuffix(taken[0], "Hello.\r\n") {
			t.Errorf("taken were %q, want the mail once", taken)
		}
	}
	if got, want := w.told(), strings.TrimSuffix(strings.Repeat("filed dmarc@bounce.example.org, filed tls@bounce.example.org, ", 2), ", "); got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestMailToOtherAddressesIsNoReportAboutOurDomains(t *testing.T) {
	w := open(t, reporting)
	c := w.dial(w.mx)
	if got := c.talk("EHLO a", "MAIL FROM:<noreply@reporter.example>", "RCPT TO:<civimail@bounce.example.org>", "DATA", claim); got != "250 250 250 354 250" {
		t.Fatal(got)
	}
	if taken := w.claims.refuse(nil); len(taken) > 0 {
		t.Errorf("taken were %q", taken)
	}
}

func TestAReportThatCannotBeRememberedIsPutOffAndNotTold(t *testing.T) {
	w := open(t, reporting)
	w.claims.refuse(store.ErrFull)
	c := w.dial(w.mx)
	if got := c.talk("EHLO a", "MAIL FROM:<noreply@reporter.example>", "RCPT TO:<civimail@bounce.example.org>", "RCPT TO:<dmarc@bounce.example.org>", "DATA", claim); got != "250 250 250 250 354 452" {
		t.Error(got)
	}
	c = w.dial(w.lmtp)
	if got := c.talk("LHLO a", "MAIL FROM:<noreply@reporter.example>", "RCPT TO:<dmarc@bounce.example.org>", "RCPT TO:<civimail@bounce.example.org>", "DATA", claim); got != "250 250 250 250 354 452" {
		t.Error(got)
	}
	if got := c.reply(); !strings.HasPrefix(got, "250") {
		t.Errorf("the other recipient has %q", got)
	}
	if got, want := w.told(), "replied civimail@bounce.example.org"; got != want {
		t.Errorf("told %q, want %q: over SMTP all of it comes again", got, want)
	}
}
