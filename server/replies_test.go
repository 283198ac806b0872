package server_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"
	"github.com/google/go-cmp/cmp"

	"homing/bounce"
	"homing/internal/message"
	"homing/server"
	"homing/store"
)

// forwarding is a policy under which replies to the CRM's mail go on.
func forwarding(p *server.Policy) { p.Applications[0].Forward = true }

// A passed is a reply that went on.
type passed struct {
	store.Row
	header     *message.Header
	head, body string
}

// passed gives the replies that went on, oldest first.
func (w *world) passed() (all []passed) {
	w.Helper()
	for _, row := range w.rows() {
		if row.Message.Application != "" {
			continue
		}
		body, err := w.store.OpenBody(w.ctx, row.Recipient.Body)
		if err != nil {
			w.Fatal(err)
		}
		var b strings.Builder
		if _, err := body.WriteTo(&b); err != nil {
			w.Fatal(err)
		}
		body.Close()
		head, text, _ := strings.Cut(b.String(), "\r\n\r\n")
		all = append(all, passed{row, message.ParseHeader([]byte(head + "\r\n\r\n")), head, text})
	}
	return all
}

// to gives whom replies went to, in order.
func to(all []passed) (addresses []string) {
	for _, p := range all {
		addresses = append(addresses, p.Recipient.Address)
	}
	return addresses
}

// civiNews is a mailing of CiviCRM's.
const (
	civiBounce = "civi+b.1.2.0123456789abcdef@bounce.example.org"
	civiReply  = "civi+r.1.2.0123456789abcdef@bounce.example.org"
)

// answer is a reply of Ann's, with more fields.
func answer(more ...string) string {
	return letter(append([]string{"From: Ann Smith <ann@example.net>", "To: return <x@bounce.example.org>", "Subject: Re: Hello", "Message-ID: <1@example.net>"}, more...)...)
}

func TestAReplyGoesOnToThePersonWhoSentTheMailing(t *testing.T) {
	signing, records := signer(t)
	for _, tt := range []struct {
		name string
		at   func(r store.Row) string // the address that it comes to
		more []string
	}{
		{"at our return address", func(r store.Row) string { return r.Recipient.ReturnPath }, nil},
		{"at CiviCRM's address for replies", func(store.Row) string { return civiReply }, nil},
		{"at CiviCRM's address for bounces", func(store.Row) string { return civiBounce }, nil},
		{"at a route", func(store.Row) string { return "civimail@bounce.example.org" }, []string{"In-Reply-To: <mailing@example.org>"}},
		{"at a route, without a word about what it answers", func(store.Row) string { return "civimail@bounce.example.org" }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, func(p *server.Policy) { forwarding(p); p.Domains[0].Signer = signing })
			w.send(civiBounce, "ann@example.net", letter("From: News <news@example.org>", "To: ann@example.net", "Subject: Hello", "Message-ID: <mailing@example.org>"))
			at := tt.at(w.rows()[0])
			if got := w.comes("ann@example.net", at, answer(append(tt.more, "X-Mailer: \tpostcard")...)); got[:3] != "250" {
				t.Fatal(got)
			}
			all := w.passed()
			if diff := cmp.Diff([]string{"news@example.org"}, to(all)); diff != "" {
				t.Fatalf("it went to (-want +got):\n%s", diff)
			}
			if got := w.told(); !strings.Contains(got, "replied ") {
				t.Errorf("told %q, and not that somebody replied", got)
			}
			p := all[0]
			if p.Recipient.ReturnPath != "" || p.Recipient.Notify != "NEVER" || p.Recipient.Key.Sending != "example.org" || p.Message.Domain != "" || p.body != "Hello.\r\n" {
				t.Errorf("it went on as %+v of %+v, with the text %q", p.Recipient, p.Message, p.body)
			}
			for name, want := range map[string]string{
				"From": `"Ann Smith via News" <return@bounce.example.org>`, "Reply-To": `"Ann Smith" <ann@example.net>`, "X-Original-From": "Ann Smith <ann@example.net>",
				"Delivered-To": at, "Subject": "Re: Hello", "Message-ID": "<1@example.net>", "To": "return <x@bounce.example.org>",
			} {
				if got := p.header.Values(name); !slices.Equal(got, []string{want}) {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if !strings.Contains(p.head, "\r\nX-Mailer: \tpostcard\r\n") || strings.Contains(p.head, "Return-Path:") {
				t.Errorf("the header is %q", p.head)
			}
			verifications, err := msgauth.VerifyWithOptions(strings.NewReader(p.head+"\r\n\r\n"+p.body), &msgauth.VerifyOptions{
				LookupTXT: func(name string) ([]string, error) { return []string{records[name]}, nil }})
			if err != nil || len(verifications) != 2 || verifications[0].Err != nil || verifications[1].Err != nil {
				t.Errorf("its signatures: %+v, %v", verifications, err)
			}
			for _, e := range w.events() {
				if e.Message == p.Message.ID && (w.Wants("hooks", e) || w.Wants("mail", e)) {
					t.Errorf("somebody is told that it is %s", e.Type)
				}
			}
		})
	}
}

