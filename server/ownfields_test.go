package server_test

import (
	"strings"
	"testing"

	"homing/event"
	"homing/server"
)

// listmonk and phpList know a bounce by fields of the message that it returns.
// They are in the report also when the bounce comes a day later, and from
// nowhere but the message as it was sent: what a bounce says is anybody's word.
func TestWhatAnApplicationKnowsItsMessageByComesWithFailures(t *testing.T) {
	const campaign, member = "X-Listmonk-Campaign: 5c6d1be2-3c2b-4e50-a54e-3a6a5aa5a1c1", "X-ListMember: ann@example.net"
	for _, tt := range []struct{ name, kind, head, want string }{
		{"listmonk", "listmonk", campaign, campaign + "\r\n"},
		{"phpList", "phplist", "X-MessageID:   17\r\n" + member, "X-MessageID: 17\r\n" + member + "\r\n"},
		{"fields of other software", "phplist", campaign, ""},
		{"an application of another kind", "civicrm", member, ""},
		{"a value that is no word of a header", "phplist", "X-ListMember: " + strings.Repeat("x", 301), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, func(p *server.Policy) { p.Applications[0].Kind = tt.kind })
			w.send("news@example.org", "ann@example.net", letter("From: news@example.org", "To: ann@example.net", "Subject: hi", tt.head))
			r := w.delivered()
			w.report(r.ReturnPath, bounced)
			if got := w.rows()[0].Message.OwnFields; got != tt.want {
				t.Errorf("kept is %q, want %q", got, tt.want)
			}
			for _, e := range w.events() {
				want := ""
				if e.Type == event.Bounced {
					want = tt.want
				}
				if e.OwnFields != want {
					t.Errorf("%s has %q, want %q", e.Type, e.OwnFields, want)
				}
			}
		})
	}
}
