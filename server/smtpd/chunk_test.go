package smtpd

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"homing/internal/reply"
)

func TestBDAT(t *testing.T) {
	const start = "EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\n"
	tests := []struct {
		name, say, want string
		messages        []string
	}{
		{"one chunk", start + "BDAT 6 LAST\r\na\r\nb\r\nNOOP\r\n", "250 250 250 250/2.0.0 250", []string{"a\r\nb\r\n"}},
		{"three chunks", start + "BDAT 3\r\na\r\nBDAT 3\r\nb\r\nBDAT 3 last\r\nc\r\n", "250 250 250 250/2.0.0 250/2.0.0 250/2.0.0", []string{"a\r\nb\r\nc\r\n"}},
		{"an empty last chunk", start + "BDAT 3\r\na\r\nBDAT 0 LAST\r\nNOOP\r\n", "250 250 250 250 250 250", []string{"a\r\n"}},
		{"a dot is a dot", start + "BDAT 13 LAST\r\n..a\r\n.\r\nb\r\n\r\nNOOP\r\n", "250 250 250 250 250", []string{"..a\r\n.\r\nb\r\n\r\n"}},
		{"bare LF becomes CR LF", start + "BDAT 4 LAST\r\na\nb\n", "250 250 250 250", []string{"a\r\nb\r\n"}},
		{"CR and LF in two chunks", start + "BDAT 2\r\na\rBDAT 3 LAST\r\n\nb\n", "250 250 250 250 250", []string{"a\r\nb\r\n"}},
		{"last line without an end", start + "BDAT 4 LAST\r\na\r\nb", "250 250 250 250", []string{"a\r\nb\r\n"}},
		{"bare CR", start + "BDAT 4 LAST\r\na\rb\nNOOP\r\n", "250 250 250 550/5.6.11 250", nil},
		{"CR at the very end", start + "BDAT 2 LAST\r\na\rNOOP\r\n", "250 250 250 550/5.6.11 250", nil},
		{"NUL", start + "BDAT 3 LAST\r\na\x00bNOOP\r\n", "250 250 250 550/5.6.11 250", nil},
		{"too big in one chunk", start + "BDAT 101 LAST\r\n" + strings.Repeat("x", 101) + "NOOP\r\n", "250 250 250 552/5.3.4 250", nil},
		{"too big in the second: the third belongs to nobody", start + "BDAT 60\r\n" + strings.Repeat("x", 60) + "BDAT 60\r\n" + strings.Repeat("x", 60) + "BDAT 5 LAST\r\nNOOP\nNOOP\r\n",
			"250 250 250 250 552/5.3.4 503/5.5.1 250", nil},
		{"without RCPT the chunk is no command", "EHLO a\r\nMAIL FROM:<>\r\nBDAT 6 LAST\r\nRSET\r\nNOOP\r\n", "250 250 503/5.5.1 250", nil},
		{"without MAIL", "EHLO a\r\nBDAT 6 LAST\r\nRSET\r\nNOOP\r\n", "250 503/5.5.1 250", nil},
		{"RSET between chunks", start + "BDAT 3\r\na\r\nRSET\r\nMAIL FROM:<>\r\n", "250 250 250 250 250 250", nil},
		{"NOOP between chunks", start + "BDAT 3\r\na\r\nNOOP\r\nBDAT 3 LAST\r\nb\r\n", "250 250 250 250 250 250", []string{"a\r\nb\r\n"}},
		{"QUIT between chunks", start + "BDAT 3\r\na\r\nQUIT\r\n", "250 250 250 250 221 EOF", nil},
		{"other commands between chunks", start + "BDAT 3\r\na\r\nMAIL FROM:<>\r\nDATA\r\nNO\nOP\r\nBDAT 0 LAST\r\n", "250 250 250 250 503/5.5.1 503/5.5.1 500 500 250", []string{"a\r\n"}},
		{"no size", start + "BDAT\r\nNOOP\r\n", "250 250 250 501/5.5.4 EOF", nil},
		{"negative size", start + "BDAT -1\r\nNOOP\r\n", "250 250 250 501/5.5.4 EOF", nil},
		{"size over 63 bits", start + "BDAT 9223372036854775808 LAST\r\nNOOP\r\n", "250 250 250 501/5.5.4 EOF", nil},
		{"hexadecimal size", start + "BDAT 0x10 LAST\r\nNOOP\r\n", "250 250 250 501/5.5.4 EOF", nil},
		{"something else than LAST", start + "BDAT 3 FIRST\r\nNOOP\r\n", "250 250 250 501/5.5.4 EOF", nil},
		{"too many words", start + "BDAT 3 LAST 4\r\nNOOP\r\n", "250 250 250 501/5.5.4 EOF", nil},
		{"malformed between chunks", start + "BDAT 3\r\na\r\nBDAT x\r\nNOOP\r\n", "250 250 250 250 501/5.5.4 EOF", nil},
		{"malformed before MAIL", "EHLO a\r\nBDAT x\r\nNOOP\r\n", "250 501/5.5.4 EOF", nil},
		{"a chunk that nobody can wait for", "EHLO a\r\nBDAT 9223372036854775807 LAST\r\nNOOP\r\n", "250 552/5.3.4 EOF", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &accepting{}
			serving(t, Options{Chunking: true, MaxMessage: 100, MaxErrors: 10}, b, func(s *bench) {
				p := s.greeted()
				p.write(tt.say)
				p.want(tt.want)
			})
			if !slices.Equal(b.messages, tt.messages) {
				t.Errorf("stored %q, want %q", b.messages, tt.messages)
			}
		})
	}
}

