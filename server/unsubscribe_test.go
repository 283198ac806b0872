package server_test

import (
	"bufio"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"homing/internal/message"
	"homing/server"
	"homing/store"
	"homing/verp"
)

const publicURL = "https://mail.example.org"

// linked is a policy under which bulk mail gets links.
func linked(p *server.Policy) {
	p.PublicURL = publicURL
	p.Domains[0].Unsubscribe = true
}

// bulk is a mailing, with more fields.
func bulk(more ...string) string {
	return letter(append([]string{"From: News <news@example.org>", "To: ann@example.net", "Subject: Hello", "Precedence: bulk"}, more...)...)
}

// heads gives the header of each message that waits.
func (w *world) heads() (all []*message.Header) {
	w.Helper()
	for _, r := range w.rows() {
		body, err := w.store.OpenBody(w.ctx, r.Recipient.Body)
		if err != nil {
			w.Fatal(err)
		}
		var b strings.Builder
		if _, err := body.WriteTo(&b); err != nil {
			w.Fatal(err)
		}
		body.Close()
		h, err := message.ReadHeader(bufio.NewReader(strings.NewReader(b.String())), message.MaxHeader)
		if err != nil {
			w.Fatal(err)
		}
		all = append(all, h)
	}
	return all
}

func TestBulkMailSaysHowToGetNoMoreOfIt(t *testing.T) {
	const link, mail = `<https://mail\.example\.org/u/[A-Za-z0-9_-]+>`, `<mailto:return\+[a-z2-7]{31}@bounce\.example\.org\?subject=unsubscribe>`
	nowhere := func(p *server.Policy) { p.Domains[0].Unsubscribe = true }
	tests := []struct {
		name    string
		policy  func(p *server.Policy)
		message string
		want    string // of List-Unsubscribe
		post    bool
	}{
		{"a mailing without any way", linked, bulk(), link + ", " + mail, true},
		{"one with a way by mail alone", linked, bulk("List-Unsubscribe: <mailto:civi+u.1.2.0a1b2c3d4e5f6a7b@bounce.example.org>"),
			link + `, <mailto:civi\+u\.1\.2\.0a1b2c3d4e5f6a7b@bounce\.example\.org>`, true},
		{"one with a way over HTTPS", linked, bulk("List-Unsubscribe: <mailto:u@example.org>, <HTTPS://crm.example.org/u>"), `<mailto:u@example\.org>, <HTTPS://crm\.example\.org/u>`, false},
		{"one whose way is one click already", linked, bulk("List-Unsubscribe: <https://crm.example.org/u>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click"), `<https://crm\.example\.org/u>`, true},
		{"where nobody says how the world reaches us", nowhere, bulk(), mail, false},
		{"the same with a way by mail", nowhere, bulk("List-Unsubscribe: <mailto:u@example.org>"), `<mailto:u@example\.org>`, false},
		{"a receipt", linked, news, "", false},
		{"where it is switched off", func(p *server.Policy) { p.PublicURL = publicURL }, bulk(), "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, tt.policy)
			if got := w.send("news@example.org", "ann@example.net", tt.message); !strings.HasPrefix(got, "250 ") {
				t.Fatal(got)
			}
			h := w.heads()[0]
			if got := h.Get("List-Unsubscribe"); !regexp.MustCompile("^"+tt.want+"$").MatchString(got) || h.Count("List-Unsubscribe") > 1 {
				t.Errorf("List-Unsubscribe is %q, want %s", got, tt.want)
			}
			if got := h.Get("List-Unsubscribe-Post"); (got == "List-Unsubscribe=One-Click") != tt.post || h.Count("List-Unsubscribe-Post") > 1 {
				t.Errorf("List-Unsubscribe-Post is %q, want it: %v", got, tt.post)
			}
		})
	}
}

// sealedIn finds the link in a header.
func sealedIn(t *testing.T, h *message.Header) string {
	t.Helper()
	m := regexp.MustCompile(`/u/([A-Za-z0-9_-]+)>`).FindStringSubmatch(h.Get("List-Unsubscribe"))
	if m == nil {
		t.Fatalf("there is no link in %q", h.Get("List-Unsubscribe"))
	}
	return m[1]
}

// follow does what a link asks for, as its page does.
func (w *world) follow(sealed string) error {
	l, err := w.Server.Link(sealed)
	if err != nil {
		return err
	}
	return w.Server.Unsubscribe(w.ctx, l)
}

func TestALinkIsForItsRecipientAlone(t *testing.T) {
	w := open(t, linked)
	c := w.dial(w.submit)
	c.talk("EHLO crm", "MAIL FROM:<civi+b.7.2.0a1b2c3d4e5f6a7b@bounce.example.org>", "RCPT TO:<ann@example.net>", "RCPT TO:<bob@example.net>", "DATA", bulk())
	for i, h := range w.heads() {
		l, err := w.Server.Link(sealedIn(t, h))
		want := []string{"ann@example.net", "bob@example.net"}[i]
		if err != nil || l.Recipient != want || l.Delivery != uint64(w.rows()[i].Recipient.ID) || l.Application != "crm" || l.Domain != "example.org" ||
			l.Campaign != "civicrm:job:7" || l.Sender != "civi+b.7.2.0a1b2c3d4e5f6a7b@bounce.example.org" {
			t.Errorf("the link of %s says %+v, %v", want, l, err)
		}
	}
}

