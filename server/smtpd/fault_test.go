package smtpd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"homing/internal/memconn"
	"homing/internal/reply"
)

func TestPanicEndsTheDialogueAndNothingElse(t *testing.T) {
	const transaction = "EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\n"
	tests := []struct {
		name string
		b    *accepting
		say  string
		want string
	}{
		{"in NewSession", &accepting{newSession: func(Conn) error { panic("oops") }}, "", "421/4.3.0 EOF"},
		{"in Hello", &accepting{hello: func(string) error { panic("oops") }}, "EHLO a\r\n", "220 421/4.3.0 EOF"},
		{"in Auth", &accepting{auth: func(_, _ string) error { panic("oops") }}, "EHLO a\r\nAUTH PLAIN AGEAYg==\r\n", "220 250 421/4.3.0 EOF"},
		{"in Mail", &accepting{mail: func(context.Context, string) error { panic("oops") }}, "EHLO a\r\nMAIL FROM:<>\r\n", "220 250 421/4.3.0 EOF"},
		{"in Rcpt", &accepting{rcpt: func(string) error { panic("oops") }}, transaction, "220 250 250 421/4.3.0 EOF"},
		{"in Data", &accepting{data: func(context.Context, *Content) []error { panic("oops") }}, transaction + "DATA\r\nhi\r\n.\r\n", "220 250 250 250 354 421/4.3.0 EOF"},
		{"in Data while it reads", &accepting{data: func(_ context.Context, c *Content) []error {
			var b [1]byte
			_, _ = c.Read(b[:])
			panic("oops")
		}}, transaction + "BDAT 4\r\nhi\r\n", "220 250 250 250 421/4.3.0 EOF"},
		{"in Close", &accepting{closing: func() { panic("oops") }}, "QUIT\r\n", "220 221 EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := NewMetrics(prometheus.NewRegistry())
			if err != nil {
				t.Fatal(err)
			}
			var logs string
			serving(t, Options{Auth: true, AllowInsecureAuth: true, Chunking: true, Metrics: m}, tt.b, func(s *bench) {
				p := s.dial(nil)
				if tt.say != "" {
					p.write(tt.say)
				}
				p.want(tt.want)
				s.waitStopped()
				logs = s.logs.String()
				tt.b.open = 0 // Close may have panicked before it counted
			})
			for _, want := range []string{"level=ERROR", "oops", "goroutine", "peer=memory"} {
				if !strings.Contains(logs, want) {
					t.Errorf("no %q in the log:\n%s", want, logs)
				}
			}
			if got := testutil.ToFloat64(m.Faults.WithLabelValues("smtp")); got != 1 {
				t.Errorf("%v faults are counted", got)
			}
		})
	}
}

// exploding is a connection that shows what a mistake in the edge would do.
type exploding struct{ net.Conn }

func (exploding) Read([]byte) (int, error) { panic("oops") }

type explodingListener struct{ net.Listener }

func (l explodingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return exploding{c}, err
}

func TestPanicOfTheEdgeEndsTheDialogueAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		l := memconn.Listen(nil)
		var logs strings.Builder
		done := make(chan error)
		o := Options{Log: slog.New(slog.NewTextHandler(&logs, nil))}
		go func() { done <- New(o, &accepting{}).Serve(ctx, explodingListener{l}) }()
		s := &bench{t: t, l: l}
		for range 2 {
			s.greeted().want("421/4.3.0 EOF")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if !strings.Contains(logs.String(), "oops") {
			t.Errorf("log:\n%s", logs.String())
		}
	})
}

// What go-smtp cannot have said means that it and the edge are out of step.
func TestDisagreementWithGoSMTPEndsTheDialogue(t *testing.T) {
	serving(t, Options{}, &accepting{}, func(s *bench) {
		client, server := memconn.Pipe(nil, nil)
		ctx, cancel := context.WithCancel(s.t.Context())
		r := &run{census: NewCensus(), edges: map[*edge]struct{}{}}
		e := &edge{run: r, o: s.srv.options.Load(), raw: server, conn: server, ctx: ctx, cancel: cancel, opened: true}
		r.enter(e)
		e.expect = '2'
		if n, err := e.Write([]byte("250 fine\r\n")); n != 10 || err != nil || e.ended {
			t.Errorf("Write says %d, %v; ended: %v", n, err, e.ended)
		}
		if _, err := e.Write([]byte("501 no\r\n")); err != nil || !e.ended {
			t.Errorf("Write says %v; ended: %v", err, e.ended)
		}
		_ = e.Close() // as go-smtp does
		buf := make([]byte, 100)
		if n, _ := client.Read(buf); !strings.HasPrefix(string(buf[:n]), "421 4.3.0 ") {
			t.Errorf("the peer is told %q", buf[:n])
		}
		r.census.total = 0
	})
}

