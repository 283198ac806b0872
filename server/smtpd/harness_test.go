package smtpd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"homing/internal/memconn"
	"homing/internal/reply"
)

// accepting is a Backend that takes everything and remembers it. Its hooks
// change the answers.
type accepting struct {
	newSession func(Conn) error
	hello      func(name string) error
	auth       func(user, password string) error
	mail       func(ctx context.Context, from string) error
	rcpt       func(to string) error
	data       func(ctx context.Context, c *Content) []error
	closing    func()

	mu       sync.Mutex
	conns    []Conn
	hellos   []string
	logins   []string
	froms    []string
	tos      []string
	mails    []MailOptions
	rcpts    []RcptOptions
	messages []string
	resets   int
	open     int
}

func (a *accepting) NewSession(_ context.Context, c Conn) (Session, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conns = append(a.conns, c)
	if a.newSession != nil {
		if err := a.newSession(c); err != nil {
			return nil, err
		}
	}
	a.open++
	return &acceptingSession{a: a}, nil
}

type acceptingSession struct{ a *accepting }

func (s *acceptingSession) Hello(_ context.Context, name string) error {
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	s.a.hellos = append(s.a.hellos, name)
	if s.a.hello != nil {
		return s.a.hello(name)
	}
	return nil
}

func (s *acceptingSession) Auth(_ context.Context, user, password string) error {
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	s.a.logins = append(s.a.logins, user+":"+password)
	if s.a.auth != nil {
		return s.a.auth(user, password)
	}
	if password != "secret" {
		return reply.Errorf(535, reply.Enhanced{5, 7, 8}, "wrong")
	}
	return nil
}

func (s *acceptingSession) Mail(ctx context.Context, from string, o MailOptions) error {
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	s.a.froms, s.a.mails = append(s.a.froms, from), append(s.a.mails, o)
	if s.a.mail != nil {
		return s.a.mail(ctx, from)
	}
	return nil
}

func (s *acceptingSession) Rcpt(_ context.Context, to string, o RcptOptions) error {
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	s.a.tos, s.a.rcpts = append(s.a.tos, to), append(s.a.rcpts, o)
	if s.a.rcpt != nil {
		return s.a.rcpt(to)
	}
	return nil
}

func (s *acceptingSession) Data(ctx context.Context, c *Content) []error {
	if s.a.data != nil {
		return s.a.data(ctx, c)
	}
	message, err := io.ReadAll(c)
	if err != nil {
		return []error{err}
	}
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	s.a.messages = append(s.a.messages, string(message))
	return nil
}

func (s *acceptingSession) Reset() {
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	s.a.resets++
}

func (s *acceptingSession) Close() {
	if s.a.closing != nil {
		s.a.closing()
	}
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	s.a.open--
}

// bench runs a Server in a bubble of synctest, where time passes only when
// everybody waits and where a goroutine that stays behind is an error.
type bench struct {
	t    *testing.T
	b    *accepting
	srv  *Server
	l    *memconn.Listener
	logs *bytes.Buffer // read it after stop
	stop context.CancelFunc
	done chan error
}

func serving(t *testing.T, o Options, b *accepting, f func(b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		s := &bench{t: t, b: b, l: memconn.Listen(nil), logs: new(bytes.Buffer), stop: cancel, done: make(chan error, 1)}
		if o.Hostname == "" {
			o.Hostname = "mx.test"
		}
		o.Log = slog.New(slog.NewTextHandler(s.logs, nil))
		s.srv = New(o, b)
		go func() { s.done <- s.srv.Serve(ctx, s.l) }()
		f(s)
		cancel()
		if err := <-s.done; err != nil {
			t.Errorf("Serve says %v", err)
		}
		if b.open != 0 {
			t.Errorf("%d sessions were never closed", b.open)
		}
		if s.srv.open.total != 0 || len(s.srv.open.by) != 0 {
			t.Errorf("after all, the census counts %d: %v", s.srv.open.total, s.srv.open.by)
		}
	})
}

// waitStopped ends the server and waits until it has.
func (b *bench) waitStopped() {
	b.stop()
	b.done <- <-b.done
}

func tcp(addr string) net.Addr {
	return &net.TCPAddr{IP: net.ParseIP(addr), Port: 40000}
}

// peer is the other side of a dialogue.
type peer struct {
	t   *testing.T
	raw *memconn.Conn
	c   net.Conn
	r   *bufio.Reader
}

func (b *bench) dial(from net.Addr) *peer {
	b.t.Helper()
	c, err := b.l.Dial(b.t.Context(), from)
	if err != nil {
		b.t.Fatal(err)
	}
	return &peer{t: b.t, raw: c, c: c, r: bufio.NewReader(c)}
}

// greeted dials and reads the greeting.
func (b *bench) greeted() *peer {
	b.t.Helper()
	p := b.dial(nil)
	p.want("220")
	return p
}

// write sends octets as they are.
func (p *peer) write(s string) {
	p.t.Helper()
	if _, err := p.c.Write([]byte(s)); err != nil {
		p.t.Errorf("writing %.60q: %v", s, err)
	}
}

// reply reads one reply, its lines joined by "|".
func (p *peer) reply() string {
	var lines []string
	for {
		line, err := p.r.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return strings.Join(append(lines, "EOF"), "|")
		}
		if err != nil {
			return strings.Join(append(lines, err.Error()), "|")
		}
		lines = append(lines, strings.TrimSuffix(line, "\r\n"))
		if len(line) < 4 || line[3] != '-' {
			return strings.Join(lines, "|")
		}
	}
}

// want reads a reply for each word of codes: "250", "250/2.1.0" or "EOF".
func (p *peer) want(codes string) {
	p.t.Helper()
	var got, full []string
	for _, want := range strings.Fields(codes) {
		r := p.reply()
		full = append(full, r)
		got = append(got, code(r, strings.Contains(want, "/")))
	}
	if strings.Join(got, " ") != codes {
		p.t.Errorf("got replies %q, want %q:\n%s", got, codes, strings.Join(full, "\n"))
	}
}

// code gives "250" or, enhanced, "250/2.1.0" of a reply.
func code(r string, enhanced bool) string {
	fields := strings.FieldsFunc(r, func(c rune) bool { return c == ' ' || c == '-' })
	switch {
	case len(fields) == 0:
		return "nothing"
	case enhanced && len(fields) > 1:
		return fields[0] + "/" + fields[1]
	}
	return fields[0]
}

// do says one line and wants one reply for each of codes.
func (p *peer) do(line, codes string) {
	p.t.Helper()
	p.write(line + "\r\n")
	p.want(codes)
}

// expand makes a line of the short form that dialogues are written in.
func expand(line string) string {
	verb, arg, _ := strings.Cut(line, " ")
	if arg == "" || len(arg) > 3 {
		return line
	}
	switch verb {
	case "MAIL":
		return "MAIL FROM:<" + arg + "@example.org>"
	case "RCPT":
		return "RCPT TO:<" + arg + "@example.net>"
	}
	return line
}

// message gives a message whose octets do not repeat soon.
func message(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		b.WriteString(strings.Repeat(string(rune('a'+i%26)), 40+i%37))
		b.WriteString("\r\n")
	}
	return b.String()
}
