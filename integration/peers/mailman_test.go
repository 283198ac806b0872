package peers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"homing/integration/harness"
	"homing/internal/toynet"
)

// mailmanConfig is Mailman's but for [mta]. Runners that these tests need not
// are left out: each is a process.
const mailmanConfig = `[mailman]
site_owner: it@example.org
layout: here
[paths.here]
var_dir: %[1]s
bin_dir: /usr/lib/mailman3/bin
[database]
class: mailman.database.sqlite.SQLiteDatabase
url: sqlite:///%[1]s/mailman.db
`

// A mailman is GNU Mailman 3 with one list, news.
type mailman struct {
	t      *testing.T
	config string
	dir    string
}

// newMailman starts Mailman with a list in a domain and what the document says
// in [mta], by which it takes mail at lmtp.
func newMailman(t *testing.T, domain, mta, lmtp string, members ...string) *mailman {
	t.Helper()
	m := &mailman{t, "", t.TempDir()}
	m.config = filepath.Join(m.dir, "mailman.cfg")
	text := fmt.Sprintf(mailmanConfig, m.dir) + mta
	for _, runner := range []string{"archive", "command", "digest", "nntp", "rest", "retry", "task", "virgin"} {
		text += "[runner." + runner + "]\nstart: no\n"
	}
	text += "[runner.bounces]\nsleep_time: 1s\n" // by itself it looks every two minutes
	if err := os.WriteFile(m.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m.run("", "create", "news@"+domain)
	m.run(strings.Join(members, "\n")+"\n", "addmembers", "-", "news@"+domain)
	t.Cleanup(m.showLogs)
	d := launch(t, "/usr/lib/mailman3/bin/master", "-C", m.config)
	d.awaitOpen(lmtp)
	return m
}

// run runs a command of Mailman.
func (m *mailman) run(stdin string, args ...string) {
	m.t.Helper()
	got := call(m.t, strings.NewReader(stdin), "mailman", append([]string{"-C", m.config, "--run-as-root"}, args...)...)
	if got.code != 0 {
		m.t.Fatalf("mailman %s: %v", strings.Join(args, " "), got)
	}
}

// showLogs shows what Mailman noted, where the test failed.
func (m *mailman) showLogs() {
	if !m.t.Failed() {
		return
	}
	logs, _ := filepath.Glob(filepath.Join(m.dir, "logs", "*.log"))
	for _, name := range logs {
		text, err := os.ReadFile(name)
		m.t.Logf("%s (%v):\n%s", name, err, tail(string(text)))
	}
}

// bounced gives the addresses of which Mailman has recorded a bounce.
func (m *mailman) bounced() string {
	m.t.Helper()
	got := call(m.t, nil, "/usr/bin/python3", "-c",
		`import sqlite3, sys; print(*sorted({row[0] for row in sqlite3.connect(sys.argv[1]).execute("SELECT email FROM bounceevent")}))`,
		filepath.Join(m.dir, "mailman.db"))
	if got.code != 0 {
		m.t.Fatalf("reading Mailman's database: %v", got)
	}
	return strings.TrimSpace(got.stdout)
}

// awaitBounced waits until Mailman has recorded bounces of some addresses, and of
// no others.
func (m *mailman) awaitBounced(want string) {
	m.t.Helper()
	deadline := time.Now().Add(peerWithin)
	for m.bounced() != want && time.Now().Before(deadline) {
		<-time.After(200 * time.Millisecond)
	}
	if got := m.bounced(); got != want {
		m.t.Errorf("Mailman has recorded bounces of %q, want %q", got, want)
	}
}

// TestMailmanHearsOfItsBounces whether the other side refuses at once or reports
// later, where Homing is the MX of its lists, and of none that is our own fault.
func TestMailmanHearsOfItsBounces(t *testing.T) {
	begin(t)
	b := newBlock()
	lmtp := b.at(200, 8024)
	st := harness.NewStage(t, harness.Settings{
		World:    toynet.World{Block: b.Prefix, Domains: toynet.Everyday(100 * time.Millisecond).Domains},
		Networks: `password_file = "password"`,
		Files:    map[string]string{"password": shopPassword},
		Tables: `
[[application]]
name = "lists"
kind = "mailman"
domains = ["example.org"]
networks = ["127.0.0.0/8"]
sinks = ["mailman", "hooks"]

[[sink]]
name = "mailman"
type = "lmtp"
address = "` + lmtp + `"
`})
	m := newMailman(t, "example.org", mtaOf(t, st.Submission, lmtp), lmtp, "bob@accepts.test", "ann@unknown.test", "ann@blocks.test", "ann@later.test")
	post := "From: Bob <bob@accepts.test>\nTo: news@example.org\nSubject: News\nMessage-ID: <1@accepts.test>\n\nHello\n"
	m.run(post, "inject", "-f", "-", "news@example.org")
	r := arrived(t, st, "bob@accepts.test")
	if !strings.Contains(string(r.Message), "\r\nList-Id: <news.example.org>") {
		t.Errorf("what arrived is no mail of the list:\n%s", r.Message)
	}
	if e := heard(t, st, "ann@unknown.test", "bounced"); e.Sender != "news-bounces+ann=unknown.test@example.org" || e.Campaign != "mailman:list:news" {
		t.Errorf("event %+v, want Mailman's own return address and its list", e)
	}
	m.awaitBounced("ann@later.test ann@unknown.test")
}