func TestConnectionsFromOneAddress(t *testing.T) {
	m, err := NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	serving(t, Options{MaxPerAddress: 2, Metrics: m}, &accepting{}, func(s *bench) {
		first, second := s.dial(tcp("192.0.2.1")), s.dial(tcp("192.0.2.1"))
		first.want("220")
		second.want("220")
		s.dial(tcp("192.0.2.1")).want("421/4.7.0 EOF")
		s.dial(tcp("192.0.2.2")).want("220")
		first.do("QUIT", "221 EOF")
		synctest.Wait()
		s.dial(tcp("192.0.2.1")).want("220")
		for range 2 {
			s.dial(tcp("2001:db8::1")).want("220")
		}
		s.dial(tcp("2001:db8::2")).want("421/4.7.0 EOF")
		if got := testutil.ToFloat64(m.Open.WithLabelValues("smtp")); got != 5 {
			t.Errorf("%v connections are counted as open", got)
		}
	})
	if got := testutil.ToFloat64(m.Connections.WithLabelValues("smtp", "address")); got != 2 {
		t.Errorf("%v connections are counted as refused", got)
	}
	if got := testutil.ToFloat64(m.Open.WithLabelValues("smtp")); got != 0 {
		t.Errorf("in the end, %v connections are counted as open", got)
	}
}

func TestConnectionsInAll(t *testing.T) {
	serving(t, Options{MaxConnections: 1}, &accepting{}, func(s *bench) {
		first := s.greeted()
		s.dial(nil).want("421/4.3.2 EOF")
		s.srv.SetOptions(Options{Hostname: "mx.test", MaxConnections: 2})
		s.greeted()
		s.dial(nil).want("421/4.3.2 EOF")
		first.do("QUIT", "221 EOF")
		synctest.Wait()
		s.greeted()
	})
}

// Whoever cannot be told to come again waits instead.
func TestSubmissionWaitsForRoom(t *testing.T) {
	serving(t, Options{Kind: Submission, MaxConnections: 1}, &accepting{}, func(s *bench) {
		first := s.greeted()
		second := make(chan *peer)
		go func() { second <- s.greeted() }()
		synctest.Wait()
		select {
		case <-second:
			t.Error("the second connection did not wait")
		default:
		}
		first.do("QUIT", "221 EOF")
		(<-second).do("NOOP", "250")
	})
}

// failing is a listener whose Accept fails a few times.
type failing struct {
	net.Listener
	errs []error
}

func (f *failing) Accept() (net.Conn, error) {
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return nil, &net.OpError{Op: "accept", Err: err}
	}
	return f.Listener.Accept()
}

func TestAcceptingPausesWithoutDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		l := memconn.Listen(nil)
		errs := []error{syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED, syscall.EMFILE}
		done := make(chan error)
		start := time.Now()
		go func() {
			done <- New(Options{}, &accepting{}).Serve(ctx, &failing{l, errs})
		}()
		s := &bench{t: t, l: l}
		s.greeted()
		if got, want := time.Since(start), (5+10+20+40)*time.Millisecond; got != want {
			t.Errorf("accepting went on after %v, want %v", got, want)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestListenerThatFailsEndsServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		l := &failing{memconn.Listen(nil), []error{broken}}
		if err := New(Options{}, &accepting{}).Serve(t.Context(), l); !errors.Is(err, broken) {
			t.Errorf("Serve says %v", err)
		}
	})
}

func TestServeAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := New(Options{}, &accepting{}).Serve(ctx, memconn.Listen(nil)); err != nil {
		t.Errorf("Serve says %v", err)
	}
}

