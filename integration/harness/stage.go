package harness

import (
	"cmp"
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

// Settings are what a test wants of a stage other than the usual. Lines and
// tables of homing.toml may name fields of the Stage: lmtp = ["{{.LMTP}}"].
type Settings struct {
	World    toynet.World      // Server, HookSecret and Keep are the stage's own
	Top      string            // further lines before the first table
	DataDir  string            // default: data, beside homing.toml
	Submit   []string          // further listeners for submission
	Listen   string            // further lines of [listen]
	Delivery string            // lines of [delivery]; default: try again every second
	Domain   string            // further lines of [[domain]]
	App      string            // further lines of [[application]]
	Networks string            // the line that says who may relay; default: all of loopback
	Limits   string            // lines of [limits]; default: a small reserve
	Tables   string            // further tables of homing.toml
	Files    map[string]string // further files beside homing.toml, by name
	Env      []string          // of the server, as in Start
}

// configuration is homing.toml on a Stage.
var configuration = template.Must(template.New("homing.toml").Parse(`hostname = "mail.example.org"
data_dir = "{{.DataDir}}"
postmaster = "it@example.org"
{{.Top}}

[listen]
smtp = ["{{.MX}}"]
submission = ["{{.Submission}}"{{range .Submit}}, "{{.}}"{{end}}]
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
{{.Networks}}
verp_prefix = "civi+"
{{.App}}

[[sink]]
name = "hooks"
type = "webhook"
url = "{{.Net.Hook.URL}}"
secret_file = "hook-secret"
allow_private = true

[delivery]
source_addresses = ["{{.Net.ServerAddr.Addr}}"]
port = {{.Net.Port}}
allow_networks = ["{{.Net.Network}}"]
{{.Delivery}}

[dns]
server = "{{.Net.DNSAddr}}"

[limits]
{{.Limits}}
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
	MX         string // address and port of the listener for what comes back
	LMTP       string // for the same over LMTP, where Settings.Listen opens it
	Submission string // of the listener for applications
	HTTP       string // of the API
}

// NewStage opens a toy internet, starts the server in it, and ends both at the
// end of the test.
func NewStage(t testing.TB, s Settings) *Stage {
	t.Helper()
	s.World.Server = toynet.Server{Name: "mail.example.org", Returns: []string{"bounce.example.org"}, Senders: []string{"example.org"}}
	s.World.HookSecret, s.World.Keep = HookSecret, true
	net, err := s.World.Open()
	if err != nil {
		t.Fatal(err)
	}
	Run(t, net.Run)
	st := &Stage{Net: net, MX: net.ServerAddr().String()}
	st.LMTP, st.Submission, st.HTTP = st.At(2424), st.At(2587), st.At(8025)
	st.Client = &toynet.CiviCRM{Address: st.Submission, From: `"Example News" <news@example.org>`, Prefix: "civi+", Domain: "bounce.example.org"}
	files := map[string]string{"hook-secret": HookSecret}
	maps.Copy(files, s.Files)
	st.Homing = Start(t, st.HTTP, st.configure(t, s), files, s.Env...)
	return st
}

// At gives a port of the server's address: "127.1.2.3:2465".
func (st *Stage) At(port int) string {
	return fmt.Sprintf("%s:%d", st.Net.ServerAddr().Addr(), port)
}

// configure writes homing.toml for a stage.
func (st *Stage) configure(t testing.TB, s Settings) string {
	t.Helper()
	s.DataDir = cmp.Or(s.DataDir, "data")
	s.Networks = cmp.Or(s.Networks, `networks = ["127.0.0.0/8"]`)
	s.Delivery = cmp.Or(s.Delivery, `retry = ["1s"]`)
	s.Limits = cmp.Or(s.Limits, `disk_reserve = "64MiB"`)
	fields := struct {
		Settings
		*Stage
	}{s, st}
	var lines, text strings.Builder
	if err := configuration.Execute(&lines, fields); err != nil {
		t.Fatal(err)
	}
	given, err := template.New("Settings").Parse(lines.String())
	if err == nil {
		err = given.Execute(&text, fields)
	}
	if err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// Reconfigure writes homing.toml anew. It counts from the next SIGHUP or start.
func (st *Stage) Reconfigure(s Settings) {
	st.t.Helper()
	write(st.t, st.config, st.configure(st.t, s))
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
	text := st.Run("queue", "list", "--json", "--state", "waiting,paused,captured", "--limit", "1000000")
	if err := json.Unmarshal([]byte(text), &page); err != nil {
		st.t.Fatalf("queue list --json: %v in %q", err, text)
	}
	return page.Recipients
}
