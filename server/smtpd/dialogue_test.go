package smtpd

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homing/internal/reply"
)

// Each dialogue is said twice: line by line, and all at once.
func TestDialogues(t *testing.T) {
	full := Options{SMTPUTF8: true, DSN: true, MaxMessage: 1000, MaxRecipients: 3}
	lmtp := full
	lmtp.Kind = LMTP
	auth := full
	auth.Auth, auth.AllowInsecureAuth = true, true
	tests := []struct {
		name string
		o    Options
		say  string
		want string
	}{
		{"RSET ends a transaction", full, "EHLO a,MAIL x,RCPT y,RSET,DATA", "250 250 250 250 503"},
		{"EHLO ends a transaction", full, "EHLO a,MAIL x,RCPT y,EHLO a,DATA", "250 250 250 250 503"},
		{"HELO is enough", full, "HELO a,MAIL x,RCPT y,DATA,.", "250 250 250 354 250"},
		{"case of verbs does not matter", full, "ehlo a,mAiL FROM:<x@y.test>,rcpt to:<z@y.test>,Data,.,quit", "250 250 250 354 250 221"},
		{"MAIL before EHLO", full, "MAIL x", "503/5.5.1"},
		{"RCPT before EHLO", full, "RCPT x", "503/5.5.1"},
		{"RCPT before MAIL", full, "EHLO a,RCPT x", "250 503/5.5.1"},
		{"DATA before MAIL", full, "EHLO a,DATA", "250 503/5.5.1"},
		{"DATA before RCPT", full, "EHLO a,MAIL x,DATA", "250 250 503/5.5.1"},
		{"nested MAIL leaves the transaction alone", full, "EHLO a,MAIL x,RCPT y,MAIL z,DATA,.", "250 250 250 503/5.5.1 354 250"},
		{"two messages", full, "EHLO a,MAIL x,RCPT y,DATA,.,MAIL x,RCPT y,DATA,.", "250 250 250 354 250/2.0.0 250 250 354 250"},
		{"after a message MAIL is needed again", full, "EHLO a,MAIL x,RCPT y,DATA,.,RCPT z,DATA", "250 250 250 354 250 503 503"},
		{"null reverse-path", full, "EHLO a,MAIL FROM:<>,RCPT y,DATA,.", "250 250/2.1.0 250/2.1.5 354 250"},
		{"EHLO without a name", full, "EHLO,HELO,EHLO  ,EHLO a", "501/5.5.4 501 501 250"},
		{"EHLO with an address literal", full, "EHLO [192.0.2.1],EHLO [IPv6:2001:db8::1]", "250 250"},
		{"EHLO that is not ASCII", full, "EHLO \xc3\xa4", "501/5.5.4"},
		{"EHLO with a control character", full, "EHLO a\x01b", "501/5.5.4"},
		{"recipients over the limit", full, "EHLO a,MAIL x,RCPT a,RCPT b,RCPT c,RCPT d,DATA,.", "250 250 250 250 250 452/4.5.3 354 250"},
		{"SIZE over the limit", full, "EHLO a,MAIL FROM:<x@y.test> SIZE=1001,RCPT y", "250 552/5.3.4 503"},
		{"SIZE of 30 digits", full, "EHLO a,MAIL FROM:<x@y.test> SIZE=100000000000000000000000000000", "250 552/5.3.4"},
		{"SIZE at the limit", full, "EHLO a,MAIL FROM:<x@y.test> SIZE=1000", "250 250"},
		{"SIZE that is no number", full, "EHLO a,MAIL FROM:<x@y.test> SIZE=ten", "250 501/5.5.4"},
		{"parameter twice", full, "EHLO a,MAIL FROM:<x@y.test> SIZE=1 size=2", "250 501/5.5.4"},
		{"unknown parameters", full, "EHLO a,MAIL FROM:<x@y.test> FOO=1,MAIL x,RCPT TO:<y@y.test> BAR", "250 555/5.5.4 250 555/5.5.4"},
		{"BODY", full, "EHLO a,MAIL FROM:<x@y.test> BODY=8BITMIME,RSET,MAIL FROM:<x@y.test> body=7bit,RSET,MAIL FROM:<x@y.test> BODY=BINARYMIME", "250 250 250 250 250 501"},
		{"DSN where it is not offered", Options{}, "EHLO a,MAIL FROM:<x@y.test> RET=HDRS,MAIL x,RCPT TO:<y@y.test> NOTIFY=NEVER", "250 555 250 555"},
		{"AUTH= where AUTH is not offered", full, "EHLO a,MAIL FROM:<x@y.test> AUTH=<>", "250 555"},
		{"AUTH= where it is", auth, "EHLO a,MAIL FROM:<x@y.test> AUTH=<>", "250 250"},
		{"8-bit sender without SMTPUTF8", full, "EHLO a,MAIL FROM:<\xc3\xa4@y.test>", "250 553/5.6.7"},
		{"8-bit recipient without SMTPUTF8", full, "EHLO a,MAIL x,RCPT TO:<\xc3\xa4@y.test>", "250 250 553/5.6.7"},
		{"8-bit addresses with SMTPUTF8", full, "EHLO a,MAIL FROM:<\xc3\xa4@y.test> SMTPUTF8,RCPT TO:<\xc3\xb6@y.test>", "250 250 250"},
		{"addresses that are not UTF-8", full, "EHLO a,MAIL FROM:<\xff@y.test> SMTPUTF8", "250 501/5.1.7"},
		{"SMTPUTF8 where it is not offered", Options{}, "EHLO a,MAIL FROM:<x@y.test> SMTPUTF8", "250 555"},
		{"control characters in addresses", full, "EHLO a,MAIL FROM:<x\x7f@y.test>,MAIL FROM:<\"x\x01\"@y.test>,MAIL x,RCPT TO:<\ty@y.test>", "250 501/5.1.7 501/5.1.7 250 501/5.1.3"},
		{"no address", full, "EHLO a,MAIL,MAIL x@y.test,MAIL FROM:,MAIL x,RCPT TO:<>,RCPT FROM:<x@y.test>", "250 501/5.5.4 501/5.5.4 501/5.5.4 250 501/5.1.3 501/5.5.4"},
		{"postmaster without a domain", full, "EHLO a,MAIL x,RCPT TO:<PostMaster>,MAIL FROM:<postmaster>", "250 250 250 503"},
		{"postmaster without a domain sends nothing", full, "EHLO a,MAIL FROM:<postmaster>", "250 501/5.1.7"},
		{"words that need no session", full, "NOOP,NOOP hello,HELP,VRFY ann,EXPN list,RSET,ETRN x,TURN,QUIT", "250/2.0.0 250 214/2.0.0 252/2.5.0 502/5.5.1 250 502 502 221/2.0.0"},
		{"unknown commands", full, "FOO,STARTTLSX,EHLOX a,,X", "500/5.5.2 500 500 500 500"},
		{"arguments where none are allowed", full, "EHLO a,MAIL x,RCPT y,DATA 1,RSET 1,DATA,.", "250 250 250 501/5.5.4 501/5.5.4 354 250"},
		{"STARTTLS without a certificate", full, "EHLO a,STARTTLS", "250 502/5.5.1"},
		{"AUTH where it is not offered", full, "EHLO a,AUTH PLAIN", "250 502/5.5.1"},
		{"AUTH before EHLO", auth, "AUTH PLAIN AHVzZXIAc2VjcmV0", "503/5.5.1"},
		{"AUTH in a transaction", auth, "EHLO a,MAIL x,AUTH PLAIN AHVzZXIAc2VjcmV0", "250 250 503/5.5.1"},
		{"LHLO over SMTP", full, "LHLO a,MAIL x", "500/5.5.1 503"},
		{"EHLO over LMTP", lmtp, "EHLO a,HELO a,LHLO a", "500/5.5.1 500 250"},
		{"LMTP answers for each recipient", lmtp, "LHLO a,MAIL x,RCPT a,RCPT b,DATA,.,NOOP", "250 250 250 250 354 250 250 250"},
		{"BDAT where it is not offered ends the connection", full, "EHLO a,MAIL x,RCPT y,BDAT 4,NOOP", "250 250 250 502/5.5.1 EOF"},
		{"a browser", full, "POST / HTTP/1.1,Host: localhost", "421/4.7.0 EOF"},
		{"twenty errors", full, strings.Repeat("FOO,", 20) + "NOOP", strings.Repeat("500 ", 20) + "421/4.7.0"},
		{"nineteen errors and a message", full, "EHLO a," + strings.Repeat("FOO,", 19) + "MAIL x,RCPT y,DATA,.,FOO,NOOP", "250 " + strings.Repeat("500 ", 19) + "250 250 354 250 500 250"},
		{"a control character in a line that needs none", full, "NOOP a\x00b,NOOP a\rb,NOOP", "500/5.5.2 500/5.5.2 250"},
		{"command lines of 998 and 1,000 octets", full, "NOOP " + strings.Repeat("x", 991) + ",NOOP " + strings.Repeat("x", 993), "250 250"},
		{"command line of 2,000 octets", full, "NOOP " + strings.Repeat("x", 1993) + ",NOOP", "250 250"},
		{"command line of 2,001 octets", full, "NOOP " + strings.Repeat("x", 1994) + ",NOOP", "500/5.5.2 250"},
		{"command line of 4,096 octets", full, "NOOP " + strings.Repeat("x", 4089) + ",NOOP", "500/5.5.2 250"},
		{"command line of 65,536 octets", full, "NOOP " + strings.Repeat("x", 65529) + ",NOOP", "500/5.5.2 250"},
		{"AUTH line of 12,288 octets is read", full, "EHLO a,AUTH PLAIN " + strings.Repeat("A", 12275) + ",NOOP", "250 502/5.5.1 250"},
		{"AUTH line of 12,289 octets", full, "EHLO a,AUTH PLAIN " + strings.Repeat("A", 12276) + ",NOOP", "250 500/5.5.2 250"},
	}
	for _, tt := range tests {
		lines := strings.Split(tt.say, ",")
		for i := range lines {
			lines[i] = expand(lines[i]) + "\r\n"
		}
		t.Run(tt.name, func(t *testing.T) {
			serving(t, tt.o, &accepting{}, func(b *bench) {
				p := b.greeted()
				replies := strings.Fields(tt.want)
				for i, line := range lines {
					if i >= len(replies) {
						break // the connection is gone, or it was LMTP
					}
					_, _ = p.c.Write([]byte(line)) // it may be closed already
					p.want(replies[i])
				}
				for _, r := range replies[min(len(lines), len(replies)):] {
					p.want(r)
				}
				_ = p.c.Close()
			})
		})
		t.Run(tt.name+", pipelined", func(t *testing.T) {
			serving(t, tt.o, &accepting{}, func(b *bench) {
				p := b.greeted()
				go func() {
					_, _ = p.c.Write([]byte(strings.Join(lines, ""))) // it may be cut off
				}()
				p.want(tt.want)
				_ = p.c.Close()
			})
		})
	}
}

