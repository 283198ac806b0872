package sendmail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"homing/internal/smtptest"
	"homing/internal/spool"
)

// A bench is a call with all that is around it.
type bench struct {
	Call
	t         *testing.T
	out, errs bytes.Buffer
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir, err := os.MkdirTemp("", "s") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b := &bench{t: t}
	b.Call = Call{Name: "sendmail", Socket: filepath.Join(dir, "s"), Spool: filepath.Join(dir, "spool"), Host: "web1",
		User: User{Name: "www-data"}, Stdout: &b.out, Stderr: &b.errs,
		Now: func() time.Time { return time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC) }}
	if err := errors.Join(os.Mkdir(b.Spool, 0o700), os.Chmod(b.Spool, spool.DirMode)); err != nil {
		t.Fatal(err)
	}
	return b
}

// run calls the program.
func (b *bench) run(stdin string, args ...string) int {
	b.t.Helper()
	b.Stdin = strings.NewReader(stdin)
	return b.Run(b.t.Context(), args)
}

// server plays a script for one connection. What it gives waits for the end
// and gives the player.
func (b *bench) server(script smtptest.Script) (end func() *smtptest.Player) {
	b.t.Helper()
	l, err := net.Listen("unix", b.Socket)
	if err != nil {
		b.t.Fatal(err)
	}
	p := &smtptest.Player{}
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			err = p.Play(conn, script)
		}
		done <- err
	}()
	return func() *smtptest.Player {
		b.t.Helper()
		l.Close()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
		return p
	}
}

// spooled gives what lies in the spool: each mail as "from to: message".
func (b *bench) spooled() (all []string) {
	b.t.Helper()
	k := spool.NewTaker(spool.Config{Dir: b.Spool, Now: time.Now, MaxOctets: func() int64 { return 1 << 30 }, Lifetime: func() time.Duration { return time.Hour },
		Take: func(_ context.Context, m spool.Mail) error {
			text, err := io.ReadAll(m.Message)
			all = append(all, fmt.Sprintf("%s %s: %s", m.From, strings.Join(m.To, ","), text))
			return err
		}, Refused: func(context.Context, spool.Refusal) {}, Log: quiet})
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error)
	go func() { done <- k.Run(ctx) }()
	for { // until nothing is left
		left, err := os.ReadDir(b.Spool)
		if err != nil {
			b.t.Fatal(err)
		}
		if len(left) == 0 {
			break
		}
	}
	cancel()
	if err := <-done; err != nil {
		b.t.Error(err)
	}
	return all
}

const hello = "S: 220 mail.example.org ESMTP\nC: EHLO localhost\nS: 250-mail.example.org\nS: 250-PIPELINING\nS: 250-8BITMIME\nS: 250-SMTPUTF8\nS: 250-DSN\nS: 250 SIZE\n"

// taken is a whole transaction for one recipient, and the end.
const taken = hello + "C: MAIL FROM:\nC: RCPT TO:\nC: DATA\nS: 250 2.1.0 OK\nS: 250 2.1.5 OK\nS: 354 go\nC.\nS: 250 2.0.0 queued as 01X\nC: QUIT\nS: 221 bye"

