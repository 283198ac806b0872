package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"homing/bounce"
	"homing/config"
	"homing/internal/terminal"
	"homing/server"
)

func TestWhatIsInTheDataDirIsForTheServerAlone(t *testing.T) {
	s := newStand(t, "")
	dir := filepath.Join(filepath.Dir(s.config), "data")
	for name, want := range map[string]fs.FileMode{"": 0o700, "store": 0o700, verpKeyName: 0o600, config.ControlSocket: 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("data/%s has mode %o, want %o", name, got, want)
		}
	}
}

func TestADataDirThatOthersCanReach(t *testing.T) {
	tests := []struct {
		name        string
		mode        fs.FileMode
		err, logged string
	}{
		{"nobody", 0o700, "", ""},
		{"others may look", 0o755, "", "others may look into data_dir"},
		{"the group may write", 0o770, "others may write to", ""},
		{"everybody may write", 0o777, "others may write to", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, tt.mode)); err != nil {
				t.Fatal(err)
			}
			j := newJournal()
			err := makeDataDir(dir, slog.New(slog.NewTextHandler(j, nil)))
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("makeDataDir = %v, want %q", err, tt.err)
			}
			if text, _ := j.read(); (text == "") != (tt.logged == "") || !strings.Contains(text, tt.logged) {
				t.Errorf("log %q, want %q", text, tt.logged)
			}
		})
	}
}

// policyOfStand is the policy in force.
func (s *stand) policy() *server.Policy { return s.house.server.Policy() }

func TestAReloadTakesWhatIsLiveAndNamesTheRest(t *testing.T) {
	s := newStand(t, "")
	s.change(t, `hostname = "mail.example.org"`, "hostname = \"mx2.example.org\"\nmode = \"capture\"\npostmaster = \"it@example.org\"")
	s.change(t, `disk_reserve = "1MiB"`, "disk_reserve = \"1MiB\"\nmessage_out = \"1MiB\"")
	at := 0
	for round := range 2 {
		s.hup <- os.Interrupt
		end := s.log.wait(t, at, "configuration reloaded")
		text, _ := s.log.read()
		for _, key := range []string{"key=hostname", "key=limits.message_out"} {
			if !strings.Contains(text[at:end], key) {
				t.Errorf("reload %d does not say that %s waits for the next start:\n%s", round+1, key, text[at:end])
			}
		}
		at = end
	}
	if p := s.policy(); p.Mode != server.Capture || p.Postmaster != "it@example.org" || p.Hostname != "mail.example.org" || p.MaxOut != 25<<20 {
		t.Errorf("mode %q, postmaster %q, hostname %q, messages of %d octets, want the first two new", p.Mode, p.Postmaster, p.Hostname, p.MaxOut)
	}
	s.change(t, `"mx2.example.org"`, `"mail.example.org"`)
	s.hup <- os.Interrupt
	end := s.log.wait(t, at, "configuration reloaded")
	if text, _ := s.log.read(); strings.Contains(text[at:end], "key=hostname") || !strings.Contains(text[at:end], "key=limits.message_out") {
		t.Errorf("what is as at the start waits for nothing, what is not does:\n%s", text[at:end])
	}
}

func TestAMistakeKeepsTheOldConfiguration(t *testing.T) {
	s := newStand(t, "")
	s.change(t, `kind = "civicrm"`, "kind = \"civicrm\"\nmode = \"sideways\"\nheld = \"maybe\"")
	s.hup <- os.Interrupt
	at := s.log.wait(t, 0, "application.held")
	text, _ := s.log.read()
	for _, want := range []string{"the old one stays", "application.mode", "sideways"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log has no %q:\n%s", want, text)
		}
	}
	c := s.control()
	if got := s.attention(t); !strings.Contains(got, "The configuration was changed and has a mistake") {
		t.Errorf("the status says nothing of it: %s", got)
	}
	err := c.call(t.Context(), http.MethodPost, "/api/v1/reload", nil, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "homing.toml:") || !strings.Contains(err.Error(), "sideways") {
		t.Errorf("reloading over the control socket: %v, want the mistake with its line", err)
	}
	s.change(t, "mode = \"sideways\"\nheld = \"maybe\"", "mode = \"refuse\"")
	if err := c.call(t.Context(), http.MethodPost, "/api/v1/reload", nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	s.log.wait(t, at, "configuration reloaded")
	if got := s.policy().Applications[0].Mode; got != server.Refuse {
		t.Errorf("the application's mode is %q, want refuse", got)
	}
	if got := s.attention(t); strings.Contains(got, "has a mistake") {
		t.Errorf("the status says it still: %s", got)
	}
}

