package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"homing/event"
	"homing/internal/message"
	"homing/server"
	"homing/server/review"
	"homing/store"
)

// filing gives a policy addresses for activities.
func filing(p *server.Policy) {
	p.Routes = append(p.Routes,
		server.Route{Local: "file", Domain: tagDomain, As: server.RouteActivity, To: []string{"crm"}, From: []string{"small.example", "Ann@Tiny.example", "forged.test", "down.test", "denied.test", "doubtful.test"}},
		server.Route{Local: "second", Domain: tagDomain, As: server.RouteActivity, To: []string{"hooks"}})
}

// filed gives the facts of mail that was filed.
func (w *world) filed() (all []event.Event) {
	w.Helper()
	for _, e := range w.events() {
		if e.Type == event.Filed {
			all = append(all, e)
		}
	}
	return all
}

// body gives what was kept.
func (w *world) body(ref message.Ref) string {
	w.Helper()
	b, err := w.store.OpenBody(w.ctx, ref)
	if err != nil {
		w.Fatal(err)
	}
	defer b.Close()
	var text strings.Builder
	if _, err := b.WriteTo(&text); err != nil {
		w.Fatal(err)
	}
	return text.String()
}

// file sends a mail to the MX and gives the last reply.
func (w *world) file(from, mail string, to ...string) string {
	w.Helper()
	c := w.dial(w.mx)
	c.talk("EHLO a", "MAIL FROM:<"+from+">")
	for _, address := range to {
		if got := c.say("RCPT TO:<" + address + ">"); got[:3] != "250" {
			return got
		}
	}
	c.say("DATA")
	return c.say(mail)
}

func TestWhoIsProvenOrListedIsFiledAndTheRestWaits(t *testing.T) {
	for name, tt := range map[string]struct {
		from  string // the From field
		to    string
		waits string // what is said of it; "": it is filed
	}{
		"who passes DMARC": {"ann@member.test", "file", ""},
		"who passes DMARC, at a route that lists nobody":  {"ann@member.test", "second", ""},
		"a sub-address of the route":                      {"ann@member.test", "file+case12", ""},
		"whose domain has no policy and passes SPF":       {"ann@aligned.test", "second", ""},
		"a domain that is listed and proves nothing":      {"ann@small.example", "file", ""},
		"an address that is listed, in other letters":     {"aNN@tiny.EXAMPLE", "file", ""},
		"somebody else of the domain of a listed address": {"bob@tiny.example", "file", "not listed"},
		"below a domain that is listed":                   {"ann@sub.small.example", "file", "not listed"},
		"nobody whom the route knows":                     {"ann@small.example", "second", "not listed"},
		"who is listed and fails his own policy":          {"ann@forged.test", "file", "fails the DMARC policy"},
		"who fails his own policy":                        {"ann@forged.test", "second", "fails the DMARC policy"},
		"two who wrote it":                                {"ann@member.test, bob@member.test", "file", "does not name one address"},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, filing)
			_, domain, _ := strings.Cut(tt.from, "@")
			if got := w.file("bounces@"+strings.TrimSuffix(domain, ", bob@member.test"), letter("From: "+tt.from, "Subject: Hello"), tt.to+"@bounce.example.org"); !strings.HasPrefix(got, "250") {
				t.Fatal(got)
			}
			filed, waiting := w.filed(), w.waits.List()
			if tt.waits == "" && (len(filed) != 1 || len(waiting) != 0 || filed[0].Recipient != tt.to+"@bounce.example.org" || filed[0].Mail.Subject != "Hello") {
				t.Errorf("filed are %+v, and %+v wait", filed, waiting)
			}
			if tt.waits != "" && (len(filed) != 0 || len(waiting) != 1 || !strings.Contains(waiting[0].Why, tt.waits)) {
				t.Errorf("filed are %+v, and %+v wait, want one that says %q", filed, waiting, tt.waits)
			}
		})
	}
}

func TestWhoIsListedIsNotFiledWhereHisDomainDeniesThePeer(t *testing.T) {
	for name, tt := range map[string]struct{ sender, from, waits string }{
		"SPF of the very domain fails":             {"ann@denied.test", "ann@denied.test", "SPF record of this domain"},
		"behind the reverse-path of another":       {"m@member.test", "ann@denied.test", "SPF record of this domain"},
		"behind that of one without SPF":           {"m@nowhere.test", "ann@denied.test", "SPF record of this domain"},
		"a domain that is not sure of its servers": {"ann@doubtful.test", "ann@doubtful.test", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, filing)
			if got := w.file(tt.sender, letter("From: "+tt.from, "Subject: Hello"), "file@bounce.example.org"); !strings.HasPrefix(got, "250") {
				t.Fatal(got)
			}
			filed, waiting := w.filed(), w.waits.List()
			if tt.waits == "" && (len(filed) != 1 || len(waiting) != 0) {
				t.Errorf("filed are %+v, and %+v wait", filed, waiting)
			}
			if tt.waits != "" && (len(filed) != 0 || len(waiting) != 1 || !strings.Contains(waiting[0].Why, tt.waits) || waiting[0].Authentication.SPF != "fail") {
				t.Errorf("filed are %+v, and %+v wait, want one that says %q", filed, waiting, tt.waits)
			}
		})
	}
}

