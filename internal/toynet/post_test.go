package toynet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"homing/internal/reply"
)

// A listener is a mail server of another make at the place of the server under
// test. It refuses the first transactions at RCPT.
type listener struct {
	mu      sync.Mutex
	refuse  int
	got     Journal[string] // "from > to\n" and the message
	helloed []string
}

type listenerSession struct {
	l   *listener
	env string
}

func (l *listener) NewSession(c *smtp.Conn) (smtp.Session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	host, _, _ := net.SplitHostPort(c.Conn().RemoteAddr().String())
	l.helloed = append(l.helloed, c.Hostname()+" "+host)
	return &listenerSession{l: l}, nil
}
func (s *listenerSession) Reset()        {}
func (s *listenerSession) Logout() error { return nil }
func (s *listenerSession) Mail(from string, _ *smtp.MailOptions) error {
	s.env = from
	return nil
}
func (s *listenerSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if s.l.refuse > 0 {
		s.l.refuse--
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "not yet"}
	}
	s.env += " > " + to
	return nil
}
func (s *listenerSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.l.got.Add(s.env + "\n" + string(b))
	return err
}

// listenAt runs l at an address until the test ends.
func listenAt(t *testing.T, address string, l *listener) {
	t.Helper()
	socket, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := smtp.NewServer(l)
	var served sync.WaitGroup
	served.Go(func() { s.Serve(socket) })
	t.Cleanup(func() {
		s.Close()
		served.Wait()
	})
}

var ourServer = Server{Name: "mail.example.org", Returns: []string{"bounce.example.org"}}

func TestABounceFindsItsWayThroughTheDNS(t *testing.T) {
	w := Everyday(time.Millisecond)
	w.Server = ourServer
	n := start(t, w)
	l := &listener{refuse: 2}
	listenAt(t, n.ServerAddr().String(), l)
	const sender = "return+abc@bounce.example.org"
	tests := []struct{ domain, envelope, contains string }{
		{"later.test", " > " + sender, "Reporting-MTA: dns; mx.later.test\r\n"},
		{"exim.test", " > " + sender, "X-Failed-Recipients: ann@exim.test\r\n"},
		{"exchange.test", " > " + sender, "Status: 5.1.10\r\n"},
		{"delays.test", " > " + sender, "Action: delayed\r\n"},
		{"complains.test", " > " + sender, "Feedback-Type: abuse\r\n"},
		{"vacation.test", " > " + sender, "Auto-Submitted: auto-replied\r\n"},
		{"replies.test", "ann@replies.test > " + sender, "Subject: Re: News\r\n"},
		{"leaves.test", "ann@leaves.test > civi+u.1.2.abc@bounce.example.org", "Subject: unsubscribe\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.domain, func(t *testing.T) {
			before := l.got.Len()
			c := call(t, n, "mx."+tt.domain)
			d := newDialogue(c, 20*time.Second)
			hearOK(t, d, "EHLO a", "MAIL FROM:<"+sender+">", "RCPT TO:<ann@"+tt.domain+">")
			hearOK(t, d, "DATA")
			hearOK(t, d, "Subject: News\r\nList-Unsubscribe: <https://example.org/u>, <mailto:civi%2Bu.1.2.abc@bounce.example.org>\r\n\r\nHello\r\n.")
			if err := l.got.Wait(soon(t), func(got []string) bool { return len(got) > before }); err != nil {
				t.Fatal(err)
			}
			got := l.got.All()[before]
			envelope, message, _ := strings.Cut(got, "\n")
			if envelope != tt.envelope || !strings.Contains(message, tt.contains) {
				t.Errorf("got %s, want %s, and in it %q", got, tt.envelope, tt.contains)
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			want := "mx." + tt.domain + " " + n.HostAddr("mx."+tt.domain).Addr().String()
			if hello := l.helloed[len(l.helloed)-1]; hello != want {
				t.Errorf("the bounce came from %s, want %s", hello, want)
			}
		})
	}
	if err := n.Settled(soon(t)); err != nil {
		t.Fatal(err)
	}
	notes := n.Notes.All()
	if len(notes) != len(tests) || notes[0].Tries != 3 || notes[0].Host != "mx.later.test" || notes[0].About != "ann@later.test" ||
		!notes[0].Reply.Positive() || notes[0].Stage != reply.Dot {
		t.Errorf("notes %+v, want %d, the first sent with the third try", notes, len(tests))
	}
}

// hearOK says lines and wants a 2xx or 3xx to each; the greeting first.
func hearOK(t *testing.T, d *dialogue, lines ...string) {
	t.Helper()
	if strings.HasPrefix(lines[0], "EHLO") {
		if r, err := d.heard(); err != nil || r.Code != 220 {
			t.Fatalf("greeting: %v, %v", r, err)
		}
	}
	for _, line := range lines {
		if r, err := d.ask(line); err != nil || r.Code >= 400 {
			t.Fatalf("%s: %v, %v", line, r, err)
		}
	}
}

