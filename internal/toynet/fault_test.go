package toynet

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"homing/internal/reply"
)

// hear sends octets and gives what comes back until the connection ends,
// the time is over, or so many octets are there.
func hear(t *testing.T, n *Net, mx, octets string, most int64, patience time.Duration) (string, error) {
	t.Helper()
	c := call(t, n, mx)
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(c, octets)
	b, err := io.ReadAll(io.LimitReader(c, most))
	return string(b), err
}

const letter = "EHLO b.test\r\nMAIL FROM:<>\r\nRCPT TO:<x@%s>\r\nDATA\r\n"

func TestMisbehavingHostsMisbehave(t *testing.T) {
	n := start(t, Misbehaving(time.Millisecond))
	tests := []struct {
		domain, say string
		want        string // the end of what is heard
		stays       bool   // the connection stays open
	}{
		{"silent.test", "EHLO b\r\n", "", true},
		{"refuses.test", "EHLO b\r\n", "421 4.3.2 Service shutting down\r\n", false},
		{"slams.test", "EHLO b\r\n", "", false},
		{"garbage.test", "QUIT\r\n", "\x16\x03\x01\x00\xff\x00 \x80\r\n\r\n\x00221 2.0.0 Bye\r\n", false},
		{"closemail.test", "EHLO b\r\nMAIL FROM:<>\r\n", "250 SIZE 67108864\r\n", false},
		{"closedata.test", letter, "354 Go ahead. End your data with <CR><LF>.<CR><LF>\r\n", false},
		{"closedot.test", letter + "a: b\r\n\r\n.\r\n", "354 Go ahead. End your data with <CR><LF>.<CR><LF>\r\n", false},
		{"mutedot.test", letter + "a: b\r\n\r\n.\r\n", "354 Go ahead. End your data with <CR><LF>.<CR><LF>\r\n", true},
		{"mixed.test", "EHLO b\r\nMAIL FROM:<>\r\nRCPT TO:<x@mixed.test>\r\nQUIT\r\n", "250-2.1.5 Ok\r\n550 5.1.1 User unknown\r\n221 2.0.0 Bye\r\n", false},
		{"extra.test", "EHLO b\r\nMAIL FROM:<>\r\n", "250 2.0.0 Roger, accepting mail from <>\r\n250 2.1.5 Ok\r\n", true},
		{"notls.test", "EHLO b\r\nSTARTTLS\r\nQUIT\r\n", "454 4.7.0 TLS not available due to local problem\r\n221 2.0.0 Bye\r\n", false},
		{"badtls.test", "EHLO b\r\nSTARTTLS\r\n", "220 2.0.0 Ready\r\nthis is no handshake\r\n", false},
		{"deaf.test", "EHLO b\r\nMAIL FROM:<>\r\nRCPT TO:<x@deaf.test>\r\n", "250 SIZE 67108864\r\n", true},
		{"noquit.test", "EHLO b\r\nQUIT\r\nNOOP\r\n", "250 SIZE 67108864\r\n", true},
		{"drip.test", "QUIT\r\n", "220 mx.drip.test ESMTP Service Ready\r\n221 2.0.0 Bye\r\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.domain, func(t *testing.T) {
			t.Parallel()
			say := tt.say
			if strings.Contains(say, "%s") {
				say = fmt.Sprintf(say, tt.domain)
			}
			patience := 20 * time.Second
			if tt.stays {
				patience = 300 * time.Millisecond
			}
			got, err := hear(t, n, "mx."+tt.domain, say, 1<<20, patience)
			if !strings.HasSuffix(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("heard %q, want it to end with %q", got, tt.want)
			}
			if stays := errors.Is(err, os.ErrDeadlineExceeded); stays != tt.stays {
				t.Errorf("the connection stays: %v (%v), want %v", stays, err, tt.stays)
			}
		})
	}
}

func TestRepliesCanBeAsLongAsThePeerWillRead(t *testing.T) {
	n := start(t, Misbehaving(time.Millisecond))
	tests := []struct {
		domain, say string
		most        int64
		lines       int
	}{
		{"big.test", "", 10 << 20, 10 << 10},
		{"line.test", "", 10 << 20, 0},
		{"endless.test", "EHLO b\r\n", 1 << 20, 1 << 16},
	}
	for _, tt := range tests {
		t.Run(tt.domain, func(t *testing.T) {
			got, err := hear(t, n, "mx."+tt.domain, tt.say, tt.most, 20*time.Second)
			if err != nil || int64(len(got)) != tt.most {
				t.Fatalf("%d octets, %v, want %d", len(got), err, tt.most)
			}
			if lines := strings.Count(got, "\n"); lines < tt.lines {
				t.Errorf("%d lines, want at least %d", lines, tt.lines)
			}
		})
	}
}

