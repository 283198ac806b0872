package web

import (
	"bytes"
	"net/http/httptest"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"homing/internal/message"
	"homing/server/smtpd"
)

// FuzzParts states what is promised of any JSON: it is refused with what is
// wrong, or becomes a message whose lines end in CR LF, with no field but those
// that were given, for valid addresses.
func FuzzParts(f *testing.F) {
	f.Add([]byte(receiptLetter))
	f.Add([]byte(`{"from":{"address":"a@example.com","name":"A\r\nBcc: x@y"},"to":"\"a\r\nX: y\"@example.net","subject":"\r\n","text":"\r.\r\n\u0000"}`))
	f.Add([]byte(`{"from":"a@example.com","to":["ü@bücher.example"],"html":"<p>","headers":{"X-A\r\nBcc":"x","B":"c\nd"},"send_at":"2026-11-23T11:00:00Z"}`))
	f.Add([]byte(`{"from":"a@example.com","to":[],"cc":null,"bcc":{"address":"b@example.net"},"attachments":[{"content":"","content_type":"message/rfc822","content_id":"x"}]}`))
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, body []byte) {
		d := &intake{Web: &Web{Now: func() time.Time { return now }}, kind: jsonKind}
		mistakes, err := d.understand(body)
		if err != nil || len(mistakes) > 0 {
			for _, m := range mistakes {
				if !strings.HasPrefix(m.Pointer, "#/") || m.Detail == "" {
					t.Errorf("the mistake %+v", m)
				}
			}
			return
		}
		wantClean(t, d.in.Content)
		wantAddresses(t, d)
		m, err := mail.ReadMessage(bytes.NewReader(d.in.Content))
		if err != nil {
			t.Fatal(err)
		}
		var mistaken []Mistake
		o, err := readObject(body, &mistaken)
		if err != nil {
			t.Fatal(err)
		}
		given := []string{"From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "Content-ID"}
		for name := range o.texts("headers") {
			given = append(given, name)
		}
		for name, values := range m.Header {
			if len(values) != 1 || !slices.ContainsFunc(given, func(g string) bool { return strings.EqualFold(g, name) }) {
				t.Errorf("the message has %s: %q", name, values)
			}
		}
	})
}

func wantClean(t *testing.T, content []byte) {
	t.Helper()
	for line := range bytes.SplitSeq(bytes.TrimSuffix(content, []byte("\r\n")), []byte("\r\n")) {
		if bytes.ContainsAny(line, "\r\n\x00") || len(line) > message.MaxLine {
			t.Errorf("a line of %d octets: %.200q", len(line), line)
		}
	}
}

func wantAddresses(t *testing.T, d *intake) {
	t.Helper()
	if len(d.in.To) == 0 {
		t.Error("it is to nobody")
	}
	for _, a := range append(slices.Clone(d.in.To), d.in.From) {
		if a == "" && d.kind == mailKind && d.r.URL.Query().Has("from") {
			continue // the null reverse-path
		}
		if _, err := smtpd.Mailbox(a, true); err != nil || strings.ContainsAny(a, "\r\n\x00<>") && !strings.HasPrefix(a, `"`) {
			t.Errorf("the envelope has %q: %v", a, err)
		}
	}
}

// FuzzWhole states what is promised of any whole message and envelope: it is
// refused with what is wrong, or is taken as it is, for valid addresses.
func FuzzWhole(f *testing.F) {
	f.Add([]byte("From: a@example.com\r\nTo: b@example.net, \"c d\"@example.net\r\n\r\nx\r\n"), "", "", false, false)
	f.Add([]byte("From: <a@example.com\nBcc: ü@bücher.example\n\n"), "a@b", "c@d\r\nRCPT TO:<x@y>", true, true)
	f.Fuzz(func(t *testing.T, body []byte, from, to string, hasFrom, hasTo bool) {
		query := url.Values{}
		if hasFrom {
			query.Set("from", from)
		}
		if hasTo {
			query.Set("to", to)
		}
		d := &intake{Web: &Web{Now: time.Now}, kind: mailKind, r: httptest.NewRequest("POST", "/api/v1/messages?"+query.Encode(), nil)}
		if mistakes, err := d.understand(body); err != nil || len(mistakes) > 0 {
			return
		}
		if !bytes.Equal(d.in.Content, body) {
			t.Errorf("it is %q", d.in.Content)
		}
		wantAddresses(t, d)
	})
}
