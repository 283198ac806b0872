package smtpclient_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"homing/internal/smtpclient"
	"homing/internal/smtptest"
)

func TestParameters(t *testing.T) {
	dsn := smtpclient.Transaction{From: "r@example.org", Body: text("x\r\n"), EnvelopeID: "a+b=c", Return: "HDRS",
		To: []smtpclient.Recipient{{Address: "ann@example.net", Notify: "FAILURE,DELAY", Original: "rfc822;Ann+x@example.net"}}}
	eight := smtpclient.Transaction{From: "r@example.org", Body: text("x\r\n"), EightBit: true, To: []smtpclient.Recipient{{Address: "ann@example.net"}}}
	utf8 := smtpclient.Transaction{From: "r@example.org", Body: text("x\r\n"), To: []smtpclient.Recipient{{Address: "żółw@example.net"}}}
	idn := smtpclient.Transaction{Body: text("x\r\n"), To: []smtpclient.Recipient{{Address: "ann@bücher.example"}}}
	big := smtpclient.Transaction{Body: text(strings.Repeat("x\r\n", 400)), To: []smtpclient.Recipient{{Address: "ann@example.net"}}}
	odd := smtpclient.Transaction{Body: text("x\r\n"), To: []smtpclient.Recipient{{Address: "ann@example.net>\r\nDATA"}}}
	tests := []struct {
		name    string
		offers  string
		message smtpclient.Transaction
		mail    string
		rcpt    string
		refused string
	}{
		{"DSN where it is offered", "DSN", dsn, "MAIL FROM:<r@example.org> RET=HDRS ENVID=a+2Bb+3Dc\r\n",
			"RCPT TO:<ann@example.net> NOTIFY=FAILURE,DELAY ORCPT=rfc822;Ann+2Bx@example.net\r\n", ""},
		{"no DSN where it is not", "HELP", dsn, "MAIL FROM:<r@example.org>\r\n", "RCPT TO:<ann@example.net>\r\n", ""},
		{"SIZE", "SIZE", eightless(dsn), "MAIL FROM:<r@example.org> SIZE=3\r\n", "RCPT TO:<ann@example.net>\r\n", ""},
		{"too big", "SIZE 1000", big, "", "", "mail: we say 552 5.3.4 message size 1200 exceeds the 1000 octets that mx.example.net[198.51.100.7]:25 takes"},
		{"SIZE 0 is no limit", "SIZE 0", big, "MAIL FROM:<> SIZE=1200\r\n", "RCPT TO:<ann@example.net>\r\n", ""},
		{"8BITMIME", "8BITMIME", eight, "MAIL FROM:<r@example.org> BODY=8BITMIME\r\n", "RCPT TO:<ann@example.net>\r\n", ""},
		{"no 8BITMIME", "HELP", eight, "", "", "mail: we say 554 5.6.3 the message needs 8BITMIME, which mx.example.net[198.51.100.7]:25 does not offer"},
		{"SMTPUTF8", "SMTPUTF8", utf8, "MAIL FROM:<r@example.org> SMTPUTF8\r\n", "RCPT TO:<żółw@example.net>\r\n", ""},
		{"no SMTPUTF8", "HELP", utf8, "", "", "mail: we say 553 5.6.7 the message needs SMTPUTF8, which mx.example.net[198.51.100.7]:25 does not offer"},
		{"REQUIRETLS without TLS", "REQUIRETLS", smtpclient.Transaction{Body: text("x\r\n"), RequireTLS: true, To: big.To}, "", "",
			"mail: we say 550 5.7.30 the message needs REQUIRETLS, which mx.example.net[198.51.100.7]:25 does not offer"},
		{"a domain travels in A-labels", "HELP", idn, "MAIL FROM:<>\r\n", "RCPT TO:<ann@xn--bcher-kva.example>\r\n", ""},
		{"an address that would be a command", "HELP", odd, "", "", "rcpt: we say 553 5.1.3 the address cannot be said in SMTP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			script := hello + "S: 250-mx\nS: 250 " + tt.offers + "\n"
			if tt.mail != "" {
				script += "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC.\nS: 250 ok\n"
			}
			d := begin(smtpclient.Options{}, smtptest.Script(script), nil)
			got := ""
			m := tt.message
			m.Body.(*bytes.Reader).Seek(0, io.SeekStart)
			m.Done = func(o []smtpclient.Outcome) { got = say(o[0]) }
			if failed := d.client.Hello(); failed != nil {
				t.Fatal(say(*failed))
			}
			sent := false
			d.client.Deliver(func(bool) *smtpclient.Transaction {
				if sent {
					return nil
				}
				sent = true
				return &m
			})
			d.end(t)
			want := tt.refused
			if want == "" {
				want = "dot: 250 ok"
			}
			if got != want {
				t.Errorf("outcome %q, want %q", got, want)
			}
			heard := d.player.Heard.String()
			if tt.mail != "" && !strings.Contains(heard, "\r\n"+tt.mail+tt.rcpt) || tt.mail == "" && strings.Contains(heard, "MAIL") {
				t.Errorf("heard %q, want %q", heard, tt.mail+tt.rcpt)
			}
		})
	}
}

// eightless is a message without the parameters of DSN.
func eightless(t smtpclient.Transaction) smtpclient.Transaction {
	return smtpclient.Transaction{From: t.From, Body: t.Body, To: []smtpclient.Recipient{{Address: t.To[0].Address}}}
}