func TestWhatTheServerIsGiven(t *testing.T) {
	const plain = "From: News <news@example.org>\nDate: Mon, 1 Jan 2024 00:00:00 +0000\n"
	const date = "Date: Mon, 23 Nov 2026 10:00:00 +0000\r\n"
	tests := []struct {
		name, stdin, args string
		said              string // the envelope
		message           string // without the field of the spool
	}{
		{"as it is", plain + "\nHello\n", "ann@example.net", "<news@example.org> <ann@example.net>", plain + "\nHello\n"},
		{"line ends of all kinds", plain + "\r\nHello\r\nyou\n", "ann@example.net", "<news@example.org> <ann@example.net>", plain + "\nHello\nyou\n"},
		{"a last line without an end", plain + "\nHello", "ann@example.net", "<news@example.org> <ann@example.net>", plain + "\nHello\n"},
		{"a dot ends it", plain + "\nHello\n.\nnever\n", "ann@example.net", "<news@example.org> <ann@example.net>", plain + "\nHello\n"},
		{"a dot before CR LF too", plain + "\nHello\r\n.\r\nnever\n", "ann@example.net", "<news@example.org> <ann@example.net>", plain + "\nHello\n"},
		{"a dot at the very end", plain + "\nHello\n.", "ann@example.net", "<news@example.org> <ann@example.net>", plain + "\nHello\n"},
		{"with -i a dot is a line", plain + "\nHello\n.\nmore\n", "-i ann@example.net", "<news@example.org> <ann@example.net>", plain + "\nHello\n.\nmore\n"},
		{"a dot inside of a line", plain + "\nHello.\n..\n", "ann@example.net", "<news@example.org> <ann@example.net>", plain + "\nHello.\n..\n"},
		{"the sender that is given", plain + "\n", "-f bounce@example.org ann@example.net", "<bounce@example.org> <ann@example.net>", plain + "\n"},
		{"a sender with a name", plain + "\n", "-fBounce<bounce@example.org> ann@example.net", "<bounce@example.org> <ann@example.net>", plain + "\n"},
		{"the null sender", plain + "\n", "-f <> ann@example.net", "<> <ann@example.net>", plain + "\n"},
		{"recipients of the header", plain + "To: ann@example.net (Ann)\n\n", "-t", "<news@example.org> <ann@example.net>", plain + "To: ann@example.net (Ann)\n\n"},
		{"a folded header", plain + "To: Ann\n\t<ann@example.net>\n\n", "-t", "<news@example.org> <ann@example.net>", plain + "To: Ann\n\t<ann@example.net>\n\n"},
		{"who is named twice gets it once", plain + "Cc: ann@example.net\n\n", "-t ann@example.net", "<news@example.org> <ann@example.net>", plain + "Cc: ann@example.net\n\n"},
		{"mail that is sent again", plain + "To: bob@example.net\nResent-To: ann@example.net\n\n", "-t", "<news@example.org> <ann@example.net>", plain + "To: bob@example.net\nResent-To: ann@example.net\n\n"},
		{"no header at all", "Hello\n", "ann@example.net", "<www-data@web1> <ann@example.net>", "From: www-data@web1\r\n" + date + "\nHello\n"},
		{"nothing at all", "", "ann@example.net", "<www-data@web1> <ann@example.net>", "From: www-data@web1\r\n" + date + "\n"},
		{"the author's name", "Subject: x\n\n", "-FCharlie ann@example.net", "<www-data@web1> <ann@example.net>", "Subject: x\r\nFrom: \"Charlie\" <www-data@web1>\r\n" + date + "\n"},
		{"the author is the sender", "Subject: x\n\n", "-f news@example.org ann@example.net", "<news@example.org> <ann@example.net>", "Subject: x\r\nFrom: news@example.org\r\n" + date + "\n"},
		{"cron's author", "From: root (Cron Daemon)\nTo: root\n\n", "-i -FCronDaemon -oem root", "<root@web1> <root@localhost>", "From: \"Cron Daemon\" <root@web1>\r\nTo: root\r\n" + date + "\n"},
		{"a mailbox file's first line", "From ann Mon Jan  1 00:00:00 2024\n" + plain + "\nHello\n", "ann@example.net", "<news@example.org> <ann@example.net>", plain + "\nHello\n"},
		{"a quoted local part", plain + "\n", "\"ann@home\"@example.net", "<news@example.org> <\"ann@home\"@example.net>", plain + "\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			end := b.server(taken)
			if code := b.run(tt.stdin, strings.Fields(tt.args)...); code != OK || b.errs.Len() > 0 {
				t.Fatalf("exit code %d, %s", code, &b.errs)
			}
			p := end()
			said := ""
			for line := range strings.Lines(p.Heard.String()) {
				if path, ok := strings.CutPrefix(line, "MAIL FROM:"); ok {
					said = strings.Fields(path)[0]
				}
				if path, ok := strings.CutPrefix(line, "RCPT TO:"); ok {
					said += " " + strings.TrimSpace(path)
				}
			}
			field, message, _ := strings.Cut(p.Messages[0], "\r\n")
			want := strings.ReplaceAll(strings.ReplaceAll(tt.message, "\r\n", "\n"), "\n", "\r\n")
			want = strings.ReplaceAll(want, "\r\n.", "\r\n..")
			if id, ok := strings.CutPrefix(field, spool.Field+": "); !ok || !spool.IsID(id) || said != tt.said || strings.TrimSuffix(message, ".\r\n") != want {
				t.Errorf("said %q, gave\n%q\nwant %q and an ID and\n%q", said, p.Messages[0], tt.said, want)
			}
		})
	}
}

