package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"text/template"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"homing/config"
	smtpreply "homing/internal/reply"
	"homing/internal/toynet"
)

// A stand is a server of this process in a toy internet, each part stopped by
// itself.
type stand struct {
	net    *toynet.Net
	client *toynet.CiviCRM
	config string
	hup    chan os.Signal
	log    *journal
	house  *house
	cancel func()
	world  *stage
	ended  chan error // of the server
}

// A journal is a log that tests read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{}
}

func newJournal() *journal { return &journal{news: make(chan struct{})} }

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	close(j.news)
	j.news = make(chan struct{})
	return j.text.Write(p)
}

func (j *journal) read() (string, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String(), j.news
}

// wait waits until the log from an octet on has a text, and gives where the
// log ends.
func (j *journal) wait(t testing.TB, from int, text string) int {
	t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for {
		now, news := j.read()
		if bytes.Contains([]byte(now[from:]), []byte(text)) {
			return len(now)
		}
		select {
		case <-news:
		case <-limit.C:
			t.Fatalf("the log has no %q:\n%s", text, now[from:])
		}
	}
}

// standConfig is homing.toml of a stand.
var standConfig = template.Must(template.New("").Parse(`hostname = "mail.example.org"
data_dir = "data"

[listen]
smtp = ["{{.MX}}"]
submission = ["{{.Any}}"]
http = ["{{.Any}}"]

[[domain]]
name = "example.org"
return_path = "return@bounce.example.org"
sinks = ["hooks"]

[[application]]
name = "civicrm"
kind = "civicrm"
domains = ["example.org"]
networks = ["127.0.0.0/8"]
verp_prefix = "civi+"

[[sink]]
name = "hooks"
type = "webhook"
url = "{{.Hook}}"
secret_file = "hook-secret"
allow_private = true

[delivery]
source_addresses = ["{{.Address}}"]
port = {{.Port}}
allow_networks = ["127.0.0.0/8"]
retry = ["1h"]

[dns]
server = "{{.DNS}}"

[notify]
to = ["it@accepts.test"]

[limits]
disk_reserve = "1MiB"
`))

// setStand opens a toy internet and writes the configuration into a directory.
func setStand(dir string) (*stand, error) {
	world := toynet.Everyday(10 * time.Millisecond).And(toynet.World{Domains: map[string]toynet.Domain{
		"odd.test": {About: "says what no rule understands", Behaviour: toynet.Behaviour{
			RCPT: smtpreply.Reply{Code: 550, Enhanced: smtpreply.Enhanced{5, 9, 9}, Text: "<{rcpt}>: frobnicated"}}},
		"relayed.test": {About: "a relay takes its mail, too", MX: []string{"direct.test", "relay.test"}},
	}, Hosts: map[string]toynet.Host{"direct.test": {}, "relay.test": {}}})
	world.HookSecret, world.Keep = demoSecret, true
	world.Server = toynet.Server{Name: "mail.example.org", Returns: []string{"bounce.example.org"}, Senders: []string{"example.org"}}
	net, err := world.Open()
	if err != nil {
		return nil, err
	}
	s := &stand{net: net, config: filepath.Join(dir, "homing.toml"), hup: make(chan os.Signal), log: newJournal()}
	s.client = &toynet.CiviCRM{From: `"News" <news@example.org>`, Prefix: "civi+", Domain: "bounce.example.org"}
	s.world = start(context.Background(), func() {}, part{"the toy internet", net.Run})
	var text bytes.Buffer
	mx := net.ServerAddr()
	if err := standConfig.Execute(&text, map[string]any{"MX": mx, "Any": fmt.Sprintf("%s:0", mx.Addr()), "Hook": net.Hook.URL(),
		"Address": mx.Addr(), "Port": net.Port(), "DNS": net.DNSAddr()}); err != nil {
		return s, err
	}
	if extra, err := os.ReadFile(filepath.Join(dir, "extra.toml")); err == nil {
		text.Write(extra)
	}
	if err := os.WriteFile(filepath.Join(dir, "hook-secret"), []byte(demoSecret), 0o600); err != nil {
		return s, err
	}
	return s, os.WriteFile(s.config, text.Bytes(), 0o600)
}

