package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"homing/integration/harness"
	"homing/internal/toynet"
)

// A gate is what local users have of a server: a socket, a spool, a program
// called sendmail, and a configuration that they can read.
type gate struct {
	t                            testing.TB
	dir, socket, spool, sendmail string
	config                       string
}

// newGate makes them where every user can reach them.
func newGate(t testing.TB) *gate {
	t.Helper()
	dir, err := os.MkdirTemp("", "gate-") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &gate{t: t, dir: dir, socket: filepath.Join(dir, "s"), spool: filepath.Join(dir, "spool"), sendmail: filepath.Join(dir, "sendmail"), config: filepath.Join(dir, "homing.toml")}
	binary, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(os.Chmod(dir, 0o755), os.WriteFile(d.sendmail, program, 0o755), os.Mkdir(d.spool, 0o700), os.Chmod(d.spool, 0o733|fs.ModeSticky|fs.ModeSetgid),
		os.WriteFile(d.config, fmt.Appendf(nil, "spool_dir = %q\n[listen]\nlocal = \"unix:%s\"\n", d.spool, d.socket), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// settings are those of a server behind the gate, for an application of some
// users.
func (d *gate) settings(users ...string) settings {
	s := settings{World: toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {}}},
		Top: fmt.Sprintf("spool_dir = %q", d.spool), Listen: fmt.Sprintf("local = \"unix:%s\"", d.socket)}
	if len(users) > 0 {
		s.App = fmt.Sprintf("users = [\"%s\"]", strings.Join(users, `", "`))
	}
	return s
}

// us is the user who runs the tests.
func us() string { return fmt.Sprint(os.Getuid()) }

// A result is what came of one call of sendmail.
type result struct {
	code           int
	stdout, stderr string
}

// call calls sendmail as a user; "": as ourselves.
func (d *gate) call(user, stdin string, args ...string) result {
	d.t.Helper()
	cmd := exec.Command(d.sendmail, args...)
	cmd.Env = append(os.Environ(), "HOMING_CONFIG="+d.config)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Dir = "/"
	if user != "" {
		var uid uint32
		if _, err := fmt.Sscan(user, &uid); err != nil {
			d.t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Error(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// lying counts the files in the spool.
func (d *gate) lying() int {
	d.t.Helper()
	all, err := os.ReadDir(d.spool)
	if err != nil {
		d.t.Fatal(err)
	}
	return len(all)
}

// got waits until somebody got mail, and gives it.
func (st *stage) got(to string) string {
	st.t.Helper()
	text := ""
	err := st.Net.Receipts.Wait(within(st.t, 20*time.Second), func(all []toynet.Receipt) bool {
		for _, r := range all {
			if r.Accepted() && r.To == to {
				text = string(r.Message)
			}
		}
		return text != ""
	})
	if err != nil {
		st.t.Fatalf("%s got nothing: %v", to, err)
	}
	return text
}

func TestSendmailHandsMailOverAsPHPDoes(t *testing.T) {
	t.Parallel()
	d := newGate(t)
	st := newStage(t, d.settings(us()))
	const mail = "To: Ann <ann@accepts.test>, (a friend) bob@accepts.test\nSubject: Grüße\nFrom: \"News\" <news@example.org>\nBcc: eve@accepts.test\nX-PHP-Originating-Script: 0:x.php\n\nHello\n.\nmore\n"
	if r := d.call("", mail, "-t", "-i"); r != (result{}) {
		t.Fatalf("%+v, want nothing", r)
	}
	for _, to := range []string{"ann@accepts.test", "bob@accepts.test", "eve@accepts.test"} {
		text := st.got(to)
		for _, want := range []string{"\r\nSubject: =?utf-8?", "\r\nDate: ", "\r\nMessage-ID: <", "\r\n\r\nHello\r\n.\r\nmore\r\n"} {
			if !strings.Contains(strings.ToLower(text), strings.ToLower(want)) {
				t.Errorf("%s got no %q:\n%s", to, want, text)
			}
		}
		if strings.Contains(text, "eve@") || strings.Contains(text, "X-Homing") {
			t.Errorf("%s got what is not for everybody:\n%s", to, text)
		}
	}
	if r := d.call("", "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@web1> backup\n\nno space left\n", "-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root"); r != (result{}) {
		t.Errorf("as cron: %+v", r)
	}
	until(t, 10*time.Second, "cron's mail for the postmaster", func() bool {
		return strings.Contains(st.Run("trace", "it@example.org"), `"Cron <root@web1> backup", from root@example.org`)
	})
	if r := d.call("", "EHLO x\r\nMAIL FROM:<news@example.org>\r\nRCPT TO:<carl@accepts.test>\r\nDATA\r\nFrom: news@example.org\r\n\r\nby -bs\r\n.\r\nQUIT\r\n", "-bs"); r.code != 0 || !strings.Contains(r.stdout, "\r\n250 2.0.0 queued as ") {
		t.Errorf("-bs: %+v", r)
	}
	st.got("carl@accepts.test")
	if r := d.call("", "", "-bv", "dora@accepts.test"); r.code != 0 || r.stdout != "dora@accepts.test: 250 2.1.5 OK\n" {
		t.Errorf("-bv: %+v", r)
	}
}

func TestMailWaitsInTheSpoolWhileTheServerIsDown(t *testing.T) {
	t.Parallel()
	d := newGate(t)
	st := newStage(t, d.settings(us()))
	st.Stop()
	for i := range 5 {
		if r := d.call("", "From: news@example.org\nSubject: x\n\nHello\n", fmt.Sprintf("u%d@accepts.test", i)); r != (result{}) {
			t.Fatalf("while it is down: %+v, want nothing", r)
		}
	}
	if r := d.call("", "EHLO x\r\n", "-bs"); r.code != 75 || !strings.HasPrefix(r.stdout, "421 4.3.2 ") {
		t.Errorf("-bs while it is down: %+v", r)
	}
	if n := d.lying(); n != 5 {
		t.Errorf("%d files in the spool, want 5", n)
	}
	st.Restart()
	for i := range 5 {
		st.got(fmt.Sprintf("u%d@accepts.test", i))
	}
	until(t, 10*time.Second, "an empty spool", func() bool { return d.lying() == 0 })
	if n := len(st.Net.Receipts.All()); n != 5 {
		t.Errorf("%d mails arrived, want 5", n)
	}

	st.Stop()
	if err := os.Remove(d.spool); err != nil {
		t.Fatal(err)
	}
	if r := d.call("", "From: news@example.org\n\nHello\n", "lost@accepts.test"); r.code != 75 || !strings.Contains(r.stderr, "neither sent nor kept for later") {
		t.Errorf("with nowhere to keep it: %+v, want 75 and words", r)
	}
}

// TestNoMailOfSendmailIsLostOrDoubledByKills has many callers while the server
// is killed and started again and again: each mail whose caller was told 0 is
// one message.
func TestNoMailOfSendmailIsLostOrDoubledByKills(t *testing.T) {
	t.Parallel()
	const callers, each, kills = 4, 15, 5
	d := newGate(t)
	st := newStage(t, d.settings(us()))
	taken := make(chan string, callers*each)
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			for i := range each {
				to := fmt.Sprintf("u%d-%d@accepts.test", c, i)
				if r := d.call("", "From: news@example.org\nSubject: x\n\nHello\n", to); r.code != 0 {
					t.Errorf("%s: %+v", to, r)
				}
				taken <- to
			}
		})
	}
	go func() { // ends with the callers
		all.Wait()
		close(taken)
	}()
	var sent []string
	for to := range taken {
		if sent = append(sent, to); len(sent)%(callers*each/(kills+1)) == 0 {
			st.Kill()
			st.Restart()
		}
	}
	until(t, 90*time.Second, "an empty spool", func() bool { return d.lying() == 0 })
	for _, to := range sent {
		st.got(to)
		if n := strings.Count(st.Run("trace", to), "handed it over"); n != 1 {
			t.Errorf("%s is in %d messages, want 1", to, n)
		}
	}
}

func TestWhatTheOperatorHasToMendWaitsInTheSpool(t *testing.T) {
	t.Parallel()
	d := newGate(t)
	st := newStage(t, d.settings(us()))
	const mail = "From: news@example.com\nSubject: x\n\nHello\n"
	if r := d.call("", mail, "ann@accepts.test"); r.code != 0 || !strings.Contains(r.stderr, "kept in the spool until the server takes it: 451 4.7.1 application civicrm may not send as example.com") {
		t.Errorf("as another domain: %+v", r)
	}
	if text := st.Run("sendmail", "-q"); !strings.Contains(text, "The spool is being taken over.") {
		t.Errorf("-q says %q", text)
	}
	until(t, 10*time.Second, "the spool to be looked at", func() bool { return strings.Contains(st.Run("sendmail", "-bp"), "example.com") })
	if text := st.Run("sendmail", "-bp"); !strings.Contains(text, "waiting") || !strings.Contains(text, "may not send as example.com") {
		t.Errorf("-bp says\n%s", text)
	}
	st.Write("homing.toml", strings.Replace(readFile(t, filepath.Join(st.Dir, "homing.toml")), `domains = ["example.org"]`, `domains = ["example.org", "example.com"]`, 1)+
		"\n[[domain]]\nname = \"example.com\"\nreturn_path = \"return@bounce.example.com\"\n")
	st.hangUp("configuration reloaded")
	st.got("ann@accepts.test")
	until(t, 10*time.Second, "an empty spool", func() bool { return d.lying() == 0 })
	// What the server writes to its postmaster about it may still wait.
	if text := st.Run("sendmail", "-bp"); strings.Contains(text, "ann@accepts.test") || strings.Contains(text, "example.com") {
		t.Errorf("at the end -bp says\n%s", text)
	}
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// stranger and website are two local users who need no name.
const stranger, website = "64101", "64102"

func TestALocalUserIsAnApplicationOrIsToldWhatIsMissing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be several users")
	}
	t.Parallel()
	d := newGate(t)
	s := d.settings(website)
	st := newStage(t, s)
	const mail = "From: news@example.org\nSubject: x\n\nHello\n"
	if r := d.call(website, mail, "ann@accepts.test"); r != (result{}) {
		t.Errorf("a user of the application: %+v", r)
	}
	st.got("ann@accepts.test")
	r := d.call(stranger, mail, "bob@accepts.test")
	if want := `550 5.7.1 the local user 64101 (uid 64101) may not send: add users = ["64101"] to an [[application]] of homing.toml and reload the server`; r.code != 77 || !strings.Contains(r.stderr, want) {
		t.Errorf("a user of none: %+v, want 77 and %q", r, want)
	}
	// What they may read names a control socket, which they may not open.
	if err := os.WriteFile(d.config, fmt.Appendf(nil, "data_dir = %q\n%s", filepath.Join(st.Dir, "data"), readFile(t, d.config)), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := d.call(website, "", "-q"); r.code != 77 || !strings.Contains(r.stderr, "the user who runs the server") {
		t.Errorf("-q of somebody else: %+v", r)
	}

	// The same while the server is down: nobody is there to refuse it.
	st.Stop()
	for _, user := range []string{stranger, website} {
		if r := d.call(user, mail, user+"@accepts.test"); r != (result{}) {
			t.Errorf("while it is down, %s: %+v", user, r)
		}
	}
	st.Restart()
	st.got(website + "@accepts.test")
	until(t, 20*time.Second, "what to do in status", func() bool {
		return strings.Contains(st.Run("status"), "In the spool of sendmail, 1 mail lies refused (550 5.7.1 the local user 64101")
	})
	err := st.Net.Hook.Calls.Wait(within(t, 20*time.Second), func(calls []toynet.Call) bool {
		for _, c := range calls {
			if c.Event.Type == "incident_opened" {
				return true
			}
		}
		return false
	})
	if err != nil {
		t.Errorf("no incident was told of mail that lies there refused: %v", err)
	}
	s.App = fmt.Sprintf("users = [%q, %q]", website, stranger)
	st.Reload(s)
	st.got(stranger + "@accepts.test")
}

// BenchmarkSendmail is what a page of PHP waits for: a process that starts, and
// neither parses a command line of all commands nor reads the whole
// configuration.
func BenchmarkSendmail(b *testing.B) {
	d := newGate(b)
	for b.Loop() {
		if r := d.call("", "", "-bi"); r != (result{}) {
			b.Fatalf("-bi: %+v", r)
		}
	}
}
