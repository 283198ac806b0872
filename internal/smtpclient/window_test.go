package smtpclient_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/internal/memconn"
	"homing/internal/reply"
	"homing/internal/smtpclient"
	"homing/internal/smtptest"
)

const chunking = `
	S: 220 mx
	C: EHLO mail.example.org
	S"250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 CHUNKING\r\n"
`

// whole is what the client says of one transaction, and first the answer to
// one that comes alone.
const (
	whole = `
	C: MAIL
	C: RCPT
	chunk`
	first = whole + `
	S"250 ok\r\n250 ok\r\n250 2.0.0 first\r\n"`
)

// TestWindow is about transactions that go out whole.
func TestWindow(t *testing.T) {
	const mx = "mx.example.net[198.51.100.7]:25"
	lost := func(why string) string { return "dot: we say 451 4.4.2 connection to " + mx + " was " + why }
	const perhaps = "lost after the whole message was sent, which it may have accepted"
	broke := func(what string) string { return "dot: we say 451 4.5.0 protocol error by " + mx + ": " + what }
	tests := []struct {
		name   string
		o      smtpclient.Options
		script smtptest.Script
		to     []string
		bodies map[string]smtpclient.Body // in place of small ones
		want   []string
		left   []string // that come back unsent
		over   string
		astray bool
	}{
		{name: "the second waits for the first one's answers, the others for nobody's", to: []string{"a", "b", "c", "d", "e"}, script: chunking + first +
			whole + whole + whole + whole + `
			S"250 ok\r\n250 ok\r\n250 2.0.0 second\r\n250 ok\r\n250 ok\r\n250 2.0.0 third\r\n250 ok\r\n250 ok\r\n250 2.0.0 fourth\r\n250 ok\r\n250 ok\r\n250 2.0.0 fifth\r\n"
			C: QUIT`,
			want: []string{"a dot: 250 2.0.0 first", "b dot: 250 2.0.0 second", "c dot: 250 2.0.0 third", "d dot: 250 2.0.0 fourth", "e dot: 250 2.0.0 fifth"}},
		{name: "no more than the window", o: smtpclient.Options{Window: 2}, to: []string{"a", "b", "c", "d"}, script: chunking + first +
			whole + whole + `
			quiet 1s
			S"250 ok\r\n250 ok\r\n250 2.0.0 second\r\n"` + whole + `
			quiet 1s
			S"250 ok\r\n250 ok\r\n250 2.0.0 third\r\n250 ok\r\n250 ok\r\n250 2.0.0 fourth\r\n"
			C: QUIT`,
			want: []string{"a dot: 250 2.0.0 first", "b dot: 250 2.0.0 second", "c dot: 250 2.0.0 third", "d dot: 250 2.0.0 fourth"}},
		{name: "what BDAT is answered for nobody is no outcome", to: []string{"a", "b", "c"}, script: chunking + whole + `
			S"250 ok\r\n550 5.1.1 no such user\r\n503 5.5.1 no valid recipients\r\n"` + whole + whole + `
			S"250 ok\r\n450 4.2.0 later\r\n554 5.5.1 no valid recipients\r\n250 ok\r\n250 ok\r\n250 2.0.0 third\r\n"
			C: QUIT`,
			want: []string{"a rcpt: 550 5.1.1 no such user", "b rcpt: 450 4.2.0 later", "c dot: 250 2.0.0 third"}},
		{name: "one of two recipients refused", to: []string{"a b"}, script: chunking + `
			C: MAIL
			C: RCPT TO:<a
			C: RCPT TO:<b
			chunk
			S"250 ok\r\n550 5.1.1 no a\r\n250 ok\r\n250 2.0.0 for b\r\n"
			C: QUIT`, want: []string{"a rcpt: 550 5.1.1 no a", "b dot: 250 2.0.0 for b"}},
		{name: "the sender refused decides for all that follows", to: []string{"a"}, script: chunking + whole + `
			S"550 5.7.1 not you\r\n503 5.5.1 need MAIL\r\n503 5.5.1 need RCPT\r\n"
			C: QUIT`, want: []string{"a mail: 550 5.7.1 not you"}},
		{name: "a message refused", to: []string{"a", "b"}, script: chunking + whole + `
			S"250 ok\r\n250 ok\r\n554 5.7.1 spam\r\n"` + first + `
			C: QUIT`, want: []string{"a dot: 554 5.7.1 spam", "b dot: 250 2.0.0 first"}},
		{name: "an address that has no syntax here is a refusal", to: []string{"a"}, script: chunking + whole + `
			S"250 ok\r\n501 5.1.3 what is that\r\n503 5.5.1 nobody\r\n"
			C: QUIT`, want: []string{"a rcpt: 501 5.1.3 what is that"}},

		{name: "a large message waits, and is waited for", to: []string{"a", "big", "c"}, bodies: map[string]smtpclient.Body{"big": text(strings.Repeat("big\r\n", 30_000))},
			script: chunking + first + `
			C: MAIL
			C: RCPT TO:<big
			C: DATA
			S"250 ok\r\n250 ok\r\n354 go\r\n"
			C.
			S: 250 2.0.0 big` + first + `
			C: QUIT`, want: []string{"a dot: 250 2.0.0 first", "big dot: 250 2.0.0 big", "c dot: 250 2.0.0 first"}},
		{name: "a message with bare line ends goes where they are mended", to: []string{"bare"}, bodies: map[string]smtpclient.Body{"bare": text("one\ntwo\rthree\r\n")},
			script: chunking + `
			C: MAIL
			C: RCPT
			C: DATA
			S"250 ok\r\n250 ok\r\n354 go\r\n"
			C: one
			C: two three
			C: .
			S: 250 2.0.0 ok
			C: QUIT`, want: []string{"bare dot: 250 2.0.0 ok"}},
		{name: "one that cannot be read is put off, and the others go on", to: []string{"a", "broken", "c"},
			bodies: map[string]smtpclient.Body{"broken": broken{bytes.NewReader([]byte("half")), 100}}, script: chunking + first + first + `
			C: QUIT`, want: []string{"a dot: 250 2.0.0 first", "broken data: we say 451 4.3.0 the message could not be read", "c dot: 250 2.0.0 first"}},
		{name: "nor is one sent that is shorter than it should be", to: []string{"short"}, bodies: map[string]smtpclient.Body{"short": short{bytes.NewReader([]byte("half\r\n"))}},
			script: chunking + "C: QUIT", want: []string{"short data: we say 451 4.3.0 the message could not be read"}},
		{name: "without CHUNKING the next envelope rides behind the dot", to: []string{"a", "b"}, script: pipelining + `
			C: MAIL
			C: RCPT
			C: DATA
			S"250 ok\r\n250 ok\r\n354 go\r\n"
			C.
			C: MAIL
			C: RCPT
			C: DATA
			S"250 one\r\n250 ok\r\n250 ok\r\n354 go\r\n"
			C.
			S: 250 two
			C: QUIT`, want: []string{"a dot: 250 one", "b dot: 250 two"}},
		{name: "never where pipelining is not wanted", o: smtpclient.Options{NoPipelining: true}, to: []string{"a"}, script: chunking + `
			C: MAIL
			S: 250 ok
			C: RCPT
			S: 250 ok
			C: DATA
			S: 354 go
			C.
			S: 250 one
			C: QUIT`, want: []string{"a dot: 250 one"}},
		{name: "never over LMTP", o: smtpclient.Options{LMTP: true}, to: []string{"a"}, script: `
			S: 220 mx
			C: LHLO mail.example.org
			S"250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
			C: MAIL
			C: RCPT
			C: DATA
			S"250 ok\r\n250 ok\r\n354 go\r\n"
			C.
			S: 250 one
			C: QUIT`, want: []string{"a dot: 250 one"}},

		{name: "421 to a later MAIL gives back all that is not answered", to: []string{"a", "b", "c", "d"}, script: chunking + first + whole + whole + whole + `
			S"250 ok\r\n250 ok\r\n250 2.0.0 second\r\n421 4.3.2 two are enough\r\n"`,
			want: []string{"a dot: 250 2.0.0 first", "b dot: 250 2.0.0 second"}, left: []string{"c", "d"}, over: "mail: 421 4.3.2 two are enough"},
		{name: "421 to BDAT is an outcome for one, and the others come back", to: []string{"a", "b", "c"}, script: chunking + first + whole + whole + `
			S"250 ok\r\n250 ok\r\n421 4.3.0 going down\r\n"`,
			want: []string{"a dot: 250 2.0.0 first", "b dot: 421 4.3.0 going down"}, left: []string{"c"}, over: "dot: 421 4.3.0 going down"},
		{name: "421 to the first MAIL is an outcome", to: []string{"a", "b"}, script: chunking + whole + `
			S: 421 4.3.2 not now`,
			want: []string{"a mail: 421 4.3.2 not now"}, over: "mail: 421 4.3.2 not now"},

		{name: "the end of the connection leaves what was sent in doubt", to: []string{"a", "b", "c", "d"}, astray: true, script: chunking + first + whole + whole + whole + `
			S"250 ok\r\n250 ok\r\n250 2.0.0 second\r\n250 ok\r\n"
			close`,
			want: []string{"a dot: 250 2.0.0 first", "b dot: 250 2.0.0 second", "c " + lost(perhaps), "d " + lost(perhaps)},
			over: "rcpt: we say 451 4.4.2 connection to " + mx + " was lost at RCPT"},
		{name: "gone after a refusal: the refusal counts", to: []string{"a", "b"}, astray: true, script: chunking + first + whole + `
			S"250 ok\r\n550 5.1.1 no such user\r\n"
			close`,
			want: []string{"a dot: 250 2.0.0 first", "b rcpt: 550 5.1.1 no such user"}, over: lost(perhaps)},
		{name: "the lines of a refused message taken for commands", to: []string{"a", "b", "c"}, astray: true, script: chunking + first + whole + whole + `
			S"250 ok\r\n550 5.1.1 no such user\r\n503 5.5.1 no valid recipients\r\n500 5.5.1 Subject: what\r\n"`,
			want: []string{"a dot: 250 2.0.0 first", "b rcpt: 550 5.1.1 no such user", "c " + broke("500 to a whole transaction")},
			over: strings.Replace(broke("500 to a whole transaction"), "dot", "mail", 1)},
		{name: "one answer too many is seen with the last one", to: []string{"a", "b"}, astray: true, script: chunking + whole + `
			S"250 ok\r\n250 ok\r\n250 2.0.0 first\r\n250 2.0.0 again\r\n"`,
			want: []string{"a " + broke(`unasked: "250 2.0.0 again\r\n"`)}, over: broke(`unasked: "250 2.0.0 again\r\n"`)},
		{name: "one answer too many that comes late is seen before the next message", to: []string{"a", "pause", "c"}, astray: true, script: chunking + first + `
			wait 1m
			S: 250 2.0.0 again`,
			want: []string{"a dot: 250 2.0.0 first"}, left: []string{"c"}, over: strings.Replace(broke(`unasked: "250 2.0.0 again\r\n"`), "dot", "mail", 1)},
		{name: "a refusal of RCPT is not taken for one of the next MAIL", to: []string{"a", "b", "c"}, astray: true, script: chunking + first + whole + whole + `
			S"250 ok\r\n250 ok\r\n250 what is this\r\n550 5.7.1 the message of b\r\n250 ok\r\n250 ok\r\n"`,
			want: []string{"a dot: 250 2.0.0 first", "b dot: 250 what is this", "c " + broke("RCPT accepted after MAIL was refused")},
			over: strings.Replace(broke("RCPT accepted after MAIL was refused"), "dot", "rcpt", 1)},
		{name: "a message taken for nobody", to: []string{"a"}, astray: true, script: chunking + whole + `
			S"250 ok\r\n550 5.1.1 no\r\n250 2.0.0 taken\r\n"`,
			want: []string{"a " + broke("a message taken for nobody")}, over: broke("a message taken for nobody")},
		{name: "354 is no answer", to: []string{"a"}, astray: true, script: chunking + whole + `
			S"250 ok\r\n250 ok\r\n354 go\r\n"`, want: []string{"a " + broke("354 to BDAT")}, over: broke("354 to BDAT")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tt.o.Window == 0 {
					tt.o.Window = 4
				}
				d := begin(tt.o, tt.script, nil)
				defer d.end(t)
				if failed := d.client.Hello(); failed != nil {
					t.Fatalf("Hello: %s", say(*failed))
				}
				left, why := d.client.Deliver(d.mails(tt.to, tt.bodies))
				var back []string
				for _, x := range left {
					back = append(back, local(x))
				}
				over := ""
				if why != nil {
					over = say(*why)
				}
				if diff := cmp.Diff([]any{tt.want, tt.left, tt.over, tt.astray}, []any{d.heard, back, over, d.client.Astray() != nil}); diff != "" {
					t.Errorf("outcomes, what comes back, the end, astray (-want +got):\n%s", diff)
				}
				d.client.Quit()
			})
		})
	}
}

