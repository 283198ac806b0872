package server_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"homing/event"
	"homing/internal/reply"
	"homing/internal/spool"
	"homing/server"
	"homing/server/smtpd"
)

// openLocal starts a world in which this process is a user of the CRM, with a
// socket for local users.
func openLocal(t *testing.T, change func(p *server.Policy)) (w *world, socket string) {
	t.Helper()
	w = open(t, func(p *server.Policy) {
		p.Applications[0].Networks = nil
		p.Applications[0].UIDs = []int{os.Getuid()}
		p.Machine = []string{"web1"}
		if change != nil {
			change(p)
		}
	})
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "s")
	l, err := smtpd.ListenUnix(socket, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	w.serveOn(l, smtpd.Options{DSN: true})
	return w, socket
}

// local submits a message as a local user and gives the last reply.
func (w *world) local(socket, from, to, message string) string {
	w.Helper()
	c := w.dialOn("unix", socket)
	for _, line := range []string{"EHLO localhost", "MAIL FROM:<" + from + ">", "RCPT TO:<" + to + ">", "DATA"} {
		if got := c.say(line); got[0] > '3' {
			return got
		}
	}
	return c.say(message)
}

func TestALocalUserWhoIsNoApplicationIsToldWhatToWrite(t *testing.T) {
	w, socket := openLocal(t, func(p *server.Policy) { p.Applications[0].UIDs = nil })
	name := server.UserName(os.Getuid())
	want := fmt.Sprintf("550 5.7.1 the local user %s (uid %d) may not send: add users = [%q] to an [[application]] of homing.toml and reload the server", name, os.Getuid(), name)
	if got := w.local(socket, "news@example.org", "ann@example.net", news); got != want {
		t.Errorf("answered %q, want %q", got, want)
	}
}

func TestAddressesOfThisMachineAreCompletedForLocalUsers(t *testing.T) {
	tests := []struct {
		name, from, to, head string
		sender, rcpt, author string
	}{
		{"senders of the application's domains stay", "news@example.org", "ann@example.net", "From: News <news@example.org>",
			"news@example.org", "ann@example.net", "From: News <news@example.org>"},
		{"a user at localhost is one of the first domain", "www-data@localhost", "ann@example.net", "From: www-data@localhost",
			"www-data@example.org", "ann@example.net", "From: <www-data@example.org>"},
		{"also at the name of the machine", "root@web1", "ann@example.net", "From: \"Cron Daemon\" <root@web1>",
			"root@example.org", "ann@example.net", "From: \"Cron Daemon\" <root@example.org>"},
		{"also at the hostname of the server", "root@mail.example.org", "ann@example.net", "From: root@MAIL.example.org",
			"root@example.org", "ann@example.net", "From: <root@example.org>"},
		{"mail to people here is the postmaster's", "news@example.org", "root@localhost", "From: news@example.org",
			"news@example.org", "it@example.net", "From: news@example.org"},
		{"without a From field the completed sender is the author", "root@web1", "ann@example.net", "Subject: x",
			"root@example.org", "ann@example.net", "From: <root@example.org>"},
		{"the null reverse-path stays", "", "ann@example.net", "From: root@localhost",
			"", "ann@example.net", "From: <root@example.org>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, socket := openLocal(t, nil)
			if got := w.local(socket, tt.from, tt.to, letter(tt.head)); got[:3] != "250" {
				t.Fatal(got)
			}
			row, text := w.sent()
			if row.Message.Sender != tt.sender || row.Recipient.Address != tt.rcpt || !strings.Contains(text, "\r\n"+tt.author+"\r\n") {
				t.Errorf("from %q to %q\n%s\nwant from %q to %q, with %q", row.Message.Sender, row.Recipient.Address, text, tt.sender, tt.rcpt, tt.author)
			}
		})
	}
}

