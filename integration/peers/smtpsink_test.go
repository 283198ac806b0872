package peers

import (
	"bytes"
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/integration/harness"
	"homing/internal/toynet"
)

// sink starts smtp-sink at an address. What it takes becomes files in the
// directory that is returned.
func sink(t testing.TB, address string, args ...string) string {
	t.Helper()
	dir := publicDir(t)
	if os.Getuid() == 0 {
		args = append(args, "-u", "nobody")
	}
	args = append(args, "-h", "sink.test", "-d", filepath.Join(dir, "mail."), address, "100")
	serve(t, address, "smtp-sink", args...)
	return dir
}

// A dump is one transaction as smtp-sink writes it down.
type dump struct {
	proto   string
	from    string // MAIL, all behind FROM:
	to      []string
	header  mail.Header
	message string // with LF
	body    string // with LF
}

// dumps reads what a sink took, transactions that ended without a message
// left out.
func dumps(t testing.TB, dir string) (all []dump) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "mail.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		d, ok := readDump(t, string(text))
		if ok && !strings.Contains(d.message, "Subject: Does the way back work?") { // the self-check asks a smarthost, too
			all = append(all, d)
		}
	}
	return all
}

// sinkTrace is the field that ends what smtp-sink itself writes.
var sinkTrace = regexp.MustCompile(`(?m)^Received: .*\n(?:[ \t].*\n)*`)

func readDump(t testing.TB, text string) (d dump, ok bool) {
	t.Helper()
	trace := sinkTrace.FindStringIndex(text)
	if trace == nil {
		return d, false
	}
	for line := range strings.Lines(text[:trace[0]]) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "X-Client-Proto":
			d.proto = value
		case "X-Mail-Args":
			d.from = value
		case "X-Rcpt-Args":
			d.to = append(d.to, value)
		}
	}
	d.message = strings.TrimSuffix(text[trace[1]:], "\n")
	if d.message == "" {
		return d, false
	}
	m, err := mail.ReadMessage(strings.NewReader(d.message))
	if err != nil {
		t.Fatalf("what smtp-sink took is no message: %v\n%s", err, d.message)
	}
	d.header = m.Header
	_, d.body, _ = strings.Cut(d.message, "\n\n")
	return d, true
}

// source has smtp-source submit count messages, each to a recipient of its own:
// 1user@DOMAIN and so on. It gives the body that they all have.
func source(t testing.TB, to, domain string, count, sessions int) string {
	t.Helper()
	body := ".\n..dots\nText with .\n" + strings.Repeat(strings.Repeat("0123456789", 7)+"\n", 50) + "end\n"
	file := filepath.Join(t.TempDir(), "message")
	message := "From: news@example.org\nSubject: News\nPrecedence: bulk\n\n" + body
	if err := os.WriteFile(file, []byte(message), 0o644); err != nil {
		t.Fatal(err)
	}
	got := call(t, nil, "smtp-source", "-d", "-N", "-s", fmt.Sprint(sessions), "-m", fmt.Sprint(count), "-M", "crm.example.org",
		"-f", "news@example.org", "-t", "user@"+domain, "-F", file, to)
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("smtp-source: %v", got)
	}
	return body + "\n" // smtp-source adds an empty line
}

// awaitDelivered waits until the application was told that so many recipients
// of a domain have their mail.
func awaitDelivered(t testing.TB, st *harness.Stage, domain string, count int) {
	t.Helper()
	delivered := func(calls []toynet.Call) int {
		ids := make(map[string]bool)
		for _, c := range calls {
			if c.Taken() && c.Event.Type == "delivered" && strings.HasSuffix(c.Event.Recipient, "@"+domain) {
				ids[c.Event.ID] = true
			}
		}
		return len(ids)
	}
	err := st.Net.Hook.Calls.Wait(harness.Within(t, peerWithin), func(calls []toynet.Call) bool { return delivered(calls) >= count })
	if err != nil {
		t.Fatalf("%s: %d of %d were delivered: %v", domain, delivered(st.Net.Hook.Calls.All()), count, err)
	}
}

// complete fails the test unless a sink took every message exactly once and
// whole.
func complete(t testing.TB, all []dump, domain, body string, count int) {
	t.Helper()
	seen := make(map[string]int)
	for _, d := range all {
		if len(d.to) != 1 {
			t.Fatalf("a transaction for %q, want one recipient in each, who has a return address of its own", d.to)
		}
		to, _, _ := strings.Cut(strings.TrimPrefix(d.to[0], "<"), ">")
		seen[to]++
		if diff := cmp.Diff(body, d.body); diff != "" {
			t.Fatalf("the body for %s is not the one that was sent (-want +got):\n%s", to, diff)
		}
	}
	lost, twice := 0, 0
	for i := range count {
		switch seen[fmt.Sprintf("%duser@%s", i+1, domain)] {
		case 0:
			lost++
		case 1:
		default:
			twice++
		}
	}
	if lost > 0 || twice > 0 || len(all) != count {
		t.Errorf("%d dumps; %d of %d messages are lost, %d came more than once", len(all), lost, count, twice)
	}
}

