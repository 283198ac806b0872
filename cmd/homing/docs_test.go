package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"homing/config"
	"homing/event"
	"homing/event/webhook"
)

// documents are those that tell an operator what to do.
var documents = []string{"README.md", "docs/OPERATING.md", "docs/CIVICRM.md", "docs/API.md", "docs/DNS.md", "docs/CHECKS.md", "docs/BLOCKLISTS.md", "docs/APPLICATIONS.md"}

func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks gives the blocks of a document in a language; with a mark only those
// that a comment in front marks so.
func blocks(text, language, mark string) (all []string) {
	if mark != "" {
		mark = "<!-- test: " + mark + " -->\n"
	}
	for _, m := range regexp.MustCompile("(?ms)^ *"+regexp.QuoteMeta(mark)+" *```"+language+"\n(.*?)^ *```").FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// TestWhatTheDocumentsSayToTypeWorks runs the blocks that are marked, with
// /etc/homing in a directory of its own, beside a running server.
func TestWhatTheDocumentsSayToTypeWorks(t *testing.T) {
	for _, tool := range []string{"openssl", "curl", "base64"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("there is no %s here", tool)
		}
	}
	s := newStand(t, "")
	dir, bin := filepath.Dir(s.config), t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "homing")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"sudo": "exec \"$@\"", "chown": "exit 0",
		"systemctl": "[ \"$1\" != reload ] || curl --silent --fail --unix-socket \"$DATA_DIR/control.sock\" --request POST http://homing/api/v1/reload",
		"install":   "for last; do :; done; cat >\"$last\" && chmod 640 \"$last\"", // "install … /dev/stdin FILE"
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	out := map[string]string{}
	for _, name := range documents {
		for i, block := range blocks(document(t, name), "sh", "runs") {
			c := exec.Command("sh", "-eu", "-c", strings.ReplaceAll(block, "/etc/homing", dir))
			c.Dir = dir
			c.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HOMING_CONFIG="+s.config, "DATA_DIR="+filepath.Join(dir, "data"), "HTTP=http://"+s.house.at("http"))
			text, err := c.CombinedOutput()
			if err != nil || strings.Contains(string(text), `"status":4`) {
				t.Errorf("%s, block %d: %v\n%s%s", name, i+1, err, block, text)
			}
			out[name] += string(text)
		}
	}
	if len(out) < 2 {
		t.Fatalf("only %d documents have something to run", len(out))
	}
	wantKeys(t, dir, out["docs/OPERATING.md"])
	if cfg, err := config.Load(s.config); err != nil || len(cfg.Applications) != 2 || cfg.Applications[1].Password.IsZero() {
		t.Errorf("the application was not added with a password: %v", err)
	}
}

// wantKeys checks what the commands for keys and secrets have made.
func wantKeys(t *testing.T, dir, printed string) {
	t.Helper()
	public := regexp.MustCompile(`MII[A-Za-z0-9+/=]+`).FindString(printed)
	der, err := base64.StdEncoding.DecodeString(public)
	if err == nil {
		_, err = x509.ParsePKIXPublicKey(der)
	}
	if err != nil {
		t.Errorf("what is to be published is no key: %v in %q", err, printed)
	}
	text := "hostname = \"mail.example.org\"\n[[domain]]\nname = \"example.org\"\nreturn_path = \"return@bounce.example.org\"\n" +
		"dkim = [ { selector = \"homing1\", key_file = \"dkim-rsa.pem\" } ]\nsinks = [\"hooks\"]\n[[sink]]\nname = \"hooks\"\ntype = \"webhook\"\n" +
		"url = \"https://crm.example.org/hook\"\nsecret_file = \"hook-secret\"\n[[application]]\nname = \"crm\"\ndomains = [\"example.org\"]\nnetworks = [\"127.0.0.1\"]\n"
	cfg, problems := config.Parse([]byte(text), dir)
	if len(problems) > 0 {
		t.Fatalf("the keys cannot be used: %v", problems)
	}
	if _, err := webhook.ParseSecrets(cfg.Sinks[0].Secret.Reveal()); err != nil {
		t.Errorf("the secret cannot be used: %v", err)
	}
}

