package toynet

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net/smtp"
	"strings"
	"sync"
	"testing"
	"time"

	"homing/internal/reply"
)

func TestWhatBecomesOfMailToEachDomain(t *testing.T) {
	n := start(t, Everyday(time.Hour))
	tests := []struct{ mx, lines, want string }{
		{"mx.accepts.test", toFriend, "220 250 250 250 354 250"},
		{"mx.accepts.test", "EHLO a,MAIL FROM:<>,RCPT TO:<x@elsewhere.test>,RSET,QUIT", "220 250 250 554 250 221"},
		{"mx.unknown.test", "EHLO a,MAIL FROM:<>,RCPT TO:<x@unknown.test>,DATA", "220 250 250 550 502"},
		{"mx.disabled.test", "EHLO a,MAIL FROM:<>,RCPT TO:<x@disabled.test>", "220 250 250 550"},
		{"mx.full.test", "EHLO a,MAIL FROM:<>,RCPT TO:<x@full.test>,RCPT TO:<Slow+tag@full.test>", "220 250 250 552 452"},
		{"mx.greylist.test", "EHLO a,MAIL FROM:<>,RCPT TO:<x@greylist.test>", "220 250 250 450"},
		{"mx.busy.test", "EHLO a", "421 gone"},
		{"mx.blocks.test", "EHLO a,MAIL FROM:<>,RCPT TO:<x@blocks.test>", "220 250 250 554"},
		{"mx.spam.test", "EHLO a,MAIL FROM:<>,RCPT TO:<x@spam.test>,DATA,.,MAIL FROM:<>", "220 250 250 250 354 554 250"},
		{"mx.later.test", toFriend, "220 250 250 250 354 250"},
		{"mx.exim.test", toFriend, "220 250 250 250 354 250"},
		{"mx.exchange.test", toFriend, "220 250 250 250 354 250"},
		{"mx.delays.test", toFriend, "220 250 250 250 354 250"},
		{"mx.complains.test", toFriend, "220 250 250 250 354 250"},
		{"mx.vacation.test", toFriend, "220 250 250 250 354 250"},
		{"mx.replies.test", toFriend, "220 250 250 250 354 250"},
		{"mx.leaves.test", toFriend, "220 250 250 250 354 250"},
	}
	for _, tt := range tests {
		t.Run(tt.mx, func(t *testing.T) {
			lines := tt.lines
			if strings.Contains(lines, "%s") {
				lines = fmt.Sprintf(lines, strings.TrimPrefix(tt.mx, "mx."))
			}
			if got := talk(t, n, tt.mx, lines); got != tt.want {
				t.Errorf("%s:\n got %s\nwant %s", lines, got, tt.want)
			}
		})
	}
}

// A clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestARefusalLastsAsLongAsItIsTold(t *testing.T) {
	later := reply.Reply{Code: 450, Enhanced: reply.Enhanced{4, 7, 1}, Text: "later"}
	c := &clock{now: time.Now()}
	n := start(t, World{Now: c.Now, Domains: map[string]Domain{"a.test": {Mailboxes: map[string]Behaviour{
		"ever":  {RCPT: later},
		"twice": {RCPT: later, Times: 2},
		"hour":  {RCPT: later, For: time.Hour},
		"both":  {RCPT: later, For: time.Hour, Times: 2},
		"dot":   {Dot: later, Times: 1},
	}}}})
	try := func(mailbox, from string) string {
		codes := talk(t, n, "mx.a.test", "EHLO a,MAIL FROM:<"+from+">,RCPT TO:<"+mailbox+"@a.test>,DATA,.")
		switch codes {
		case "220 250 250 450 502 501":
			return "rcpt"
		case "220 250 250 250 354 450":
			return "dot"
		case "220 250 250 250 354 250":
			return "ok"
		}
		return codes
	}
	steps := []struct {
		mailbox, from, want string
		pass                time.Duration
	}{
		{"ever", "x@b.test", "rcpt", 0},
		{"twice", "x@b.test", "rcpt", 0},
		{"twice", "x@b.test", "rcpt", 0},
		{"twice", "x@b.test", "ok", 0},
		{"twice", "another@b.test", "rcpt", 0},
		{"dot", "x@b.test", "dot", 0},
		{"dot", "x@b.test", "ok", 0},
		{"hour", "x@b.test", "rcpt", 0},
		{"both", "x@b.test", "rcpt", 0},
		{"hour", "x@b.test", "rcpt", time.Hour - 1},
		{"hour", "x@b.test", "ok", 1},
		{"hour", "another@b.test", "rcpt", 0},
		{"both", "x@b.test", "rcpt", 0},
		{"both", "x@b.test", "ok", 0},
		{"ever", "x@b.test", "rcpt", 0},
	}
	for i, s := range steps {
		c.pass(s.pass)
		if got := try(s.mailbox, s.from); got != s.want {
			t.Errorf("step %d, %s from %s: %s, want %s", i, s.mailbox, s.from, got, s.want)
		}
	}
}

