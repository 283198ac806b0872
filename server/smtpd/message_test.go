package smtpd

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// Everything that some server somewhere takes for the end of a message, with
// commands behind it.
func TestSmuggling(t *testing.T) {
	const smuggled = "MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nsmuggled\r\n.\r\n"
	tests := []struct {
		name, end string
		bare      bool
	}{
		{"LF . LF", "\n.\n", false},
		{"LF . CR LF", "\n.\r\n", false},
		{"CR LF . LF", "\r\n.\n", false},
		{"CR . CR", "\r.\r", true},
		{"CR . CR LF", "\r.\r\n", true},
		{"CR LF . CR", "\r\n.\r", true},
		{"LF . CR", "\n.\r", true},
		{"CR . LF", "\r.\n", true},
		{"CR CR LF . CR CR LF", "\r\r\n.\r\r\n", true},
		{"CR LF NUL . CR LF", "\r\n\x00.\r\n", true},
		{"CR LF . NUL CR LF", "\r\n.\x00\r\n", true},
		{"CR LF . space CR LF", "\r\n. \r\n", false},
	}
	for _, tt := range tests {
		for _, forgive := range []bool{false, true} {
			name := tt.name
			if forgive {
				name += ", forgiven"
			}
			t.Run(name, func(t *testing.T) {
				b := &accepting{}
				b.data = func(_ context.Context, c *Content) []error {
					if forgive {
						c.Forgive()
					}
					message, err := io.ReadAll(c)
					if err == nil {
						b.messages = append(b.messages, string(message))
					}
					return []error{err}
				}
				serving(t, Options{}, b, func(s *bench) {
					p := s.greeted()
					p.write("EHLO a\r\nMAIL FROM:<x@example.org>\r\nRCPT TO:<y@example.net>\r\nDATA\r\n")
					p.want("250 250 250 354")
					p.write("first" + tt.end + smuggled + "NOOP\r\n")
					// The first CR LF . CR LF is the one in smuggled.
					if tt.bare && !forgive {
						p.want("550/5.6.11 250")
					} else {
						p.want("250 250")
					}
				})
				if !slices.Equal(b.froms, []string{"x@example.org"}) || !slices.Equal(b.tos, []string{"y@example.net"}) {
					t.Errorf("somebody got in: from %q to %q", b.froms, b.tos)
				}
				if want := !tt.bare || forgive; want != (len(b.messages) == 1) {
					t.Fatalf("stored %d messages, want one: %v", len(b.messages), want)
				}
				for _, m := range b.messages {
					if strings.ContainsAny(strings.ReplaceAll(m, "\r\n", ""), "\r\n\x00") || !strings.HasSuffix(m, "smuggled\r\n") {
						t.Errorf("stored %q", m)
					}
				}
			})
		}
	}
}

// What follows a message that was refused in the middle is not lost, and not
// taken for something else.
func TestRefusedMessagesAreReadToTheirEnd(t *testing.T) {
	tests := []struct {
		name, body, want string
	}{
		{"too big", message(5000), "552/5.3.4"},
		{"exactly as big as allowed", strings.Repeat("x", 998) + "\r\n", "250/2.0.0"},
		{"one octet more", strings.Repeat("x", 999) + "\r\n", "552/5.3.4"},
		{"dots that are taken away do not count", ".." + strings.Repeat("x", 997) + "\r\n", "250/2.0.0"},
		{"bare CR", "a\rb\r\n" + message(500), "550/5.6.11"},
		{"bare CR, then too big", "a\rb\r\n" + message(5000), "550/5.6.11"},
		{"NUL", "a\x00b\r\n", "550/5.6.11"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			serving(t, Options{MaxMessage: 1000}, &accepting{}, func(s *bench) {
				p := s.greeted()
				for range 2 {
					p.write("EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\nDATA\r\n" + tt.body + ".\r\nNOOP\r\n")
					p.want("250 250 250 354 " + tt.want + " 250")
				}
			})
		})
	}
}

func TestLinesOfAnyLengthArriveWhole(t *testing.T) {
	for _, n := range []int{998, 1000, 4096, 65536, 1 << 20} {
		b := &accepting{}
		want := "Subject: x\r\n\r\n" + strings.Repeat("x", n-2) + "\r\nend\r\n"
		serving(t, Options{}, b, func(s *bench) {
			p := s.greeted()
			p.write("EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\nDATA\r\n" + want + ".\r\nQUIT\r\n")
			p.want("250 250 250 354 250 221 EOF")
		})
		if diff := cmp.Diff([]string{want}, b.messages); diff != "" {
			t.Errorf("line of %d octets: -want +got:\n%.300s", n, diff)
		}
	}
}