func TestWhatIsNoReplyOfAPersonDoesNotGoOn(t *testing.T) {
	for _, tt := range []struct {
		name, from, message string
		policy              func(p *server.Policy)
	}{
		{"where the application does not want it", "ann@example.net", answer(), func(p *server.Policy) { p.Applications[0].Forward = false }},
		{"a report", "", bounced, nil},
		{"a note that somebody is away", "ann@example.net", answer("Auto-Submitted: auto-replied"), nil},
		{"what a program made", "ann@example.net", answer("Auto-Submitted: auto-generated (by a shop); x=y"), nil},
		{"mail under the null reverse-path", "", answer(), nil},
		{"mail of a list", "ann@example.net", answer("List-Id: <a.example.net>"), nil},
		{"mail to a list", "ann@example.net", answer("List-Post: <mailto:a@example.net>"), nil},
		{"bulk mail", "ann@example.net", answer("Precedence: Bulk"), nil},
		{"junk", "ann@example.net", answer("Precedence: junk"), nil},
		{"what was here before", "ann@example.net", answer("Delivered-To: civimail@bounce.example.org"), nil},
		{"what was delivered more often than any mail", "ann@example.net", answer(strings.Repeat("Delivered-To: a@example.net\r\n", 50) + "Delivered-To: b@example.net"), nil},
		{"what was here before, in brackets", "ann@example.net", answer("Delivered-To: <" + civiReply + ">"), nil},
		{"mail of whoever would get it", "news@example.org", strings.Replace(answer(), "ann@example.net", "NEWS@example.org", 1), nil},
		{"mail that he has sent", "news@example.org", answer(), nil},
		{"mail from an address of ours", "ann@example.net", strings.Replace(answer(), "ann@example.net", "office@example.org", 1), nil},
		{"mail that the domain it claims to be from wants refused", "ann@strict.test", strings.Replace(answer(), "ann@example.net", "ann@strict.test", 1), nil},
		{"a wish to get no more", "ann@example.net", strings.Replace(answer(), "Re: Hello", "unsubscribe", 1), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, func(p *server.Policy) {
				forwarding(p)
				if tt.policy != nil {
					tt.policy(p)
				}
			})
			w.send("news@example.org", "ann@example.net", news)
			if got := w.comes(tt.from, w.rows()[0].Recipient.ReturnPath, tt.message); got[:3] != "250" {
				t.Errorf("it is answered %q: it is told all the same", got)
			}
			if all := w.passed(); len(all) != 0 {
				t.Errorf("it went on to %q", to(all))
			}
		})
	}
}

func TestAReplyThatSaysThatNoProgramHasWrittenItGoesOn(t *testing.T) {
	w := open(t, forwarding)
	w.send("news@example.org", "ann@example.net", news)
	w.comes("ann@example.net", w.rows()[0].Recipient.ReturnPath, answer("Auto-Submitted: no (really)", "Delivered-To: ann@example.net"))
	if all := w.passed(); len(all) != 1 {
		t.Errorf("it went on %d times, want once", len(all))
	}
}

func TestAReplyThatNoPolicySpeaksAgainstGoesOn(t *testing.T) {
	for _, domain := range []string{"member.test", "forged.test", "down.test"} { // proven; p=none; the DNS does not say
		w := open(t, forwarding)
		w.send("news@example.org", "ann@"+domain, news)
		if got := w.comes("ann@"+domain, w.rows()[0].Recipient.ReturnPath, strings.Replace(answer(), "ann@example.net", "ann@"+domain, 1)); got[:3] != "250" {
			t.Errorf("%s: %s", domain, got)
		}
		if all := w.passed(); len(all) != 1 {
			t.Errorf("%s: %d replies went on, want one", domain, len(all))
		}
	}
}

