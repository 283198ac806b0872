package server_test

import (
	"context"
	"encoding/base64"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"homing/internal/reply"
	"homing/queue"
	"homing/server"
	"homing/server/smtpd"
	"homing/store"
	"homing/verp"
)

var accepted = queue.Result{Stage: reply.Dot, Reply: reply.Reply{Code: 250, Enhanced: reply.Enhanced{2, 0, 0}, Text: "OK"}, RemoteMTA: "mx.example.net[127.0.0.1]"}

func TestWhoMaySendAndAsWhat(t *testing.T) {
	plain := func(user, secret string) string {
		return "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+secret))
	}
	nobody := func(p *server.Policy) { p.Applications[0].Networks = nil }
	elsewhere := func(p *server.Policy) {
		p.Applications[0].Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	}
	tests := []struct {
		name   string
		change func(p *server.Policy)
		say    []string
		want   string
	}{
		{"an application in its network", nil,
			[]string{"EHLO a", "MAIL FROM:<news@example.org>", "RCPT TO:<ann@example.net>", "DATA", news}, "250 250 250 354 250"},
		{"its return domain as envelope sender", nil, []string{"EHLO a", "MAIL FROM:<civi+b.1.2.0123456789abcdef@bounce.example.org>"}, "250 250"},
		{"the null sender, authorised by its From field", nil,
			[]string{"EHLO a", "MAIL FROM:<>", "RCPT TO:<ann@example.net>", "DATA", news}, "250 250 250 354 250"},
		{"somebody else's domain is for the operator to mend", nil, []string{"EHLO a", "MAIL FROM:<news@example.com>"}, "250 451"},
		{"somebody else's From field too", nil,
			[]string{"EHLO a", "MAIL FROM:<news@example.org>", "RCPT TO:<ann@example.net>", "DATA", letter("From: boss@bank.test")}, "250 250 250 354 451"},
		{"a client that an operator forgot is for him to mend", elsewhere, []string{"EHLO a", "MAIL FROM:<news@example.org>"}, "250 451"},
		{"a stranger has to authenticate", nobody, []string{"EHLO a", "MAIL FROM:<news@example.org>"}, "250 530"},
		{"a password", nobody, []string{"EHLO a", plain("shop", "open sesame"), "MAIL FROM:<shop@example.com>"}, "250 235 250"},
		{"a wrong password", nobody, []string{"EHLO a", plain("shop", "guess"), "MAIL FROM:<shop@example.com>"}, "250 535 530"},
		{"an unknown name is answered like a wrong password", nobody, []string{"EHLO a", plain("nobody", "guess")}, "250 535"},
		{"an application without a password has none", nil, []string{"EHLO a", plain("crm", "")}, "250 535"},
		{"a password wins over the network", nil, []string{"EHLO a", plain("shop", "open sesame"), "MAIL FROM:<news@example.org>"}, "250 235 451"},
		{"sending switched off", func(p *server.Policy) { p.Mode = server.Refuse }, []string{"EHLO a", "MAIL FROM:<news@example.org>"}, "250 451"},
		{"one application switched off", func(p *server.Policy) { p.Applications[0].Mode = server.Refuse },
			[]string{"EHLO a", "MAIL FROM:<news@example.org>"}, "250 451"},
		{"two From fields", nil, []string{"EHLO a", "MAIL FROM:<news@example.org>", "RCPT TO:<ann@example.net>", "DATA",
			letter("From: news@example.org", "From: boss@bank.test")}, "250 250 250 354 554"},
		{"a From field without an address", nil, []string{"EHLO a", "MAIL FROM:<news@example.org>", "RCPT TO:<ann@example.net>", "DATA",
			letter("From: the office")}, "250 250 250 354 554"},
		{"fifty-one Received fields", nil, []string{"EHLO a", "MAIL FROM:<news@example.org>", "RCPT TO:<ann@example.net>", "DATA",
			strings.Repeat("Received: by a; today\r\n", 51) + news}, "250 250 250 354 554"},
		{"fifty are not too many", nil, []string{"EHLO a", "MAIL FROM:<news@example.org>", "RCPT TO:<ann@example.net>", "DATA",
			strings.Repeat("Received: by a; today\r\n", 50) + news}, "250 250 250 354 250"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, tt.change)
			if got := w.dial(w.submit).talk(tt.say...); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestNetworksCountOnlyWhereTheListenerItselfIsPrivate(t *testing.T) {
	w := open(t, nil)
	for name, tt := range map[string]struct{ listen, want string }{
		"bound to loopback":           {"127.0.0.1:0", "250 250"},
		"bound to every address":      {":0", "250 530"}, // the connection still comes in over loopback
		"bound to every IPv4 address": {"0.0.0.0:0", "250 530"},
	} {
		t.Run(name, func(t *testing.T) {
			port := w.listener(tt.listen, smtpd.Options{})
			if got := w.dial("127.0.0.1:"+port).talk("EHLO a", "MAIL FROM:<news@example.org>"); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestAnApplicationThatWasTakenOutOfTheConfigurationIsPutOff(t *testing.T) {
	w := open(t, nil)
	c := w.dial(w.submit)
	c.talk("EHLO a", "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00shop\x00open sesame")))
	next := w.policy
	next.Applications = next.Applications[:1]
	w.SetPolicy(&next)
	if got := c.say("MAIL FROM:<shop@example.com>"); got[:3] != "451" {
		t.Errorf("got %q, want 451", got)
	}
}

func TestWhatLeavesTheHouse(t *testing.T) {
	w := open(t, nil)
	sender := "civi+b.7.8.0123456789ABCDEF@bounce.example.org"
	got := w.send(sender, "ann@example.net", letter("Return-Path: <"+sender+">", "From: =?utf-8?q?N=C3=BCws?= <news@example.org>", "To: ann@example.net",
		"Bcc: secret@example.net", "Subject: Gr\u00fc\u00dfe", "Precedence: bulk", "job_id: 7", "MIME-Version: 1.0",
		"Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit", "", "\u00fcber "+strings.Repeat("x", 1200)))
	if !strings.HasPrefix(got, "250 2.0.0 queued as ") {
		t.Fatalf("reply %q", got)
	}
	row, text := w.sent()
	m, r := row.Message, row.Recipient
	if m.Sender != sender || m.From != "news@example.org" || m.Application != "crm" || m.Domain != "example.org" || m.Campaign != "civicrm:job:7" || !m.Bulk || m.EightBit || m.Subject != "Gr\u00fc\u00dfe" {
		t.Errorf("the queue keeps %+v", m)
	}
	if !regexp.MustCompile(`^return\+[a-z2-7]{31}@bounce\.example\.org$`).MatchString(r.ReturnPath) {
		t.Errorf("return path %q", r.ReturnPath)
	}
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	for _, want := range []string{"Received: from a ([127.0.0.1])\r\n\tby mail.example.org with ESMTP", "\r\nDate: ", "\r\nMessage-ID: <"} {
		if want == "Received: from a ([127.0.0.1])\r\n\tby mail.example.org with ESMTP" {
			want = strings.Replace(want, "from a ", "from crm ", 1)
		}
		if !strings.Contains(head, want) {
			t.Errorf("the header lacks %q:\n%s", want, head)
		}
	}
	for _, gone := range []string{"Return-Path", "Bcc", "secret@"} {
		if strings.Contains(text, gone) {
			t.Errorf("%s is still there:\n%s", gone, head)
		}
	}
	for _, line := range strings.Split(text, "\r\n") {
		if len(line) > 998 {
			t.Errorf("a line of %d octets", len(line))
		}
	}
	for i := range len(text) {
		if text[i] >= 0x80 {
			t.Fatalf("8-bit octets at %d of\n%s", i, text)
		}
	}
	if !strings.Contains(body, "=C3=BCber") {
		t.Errorf("the body is not quoted-printable:\n%s", body)
	}
}

func TestWhoseReturnPathMailLeavesWith(t *testing.T) {
	keep := func(p *server.Policy) { p.Domains[0].Keep = true }
	tests := []struct {
		name   string
		change func(p *server.Policy)
		from   string
		kept   bool
	}{
		{"a signed one for each recipient", nil, "news@example.org", false},
		{"the application's own where the domain keeps it", keep, "news@example.org", true},
		{"the null reverse-path stays null", nil, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, tt.change)
			if got := w.send(tt.from, "ann@example.net", news); got[:3] != "250" {
				t.Fatal(got)
			}
			row, _ := w.sent()
			if kept := row.Recipient.ReturnPath == tt.from; kept != tt.kept || row.Message.Sender != tt.from {
				t.Errorf("sent with %q, the application's own is %q", row.Recipient.ReturnPath, row.Message.Sender)
			}
		})
	}
}

func TestAnAddressOnHold(t *testing.T) {
	t.Run("is accepted and never sent", func(t *testing.T) {
		w := open(t, nil)
		w.hold("ann@example.net")
		if got := w.send("news@example.org", "Ann@example.net", news); got[:3] != "250" {
			t.Fatal(got)
		}
		if got, want := w.told(), "held ann@example.net, accepted Ann@example.net, suppressed Ann@example.net"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	})
	t.Run("is refused where the application wants that", func(t *testing.T) {
		w := open(t, func(p *server.Policy) { p.Applications[0].RejectHeld = true })
		w.hold("ann@example.net")
		if got := w.send("news@example.org", "Ann@example.net", news); !strings.HasPrefix(got, "550 5.2.1") {
			t.Errorf("got %q, want 550 5.2.1", got)
		}
	})
}

func TestTheDailyLimitPutsOffAndNeverRefuses(t *testing.T) {
	w := open(t, func(p *server.Policy) { p.Applications[0].DailyLimit = 2 })
	for n, want := range []string{"250", "250", "451"} {
		if got := w.send("news@example.org", "ann@example.net", news); got[:3] != want {
			t.Errorf("message %d: %q, want %s", n+1, got, want)
		}
	}
	if got := w.told(); strings.Count(got, "incident_opened") != 1 {
		t.Errorf("told %q, want one incident", got)
	}
	if got := w.SentToday("crm"); got != 2 {
		t.Errorf("sent today: %d, want 2", got)
	}
}

func TestCapturedMailIsKept(t *testing.T) {
	w := open(t, func(p *server.Policy) { p.Applications[0].Mode = server.Capture })
	if got := w.send("news@example.org", "ann@example.net", news); got[:3] != "250" {
		t.Fatal(got)
	}
	if row, _ := w.sent(); row.Recipient.State != store.Captured {
		t.Errorf("state %v, want captured", row.Recipient.State)
	}
}

func TestSeveralRecipientsAreBulkAndEachHasItsReturnPath(t *testing.T) {
	w := open(t, nil)
	if got := w.dial(w.submit).talk("EHLO a", "MAIL FROM:<news@example.org> RET=HDRS ENVID=x1", "RCPT TO:<ann@example.net> NOTIFY=NEVER", "RCPT TO:<bob@example.net>", "DATA", news); got != "250 250 250 250 354 250" {
		t.Fatal(got)
	}
	rows := w.rows()
	if len(rows) != 2 || rows[0].Recipient.ReturnPath == rows[1].Recipient.ReturnPath {
		t.Fatalf("rows %+v", rows)
	}
	if m := rows[0].Message; !m.Bulk || m.EnvelopeID != "x1" || m.ReturnContent != "HDRS" {
		t.Errorf("message %+v", m)
	}
	if rows[0].Recipient.Notify+rows[1].Recipient.Notify != "NEVER" {
		t.Errorf("notify %q and %q", rows[0].Recipient.Notify, rows[1].Recipient.Notify)
	}
}

func TestAPolicyCanBeReplaced(t *testing.T) {
	w := open(t, nil)
	c := w.dial(w.submit)
	c.talk("EHLO a", "MAIL FROM:<news@example.org>", "RCPT TO:<ann@example.net>")
	next := w.policy
	next.Mode = server.Refuse
	w.SetPolicy(&next)
	if got := c.talk("DATA", news); got != "354 250" {
		t.Errorf("a transaction under way: %s, want 354 250", got)
	}
	if got := c.say("MAIL FROM:<news@example.org>"); got[:3] != "451" {
		t.Errorf("the next one: %s, want 451", got)
	}
}

func TestLocalMailNeverLeaves(t *testing.T) {
	w := open(t, nil)
	for address, want := range map[string]bool{
		"return+x@bounce.example.org": true, "anybody@BOUNCE.example.org": true, "office@example.org": true, "office+x@example.org": true,
		"civi+b.1.2.0123456789abcdef@example.org": true,
		"postmaster@mail.example.org":             true, "ann@example.org": false, "postmaster@example.org": false, "ann@example.net": false,
	} {
		if got := w.Inbound.Has(address); got != want {
			t.Errorf("Has(%s) = %v, want %v", address, got, want)
		}
	}
	w.send("news@example.org", "office@example.org", news)
	row, _ := w.sent()
	body, err := w.store.OpenBody(w.ctx, row.Recipient.Body)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got := w.Inbound.Deliver(context.Background(), "news@example.org", "office@example.org", body); got.Code != 250 {
		t.Errorf("Deliver to a route: %v", got)
	}
	if got := w.Inbound.Deliver(context.Background(), "", "return+aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@bounce.example.org", body); got.Code != 550 {
		t.Errorf("Deliver to a forged tag: %v", got)
	}
	if got, want := w.told(), "accepted office@example.org, replied office@example.org"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestAReturnPathIsMadeAnewForMailThatWasKept(t *testing.T) {
	w := open(t, nil)
	w.send("news@example.org", "ann@example.net", news)
	r := w.delivered()
	m := store.Message{Domain: "example.org", Sender: "news@example.org"}
	path := w.Server.ReturnPath(m, r)
	local, _, _ := strings.Cut(path, "@")
	tag, err := w.codec.Decode(tagDomain, verp.Return, strings.TrimPrefix(local, "return+"))
	if err != nil || tag.Delivery != uint64(r.ID) {
		t.Errorf("%s names %+v, %v; want delivery %d", path, tag, err, r.ID)
	}
	for _, m := range []store.Message{{Domain: "elsewhere.example", Sender: "a@elsewhere.example"}, {Domain: "example.org"}} {
		if got := w.Server.ReturnPath(m, r); got != "" {
			t.Errorf("for mail as %s from <%s> it is %s, want none", m.Domain, m.Sender, got)
		}
	}
}

// TestMailOfAListMayBeByAnybody because lists pass on what their members write,
// in the name of the list.
func TestMailOfAListMayBeByAnybody(t *testing.T) {
	const news = "news-bounces+ann=example.net@example.org"
	mail := func(fields ...string) string { return strings.Join(fields, "\r\n") + "\r\n\r\nHello.\r\n.\r\n" }
	const member, list, refused = "From: bob@example.com", "List-Id: <news.example.org>", "451 4.7.1 application crm may not send as example.com (From field)"
	tests := []struct {
		name, from, message, want string
		lists                     bool
	}{
		{"of a member", news, mail(member, list), "250 ", true},
		{"of a member and the list", news, mail("From: news@example.org, bob@example.com", list), "250 ", true},
		{"of a member, without what a list writes", news, mail(member), refused, true},
		{"of a member, without a sender", "", mail(member, list), refused, true},
		{"of a list in somebody else's name", "news-bounces@example.com", mail(member, list), "451 4.7.1 application crm may not send as example.com (envelope sender)", true},
		{"of an application that has no lists", news, mail(member, list), refused, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, func(p *server.Policy) { p.Applications[0].Lists = tt.lists })
			if got := w.send(tt.from, "ann@example.net", tt.message); !strings.HasPrefix(got, tt.want) {
				t.Fatalf("answered %q, want %q", got, tt.want)
			}
			if !strings.HasPrefix(tt.want, "250") {
				return
			}
			if m := w.rows()[0].Message; m.Domain != "example.org" || m.Sender != news {
				t.Errorf("kept as mail of %q from %q, want the list's", m.Domain, m.Sender)
			}
		})
	}
}