func TestWhatTheSessionLeavesUnreadIsSkipped(t *testing.T) {
	for _, read := range []int{0, 1, 100, 40000} {
		var kept *Content
		b := &accepting{data: func(_ context.Context, c *Content) []error {
			kept = c
			_, err := io.CopyN(io.Discard, c, int64(read))
			return []error{err}
		}}
		serving(t, Options{}, b, func(s *bench) {
			p := s.greeted()
			p.write("EHLO a\r\n")
			p.want("250")
			for range 2 {
				p.write("MAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\nDATA\r\n" + message(50000) + ".\r\n")
				p.want("250 250 354 250")
			}
			synctest.Wait()
			if _, err := kept.Read(make([]byte, 1)); err == nil {
				t.Error("a message can be read after Data has returned")
			}
		})
	}
}

func TestErrorOfReadIsTheAnswerWhereDataSaysNil(t *testing.T) {
	b := &accepting{data: func(_ context.Context, c *Content) []error {
		_, _ = io.Copy(io.Discard, c) // careless
		return nil
	}}
	serving(t, Options{MaxMessage: 10}, b, func(s *bench) {
		p := s.greeted()
		p.write("EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\nDATA\r\na\rb\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\nDATA\r\n0123456789\r\n.\r\n")
		p.want("250 250 250 354 550/5.6.11 250 250 354 552/5.3.4")
	})
}

func TestMessageWithoutItsEndIsNeverAnswered(t *testing.T) {
	for _, cut := range []string{"", "a", "a\r\n", "a\r\n.", "a\r\n.\r", "a\r\n.\n", "a\n.\n"} {
		var got error
		b := &accepting{data: func(_ context.Context, c *Content) []error {
			_, got = io.Copy(io.Discard, c)
			return nil // as if nothing had happened
		}}
		serving(t, Options{}, b, func(s *bench) {
			p := s.greeted()
			p.write("EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\nDATA\r\n" + cut)
			p.want("250 250 250 354")
			_ = p.raw.CloseWrite()
			p.want("EOF")
		})
		if got == nil || got == io.EOF {
			t.Errorf("cut behind %q: Read ends with %v", cut, got)
		}
	}
}

// A bare LF in a command line: no part of the line is carried out, neither
// before nor behind it.
func TestBareLFInCommands(t *testing.T) {
	tests := []struct{ name, say, want string }{
		{"in the middle", "MAIL FROM:<a@y.test>\nRCPT TO:<b@y.test>\r\nNOOP\r\n", "500/5.5.2 500/5.5.2 250"},
		{"at the end", "NOOP\nNOOP\r\nNOOP\r\n", "500 500 250"},
		{"twice", "NOOP\nNOOP\nNOOP\r\nNOOP\r\n", "500 500 500 250"},
		{"in a line that is too long", strings.Repeat("x", 3000) + "\nMAIL FROM:<a@y.test>\r\nNOOP\r\n", "500 250"},
		{"far into such a line", strings.Repeat("x", 70000) + "\n" + strings.Repeat("y", 70000) + "\r\nNOOP\r\n", "500 250"},
		{"CR CR LF", "NOOP\r\r\nNOOP\r\n", "500 250"},
		{"LF CR LF", "\n\r\nNOOP\r\n", "500 500 250"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &accepting{}
			serving(t, Options{}, b, func(s *bench) {
				p := s.greeted()
				p.do("EHLO a", "250")
				p.write(tt.say)
				p.want(tt.want)
			})
			if len(b.froms) > 0 {
				t.Errorf("MAIL was carried out: %q", b.froms)
			}
		})
	}
}

func TestOneLineWithoutEndIsNotReadForEver(t *testing.T) {
	serving(t, Options{}, &accepting{}, func(s *bench) {
		p := s.greeted()
		go func() {
			for {
				if _, err := p.c.Write(make([]byte, 10000)); err != nil {
					return
				}
			}
		}()
		p.want("421/4.7.0 EOF")
		_ = p.c.Close()
	})
}
