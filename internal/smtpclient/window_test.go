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

const (
	// whole is what the client says of one transaction.
	whole = `
	C: MAIL
	C: RCPT
	chunk`

	// ahead is the envelope of a plain one.
	ahead = `
	C: MAIL
	C: RCPT
	C: DATA`

	// proven is the beginning of a connection that is sound, with p and q.
	proven = chunking + whole + ahead + `
	S"250 ok\r\n250 ok\r\n250 2.0.0 first\r\n250 ok\r\n250 ok\r\n354 go\r\n"
	C.
	S: 250 2.0.0 second`

	// plainly is one that is alone.
	plainly = ahead + `
	S"250 ok\r\n250 ok\r\n354 go\r\n"
	C.
	S: 250 2.0.0 alone`
)

// TestWindow is about transactions that go out whole.
func TestWindow(t *testing.T) {
	const mx = "mx.example.net[198.51.100.7]:25"
	const perhaps = "lost after the whole message was sent, which it may have accepted"
	lost := func(why string) string { return "dot: we say 451 4.4.2 connection to " + mx + " was " + why }
	broke := func(what string) string { return "dot: we say 451 4.5.0 protocol error by " + mx + ": " + what }
	at := func(stage, text string) string { return stage + strings.TrimPrefix(text, "dot") }
	pq := []string{"p dot: 250 2.0.0 first", "q dot: 250 2.0.0 second"}
	tests := []struct {
		name   string
		o      smtpclient.Options
		script smtptest.Script
		to     []string
		bodies map[string]smtpclient.Body
		want   []string
		left   []string // that come back unsent
		over   string
		astray bool
	}{
		{name: "a connection is proven by an envelope behind the first one", to: []string{"p", "q", "c", "d", "e", "f"}, script: proven +
			whole + whole + whole + whole + `
			S"250 ok\r\n250 ok\r\n250 2.0.0 c\r\n250 ok\r\n250 ok\r\n250 2.0.0 d\r\n250 ok\r\n250 ok\r\n250 2.0.0 e\r\n250 ok\r\n250 ok\r\n250 2.0.0 f\r\n"
			C: QUIT`,
			want: append(pq, "c dot: 250 2.0.0 c", "d dot: 250 2.0.0 d", "e dot: 250 2.0.0 e", "f dot: 250 2.0.0 f")},
		{name: "no more than the window", o: smtpclient.Options{Window: 2}, to: []string{"p", "q", "c", "d", "e"}, script: proven +
			whole + whole + `
			quiet 1s
			S"250 ok\r\n250 ok\r\n250 2.0.0 c\r\n"` + whole + `
			quiet 1s
			S"250 ok\r\n250 ok\r\n250 2.0.0 d\r\n250 ok\r\n250 ok\r\n250 2.0.0 e\r\n"
			C: QUIT`,
			want: append(pq, "c dot: 250 2.0.0 c", "d dot: 250 2.0.0 d", "e dot: 250 2.0.0 e")},
		{name: "one that is alone goes plainly", to: []string{"a"}, script: chunking + plainly + `
			C: QUIT`, want: []string{"a dot: 250 2.0.0 alone"}},
		{name: "what BDAT is answered for nobody is no outcome", to: []string{"p", "q", "c", "d", "e"}, script: proven + whole + whole + whole + `
			S"250 ok\r\n550 5.1.1 no such user\r\n503 5.5.1 no valid recipients\r\n250 ok\r\n450 4.2.0 later\r\n554 5.5.1 no valid recipients\r\n250 ok\r\n250 ok\r\n250 2.0.0 e\r\n"
			C: QUIT`,
			want: append(pq, "c rcpt: 550 5.1.1 no such user", "d rcpt: 450 4.2.0 later", "e dot: 250 2.0.0 e")},
		{name: "one of two recipients refused", to: []string{"p", "q", "a b"}, script: proven + `
			C: MAIL
			C: RCPT TO:<a
			C: RCPT TO:<b
			chunk
			S"250 ok\r\n550 5.1.1 no a\r\n250 ok\r\n250 2.0.0 for b\r\n"
			C: QUIT`, want: append(pq, "a rcpt: 550 5.1.1 no a", "b dot: 250 2.0.0 for b")},
		{name: "the sender refused decides for all that follows", to: []string{"p", "q", "c"}, script: proven + whole + `
			S"550 5.7.1 not you\r\n503 5.5.1 need MAIL\r\n503 5.5.1 need RCPT\r\n"
			C: QUIT`, want: append(pq, "c mail: 550 5.7.1 not you")},
		{name: "a message refused", to: []string{"p", "q", "c", "d"}, script: proven + whole + whole + `
			S"250 ok\r\n250 ok\r\n554 5.7.1 spam\r\n250 ok\r\n250 ok\r\n250 2.0.0 d\r\n"
			C: QUIT`, want: append(pq, "c dot: 554 5.7.1 spam", "d dot: 250 2.0.0 d")},
		{name: "an address that has no syntax here is a refusal", to: []string{"p", "q", "c"}, script: proven + whole + `
			S"250 ok\r\n501 5.1.3 what is that\r\n503 5.5.1 nobody\r\n"
			C: QUIT`, want: append(pq, "c rcpt: 501 5.1.3 what is that")},

		{name: "refusals prove as well: DATA without a recipient has its 354", to: []string{"p", "q", "c"}, script: chunking + whole + ahead + `
			S"250 ok\r\n550 5.1.1 no p\r\n503 5.5.1 nobody\r\n250 ok\r\n550 5.1.1 no q\r\n354 go\r\n"
			C: .
			C: RSET
			S"554 5.5.1 nobody\r\n250 ok\r\n"` + whole + `
			S"250 ok\r\n250 ok\r\n250 2.0.0 c\r\n"
			C: QUIT`, want: []string{"p rcpt: 550 5.1.1 no p", "q rcpt: 550 5.1.1 no q", "c dot: 250 2.0.0 c"}},
		{name: "or RSET has its 250", to: []string{"p", "q", "c"}, script: chunking + whole + ahead + `
			S"250 ok\r\n250 ok\r\n250 2.0.0 first\r\n450 4.7.1 later\r\n503 5.5.1 MAIL first\r\n503 5.5.1 RCPT first\r\n"
			C: RSET
			S: 250 ok` + whole + `
			S"250 ok\r\n250 ok\r\n250 2.0.0 c\r\n"
			C: QUIT`, want: []string{"p dot: 250 2.0.0 first", "q mail: 450 4.7.1 later", "c dot: 250 2.0.0 c"}},
		{name: "one 250 too many is not taken for the answer to BDAT", to: []string{"p", "q", "c"}, astray: true, script: chunking + whole + ahead + `
			S"250 ok\r\n250 ok\r\n250 and again\r\n550 5.7.1 spam\r\n250 ok\r\n250 ok\r\n354 go\r\n"`,
			want: []string{"p " + broke("RCPT accepted after MAIL was refused")}, left: []string{"q"}, over: at("rcpt", broke("RCPT accepted after MAIL was refused"))},
		{name: "nor where all are 250", to: []string{"p", "q", "c"}, astray: true, script: chunking + whole + ahead + `
			S"250 ok\r\n250 ok\r\n250 and again\r\n250 2.0.0 first\r\n250 ok\r\n250 ok\r\n354 go\r\n"`,
			want: []string{"p " + broke("250 to DATA")}, left: []string{"q"}, over: at("data", broke("250 to DATA"))},
		{name: "nor where the next is refused", to: []string{"p", "q", "c"}, astray: true, script: chunking + whole + ahead + `
			S"250 ok\r\n250 ok\r\n250 and again\r\n250 2.0.0 first\r\n250 ok\r\n550 5.1.1 no q\r\n503 5.5.1 nobody\r\n"
			C: RSET
			S: 250 ok`,
			want: []string{"p " + broke("503 to RSET"), "q " + at("data", broke("503 to RSET"))}, over: at("rset", broke("503 to RSET"))},

		{name: "a large message waits, and is waited for", to: []string{"p", "q", "c", "big", "e"}, bodies: map[string]smtpclient.Body{"big": text(strings.Repeat("big\r\n", 30_000))},
			script: proven + whole + `
			S"250 ok\r\n250 ok\r\n250 2.0.0 c\r\n"` + plainly + whole + `
			S"250 ok\r\n250 ok\r\n250 2.0.0 e\r\n"
			C: QUIT`, want: append(pq, "c dot: 250 2.0.0 c", "big dot: 250 2.0.0 alone", "e dot: 250 2.0.0 e")},
		{name: "a large message that is the first goes before all that", to: []string{"big", "p", "q"}, bodies: map[string]smtpclient.Body{"big": text(strings.Repeat("big\r\n", 30_000))},
			script: smtptest.Script(chunking + plainly + strings.TrimPrefix(proven, chunking) + `
			C: QUIT`), want: append([]string{"big dot: 250 2.0.0 alone"}, pq...)},
		{name: "a message with bare line ends goes where they are mended", to: []string{"p", "q", "bare"}, bodies: map[string]smtpclient.Body{"bare": text("one\ntwo\rthree\r\n")},
			script: proven + ahead + `
			S"250 ok\r\n250 ok\r\n354 go\r\n"
			C: one
			C: two three
			C: .
			S: 250 2.0.0 ok
			C: QUIT`, want: append(pq, "bare dot: 250 2.0.0 ok")},
		{name: "one that cannot be read is put off, and the others go on", to: []string{"broken", "p", "q", "broken", "e"},
			bodies: map[string]smtpclient.Body{"broken": broken{bytes.NewReader([]byte("half")), 100}}, script: proven + whole + `
			S"250 ok\r\n250 ok\r\n250 2.0.0 e\r\n"
			C: QUIT`, want: []string{"broken data: we say 451 4.3.0 the message could not be read", pq[0], pq[1],
				"broken data: we say 451 4.3.0 the message could not be read", "e dot: 250 2.0.0 e"}},
		{name: "nor is one sent that is shorter than it should be", to: []string{"short"}, bodies: map[string]smtpclient.Body{"short": short{bytes.NewReader([]byte("half\r\n"))}},
			script: chunking + "C: QUIT", want: []string{"short data: we say 451 4.3.0 the message could not be read"}},
		{name: "without CHUNKING the next envelope rides behind the dot", to: []string{"a", "b"}, script: pipelining + ahead + `
			S"250 ok\r\n250 ok\r\n354 go\r\n"
			C.` + ahead + `
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
		{name: "never over LMTP", o: smtpclient.Options{LMTP: true}, to: []string{"a", "b"}, script: `
			S: 220 mx
			C: LHLO mail.example.org
			S"250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n"` + ahead + `
			S"250 ok\r\n250 ok\r\n354 go\r\n"
			C.` + ahead + `
			S"250 one\r\n250 ok\r\n250 ok\r\n354 go\r\n"
			C.
			S: 250 two
			C: QUIT`, want: []string{"a dot: 250 one", "b dot: 250 two"}},

		{name: "421 to a later MAIL gives back all that is not answered", to: []string{"p", "q", "c", "d", "e"}, script: proven + whole + whole + whole + `
			S"250 ok\r\n250 ok\r\n250 2.0.0 c\r\n421 4.3.2 that is enough\r\n"`,
			want: append(pq, "c dot: 250 2.0.0 c"), left: []string{"d", "e"}, over: "mail: 421 4.3.2 that is enough"},
		{name: "421 to BDAT is an outcome for one, and the others come back", to: []string{"p", "q", "c", "d"}, script: proven + whole + whole + `
			S"250 ok\r\n250 ok\r\n421 4.3.0 going down\r\n"`,
			want: append(pq, "c dot: 421 4.3.0 going down"), left: []string{"d"}, over: "dot: 421 4.3.0 going down"},
		{name: "421 to the first MAIL is an outcome", to: []string{"p", "q"}, script: chunking + whole + ahead + `
			S: 421 4.3.2 not now`,
			want: []string{"p mail: 421 4.3.2 not now"}, left: []string{"q"}, over: "mail: 421 4.3.2 not now"},
		{name: "421 to the second does not harm the first", to: []string{"p", "q"}, script: chunking + whole + ahead + `
			S"250 ok\r\n250 ok\r\n250 2.0.0 first\r\n421 4.3.2 one is enough\r\n"`,
			want: []string{"p dot: 250 2.0.0 first"}, left: []string{"q"}, over: "mail: 421 4.3.2 one is enough"},
		{name: "421 after a refusal", to: []string{"p", "q", "c"}, script: proven + whole + `
			S"550 5.7.1 not you\r\n421 4.7.0 and go away\r\n"`,
			want: append(pq, "c mail: 550 5.7.1 not you"), over: "rcpt: 421 4.7.0 and go away"},

		{name: "the end of the connection leaves what was sent in doubt", to: []string{"p", "q", "c", "d", "e"}, astray: true, script: proven + whole + whole + whole + `
			S"250 ok\r\n250 ok\r\n250 2.0.0 c\r\n250 ok\r\n"
			close`,
			want: append(pq, "c dot: 250 2.0.0 c", "d "+lost(perhaps), "e "+lost(perhaps)), over: at("rcpt", lost("lost at RCPT"))},
		{name: "the end before the second envelope was answered does not harm the first", to: []string{"p", "q"}, astray: true, script: chunking + whole + ahead + `
			S"250 ok\r\n250 ok\r\n250 2.0.0 first\r\n250 ok\r\n"
			close`,
			want: []string{"p dot: 250 2.0.0 first"}, left: []string{"q"}, over: at("rcpt", lost("lost at RCPT"))},
		{name: "gone after a refusal: the refusal counts", to: []string{"p", "q", "c"}, astray: true, script: proven + whole + `
			S"250 ok\r\n550 5.1.1 no such user\r\n"
			close`,
			want: append(pq, "c rcpt: 550 5.1.1 no such user"), over: lost(perhaps)},
		{name: "the lines of a refused message taken for commands", to: []string{"p", "q", "c", "d"}, astray: true, script: proven + whole + whole + `
			S"250 ok\r\n550 5.1.1 no such user\r\n503 5.5.1 no valid recipients\r\n500 5.5.1 Subject: what\r\n"`,
			want: append(pq, "c rcpt: 550 5.1.1 no such user", "d "+broke("500 to a whole transaction")), over: at("mail", broke("500 to a whole transaction"))},
		{name: "lines that are as many as the next envelope has commands", to: []string{"p", "q", "c"}, astray: true, script: chunking + whole + ahead + `
			S"250 ok\r\n550 5.1.1 no p\r\n503 5.5.1 nobody\r\n500 5.5.1 To: what\r\n500 5.5.1 what\r\n500 5.5.1 what\r\n250 ok\r\n250 ok\r\n354 go\r\n"`,
			want: []string{"p " + broke("500 behind a whole transaction")}, left: []string{"q"}, over: at("mail", broke("500 behind a whole transaction"))},
		{name: "or of a large message, which goes plainly behind one", to: []string{"p", "q", "c", "big"}, astray: true, bodies: map[string]smtpclient.Body{"big": text(strings.Repeat("big\r\n", 30_000))},
			script: proven + whole + `
			S"250 ok\r\n550 5.1.1 no c\r\n503 5.5.1 nobody\r\n"
			C: MAIL
			C: RCPT
			C: DATA
			S"500 5.5.1 To: what\r\n500 5.5.1 what\r\n500 5.5.1 what\r\n250 ok\r\n250 ok\r\n354 go\r\n"`,
			want: append(pq, "c rcpt: 550 5.1.1 no c"), left: []string{"big"}, over: at("mail", broke("500 behind a whole transaction"))},
		{name: "one answer too many is seen with the last one", to: []string{"p", "q", "c"}, astray: true, script: proven + whole + `
			S"250 ok\r\n250 ok\r\n250 2.0.0 c\r\n250 2.0.0 again\r\n"`,
			want: append(pq, "c "+broke(`unasked: "250 2.0.0 again\r\n"`)), over: broke(`unasked: "250 2.0.0 again\r\n"`)},
		{name: "one that comes late is seen before the next message", to: []string{"p", "q", "c", "pause", "e"}, astray: true, script: proven + whole + `
			S"250 ok\r\n250 ok\r\n250 2.0.0 c\r\n"
			wait 1m
			S: 250 2.0.0 again`,
			want: append(pq, "c dot: 250 2.0.0 c"), left: []string{"e"}, over: at("mail", broke(`unasked: "250 2.0.0 again\r\n"`))},
		{name: "a refusal is not taken for one of the next MAIL", to: []string{"p", "q", "c", "d"}, astray: true, script: proven + whole + whole + `
			S"250 ok\r\n250 ok\r\n250 what is this\r\n550 5.7.1 the message of c\r\n250 ok\r\n250 ok\r\n"`,
			want: append(pq, "c dot: 250 what is this", "d "+broke("RCPT accepted after MAIL was refused")), over: at("rcpt", broke("RCPT accepted after MAIL was refused"))},
		{name: "a message taken for nobody", to: []string{"p", "q", "c"}, astray: true, script: proven + whole + `
			S"250 ok\r\n550 5.1.1 no\r\n250 2.0.0 taken\r\n"`,
			want: append(pq, "c "+broke("a message taken for nobody")), over: broke("a message taken for nobody")},
		{name: "354 is no answer", to: []string{"p", "q", "c"}, astray: true, script: proven + whole + `
			S"250 ok\r\n250 ok\r\n354 go\r\n"`, want: append(pq, "c "+broke("354 to BDAT")), over: broke("354 to BDAT")},
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
			if err != nil {
				return
			}
			p.taken = append(p.taken, to)
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