// TestTheSnippetForReceiversVerifies lets the receiver's code of the document
// judge a request that the sink has sent.
func TestTheSnippetForReceiversVerifies(t *testing.T) {
	php, err := exec.LookPath("php")
	if err != nil {
		t.Skip("there is no php here")
	}
	code := blocks(document(t, "docs/OPERATING.md"), "php", "verifies")
	if len(code) != 1 {
		t.Fatalf("there are %d snippets, want one", len(code))
	}
	body, head := told(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(demoSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	id, stamp, signature := head.Get("webhook-id"), head.Get("webhook-timestamp"), head.Get("webhook-signature")
	long := fmt.Sprint(time.Now().Add(-time.Hour).Unix())
	tests := []struct {
		name, stamp, signature, body string
		want                         string
	}{
		{"as it was sent", stamp, signature, body, "yes"},
		{"with another secret's signature in front", stamp, "v1,AAAA " + signature, body, "yes"},
		{"with a forged signature", stamp, "v1,AAAA", body, "no"},
		{"at another time", stamp + "0", signature, body, "no"},
		{"long ago", long, "v1," + hmacOf(t, id+"."+long+"."+body), body, "no"},
		{"just now by the same means", stamp, "v1," + hmacOf(t, id+"."+stamp+"."+body), body, "yes"},
		{"changed on the way", stamp, signature, strings.Replace(body, "ann", "eve", 1), "no"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.NewReplacer("file_get_contents('php://input')", "stream_get_contents(STDIN)", "/etc/crm/hook-secret", secret).Replace(code[0])
			c := exec.Command(php, "-r", fmt.Sprintf("$_SERVER['HTTP_WEBHOOK_ID'] = '%s'; $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] = '%s'; "+
				"$_SERVER['HTTP_WEBHOOK_SIGNATURE'] = '%s';\n%s\nprint($ok ? 'yes' : 'no');", id, tt.stamp, tt.signature, text))
			c.Stdin = strings.NewReader(tt.body)
			if got, err := c.CombinedOutput(); err != nil || string(got) != tt.want {
				t.Errorf("the snippet says %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

// told lets the webhook sink tell a fact, and gives what it sent.
func told(t *testing.T) (body string, head http.Header) {
	t.Helper()
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		body, head = string(text), r.Header
	}))
	defer receiver.Close()
	secrets, err := webhook.ParseSecrets(demoSecret)
	if err != nil {
		t.Fatal(err)
	}
	sink, err := webhook.New(webhook.Config{Name: "hooks", URL: receiver.URL, Secrets: secrets, AllowPrivate: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Tell(t.Context(), event.Event{ID: event.FirstID(time.Now()), Type: event.Bounced, Time: time.Now().UTC(), Recipient: "ann@example.net"}); err != nil {
		t.Fatal(err)
	}
	return body, head
}

// hmacOf signs as the specification says.
func hmacOf(t *testing.T, text string) string {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(demoSecret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// TestEveryConfigurationInTheDocumentsIsRight reads each block of TOML, alone
// or at the end of a small file, with the files that it names.
func TestEveryConfigurationInTheDocumentsIsRight(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	const small = "hostname = \"mail.example.org\"\n[[domain]]\nname = \"example.org\"\nreturn_path = \"return@bounce.example.org\"\n" +
		"[[application]]\nname = \"crm\"\ndomains = [\"example.org\"]\nnetworks = [\"127.0.0.1\"]\n%s\n"
	count := 0
	for _, name := range documents {
		for i, block := range blocks(document(t, name), "toml", "") {
			count++
			block = strings.ReplaceAll(block, "# … as before, and:", "domains = [\"example.org\"]\nnetworks = [\"127.0.0.9\"]")
			var text string
			switch {
			case strings.Contains(block, "hostname ="):
				text = block
			case strings.Contains(block, "[[domain]]"):
				text = "hostname = \"mail.example.org\"\n" + block
			default:
				text = fmt.Sprintf(small, block)
			}
			for _, p := range wrong(t, text) {
				t.Errorf("%s, block %d of TOML: %v\n%s", name, i+1, p, block)
			}
		}
	}
	if count < 4 {
		t.Errorf("only %d blocks were found", count)
	}
}

// wrong gives what is wrong with a configuration but for files that are not
// there.
func wrong(t *testing.T, text string) (all []string) {
	t.Helper()
	_, problems := config.Parse([]byte(text), t.TempDir())
	for _, p := range problems {
		if !strings.Contains(p.Message, "there is no file") {
			all = append(all, p.String())
		}
	}
	return all
}

// TestTheDocumentsNameCommandsThatExist finds every `homing …` in them.
func TestTheDocumentsNameCommandsThatExist(t *testing.T) {
	root := newRoot()
	found := map[string]bool{}
	for _, name := range append([]string{"CHANGES.md", "docs/CONFIGURATION.md", "docs/EVENTS.md", "docs/BOUNCES.md"}, documents...) {
		for _, m := range regexp.MustCompile("(?m)(?:`|^|sudo )homing ((?:[a-z]+ ?)+)").FindAllStringSubmatch(document(t, name), -1) {
			words := strings.Fields(m[1])
			c, rest, err := root.Find(words)
			if err != nil || c == root || c.HasSubCommands() && len(rest) > 0 {
				t.Errorf("%s: there is no command %q", name, "homing "+m[1])
			}
			found[words[0]] = true
		}
	}
	for _, c := range root.Commands() {
		if name := c.Name(); !found[name] && !slices.Contains([]string{"help", "completion", "version"}, name) {
			t.Errorf("no document speaks of `homing %s`", name)
		}
	}
}

// TestTheDocumentHasEveryMetric compares OPERATING.md with the registry of a
// running server, in which also those are that have counted nothing yet, and
// scrapes it.
func TestTheDocumentHasEveryMetric(t *testing.T) {
	s := newStand(t, "")
	if err := s.mail(1, "ann@accepts.test", "bob@unknown.test"); err != nil {
		t.Fatal(err)
	}
	if err := s.told("bounced", "bob@unknown.test"); err != nil {
		t.Fatal(err)
	}
	descriptions := make(chan *prometheus.Desc)
	go func() {
		defer close(descriptions)
		s.house.metrics.Describe(descriptions)
	}()
	var want []string
	for d := range descriptions {
		m := regexp.MustCompile(`fqName: "(homing_[a-z_]+)".*variableLabels: \{([^}]*)\}`).FindStringSubmatch(d.String())
		if m == nil {
			continue
		}
		if m[2] != "" {
			m[1] += "{" + m[2] + "}"
		}
		want = append(want, m[1])
	}
	var got []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(homing_[a-z_]+(?:\\{[a-z_,]+\\})?)` \\|").FindAllStringSubmatch(document(t, "docs/OPERATING.md"), -1) {
		got = append(got, m[1])
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/OPERATING.md (-registry +rows):\n%s", diff)
	}
	scraped := scrape(t, "http://"+s.house.at("http")+"/metrics")
	for _, name := range []string{`homing_queue_outcomes_total{outcome="bounced"} 1`, `homing_event_told_total{sink="hooks",type="webhook"}`, `homing_smtpd_open_connections{listener="submission"} `} {
		if !strings.Contains(scraped, "\n"+name) {
			t.Errorf("a scrape has no %s", name)
		}
	}
	if strings.Contains(scraped, ".test") || strings.Contains(scraped, "@") {
		t.Error("a scrape names domains or addresses")
	}
}

func scrape(t *testing.T, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s, %v", resp.Status, err)
	}
	return string(text)
}