func TestParametersOfTheEnvelope(t *testing.T) {
	b := newBench(t)
	end := b.server(hello + "C: MAIL FROM:<news@example.org>\nC: RCPT TO:<ann@example.net> NOTIFY=FAILURE,DELAY\nC: DATA\n" +
		"S: 250 OK\nS: 250 OK\nS: 354 go\nC.\nS: 250 2.0.0 OK\nC: QUIT\nS: 221 bye")
	if code := b.run("From: news@example.org\n\nGrüße\n", "-v", "-N", "failure,delay", "-R", "hdrs", "-V", "QQ 314", "ann@example.net"); code != OK {
		t.Errorf("exit code %d, %s", code, &b.errs)
	}
	p := end()
	for _, want := range []string{" BODY=8BITMIME", " RET=HDRS", " ENVID=QQ+20314"} {
		if !strings.Contains(p.Heard.String(), want) {
			t.Errorf("MAIL has no %q:\n%s", want, p.Heard.String())
		}
	}
	if got := b.errs.String(); got != "sendmail: ann@example.net: 250 2.0.0 OK\n" {
		t.Errorf("with -v it says %q", got)
	}
}

func TestMistakesOfTheCaller(t *testing.T) {
	const plain = "From: news@example.org\n"
	tests := []struct {
		name, stdin, args string
		code              int
		want              string
	}{
		{"nobody is named", plain + "\n", "-i", Usage, "nobody is to get this mail"},
		{"nobody in the header either", plain + "To: undisclosed-recipients:;\n\n", "-t", Usage, "the header names nobody"},
		{"an argument that is no address", plain + "\n", "ann@@example.net", Usage, `"ann@@example.net" is no address`},
		{"a field that has no address", plain + "To: ann@example.net bob@example.net\n\n", "-t", DataErr, `in the field To, "ann@example.net bob@example.net" is no address`},
		{"a sender that is no address", plain + "\n", "-f a@b@c ann@example.net", Usage, `the sender "a@b@c" is no address`},
		{"a bare CR", plain + "\nHello\rthere\n", "ann@example.net", DataErr, "line 3 holds a CR"},
		{"a NUL", plain + "\nHello\x00there\n", "ann@example.net", DataErr, "line 3 holds a CR"},
		{"a list that is none", plain + "\n", "-N sometimes ann@example.net", Usage, "-N \"SOMETIMES\""},
		{"an option that is none", plain + "\n", "-z ann@example.net", Usage, "there is no option -z; see `homing sendmail --help`"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			code := b.run(tt.stdin, strings.Fields(tt.args)...)
			if code != tt.code || !strings.Contains(b.errs.String(), tt.want) {
				t.Errorf("exit code %d, %q, want %d, %q", code, &b.errs, tt.code, tt.want)
			}
			if all := b.spooled(); all != nil {
				t.Errorf("spooled %q", all)
			}
		})
	}
}

func TestWordsThatAreNoAddressArePassedOver(t *testing.T) {
	b := newBench(t)
	end := b.server(taken)
	code := b.run("From: news@example.org\nTo: undisclosed recipients\nBcc: ann@example.net\n\n", "-t")
	end()
	if code != OK || !strings.Contains(b.errs.String(), `"undisclosed recipients" in the header is no address`) {
		t.Errorf("exit code %d, %q", code, &b.errs)
	}
}