func TestWhatSMTPSourceSubmitsReachesSMTPSink(t *testing.T) {
	begin(t)
	tests := []struct {
		name     string
		args     []string
		count    int
		sessions int
		proto    string
	}{
		{"everything offered", nil, 500, 10, "ESMTP"},
		{"no PIPELINING", []string{"-p"}, 100, 5, "ESMTP"},
		{"no ESMTP", []string{"-e"}, 100, 5, "SMTP"},
		{"the greeting of a PIX firewall", []string{"-P"}, 100, 5, "SMTP"},
		{"no 8BITMIME, DSN or enhanced status codes", []string{"-8", "-N", "-E"}, 100, 5, "ESMTP"},
	}
	domain := func(i int) string { return fmt.Sprintf("sink%d.test", i) }
	world := toynet.World{Domains: map[string]toynet.Domain{}}
	for i := range tests {
		world.Domains[domain(i)] = elsewhere
	}
	st := harness.NewStage(t, harness.Settings{World: world})
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := sink(t, mx(st, domain(i)), tt.args...)
			body := source(t, st.Submission, domain(i), tt.count, tt.sessions)
			awaitDelivered(t, st, domain(i), tt.count)
			all := dumps(t, dir)
			complete(t, all, domain(i), body, tt.count)
			for _, d := range all {
				if d.proto != tt.proto || !strings.HasPrefix(d.from, "<return+") {
					t.Fatalf("%s, MAIL %s, want %s and a return address of ours", d.proto, d.from, tt.proto)
				}
			}
		})
	}
}

func TestTheSmarthostIsSMTPSink(t *testing.T) {
	begin(t)
	b := newBlock()
	at := b.at(200, 2525)
	st := harness.NewStage(t, harness.Settings{World: toynet.World{Block: b.Prefix}, Tables: fmt.Sprintf(`
[delivery.smarthost]
address = %q
username = "association"
password_file = "smarthost-password"
tls = "none"
`, at), Files: map[string]string{"smarthost-password": "secret of the provider"}})
	dir := sink(t, at)
	body := source(t, st.Submission, "anywhere.test", 500, 10)
	awaitDelivered(t, st, "anywhere.test", 500)
	complete(t, dumps(t, dir), "anywhere.test", body, 500)
}

func TestSMTPSinkRefusesDefersAndDisconnects(t *testing.T) {
	begin(t)
	const unknown = "550 5.1.1 Recipient address rejected: User unknown in local recipient table"
	tests := []struct {
		args []string
		want string // the outcome, and the class of what was said
		hold string
	}{
		{[]string{"-f", "CONNECT"}, "bounced soft", "free"},
		{[]string{"-f", "EHLO"}, "delivered ", ""}, // HELO is tried
		{[]string{"-f", "EHLO,HELO"}, "bounced soft", "free"},
		{[]string{"-f", "MAIL", "-B", unknown}, "bounced sender", "free"},
		{[]string{"-f", "RCPT"}, "bounced soft", "counting"},
		{[]string{"-f", "RCPT", "-B", unknown}, "bounced hard", "held"},
		{[]string{"-f", "DATA"}, "bounced soft", "counting"},
		{[]string{"-f", "."}, "bounced soft", "counting"},
		{[]string{"-A", "0"}, "bounced soft", "counting"}, // 550 and the end, right behind 354
		{[]string{"-r", "CONNECT"}, "expired soft", "free"},
		{[]string{"-r", "EHLO,HELO"}, "expired soft", "free"},
		{[]string{"-r", "MAIL"}, "expired soft", "free"},
		{[]string{"-r", "RCPT"}, "expired soft", "counting"},
		{[]string{"-r", "RCPT", "-b", "450 4.2.2 mailbox full"}, "expired soft", "counting"},
		{[]string{"-r", "DATA"}, "expired soft", "counting"},
		{[]string{"-r", "."}, "expired soft", "counting"},
		{[]string{"-Q", "EHLO"}, "expired soft", "free"},
		{[]string{"-Q", "MAIL"}, "expired soft", "free"},
		{[]string{"-Q", "RCPT"}, "expired soft", "counting"},
		{[]string{"-Q", "."}, "expired soft", "counting"},
		{[]string{"-q", "CONNECT"}, "expired soft", "counting"}, // nobody is there
		{[]string{"-q", "EHLO"}, "expired soft", "counting"},
		{[]string{"-q", "MAIL"}, "expired soft", "counting"},
		{[]string{"-q", "RCPT"}, "expired soft", "counting"},
		{[]string{"-q", "DATA"}, "expired soft", "counting"},
		{[]string{"-q", "."}, "expired soft", "counting"},
		{[]string{"-q", "QUIT"}, "delivered ", ""},
	}
	domain := func(i int) string { return fmt.Sprintf("bad%d.test", i) }
	world := toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {}}}
	var to []string
	for i := range tests {
		world.Domains[domain(i)] = elsewhere
		to = append(to, "ann@"+domain(i))
	}
	st := harness.NewStage(t, harness.Settings{World: world, Delivery: "retry = [\"300ms\"]\nlifetime = \"3s\""})
	for i, tt := range tests {
		sink(t, mx(st, domain(i)), tt.args...)
	}
	// First somebody answers: while nobody does, it may be our own network that
	// is down, and then nothing counts against anybody.
	for job, to := range [][]string{{"ann@accepts.test"}, to} {
		m := toynet.Mailing{Job: job + 1, FirstQueue: 1, Subject: "News", Text: "Hello\n", To: to}
		if _, err := st.Client.Send(harness.Within(t, time.Minute), m); err != nil {
			t.Fatal(err)
		}
		heard(t, st, "ann@accepts.test", "delivered")
	}
	for i, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			kind, class, _ := strings.Cut(tt.want, " ")
			e := heard(t, st, to[i], kind)
			hold := ""
			if e.Hold != nil {
				hold = e.Hold.State
			}
			if e.Class != class || hold != tt.hold {
				t.Errorf("%s %s, hold %q, want %s, hold %q; told: %s", e.Type, e.Class, hold, tt.want, tt.hold, told(st, to[i]))
			}
		})
	}
	if got := bytes.Count([]byte(st.Run("hold", "list")), []byte("@bad")); got != 1 {
		t.Errorf("%d addresses are on hold, want only the one that nobody has:\n%s", got, st.Run("hold", "list"))
	}
}
