package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"homing/internal/smtptest"
	"homing/server/smtpd"
	"homing/store"
)

// TestWhatAMessageSaysOfTLSIsKeptWithIt: REQUIRETLS of MAIL and the field
// TLS-Required of RFC 8689.
func TestWhatAMessageSaysOfTLSIsKeptWithIt(t *testing.T) {
	optional := func(fields ...string) string {
		return letter(append([]string{"From: News <news@example.org>", "To: ann@example.net"}, fields...)...)
	}
	tests := []struct {
		name, mail, message string
		want                store.Message
	}{
		{"nothing", "", news, store.Message{}},
		{"REQUIRETLS, which brings the header alone back", " REQUIRETLS RET=FULL", news, store.Message{RequireTLS: true, ReturnContent: "HDRS"}},
		{"TLS-Required: No", " RET=FULL", optional("TLS-Required: No"), store.Message{TLSOptional: true, ReturnContent: "FULL"}},
		{"in other letters", "", optional("tls-required:  no "), store.Message{TLSOptional: true}},
		{"REQUIRETLS counts more than the field", " REQUIRETLS", optional("TLS-Required: No"), store.Message{RequireTLS: true, ReturnContent: "HDRS"}},
		{"another value", "", optional("TLS-Required: Yes"), store.Message{}},
		{"two of them", "", optional("TLS-Required: No", "TLS-Required: No"), store.Message{}},
	}
	config, _, err := smtptest.Certificate("mail.example.org")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, nil)
			port := w.listener("127.0.0.1:0", smtpd.Options{TLS: config, RequireTLS: true, DSN: true})
			c := w.dial(net.JoinHostPort("127.0.0.1", port))
			if got := c.talk("EHLO crm", "MAIL FROM:<news@example.org> REQUIRETLS", "STARTTLS"); got != "250 555 220" {
				t.Fatalf("before TLS: %s, want REQUIRETLS to be unknown", got)
			}
			c.conn = tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
			c.in = bufio.NewReader(c.conn)
			if got := c.talk("EHLO crm", "MAIL FROM:<news@example.org>"+tt.mail, "RCPT TO:<ann@example.net>", "DATA", tt.message); got != "250 250 250 354 250" {
				t.Fatal(got)
			}
			row, text := w.sent()
			m := row.Message
			if m.RequireTLS != tt.want.RequireTLS || m.TLSOptional != tt.want.TLSOptional || m.ReturnContent != tt.want.ReturnContent {
				t.Errorf("message %+v, want %+v", m, tt.want)
			}
			if strings.Contains(tt.message, "TLS-Required: No") && !strings.Contains(text, "TLS-Required: No") {
				t.Errorf("the field does not go on with the message: %q", text)
			}
		})
	}
}

func TestMailForThePostmasterThatRequiresTLSGoesOnSo(t *testing.T) {
	config, _, err := smtptest.Certificate("mail.example.org")
	if err != nil {
		t.Fatal(err)
	}
	w := open(t, nil)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	defer func() { stop(); <-ended }()
	address := listen(t, func(serve func(context.Context) error) { go func() { ended <- serve(ctx) }() }, smtpd.Options{Hostname: "mail.example.org", Kind: smtpd.SMTP, TLS: config, RequireTLS: true}, w.Inbound)
	c := w.dial(address)
	c.talk("EHLO mx.example.net", "STARTTLS")
	c.conn = tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	c.in = bufio.NewReader(c.conn)
	if got := c.talk("EHLO mx.example.net", "MAIL FROM:<ann@example.net> REQUIRETLS", "RCPT TO:<postmaster@example.org>", "DATA", news); got != "250 250 250 354 250" {
		t.Fatal(got)
	}
	if row, _ := w.sent(); !row.Message.RequireTLS {
		t.Errorf("message %+v, want one that requires TLS", row.Message)
	}
}