// TestWhatBecomesOfMailByTheAnswer has the whole matrix of what a server may
// say, and where the mail is then.
func TestWhatBecomesOfMailByTheAnswer(t *testing.T) {
	const two = "C: MAIL FROM:\nC: RCPT TO:\nC: RCPT TO:\nC: DATA\n"
	tests := []struct {
		name   string
		script smtptest.Script // "": there is no server
		code   int
		spool  string // the recipients that it holds
		says   string // on standard error
	}{
		{"no server", "", OK, "ann@example.net,bob@example.net", ""},
		{"a server that hangs up", "close", OK, "ann@example.net,bob@example.net", ""},
		{"a server that is shutting down", "S: 421 4.3.2 shutting down", OK, "ann@example.net,bob@example.net", ""},
		{"taken", hello + two + "S: 250 OK\nS: 250 OK\nS: 250 OK\nS: 354 go\nC.\nS: 250 OK\nC: QUIT\nS: 221 bye", OK, "", ""},
		{"put off at MAIL", hello + two + "S: 451 4.7.1 application crm may not send as x\nS: 503 no\nS: 503 no\nS: 503 no\nC: RSET\nS: 250 OK\nC: QUIT\nS: 221 bye",
			OK, "ann@example.net,bob@example.net", "kept in the spool until the server takes it: 451 4.7.1 application crm may not send as x"},
		{"put off at the dot", hello + two + "S: 250 OK\nS: 250 OK\nS: 250 OK\nS: 354 go\nC.\nS: 452 4.3.1 full\nC: QUIT\nS: 221 bye",
			OK, "ann@example.net,bob@example.net", "452 4.3.1 full"},
		{"the answer to the dot is lost", hello + two + "S: 250 OK\nS: 250 OK\nS: 250 OK\nS: 354 go\nC.\nclose",
			OK, "ann@example.net,bob@example.net", "which it may have accepted"},
		{"the user may not", hello + two + "S: 550 5.7.1 the local user www-data may not send\nS: 503 no\nS: 503 no\nS: 503 no\nC: RSET\nS: 250 OK\nC: QUIT\nS: 221 bye",
			NoPerm, "", "ann@example.net, bob@example.net: 550 5.7.1 the local user www-data may not send"},
		{"one recipient refused", hello + two + "S: 250 OK\nS: 550 5.1.1 no mailboxes\nS: 250 OK\nS: 354 go\nC.\nS: 250 OK\nC: QUIT\nS: 221 bye",
			NoUser, "", "ann@example.net: 550 5.1.1 no mailboxes"},
		{"one recipient on hold", hello + two + "S: 250 OK\nS: 550 5.2.1 on hold\nS: 250 OK\nS: 354 go\nC.\nS: 250 OK\nC: QUIT\nS: 221 bye",
			Unavailable, "", "ann@example.net: 550 5.2.1 on hold"},
		{"one recipient put off", hello + two + "S: 250 OK\nS: 250 OK\nS: 451 4.3.0 later\nS: 354 go\nC.\nS: 250 OK\nC: QUIT\nS: 221 bye",
			OK, "bob@example.net", "bob@example.net: kept in the spool"},
		{"a domain that is none", hello + two + "S: 250 OK\nS: 550 5.1.2 no such domain\nS: 250 OK\nS: 354 go\nC.\nS: 250 OK\nC: QUIT\nS: 221 bye",
			NoHost, "", "5.1.2"},
		{"the message refused", hello + two + "S: 250 OK\nS: 250 OK\nS: 250 OK\nS: 354 go\nC.\nS: 554 5.6.0 no From\nC: QUIT\nS: 221 bye",
			DataErr, "", "554 5.6.0 no From"},
		{"the message too big", hello + two + "S: 250 OK\nS: 250 OK\nS: 250 OK\nS: 354 go\nC.\nS: 552 5.3.4 too big\nC: QUIT\nS: 221 bye",
			DataErr, "", "552 5.3.4 too big"},
		{"one recipient too many for one message", hello + two + "S: 250 OK\nS: 250 OK\nS: 452 4.5.3 too many\nS: 354 go\nC.\nS: 250 OK\n" +
			"C: MAIL FROM:\nC: RCPT TO:<bob@example.net>\nC: DATA\nS: 250 OK\nS: 250 OK\nS: 354 go\nC.\nS: 250 OK\nC: QUIT\nS: 221 bye", OK, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			end := func() *smtptest.Player { return &smtptest.Player{} }
			if tt.script != "" {
				end = b.server(tt.script)
			}
			code := b.run("From: news@example.org\nDate: x\n\nHello\n", "ann@example.net", "bob@example.net")
			p := end()
			if got := b.errs.String(); code != tt.code || !strings.Contains(got, tt.says) || tt.says == "" && got != "" {
				t.Errorf("exit code %d, %q, want %d, %q", code, got, tt.code, tt.says)
			}
			want := ""
			if tt.spool != "" {
				want = "news@example.org " + tt.spool + ": From: news@example.org\r\nDate: x\r\n\r\nHello\r\n"
			}
			if got := strings.Join(b.spooled(), "|"); got != want {
				t.Errorf("spooled %q, want %q", got, want)
			}
			if strings.Contains(tt.name, "too many") && (len(p.Messages) != 2 || p.Messages[0] == p.Messages[1]) {
				t.Errorf("messages %q, want two with IDs of their own", p.Messages)
			}
		})
	}
}

// TestAMailHasOneIDByBothRoads reads the ID from the dialogue whose answer was
// lost, and from the spool.
func TestAMailHasOneIDByBothRoads(t *testing.T) {
	b := newBench(t)
	end := b.server(hello + "C: MAIL FROM:\nC: RCPT TO:\nC: DATA\nS: 250 OK\nS: 250 OK\nS: 354 go\nC.\nclose")
	b.run("From: news@example.org\n\nHello\n", "ann@example.net")
	left, err := os.ReadDir(b.Spool)
	if err != nil || len(left) != 1 {
		t.Fatal(left, err)
	}
	id := strings.TrimPrefix(left[0].Name(), "msg-")
	if m := end().Messages; len(m) != 1 || !strings.HasPrefix(m[0], spool.Field+": "+id+"\r\n") {
		t.Errorf("in the dialogue %q, in the spool %s", m, id)
	}
}

