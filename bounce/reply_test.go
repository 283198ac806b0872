package bounce_test

import (
	"fmt"
	"strings"
	"testing"

	"homing/bounce"
)

func TestReadAnyTakesABareReply(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"on one line", "550 5.1.1 <ann@example.net>: Recipient address rejected: User unknown\n",
			"bounce reply failed ann@example.net 550 5.1.1 hard user_unknown"},
		{"over several lines", "550-5.2.1 The email account that you tried to reach is inactive.\r\n550 5.2.1 Learn more at https://support.example - gsmtp\r\n",
			"bounce reply failed  550 5.2.1 hard disabled"},
		{"of Exim, which asked the recipient's host", "550-Callout verification failed:\n550-550 5.1.1 <ann@example.net>: Recipient address rejected: User unknown in\n550 virtual mailbox table",
			"bounce reply failed ann@example.net 550 5.1.1 hard user_unknown"},
		{"of Exim, which asked the sender's host", "550-Verification failed for <us@example.org>\n550-Callout verification failed:\n550-550 5.1.1 User unknown\n550 Sender verify failed",
			"bounce reply failed us@example.org 550 5.1.1 sender rejected"},
		{"of one short word", "550 spam\n", "bounce reply failed  550  sender spam"},
		{"without words", "550 5.1.1\n", "bounce reply failed  550 5.1.1 hard user_unknown"},
		{"of a code alone", "421", "delayed reply delayed  421  soft system_error"},
		{"that is temporary", "452 4.2.2 The email account is over quota", "delayed reply delayed  452 4.2.2 soft mailbox_full"},
		{"in a line of a log", "Nov 28 14:31:02 mx postfix/smtp[123]: 4F2A: to=<ann@example.net>, relay=mx.example.net[192.0.2.1]:25, dsn=5.1.1, status=bounced (host mx.example.net[192.0.2.1] said: 550 5.1.1 user unknown (in reply to RCPT TO command))",
			"bounce reply failed ann@example.net 550 5.1.1 hard user_unknown"},
		{"in a line of a log that begins with a date of digits", "2026-11-28T14:31:02Z mx: host mx.example.net said: 552 5.2.2 mailbox full", "bounce reply failed  552 5.2.2 soft mailbox_full"},
	}
	rd := bounce.NewReader(bounce.NewTable())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := rd.ReadAny(strings.NewReader(tt.text))
			if err != nil || len(r.Recipients) != 1 {
				t.Fatalf("%d recipients, %v, want one", len(r.Recipients), err)
			}
			x := r.Recipients[0]
			got := fmt.Sprint(r.Kind, " ", r.Format, " ", x.Action, " ", x.Address, " ", x.Code, " ", x.Status, " ", x.Verdict.Class, " ", x.Verdict.Reason)
			if got != tt.want {
				t.Errorf("it says %q, want %q", got, tt.want)
			}
		})
	}
}

func TestALineOfALogIsJudgedByWhatWasSaid(t *testing.T) {
	const head = "Nov 28 14:31:02 mx postfix/smtp[123]: 4F2A: from=<us@example.org>, to=<ann@example.net>, orig_to=<a@example.net>, relay=none, delay=0.5, "
	tests := []struct{ name, text, want string }{
		{"a reply", head + "dsn=5.1.1, status=bounced (host mx.example.net[192.0.2.1] said: 550-5.1.1 user unknown (in reply to RCPT TO command))",
			"bounce failed ann@example.net mx.example.net[192.0.2.1] 550 5.1.1 user_unknown: 550-5.1.1 user unknown (in reply to RCPT TO command)"},
		{"a reply of one short word", head + "dsn=5.7.1, status=bounced (host mx.example.net[192.0.2.1] said: 550 spam)",
			"bounce failed ann@example.net mx.example.net[192.0.2.1] 550 5.7.1 spam: 550 spam"},
		{"no code, and refused for good", head + "dsn=5.4.4, status=bounced (Host or domain name not found. Name service error for name=gone.example type=MX: Host not found)",
			"bounce failed ann@example.net  0 5.4.4 host_unknown: Host or domain name not found. Name service error for name=gone.example type=MX: Host not found"},
		{"no code, and tried again", head + "dsn=4.4.1, status=deferred (connect to mx.example.net[192.0.2.1]:25: Connection timed out)",
			"delayed delayed ann@example.net  0 4.4.1 network_error: connect to mx.example.net[192.0.2.1]:25: Connection timed out"},
		{"of another mail system", "2026-11-28T14:31:02Z mx: host mx.example.net said: 552 5.2.2 mailbox full",
			"bounce failed  mx.example.net 552 5.2.2 mailbox_full: 552 5.2.2 mailbox full"},
	}
	rd := bounce.NewReader(bounce.NewTable())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := rd.ReadAny(strings.NewReader(tt.text + "\n"))
			if err != nil || len(r.Recipients) != 1 {
				t.Fatalf("%d recipients, %v, want one", len(r.Recipients), err)
			}
			x := r.Recipients[0]
			got := fmt.Sprintf("%s %s %s %s %d %s %s: %s", r.Kind, x.Action, x.Address, x.RemoteMTA, x.Code, x.Status, x.Verdict.Reason, x.Diagnostic)
			if got != tt.want {
				t.Errorf("it says\n%s, want\n%s", got, tt.want)
			}
		})
	}
}

func TestReadAnyTakesAMessageForAMessage(t *testing.T) {
	rd := bounce.NewReader(bounce.NewTable())
	for name, text := range map[string]string{
		"nothing":                         "",
		"a report":                        failure,
		"a header field with a code":      "Subject: 550 5.1.1 user unknown\n",
		"a header field from a log":       "Subject: status=bounced (user unknown)\n",
		"a text that speaks of a code":    "Dear all,\nwhat is\n550 5.1.1 user unknown\n?\n",
		"a number":                        "5500 people came\n",
		"words without a code":            "user unknown\n",
		"a message about a line of a log": "Subject: log\n\nto=<ann@example.net>, status=bounced (user unknown)\n",
		"a reply that is longer than any": "550 5.1.1 user unknown " + strings.Repeat("x", 5000),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := rd.ReadAny(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			want, err := rd.Read(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if got.Kind != want.Kind || got.Digest != want.Digest {
				t.Errorf("ReadAny says %s, Read %s", got.Kind, want.Kind)
			}
		})
	}
}

func TestMailThatIsAReplyCodeRefusesNothing(t *testing.T) {
	r, err := bounce.NewReader(bounce.NewTable()).Read(strings.NewReader("550 5.1.1 user unknown\n"))
	if err != nil || r.Kind != bounce.Message {
		t.Errorf("mail without a header that begins with a code is %s, %v, want a message", r.Kind, err)
	}
}
