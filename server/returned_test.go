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

// TestWhatElseComesBackIsKnownByTheHeaderAsWell has a complaint and an answer of
// somebody who is away.
func TestWhatElseComesBackIsKnownByTheHeaderAsWell(t *testing.T) {
	for want, message := range map[string]string{
		"complained": "From: fbl@provider.example\r\nSubject: Abuse report\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n" +
			"--b\r\nContent-Type: text/plain\r\n\r\nA complaint.\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nVersion: 1\r\nUser-Agent: x\r\n\r\n" +
			"--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: news@example.org\r\nX-Homing-Return: {field}\r\nSubject: Hello\r\n\r\nHello.\r\n--b--\r\n.",
		"auto_replied": "From: ann@example.net\r\nAuto-Submitted: auto-replied\r\nSubject: Out of office\r\n\r\nI am away.\r\n\r\n> X-Homing-Return: {field}\r\n.",
	} {
		t.Run(want, func(t *testing.T) {
			w := open(t, rewritten)
			w.send("news@example.org", "ann@example.net", news)
			field := w.heads()[0].Get("X-Homing-Return")
			w.delivered()
			if got := w.report("bounces@"+tagDomain, strings.ReplaceAll(message, "{field}", field)); !strings.HasPrefix(got, "250 ") {
				t.Fatal(got)
			}
			if !strings.Contains(w.told(), want+" ann@example.net") {
				t.Errorf("told %q", w.told())
			}
			if w.held("ann@example.net") != (want == "complained") {
				t.Error("a complaint holds, and nothing else")
			}
		})
	}
}

// TestATagLivesOnWhenTheSettingIsTakenBack has mail come back that left before
// a reload.
func TestATagLivesOnWhenTheSettingIsTakenBack(t *testing.T) {
	w := open(t, rewritten)
	w.send("news@example.org", "ann@example.net", news)
	field := w.heads()[0].Get("X-Homing-Return")
	w.delivered()
	next := w.policy
	domain := *next.Domains[0]
	domain.Rewritten = false
	next.Domains = []*server.Domain{&domain}
	w.SetPolicy(&next)
	if w.report("bounces@"+tagDomain, reportOf("its header", "X-Homing-Return: x"+field+"\r\n")); w.rows()[0].Recipient.State != store.Delivered {
		t.Error("a forged one counts")
	}
	if w.report("bounces@"+tagDomain, reportOf("its header", "X-Homing-Return: "+field+"\r\n")); w.rows()[0].Recipient.State != store.Bounced {
		t.Error("the genuine one does not count")
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
	w.comes("ann@example.net", "bounces@"+tagDomain, "From: ann@example.net\r\nSubject: Re: Hello\r\n\r\nWhy do I get this?\r\n\r\n> X-Homing-Return: "+field+"\r\n.")
	if state := w.rows()[0].Recipient.State; state != store.Delivered || w.held("ann@example.net") {
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
	next := func(kind string) {
		t.Helper()
		select {
		case h := <-heard:
			if h.Kind != kind || h.To != "bounces@"+tagDomain || w.told() != "" {
				t.Errorf("heard %+v, told %q; want %s", h, w.told(), kind)
			}
		case <-time.After(10 * time.Second):
			t.Error("nothing is heard of it")
		}
	}
	next("bounce")
	// A mailbox that makes a letter of what it passes on is found out.
	wrapped := "From: account@provider.example\r\nSubject: Fwd: Undelivered\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n" +
		"--o\r\nContent-Type: text/plain\r\n\r\nFYI\r\n--o\r\nContent-Type: message/rfc822\r\n\r\n" +
		strings.TrimSuffix(reportOf("its header", "X-Homing-Return: "+address+"\r\n"), ".") + "\r\n--o--\r\n."
	w.comes("account@provider.example", "bounces@"+tagDomain, wrapped)
	next("message")
	end()
	if w.comes("account@provider.example", "bounces@"+tagDomain, wrapped); w.told() != "replied bounces@"+tagDomain {
		t.Errorf("after the trial: told %q", w.told())
	}
}

// TestWhatIsNoReportIsReadBySomebody has the question come that a provider asks
// before its mailbox passes mail on.
func TestWhatIsNoReportIsReadBySomebody(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(p *server.Policy)
		person bool
	}{
		{"by the postmaster where the route names nobody", func(*server.Policy) {}, true},
		{"by the sinks that it names", func(p *server.Policy) { p.Routes[len(p.Routes)-1].To = []string{"rest"} }, false},
		{"by nobody where there is no postmaster", func(p *server.Policy) { p.Postmaster = "" }, false},
		{"by nobody where it may be any rubbish", func(p *server.Policy) { p.Routes[len(p.Routes)-1].Local = "*" }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, func(p *server.Policy) {
				p.Routes = []server.Route{{Local: "bounces", Domain: tagDomain, As: server.RouteBounce}}
				tt.change(p)
			})
			question := letter("From: forwarding-noreply@provider.example", "Subject: Confirmation code: 1234")
			if got := w.comes("asks@provider.example", "bounces@"+tagDomain, question); !strings.HasPrefix(got, "250 ") {
				t.Fatal(got)
			}
			if !tt.person {
				if w.told() != "replied bounces@"+tagDomain || len(w.rows()) != 0 {
					t.Errorf("told %q, %d messages", w.told(), len(w.rows()))
				}
				return
			}
			if row, text := w.sent(); row.Recipient.Address != "it@example.net" || !strings.Contains(text, "Confirmation code: 1234") {
				t.Errorf("it goes to %s:\n%s", row.Recipient.Address, text)
			}
			// The mailbox of the postmaster may be the one that passes all on.
			if got := w.comes("asks@provider.example", "bounces@"+tagDomain, "Delivered-To: bounces@"+tagDomain+"\r\n"+question); !strings.HasPrefix(got, "554 5.4.6") {
				t.Errorf("the second time round: %q, want 554 5.4.6", got)
			}
			w.report("bounces@"+tagDomain, reportOf("its header", ""))
			if !strings.HasSuffix(w.told(), ", bounced bounces@"+tagDomain) {
				t.Errorf("of a report: told %q", w.told())
			}
		})
	}
}