func TestWhatCannotBeSentBackIsGivenUp(t *testing.T) {
	back := Behaviour{Later: []Later{{Compose: PostfixDSN}}}
	n := start(t, World{Domains: map[string]Domain{
		"a.test":       {Behaviour: back},
		"silence.test": {Behaviour: Behaviour{Later: []Later{{Compose: Unsubscribe}}}},
		"refuses.test": {Behaviour: Behaviour{RCPT: reply.Reply{Code: 550, Enhanced: reply.Enhanced{5, 1, 1}, Text: "no"}}},
		"null.test":    {Null: true},
		"missing.test": {Missing: true},
	}})
	tests := []struct{ name, domain, from, want string }{
		{"the return path is refused", "a.test", "x@refuses.test", "rcpt 550 5.1.1 no"},
		{"the return domain is missing", "a.test", "x@missing.test", "resolve 550 5.1.2 the domain takes no mail"},
		{"the return domain takes no mail", "a.test", "x@null.test", "resolve 550 5.1.2 the domain takes no mail"},
		{"there is no address to unsubscribe at", "silence.test", "x@a.test", " 0"},
		{"there is no return path", "a.test", "", " 0"},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			talk(t, n, "mx."+tt.domain, "EHLO a,MAIL FROM:<"+tt.from+">,RCPT TO:<ann@"+tt.domain+">,DATA,.")
			if err := n.Settled(soon(t)); err != nil {
				t.Fatal(err)
			}
			note := n.Notes.All()[i]
			if got := string(note.Stage) + " " + note.Reply.String(); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestAReportCanComeSeveralTimesAndFromElsewhere(t *testing.T) {
	w := World{Server: ourServer, Keep: true, Domains: map[string]Domain{
		"a.test": {Behaviour: Behaviour{Later: []Later{{Compose: PostfixDSN, Copies: 3, Via: "relay.b.test"}}}},
	}, Hosts: map[string]Host{"relay.b.test": {}}}
	n := start(t, w)
	l := new(listener)
	listenAt(t, n.ServerAddr().String(), l)
	talk(t, n, "mx.a.test", "EHLO a,MAIL FROM:<r@bounce.example.org>,RCPT TO:<ann@a.test>,DATA,.")
	if err := n.Settled(soon(t)); err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	want := "relay.b.test " + n.HostAddr("relay.b.test").Addr().String()
	if len(l.helloed) != 3 || l.helloed[0] != want {
		t.Errorf("reports came from %q, want three from %s", l.helloed, want)
	}
}

func TestALetterGoesToTheNextMXWhenTheFirstIsDown(t *testing.T) {
	n := start(t, World{
		Domains: map[string]Domain{
			"a.test":    {Behaviour: Behaviour{Later: []Later{{Compose: EximBounce}}}},
			"back.test": {MX: []string{"mx1.back.test", "mx2.back.test"}},
		},
		Hosts: map[string]Host{"mx1.back.test": {Dead: true}, "mx2.back.test": {}},
	})
	talk(t, n, "mx.a.test", "EHLO a,MAIL FROM:<me@back.test>,RCPT TO:<ann@a.test>,DATA,.")
	err := n.Receipts.Wait(soon(t), func(all []Receipt) bool {
		for _, r := range all {
			if r.Host == "mx2.back.test" && r.To == "me@back.test" && r.From == "" && r.TLS && r.Accepted() {
				return true
			}
		}
		return false
	})
	if err != nil {
		t.Errorf("%v: nothing at mx2.back.test: %+v", err, n.Receipts.All())
	}
}

func TestSettledWaitsForWhatIsStillToCome(t *testing.T) {
	n := start(t, World{Domains: map[string]Domain{"a.test": {Behaviour: Behaviour{Later: []Later{{After: time.Hour, Compose: Vacation}}}}}})
	if err := n.Settled(soon(t)); err != nil {
		t.Fatalf("Settled = %v before there is anything, want nil", err)
	}
	talk(t, n, "mx.a.test", "EHLO a,MAIL FROM:<me@b.test>,RCPT TO:<ann@a.test>,DATA,.")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := n.Settled(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Settled = %v while a letter waits, want %v", err, context.DeadlineExceeded)
	}
}

func TestMailtoFindsTheAddressOfAListField(t *testing.T) {
	tests := []struct{ name, field, want string }{
		{"an address alone", "<mailto:a@b.test>", "a@b.test"},
		{"behind a page", "<https://b.test/u?a=1>, <mailto:a@b.test>", "a@b.test"},
		{"with a subject", "<mailto:a@b.test?subject=unsubscribe>", "a@b.test"},
		{"with an encoded plus", "<mailto:a%2Bu@b.test>", "a+u@b.test"},
		{"with a plain plus", "<mailto:civi+u.1.2.x@b.test>", "civi+u.1.2.x@b.test"},
		{"only a page", "<https://b.test/u>", ""},
		{"nothing", "", ""},
		{"nonsense", "<mailto:%zz>, :, <", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := mailto(tt.field); got != tt.want {
				t.Errorf("mailto(%q) = %q, want %q", tt.field, got, tt.want)
			}
		})
	}
}

func TestJournalWaitsWithoutPolling(t *testing.T) {
	var j Journal[int]
	asked := 0
	seen := make(chan struct{}, 3)
	var adder sync.WaitGroup
	adder.Go(func() {
		for i := range 3 {
			<-seen
			j.Add(i)
		}
	})
	err := j.Wait(soon(t), func(all []int) bool {
		asked++
		if len(all) == 3 {
			return true
		}
		seen <- struct{}{}
		return false
	})
	adder.Wait()
	if err != nil || asked != 4 || fmt.Sprint(j.All()) != "[0 1 2]" {
		t.Errorf("Wait = %v after %d questions with %v, want nil after 4 with [0 1 2]", err, asked, j.All())
	}
}