func TestWhatNobodyHeardIsMarkedInTheJournal(t *testing.T) {
	n := start(t, Misbehaving(time.Millisecond))
	if _, err := hear(t, n, "mx.closedot.test", fmt.Sprintf(letter, "closedot.test")+"a: b\r\n\r\n.\r\n", 1<<20, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	got := n.Receipts.All()
	if len(got) != 1 || !got[0].Accepted() || !got[0].Unsaid || got[0].Octets != 8 {
		t.Errorf("journal %+v, want one acceptance that was not said", got)
	}
}

func TestAFaultyHostStillSpeaksTLS(t *testing.T) {
	n := start(t, World{Domains: map[string]Domain{"noquit.test": {Host: Host{Faults: []Fault{{At: Quit, Then: Hang}}}}}})
	c := call(t, n, "mx.noquit.test")
	d := newDialogue(c, time.Second)
	step := func(r reply.Reply, err error) {
		t.Helper()
		if err != nil || r.Code >= 300 {
			t.Fatalf("got %v, %v", r, err)
		}
	}
	step(d.heard())
	step(d.hello("b.test"))
	step(d.startTLS(t.Context(), &tls.Config{RootCAs: n.Roots(), ServerName: "mx.noquit.test"}))
	step(d.hello("b.test"))
	stage, r, err := d.transact("me@b.test", "x@noquit.test", []byte("a: b\n\nc\n"))
	if stage != reply.Dot || err != nil {
		t.Fatalf("stage %s, %v, want dot", stage, err)
	}
	step(r, err)
}

func TestAFaultWaitsBeforeItSpeaks(t *testing.T) {
	n := start(t, World{Domains: map[string]Domain{"slow.test": {
		Host: Host{Faults: []Fault{{At: reply.Connect, Wait: 50 * time.Millisecond, Say: Proper}}}}}})
	began := time.Now()
	if got := talk(t, n, "mx.slow.test", "QUIT"); got != "220 221" {
		t.Errorf("heard %s, want 220 221", got)
	}
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("the greeting came after %v, want 50ms at least", took)
	}
}

func TestWireGivesEveryLineItsCode(t *testing.T) {
	tests := []struct {
		name  string
		reply reply.Reply
		want  string
	}{
		{"one line", reply.Reply{Code: 250, Text: "Ok"}, "250 Ok\r\n"},
		{"with an enhanced status code", reply.Reply{Code: 550, Enhanced: reply.Enhanced{5, 1, 1}, Text: "no"}, "550 5.1.1 no\r\n"},
		{"several lines", reply.Reply{Code: 421, Enhanced: reply.Enhanced{4, 7, 0}, Text: "too\nmany"}, "421-4.7.0 too\r\n421 4.7.0 many\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Wire(tt.reply); got != tt.want {
				t.Errorf("Wire = %q, want %q", got, tt.want)
			}
		})
	}
}

// A paper is a connection whose other side has said all it will ever say.
type paper struct {
	net.Conn
	said  io.Reader
	heard bytes.Buffer
}

func (p *paper) Read(b []byte) (int, error)  { return p.said.Read(b) }
func (p *paper) Write(b []byte) (int, error) { return p.heard.Write(b) }
func (p *paper) Close() error                { return nil }

// FuzzFaultyConn states what a connection on which no fault fits promises for
// any input: every octet passes in both directions.
func FuzzFaultyConn(f *testing.F) {
	f.Add([]byte("EHLO b\r\nMAIL FROM:<>\r\nRCPT TO:<x@a.test>\r\nDATA\r\na: b\r\n\r\n..\r\n.\r\nQUIT\r\n"))
	f.Add([]byte("BDAT 3\r\nabcBDAT 3 LAST\r\ndefRSET\r\n"))
	f.Add([]byte("BDAT -1\r\nBDAT 99999999999999999999 LAST\r\n\r\n\n.\r\nSTARTTLS\r\n\x16\x03"))
	f.Add(append(bytes.Repeat([]byte("long"), 5000), "\r\n"...))
	f.Fuzz(func(t *testing.T, input []byte) {
		p := &paper{said: bytes.NewReader(input)}
		c := newFaultyConn(p, Host{Faults: []Fault{{At: "never"}}})
		var got, want []byte
		b := make([]byte, 512)
		for {
			n, err := c.Read(b)
			got = append(got, b[:n]...)
			if err != nil {
				break
			}
			answer := "250-a\r\n250 b\r\n"
			switch verb, _, _ := strings.Cut(strings.TrimSpace(strings.ToUpper(string(b[:n]))), " "); verb {
			case "DATA":
				answer = "354 go\r\n"
			case "STARTTLS":
				answer = "220 go\r\n"
			}
			want = append(want, answer...)
			io.WriteString(c, answer)
		}
		if !bytes.Equal(got, input) {
			t.Errorf("read %q, want %q", got, input)
		}
		if heard := p.heard.Bytes(); !bytes.Equal(heard, want) {
			t.Errorf("wrote %q, want %q", heard, want)
		}
	})
}
