package pop3d

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"homing/internal/certs"
	"homing/internal/maildir"
	"homing/server/smtpd"
)

var safe = Way{Safe: true}

func TestDialogues(t *testing.T) {
	const in = "USER crm|PASS secret|"
	const entered = "+OK now the password|+OK 3 messages, 84 octets|"
	for _, tt := range []struct{ name, say, want string }{
		{"a name and a password open the mailbox", in + "QUIT", entered + "+OK bye"},
		{"commands in any case", "user crm|pass secret|quit", entered + "+OK bye"},
		{"a password with spaces is taken as it is", "USER crm|PASS se cret |QUIT", entered + "+OK bye"},
		{"a wrong password", "USER crm|PASS wrong", "+OK|-ERR [AUTH] user name or password is wrong"},
		{"a name that nobody has is told the same", "USER nobody|PASS secret", "+OK|-ERR [AUTH] user name or password is wrong"},
		{"the name is forgotten after a wrong password", "USER crm|PASS wrong|PASS secret", "+OK|-ERR|-ERR say USER first"},
		{"a password without a name", "PASS secret", "-ERR say USER first"},
		{"no name", "USER", "-ERR USER needs a name"},
		{"the right password and nothing to read", "USER none|PASS secret", "+OK|-ERR [AUTH] this application has no sink of type maildir"},
		{"a Maildir that is not there yet is empty", "USER empty|PASS secret|STAT|LIST", "+OK|+OK 0 messages, 0 octets|+OK 0 0|+OK 0 messages|."},
		{"what fails on our side is temporary", "USER broken|PASS secret", "+OK|-ERR [SYS/TEMP] the server has a problem"},
		{"nothing but what leads in before somebody is in", "STAT|LIST|RETR 1|NOOP|DELE 1|RSET", "-ERR log in first|-ERR log in first|-ERR log in first|-ERR log in first|-ERR log in first|-ERR log in first"},
		{"nobody is let in twice", in + "USER crm|PASS secret|AUTH PLAIN", entered + "-ERR you are logged in already|-ERR you are|-ERR you are"},
		{"goodbye without having been in", "QUIT", "+OK bye"},

		{"AUTH PLAIN", "AUTH PLAIN AGNybQBzZWNyZXQ=|NOOP", "+OK 3 messages|+OK"},
		{"AUTH PLAIN after a challenge", "AUTH plain|AGNybQBzZWNyZXQ=|NOOP", "+ |+OK 3 messages|+OK"},
		{"AUTH PLAIN for oneself", "AUTH PLAIN Y3JtAGNybQBzZWNyZXQ=|NOOP", "+OK 3 messages|+OK"},
		{"AUTH PLAIN for somebody else", "AUTH PLAIN eABjcm0Ac2VjcmV0", "-ERR [AUTH]"},
		{"AUTH with a wrong password", "AUTH PLAIN AGNybQB3cm9uZw==", "-ERR [AUTH]"},
		{"AUTH that is no base64", "AUTH PLAIN ***", "-ERR that is not base64"},
		{"AUTH that is cancelled", "AUTH PLAIN|*|QUIT", "+ |-ERR cancelled|+OK bye"},
		{"AUTH with another mechanism", "AUTH CRAM-MD5", "-ERR this mechanism is not offered"},
		{"AUTH that asks for mechanisms", "AUTH", "+OK|PLAIN|."},

		{"STAT counts what is there", in + "STAT", entered + "+OK 3 84"},
		{"LIST", in + "LIST", entered + "+OK 3 messages, 84 octets|1 33|2 33|3 18|."},
		{"LIST of one", in + "LIST 2", entered + "+OK 2 33"},
		{"LIST of none", in + "LIST 4|LIST 0|LIST x|LIST -1|LIST 1 2", entered + "-ERR there is no such|-ERR there is no such|-ERR a number|-ERR a number|-ERR a number"},
		{"a number that is too large for numbers", in + "LIST 99999999999999999999|RETR 4294967297", entered + "-ERR|-ERR"},
		{"UIDL gives the name that a file keeps", in + "UIDL", entered + "+OK|1 1.Ea.host|2 2.Eb.host|3 f0db40b158c8de27|."},
		{"UIDL of one", in + "UIDL 2", entered + "+OK 2 2.Eb.host"},
		{"RETR doubles dots", in + "RETR 1", entered + "+OK 33 octets|Subject: one|" + "|first|..dot|...|."},
		{"RETR mends line ends", in + "RETR 2|NOOP", entered + "+OK 33 octets|Subject: two||second||third|.|+OK"},
		{"RETR of none", in + "RETR 4|RETR|RETR 1 2", entered + "-ERR there is no such|-ERR RETR needs|-ERR RETR needs"},
		{"TOP of the header", in + "TOP 2 0|NOOP", entered + "+OK|Subject: two||.|+OK"},
		{"TOP with lines", in + "TOP 2 2|NOOP", entered + "+OK|Subject: two||second||.|+OK"},
		{"TOP with more lines than there are", in + "TOP 2 99|NOOP", entered + "+OK|Subject: two||second||third|.|+OK"},
		{"TOP without lines", in + "TOP 2", entered + "-ERR TOP needs"},
		{"DELE hides a message", in + "DELE 1|DELE 1|RETR 1|LIST 1|STAT|LIST|UIDL", entered +
			"+OK deleted|-ERR there is no such|-ERR there is no such|-ERR there is no such|+OK 2 51|+OK 2 messages|2 33|3 18|.|+OK|2 2.|3 f0db40b158c8de27|."},
		{"RSET brings it back", in + "DELE 1|DELE 3|RSET|STAT", entered + "+OK|+OK|+OK 3 messages, 84|+OK 3 84"},
		{"CAPA before", "CAPA", "+OK|TOP|UIDL|RESP-CODES|AUTH-RESP-CODE|PIPELINING|USER|SASL PLAIN|."},
		{"CAPA after", in + "CAPA", entered + "+OK|TOP|UIDL|RESP-CODES|AUTH-RESP-CODE|PIPELINING|EXPIRE 30|."},
		{"STLS where there is no certificate", "STLS", "-ERR TLS is not offered here"},
		{"what is no command", "|XTND x|HELLO there|GET / HTTP/1.1|NO\x01OP", "-ERR that is no command|-ERR there is no such|-ERR that is no command|-ERR there is no such|-ERR control characters"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			serving(t, Options{}, safe, func(b *bench) {
				p := b.greeted()
				p.say(strings.Split(tt.say, "|")...)
				p.want(strings.Split(tt.want, "|")...)
			})
		})
	}
}