func TestEHLO(t *testing.T) {
	tests := []struct {
		name string
		o    Options
		say  string
		want string
	}{
		{"an MX", Options{MaxMessage: 10485760, AdvertiseSize: true, SMTPUTF8: true, DSN: true, Chunking: true}, "EHLO a",
			"250-mx.test|250-PIPELINING|250-8BITMIME|250-ENHANCEDSTATUSCODES|250-SIZE 10485760|250-DSN|250-SMTPUTF8|250 CHUNKING"},
		{"SIZE without a number", Options{MaxMessage: 10485760}, "EHLO a",
			"250-mx.test|250-PIPELINING|250-8BITMIME|250-ENHANCEDSTATUSCODES|250 SIZE"},
		{"loopback may log in without TLS", Options{Kind: Submission, Auth: true, AllowInsecureAuth: true}, "EHLO a",
			"250-mx.test|250-PIPELINING|250-8BITMIME|250-ENHANCEDSTATUSCODES|250-SIZE|250 AUTH PLAIN LOGIN"},
		{"others may not, and REQUIRETLS needs TLS", Options{Kind: Submission, Auth: true, RequireTLS: true}, "EHLO a",
			"250-mx.test|250-PIPELINING|250-8BITMIME|250-ENHANCEDSTATUSCODES|250 SIZE"},
		{"HELO has no keywords", Options{DSN: true}, "HELO a", "250 mx.test"},
		{"LMTP", Options{Kind: LMTP}, "LHLO a", "250-mx.test|250-PIPELINING|250-8BITMIME|250-ENHANCEDSTATUSCODES|250 SIZE"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			serving(t, tt.o, &accepting{}, func(b *bench) {
				p := b.greeted()
				p.write(tt.say + "\r\n")
				if diff := cmp.Diff(strings.Split(tt.want, "|"), strings.Split(p.reply(), "|")); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		})
	}
}

func TestSessionGetsWhatWasSaid(t *testing.T) {
	b := &accepting{}
	serving(t, Options{SMTPUTF8: true, DSN: true, MaxMessage: 1000}, b, func(s *bench) {
		p := s.greeted()
		p.do("EHLO client.example.org extra", "250")
		p.do(`MAIL FROM:<"a b"@Example.org> SIZE=10 BODY=8BITMIME RET=hdrs ENVID=QQ+2B+2D1 SMTPUTF8`, "250")
		p.do("RCPT TO:<@relay.example.com:ann@example.net> NOTIFY=success,Failure ORCPT=RFC822;ann+2Bx@example.net", "250")
		p.do("RCPT TO:<Postmaster> NOTIFY=never", "250")
		p.do("RCPT TO:<\xc3\xa4@example.net> ORCPT=utf-8;\\x{E4}@example.net", "250")
		p.do("DATA", "354")
		p.do("Subject: x\r\n\r\n..\r\n.", "250")
		p.do("QUIT", "221 EOF")
	})
	type record struct {
		Hellos, Froms, Tos, Messages []string
		Mails                        []MailOptions
		Rcpts                        []RcptOptions
		Resets, UID                  int
	}
	got := record{b.hellos, b.froms, b.tos, b.messages, b.mails, b.rcpts, b.resets, b.conns[0].UID}
	want := record{
		Hellos: []string{"client.example.org"}, Froms: []string{`"a b"@Example.org`},
		Tos:      []string{"ann@example.net", "postmaster", "ä@example.net"},
		Messages: []string{"Subject: x\r\n\r\n.\r\n"},
		Mails:    []MailOptions{{Size: 10, EightBit: true, UTF8: true, EnvelopeID: "QQ+-1", Return: "HDRS"}},
		Rcpts: []RcptOptions{{Notify: "SUCCESS,FAILURE", Original: "rfc822;ann+x@example.net"},
			{Notify: "NEVER"}, {Original: "utf-8;ä@example.net"}},
		Resets: 1, UID: -1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNestedMailKeepsSenderAndRecipients(t *testing.T) {
	b := &accepting{}
	serving(t, Options{}, b, func(s *bench) {
		p := s.greeted()
		for _, line := range []string{"EHLO a", "MAIL x", "RCPT y"} {
			p.do(expand(line), "250")
		}
		p.do("MAIL FROM:<other@example.org>", "503/5.5.1")
		p.do("RCPT TO:<z@example.net>", "250")
		p.do("DATA", "354")
		p.do("hi\r\n.", "250")
	})
	if len(b.froms) != 1 || len(b.tos) != 2 || len(b.messages) != 1 {
		t.Errorf("the session saw %q to %q, %d messages", b.froms, b.tos, len(b.messages))
	}
}

func TestAnswersOfTheSession(t *testing.T) {
	refusal := func(code int, e reply.Enhanced) func(string) error {
		return func(string) error { return reply.Errorf(code, e, "because\nof this \x07\xc3\xa4") }
	}
	tests := []struct {
		name string
		b    *accepting
		say  string
		want string
	}{
		{"to EHLO", &accepting{hello: refusal(550, reply.Enhanced{5, 7, 1})}, "EHLO a,MAIL x", "550/5.7.1 503"},
		{"MAIL refused", &accepting{mail: func(context.Context, string) error { return reply.Errorf(451, reply.Enhanced{4, 7, 1}, "later") }},
			"EHLO a,MAIL x,RCPT y,DATA,MAIL x", "250 451/4.7.1 503 503 451"},
		{"RCPT refused for good", &accepting{rcpt: refusal(550, reply.Enhanced{5, 1, 1})}, "EHLO a,MAIL x,RCPT y,DATA", "250 250 550/5.1.1 554/5.5.1"},
		{"RCPT refused for now", &accepting{rcpt: refusal(450, reply.Enhanced{4, 2, 0})}, "EHLO a,MAIL x,RCPT y,DATA", "250 250 450/4.2.0 451/4.5.1"},
		{"without an enhanced code", &accepting{rcpt: refusal(550, reply.Enhanced{})}, "EHLO a,MAIL x,RCPT y", "250 250 550/5.0.0"},
		{"251 is positive", &accepting{rcpt: refusal(251, reply.Enhanced{2, 1, 5})}, "EHLO a,MAIL x,RCPT y,DATA,.", "250 250 251/2.1.5 354 250"},
		{"421 ends the connection", &accepting{rcpt: refusal(421, reply.Enhanced{4, 7, 0})}, "EHLO a,MAIL x,RCPT y,NOOP", "250 250 421/4.7.0 EOF"},
		{"354 is no answer", &accepting{rcpt: refusal(354, reply.Enhanced{})}, "EHLO a,MAIL x,RCPT y,NOOP", "250 250 451/4.3.0 250"},
		{"an error that nobody classified", &accepting{rcpt: func(string) error { return context.DeadlineExceeded }}, "EHLO a,MAIL x,RCPT y", "250 250 451/4.4.1"},
		{"to the dot", &accepting{data: func(context.Context, *Content) []error {
			return []error{reply.Errorf(554, reply.Enhanced{5, 7, 1}, "no")}
		}},
			"EHLO a,MAIL x,RCPT y,DATA,hi,.,NOOP", "250 250 250 354 554/5.7.1 250"},
		{"a positive one to the dot", &accepting{data: func(context.Context, *Content) []error {
			return []error{reply.Errorf(250, reply.Enhanced{2, 6, 0}, "kept")}
		}},
			"EHLO a,MAIL x,RCPT y,DATA,hi,.,NOOP", "250 250 250 354 250/2.6.0 250"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			serving(t, Options{}, tt.b, func(b *bench) {
				p := b.greeted()
				for line := range strings.SplitSeq(tt.say, ",") {
					p.write(expand(line) + "\r\n")
				}
				p.want(tt.want)
			})
		})
	}
}

func TestReplyTextIsHarmlessAndKeepsItsLines(t *testing.T) {
	long := strings.Repeat("x", 1000)
	b := &accepting{rcpt: func(string) error {
		return &reply.Error{Reply: reply.Reply{Code: 550, Enhanced: reply.Enhanced{5, 1, 1}, Text: "a\r\nb\x00\xc3\xa4\rc\n" + long + "\n"}}
	}}
	serving(t, Options{}, b, func(s *bench) {
		p := s.greeted()
		p.write("EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<x@y.test>\r\n")
		p.want("250 250")
		want := "550-5.1.1 a|550-5.1.1 b????c|550-5.1.1 " + long[:480] + "|550-5.1.1 " + long[:480] + "|550 5.1.1 " + long[:40]
		if got := p.reply(); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}

func TestRefusedGreeting(t *testing.T) {
	for code, want := range map[int]string{554: "554/5.3.2 EOF", 421: "421/4.3.2 EOF", 450: "421/4.3.2 EOF"} {
		b := &accepting{newSession: func(Conn) error {
			return reply.Errorf(code, reply.Enhanced{code / 100, 3, 2}, "no")
		}}
		serving(t, Options{}, b, func(s *bench) { s.dial(nil).want(want) })
	}
}

func TestLMTPAnswersDiffer(t *testing.T) {
	no := reply.Errorf(552, reply.Enhanced{5, 2, 2}, "full")
	tests := []struct {
		name    string
		answers []error
		want    string
	}{
		{"nil is 250 for all", nil, "250 250 250"},
		{"one counts for all", []error{no}, "552 552 552"},
		{"each its own", []error{nil, no, nil}, "250 552/5.2.2 250"},
		{"too few: the others wait", []error{nil, no}, "250 552 451/4.3.0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &accepting{data: func(context.Context, *Content) []error { return tt.answers }}
			serving(t, Options{Kind: LMTP}, b, func(s *bench) {
				p := s.greeted()
				p.write("LHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@y.test>\r\nRCPT TO:<a@y.test>\r\nRCPT TO:<b@y.test>\r\nDATA\r\nhi\r\n.\r\nNOOP\r\n")
				p.want("250 250 250 250 250 354 " + tt.want + " 250")
			})
		})
	}
}