func TestBDATAnswersOfTheSession(t *testing.T) {
	const say = "EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\nBDAT 6\r\nRSET\r\nBDAT 6 LAST\r\nRSET\r\nNOOP\r\n"
	no := []error{reply.Errorf(451, reply.Enhanced{4, 3, 0}, "no")}
	tests := []struct {
		name string
		data func(context.Context, *Content) []error
		want string
	}{
		{"no, unread: the answer is to the first chunk", func(context.Context, *Content) []error { return no }, "250 250 250 451 503 250"},
		{"yes, unread: the answer is to the last", func(context.Context, *Content) []error { return nil }, "250 250 250 250 250 250"},
		{"no, read", func(_ context.Context, c *Content) []error { _, _ = io.Copy(io.Discard, c); return no }, "250 250 250 250 451 250"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			serving(t, Options{Chunking: true}, &accepting{data: tt.data}, func(s *bench) {
				p := s.greeted()
				p.write(say)
				p.want(tt.want)
			})
		})
	}
}

func TestResetBetweenChunksIsNoEndOfTheMessage(t *testing.T) {
	var got error
	b := &accepting{data: func(_ context.Context, c *Content) []error {
		_, got = io.Copy(io.Discard, c)
		return nil
	}}
	for _, say := range []string{"RSET\r\n", "QUIT\r\n", "BDAT x\r\n", ""} {
		serving(t, Options{Chunking: true}, b, func(s *bench) {
			p := s.greeted()
			p.write("EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\nBDAT 3\r\na\r\n" + say)
			p.want("250 250 250 250")
			_ = p.raw.CloseWrite()
			for r := p.reply(); r != "EOF"; r = p.reply() {
				if say == "" {
					t.Errorf("after the end: %q", r)
				}
			}
		})
		if got == nil || errors.Is(got, io.EOF) {
			t.Errorf("after %q: Read ends with %v", say, got)
		}
	}
}

func TestLMTPWithBDATAnswersForEach(t *testing.T) {
	serving(t, Options{Kind: LMTP, Chunking: true}, &accepting{}, func(s *bench) {
		p := s.greeted()
		p.write("LHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@y.test>\r\nRCPT TO:<b@y.test>\r\nBDAT 3\r\na\r\nBDAT 3 LAST\r\nb\r\nNOOP\r\n")
		p.want("250 250 250 250 250 250 250 250")
	})
}