func TestTheJournalHasWhatTheMXReceived(t *testing.T) {
	w := Everyday(time.Hour)
	w.Keep = true
	n := start(t, w)
	message := "Subject: x\r\n\r\nGrüße\r\n.dot\r\n"
	c, err := smtp.Dial(n.HostAddr("mx.accepts.test").String())
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.Hello("client.test"))
	must(c.StartTLS(&tls.Config{RootCAs: n.Roots(), ServerName: "mx.accepts.test"}))
	must(c.Mail("Me+b.1@a.test"))
	must(c.Rcpt("ann@accepts.test"))
	must(c.Rcpt("bob@accepts.test"))
	body, err := c.Data()
	must(err)
	_, err = io.WriteString(body, message)
	must(err)
	must(body.Close())
	must(c.Quit())
	talk(t, n, "mx.blocks.test", "EHLO b.test,MAIL FROM:<>,RCPT TO:<cid@blocks.test>")

	got := n.Receipts.All()
	if len(got) != 3 {
		t.Fatalf("%d receipts, want 3: %+v", len(got), got)
	}
	for i, to := range []string{"ann@accepts.test", "bob@accepts.test"} {
		r := got[i]
		if r.To != to || r.From != "Me+b.1@a.test" || r.Host != "mx.accepts.test" || r.Hello != "client.test" || !r.TLS {
			t.Errorf("envelope: %+v", r)
		}
		if r.SHA256 != sha256.Sum256([]byte(message)) || r.Octets != int64(len(message)) || !bytes.Equal(r.Message, []byte(message)) {
			t.Errorf("message: %d octets %q, want %q", r.Octets, r.Message, message)
		}
		if !r.Accepted() || r.Unsaid || r.Reply.Text != "Ok: queued as "+r.ID || r.ID == "" {
			t.Errorf("answer: %+v", r)
		}
	}
	if r := got[2]; r.Accepted() || r.TLS || r.From != "" || r.Stage != reply.RCPT ||
		r.Reply.String() != "554 5.7.1 Service unavailable; Client host [127.0.0.1] blocked using zen.blocklist.test" {
		t.Errorf("refusal: %+v", r)
	}
	if got := n.Connections.Len(); got != 2 {
		t.Errorf("%d connections, want 2", got)
	}
}

func TestAMessageOverBDATIsReceivedToo(t *testing.T) {
	n := start(t, World{Domains: map[string]Domain{"a.test": {}}})
	c := call(t, n, "mx.a.test")
	fmt.Fprint(c, "EHLO b.test\r\nMAIL FROM:<>\r\nRCPT TO:<ann@a.test>\r\nBDAT 4\r\na: bBDAT 6 LAST\r\n\r\n\r\nc\nQUIT\r\n")
	transcript, err := io.ReadAll(c)
	if err != nil || !strings.Contains(string(transcript), "Ok: queued as") {
		t.Errorf("heard %q, %v", transcript, err)
	}
	got := n.Receipts.All()
	if want := sha256.Sum256([]byte("a: b\r\n\r\nc\n")); len(got) != 1 || got[0].SHA256 != want {
		t.Errorf("journal %+v, want one message of 10 octets", got)
	}
}

func TestAHostSaysWhatItIsToldAtMAILWithoutTLS(t *testing.T) {
	n := start(t, World{Domains: map[string]Domain{
		"plain.test":  {Host: Host{NoTLS: true}},
		"secret.test": {Host: Host{RequireTLS: true}},
		"small.test":  {Host: Host{MaxOctets: 100}},
	}})
	tests := []struct{ name, mx, lines, want string }{
		{"without STARTTLS", "mx.plain.test", "EHLO a,STARTTLS,MAIL FROM:<>", "220 250 502 250"},
		{"TLS required", "mx.secret.test", "EHLO a,MAIL FROM:<>", "220 250 530"},
		{"small messages only", "mx.small.test", "EHLO a,MAIL FROM:<> SIZE=101,MAIL FROM:<> SIZE=100", "220 250 552 250"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := talk(t, n, tt.mx, tt.lines); got != tt.want {
				t.Errorf("%s: %s, want %s", tt.lines, got, tt.want)
			}
		})
	}
}
