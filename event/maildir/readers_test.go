package maildir_test

import (
	"bytes"
	"context"
	"errors"
	"net/mail"
	"regexp"
	"strings"
	"testing"

	"homing/event"
	"homing/event/maildir"
	"homing/internal/message"
)

// readers look at reports as the programs do that poll for them: each gives
// whom or what it takes the bounce for, and whether it takes it for final.
//
// listmonk searches the raw message for its own fields and for the first status
// code; phpList the body for its own fields; Mautic takes the contact from the
// address in To, and the reason from the report.
var readers = map[string]struct {
	sender, original string // of the message that failed
	find             map[string]string
}{
	"listmonk": {"bounces@example.org", `From: News <news@example.org>
To: Ann <ann@example.net>
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
X-Listmonk-Campaign: 5c6d1be2-3c2b-4e50-a54e-3a6a5aa5a1c1
X-Listmonk-Subscriber: 0f3c9f4e-98a8-4f9d-9cb6-02b9a1a0a1b2

Hello
`, map[string]string{
		`(?m)^X-Listmonk-Campaign:\s+([a-z0-9-]{36})`:   "5c6d1be2-3c2b-4e50-a54e-3a6a5aa5a1c1",
		`(?m)^X-Listmonk-Subscriber:\s+([a-z0-9-]{36})`: "0f3c9f4e-98a8-4f9d-9cb6-02b9a1a0a1b2",
		`(?mi)^Status:\s*([245])\.`:                     "5",
	}},
	"phplist": {"bounces@example.org", `From: News <news@example.org>
To: Ann <ann@example.net>
Subject: News with 8 bit ` + "\xc3\xbc" + `
X-MessageID: 17
X-ListMember: ann@example.net

Hello
`, map[string]string{
		`(?i)X-MessageId: (.*)\r`:  "17",
		`(?i)X-ListMember: (.*)\r`: "ann@example.net",
	}},
	"mautic": {"bounces+bounce_60b4d9c2b9f6a123456789@example.org", "From: News <news@example.org>\nTo: Ann <ann@example.net>\n\nHello\n", map[string]string{
		`(?m)^To: .*\+bounce_([0-9a-z]+)@`:         "60b4d9c2b9f6a123456789",
		`(?mi)^Final-Recipient: rfc822;\s*(\S+)\r`: "ann@example.net",
		`(?mi)^Action: (.+)\r`:                     "failed",
		`(?mi)^Diagnostic-Code: smtp; (.*)\r`:      "550 5.1.1 user unknown",
	}},
}

func TestEachProgramFindsWhomAReportIsAbout(t *testing.T) {
	for name, r := range readers {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			s := maildir.New(maildir.Config{Name: "drop", Path: path, Hostname: "mail.example.org", OpenBody: opens(r.original)})
			e := failed()
			e.Sender = r.sender
			if err := s.Tell(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			msg := only(t, path)
			for pattern, want := range r.find {
				found := regexp.MustCompile(pattern).FindSubmatch(msg)
				if found == nil || string(found[1]) != want {
					t.Errorf("%s finds %q, want %q in\n%s", pattern, found, want, msg)
				}
			}
			m, err := mail.ReadMessage(bytes.NewReader(msg))
			if err != nil || m.Header.Get("To") != r.sender || !strings.HasPrefix(m.Header.Get("Content-Type"), "multipart/report") {
				t.Errorf("%v: To %q, type %q", err, m.Header.Get("To"), m.Header.Get("Content-Type"))
			}
		})
	}
}

// A bounce that comes a day later is about a message that is not kept any more.
func TestAMessageThatIsForgottenIsStillKnownByItsFields(t *testing.T) {
	path := t.TempDir()
	gone := func(context.Context, message.Ref) (message.Body, error) { return nil, errors.New("gone") }
	e := failed()
	e.OwnFields = "X-MessageID: 17\r\nX-ListMember: ann@example.net\r\n"
	if err := maildir.New(maildir.Config{Path: path, Hostname: "mail.example.org", OpenBody: gone}).Tell(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if msg := only(t, path); !bytes.Contains(msg, []byte("Content-Type: text/rfc822-headers\r\n\r\nX-MessageID: 17\r\nX-ListMember: ann@example.net\r\n")) {
		t.Errorf("the report has no field of the application's own:\n%s", msg)
	}
}

// What counts towards a threshold must not block an address for good at the
// program that reads the report.
func TestWhatIsNotFinalIsNotReportedAsFinal(t *testing.T) {
	for _, tt := range []struct {
		name         string
		class        string
		status       string
		code         int
		want, wanted string
	}{
		{"a hard failure", "hard", "5.1.1", 550, "5.1.1", "550 5.1.1"},
		{"a full mailbox that was refused for good", "soft", "5.2.2", 552, "4.2.2", "450 4.2.2"},
		{"a soft failure with a soft status", "soft", "4.2.2", 452, "4.2.2", "452 4.2.2"},
		{"a soft failure without a status", "soft", "", 0, "4.1.1", "450 4.1.1"},
		{"a hard failure without a status", "hard", "", 0, "5.1.1", "550 5.1.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := failed()
			e.Outcome = event.Outcome{Class: tt.class, CiviCRM: "Invalid", Status: tt.status, Code: tt.code}
			_, fields := parts(t, tell(t, e))
			if got := fields.Get("Status"); got != tt.want {
				t.Errorf("Status %q, want %q", got, tt.want)
			}
			if got := fields.Get("Diagnostic-Code"); got != "smtp; "+tt.wanted+" user unknown" {
				t.Errorf("Diagnostic-Code %q, want %q", got, tt.wanted)
			}
		})
	}
}