// TestTheStatusSaysWhatKeepsMailAndNewsFromPeople is about an operator's own
// settings, which somebody else may not know of.
func TestTheStatusSaysWhatKeepsMailAndNewsFromPeople(t *testing.T) {
	s := newStand(t, "")
	for _, step := range []struct{ from, to, want string }{
		{"data_dir = ", "mode = \"capture\"\ndata_dir = ", "Nothing is sent: mode = \"capture\""},
		{"mode = \"capture\"", "mode = \"refuse\"", "No mail is taken: mode = \"refuse\""},
		{"to = [\"it@accepts.test\"]", "to = []", "Nobody is told by mail when something breaks"},
	} {
		if got := s.attention(t); strings.Contains(got, step.want) {
			t.Errorf("it says already %q", got)
		}
		s.change(t, step.from, step.to)
		if err := s.control().call(t.Context(), http.MethodPost, "/api/v1/reload", nil, nil, nil); err != nil {
			t.Fatal(err)
		}
		if got := s.attention(t); !strings.Contains(got, step.want) {
			t.Errorf("it does not say %q: %s", step.want, got)
		}
	}
}

// attention is what the status of a stand says of what needs attention.
func (s *stand) attention(t *testing.T) string {
	t.Helper()
	status, err := s.house.status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(status.Attention, "\n")
}

// control speaks to the server of a stand.
func (s *stand) control() *control {
	socket := filepath.Join(filepath.Dir(s.config), "data", config.ControlSocket)
	return &control{socket: socket, http: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}}
}

// TestReloadsAndRequestsAtOnce is for the race detector.
func TestReloadsAndRequestsAtOnce(t *testing.T) {
	s := newStand(t, "")
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for range 5 {
				if err := s.control().call(t.Context(), http.MethodPost, "/api/v1/reload", nil, nil, nil); err != nil {
					t.Error(err)
				}
			}
		})
		all.Go(func() {
			if err := s.control().call(t.Context(), http.MethodPost, "/selfcheck", nil, nil, nil); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			for _, path := range []string{"status", "queue", "holds", "status", "events", "status"} {
				if err := s.control().call(t.Context(), http.MethodGet, "/api/v1/"+path, nil, nil, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if err := s.mail(1, "ann@accepts.test", "bob@accepts.test"); err != nil {
		t.Error(err)
	}
	all.Wait()
	if err := s.told("delivered", "ann@accepts.test", "bob@accepts.test"); err != nil {
		t.Error(err)
	}
}

func TestWhatCameOfTheLastMailIsToldBeforeTheEnd(t *testing.T) {
	s := newStand(t, "")
	if err := s.mail(1, "ann@accepts.test"); err != nil {
		t.Fatal(err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	calls := s.net.Hook.Calls.All()
	var told []string
	for _, c := range calls {
		told = append(told, c.Event.Type)
	}
	if len(told) == 0 || told[0] != "accepted" {
		t.Errorf("told %q before the end, want what was accepted at least", told)
	}
	if err := s.begin(); err != nil {
		t.Fatalf("starting again: %v", err)
	}
	if err := s.told("delivered", "ann@accepts.test"); err != nil {
		t.Error(err)
	}
}

func TestAPartThatFailsEndsTheServerWithItsName(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"an error", errors.New("the disk is on fire"), "smtp at x: the disk is on fire"},
		{"an end that nobody asked for", nil, "smtp at x: it ended by itself"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			failed := make(chan struct{})
			s := start(t.Context(), func() { close(failed) },
				part{"smtp at x", func(context.Context) error { return tt.err }},
				part{"queue", func(ctx context.Context) error { <-ctx.Done(); return nil }})
			<-failed
			if err := s.end(); err == nil || err.Error() != tt.want {
				t.Errorf("end = %v, want %s", err, tt.want)
			}
		})
	}
}

func TestASecondServerOfTheSameDataDirIsRefused(t *testing.T) {
	s := newStand(t, "")
	cfg, err := config.Load(s.config)
	if err != nil {
		t.Fatal(err)
	}
	err = serve(t.Context(), job{path: s.config, cfg: cfg, log: slog.New(slog.DiscardHandler), ready: func(*house) {}})
	if err == nil || !strings.Contains(err.Error(), "stop it, or give this one another data_dir") {
		t.Errorf("serve = %v, want it to say that another one runs", err)
	}
	if err := s.control().call(t.Context(), http.MethodGet, "/api/v1/status", nil, nil, nil); err != nil {
		t.Errorf("the first one is disturbed: %v", err)
	}
}

func TestAnAddressThatIsTakenIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	path := filepath.Join(dir, "homing.toml")
	text := fmt.Sprintf("hostname = \"mail.example.org\"\ndata_dir = \"data\"\n[listen]\nhttp = [%q]\n[[domain]]\nname = \"example.org\"\n"+
		"return_path = \"return@bounce.example.org\"\n[[application]]\nname = \"crm\"\ndomains = [\"example.org\"]\n", l.Addr())
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // what was opened is closed again
		err = serve(t.Context(), job{path: path, cfg: cfg, log: slog.New(slog.DiscardHandler), ready: func(*house) {}})
		if err == nil || !strings.HasPrefix(err.Error(), "listen.http: another program listens on "+l.Addr().String()+": `ss -ltnp` shows which") {
			t.Errorf("serve = %v, want it to say who listens where", err)
		}
	}
}