func local(x *smtpclient.Transaction) string {
	return strings.TrimSuffix(x.To[0].Address, "@example.net")
}

// mails is mail with bodies of its own. Before the one behind "pause" there is
// nothing to send for an hour.
func (d *dialogue) mails(to []string, bodies map[string]smtpclient.Body) func(bool) *smtpclient.Transaction {
	next := d.mail(to...)
	return func(ready bool) *smtpclient.Transaction {
		if len(to) > 0 && to[0] == "pause" {
			if ready {
				return nil
			}
			<-time.After(time.Hour)
			to = to[1:]
			next(false)
		}
		x := next(ready)
		if x != nil {
			to = to[1:]
			if b := bodies[local(x)]; b != nil {
				x.Body = b
			}
		}
		return x
	}
}

// TestALostConnectionLeavesAWindowInDoubt cuts the connection after any octet
// that the peer read, and after any that it wrote. What comes back was never
// accepted, what is called delivered was, and no more than a window is in
// doubt, so that no more can be sent twice.
func TestALostConnectionLeavesAWindowInDoubt(t *testing.T) {
	const window, messages = 4, 12
	run := func(t *testing.T, reads, writes int) (doubts int, cut bool) {
		a, b := memconn.Pipe(nil, nil)
		peer := &chunker{reads: reads, writes: writes}
		played := make(chan struct{})
		go func() {
			defer close(played)
			peer.serve(b)
		}()
		c := smtpclient.New(a, smtpclient.Options{Name: "mail.example.org", Peer: "mx", Window: window})
		if c.Hello() != nil {
			c.Cut()
			<-played
			return 0, true
		}
		outcomes := map[string]smtpclient.Outcome{}
		n := 0
		left, why := c.Deliver(func(bool) *smtpclient.Transaction {
			if n == messages {
				return nil
			}
			n++
			to := fmt.Sprintf("u%d@example.net", n)
			return &smtpclient.Transaction{From: "r@example.org", To: []smtpclient.Recipient{{Address: to}}, Body: text("X: " + to + "\r\n\r\n.\r\nhi\r\n"),
				Done: func(o []smtpclient.Outcome) {
					if _, twice := outcomes[to]; twice {
						t.Errorf("%s is done twice", to)
					}
					outcomes[to] = o[0]
				}}
		})
		c.Quit()
		<-played
		for to, o := range outcomes {
			taken := slices.Contains(peer.taken, to)
			switch {
			case o.Reply.Positive() && !taken:
				t.Errorf("cut after %d read, %d written: %s is called delivered and was not", reads, writes, to)
			case o.Ours && o.Stage == reply.MAIL && taken:
				t.Errorf("cut after %d read, %d written: %s was taken: %s", reads, writes, to, say(o))
			case o.Stage == reply.Dot && o.Ours:
				doubts++
			}
		}
		for _, x := range left {
			to := x.To[0].Address
			if _, done := outcomes[to]; done || slices.Contains(peer.taken, to) {
				t.Errorf("cut after %d read, %d written: %s comes back and was taken", reads, writes, to)
			}
			if x.Body.Size() != int64(len("X: "+to+"\r\n\r\n.\r\nhi\r\n")) {
				t.Errorf("%s comes back with %d octets", to, x.Body.Size())
			}
		}
		if len(outcomes)+len(left) != n {
			t.Errorf("cut after %d read, %d written: %d ended and %d came back, of %d", reads, writes, len(outcomes), len(left), n)
		}
		return doubts, why != nil
	}
	synctest.Test(t, func(t *testing.T) {
		most := 0
		for k, cut := 1, true; cut; k++ {
			var n int
			n, cut = run(t, k, 1<<20)
			most = max(most, n)
		}
		for k, cut := 1, true; cut; k++ {
			var n int
			n, cut = run(t, 1<<20, k)
			most = max(most, n)
		}
		if most != window {
			t.Errorf("at most %d were in doubt, want to have seen the window of %d, and no more", most, window)
		}
	})
}

