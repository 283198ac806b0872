package smtpclient_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/internal/memconn"
	"homing/internal/smtpclient"
	"homing/internal/smtptest"
)

func TestDeliver(t *testing.T) {
	tests := []struct {
		name   string
		o      smtpclient.Options
		script smtptest.Script
		to     []string // recipients of each message
		want   []string // outcomes
		left   bool     // one comes back unsent
		over   string   // why the dialogue ended
		doubt  bool
		took   time.Duration
	}{
		{name: "one message, one command at a time", to: []string{"ann"}, script: plain + `
			C: MAIL FROM:<r-1@example.org> SIZE=23
			S: 250 ok
			C: RCPT TO:<ann@example.net>
			S: 250 2.1.5 ok
			C: DATA
			S: 354 go
			C.
			S: 250 2.0.0 queued as 1
			C: QUIT
			S: 221 bye`,
			want: []string{"ann dot: 250 2.0.0 queued as 1"}},
		{name: "with PIPELINING the next envelope rides behind the final dot", to: []string{"ann", "bob"}, script: pipelining + `
			C: MAIL
			C: RCPT TO:<ann@example.net>
			C: DATA
			S"250 ok\r\n250 ok\r\n354 go\r\n"
			C.
			C: MAIL
			C: RCPT TO:<bob@example.net>
			C: DATA
			S"250 one\r\n250 ok\r\n250 ok\r\n354 go\r\n"
			C.
			S: 250 two
			C: QUIT
			S: 221 bye`,
			want: []string{"ann dot: 250 one", "bob dot: 250 two"}},
		{name: "a recipient refused while DATA is 354 gets only the dot, whose answer is no outcome", to: []string{"ann", "bob"}, script: pipelining + `
			C: MAIL
			C: RCPT
			C: DATA
			S"250 ok\r\n550 5.1.1 no such user\r\n354 go\r\n"
			C: .
			C: RSET
			C: MAIL
			C: RCPT
			C: DATA
			S"250 2.0.0 queued an empty message\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"
			C.
			S: 250 two
			C: QUIT`,
			want: []string{"ann rcpt: 550 5.1.1 no such user", "bob dot: 250 two"}},
		{name: "a recipient refused and DATA with it", to: []string{"ann", "bob"}, script: pipelining + `
			C: MAIL
			C: RCPT
			C: DATA
			S"250 ok\r\n450 4.2.0 later\r\n503 5.5.1 no recipients\r\n"
			C: RSET
			C: MAIL
			C: RCPT
			C: DATA
			S"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"
			C.
			S: 250 two
			C: QUIT`,
			want: []string{"ann rcpt: 450 4.2.0 later", "bob dot: 250 two"}},
		{name: "450 for one recipient of two", to: []string{"ann bob"}, script: pipelining + `
			C: MAIL
			C: RCPT TO:<ann
			C: RCPT TO:<bob
			C: DATA
			S"250 ok\r\n450 4.2.1 busy\r\n250 ok\r\n354 go\r\n"
			C.
			S: 250 queued
			C: QUIT`,
			want: []string{"ann rcpt: 450 4.2.1 busy", "bob dot: 250 queued"}},
		{name: "the sender refused decides for all, whatever RCPT and DATA say", to: []string{"ann"}, script: pipelining + `
			C: MAIL
			C: RCPT
			C: DATA
			S"550 5.7.1 not you\r\n503 5.5.1 need MAIL\r\n503 5.5.1 need RCPT\r\n"
			C: RSET
			S: 250 ok
			C: QUIT`,
			want: []string{"ann mail: 550 5.7.1 not you"}},
		{name: "a refused step ends the envelope without PIPELINING", to: []string{"ann"}, script: plain + `
			C: MAIL
			S: 250 ok
			C: RCPT
			S: 550 5.1.1 no such user
			C: RSET
			S: 250 ok
			C: QUIT`,
			want: []string{"ann rcpt: 550 5.1.1 no such user"}},
		{name: "a refusal at the dot with several lines", to: []string{"ann"}, script: plain + `
			C: MAIL
			S: 250 ok
			C: RCPT
			S: 250 ok
			C: DATA
			S: 354 go
			C.
			S: 554-5.7.1 this is
			S: 554 5.7.1 spam
			C: QUIT`,
			want: []string{"ann dot: 554 5.7.1 this is spam"}},

		{name: "421 at RCPT ends the dialogue", to: []string{"ann", "bob"}, script: plain + `
			C: MAIL
			S: 250 ok
			C: RCPT
			S: 421 4.7.0 too many`,
			want: []string{"ann rcpt: 421 4.7.0 too many"}, over: "rcpt: 421 4.7.0 too many"},
		{name: "421 to a later MAIL gives that message back", to: []string{"ann", "bob"}, left: true, script: pipelining + `
			C: MAIL
			C: RCPT
			C: DATA
			S"250 ok\r\n250 ok\r\n354 go\r\n"
			C.
			C: MAIL
			C: RCPT
			C: DATA
			S"250 one\r\n421 4.3.2 enough for one connection\r\n"`,
			want: []string{"ann dot: 250 one"}, over: "mail: 421 4.3.2 enough for one connection"},
		{name: "421 to the first MAIL is an outcome", to: []string{"ann"}, script: pipelining + `
			C: MAIL
			C: RCPT
			C: DATA
			S: 421 4.3.2 not now`,
			want: []string{"ann mail: 421 4.3.2 not now"}, over: "mail: 421 4.3.2 not now"},
		{name: "421 at the dot gives the next one back", to: []string{"ann", "bob"}, left: true, script: pipelining + `
			C: MAIL
			C: RCPT
			C: DATA
			S"250 ok\r\n250 ok\r\n354 go\r\n"
			C.
			S: 421 4.3.0 going down`,
			want: []string{"ann dot: 421 4.3.0 going down"}, over: "dot: 421 4.3.0 going down"},
		{name: "closed after MAIL", to: []string{"ann"}, script: plain + `
			C: MAIL
			S: 250 ok
			C: RCPT
			close`,
			want: []string{"ann rcpt: we say 451 4.4.2 connection to mx.example.net[198.51.100.7]:25 was lost at RCPT"},
			over: "rcpt: we say 451 4.4.2 connection to mx.example.net[198.51.100.7]:25 was lost at RCPT"},
		{name: "closed in the middle of a pipelined envelope: perhaps it cannot do that", to: []string{"ann"}, left: true, doubt: true, script: pipelining + `
			C: MAIL
			S: 250 ok
			close`,
			over: "rcpt: we say 451 4.4.2 connection to mx.example.net[198.51.100.7]:25 was lost at RCPT"},
		{name: "PIPELINING advertised and broken: all but the first command is thrown away", to: []string{"ann"}, left: true, doubt: true, took: 5 * time.Minute, script: pipelining + `
			C: MAIL
			S: 250 ok
			silence`,
			over: "rcpt: we say 451 4.4.2 mx.example.net[198.51.100.7]:25 took too long at RCPT"},
		{name: "closed after 354", to: []string{"ann"}, script: plain + `
			C: MAIL
			S: 250 ok
			C: RCPT
			S: 250 ok
			C: DATA
			S: 354 go
			close`,
			want: []string{"ann data: we say 451 4.4.2 connection to mx.example.net[198.51.100.7]:25 was lost at DATA"},
			over: "data: we say 451 4.4.2 connection to mx.example.net[198.51.100.7]:25 was lost at DATA"},
		{name: "closed after the dot may have been accepted", to: []string{"ann"}, script: plain + `
			C: MAIL
			S: 250 ok
			C: RCPT
			S: 250 ok
			C: DATA
			S: 354 go
			C.
			close`,
			want: []string{"ann dot: we say 451 4.4.2 connection to mx.example.net[198.51.100.7]:25 was lost after the whole message was sent, which it may have accepted"},
			over: "dot: we say 451 4.4.2 connection to mx.example.net[198.51.100.7]:25 was lost after the whole message was sent, which it may have accepted"},
		{name: "no answer after the dot", to: []string{"ann"}, took: 10 * time.Minute, script: plain + `
			C: MAIL
			S: 250 ok
			C: RCPT
			S: 250 ok
			C: DATA
			S: 354 go
			C.
			silence`,
			want: []string{"ann dot: we say 451 4.4.2 mx.example.net[198.51.100.7]:25 took too long after the whole message was sent, which it may have accepted"},
			over: "dot: we say 451 4.4.2 mx.example.net[198.51.100.7]:25 took too long after the whole message was sent, which it may have accepted"},

		{name: "one 250 too many is not taken for the answer to DATA", to: []string{"ann"}, script: plain + `
			C: MAIL
			S"250 ok\r\n250 ok again\r\n"`,
			want: []string{`ann rcpt: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: unasked: "250 ok again\r\n"`},
			over: `rcpt: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: unasked: "250 ok again\r\n"`},
		{name: "one 250 too many that comes late is noticed at DATA", to: []string{"ann"}, script: plain + `
			C: MAIL
			S: 250 ok
			C: RCPT
			S: 250 late, to MAIL
			C: DATA
			S"250 ok, to RCPT\r\n354 go\r\n"`,
			want: []string{"ann data: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: 250 to DATA"},
			over: "data: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: 250 to DATA"},
		{name: "a refusal of RCPT is not taken for one of DATA", to: []string{"ann"}, script: plain + `
			C: MAIL
			S: 250 ok
			C: RCPT
			S: 250 late, to MAIL
			C: DATA
			S: 550 5.1.1 no such user, to RCPT
			C: RSET
			S: 503 5.5.1 no recipients, to DATA`,
			want: []string{"ann data: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: 503 to RSET"},
			over: "rset: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: 503 to RSET"},
		{name: "a 250 before the content is not taken for the answer to the dot", to: []string{"ann"}, script: plain + `
			C: MAIL
			S: 250 ok
			C: RCPT
			S: 250 ok
			C: DATA
			S"354 go\r\n250 queued already\r\n"`,
			want: []string{`ann data: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: unasked: "250 queued already\r\n"`},
			over: `data: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: unasked: "250 queued already\r\n"`},
		{name: "a refusal right behind 354 is what became of the message", to: []string{"ann"}, script: plain + `
			C: MAIL
			S: 250 ok
			C: RCPT
			S: 250 ok
			C: DATA
			S"354 go\r\n550 5.7.1 not\r\n"
			close`,
			want: []string{"ann data: 550 5.7.1 not"},
			over: "data: 550 5.7.1 not"},
		{name: "half a refusal behind 354 is a lost connection", to: []string{"ann"}, script: plain + `
			C: MAIL
			S: 250 ok
			C: RCPT
			S: 250 ok
			C: DATA
			S"354 go\r\n550-5.7.1 not\r\n"
			close`,
			want: []string{"ann data: we say 451 4.4.2 connection to mx.example.net[198.51.100.7]:25 was lost at DATA"},
			over: "data: we say 451 4.4.2 connection to mx.example.net[198.51.100.7]:25 was lost at DATA"},
		{name: "one 250 too many with PIPELINING", to: []string{"ann"}, left: true, doubt: true, script: pipelining + `
			C: MAIL
			C: RCPT
			C: DATA
			S"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"`,
			over: "data: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: 250 to DATA"},
		{name: "mixed codes in one reply", to: []string{"ann"}, script: plain + `
			C: MAIL
			S"250-ok\r\n550 no\r\n"`,
			want: []string{"ann mail: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: 250 and 550 in one reply"},
			over: "mail: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: 250 and 550 in one reply"},
		{name: "354 to the dot", to: []string{"ann"}, script: plain + `
			C: MAIL
			S: 250 ok
			C: RCPT
			S: 250 ok
			C: DATA
			S: 354 go
			C.
			S: 354 more`,
			want: []string{"ann dot: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: 354 to the final dot"},
			over: "dot: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: 354 to the final dot"},
		{name: "garbage", to: []string{"ann"}, script: plain + `
			C: MAIL
			S: HTTP/1.1 400 Bad Request`,
			want: []string{`ann mail: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: not a reply: "HTTP/1.1 400 Bad Request"`},
			over: `mail: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: not a reply: "HTTP/1.1 400 Bad Request"`},
		{name: "gone after a refusal: the refusal counts", to: []string{"ann"}, script: plain + `
			C: MAIL
			S: 250 ok
			C: RCPT
			S: 550 5.1.1 no such user
			C: RSET
			close`,
			want: []string{"ann rcpt: 550 5.1.1 no such user"},
			over: "rset: we say 451 4.4.2 connection to mx.example.net[198.51.100.7]:25 was lost at RSET"},

		{name: "LMTP answers for each recipient", o: smtpclient.Options{LMTP: true}, to: []string{"ann bob cid"}, script: `
			S: 220 lmtp
			C: LHLO mail.example.org
			S"250-lmtp\r\n250 PIPELINING\r\n"
			C: MAIL
			C: RCPT
			C: RCPT
			C: RCPT
			C: DATA
			S"250 ok\r\n250 ok\r\n550 5.1.1 no bob\r\n250 ok\r\n354 go\r\n"
			C.
			S"250 2.0.0 ann has it\r\n452 4.2.2 cid is full\r\n"
			C: QUIT`,
			want: []string{"ann dot: 250 2.0.0 ann has it", "bob rcpt: 550 5.1.1 no bob", "cid dot: 452 4.2.2 cid is full"}},
		{name: "LMTP with too few replies", o: smtpclient.Options{LMTP: true}, to: []string{"ann bob"}, took: 10 * time.Minute, script: `
			S: 220 lmtp
			C: LHLO
			S"250-lmtp\r\n250 PIPELINING\r\n"
			C: MAIL
			C: RCPT
			C: RCPT
			C: DATA
			S"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"
			C.
			S: 250 2.0.0 ann has it
			silence`,
			want: []string{"ann dot: 250 2.0.0 ann has it",
				"bob dot: we say 451 4.4.2 mx.example.net[198.51.100.7]:25 took too long after the whole message was sent, which it may have accepted"},
			over: "dot: we say 451 4.4.2 mx.example.net[198.51.100.7]:25 took too long after the whole message was sent, which it may have accepted"},
		{name: "LMTP that takes data for nobody", o: smtpclient.Options{LMTP: true}, to: []string{"ann"}, script: `
			S: 220 lmtp
			C: LHLO
			S"250-lmtp\r\n250 PIPELINING\r\n"
			C: MAIL
			C: RCPT
			C: DATA
			S"250 ok\r\n550 5.1.1 no ann\r\n354 go\r\n"
			C: .`,
			want: []string{"ann rcpt: 550 5.1.1 no ann"},
			over: "data: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: 354 with no recipient"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := begin(tt.o, tt.script, nil)
				defer d.end(t)
				if failed := d.client.Hello(); failed != nil {
					t.Fatalf("Hello: %s", say(*failed))
				}
				left, why := d.client.Deliver(d.mail(tt.to...))
				if diff := cmp.Diff(tt.want, d.heard); diff != "" {
					t.Errorf("outcomes (-want +got):\n%s", diff)
				}
				over := ""
				if why != nil {
					over = say(*why)
				}
				if over != tt.over || (left != nil) != tt.left || d.client.Doubtful() != tt.doubt {
					t.Errorf("got %q, one left %v, doubtful %v\nwant %q, %v, %v", over, left != nil, d.client.Doubtful(), tt.over, tt.left, tt.doubt)
				}
				if got := time.Since(d.started); got != tt.took {
					t.Errorf("took %v, want %v", got, tt.took)
				}
				d.client.Quit()
			})
		})
	}
}

