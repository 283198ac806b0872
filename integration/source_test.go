package integration

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"homing/internal/certs"
	"homing/internal/toynet"
)

const folderPassword = "battery staple"

// A provider is the mail server of somebody else, with a mailbox that the server
// under test reads by IMAP over TLS.
type provider struct {
	t       *testing.T
	user    *imapmemserver.User
	address string
	ca      string // PEM

	mu      sync.Mutex
	moves   chan struct{} // each MOVE waits for one; nil: none waits
	waiting int           // MOVEs that wait
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{t: t, user: imapmemserver.NewUser("civi@example.org", folderPassword)}
	for _, folder := range []string{"INBOX", "Bounces", "CiviMail"} {
		if err := p.user.Create(folder, nil); err != nil {
			t.Fatal(err)
		}
	}
	memory := imapmemserver.New()
	memory.AddUser(p.user)
	s := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return &gated{memory.NewSession(), p}, nil, nil
		},
		Caps:         imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapMove: {}, imap.CapUIDPlus: {}},
		InsecureAuth: true, Logger: log.New(io.Discard, "", 0),
	})
	own, err := certs.LoadOwn(filepath.Join(t.TempDir(), "own.pem"), "localhost", time.Now(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	p.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Show("").Leaf.Raw}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	p.address = "localhost:" + port
	served := make(chan error, 1)
	go func() { served <- s.Serve(tls.NewListener(l, certs.Config(own))) }()
	t.Cleanup(func() {
		p.open()
		s.Close()
		<-served
	})
	return p
}

// gated is a session whose MOVEs may have to wait.
type gated struct {
	imapserver.Session
	p *provider
}

func (g *gated) Move(w *imapserver.MoveWriter, set imap.NumSet, to string) error {
	g.p.mu.Lock()
	moves := g.p.moves
	if moves != nil {
		g.p.waiting++
	}
	g.p.mu.Unlock()
	if moves != nil {
		<-moves
		return errors.New("the client is gone")
	}
	return g.Session.(imapserver.SessionMove).Move(w, set, to)
}

// close has every MOVE wait, and fail in the end.
func (p *provider) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moves, p.waiting = make(chan struct{}), 0
}

// open lets MOVEs through again.
func (p *provider) open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.moves != nil {
		close(p.moves)
	}
	p.moves = nil
}

func (p *provider) stuck() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting
}

// literal is a mail on its way into a folder.
type literal struct{ *strings.Reader }

func (p *provider) put(folder, text string) {
	p.t.Helper()
	if _, err := p.user.Append(folder, literal{strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n"))}, &imap.AppendOptions{}); err != nil {
		p.t.Fatal(err)
	}
}

// holds says how many mails a folder has; -1: there is none.
func (p *provider) holds(folder string) int {
	data, err := p.user.Status(folder, &imap.StatusOptions{NumMessages: true})
	if err != nil {
		return -1
	}
	return int(*data.NumMessages)
}

// await waits until a folder is empty and another one has so many mails.
func (p *provider) await(folder, other string, count int) {
	p.t.Helper()
	until(p.t, 30*time.Second, fmt.Sprintf("%d mails in %s", count, other), func() bool { return p.holds(folder) == 0 && p.holds(other) == count })
}

// settings are a stage that reads a folder.
func (p *provider) settings(folder, as, to string) settings {
	return settings{
		World: toynet.Everyday(50 * time.Millisecond), App: `sinks = ["hooks"]`,
		Tables: fmt.Sprintf("[[source]]\ntype = \"imap\"\naddress = %q\nusername = \"civi@example.org\"\npassword_file = \"imap-password\"\nfolder = %q\nas = %q\n%s\n", p.address, folder, as, to),
		Files:  map[string]string{"imap-password": folderPassword + "\n", "ca.pem": p.ca},
		Env:    []string{"SSL_CERT_FILE=$DIR/ca.pem"},
	}
}

// A fact is what the log has of an event.
type fact struct {
	Type, Recipient, From string
	ReturnPath            string `json:"return_path"`
}

// logged gives the events of a type.
func (st *stage) logged(kind string) (all []fact) {
	st.t.Helper()
	for line := range strings.Lines(st.Run("events")) {
		var e fact
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			st.t.Fatalf("%v in %q", err, line)
		}
		if e.Type == kind {
			all = append(all, e)
		}
	}
	return all
}

func replyOf(n int) string {
	return fmt.Sprintf("Return-Path: <ann%d@example.net>\nFrom: ann%[1]d@example.net\nTo: civi@example.org\nSubject: Re: News\n\nThank you.\n", n)
}