// A chunker is a peer that takes transactions whole, and hangs up once it has
// read or written so many octets.
type chunker struct {
	reads, writes int
	verbose       int // lines of each answer beside the first
	taken         []string
}

func (p *chunker) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(io.LimitReader(conn, int64(p.reads)))
	say := func(format string, args ...any) bool {
		text := []byte(strings.Repeat(format[:3]+"-and a lot to tell of it, as it seems\r\n", p.verbose) + fmt.Sprintf(format, args...) + "\r\n")
		octets := text[:min(len(text), p.writes)]
		p.writes -= len(octets)
		_, err := conn.Write(octets)
		return err == nil && p.writes > 0
	}
	to := ""
	for ok := say("220 mx"); ok; {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.TrimSuffix(line, "\r\n"), " ")
		switch verb {
		case "EHLO":
			ok = say("250-mx\r\n250-PIPELINING\r\n250 CHUNKING")
		case "RCPT":
			to = strings.Trim(rest, "TO:<>")
			ok = say("250 ok")
		case "BDAT":
			var n int
			fmt.Sscanf(rest, "%d LAST", &n)
			if _, err := in.Discard(n); err != nil {
				return
			}
			p.taken = append(p.taken, to)
			ok = say("250 2.0.0 %s", to)
		case "DATA":
			say("354 go")
			for line != ".\r\n" && err == nil {
				line, err = in.ReadString('\n')
			}
			ok = say("250 2.0.0 %s", to)
		case "QUIT":
			say("221 bye")
			return
		default:
			ok = say("250 ok")
		}
	}
}

