package delivery_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"homing/delivery"
	"homing/internal/reply"
	"homing/internal/smtptest"
)

// A note is a message in memory.
type note struct{ *strings.Reader }

func (note) Close() error { return nil }

func TestAHopTakesOneMessageAtATime(t *testing.T) {
	const greet = "S: 220 next.test LMTP\nC: LHLO mail.example.org\nS: 250-next.test\nS: 250 8BITMIME\n"
	const begin = greet + "C: MAIL FROM:<ann@example.net> BODY=8BITMIME\nS: 250 OK\nC: RCPT TO:<civimail@example.org>\n"
	tests := []struct {
		name   string
		script smtptest.Script
		want   int // the code of the error; 0: none
	}{
		{"and is done when it is taken", begin + "S: 250 OK\nC: DATA\nS: 354 go\nC.\nS: 250 2.0.0 stored\nC: QUIT\nS: 221 bye", 0},
		{"a refusal of the recipient is told", begin + "S: 550 5.1.1 no such mailbox\nC: RSET\nS: 250 OK\nC: QUIT\nS: 221 bye", 550},
		{"a refusal of the message is told", begin + "S: 250 OK\nC: DATA\nS: 354 go\nC.\nS: 452 4.2.2 mailbox full\nC: QUIT\nS: 221 bye", 452},
		{"a server that is busy is told", "S: 421 4.3.2 later\nclose", 421},
		{"one that hangs up after the dot has not taken it", begin + "S: 250 OK\nC: DATA\nS: 354 go\nC.\nclose", 451},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "l")
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			played := make(chan error, 1)
			go func() {
				conn, err := l.Accept()
				if err != nil {
					played <- err
					return
				}
				played <- new(smtptest.Player).Play(conn, tt.script)
			}()
			hop := &delivery.Hop{Network: "unix", Address: path, LMTP: true, Hostname: "mail.example.org"}
			err = hop.Deliver(context.Background(), note{strings.NewReader("Subject: hi\r\n\r\n\u00fc\r\n")}, "ann@example.net", "civimail@example.org")
			var said *reply.Error
			if tt.want == 0 && err != nil || tt.want != 0 && (!errors.As(err, &said) || said.Reply.Code != tt.want) {
				t.Errorf("Deliver gives %v, want code %d", err, tt.want)
			}
			if err := <-played; err != nil {
				t.Errorf("the dialogue: %v", err)
			}
		})
	}
	t.Run("nobody there is no answer of a server", func(t *testing.T) {
		hop := &delivery.Hop{Network: "unix", Address: filepath.Join(t.TempDir(), "none"), LMTP: true}
		var said *reply.Error
		if err := hop.Deliver(context.Background(), note{strings.NewReader("x")}, "", "a@b.test"); err == nil || errors.As(err, &said) {
			t.Errorf("Deliver gives %v, want an error that is no reply", err)
		}
	})
}
