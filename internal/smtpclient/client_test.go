package smtpclient_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"homing/internal/memconn"
	"homing/internal/reply"
	"homing/internal/smtpclient"
	"homing/internal/smtptest"
)

// A dialogue is a client with a scripted peer.
type dialogue struct {
	player  smtptest.Player
	client  *smtpclient.Client
	played  chan error
	started time.Time
	heard   []string // outcomes, in the order of Done
}

func begin(o smtpclient.Options, script smtptest.Script, cfg *tls.Config) *dialogue {
	a, b := memconn.Pipe(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, &net.TCPAddr{IP: net.IPv4(198, 51, 100, 7), Port: 25})
	o.Name, o.Peer = "mail.example.org", "mx.example.net[198.51.100.7]:25"
	d := &dialogue{client: smtpclient.New(a, o), played: make(chan error, 1), started: time.Now()}
	d.player.TLS = cfg
	go func() { d.played <- d.player.Play(b, script) }()
	return d
}

// end waits for the script and checks every octet that the client wrote.
func (d *dialogue) end(t *testing.T) {
	t.Helper()
	d.client.Cut()
	if err := <-d.played; err != nil {
		t.Errorf("the peer: %v", err)
	}
	if err := d.player.Clean(); err != nil {
		t.Errorf("on the wire: %v", err)
	}
}

// say gives an outcome as one line.
func say(o smtpclient.Outcome) string {
	who := ""
	if o.Ours {
		who = "we say "
	}
	return fmt.Sprintf("%s: %s%s", o.Stage, who, o.Reply)
}

// mail makes a transaction for each recipient; the text is the first part of
// its address.
func (d *dialogue) mail(to ...string) func(bool) *smtpclient.Transaction {
	return func(bool) *smtpclient.Transaction {
		if len(to) == 0 {
			return nil
		}
		rcpts := strings.Split(to[0], " ")
		to = to[1:]
		x := &smtpclient.Transaction{From: "r-1@example.org", Body: text("Subject: " + rcpts[0] + "\r\n\r\nhello\r\n"),
			Done: func(outcomes []smtpclient.Outcome) {
				for i, o := range outcomes {
					d.heard = append(d.heard, rcpts[i]+" "+say(o))
				}
			}}
		for _, r := range rcpts {
			x.To = append(x.To, smtpclient.Recipient{Address: r + "@example.net"})
		}
		return x
	}
}

func text(s string) smtpclient.Body { return bytes.NewReader([]byte(s)) }

const hello = `
	S: 220 mx.example.net ESMTP
	C: EHLO mail.example.org
`
const plain = hello + `
	S: 250-mx.example.net
	S: 250 SIZE 1000
`
const pipelining = hello + `
	S: 250-mx.example.net
	S: 250 PIPELINING
`