func TestAFiledMailSaysWhyItIsFiled(t *testing.T) {
	for name, tt := range map[string]struct {
		sender, from string
		want         event.Authentication
	}{
		"by the policy of its domain": {"b@member.test", "ann@member.test", event.Authentication{By: event.ByDMARC, Domain: "member.test", SPF: "pass", DKIM: "none", DMARC: "pass"}},
		"by SPF of its domain":        {"b@aligned.test", "ann@aligned.test", event.Authentication{By: event.ByAligned, Domain: "aligned.test", SPF: "pass", DKIM: "none", DMARC: "none"}},
		"what passes for somebody else says nothing of the author": {"m@member.test", "ann@small.example",
			event.Authentication{By: event.ByListed, Domain: "small.example", SPF: "none", DKIM: "none", DMARC: "none"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, filing)
			if got := w.file(tt.sender, letter("From: "+tt.from), "file@bounce.example.org"); !strings.HasPrefix(got, "250") {
				t.Fatal(got)
			}
			if all := w.filed(); len(all) != 1 || all[0].Mail.Authentication != tt.want {
				t.Errorf("filed are %+v, want one with %+v", all, tt.want)
			}
		})
	}
}

func TestAFiledMailSaysWhatItSays(t *testing.T) {
	w := open(t, filing)
	mail := "From: Ann <ann@member.test>\r\nTo: bob@example.com\r\nSubject: [case #12] Hello\r\nMessage-ID: <1@member.test>\r\nAuthentication-Results: mail.example.org; dmarc=pass\r\n" +
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nGood morning\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\npdf\r\n--b--\r\n."
	if got := w.file("bounces@member.test", mail, "file@bounce.example.org", "second+x@bounce.example.org"); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	all := w.filed()
	if len(all) != 2 {
		t.Fatalf("%d facts, want one for each address", len(all))
	}
	for i, want := range []struct{ recipient, to string }{{"file@bounce.example.org", "crm"}, {"second+x@bounce.example.org", "hooks"}} {
		e := all[i]
		m := e.Mail
		if e.Recipient != want.recipient || !slices.Equal(e.To, []string{want.to}) || e.From != "ann@member.test" || e.Domain != tagDomain ||
			m.Case != "12" || m.MessageID != "<1@member.test>" || m.Text != "Good morning" || m.To[0].Address != "bob@example.com" || len(m.Attachments) != 1 || m.Reviewed {
			t.Errorf("fact %d: %+v of %+v", i, e, m)
		}
		if a := m.Authentication; a != (event.Authentication{By: event.ByDMARC, Domain: "member.test", SPF: "pass", DKIM: "none", DMARC: "pass"}) {
			t.Errorf("authentication %+v", a)
		}
		if raw := w.body(e.Raw); strings.Count(raw, "Authentication-Results") != 1 || !strings.Contains(raw, "spf=pass") {
			t.Errorf("kept is %s", raw)
		}
	}
}

func TestMailOfMachinesIsNotFiled(t *testing.T) {
	w := open(t, filing)
	if got := w.file("ann@member.test", letter("From: ann@member.test", "Subject: Out of office", "Auto-Submitted: auto-replied"), "file@bounce.example.org"); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	report := "From: postmaster@member.test\r\nSubject: Undelivered\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nno\r\n--b\r\n" +
		"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\nFinal-Recipient: rfc822; bob@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n--b--\r\n."
	if got := w.file("", report, "file@bounce.example.org"); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	if got := w.told(); got != "auto_replied file@bounce.example.org" {
		t.Errorf("told %q", got)
	}
	if all := w.waits.List(); len(all) != 1 || !strings.Contains(all[0].Why, "no person") {
		t.Errorf("%+v wait, want the report", all)
	}
}