func TestTraceTakesTheIdentifierOfAMessageOrADelivery(t *testing.T) {
	s := newStand(t, "")
	if err := s.mail(1, "ann@accepts.test", "bob@accepts.test"); err != nil {
		t.Fatal(err)
	}
	if err := s.told("delivered", "ann@accepts.test", "bob@accepts.test"); err != nil {
		t.Fatal(err)
	}
	c := s.control()
	rows, err := c.recipients(t.Context(), "/api/v1/messages", map[string][]string{}, 10)
	if err != nil || len(rows.Recipients) != 2 {
		t.Fatalf("%d messages, %v, want 2", len(rows.Recipients), err)
	}
	for _, r := range rows.Recipients {
		for _, id := range []string{r.Message.String(), r.Delivery.String()} {
			j, err := c.journeyOf(t.Context(), id, 100)
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, x := range j.Recipients {
				found = found || x.Delivery == r.Delivery
			}
			if !found {
				t.Errorf("trace %s does not show %s", id, r.Recipient)
			}
		}
	}
	all, err := c.journey(t.Context(), "/api/v1/messages/"+rows.Recipients[0].Message.String(), 100)
	if err != nil || len(all.Recipients) != 1 || all.Earlier != 0 {
		t.Errorf("%+v, %v, want one delivery", all, err)
	}
}

func TestClassifyAndTheAPISayTheSame(t *testing.T) {
	s := newStand(t, "")
	for name, text := range map[string]string{
		"an ordinary message": "From: a@example.net\r\nSubject: Hi\r\n\r\nHello\r\n",
		"a bounce": "From: MAILER-DAEMON@mx.example.org\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n" +
			"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\nFinal-Recipient: rfc822; ann@example.net\r\n" +
			"Action: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 <ann@example.net> \x1b[2J\xc2\x9b unknown & gone\r\n--b--\r\n",
		"nothing": "",
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			k := classifier{reader: bounce.NewReader(bounce.NewTable()), stdin: strings.NewReader(text), out: &terminal.Writer{W: &out}, json: true}
			if err := k.file("-"); err != nil {
				t.Fatal(err)
			}
			req, err := http.NewRequest("POST", "http://homing/api/v1/classify", strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := s.control().http.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || string(body) != out.String() || out.Len() == 0 {
				t.Errorf("the API says %s (%v), the command %s", body, err, &out)
			}
		})
	}
}