func TestAddressesOfThisMachineAreNobodysOtherwise(t *testing.T) {
	w, socket := openLocal(t, func(p *server.Policy) { p.Postmaster = "" })
	tests := []struct{ name, from, to, head, want string }{
		{"without a postmaster nobody reads mail here", "news@example.org", "root@localhost", "From: news@example.org", "550 5.1.1 there are no mailboxes on this machine"},
		{"another domain is none of this machine", "news@example.net", "ann@example.net", "From: news@example.org", "451 4.7.1 application crm may not send as example.net"},
		{"so in the From field", "news@example.org", "ann@example.net", "From: news@example.net", "451 4.7.1 application crm may not send as example.net"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := w.local(socket, tt.from, tt.to, letter(tt.head)); !strings.HasPrefix(got, tt.want) {
				t.Errorf("answered %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("over a network they are not completed", func(t *testing.T) {
		w := open(t, nil)
		if got := w.send("root@localhost", "ann@example.net", letter("From: root@localhost")); !strings.HasPrefix(got, "451 4.7.1 ") {
			t.Errorf("answered %q", got)
		}
	})
}

// TestMailWhoseAnswerWasLostIsNotTakenTwice hands the same mail over in a
// dialogue and out of the spool.
func TestMailWhoseAnswerWasLostIsNotTakenTwice(t *testing.T) {
	w, socket := openLocal(t, nil)
	id := spool.NewID()
	m := letter("From: news@example.org", spool.Field+": "+id)
	first := w.local(socket, "news@example.org", "ann@example.net", m)
	if again := w.local(socket, "news@example.org", "ann@example.net", m); again != first || first[:3] != "250" {
		t.Errorf("answered %q, then %q, want the same", first, again)
	}
	h := server.Handed{Key: spool.Key(os.Getuid(), id), UID: os.Getuid(), Envelope: smtpd.Envelope{From: "news@example.org", To: []string{"ann@example.net"}}}
	if _, err := w.Outbound.Take(t.Context(), h, strings.NewReader("From: news@example.org\n\nHello.\n")); err != nil {
		t.Error(err)
	}
	if _, text := w.sent(); strings.Contains(text, spool.Field) {
		t.Errorf("the field leaves the server:\n%s", text)
	}
	other := w.local(socket, "news@example.org", "ann@example.net", letter("From: news@example.org", spool.Field+": "+spool.NewID()))
	if rows := w.rows(); len(rows) != 2 || other == first {
		t.Errorf("%d mails, answered %q, want another one", len(rows), other)
	}
}

func TestTheFieldOfTheSpoolCountsForLocalUsersOnly(t *testing.T) {
	w := open(t, nil)
	m := letter("From: news@example.org", spool.Field+": "+spool.NewID())
	for range 2 {
		if got := w.send("news@example.org", "ann@example.net", m); got[:3] != "250" {
			t.Fatal(got)
		}
	}
	if rows := w.rows(); len(rows) != 2 {
		t.Errorf("%d mails, want 2", len(rows))
	}
}

func TestMailOutOfTheSpoolIsJudgedAsInADialogue(t *testing.T) {
	const plain = "From: news@example.org\nSubject: x\n\nHello.\n"
	to := []string{"ann@example.net"}
	us := os.Getuid()
	tests := []struct {
		name string
		uid  int
		e    smtpd.Envelope
		text string
		want string // of the error; "": taken
	}{
		{"mail of the application", us, smtpd.Envelope{From: "news@example.org", To: to}, plain, ""},
		{"of a user who is no application", us + 1, smtpd.Envelope{From: "news@example.org", To: to}, plain, "550 5.7.1 the local user"},
		{"a sender of somebody else", us, smtpd.Envelope{From: "news@example.com", To: to}, plain, "451 4.7.1"},
		{"an author of somebody else", us, smtpd.Envelope{From: "news@example.org", To: to}, "From: a@example.com\n\n", "451 4.7.1"},
		{"no author at all", us, smtpd.Envelope{To: to}, "Subject: x\n\n", "554 5.6.0"},
		{"a bare CR", us, smtpd.Envelope{From: "news@example.org", To: to}, plain + "a\rb\n", "550 5.6.11"},
		{"a message that is too big", us, smtpd.Envelope{From: "news@example.org", To: to}, plain + strings.Repeat("x\n", 4000), "552 5.3.4"},
		{"a recipient that could not be said", us, smtpd.Envelope{From: "news@example.org", To: []string{"ann@example.net>\r\nDATA"}}, plain, "553 5.1.3"},
		{"a sender that could not be said", us, smtpd.Envelope{From: "a b@example.org", To: to}, plain, "553 5.1.7"},
		{"a parameter that could not be said", us, smtpd.Envelope{From: "news@example.org", To: to, Notify: "ALWAYS"}, plain, "501 5.5.4"},
		{"an envelope ID that could not be said", us, smtpd.Envelope{From: "news@example.org", To: to, Options: smtpd.MailOptions{EnvelopeID: "a\r\n"}}, plain, "501 5.5.4"},
		{"nobody", us, smtpd.Envelope{From: "news@example.org"}, plain, "554 5.5.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, _ := openLocal(t, func(p *server.Policy) { p.MaxOut = 4000 })
			ids, err := w.Outbound.Take(t.Context(), server.Handed{Key: "k", UID: tt.uid, Envelope: tt.e}, strings.NewReader(tt.text))
			if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(reply.Of(err).String(), tt.want) {
				t.Errorf("Take = %v, %v, want %q", ids, err, tt.want)
			}
			if n := len(w.rows()); (n == 1) != (tt.want == "") || n != len(ids) {
				t.Errorf("%d mails, numbers %v", n, ids)
			}
		})
	}
}

func TestAfterTheDialogueWhoIsOnHoldIsSuppressedAndTold(t *testing.T) {
	w, socket := openLocal(t, func(p *server.Policy) { p.Applications[0].RejectHeld = true })
	w.hold("ann@example.net")
	if got := w.local(socket, "news@example.org", "ann@example.net", news); got != "550 5.2.1 this address is on hold" {
		t.Errorf("in a dialogue %q", got)
	}
	h := server.Handed{UID: os.Getuid(), Envelope: smtpd.Envelope{From: "news@example.org", To: []string{"ann@example.net", "bob@example.net"}}}
	if _, err := w.Outbound.Take(t.Context(), h, strings.NewReader("From: news@example.org\n\nHello.\n")); err != nil {
		t.Fatal(err)
	}
	if told := w.told(); !strings.Contains(told, "suppressed ann@example.net") || !strings.Contains(told, "accepted bob@example.net") {
		t.Errorf("told %q", told)
	}
}

func TestMoreRecipientsThanOneMessageHoldsAreTakenOnce(t *testing.T) {
	w, _ := openLocal(t, nil)
	h := server.Handed{Key: "k", UID: os.Getuid(), Envelope: smtpd.Envelope{From: "news@example.org"}}
	for i := range 1500 {
		h.To = append(h.To, fmt.Sprintf("u%d@example.net", i))
	}
	var before []event.MessageID
	for range 2 { // the second time after a crash
		ids, err := w.Outbound.Take(t.Context(), h, strings.NewReader("From: news@example.org\n\nHello.\n"))
		if err != nil || len(ids) != 2 || before != nil && !slices.Equal(ids, before) {
			t.Fatalf("numbers %v, before %v, %v", ids, before, err)
		}
		before = ids
	}
	if n, err := w.store.Accepted(t.Context(), w.rows()[0].Message.Accepted.Truncate(24*time.Hour)); err != nil || n["crm"] != 1500 {
		t.Errorf("accepted %v, %v, want 1500", n, err)
	}
}

func TestMailThatLiesRefusedOpensOneIncident(t *testing.T) {
	w, _ := openLocal(t, nil)
	for _, uid := range []int{os.Getuid(), os.Getuid(), os.Getuid() + 1} {
		if err := w.Spooled(t.Context(), uid, 3, "550 5.7.1 no"); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, e := range w.events() {
		if e.Type == event.IncidentOpened {
			got = append(got, e.Application+"/"+e.Text)
		}
	}
	if len(got) != 2 || !strings.HasPrefix(got[0], "crm/3 mails of the local user ") || !strings.Contains(got[0], "550 5.7.1 no. `homing sendmail -bp`") || got[1][0] != '/' {
		t.Errorf("incidents %q, want one of the application and one of nobody", got)
	}
}

var errTake = errors.New("the file is torn")

type tornReader struct{ text *strings.Reader }

func (r tornReader) Read(p []byte) (int, error) {
	if r.text.Len() == 0 {
		return 0, errTake
	}
	return r.text.Read(p)
}

func TestATornMessageIsNotTaken(t *testing.T) {
	w, _ := openLocal(t, nil)
	h := server.Handed{UID: os.Getuid(), Envelope: smtpd.Envelope{From: "news@example.org", To: []string{"ann@example.net"}}}
	_, err := w.Outbound.Take(t.Context(), h, tornReader{strings.NewReader("From: news@example.org\n\nHel")})
	if !errors.Is(err, errTake) || len(w.rows()) != 0 {
		t.Errorf("Take = %v with %d mails, want the error of the reader", err, len(w.rows()))
	}
}