func TestWhoFollowsTheLinkGetsNoMoreBulkMail(t *testing.T) {
	w := open(t, linked)
	w.send("news@example.org", "ann@example.net", bulk())
	sealed := sealedIn(t, w.heads()[0])
	w.delivered()
	unsubscribe := func(want string) {
		t.Helper()
		if err := w.follow(sealed); err != nil {
			t.Fatal(err)
		}
		if got := w.told(); got != want || !w.held("ann@example.net") {
			t.Errorf("told %q, held: %v; want %q", got, w.held("ann@example.net"), want)
		}
	}
	before := "accepted ann@example.net, delivered ann@example.net, "
	once := before + "unsubscribed ann@example.net, held ann@example.net"
	unsubscribe(once)
	unsubscribe(once) // programs may post more than once
	e := w.events()[2]
	if e.Application != "crm" || e.Domain != "example.org" || e.Sender != "news@example.org" || e.Delivery != w.rows()[0].Recipient.ID {
		t.Errorf("told %+v", e)
	}
	if _, err := w.queue.Release(w.ctx, "ann@example.net", "crm"); err != nil {
		t.Fatal(err)
	}
	// Whoever comes back and has enough once more, with the same old mail.
	unsubscribe(once + ", released ann@example.net, unsubscribed ann@example.net, held ann@example.net")
	if err := w.follow(sealed + "AAAA"); !errors.Is(err, verp.ErrForged) {
		t.Errorf("a forged link: %v", err)
	}
}

func TestALinkIsHeededWhenItsDeliveryHasBeenForgotten(t *testing.T) {
	w := open(t, linked)
	sealed, err := w.codec.Seal(verp.Link{Delivery: 1 << 40, Sent: time.Now().AddDate(0, -9, 0), Recipient: "Ann@example.net", Application: "crm", Domain: "example.org",
		Sender: "civi+b.7.2.0a1b2c3d4e5f6a7b@bounce.example.org", Campaign: "civicrm:job:7"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.follow(sealed); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.told(); got != "unsubscribed Ann@example.net, held Ann@example.net" || !w.held("ann@example.net") {
		t.Errorf("told %q, held: %v", got, w.held("ann@example.net"))
	}
	if e := w.events()[0]; e.Sender != "civi+b.7.2.0a1b2c3d4e5f6a7b@bounce.example.org" || e.Application != "crm" || e.Domain != "example.org" || e.Campaign != "civicrm:job:7" || e.Delivery != 0 {
		t.Errorf("told %+v", e)
	}
}

func TestMailToTheAddressOfListUnsubscribeIsAWish(t *testing.T) {
	person := letter("From: ann@example.net", "Subject: unsubscribe")
	program := letter("From: ann@example.net", "Subject: unsubscribe", "Auto-Submitted: auto-generated")
	for name, text := range map[string]string{"of a person": person, "of a mail program": program} {
		t.Run(name, func(t *testing.T) {
			w := open(t, linked)
			w.send("news@example.org", "ann@example.net", bulk())
			address := regexp.MustCompile(`mailto:([^?]+)\?`).FindStringSubmatch(w.heads()[0].Get("List-Unsubscribe"))[1]
			w.delivered()
			if got := w.report(address, text); !strings.HasPrefix(got, "250 ") {
				t.Fatal(got)
			}
			if got := w.told(); !strings.HasSuffix(got, "unsubscribed ann@example.net, held ann@example.net") {
				t.Errorf("told %q", got)
			}
		})
	}
	w := open(t, linked)
	tag, err := w.codec.Encode(tagDomain, verp.Unsubscribe, 1<<40, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if got := w.report("return+"+tag+"@"+tagDomain, person); !strings.HasPrefix(got, "250 ") || w.told() != "" {
		t.Errorf("for a forgotten delivery it is answered %q and told %q", got, w.told())
	}
}

// TestTheSameMailIsNoSecondWish when whoever sent it never got our answer, and
// sends it again after the application has heeded it.
func TestTheSameMailIsNoSecondWish(t *testing.T) {
	w := open(t, linked)
	w.send("news@example.org", "ann@example.net", bulk())
	address := regexp.MustCompile(`mailto:([^?]+)\?`).FindStringSubmatch(w.heads()[0].Get("List-Unsubscribe"))[1]
	w.delivered()
	first, next := letter("From: ann@example.net", "Subject: unsubscribe", "Message-ID: <1@example.net>"), letter("From: ann@example.net", "Subject: unsubscribe", "Message-ID: <2@example.net>")
	bare := letter("From: ann@example.net", "Subject: unsubscribe")
	for i, step := range []struct {
		text   string
		wishes int // so far
	}{{first, 1}, {first, 1}, {next, 2}, {first, 2}, {bare, 3}, {bare, 4}} {
		if got := w.report(address, step.text); !strings.HasPrefix(got, "250 ") {
			t.Fatal(got)
		}
		if got := strings.Count(w.told(), "unsubscribed ann@example.net"); got != step.wishes {
			t.Errorf("after mail %d there are %d wishes, want %d: %s", i, got, step.wishes, w.told())
		}
		if err := w.queue.Answered(w.ctx, "ann@example.net", "crm", "example.org"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAReportAtTheAddressOfListUnsubscribeCountsForNothing(t *testing.T) {
	w := open(t, linked)
	w.send("news@example.org", "ann@example.net", bulk())
	address := regexp.MustCompile(`mailto:([^?]+)\?`).FindStringSubmatch(w.heads()[0].Get("List-Unsubscribe"))[1]
	w.delivered()
	if got := w.report(address, bounced); !strings.HasPrefix(got, "250 ") {
		t.Error(got)
	}
	if state := w.rows()[0].Recipient.State; state != store.Delivered || w.told() != "accepted ann@example.net, delivered ann@example.net" || w.held("ann@example.net") {
		t.Errorf("it is %v, told %q, held: %v", state, w.told(), w.held("ann@example.net"))
	}
}
