package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"text/template"
	"time"

	"homing/internal/toynet"
)

// Settings are what a test wants of a stage other than the usual.
type Settings struct {
	World    toynet.World      // Server, HookSecret and Keep are the stage's own
	Delivery string            // lines of [delivery]; default: try again every second
	Domain   string            // further lines of [[domain]]
	App      string            // further lines of [[application]]
	Listen   string            // further lines of [listen]
	Tables   string            // further tables of homing.toml
	Files    map[string]string // further files beside homing.toml, by name
}

// configuration is homing.toml on a Stage.
var configuration = template.Must(template.New("homing.toml").Parse(`hostname = "mail.example.org"
data_dir = "data"
postmaster = "it@example.org"

[listen]
smtp = ["{{.MX}}"]
submission = ["{{.Submission}}"]
http = ["{{.HTTP}}"]
{{.Listen}}

[[domain]]
name = "example.org"
return_path = "return@bounce.example.org"
sinks = ["hooks"]
{{.Domain}}

[[application]]
name = "civicrm"
kind = "civicrm"
domains = ["example.org"]
networks = ["127.0.0.0/8"]
verp_prefix = "civi+"
{{.App}}

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
{{.Delivery}}

[dns]
server = "{{.DNS}}"

[limits]
disk_reserve = "64MiB"
{{.Tables}}
`))

// HookSecret signs the webhooks of a Stage.
const HookSecret = "whsec_aG9taW5nIHRlc3RzIGhvbWluZyB0ZXN0cyBob21p"

// A Stage is the real server in a toy internet, with an application that
// sends and is told.
type Stage struct {
	*Homing
	Net        *toynet.Net
	Client     *toynet.CiviCRM
	Submission string // address and port of the listener for applications
	HTTP       string // address and port of the API
}

// NewStage opens a toy internet, starts the server in it, and ends both at the
// end of the test.
func NewStage(t testing.TB, s Settings) *Stage {
	t.Helper()
	s.World.Server = toynet.Server{Name: "mail.example.org", Returns: []string{"bounce.example.org"}, Senders: []string{"example.org"}}
	s.World.HookSecret, s.World.Keep = HookSecret, true
	if s.Delivery == "" {
		s.Delivery = `retry = ["1s"]`
	}
	net, err := s.World.Open()
	if err != nil {
		t.Fatal(err)
	}
	Run(t, net.Run)
	at := func(port int) string { return fmt.Sprintf("%s:%d", net.ServerAddr().Addr(), port) }
	st := &Stage{Net: net, Submission: at(2587), HTTP: at(8025)}
	st.Client = &toynet.CiviCRM{Address: st.Submission, From: `"Example News" <news@example.org>`, Prefix: "civi+", Domain: "bounce.example.org"}
	var text strings.Builder
	err = configuration.Execute(&text, map[string]any{"MX": net.ServerAddr(), "Submission": st.Submission, "HTTP": st.HTTP,
		"Domain": s.Domain, "App": s.App, "Hook": net.Hook.URL(), "Address": net.ServerAddr().Addr(), "Port": net.Port(),
		"Delivery": s.Delivery, "DNS": net.DNSAddr(), "Listen": s.Listen, "Tables": s.Tables})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"hook-secret": HookSecret}
	maps.Copy(files, s.Files)
	st.Homing = Start(t, st.HTTP, text.String(), files)
	return st
}

// Run runs something until the end of the test, and fails the test with the
// error that it returns.
func Run(t testing.TB, f func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
	})
}

// Within bounds the waits of a test.
func Within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// Waiting is a recipient that the server has not finished with.
type Waiting struct {
	Recipient string `json:"recipient"`
	Sender    string `json:"sender"`
	State     string `json:"state"`
}

// Waiting gives the recipients that the server says it still has: queued,
// paused or captured.
func (st *Stage) Waiting() []Waiting {
	st.t.Helper()
	var page struct {
		Recipients []Waiting `json:"recipients"`
	}
	text := st.Run("queue", "list", "--json", "--limit", "1000000")
	if err := json.Unmarshal([]byte(text), &page); err != nil {
		st.t.Fatalf("queue list --json: %v in %q", err, text)
	}
	return page.Recipients
}