func TestTheSameReplyGoesOnOnce(t *testing.T) {
	for _, address := range []string{"", civiReply, "civimail@bounce.example.org"} {
		w := open(t, forwarding)
		w.send(civiBounce, "ann@example.net", news)
		at := address
		if at == "" {
			at = w.rows()[0].Recipient.ReturnPath
		}
		w.store.refuse(store.ErrFull)
		if got := w.comes("ann@example.net", at, answer()); got[:3] != "452" {
			t.Errorf("without room it is answered %q", got)
		}
		w.store.reports = true // it goes on, and nobody can be told: the peer comes again
		w.store.refuse(store.ErrFull)
		w.comes("ann@example.net", at, answer())
		w.store.refuse(nil)
		for range 2 {
			if got := w.comes("ann@example.net", at, answer()); got[:3] != "250" {
				t.Fatal(got)
			}
		}
		w.comes("ann@example.net", at, strings.Replace(answer(), "<1@", "<2@", 1))
		if all := w.passed(); len(all) != 2 {
			t.Errorf("two replies to %s went on %d times", at, len(all))
		}
		if address != "" {
			continue
		}
		rows, err := w.Passed(w.ctx, w.rows()[0].Recipient)
		if err != nil || len(rows) != 2 || rows[0].Recipient.Address != "news@example.org" || rows[0].Message.Metadata != `{"reply_of":"ann@example.net"}` {
			t.Errorf("of the delivery it is known that %+v, %v", rows, err)
		}
	}
}

// TestAReplyThatCannotGoOnIsNotTakenOverLMTPEither where each recipient has an
// answer of its own.
func TestAReplyThatCannotGoOnIsNotTakenOverLMTPEither(t *testing.T) {
	w := open(t, forwarding)
	w.send(civiBounce, "ann@example.net", news)
	w.store.refuse(store.ErrFull)
	for _, want := range []string{"452", "250"} {
		c := w.dial(w.lmtp)
		if got := c.talk("LHLO a", "MAIL FROM:<ann@example.net>", "RCPT TO:<"+w.rows()[0].Recipient.ReturnPath+">", "DATA", answer()); !strings.HasSuffix(got, want) {
			t.Errorf("answered %s, want %s", got, want)
		}
		w.store.refuse(nil)
	}
	if got := w.told(); len(w.passed()) != 1 || strings.Count(got, "replied ") != 1 {
		t.Errorf("it went on %d times, and told is %q", len(w.passed()), got)
	}
}

func TestAReplyToTwoOfOurAddressesGoesOnOnce(t *testing.T) {
	w := open(t, forwarding)
	w.send(civiBounce, "ann@example.net", news)
	c := w.dial(w.mx)
	c.talk("EHLO a", "MAIL FROM:<ann@example.net>", "RCPT TO:<"+w.rows()[0].Recipient.ReturnPath+">", "RCPT TO:<"+civiReply+">", "RCPT TO:<civimail@bounce.example.org>", "DATA", answer())
	if all := w.passed(); len(all) != 1 {
		t.Errorf("it went on %d times, want once", len(all))
	}
}

