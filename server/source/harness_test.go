package source

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"homing/internal/memconn"
)

// notebook is a Taker that remembers what it was given.
type notebook struct {
	mu     sync.Mutex
	given  []string // what was handed over, each time
	names  map[string]bool
	answer func(text string) error // nil: everything is taken
}

func (n *notebook) Take(_ context.Context, name string, r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.given = append(n.given, string(text))
	if n.answer != nil {
		if err := n.answer(string(text)); err != nil {
			return err
		}
	}
	n.names[name] = true
	return nil
}

func (n *notebook) Taken(context.Context) (names []string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name := range n.names {
		names = append(names, name)
	}
	return names, nil
}

func (n *notebook) Forget(_ context.Context, names ...string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range names {
		delete(n.names, name)
	}
	return nil
}

// count says how often something was handed over, and what stays noted.
func (n *notebook) count() (given, noted int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.given), len(n.names)
}

// world is a server in memory with a folder, and a Source that watches it, in a
// bubble of synctest.
type world struct {
	t      *testing.T
	user   *imapmemserver.User
	server *imapserver.Server
	l      *memconn.Listener
	taker  *notebook
	config Config
	source *Source
	logs   *bytes.Buffer // read it after stop
	wire   *scribe       // what the server was told
	stop   func()
	trusts bool // the Source has the authority of the server's certificate

	mu    sync.Mutex
	dials []time.Time
	conns []*edited
	edit  []string // pairs of words of the same length: what the server says, and what the client hears
	lost  error    // every connection that is tried fails with it
}

const secret = "correct horse"

// scribe keeps what was said.
type scribe struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *scribe) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *scribe) count(word string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.text.String(), word)
}

// watching runs f in a world; change may change it before the Source runs.
func watching(t *testing.T, change func(w *world), f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, l: memconn.Listen(nil), user: imapmemserver.NewUser("civi", secret), taker: &notebook{names: map[string]bool{}}, logs: new(bytes.Buffer), wire: new(scribe)}
		for _, folder := range []string{"INBOX", "CiviMail"} {
			if err := w.user.Create(folder, nil); err != nil {
				t.Fatal(err)
			}
		}
		memory := imapmemserver.New()
		memory.AddUser(w.user)
		o := imapserver.Options{
			NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return memory.NewSession(), nil, nil
			},
			Caps:         imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapMove: {}, imap.CapUIDPlus: {}},
			InsecureAuth: true, Logger: log.New(io.Discard, "", 0), DebugWriter: w.wire,
		}
		w.config = Config{Name: "civi/CiviMail", Address: "imap.test:143", Security: Plain, Username: "civi", Password: secret,
			Folder: "CiviMail", Done: "CiviMail.processed", Ignored: "CiviMail.ignored", MaxSize: 10_000,
			Taker: w.taker, Dial: w.dial, Log: slog.New(slog.NewTextHandler(w.logs, nil))}
		if change != nil {
			change(w)
		}
		encrypted, roots := serverTLS(t)
		if w.trusts {
			w.config.TLS = &tls.Config{RootCAs: roots}
		}
		if w.config.Security == StartTLS {
			o.TLSConfig, o.InsecureAuth = encrypted, false
		}
		w.server = imapserver.New(&o)
		served := make(chan error, 1)
		var l net.Listener = w.l
		if w.config.Security == Implicit {
			l = tls.NewListener(w.l, encrypted)
		}
		go func() { served <- w.server.Serve(l) }()
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		w.source = New(w.config)
		go func() { ended <- w.source.Run(ctx) }()
		w.stop = sync.OnceFunc(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run says %v", err)
			}
			w.server.Close()
			<-served
		})
		defer w.stop()
		synctest.Wait()
		f(w)
	})
}

func (w *world) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	w.mu.Lock()
	w.dials = append(w.dials, time.Now())
	lost := w.lost
	w.mu.Unlock()
	if lost != nil {
		return nil, lost
	}
	c, err := w.l.Dial(ctx, nil)
	if err != nil {
		return nil, err
	}
	e := &edited{Conn: c, w: w}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns = append(w.conns, e)
	return e, nil
}

// edited is a connection on which some words of the server are others, and that
// can go silent.
type edited struct {
	net.Conn
	w    *world
	mu   sync.Mutex
	dead bool
}

func (e *edited) Read(p []byte) (int, error) {
	for {
		n, err := e.Conn.Read(p)
		if !e.silent() || err != nil {
			e.w.mu.Lock()
			defer e.w.mu.Unlock()
			for i := 0; i+1 < len(e.w.edit); i += 2 {
				copy(p[:n], bytes.ReplaceAll(p[:n], []byte(e.w.edit[i]), []byte(e.w.edit[i+1])))
			}
			return n, err
		}
	}
}

func (e *edited) Write(p []byte) (int, error) {
	if e.silent() {
		return len(p), nil
	}
	return e.Conn.Write(p)
}

func (e *edited) silent() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dead
}

// forget makes the way to the server one that a NAT has forgotten.
func (w *world) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.mu.Lock()
		c.dead = true
		c.mu.Unlock()
	}
}

// literal is a mail on its way into a folder.
type literal struct{ *strings.Reader }

// put puts a mail into a folder.
func (w *world) put(folder, text string, flags ...imap.Flag) {
	w.t.Helper()
	if _, err := w.user.Append(folder, literal{strings.NewReader(text)}, &imap.AppendOptions{Flags: flags}); err != nil {
		w.t.Fatal(err)
	}
}

func mailOf(subject string) string {
	return fmt.Sprintf("From: ann@example.net\r\nSubject: %s\r\n\r\nHello\r\n", subject)
}

// holds says how many mails a folder has; -1: there is none.
func (w *world) holds(folder string) int {
	w.t.Helper()
	data, err := w.user.Status(folder, &imap.StatusOptions{NumMessages: true})
	if err != nil {
		return -1
	}
	return int(*data.NumMessages)
}

// wants compares what lies where, and what was handed over.
func (w *world) wants(when string, folder, done, ignored, given int) {
	w.t.Helper()
	synctest.Wait()
	all, _ := w.taker.count()
	got := []int{w.holds("CiviMail"), w.holds("CiviMail.processed"), w.holds("CiviMail.ignored"), all}
	if want := []int{folder, done, ignored, given}; !slices.Equal(got, want) {
		w.t.Errorf("%s: in the folder, processed, ignored, handed over: %v, want %v", when, got, want)
	}
}

// after lets time pass.
func (w *world) after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// dialled gives how often it was connected.
func (w *world) dialled() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.dials)
}

// lose has every connection that is tried from now on fail.
func (w *world) lose(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost = err
}

// cut cuts every connection.
func (w *world) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.Close()
	}
}

// failure gives the step at which the Source fails now; "": it does not.
func (w *world) failure() Step {
	synctest.Wait()
	if f := w.source.Status().Failure; f != nil {
		return f.Step
	}
	return ""
}

var errNetwork = errors.New("network is unreachable")