func TestOnlyQuitDeletes(t *testing.T) {
	all := []string{"cur/2.Eb.host:2,S", "new/1.Ea.host", "new/3.\x80wild.host"}
	for _, tt := range []struct {
		name string
		end  func(b *bench, p *peer)
		want []string
	}{
		{"QUIT", func(_ *bench, p *peer) { p.say("QUIT"); p.want("+OK bye"); p.wantEnd() }, []string{"new/3.\x80wild.host"}},
		{"not a connection that is lost", func(_ *bench, p *peer) { p.c.Close() }, all},
		{"not silence", func(_ *bench, p *peer) { <-time.After(10*time.Minute + time.Second); p.wantEnd() }, all},
		{"not the end of the server", func(b *bench, p *peer) { b.waitStopped(); p.want("-ERR [SYS/TEMP] the server stops"); p.wantEnd() }, all},
		{"nothing after RSET", func(_ *bench, p *peer) { p.say("RSET", "QUIT"); p.want("+OK", "+OK"); p.wantEnd() }, all},
	} {
		t.Run(tt.name, func(t *testing.T) {
			serving(t, Options{}, safe, func(b *bench) {
				p := b.entered()
				p.say("DELE 1", "DELE 2")
				p.want("+OK", "+OK")
				tt.end(b, p)
				synctest.Wait()
				if got := left(t, b.dir); !slices.Equal(got, tt.want) {
					t.Errorf("left %q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestWhatWasReadAndStaysIsMarkedAsSeen(t *testing.T) {
	serving(t, Options{}, safe, func(b *bench) {
		p := b.entered()
		p.say("RETR 3", "QUIT")
		p.want("+OK", "Subject", "", ".", "+OK bye")
		if got, want := left(t, b.dir), []string{"cur/2.Eb.host:2,S", "cur/3.\x80wild.host:2,S", "new/1.Ea.host"}; !slices.Equal(got, want) {
			t.Errorf("left %q, want %q", got, want)
		}
	})
}

func TestOneReadsAMailboxAtATime(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry())
	serving(t, Options{Metrics: m}, safe, func(b *bench) {
		first := b.entered()
		second := b.greeted()
		second.say("USER crm", "PASS secret")
		second.want("+OK", "-ERR [IN-USE] somebody reads this mailbox already")
		first.say("QUIT")
		first.want("+OK bye")
		first.wantEnd()
		synctest.Wait()
		second.say("USER crm", "PASS secret")
		second.want("+OK", "+OK 3 messages")
		second.c.Close()
		synctest.Wait()
		b.entered() // who was lost has it no more
	})
	if got := testutil.ToFloat64(m.logins.WithLabelValues("in_use")); got != 1 {
		t.Errorf("%v logins found it in use, want 1", got)
	}
}

func TestAMessageThatAnotherReaderTookIsNoError(t *testing.T) {
	serving(t, Options{}, safe, func(b *bench) {
		p := b.entered()
		if err := os.Remove(filepath.Join(b.dir, "new", "1.Ea.host")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(b.dir, "cur", "2.Eb.host:2,S"), filepath.Join(b.dir, "cur", "2.Eb.host:2,ST")); err != nil {
			t.Fatal(err)
		}
		p.say("RETR 1", "RETR 2")
		p.want("-ERR [SYS/TEMP] another program has taken this message", "+OK 33 octets", "Subject: two", "", "second", "", "third", ".")
		p.say("DELE 1", "DELE 2", "QUIT")
		p.want("+OK", "+OK", "+OK bye")
		if got := left(t, b.dir); !slices.Equal(got, []string{"new/3.\x80wild.host"}) {
			t.Errorf("left %q", got)
		}
	})
}

func TestWhatComesMeanwhileIsThereTheNextTime(t *testing.T) {
	serving(t, Options{}, safe, func(b *bench) {
		p := b.entered()
		fill(t, b.dir, map[string]string{"new/0.Ez.host": "Subject: zero\r\n\r\n"})
		p.say("UIDL 1", "QUIT")
		p.want("+OK 1 1.Ea.host", "+OK bye")
		synctest.Wait()
		p = b.greeted()
		p.say("USER crm", "PASS secret", "UIDL 1", "UIDL 2")
		p.want("+OK", "+OK 4 messages", "+OK 1 0.Ez.host", "+OK 2 1.Ea.host")
	})
}

func TestAMessageIsShownOnceItHasSettled(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, messages)
	now := time.Now()
	for name, age := range map[string]time.Duration{"new/1.Ea.host": 6 * time.Second, "cur/2.Eb.host:2,S": 4 * time.Second, "new/3.\x80wild.host": -time.Hour} {
		if err := os.Chtimes(filepath.Join(dir, name), now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := openBox(Mailbox{Dir: maildir.Dir(dir), Settle: 5 * time.Second}, now)
	if err != nil || len(b.all) != 1 || b.all[0].Name != "1.Ea.host" {
		t.Errorf("shown are %+v, %v; want the one that has been there for six seconds", b, err)
	}
}

func TestSilence(t *testing.T) {
	serving(t, Options{}, safe, func(b *bench) {
		start := time.Now()
		p := b.greeted()
		p.wantEnd()
		if got := time.Since(start); got != time.Minute {
			t.Errorf("whoever does not log in is left after %v, want 1m", got)
		}
		p, start = b.greeted(), time.Now()
		for range 2 {
			<-time.After(25 * time.Second)
			p.say("USER crm")
			p.want("+OK")
		}
		p.wantEnd()
		if got := time.Since(start); got != time.Minute {
			t.Errorf("whoever only says that he will log in is left after %v, want 1m", got)
		}
		p = b.entered()
		start = time.Now()
		p.wantEnd()
		if got := time.Since(start); got != 10*time.Minute {
			t.Errorf("whoever is in is left after %v, want the 10m of RFC 1939", got)
		}
	})
}

func TestWhoTakesNothingDoesNotKeepTheMailbox(t *testing.T) {
	serving(t, Options{}, safe, func(b *bench) {
		fill(t, b.dir, map[string]string{"new/9.large": strings.Repeat("x", 1<<20)})
		p := b.greeted()
		p.say("USER crm", "PASS secret", "RETR 4")
		<-time.After(2 * time.Minute)
		other := b.greeted()
		other.say("USER crm", "PASS secret")
		other.want("+OK", "+OK 4 messages")
		p.c.Close()
	})
}

func TestTooManyMistakesEndIt(t *testing.T) {
	serving(t, Options{}, safe, func(b *bench) {
		p := b.greeted()
		for range maxErrors {
			p.say("WHAT")
			p.want("-ERR there is no such command")
		}
		p.say("WHAT")
		p.want("-ERR there is no such command", "-ERR too many mistakes")
		p.wantEnd()
		p = b.greeted()
		if _, err := io.WriteString(p.c, strings.Repeat("x", maxLine+1)); err != nil {
			t.Fatal(err)
		}
		p.want("-ERR the line is too long")
		p.wantEnd()
	})
}

func TestPasswordsCannotBeGuessed(t *testing.T) {
	limiter := &smtpd.AuthLimiter{PerMinute: 3}
	serving(t, Options{Limiter: limiter}, safe, func(b *bench) {
		p := b.dial(tcp("192.0.2.1"))
		p.want("+OK")
		for range 3 {
			p.say("USER crm", "PASS wrong")
			p.want("+OK", "-ERR [AUTH]")
		}
		p.say("USER crm", "PASS secret")
		p.want("+OK", "-ERR [SYS/TEMP] too many failed logins")
		p.wantEnd()
		p = b.dial(tcp("192.0.2.2"))
		p.want("+OK")
		p.say("USER crm", "PASS secret")
		p.want("+OK", "+OK 3 messages")
		b.waitStopped()
		if log := b.logs.String(); strings.Contains(log, "secret") || strings.Contains(log, "wrong") {
			t.Errorf("the log has a password:\n%s", log)
		}
	})
}

func TestConnectionsAreLimited(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry())
	serving(t, Options{MaxConnections: 3, MaxPerAddress: 2, Metrics: m}, safe, func(b *bench) {
		for range 2 {
			b.dial(tcp("192.0.2.1")).want("+OK")
		}
		p := b.dial(tcp("192.0.2.1"))
		p.want("-ERR [SYS/TEMP] too many connections from your address")
		p.wantEnd()
		b.dial(tcp("192.0.2.2")).want("+OK")
		b.dial(tcp("192.0.2.3")).want("-ERR [SYS/TEMP] too many connections, please")
	})
	for outcome, want := range map[string]float64{"admitted": 3, "address": 1, "total": 1} {
		if got := testutil.ToFloat64(m.connections.WithLabelValues(outcome)); got != want {
			t.Errorf("%v connections %s, want %v", got, outcome, want)
		}
	}
}

func certificate(t *testing.T) *tls.Config {
	t.Helper()
	own, err := certs.LoadOwn(filepath.Join(t.TempDir(), "own.pem"), "mail.test", time.Now(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return certs.Config(own)
}

// encrypt begins TLS with whatever certificate there is.
func (p *peer) encrypt() {
	p.t.Helper()
	c := tls.Client(p.c, &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		p.t.Fatal(err)
	}
	p.c, p.r = c, bufio.NewReader(c)
}

func TestPasswordsComeInsideTLSOnly(t *testing.T) {
	way := Way{TLS: certificate(t)}
	serving(t, Options{}, way, func(b *bench) {
		p := b.greeted()
		p.say("CAPA", "USER crm", "PASS secret", "AUTH PLAIN AGNybQBzZWNyZXQ=")
		p.want("+OK", "TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "STLS", ".",
			"-ERR [SYS/PERM] say STLS first", "-ERR [SYS/PERM] say STLS first", "-ERR [SYS/PERM] say STLS first")
		p.say("STLS")
		p.want("+OK begin TLS")
		p.encrypt()
		p.say("CAPA", "STLS", "USER crm", "PASS secret", "QUIT")
		p.want("+OK", "TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "USER", "SASL PLAIN", ".",
			"-ERR TLS is not offered here, or in use already", "+OK", "+OK 3 messages", "+OK bye")
	})
	serving(t, Options{}, Way{}, func(b *bench) {
		p := b.greeted()
		p.say("USER crm")
		p.want("-ERR [SYS/PERM] this server takes passwords only inside TLS, and has no certificate")
	})
}

func TestTLSFromTheFirstOctet(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry())
	serving(t, Options{Metrics: m}, Way{TLS: certificate(t), Implicit: true}, func(b *bench) {
		p := b.dial(nil)
		p.encrypt()
		p.want("+OK POP3 server")
		p.say("USER crm", "PASS secret", "RETR 3", "DELE 3", "QUIT")
		p.want("+OK", "+OK 3 messages", "+OK 18 octets", "Subject: three", "", ".", "+OK", "+OK bye")
		p = b.dial(nil)
		p.say("USER crm")
		if answer, _ := io.ReadAll(p.r); bytes.Contains(answer, []byte("OK")) || bytes.Contains(answer, []byte("ERR")) {
			t.Errorf("a client without TLS is told %q", answer)
		}
	})
	if got := testutil.ToFloat64(m.connections.WithLabelValues("tls")); got != 1 {
		t.Errorf("%v handshakes failed, want 1", got)
	}
	for what, want := range map[string]float64{"fetched": 1, "deleted": 1} {
		if got := testutil.ToFloat64(m.messages.WithLabelValues(what)); got != want {
			t.Errorf("%v messages %s, want %v", got, what, want)
		}
	}
}

func TestNothingGoesBeforeTLSThatCountsInside(t *testing.T) {
	serving(t, Options{}, Way{TLS: certificate(t), Safe: true}, func(b *bench) {
		p := b.greeted()
		p.say("USER crm", "STLS", "PASS secret")
		p.want("+OK", "-ERR nothing may follow STLS")
		p.wantEnd()
		p = b.greeted()
		p.say("USER crm")
		p.want("+OK")
		p.say("STLS")
		p.want("+OK")
		p.encrypt()
		p.say("PASS secret")
		p.want("-ERR say USER first")
	})
}

func TestTheServerEndsWithAListenerThatFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := New(Options{}, one{}).Serve(t.Context(), l, safe); err == nil {
		t.Error("Serve says nothing of a listener that is closed")
	}
}