func TestHello(t *testing.T) {
	tests := []struct {
		name   string
		script smtptest.Script
		want   string
		took   time.Duration
	}{
		{"EHLO", plain, "", 0},
		{"a greeting in several lines", `
			S: 220-mx.example.net
			S: 220 no spam please
			C: EHLO
			S: 250 mx`, "", 0},
		{"HELO for those who know no EHLO", hello + `
			S: 502 5.5.2 what?
			C: HELO mail.example.org
			S: 250 hi`, "", 0},
		{"EHLO and HELO refused", hello + `
			S: 550 5.7.1 no
			C: HELO
			S: 550 5.7.1 I said no`, "ehlo: 550 5.7.1 I said no", 0},
		{"EHLO put off", hello + `
			S: 450 4.7.1 later`, "ehlo: 450 4.7.1 later", 0},
		{"421 at connect", "S: 421 4.7.0 too many connections", "connect: 421 4.7.0 too many connections", 0},
		{"554 at connect", "S: 554 5.7.1 your address is listed", "connect: 554 5.7.1 your address is listed", 0},
		{"no greeting", "silence", "connect: we say 451 4.4.2 mx.example.net[198.51.100.7]:25 took too long before its greeting", 5 * time.Minute},
		{"closed without a word", "close", "connect: we say 451 4.4.2 connection to mx.example.net[198.51.100.7]:25 was lost before its greeting", 0},
		{"garbage", "S: SSH-2.0-OpenSSH_9.2", `connect: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: not a reply: "SSH-2.0-OpenSSH_9.2"`, 0},
		{"354 as a greeting", "S: 354 go", "connect: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: 354 to connect", 0},
		{"more than a greeting", `S"220 hi\r\n250 ok\r\n"`, `ehlo: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: unasked: "250 ok\r\n"`, 0},
		{"one octet every ten seconds", smtptest.Script("S\"220 \"\n" + strings.Repeat("S\"x\"\nwait 10s\n", 31)),
			"connect: we say 451 4.4.2 mx.example.net[198.51.100.7]:25 took too long before its greeting", 5 * time.Minute},
		{"endless continuation lines", smtptest.Script(strings.Repeat("S: 220-more\n", 7000)),
			"connect: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: a reply of more than 65536 octets", 0},
		{"a reply of 10 MB in one line", smtptest.Script(`S"220 ` + strings.Repeat("x", 10<<20) + `"`),
			"connect: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: a reply line of more than 2000 octets", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := begin(smtpclient.Options{}, tt.script, nil)
				defer d.end(t)
				got := ""
				if failed := d.client.Hello(); failed != nil {
					got = say(*failed)
				}
				if got != tt.want || time.Since(d.started) != tt.took {
					t.Errorf("got %q after %v, want %q after %v", got, time.Since(d.started), tt.want, tt.took)
				}
			})
		})
	}
}

func TestAuth(t *testing.T) {
	tests := []struct {
		name   string
		offers string
		script string
		want   string
	}{
		{"PLAIN", "AUTH LOGIN PLAIN", `
			C: AUTH PLAIN AHUAcA==
			S: 235 2.7.0 welcome`, ""},
		{"LOGIN where there is no PLAIN", "AUTH=LOGIN", `
			C: AUTH LOGIN
			S: 334 VXNlcm5hbWU6
			C: dQ==
			S: 334 UGFzc3dvcmQ6
			C: cA==
			S: 235 2.7.0 welcome`, ""},
		{"refused", "AUTH PLAIN", `
			C: AUTH PLAIN AHUAcA==
			S: 535 5.7.8 wrong password`, "auth: 535 5.7.8 wrong password"},
		{"neither", "AUTH CRAM-MD5", "", "auth: we say 454 4.7.0 mx.example.net[198.51.100.7]:25 offers neither AUTH PLAIN nor LOGIN"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := begin(smtpclient.Options{}, smtptest.Script(hello+"S: 250-mx\nS: 250 "+tt.offers+"\n"+tt.script), nil)
			if failed := d.client.Hello(); failed != nil {
				t.Fatal(say(*failed))
			}
			got := ""
			if failed := d.client.Auth("u", "p"); failed != nil {
				got = say(*failed)
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			d.end(t)
		})
	}
}