func TestFollowingSaysHowToGoOnWhenTheServerEnds(t *testing.T) {
	s := newStand(t, "")
	root := newRoot()
	var out strings.Builder
	root.SetOut(&out)
	root.SetArgs([]string{"--config", s.config, "events", "--follow", "--after", "0000000000000"})
	ended := make(chan error, 1)
	go func() { ended <- root.ExecuteContext(t.Context()) }()
	if err := s.mail(1, "ann@accepts.test"); err != nil {
		t.Fatal(err)
	}
	if err := s.told("delivered", "ann@accepts.test"); err != nil {
		t.Fatal(err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	err := <-ended
	if err == nil || !strings.Contains(err.Error(), "the server ended the stream of events: when it runs again, go on with `homing events --follow") {
		t.Errorf("it ended with %v", err)
	}
}

func TestAServerThatStopsIsNotReady(t *testing.T) {
	s := newStand(t, "")
	h := s.house
	if err := h.isReady(); err != nil {
		t.Errorf("isReady = %v", err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if err := h.isReady(); err == nil || err.Error() != "stopping" {
		t.Errorf("isReady after the end began = %v, want stopping", err)
	}
}

func TestTheLogHidesPeopleWhereItIsToldTo(t *testing.T) {
	const said = `<ann.smith@example.net>: "a b"@example.org and ünal@example.com are unknown (at 10:00, mx[192.0.2.1]:25)`
	tests := []struct {
		how        config.LogAddresses
		rcpt, text string
	}{
		{config.LogFull, "ann.smith@example.net", said},
		{config.LogMasked, "a***@example.net", `<a***@example.net>: "***@example.org and ü***@example.com are unknown (at 10:00, mx[192.0.2.1]:25)`},
	}
	for _, tt := range tests {
		t.Run(string(tt.how), func(t *testing.T) {
			j := newJournal()
			newLogger(j, config.Log{Format: config.LogJSON, Addresses: tt.how}).Info("x", "rcpt", "ann.smith@example.net", "err", errors.New(said), "text", said)
			var line struct{ Rcpt, Err, Text string }
			text, _ := j.read()
			if err := json.Unmarshal([]byte(text), &line); err != nil {
				t.Fatal(err)
			}
			if line.Rcpt != tt.rcpt || line.Err != tt.text || line.Text != tt.text {
				t.Errorf("log %+v, want %q and %q", line, tt.rcpt, tt.text)
			}
		})
	}
	t.Run("hashed", func(t *testing.T) {
		j := newJournal()
		log := newLogger(j, config.Log{Format: config.LogText, Addresses: config.LogHashed})
		log.Info("x", "rcpt", "Ann@example.net", "err", "no ann@example.net")
		text, _ := j.read()
		_, rest, _ := strings.Cut(text, "rcpt=")
		hash, _, _ := strings.Cut(rest, " ")
		if strings.Contains(text, "@") || len(hash) != 16 || strings.Count(text, hash) != 2 {
			t.Errorf("log %q, want the same hash twice and no address", text)
		}
	})
}

// process starts the real command as a process of its own.
func process(t *testing.T, args ...string) (*exec.Cmd, *journal) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "homing") // TestMain goes by the name
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	j := newJournal()
	c := exec.Command(path, args...)
	c.Stdout, c.Stderr = j, j
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c.ProcessState == nil {
			c.Process.Kill()
			c.Wait()
		}
	})
	return c, j
}

func TestASecondSignalEndsTheServerAtOnce(t *testing.T) {
	s := newStand(t, "")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	c, j := process(t, "serve", "--config", s.config)
	j.wait(t, 0, `"msg":"ready"`)
	conn, err := net.Dial("tcp", s.net.ServerAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A message that does not end holds the first signal up.
	in := bufio.NewReader(conn)
	for _, line := range []string{"", "EHLO x", "MAIL FROM:<>", "RCPT TO:<postmaster@mail.example.org>", "DATA"} {
		if line != "" {
			fmt.Fprintf(conn, "%s\r\n", line)
		}
		if got := reply(t, in); got[0] > '3' {
			t.Fatalf("%s: %s", line, got)
		}
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	j.wait(t, 0, `"msg":"stopping: finishing what is under way"`)
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	c.Wait()
	if w, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || !w.Signaled() || w.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v, want the second signal to end it", c.ProcessState)
	}
}

// reply reads a whole SMTP reply and gives its last line.
func reply(t *testing.T, in *bufio.Reader) string {
	t.Helper()
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("reading a reply: %v", err)
		}
		if len(line) > 3 && line[3] == ' ' {
			return line
		}
	}
}

func TestTheDemoGoesOnUntilItIsEnded(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	j := newJournal()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	ended := make(chan error, 1)
	go func() { ended <- demo(ctx, j, demoOptions{parent: parent}) }()
	j.wait(t, 0, "the log is ")
	text, _ := j.read()
	for _, want := range []string{" status\n", " hold list\n", " trace u1@unknown.test\n", " events --follow\n", "curl http://127.", "until you press Ctrl-C"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not print %q:\n%s", want, text)
		}
	}
	_, rest, _ := strings.Cut(text, "curl ")
	url, _, _ := strings.Cut(rest, "\n")
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("%s: %s", url, resp.Status)
	}
	end()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v behind", left, err)
	}
}

func TestADemoThatIsEndedEarlySaysSo(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	ctx, end := context.WithCancel(t.Context())
	j := newJournal()
	ended := make(chan error, 1)
	go func() { ended <- demo(ctx, j, demoOptions{once: true, parent: parent}) }()
	j.wait(t, 0, "A mailing of 200 recipients goes out now")
	end()
	if err := <-ended; err == nil || err.Error() != "it was ended before the table was complete" {
		t.Errorf("it ended with %v", err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v behind", left, err)
	}
}