// begin starts the server and waits until it is ready.
func (s *stand) begin() error {
	cfg, err := config.Load(s.config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.ended = cancel, make(chan error, 1)
	ready := make(chan *house, 1)
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	go func() {
		s.ended <- serve(ctx, job{path: s.config, cfg: cfg, log: log, hup: s.hup, ready: func(h *house) { ready <- h }})
	}()
	select {
	case s.house = <-ready:
		s.client.Address = s.house.at("submission")
		return nil
	case err := <-s.ended:
		s.ended = nil
		return fmt.Errorf("the server ended before it was ready: %w", err)
	}
}

// stop stops the server, if it runs, and gives its error.
func (s *stand) stop() error {
	if s.ended == nil {
		return nil
	}
	s.cancel()
	err := <-s.ended
	s.ended = nil
	return err
}

// newStand starts a server for a test, which runs beside others; extra stands
// at the end of its configuration.
func newStand(t *testing.T, extra string) *stand {
	t.Helper()
	return newStandWith(t, extra, func(*stand) {})
}

// newStandWith changes the configuration before the server starts.
func newStandWith(t *testing.T, extra string, prepare func(s *stand)) *stand {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "extra.toml"), []byte(extra), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := setStand(dir)
	if s != nil {
		t.Cleanup(func() {
			if err := s.world.end(); err != nil {
				t.Error(err)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	prepare(s)
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	return s
}

// change writes the configuration anew with a replacement.
func (s *stand) change(t *testing.T, old, now string) {
	t.Helper()
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(text, []byte(old), []byte(now), 1)
	if bytes.Equal(changed, text) {
		t.Fatalf("the configuration has no %q", old)
	}
	if err := os.WriteFile(s.config, changed, 0o600); err != nil {
		t.Fatal(err)
	}
}

// told waits until the webhook has heard of everybody.
func (s *stand) told(what string, whom ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return s.net.Hook.Calls.Wait(ctx, func(calls []toynet.Call) bool {
		heard := map[string]bool{}
		for _, c := range calls {
			if c.Taken() && c.Event.Type == what {
				heard[c.Event.Recipient] = true
			}
		}
		for _, w := range whom {
			if !heard[w] {
				return false
			}
		}
		return true
	})
}

// mail sends a mailing.
func (s *stand) mail(job int, whom ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	sent, err := s.client.Send(ctx, toynet.Mailing{Job: job, FirstQueue: 1, Subject: "Grüße", Text: "Hello\n", To: whom})
	for _, one := range sent {
		if err == nil && !one.Acknowledged() {
			err = fmt.Errorf("%s was answered %v at %s", one.To, one.Reply, one.Stage)
		}
	}
	return err
}

type standKey struct{}

// standOf gives the stand of a script, nil before serve.
func standOf(ts *testscript.TestScript) **stand { return ts.Value(standKey{}).(**stand) }

func scriptServe(ts *testscript.TestScript, _ bool, _ []string) {
	at := standOf(ts)
	if *at == nil {
		s, err := setStand(ts.Getenv("WORK"))
		ts.Check(err)
		*at = s
		ts.Defer(func() {
			ts.Check(s.stop())
			ts.Check(s.world.end())
		})
		ts.Setenv("HOMING_CONFIG", s.config)
	}
	ts.Check((*at).begin())
}

func scriptMail(ts *testscript.TestScript, _ bool, args []string) {
	job, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check((*standOf(ts)).mail(job, args[1:]...))
}

func scriptTold(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check((*standOf(ts)).told(args[0], args[1:]...))
}

func scriptStop(ts *testscript.TestScript, _ bool, _ []string) {
	s := *standOf(ts)
	ts.Check(s.stop())
	if _, err := os.Stat(filepath.Join(ts.Getenv("WORK"), "data", config.ControlSocket)); err == nil {
		ts.Fatalf("the control socket is still there: %v", fs.ErrExist)
	}
}