func TestAMessageThatCannotBeReadIsNeverEnded(t *testing.T) {
	tests := []struct {
		name string
		body smtpclient.Body
	}{
		{"the disk fails in the middle", broken{bytes.NewReader([]byte("Subject: x\r\n\r\nhalf")), 100}},
		{"it is shorter than it should be", short{bytes.NewReader([]byte("Subject: x\r\n\r\nhalf"))}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := begin(smtpclient.Options{}, plain+"C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nsilence", nil)
			if failed := d.client.Hello(); failed != nil {
				t.Fatal(say(*failed))
			}
			next := d.mail("ann")
			_, why := d.client.Deliver(func(ready bool) *smtpclient.Transaction {
				x := next(ready)
				if x != nil {
					x.Body = tt.body
				}
				return x
			})
			d.end(t)
			if why == nil || d.heard[0] != "ann data: we say 451 4.3.0 the message could not be read" || !d.client.Over() {
				t.Errorf("got %q, %v", d.heard, why)
			}
			if strings.Contains(d.player.Heard.String(), "\r\n.\r\n") {
				t.Errorf("the peer was told that the message is complete: %q", d.player.Heard.String())
			}
		})
	}
}

type broken struct {
	*bytes.Reader
	size int64
}

func (b broken) Size() int64 { return b.size }