func TestOverLMTPEachAddressHasItsAnswerAndSPFProvesNothing(t *testing.T) {
	w := open(t, filing)
	c := w.dial(w.lmtp)
	if got := c.talk("LHLO a", "MAIL FROM:<bounces@member.test>", "RCPT TO:<file@bounce.example.org>", "RCPT TO:<civimail@bounce.example.org>", "DATA",
		letter("From: ann@member.test")); got != "250 250 250 250 354 250" || !strings.HasPrefix(c.reply(), "250") {
		t.Fatal(got)
	}
	if waiting := w.waits.List(); len(waiting) != 1 || !strings.Contains(waiting[0].Why, "fails the DMARC policy") || w.told() != "replied civimail@bounce.example.org" {
		t.Errorf("%+v wait, and told was %q", waiting, w.told())
	}
}

func TestMailWhoseSenderCannotBeProvenNowIsPutOff(t *testing.T) {
	w := open(t, filing)
	if got := w.file("ann@down.test", letter("From: ann@down.test"), "civimail@bounce.example.org", "file@bounce.example.org"); !strings.HasPrefix(got, "451") {
		t.Error(got)
	}
	if got := w.told(); got != "" || w.waits.Waiting() != 0 {
		t.Errorf("told %q, and %d wait", got, w.waits.Waiting())
	}
}

func TestMailThatCannotBeKeptForReviewIsPutOff(t *testing.T) {
	w := open(t, filing)
	w.store.refuse(store.ErrFull)
	if got := w.file("ann@small.example", letter("From: ann@small.example"), "second@bounce.example.org"); !strings.HasPrefix(got, "452") {
		t.Error(got)
	}
	if w.waits.Waiting() != 0 {
		t.Error("it waits all the same")
	}
}

func TestMailAfterReviewIsFiledAsIfNobodyHadDoubtedIt(t *testing.T) {
	w := open(t, filing)
	if got := w.file("x@small.example", letter("From: Ann <ann@small.example>", "Subject: Hello", "Message-ID: <2@small.example>"), "second+a@bounce.example.org", "civimail@bounce.example.org"); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	if got := w.told(); got != "replied civimail@bounce.example.org" {
		t.Errorf("told %q before anybody decided", got)
	}
	m := w.waits.List()[0]
	want := review.Place{Recipient: "second+a@bounce.example.org", Domain: tagDomain, To: []string{"hooks"}}
	if m.From != "ann@small.example" || m.Sender != "x@small.example" || m.Subject != "Hello" || len(m.Places) != 1 || fmt.Sprint(m.Places[0]) != fmt.Sprint(want) {
		t.Errorf("waiting is %+v", m)
	}
	if err := w.waits.File(w.ctx, m.ID, "ann"); err != nil {
		t.Fatal(err)
	}
	e := w.filed()[0]
	if !e.Mail.Reviewed || e.Mail.ReviewedBy != "ann" || e.Mail.MessageID != "<2@small.example>" || e.Recipient != want.Recipient || !slices.Equal(e.To, want.To) || e.Mail.Authentication.DMARC != "none" || e.Mail.Authentication.By != event.ByReview {
		t.Errorf("filed is %+v of %+v", e, e.Mail)
	}
	if raw := w.body(e.Raw); !strings.Contains(raw, "Subject: Hello") {
		t.Errorf("kept is %q", raw)
	}
}

func TestMailOfSeveralAuthorsWaitsUnderAllOfTheirNames(t *testing.T) {
	for from, want := range map[string]string{
		"ann@member.test, boss@evil.test":         "ann@member.test, boss@evil.test",
		"ann@member.test\r\nFrom: boss@evil.test": "ann@member.test, boss@evil.test",
		"Group:;": "",
		"a@x.test, b@x.test, c@x.test, d@x.test, e@x.test, f@x.test, Gil <g@x.test>": "a@x.test, b@x.test, c@x.test, d@x.test, e@x.test, and 2 more",
	} {
		w := open(t, filing)
		w.file("b@member.test", letter("From: "+from), "file@bounce.example.org")
		if all := w.waits.List(); len(all) != 1 || all[0].From != want {
			t.Errorf("%q: %+v wait, want one from %q", from, all, want)
		}
	}
}

func TestAddressesForActivitiesAreNobodysButOfACatchAll(t *testing.T) {
	var p server.Policy
	filing(&p)
	p.Routes = append(p.Routes, server.Route{Local: "*", Domain: "example.org", As: server.RouteActivity}, server.Route{Local: "office", Domain: tagDomain, As: server.RouteReply})
	for address, want := range map[string]bool{"file@bounce.example.org": true, "File+12@Bounce.Example.org": true, "ann@example.org": false, "office@bounce.example.org": false, "ann@example.net": false} {
		if got := p.Files(address); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
	for address, want := range map[string]string{"file+12@bounce.example.org": "[crm]", "second@bounce.example.org": "[hooks]", "office@bounce.example.org": "[]", "ann@example.net": "[]"} {
		if got := fmt.Sprint(p.Filers(address)); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