func TestMoreRecipientsThanOneMessageHoldsAreSplit(t *testing.T) {
	b := newBench(t)
	var to []string
	for i := range 2100 {
		to = append(to, fmt.Sprintf("u%d@example.net", i))
	}
	if code := b.run("From: news@example.org\n\n", append([]string{"-i"}, to...)...); code != OK {
		t.Fatalf("exit code %d, %s", code, &b.errs)
	}
	if all := b.spooled(); len(all) != 3 {
		t.Errorf("%d mails in the spool, want 3", len(all))
	}
}

func TestWhatIsNeitherSentNorKeptIsSaid(t *testing.T) {
	tests := []struct {
		name   string
		script smtptest.Script
		want   string
	}{
		{"without a server", "", "ann@example.net: neither sent nor kept for later: no server answers at "},
		{"put off by it", hello + "C: MAIL\nC: RCPT\nC: DATA\nS: 451 4.7.1 not now\nS: 503 no\nS: 503 no\nC: RSET\nS: 250 OK\nC: QUIT\nS: 221 bye",
			"ann@example.net: neither sent nor kept for later: 451 4.7.1 not now; and there is no spool: `sudo install -d -m 3733"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			if err := os.Remove(b.Spool); err != nil {
				t.Fatal(err)
			}
			if tt.script != "" {
				defer b.server(tt.script)()
			}
			if code := b.run("From: news@example.org\n\n", "ann@example.net"); code != TempFail || !strings.Contains(b.errs.String(), tt.want) {
				t.Errorf("exit code %d, %q, want %d, %q", code, &b.errs, TempFail, tt.want)
			}
		})
	}
}

func TestBsJoinsTheCallerToTheServer(t *testing.T) {
	b := newBench(t)
	end := b.server("S: 220 mail.example.org ESMTP\nC: EHLO crm\nS: 250 mail.example.org\nC: QUIT\nS: 221 bye")
	code := b.run("EHLO crm\r\nQUIT\r\n", "-bs")
	end()
	if want := "220 mail.example.org ESMTP\r\n250 mail.example.org\r\n221 bye\r\n"; code != OK || b.out.String() != want {
		t.Errorf("exit code %d, %q, want %q", code, &b.out, want)
	}
	b = newBench(t)
	if code := b.run("EHLO crm\r\n", "-bs"); code != TempFail || !strings.HasPrefix(b.out.String(), "421 4.3.2 no server answers at ") {
		t.Errorf("without a server: exit code %d, %q", code, &b.out)
	}
}

func TestBvAsksForEachRecipient(t *testing.T) {
	b := newBench(t)
	end := b.server("S: 220 x ESMTP\nC: EHLO\nS: 250 x\nC: MAIL FROM:<news@example.org>\nS: 250 2.1.0 OK\nC: RCPT TO:<ann@example.net>\nS: 250 2.1.5 OK\n" +
		"C: RCPT TO:<root@localhost>\nS: 550 5.1.1 no mailboxes\nC: QUIT\nS: 221 bye")
	code := b.run("", "-bv", "-f", "news@example.org", "Ann <ann@example.net>, root")
	end()
	if want := "ann@example.net: 250 2.1.5 OK\nroot@localhost: 550 5.1.1 no mailboxes\n"; code != NoUser || b.out.String() != want {
		t.Errorf("exit code %d, %q, %s, want %d, %q", code, &b.out, &b.errs, NoUser, want)
	}
}

type exitError int

func (e exitError) Error() string { return "only root may" }
func (e exitError) ExitCode() int { return int(e) }

func TestBpAndQAskTheServer(t *testing.T) {
	b := newBench(t)
	b.List = func(_ context.Context, to io.Writer) error {
		_, err := io.WriteString(to, "Nothing waits.\n")
		return err
	}
	b.Flush = func(context.Context, io.Writer) error { return exitError(NoPerm) }
	if code := b.run("", "-bp"); code != OK || b.out.String() != "Nothing waits.\n" {
		t.Errorf("-bp: %d, %q", code, &b.out)
	}
	if code := b.run("", "-q"); code != NoPerm || b.errs.String() != "sendmail: only root may\n" {
		t.Errorf("-q: %d, %q", code, &b.errs)
	}
	b.Name = "newaliases"
	if code := b.run(""); code != OK {
		t.Errorf("newaliases: %d", code)
	}
}

var quiet = slog.New(slog.DiscardHandler)