func TestWhoGetsReplies(t *testing.T) {
	readHere := func(p *server.Policy) {
		p.Routes = append(p.Routes, server.Route{Local: "news", Domain: "example.org", As: server.RouteForward, To: []string{"rest"}})
	}
	instead := func(p *server.Policy) { p.Applications[0].RepliesTo = "office@example.com" }
	for _, tt := range []struct {
		name   string
		policy []func(*server.Policy)
		at     string // "": our return address
		sent   bool
		want   []string
	}{
		{"the author of the mailing", []func(*server.Policy){instead}, "", true, []string{"news@example.org"}},
		{"whom the application names, where mail to the author comes here", []func(*server.Policy){readHere, instead}, "", true, []string{"office@example.com"}},
		{"nobody, where the application names nobody", []func(*server.Policy){readHere}, "", true, nil},
		{"the author of the campaign", nil, "civi+r.1.77.0123456789abcdef@bounce.example.org", true, []string{"news@example.org"}},
		{"whom the application names, where nobody knows the campaign", []func(*server.Policy){instead}, "civi+r.9.77.0123456789abcdef@bounce.example.org", true, []string{"office@example.com"}},
		{"nobody, where nobody knows the campaign", nil, "civi+r.9.77.0123456789abcdef@bounce.example.org", true, nil},
		{"whom the application names, at a route, where nothing was sent to whoever writes", []func(*server.Policy){instead}, "civimail@bounce.example.org", false, []string{"office@example.com"}},
		{"nobody at a route for what is no reply", []func(*server.Policy){instead}, "whoever@bounce.example.org", true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, func(p *server.Policy) {
				forwarding(p)
				for _, change := range tt.policy {
					change(p)
				}
			})
			at := tt.at
			if tt.sent {
				w.send(civiBounce, "ann@example.net", news)
				if at == "" {
					at = w.rows()[0].Recipient.ReturnPath
				}
			}
			if got := w.comes("ann@example.net", at, answer()); got[:3] != "250" {
				t.Fatal(got)
			}
			if diff := cmp.Diff(tt.want, to(w.passed())); diff != "" {
				t.Errorf("to (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAReplyAtARouteOfTwoApplicationsNamesItsMailing has two applications send
// as one domain, which a route for replies is in.
func TestAReplyAtARouteOfTwoApplicationsNamesItsMailing(t *testing.T) {
	w := open(t, func(p *server.Policy) {
		forwarding(p)
		other := *p.Applications[0]
		other.Name, other.Networks, other.Grammar, other.RepliesTo = "lists", nil, nil, "lists@example.com"
		p.Applications = append(p.Applications, &other)
	})
	w.send("news@example.org", "ann@example.net", letter("From: First <first@example.org>", "Message-ID: <first@example.org>"))
	w.send("news@example.org", "ann@example.net", letter("From: Second <second@example.org>", "Message-ID: <second@example.org>"))
	for _, more := range []string{"X-Nothing: said", "References: <other@example.com> <first@example.org>", "In-Reply-To: <second@example.org>", "In-Reply-To: <other@example.com>"} {
		w.comes("ann@example.net", "civimail@bounce.example.org", strings.Replace(answer(more), "Hello", more, 1))
	}
	if diff := cmp.Diff([]string{"first@example.org", "second@example.org"}, to(w.passed())); diff != "" {
		t.Errorf("to (-want +got):\n%s", diff)
	}
}

func TestWhereAnswersToAReplyGo(t *testing.T) {
	for _, tt := range []struct{ name, from, field, want string }{
		{"to the writer", "Ann Smith <ann@example.net>", "X-Nothing: said", `"Ann Smith" <ann@example.net>`},
		{"where the writer wants them, word for word", "ann@example.net", "Reply-To: Ann <at-home@example.com>,\r\n  ann@example.net", "Ann <at-home@example.com>,  ann@example.net"},
		{"to the writer, where he wants them to come back here", "ann@example.net", "Reply-To: <" + civiReply + ">", "<ann@example.net>"},
		{"where they do not come back here", "ann@example.net", "Reply-To: x@bounce.example.org, Home <at-home@example.com>", `"Home" <at-home@example.com>`},
		{"to the writer, where he names more than anybody reads", "ann@example.net", "Reply-To: " + strings.Repeat("a@example.com, ", 20) + "b@example.com", "<ann@example.net>"},
		{"to the writer, where he names nobody", "ann@example.net", "Reply-To: nobody:;", "<ann@example.net>"},
		{"to a writer with a name that needs encoding", "=?utf-8?q?J=C3=B6rg?= <joerg@example.net>", "X-Nothing: said", "=?utf-8?q?J=C3=B6rg?= <joerg@example.net>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, forwarding)
			w.send("news@example.org", "ann@example.net", news)
			w.comes("ann@example.net", w.rows()[0].Recipient.ReturnPath, letter("From: "+tt.from, "Subject: Re: Hello", tt.field))
			all := w.passed()
			if len(all) != 1 {
				t.Fatalf("it went on %d times", len(all))
			}
			if got := all[0].header.Values("Reply-To"); !slices.Equal(got, []string{tt.want}) {
				t.Errorf("Reply-To: %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWhoAReplyIsFrom(t *testing.T) {
	elsewhere := func(p *server.Policy) {
		p.Domains[0].Path.Domain = "bounce.provider.example"
		p.Domains[0].Signer, _ = signer(t)
	}
	for _, tt := range []struct {
		name, author, from, want string
		policy                   func(*server.Policy)
	}{
		{"a person by name, to a mailing with a name", "News <news@example.org>", "Ann <ann@example.net>", `"Ann via News" <return@bounce.example.org>`, nil},
		{"a person without a name, to a mailing without one", "news@example.org", "ann@example.net", `"ann via news" <return@bounce.example.org>`, nil},
		{"a name that has quotes and an at sign", "News <news@example.org>", `"O\"Neill, @home" <ann@example.net>`, `"O\"Neill, @home via News" <return@bounce.example.org>`, nil},
		{"a name that nobody can print", "News <news@example.org>", "=?utf-8?q?A=0D=0ABcc=3A_x?= <ann@example.net>", `"A  Bcc: x via News" <return@bounce.example.org>`, nil},
		{"an address that our signature is good for", "News <news@example.org>", "ann@example.net", `"ann via News" <news@example.org>`, elsewhere},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, func(p *server.Policy) {
				forwarding(p)
				if tt.policy != nil {
					tt.policy(p)
				}
			})
			w.send("news@example.org", "ann@example.net", letter("From: "+tt.author, "Subject: Hello"))
			w.comes("ann@example.net", w.rows()[0].Recipient.ReturnPath, letter("From: "+tt.from, "Subject: Re: Hello"))
			all := w.passed()
			if len(all) != 1 {
				t.Fatalf("it went on %d times", len(all))
			}
			if got := all[0].header.Values("From"); !slices.Equal(got, []string{tt.want}) {
				t.Errorf("From: %q, want %q", got, tt.want)
			}
			if got := all[0].header.Get("X-Original-From"); got != tt.from {
				t.Errorf("X-Original-From: %q, want %q", got, tt.from)
			}
		})
	}
}

func TestRepliesAreKeptWhereMailIs(t *testing.T) {
	for name, change := range map[string]func(p *server.Policy){
		"the server":      func(p *server.Policy) { p.Mode = server.Capture },
		"the application": func(p *server.Policy) { p.Applications[0].Mode = server.Capture },
	} {
		w := open(t, func(p *server.Policy) { forwarding(p); change(p) })
		w.send("news@example.org", "ann@example.net", news)
		w.comes("ann@example.net", w.rows()[0].Recipient.ReturnPath, answer())
		if all := w.passed(); len(all) != 1 || all[0].Recipient.State != store.Captured {
			t.Errorf("%s captures, and a reply is %+v", name, all)
		}
	}
}

func TestAReportAboutAReplyThatWentOnCountsForNothing(t *testing.T) {
	w := open(t, func(p *server.Policy) { rewritten(p); forwarding(p) })
	w.send("news@example.org", "ann@example.net", news)
	r := w.delivered()
	w.comes("ann@example.net", r.ReturnPath, strings.Replace(answer(), "x@bounce.example.org", r.ReturnPath, 1))
	head := w.passed()[0].head + "\r\n"
	before := len(w.events())
	for _, at := range []string{"bounces@" + tagDomain, civiReply, r.ReturnPath} {
		if got := w.report(at, reportOf("its header", head)); got[:3] != "250" {
			t.Errorf("a report at %s is answered %q", at, got)
		}
	}
	if w.held("ann@example.net") || w.rows()[0].Recipient.State != store.Delivered || len(w.events()) != before {
		t.Errorf("whoever wrote the reply pays for it: told %q", w.told())
	}
}

// TestALoopOfTwoServersEnds has the author of a mailing of each of two servers
// be an address that the other one reads, and mail between them go through
// somebody who puts an envelope sender of his own on it.
func TestALoopOfTwoServersEnds(t *testing.T) {
	one := open(t, forwarding)
	two := open(t, func(p *server.Policy) {
		forwarding(p)
		p.Domains[0].Name, p.Domains[0].Path.Domain, p.Routes = "club.example", "bounce.club.example", nil
	})
	one.send(civiBounce, "ann@example.net", news)
	two.send("news@club.example", "ann@example.net", letter("From: Club <news@club.example>"))
	at := [2]*world{one, two}
	addresses := [2]string{civiReply, two.rows()[0].Recipient.ReturnPath}
	mail, from := answer(), "ann@example.net"
	for turn := range 10 {
		here := at[turn%2]
		before := len(here.passed())
		here.comes(from, addresses[turn%2], mail)
		all := here.passed()
		if len(all) == before {
			if turn != 2 {
				t.Errorf("it ended at turn %d, want when it is back at the first server", turn)
			}
			return
		}
		p := all[len(all)-1]
		mail, from = p.head+"\r\n\r\n"+p.body+".", "relay@example.com"
	}
	t.Error("it goes round and round")
}

// TestAnAutoResponderEndsWhatItBegan has whoever gets replies answer each at
// once, as programs do that know no better: from another address, without a word
// that nobody has written it, and to every address that the mail names.
func TestAnAutoResponderEndsWhatItBegan(t *testing.T) {
	w := open(t, forwarding)
	w.send("news@example.org", "ann@example.net", news)
	w.comes("ann@example.net", w.rows()[0].Recipient.ReturnPath, answer("Reply-To: "+civiReply))
	answered := 0
	for ; answered < len(w.passed()) && answered < 10; answered++ {
		p := w.passed()[answered]
		if p.Recipient.ReturnPath != "" {
			t.Errorf("there is somebody to answer: %q", p.Recipient.ReturnPath)
		}
		for _, name := range []string{"From", "Reply-To"} {
			m, _ := message.FirstMailbox(p.header.Get(name))
			w.comes("helpdesk@example.org", m.Address, letter("From: Helpdesk <helpdesk@example.org>", "Subject: Your ticket", "In-Reply-To: "+p.header.Get("Message-ID")))
		}
	}
	if answered != 1 {
		t.Errorf("%d replies went on, want the one that a person has written", answered)
	}
}

// text is a message that nobody has stored.
type text struct{ *strings.Reader }

func (text) Close() error { return nil }

func TestWhoSentACampaignIsKnownAfterARestart(t *testing.T) {
	w := open(t, forwarding)
	w.send(civiBounce, "ann@example.net", news)
	again, err := server.New(w.ctx, server.Config{Policy: &w.policy, Queue: w.queue, Store: w.store, Reader: bounce.NewReader(bounce.NewTable()),
		Names: w.names, Log: slog.New(slog.DiscardHandler), Now: time.Now, Metrics: server.NewMetrics(nil)})
	if err != nil {
		t.Fatal(err)
	}
	if r := again.Inbound.Deliver(w.ctx, "bob@example.com", "civi+r.1.9.0123456789abcdef@bounce.example.org", text{strings.NewReader("From: bob@example.com\r\n\r\nThanks.\r\n")}); r.Code != 250 {
		t.Fatal(r)
	}
	if diff := cmp.Diff([]string{"news@example.org"}, to(w.passed())); diff != "" {
		t.Errorf("to (-want +got):\n%s", diff)
	}
}

func TestAnAuthorWhoIsErasedIsKnownNoMore(t *testing.T) {
	w := open(t, forwarding)
	w.send(civiBounce, "ann@example.net", news)
	w.send(strings.Replace(civiBounce, ".1.", ".2.", 1), "ann@example.net", strings.ReplaceAll(news, "news@", "board@"))
	for range 2 { // once more finds nobody
		if err := w.ForgetAuthor(w.ctx, "news@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	notes, err := w.store.Notes(w.ctx, "authors")
	if err != nil || len(notes) != 1 || !strings.Contains(string(notes["crm civicrm:job:2"]), "board@example.org") {
		t.Errorf("noted are %q, %v", notes, err)
	}
	w.comes("bob@example.com", "civi+r.1.9.0123456789abcdef@bounce.example.org", letter("From: bob@example.com"))
	if all := w.passed(); len(all) != 0 {
		t.Errorf("a reply went on to %q", to(all))
	}
}

func TestThousandCampaignsAreRemembered(t *testing.T) {
	w := open(t, forwarding)
	c := w.dial(w.submit)
	c.talk("EHLO crm")
	for job := 1; job <= 1001; job++ {
		c.talk(fmt.Sprintf("MAIL FROM:<civi+b.%d.1.0123456789abcdef@bounce.example.org>", job), "RCPT TO:<ann@example.net>", "DATA", news)
	}
	notes, err := w.store.Notes(w.ctx, "authors")
	if err != nil || len(notes) != 1000 || notes["crm civicrm:job:1"] != nil || notes["crm civicrm:job:1001"] == nil {
		t.Errorf("%d are, %v; want the youngest 1000", len(notes), err)
	}
}
