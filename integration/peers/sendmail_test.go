package peers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homing/integration/harness"
	"homing/internal/toynet"
)

// A mailJob is one call of testdata/sendmail.php.
type mailJob struct {
	By      string            `json:"by"` // "mail()", or a driver of PEAR's Mail: "mail", "sendmail"
	To      string            `json:"to"`
	Subject string            `json:"subject"`
	Text    string            `json:"text"`
	Headers map[string]string `json:"headers,omitempty"`
	Params  string            `json:"params,omitempty"` // of mail()
	Path    string            `json:"path"`             // of sendmail
}

// A gate is what local users have of a server: a program called sendmail, a
// socket and a spool.
type gate struct{ dir, path string }

// newGate makes them where www-data can reach them.
func newGate(t *testing.T) gate {
	t.Helper()
	g := gate{dir: publicDir(t)}
	binary, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(g.dir, name) }
	err = errors.Join(os.Chmod(g.dir, 0o755), os.WriteFile(at("homing"), text, 0o755), os.Symlink("homing", at("sendmail")),
		os.Mkdir(at("spool"), 0o700), os.Chmod(at("spool"), 0o733|fs.ModeSticky|fs.ModeSetgid),
		os.WriteFile(at("homing.toml"), fmt.Appendf(nil, "spool_dir = \"spool\"\n[listen]\nlocal = \"unix:%s\"\n", at("s")), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	g.path = "env HOMING_CONFIG=" + at("homing.toml") + " " + at("sendmail")
	return g
}

// php runs jobs as a user and says in words what each learns.
func (g gate) php(t *testing.T, user string, jobs ...mailJob) (words []string) {
	t.Helper()
	for i := range jobs {
		jobs[i].Path = g.path
	}
	in, err := json.Marshal(jobs)
	if err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs(filepath.Join("testdata", "sendmail.php"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	script = filepath.Join(g.dir, "sendmail.php")
	if err := os.WriteFile(script, text, 0o644); err != nil {
		t.Fatal(err)
	}
	group := user
	if user == "nobody" {
		group = "nogroup"
	}
	got := call(t, strings.NewReader(string(in)), "setpriv", "--reuid", user, "--regid", group, "--clear-groups",
		"php", "-d", "error_reporting=24575", "-d", `sendmail_path="`+g.path+` -t -i"`, script)
	if got.code != 0 {
		t.Fatalf("php: %v", got)
	}
	for line := range strings.Lines(got.stdout) {
		var one struct {
			OK    bool   `json:"ok"`
			Error string `json:"error"`
		}
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		words = append(words, strings.TrimSpace(fmt.Sprintf("%v %s", one.OK, one.Error)))
	}
	return words
}

func TestPHPSendsThroughSendmail(t *testing.T) {
	begin(t)
	g := newGate(t)
	st := harness.NewStage(t, harness.Settings{
		World: toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {}}},
		Top:   fmt.Sprintf("spool_dir = %q", filepath.Join(g.dir, "spool")), Listen: fmt.Sprintf("local = \"unix:%s\"", filepath.Join(g.dir, "s")),
		App: `users = ["www-data"]`,
	})
	from := map[string]string{"From": `"Example News" <news@example.org>`, "Reply-To": "office@example.org"}
	const text = "Grüße\n.\nEnde\n"
	bounce := "civi+b.7.1.0123456789abcdef@bounce.example.org"
	jobs := []mailJob{
		{By: "mail()", To: "plain@accepts.test", Subject: "Hello", Text: text},
		{By: "mail()", To: "Ann <ann@accepts.test>, bob@accepts.test", Subject: "=?UTF-8?B?R3LDvMOfZQ==?=", Text: text, Headers: from},
		{By: "mail()", To: "verp@accepts.test", Subject: "Hello", Text: text, Headers: from, Params: "-f" + bounce},
		{By: "mail()", To: "crlf@accepts.test", Subject: "Hello", Text: "one\r\ntwo\r\n", Headers: from},
		{By: "mail", To: "pear-mail@accepts.test", Subject: "Hello", Text: text, Headers: from, Params: "-f" + bounce},
		{By: "sendmail", To: "pear-sendmail@accepts.test", Subject: "Hello", Text: text, Headers: map[string]string{"From": "news@example.org", "Return-Path": bounce}},
	}
	want := []string{"true", "true", "true", "true", "true", "true"}
	if diff := cmp.Diff(want, g.php(t, "www-data", jobs...)); diff != "" {
		t.Fatalf("what PHP learns (-want +got):\n%s", diff)
	}
	for _, to := range []string{"plain", "ann", "bob", "verp", "pear-mail", "pear-sendmail"} {
		r := arrived(t, st, to+"@accepts.test")
		head, body, _ := strings.Cut(string(r.Message), "\r\n\r\n")
		if !strings.Contains(body, "\r\n.\r\nEnde\r\n") || !strings.Contains(head, "\r\nDate: ") || !strings.Contains(head, "\r\nMessage-ID: <") ||
			strings.Contains(head, "X-Homing") || strings.Contains(head, "Return-Path") || !strings.HasPrefix(r.From, "return+") {
			t.Errorf("%s got, from <%s>,\n%s", to, r.From, r.Message)
		}
	}
	if r := arrived(t, st, "crlf@accepts.test"); !strings.HasSuffix(string(r.Message), "\r\n\r\none\r\ntwo\r\n\r\n") { // PHP adds a line
		t.Errorf("lines that end with CR LF arrive as\n%q", r.Message)
	}
	for to, sender := range map[string]string{"plain": "www-data@example.org", "ann": "news@example.org", "verp": bounce, "pear-mail": bounce, "pear-sendmail": bounce} {
		if e := heard(t, st, to+"@accepts.test", "delivered"); e.Sender != sender || e.Application != "civicrm" {
			t.Errorf("the event of %s has the sender %s of %s, want %s", to, e.Sender, e.Application, sender)
		}
	}
}

func TestPHPIsToldWhenSendmailRefusesAndNotWhenTheServerIsDown(t *testing.T) {
	begin(t)
	g := newGate(t)
	st := harness.NewStage(t, harness.Settings{
		World: toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {}}},
		Top:   fmt.Sprintf("spool_dir = %q", filepath.Join(g.dir, "spool")), Listen: fmt.Sprintf("local = \"unix:%s\"", filepath.Join(g.dir, "s")),
		App: `users = ["www-data"]`,
	})
	job := func(by, to, from string) mailJob {
		return mailJob{By: by, To: to, Subject: "Hello", Text: "Hello\n", Headers: map[string]string{"From": from}}
	}
	refused := []string{"false", "false sendmail returned error code 77"}
	if diff := cmp.Diff(refused, g.php(t, "nobody", job("mail()", "a@accepts.test", "news@example.org"), job("sendmail", "a@accepts.test", "news@example.org"))); diff != "" {
		t.Errorf("of a user who is no application PHP learns (-want +got):\n%s", diff)
	}
	// A mistake of the operator must not look like a dead address: CiviCRM
	// takes every failure of mail() for a bounce.
	if diff := cmp.Diff([]string{"true", "true"}, g.php(t, "www-data", job("mail()", "b@accepts.test", "boss@example.com"), job("sendmail", "b@accepts.test", "boss@example.com"))); diff != "" {
		t.Errorf("of a wrong domain PHP learns (-want +got):\n%s", diff)
	}
	st.Stop()
	if diff := cmp.Diff([]string{"true", "true"}, g.php(t, "www-data", job("mail()", "c@accepts.test", "news@example.org"), job("sendmail", "d@accepts.test", "news@example.org"))); diff != "" {
		t.Errorf("while the server is down PHP learns (-want +got):\n%s", diff)
	}
	st.Restart()
	for _, to := range []string{"c@accepts.test", "d@accepts.test"} {
		arrived(t, st, to)
		if e := heard(t, st, to, "delivered"); e.Application != "civicrm" {
			t.Errorf("the event of %s is of %s", to, e.Application)
		}
	}
}