// TestMailOfAFolderIsTakenOnceWhateverHappens kills the server after mail was
// taken and before it was moved, again and again.
func TestMailOfAFolderIsTakenOnceWhateverHappens(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	for n := range 3 {
		p.put("CiviMail", replyOf(n))
	}
	st := newStage(t, p.settings("CiviMail", "reply", `to = ["hooks"]`))
	p.await("CiviMail", "CiviMail.processed", 3)
	for n := range 4 {
		p.close()
		p.put("CiviMail", replyOf(3+n))
		until(t, 30*time.Second, "a mail that was taken and cannot be moved", func() bool { return p.stuck() > 0 })
		st.Kill()
		p.open()
		st.Restart()
		p.await("CiviMail", "CiviMail.processed", 4+n)
	}
	var from []string
	for _, e := range st.logged("replied") {
		from = append(from, e.From)
		if e.Recipient != "civi@example.org" {
			t.Errorf("told %+v", e)
		}
	}
	slices.Sort(from)
	var want []string
	for n := range 7 {
		want = append(want, fmt.Sprintf("ann%d@example.net", n))
	}
	if !slices.Equal(from, want) {
		t.Errorf("replies were told from %q, want each once: %q", from, want)
	}
	if log := st.Log(); strings.Contains(log, folderPassword) {
		t.Error("the log has the password")
	}
	until(t, 30*time.Second, "what the self-check says", func() bool {
		found, _, _ := st.Try("check", "--json", "--all")
		return strings.Contains(found, "civi@example.org/CiviMail") && strings.Contains(found, "it is watched; the last mail came")
	})
}

// TestBouncesInAMailboxAreFoundByTheirTag plays a provider that delivers bounces
// to a mailbox: nobody knows who put them there, so one holds nobody.
func TestBouncesInAMailboxAreFoundByTheirTag(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	st := newStage(t, p.settings("Bounces", "bounce", ""))
	st.Outcomes(st.Mail(1, "ann@accepts.test", "bob@accepts.test"))
	paths := map[string]string{}
	for _, e := range st.logged("delivered") {
		paths[e.Recipient] = e.ReturnPath
	}
	report := func(tag string) string {
		return "Return-Path: <>\nDelivered-To: civi@example.org\nFrom: MAILER-DAEMON@mx.accepts.test\nTo: " + tag + "\nSubject: Undelivered\nMIME-Version: 1.0\n" +
			"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nNo.\n--b\nContent-Type: message/delivery-status\n\n" +
			"Reporting-MTA: dns; mx.accepts.test\n\nFinal-Recipient: rfc822; bob@accepts.test\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 user unknown\n\n--b--\n"
	}
	p.put("Bounces", report(paths["ann@accepts.test"]))
	p.put("Bounces", report("return+"+strings.Repeat("a", 31)+"@bounce.example.org"))
	p.await("Bounces", "Bounces.processed", 2)
	var got []string
	for _, e := range st.logged("bounced") {
		got = append(got, e.Recipient)
	}
	slices.Sort(got)
	if want := []string{"ann@accepts.test", "civi@example.org"}; !slices.Equal(got, want) {
		t.Errorf("bounces were told of %q, want %q: whose tag it is, and of nobody", got, want)
	}
	if holds := st.Run("hold", "list", "--json"); strings.Contains(holds, `"held"`) {
		t.Errorf("somebody is held by what lay in a mailbox: %s", holds)
	}
}

// TestASourceComesAndGoesWithTheConfiguration also has a password that is wrong
// at first.
func TestASourceComesAndGoesWithTheConfiguration(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	with := p.settings("CiviMail", "reply", `to = ["hooks"]`)
	without := with
	without.Tables = ""
	with.Files["imap-password"] = "wrong\n"
	st := newStage(t, with)
	p.put("CiviMail", replyOf(1))
	until(t, 30*time.Second, "the finding", func() bool {
		stdout, _, _ := st.Try("check", "--json")
		return strings.Contains(stdout, "civi@example.org/CiviMail") && strings.Contains(stdout, "App passwords")
	})
	st.Write("imap-password", folderPassword+"\n")
	if _, stderr, code := st.Try("reload"); code != 0 {
		t.Fatal(stderr)
	}
	p.await("CiviMail", "CiviMail.processed", 1)
	st.Reconfigure(without)
	if _, stderr, code := st.Try("reload"); code != 0 {
		t.Fatal(stderr)
	}
	until(t, 30*time.Second, "the source is gone", func() bool {
		return !strings.Contains(st.metrics(), `homing_source_watched{source="civi@example.org/CiviMail"}`)
	})
	p.put("CiviMail", replyOf(2))
	st.Stop()
	if got := p.holds("CiviMail"); got != 1 {
		t.Errorf("the folder holds %d mails, want the one that came when nobody watched it", got)
	}
}