func (b broken) WriteTo(w io.Writer) (int64, error) {
	b.Reader.WriteTo(w)
	return 0, fmt.Errorf("input/output error")
}

type short struct{ *bytes.Reader }

func (s short) Size() int64 { return s.Reader.Size() + 1 }

func TestAPeerThatTakesNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := begin(smtpclient.Options{}, pipelining+`
			C: MAIL
			C: RCPT
			C: DATA
			S"250 ok\r\n250 ok\r\n354 go\r\n"
			wait 1h`, nil)
		if failed := d.client.Hello(); failed != nil {
			t.Fatal(say(*failed))
		}
		next := d.mail("ann")
		d.client.Deliver(func(ready bool) *smtpclient.Transaction {
			x := next(ready)
			if x != nil {
				x.Body = text(strings.Repeat("x\r\n", 1<<20))
			}
			return x
		})
		want := []string{"ann data: we say 451 4.4.2 mx.example.net[198.51.100.7]:25 took too long at DATA"}
		if diff := cmp.Diff(want, d.heard); diff != "" {
			t.Error(diff)
		}
		if took := time.Since(d.started); took < 3*time.Minute || took > 5*time.Minute {
			t.Errorf("took %v, want the three minutes of a block", took)
		}
		d.client.Cut()
		<-d.played
	})
}