func TestStartTLS(t *testing.T) {
	serverTLS, roots, err := smtptest.Certificate("mx.example.net")
	if err != nil {
		t.Fatal(err)
	}
	verified := &tls.Config{ServerName: "mx.example.net", RootCAs: roots}
	tests := []struct {
		name   string
		cfg    *tls.Config
		script string
		want   string
		over   bool
		tls    string
	}{
		{"the dialogue begins anew inside", verified, `
			S: 220 go
			tls
			C: EHLO mail.example.org
			S: 250 mx
			C: QUIT
			S: 221 bye`, "", false, "TLS1.3"},
		{"refused, and the dialogue goes on", verified, `
			S: 454 4.7.0 not now
			C: QUIT
			S: 221 bye`, "starttls: 454 4.7.0 not now", false, ""},
		{"garbage instead of TLS", verified, `
			S: 220 go
			C: ` + "\x16\x03\x01" + `
			S: this is not TLS`,
			"starttls: we say 454 4.7.5 TLS with mx.example.net[198.51.100.7]:25 failed: tls: first record does not look like a TLS handshake", true, ""},
		{"a certificate for somebody else", &tls.Config{ServerName: "mx.example.org", RootCAs: roots}, `
			S: 220 go
			tls`,
			"starttls: we say 454 4.7.5 TLS with mx.example.net[198.51.100.7]:25 failed: tls: failed to verify certificate: x509: certificate is valid for mx.example.net, not mx.example.org", true, ""},
		{"words ahead of TLS are not heard inside it", verified, `
			S"220 go\r\n250-mx\r\n250 AUTH PLAIN\r\n"`,
			`starttls: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: unasked: "250-mx\r\n250 AUTH PLAIN\r\n"`, true, ""},
		{"an answer too many inside TLS", verified, `
			S: 220 go
			tls
			C: EHLO
			S"250 unasked\r\n250 mx\r\n"`,
			"", true, "TLS1.3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := begin(smtpclient.Options{}, smtptest.Script(hello+"S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\n"+tt.script), serverTLS)
				if failed := d.client.Hello(); failed != nil {
					t.Fatal(say(*failed))
				}
				got := ""
				if failed := d.client.StartTLS(tt.cfg); failed != nil {
					got = say(*failed)
				}
				synctest.Wait()
				version := ""
				if s := d.client.TLS(); s != nil {
					version = strings.ReplaceAll(tls.VersionName(s.Version), " ", "")
				}
				if quiet := d.client.Quiet(); quiet == tt.over || got != tt.want || version != tt.tls {
					t.Errorf("got %q, over %v, %q; want %q, %v, %q", got, !quiet, version, tt.want, tt.over, tt.tls)
				}
				d.client.Quit()
				<-d.played
			})
		})
	}
}

func TestQuitDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := begin(smtpclient.Options{}, plain+"C: QUIT\nsilence", nil)
		if failed := d.client.Hello(); failed != nil {
			t.Fatal(say(*failed))
		}
		d.client.Quit()
		if took := time.Since(d.started); took != 2*time.Second {
			t.Errorf("took %v, want 2s", took)
		}
		d.end(t)
	})
}

func TestQuiet(t *testing.T) {
	tests := []struct {
		name   string
		script smtptest.Script
		want   bool
	}{
		{"an idle connection can be used", plain + "wait 1h", true},
		{"one that was closed cannot", plain + "close", false},
		{"one that was told to go cannot", plain + "S: 421 4.4.2 idle too long\nwait 1h", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := begin(smtpclient.Options{}, tt.script, nil)
				if failed := d.client.Hello(); failed != nil {
					t.Fatal(say(*failed))
				}
				synctest.Wait()
				if got := d.client.Quiet(); got != tt.want {
					t.Errorf("Quiet() = %v, want %v", got, tt.want)
				}
				d.end(t)
			})
		})
	}
}

func ExampleClient() {
	near, far := memconn.Pipe(&net.TCPAddr{}, &net.TCPAddr{})
	var mx smtptest.Player
	played := make(chan error, 1)
	go func() {
		played <- mx.Play(far, `
			S: 220 mx.example.net
			C: EHLO mail.example.org
			S"250-mx.example.net\r\n250 PIPELINING\r\n"
			C: MAIL
			C: RCPT
			C: DATA
			S"250 ok\r\n250 ok\r\n354 go on\r\n"
			C.
			S: 250 2.0.0 queued
			C: QUIT`)
	}()

	c := smtpclient.New(near, smtpclient.Options{Name: "mail.example.org", Peer: "mx.example.net"})
	if failed := c.Hello(); failed != nil {
		fmt.Println(failed.Reply)
	}
	mail := []*smtpclient.Transaction{{
		From: "r-1@example.org",
		To:   []smtpclient.Recipient{{Address: "ann@example.net"}},
		Body: bytes.NewReader([]byte("Subject: hello\r\n\r\n.\r\n")),
		Done: func(o []smtpclient.Outcome) { fmt.Println(o[0].Stage == reply.Dot, o[0].Reply) },
	}}
	c.Deliver(func(bool) *smtpclient.Transaction {
		if len(mail) == 0 {
			return nil
		}
		t := mail[0]
		mail = mail[1:]
		return t
	})
	c.Quit()
	fmt.Printf("%v %q\n", <-played, mx.Messages)
	// Output:
	// true 250 2.0.0 queued
	// <nil> ["Subject: hello\r\n\r\n..\r\n.\r\n"]
}