func TestMetrics(t *testing.T) {
	r := prometheus.NewRegistry()
	m, err := NewMetrics(r)
	if err != nil {
		t.Fatal(err)
	}
	b := &accepting{data: func(_ context.Context, c *Content) []error {
		first := make([]byte, 1)
		if _, err := c.Read(first); err != nil {
			return []error{err}
		}
		switch first[0] {
		case '4':
			return []error{errors.New("no disk")}
		case '5':
			return []error{reply.Errorf(550, reply.Enhanced{5, 7, 1}, "no")}
		}
		return nil
	}}
	serving(t, Options{Metrics: m, Auth: true, AllowInsecureAuth: true}, b, func(s *bench) {
		p := s.greeted()
		p.do("EHLO a", "250")
		for _, step := range [][2]string{{"2", "250"}, {"4", "451"}, {"5", "550"}} {
			p.write("MAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\nDATA\r\n" + step[0] + "\r\n.\r\n")
			p.want("250 250 354 " + step[1])
		}
		p.do("FOO\x01BAR", "500")
		p.do("RCPT TO:<a@y.test>", "503")
		p.do("AUTH PLAIN AGEAYg==", "535")
		p.write("MAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\nDATA\r\nhalf")
		p.want("250 250 354")
		_ = p.raw.CloseWrite()
		p.want("EOF")
	})
	if err := testutil.GatherAndCompare(r, strings.NewReader(`
# HELP homing_smtpd_messages_total Messages that began to come, by their answer: accepted, deferred (4xx), refused (5xx) or lost (the connection broke before the end).
# TYPE homing_smtpd_messages_total counter
homing_smtpd_messages_total{listener="smtp",outcome="accepted"} 1
homing_smtpd_messages_total{listener="smtp",outcome="deferred"} 1
homing_smtpd_messages_total{listener="smtp",outcome="lost"} 1
homing_smtpd_messages_total{listener="smtp",outcome="refused"} 1
# HELP homing_smtpd_refused_commands_total Commands that were answered with 4xx or 5xx; other is a line that is no command.
# TYPE homing_smtpd_refused_commands_total counter
homing_smtpd_refused_commands_total{command="AUTH",listener="smtp"} 1
homing_smtpd_refused_commands_total{command="RCPT",listener="smtp"} 1
homing_smtpd_refused_commands_total{command="other",listener="smtp"} 1
# HELP homing_smtpd_auth_failures_total AUTH commands that ended without a login.
# TYPE homing_smtpd_auth_failures_total counter
homing_smtpd_auth_failures_total{listener="smtp"} 1
`), "homing_smtpd_messages_total", "homing_smtpd_refused_commands_total", "homing_smtpd_auth_failures_total"); err != nil {
		t.Error(err)
	}
	if _, err := NewMetrics(r); err == nil {
		t.Error("registered twice without an error")
	}
}

func TestStrangersWhoCollectRefusalsAreSentAway(t *testing.T) {
	for kind, want := range map[Kind]string{SMTP: "421/4.7.0", Submission: "550/5.1.1", LMTP: "550/5.1.1"} {
		b := &accepting{rcpt: func(string) error { return reply.Errorf(550, reply.Enhanced{5, 1, 1}, "no") }}
		serving(t, Options{Kind: kind}, b, func(s *bench) {
			p := s.greeted()
			hello := "EHLO a"
			if kind == LMTP {
				hello = "LHLO a"
			}
			p.write(hello + "\r\nMAIL FROM:<>\r\n" + strings.Repeat("RCPT TO:<y@y.test>\r\n", 21))
			p.want("250 250 " + strings.Repeat("550 ", 20) + want)
		})
	}
}

func TestAnAnswerOfSuccessIsNoFaultInTheLog(t *testing.T) {
	b := &accepting{data: func(_ context.Context, c *Content) []error {
		_, err := io.Copy(io.Discard, c)
		return []error{err}
	}}
	serving(t, Options{Kind: LMTP}, b, func(s *bench) {
		p := s.dial(nil)
		p.write("LHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n")
		p.want("220 250 250 250 354 250 221 EOF")
		s.waitStopped()
		if got := s.logs.String(); strings.Contains(got, "session failed") {
			t.Errorf("the log says %s", got)
		}
	})
}