func TestAPeerThatSpeaksDuringTheContent(t *testing.T) {
	tests := []struct {
		name string
		rest smtptest.Script
		want string
	}{
		{"a refusal and the end of the connection", `
			S: 552 5.3.4 too big
			close`, "ann data: 552 5.3.4 too big"},
		{"a refusal ahead of the dot is the answer to it", `
			S: 552 5.3.4 too big
			C.`, "ann dot: 552 5.3.4 too big"},
		{"a 250 ahead of the dot is not", `
			S: 250 ok
			silence`, `ann data: we say 451 4.5.0 protocol error by mx.example.net[198.51.100.7]:25: unasked: "250 ok\r\n"`},
		{"the end of the connection", `
			close`, "ann data: we say 451 4.4.2 connection to mx.example.net[198.51.100.7]:25 was lost at DATA"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := begin(smtpclient.Options{}, pipelining+`
					C: MAIL
					C: RCPT
					C: DATA
					S"250 ok\r\n250 ok\r\n354 go\r\n"
					C: Subject
					`+tt.rest, nil)
				defer d.end(t)
				if failed := d.client.Hello(); failed != nil {
					t.Fatal(say(*failed))
				}
				next := d.mail("ann")
				d.client.Deliver(func(ready bool) *smtpclient.Transaction {
					x := next(ready)
					if x != nil {
						x.Body = text("Subject: big\r\n\r\n" + strings.Repeat("x\r\n", memconn.Buffer))
					}
					return x
				})
				if diff := cmp.Diff([]string{tt.want}, d.heard); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}
