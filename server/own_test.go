package server_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homing/event"
	"homing/server"
	"homing/verp"
)

// ofKind gives the CRM another grammar, and the sinks to which it is told.
func ofKind(kind verp.Kind, sinks ...string) func(*server.Policy) {
	return func(p *server.Policy) {
		p.Applications[0].Grammar = &verp.Grammar{Kind: kind}
		p.Applications[0].Sinks = sinks
		p.Routes = p.Routes[:2] // no catch-all
		p.Relays = []string{"next"}
	}
}

// asked sends mail of a person, or a report, and gives what is told of it.
func (w *world) asked(to, message string) (answer string, told []event.Event) {
	w.Helper()
	before, from := len(w.events()), "ann@example.net"
	if strings.HasPrefix(message, "From: MAILER-DAEMON@") {
		from = ""
	}
	answer = w.comes(from, to, message)
	return answer[:3], w.events()[before:]
}

func TestMailForMailmanIsPassedOnToItAndToldToNobodyElse(t *testing.T) {
	w := open(t, ofKind(verp.Mailman, "hooks", "next"))
	person := letter("From: ann@example.net", "Subject: hello")
	away := letter("From: ann@example.net", "Subject: Out of office", "Auto-Submitted: auto-replied")
	for _, tt := range []struct {
		name, local, message string
		want                 event.Type
	}{
		{"a request", "news-request", person, event.Replied},
		{"to the owners", "news-owner", person, event.Replied},
		{"a subscription", "news-subscribe", person, event.Subscribed},
		{"another word for it", "news-join", person, event.Subscribed},
		{"an end of it", "news-unsubscribe", person, event.Unsubscribed},
		{"another word for that", "news-leave", person, event.Unsubscribed},
		{"a confirmation", "news-confirm+0123456789abcdef", person, event.Confirmed},
		{"a note of a machine", "news-request", away, event.AutoReplied},
		{"a report", "news-bounces", bounced, event.AutoReplied},
		{"a report about a person", "news-bounces+ann=example.net", bounced, event.AutoReplied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer, told := w.asked(tt.local+"@bounce.example.org", tt.message)
			if answer != "250" || len(told) != 1 {
				t.Fatalf("answered %s, told %+v", answer, told)
			}
			e := told[0]
			if e.Type != tt.want || e.Sender != tt.local+"@bounce.example.org" || e.Application != "crm" || e.Campaign != "mailman:list:news" || e.Raw.IsZero() {
				t.Errorf("told %+v, want %s", e, tt.want)
			}
			if diff := cmp.Diff([]string{"next"}, e.To); diff != "" || w.Wants("hooks", e) || !w.Wants("next", e) {
				t.Errorf("to (-want +got):\n%s", diff)
			}
		})
	}
	if w.held("ann@example.net") {
		t.Error("somebody is on hold for a report that nobody signed")
	}
	if !w.Inbound.Reads("news-bounces@bounce.example.org") {
		t.Error("a report to Mailman would be mailed, and not passed on at once")
	}
}

func TestMailForMailmanIsRefusedWhereItCannotBePassedOn(t *testing.T) {
	w := open(t, ofKind(verp.Mailman, "hooks"))
	for _, local := range []string{"news-request", "news-bounces", "news-confirm+0123456789abcdef"} {
		if answer, _ := w.asked(local+"@bounce.example.org", news); answer != "550" {
			t.Errorf("%s is answered %s, want 550", local, answer)
		}
	}
	if answer, told := w.asked("news-bounces+ann=example.net@bounce.example.org", bounced); answer != "250" || len(told) != 0 {
		t.Errorf("a report about a person is answered %s and told %+v", answer, told)
	}
}

func TestMauticsOwnAddresses(t *testing.T) {
	w := open(t, ofKind(verp.Mautic, "hooks"))
	person := letter("From: ann@example.net", "Subject: hello")
	for _, tt := range []struct {
		name, local, message string
		want                 event.Type // "": nothing is told
	}{
		{"a wish to get no more", "news+unsubscribe_5f9b3a0c1d2e3", person, event.Unsubscribed},
		{"a note of a machine is no wish", "news+unsubscribe_5f9b3a0c1d2e3", letter("From: ann@example.net", "Subject: Out of office", "Auto-Submitted: auto-replied"), event.AutoReplied},
		{"an answer of a person", "news+bounce_5f9b3a0c1d2e3", person, event.Replied},
		{"a report about a mail that was not sent with it", "news+bounce_5f9b3a0c1d2e3", bounced, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			local := tt.local + "@bounce.example.org"
			answer, told := w.asked(local, tt.message)
			switch {
			case answer != "250":
				t.Errorf("answered %s", answer)
			case tt.want == "" && len(told) == 0:
			case len(told) != 1 || told[0].Type != tt.want || told[0].Sender != local || told[0].Application != "crm":
				t.Errorf("told %+v, want %s", told, tt.want)
			}
		})
	}
}

func TestAReportAtMauticsAddressCountsWhereMailWasSentWithIt(t *testing.T) {
	w := open(t, func(p *server.Policy) {
		ofKind(verp.Mautic, "hooks")(p)
		p.Domains[0].Keep = true
	})
	w.send("news+bounce_5f9b3a0c1d2e3@bounce.example.org", "ann@example.net", news)
	w.delivered()
	_, told := w.asked("news+bounce_5f9b3a0c1d2e3@bounce.example.org", bounced)
	if len(told) != 2 || told[0].Type != event.Bounced || told[0].Recipient != "ann@example.net" || told[1].Type != event.Held {
		t.Errorf("told %+v, want bounced and held", told)
	}
}

func TestAReportWithoutATagSaysWhichMailingItReturns(t *testing.T) {
	const uuid = "9e4b2c1a-7f3d-4a55-8c0e-1d2f3a4b5c6d"
	for _, tt := range []struct {
		name, header string
		want         event.Metadata
	}{
		{"listmonk", "X-Listmonk-Campaign: " + uuid + "\r\nx-listmonk-subscriber: " + uuid + "\r\n", `{"listmonk_campaign":"` + uuid + `","listmonk_subscriber":"` + uuid + `"}`},
		{"phpList", "X-MessageID: 17\r\nX-ListMember: ann@example.net\r\n", `{"phplist_member":"ann@example.net","phplist_message":"17"}`},
		{"a number of something else", "X-MessageID: 17\r\n", ""},
		{"nothing", "X-Mailer: x\r\n", ""},
		{"something long", "X-Listmonk-Campaign: " + strings.Repeat("x", 900) + "\r\n", event.Metadata(`{"listmonk_campaign":"` + strings.Repeat("x", 250) + `"}`)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, rewritten)
			w.send("news@example.org", "ann@example.net", news)
			r := w.delivered()
			_, told := w.asked("bounces@"+tagDomain, reportOf("its header", tt.header))
			if len(told) != 1 || told[0].Type != event.Bounced || told[0].Metadata != tt.want || w.held("ann@example.net") {
				t.Errorf("told %+v, want the metadata %s and nobody on hold", told, tt.want)
			}
			_, told = w.asked(r.ReturnPath, reportOf("its header", tt.header))
			for _, e := range told {
				if e.Metadata != "" {
					t.Errorf("with a tag it is told %q of %s as well", e.Metadata, e.Type)
				}
			}
		})
	}
}