// TestFullBuffersDoNotStopAnything has a peer that reads nothing while its
// answers find no room, between buffers that are smaller than any message and
// most answers: nobody may wait for the other.
func TestFullBuffersDoNotStopAnything(t *testing.T) {
	tests := []struct {
		name       string
		o          smtpclient.Options
		recipients int
		size       int
	}{
		{"large messages whole", smtpclient.Options{Window: 4}, 1, 100 << 10},
		{"small messages whole", smtpclient.Options{Window: 20}, 1, 100},
		{"a thousand recipients", smtpclient.Options{}, 1000, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const messages = 50
				// Any kernel has more than this for answers of one line.
				a, b := memconn.Narrow(4096, nil, nil)
				peer := &chunker{reads: 1 << 30, writes: 1 << 30, verbose: 8}
				if tt.recipients > 1 {
					peer.verbose = 0
				}
				go peer.serve(b)
				c := smtpclient.New(a, tt.o)
				defer c.Cut()
				if failed := c.Hello(); failed != nil {
					t.Fatal(say(*failed))
				}
				sent, positive := 0, 0
				_, why := c.Deliver(func(bool) *smtpclient.Transaction {
					if sent == messages {
						return nil
					}
					sent++
					x := &smtpclient.Transaction{Body: text(strings.Repeat("x\r\n", tt.size/3)), Done: func(all []smtpclient.Outcome) {
						for _, o := range all {
							if o.Reply.Positive() {
								positive++
							}
						}
					}}
					for range tt.recipients {
						x.To = append(x.To, smtpclient.Recipient{Address: strings.Repeat("u", 50) + "@example.net"})
					}
					return x
				})
				if why != nil || positive != messages*tt.recipients {
					t.Errorf("%d of %d, %v", positive, messages*tt.recipients, why)
				}
				c.Quit()
			})
		})
	}
}
