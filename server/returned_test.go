package server_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"homing/server"
	"homing/store"
	"homing/verp"
)

// rewritten is a policy under which mail goes through a smarthost that replaces
// the reverse-path.
func rewritten(p *server.Policy) {
	p.Domains[0].Rewritten = true
	p.Routes = append(p.Routes, server.Route{Local: "bounces", Domain: tagDomain, As: server.RouteBounce, To: []string{"rest"}})
}

// reportOf is a report of a failure in one of the shapes that mail systems have.
func reportOf(shape, header string) string {
	const machine = "From: MAILER-DAEMON@smtp.provider.example\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n"
	status := "--b\r\nContent-Type: text/plain\r\n\r\nIt could not be delivered.\r\n" +
		"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; smtp.provider.example\r\n\r\n" +
		"Final-Recipient: rfc822; ann@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 user unknown\r\n"
	report := machine + "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n" + status
	returned := "From: news@example.org\r\nTo: ann@example.net\r\n" + header + "Subject: Hello\r\n"
	switch shape {
	case "the whole message":
		return report + "--b\r\nContent-Type: message/rfc822\r\n\r\n" + returned + "\r\nHello.\r\n--b--\r\n."
	case "its header":
		return report + "--b\r\nContent-Type: text/rfc822-headers\r\n\r\n" + returned + "--b--\r\n."
	case "its header in base64":
		return report + "--b\r\nContent-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte(returned)) + "\r\n--b--\r\n."
	case "nothing":
		return report + "--b--\r\n."
	}
	return machine + "\r\nHi. This is the mail system. I could not deliver your message:\r\n\r\n<ann@example.net>: 550 5.1.1 user unknown\r\n\r\n" +
		"--- Below this line is a copy of the message.\r\n\r\n> " + strings.ReplaceAll(returned, "\r\n", "\r\n> ") + "\r\n."
}

func TestAReportIsKnownByTheHeaderThatItReturns(t *testing.T) {
	for _, shape := range []string{"the whole message", "its header", "its header in base64", "plain text with quotes"} {
		t.Run(shape, func(t *testing.T) {
			w := open(t, rewritten)
			w.send("news@example.org", "ann@example.net", news)
			h := w.heads()[0]
			field := h.Get("X-Homing-Return")
			r := w.delivered()
			if field == "" || field != r.ReturnPath {
				t.Fatalf("the field is %q, want %q", field, r.ReturnPath)
			}
			if got := w.report("bounces@"+tagDomain, reportOf(shape, "X-Homing-Return: "+field+"\r\n")); !strings.HasPrefix(got, "250 ") {
				t.Fatal(got)
			}
			if state := w.rows()[0].Recipient.State; state != store.Bounced {
				t.Errorf("it is %v, told %q", state, w.told())
			}
		})
	}
}

func TestOnlyAGenuineTagOfOneDeliveryMakesAReportCount(t *testing.T) {
	w := open(t, rewritten)
	w.send("news@example.org", "ann@example.net", news)
	field := w.heads()[0].Get("X-Homing-Return")
	r := w.delivered()
	tag := func(domain string, p verp.Purpose, id uint64, day time.Time) string {
		text, err := w.codec.Encode(domain, p, id, day)
		if err != nil {
			t.Fatal(err)
		}
		return "return+" + text + "@" + tagDomain
	}
	now, id := time.Now(), uint64(r.ID)
	last := field[len("return+")+30]
	changed := strings.Replace(field, string(last)+"@", map[bool]string{true: "b@", false: "a@"}[last == 'a'], 1)
	for name, header := range map[string]string{
		"none":                "",
		"a changed one":       "X-Homing-Return: " + changed + "\r\n",
		"an old one":          "X-Homing-Return: " + tag(tagDomain, verp.Return, id, now.AddDate(0, 0, -40)) + "\r\n",
		"one of another use":  "X-Homing-Return: " + tag(tagDomain, verp.Unsubscribe, id, now) + "\r\n",
		"of another domain":   "X-Homing-Return: " + tag("bounce.example.com", verp.Return, id, now) + "\r\n",
		"those of two people": "X-Homing-Return: " + field + "\r\nX-Other: " + tag(tagDomain, verp.Return, id+1, now) + "\r\n",
	} {
		w.report("bounces@"+tagDomain, reportOf("its header", header))
		if state := w.rows()[0].Recipient.State; state != store.Delivered || w.held("ann@example.net") {
			t.Errorf("%s: it is %v", name, state)
		}
	}
	// What a person writes is no report, whatever it quotes.
	w.report("bounces@"+tagDomain, letter("From: ann@example.net", "Subject: Re: Hello")+"")
	if state := w.rows()[0].Recipient.State; state != store.Delivered {
		t.Errorf("it is %v", state)
	}
	w.report("bounces@"+tagDomain, reportOf("its header", "X-Homing-Return: "+field+"\r\nX-Again: "+field+"\r\n"))
	if state := w.rows()[0].Recipient.State; state != store.Bounced {
		t.Errorf("the genuine one, twice: it is %v", state)
	}
}

func TestNoFieldOfOursLeavesWhereTheReversePathStays(t *testing.T) {
	w := open(t, nil)
	w.send("news@example.org", "ann@example.net", letter("From: news@example.org", "To: ann@example.net", "X-Homing-Return: made@up.example", "Subject: Hello"))
	if h := w.heads()[0]; h.Has("X-Homing-Return") {
		t.Errorf("it has %q", h.Get("X-Homing-Return"))
	}
}

func TestATrialIsHeardOfByTheHeaderOfItsReport(t *testing.T) {
	w := open(t, rewritten)
	address, heard, end, err := w.Server.Trial("example.org")
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	if got := w.report("bounces@"+tagDomain, reportOf("the whole message", "X-Homing-Return: "+address+"\r\n")); !strings.HasPrefix(got, "250 ") {
		t.Fatal(got)
	}
	select {
	case h := <-heard:
		if h.Kind != "bounce" || w.told() != "" {
			t.Errorf("heard %+v, told %q", h, w.told())
		}
	case <-time.After(10 * time.Second):
		t.Error("nothing is heard of it")
	}
}
