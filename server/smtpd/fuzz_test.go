package smtpd

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"homing/internal/memconn"
)

var replyLine = regexp.MustCompile(`^[2-5][0-9][0-9][ -][ -~]{0,500}$`)

// FuzzSession states what holds whatever a peer sends: we make no mistake that
// is worth a line in the log; what we say are replies; what is stored holds no
// bare CR, LF or NUL; and only CR LF . CR LF, or a last chunk, ends a message.
func FuzzSession(f *testing.F) {
	const start = "EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\n"
	for _, s := range []string{
		start + "DATA\r\nhi\r\n.\r\nQUIT\r\n", start + "DATA\r\n\n.\n\r.\r\r\n.\r\n",
		start + "BDAT 3\r\na\r\nBDAT 2 LAST\r\nb\n", start + "BDAT 3 LAST\r\na\x00\rRSET\r\n",
		"LHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\nRCPT TO:<z@y.test>\r\nDATA\r\n.\r\n",
		"EHLO a\r\nAUTH PLAIN\r\nAHVzZXIAc2VjcmV0\r\nAUTH LOGIN YQ==\r\n*\r\n",
		"NOOP\nNOOP\r\nSTARTTLS\r\nMAIL FROM:<\"a b\"@y.test> SIZE=1 ENVID=+41 SMTPUTF8\r\nRCPT TO:<\xc3\xa4@y.test> ORCPT=utf-8;\\x{E4}@y.test NOTIFY=NEVER\r\nRSET\r\n",
	} {
		for flags := range uint8(8) {
			f.Add([]byte(s), flags)
		}
	}
	f.Fuzz(func(t *testing.T, said []byte, flags uint8) {
		o := Options{Hostname: "mx.test", Auth: true, AllowInsecureAuth: true, SMTPUTF8: true, DSN: true,
			Chunking: flags&1 != 0, MaxMessage: 1000}
		if flags&2 != 0 {
			o.Kind = LMTP
		}
		var logs bytes.Buffer
		o.Log = slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelError}))
		b := &accepting{data: func(_ context.Context, c *Content) []error { return nil }}
		messages := 0
		b.data = func(_ context.Context, c *Content) []error {
			if flags&4 != 0 {
				c.Forgive()
			}
			message, err := io.ReadAll(c)
			if strings.ContainsAny(strings.ReplaceAll(string(message), "\r\n", ""), "\r\n\x00") {
				t.Errorf("stored %q", message)
			}
			if err == nil {
				messages++
			}
			return []error{err}
		}
		heard := converse(t, o, b, said)
		for line := range strings.SplitSeq(strings.TrimSuffix(heard, "\r\n"), "\r\n") {
			if !replyLine.MatchString(line) {
				t.Errorf("said %q", line)
			}
		}
		if logs.Len() > 0 {
			t.Errorf("mistakes of ours:\n%s", logs.String())
		}
		if b.open != 0 {
			t.Errorf("%d sessions are open", b.open)
		}
		ends := bytes.Count(bytes.ReplaceAll(said, []byte("\r\n.\r\n"), []byte("\r\n.\r\n\r\n")), []byte("\r\n.\r\n"))
		if !o.Chunking && messages > ends {
			t.Errorf("%d messages with %d ends", messages, ends)
		}
	})
}

// converse says all at once, and gives all that is answered.
func converse(t *testing.T, o Options, b Backend, said []byte) string {
	ctx, cancel := context.WithCancel(context.Background())
	l := memconn.Listen(nil)
	done := make(chan error, 1)
	go func() { done <- New(o, b).Serve(ctx, l) }()
	c, err := l.Dial(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = c.Write(said) // it may be cut off
		_ = c.CloseWrite()
	}()
	heard, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("reading the answers: %v", err)
	}
	_ = c.Close()
	<-written
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	return string(heard)
}

// FuzzMailbox states what an address is that reaches a Session: no control
// character, nothing that ends a path or a line, and taken again as it is.
func FuzzMailbox(f *testing.F) {
	for _, s := range []string{"<ann@example.net>", `<"a b"@example.net> SIZE=1`, `<"ann"@example.net>`, `<"a\"b\\"@[192.0.2.1]>`, "<@a,@b:c@d> X", "ann@example.net", "<>", "<\xc3\xa4@\xc3\xb6.test>"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, arg string, utf8 bool) {
		path, _, err := cutPath(arg)
		if err != nil {
			return
		}
		mailbox, err := parseMailbox(path, utf8)
		if err != nil {
			return
		}
		if strings.ContainsFunc(mailbox, func(r rune) bool { return r < ' ' || r == 0x7f }) || !utf8 && !isASCII(mailbox) {
			t.Errorf("%q gives %q", arg, mailbox)
		}
		again, params, err := cutPath("<" + mailbox + ">")
		if err == nil && params == "" {
			again, err = parseMailbox(again, utf8)
		}
		if err != nil || again != mailbox {
			t.Errorf("%q gives %q, which gives %q, %q, %v", arg, mailbox, again, params, err)
		}
	})
}
