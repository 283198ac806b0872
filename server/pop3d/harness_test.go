package pop3d

import (
	"bufio"
	"bytes"
	"context"
	"errors"
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

	"homing/internal/maildir"
	"homing/internal/memconn"
)

// one is a Backend of users with the password "secret", each with a mailbox.
type one map[string]Mailbox

func (o one) Login(user, password string) (Mailbox, error) {
	m, known := o[user]
	switch {
	case !known || password != "secret" && password != "se cret ":
		return Mailbox{}, ErrLogin
	case user == "broken":
		return Mailbox{}, errors.New("the disk is gone")
	case m.Dir == "":
		return Mailbox{}, &Refusal{"this application has no sink of type maildir"}
	}
	return m, nil
}

// messages of the mailbox of "crm".
var messages = map[string]string{
	"new/1.Ea.host":       "Subject: one\r\n\r\nfirst\r\n.dot\r\n..\r\n",
	"cur/2.Eb.host:2,S":   "Subject: two\n\nsecond\n\nthird",
	"new/3.\x80wild.host": "Subject: three\r\n\r\n",
}

// bench runs a Server in a bubble of synctest, where time passes only when
// everybody waits and where a goroutine that stays behind is an error.
type bench struct {
	t    testing.TB
	dir  string // of the mailbox of "crm"
	srv  *Server
	l    *memconn.Listener
	logs *bytes.Buffer // read it after stop
	stop context.CancelFunc
	done chan error
}

func serving(t *testing.T, o Options, way Way, f func(b *bench)) {
	dir := t.TempDir()
	fill(t, dir, messages)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		b := &bench{t: t, dir: dir, l: memconn.Listen(nil), logs: new(bytes.Buffer), stop: cancel, done: make(chan error, 1)}
		o.Hostname, o.Log = "mail.test", slog.New(slog.NewTextHandler(b.logs, nil))
		b.srv = New(o, one{"crm": {Name: "crm", Dir: maildir.Dir(dir), Keep: 30 * 24 * time.Hour}, "empty": {Name: "empty", Dir: maildir.Dir(dir + "/none")}, "none": {}, "broken": {}})
		go func() { b.done <- b.srv.Serve(ctx, b.l, way) }()
		defer func() {
			cancel()
			if err := <-b.done; err != nil {
				t.Errorf("Serve says %v", err)
			}
			if len(b.srv.taken) > 0 {
				t.Errorf("mailboxes that nobody gave back: %v", b.srv.taken)
			}
		}()
		f(b)
	})
}

func (b *bench) waitStopped() {
	b.stop()
	b.done <- <-b.done
}

func fill(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for _, sub := range []string{"new", "cur", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// left gives the names of the files that are there.
func left(t testing.TB, dir string) (all []string) {
	t.Helper()
	for _, sub := range []string{"cur", "new"} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			all = append(all, sub+"/"+e.Name())
		}
	}
	slices.Sort(all)
	return all
}

// peer is the other side of a dialogue.
type peer struct {
	t testing.TB
	c net.Conn
	r *bufio.Reader
}

func tcp(addr string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(addr), Port: 40000} }

func (b *bench) dial(from net.Addr) *peer {
	b.t.Helper()
	c, err := b.l.Dial(b.t.Context(), from)
	if err != nil {
		b.t.Fatal(err)
	}
	return &peer{b.t, c, bufio.NewReader(c)}
}

// greeted dials and reads the greeting.
func (b *bench) greeted() *peer {
	b.t.Helper()
	p := b.dial(nil)
	p.want("+OK POP3 server mail.test ready")
	return p
}

// entered is a peer that has logged in as "crm".
func (b *bench) entered() *peer {
	b.t.Helper()
	p := b.greeted()
	p.say("USER crm", "PASS secret")
	p.want("+OK now the password", "+OK 3 messages, 84 octets")
	return p
}

func (p *peer) say(lines ...string) {
	p.t.Helper()
	if _, err := io.WriteString(p.c, strings.Join(lines, "\r\n")+"\r\n"); err != nil {
		p.t.Fatal(err)
	}
}

// want reads lines, each of which begins with what is wanted.
func (p *peer) want(lines ...string) {
	p.t.Helper()
	for _, want := range lines {
		got, err := p.r.ReadString('\n')
		if err != nil || !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "\r\n") {
			p.t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
}

// wantEnd waits until the server has closed the connection.
func (p *peer) wantEnd() {
	p.t.Helper()
	if rest, err := io.ReadAll(p.r); len(rest) > 0 || err != nil {
		p.t.Errorf("got %q, %v; want the end", rest, err)
	}
}
