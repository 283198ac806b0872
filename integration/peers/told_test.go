package peers

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/integration/harness"
	"homing/internal/reply"
	"homing/internal/toynet"
)

// python is Debian's own, which has Debian's modules.
const python = "/usr/bin/python3"

// script runs a script of testdata and gives what it printed.
func script(t testing.TB, stdin, name string, args ...string) string {
	t.Helper()
	got := call(t, strings.NewReader(stdin), python, append([]string{filepath.Join("testdata", name)}, args...)...)
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("%s: %v\nfor this it needs: %s", name, got, install)
	}
	return got.stdout
}

// dkimKeys makes a key of each kind: files for the server and DNS records.
func dkimKeys(t *testing.T) (files, records map[string]string) {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	edPublic, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaPublic, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	files = make(map[string]string)
	for name, key := range map[string]crypto.PrivateKey{"dkim-rsa.pem": rsaKey, "dkim-ed25519.pem": edKey} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = armour("PRIVATE KEY", der)
	}
	text := base64.StdEncoding.EncodeToString
	return files, map[string]string{
		"homing1._domainkey.example.org": "v=DKIM1; k=rsa; p=" + text(rsaPublic),
		"homing2._domainkey.example.org": "v=DKIM1; k=ed25519; p=" + text(edPublic),
	}
}

func TestDKIMSignaturesAreGoodToOthers(t *testing.T) {
	begin(t)
	files, records := dkimKeys(t)
	st := harness.NewStage(t, harness.Settings{
		World:  toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {}}},
		Domain: `dkim = [ { selector = "homing1", key_file = "dkim-rsa.pem" }, { selector = "homing2", key_file = "dkim-ed25519.pem" } ]`,
		Files:  files,
	})
	dir := publicDir(t)
	asJSON, err := json.Marshal(records)
	if err != nil {
		t.Fatal(err)
	}
	var asLines strings.Builder
	for name, record := range records {
		fmt.Fprintf(&asLines, "%s %s\n", name, record)
	}
	jsonFile, lineFile := filepath.Join(dir, "records.json"), filepath.Join(dir, "records")
	for name, text := range map[string]string{jsonFile: string(asJSON), lineFile: asLines.String()} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct{ name, message string }{
		{"plain", "From: news@example.org\nTo: ann@example.net\nSubject: News\n\nHello\n"},
		{"folded, odd spaces, 8-bit, empty lines at the end", "From: \"News\"\n  <news@example.org>\nSubject:   Grüße \t an  alle\n \nX-Odd:\n\nText  with \t spaces   \nÄ\n\n\n"},
		{"an empty body", "From: news@example.org\nSubject: nothing\n\n"},
		{"two Subjects", "From: news@example.org\nSubject: one\nSubject: two\n\n.dot\n"},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file, to := filepath.Join(dir, fmt.Sprint(i)), fmt.Sprintf("u%d@accepts.test", i)
			if err := os.WriteFile(file, []byte(tt.message), 0o644); err != nil {
				t.Fatal(err)
			}
			if got := swaks(t, "--server", st.Submission, "--from", "news@example.org", "--to", to, "--data", "@"+file); got.code != 0 {
				t.Fatalf("swaks: %v", got)
			}
			message := string(arrived(t, st, to).Message)
			changed := strings.Replace(message, "news@example.org", "newt@example.org", 1)
			if got, want := script(t, message, "verify_dkim.py", jsonFile), "rsa-sha256 homing1 True\ned25519-sha256 homing2 True\n"; got != want {
				t.Errorf("dkimpy says %q, want %q", got, want)
			}
			if got, want := script(t, message, "verify_opendkim.py", lineFile), "homing1 True\nhoming2 True\n"; got != want {
				t.Errorf("libopendkim says %q, want %q", got, want)
			}
			if got := script(t, changed, "verify_dkim.py", jsonFile); changed != message && strings.Contains(got, "True") {
				t.Errorf("dkimpy says %q of a message that was changed", got)
			}
		})
	}
}

func TestAWebhookIsGenuineToAnIndependentReceiver(t *testing.T) {
	begin(t)
	b := newBlock()
	at := b.at(200, 8080)
	host, port, _ := strings.Cut(at, ":")
	d := serve(t, at, python, filepath.Join("testdata", "hook.py"), host, port, harness.HookSecret)
	st := harness.NewStage(t, harness.Settings{
		World: toynet.World{Block: b.Prefix, Domains: toynet.Everyday(50 * time.Millisecond).Domains},
		App:   `sinks = ["hooks", "python"]`,
		Tables: fmt.Sprintf("[[sink]]\nname = \"python\"\ntype = \"webhook\"\nurl = \"http://%s/hook\"\n"+
			"secret_file = \"hook-secret\"\nallow_private = true\n", at),
	})
	to := []string{"ann@accepts.test", "bob@unknown.test", "cid@later.test"}
	if _, err := st.Client.Send(harness.Within(t, time.Minute), toynet.Mailing{Job: 1, FirstQueue: 1, Subject: "Grüße", Text: "Hello\n", To: to}); err != nil {
		t.Fatal(err)
	}
	heard(t, st, "ann@accepts.test", "delivered")
	heard(t, st, "bob@unknown.test", "held")
	heard(t, st, "cid@later.test", "bounced")
	st.Stop() // which tells the rest, or leaves it for later
	got := d.said()
	if strings.Contains(got, "FORGED") {
		t.Errorf("not genuine: %s", got)
	}
	for _, want := range []string{`"type":"accepted"`, `"type":"delivered"`, `"type":"bounced"`, `"recipient":"bob@unknown.test"`} {
		if !strings.Contains(got, want) {
			t.Errorf("the receiver has no %s in\n%s", want, got)
		}
	}
}

func TestAMailProgramReadsTheMaildir(t *testing.T) {
	begin(t)
	st := harness.NewStage(t, harness.Settings{
		World:  toynet.Everyday(50 * time.Millisecond),
		App:    `sinks = ["drop", "hooks"]`,
		Tables: "[[sink]]\nname = \"drop\"\ntype = \"maildir\"\npath = \"civi\"\n",
	})
	to := []string{"ann@accepts.test", "bob@unknown.test", "cid@later.test", "dan@blocks.test", "eve@delays.test"}
	m := toynet.Mailing{Job: 1, FirstQueue: 1, Subject: "News", Text: "Hello\n", To: to}
	if _, err := st.Client.Send(harness.Within(t, time.Minute), m); err != nil {
		t.Fatal(err)
	}
	heard(t, st, "dan@blocks.test", "bounced")
	heard(t, st, "eve@delays.test", "deferred")
	late, now := heard(t, st, "cid@later.test", "bounced"), heard(t, st, "bob@unknown.test", "bounced")
	box := filepath.Join(st.Dir, "civi")
	awaitFiles(t, filepath.Join(box, "new"), 2)
	got := map[string]string{} // by application's address, what the report says
	for line := range strings.Lines(script(t, "", "maildir.py", box)) {
		var r struct {
			First, Type, Recipient, Action, Status string
			DeliveredTo                            string `json:"delivered_to"`
			Parts, Defects                         []string
			New                                    bool
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		got[r.DeliveredTo] = fmt.Sprintf("%s %s %q %s %s %s %q %v", r.First, r.Type, r.Parts, r.Recipient, r.Action, r.Status, r.Defects, r.New)
	}
	report := func(to, parts string) string {
		return fmt.Sprintf(`Delivered-To multipart/report ["text/plain" "message/delivery-status"%s] rfc822; %s failed 5.1.1 [] true`, parts, to)
	}
	// A message that was delivered is not kept for what may come back.
	want := map[string]string{late.Sender: report("cid@later.test", ""), now.Sender: report("bob@unknown.test", ` "text/rfc822-headers"`)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what a mail program reads (-want +got):\n%s", diff)
	}
	awaitFiles(t, filepath.Join(box, "cur"), 2)
	awaitFiles(t, filepath.Join(box, "new"), 0)
}

// awaitFiles waits until a directory holds so many files.
func awaitFiles(t testing.TB, dir string, want int) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; {
		files, err := os.ReadDir(dir)
		if err == nil && len(files) == want {
			return
		}
		if now := <-tick.C; now.After(deadline) {
			t.Fatalf("%s holds %d files, want %d: %v", dir, len(files), want, err)
		}
	}
}

func TestAReportByMailIsReadByOthers(t *testing.T) {
	begin(t)
	st := harness.NewStage(t, harness.Settings{
		World: toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {}, "office.test": elsewhere,
			"unknown.test": {Behaviour: toynet.Behaviour{RCPT: reply.Reply{Code: 550, Enhanced: reply.Enhanced{5, 1, 1}, Text: "<{rcpt}>: User unknown"}}}}},
		Tables: `
[[domain]]
name = "office.test"
return_path = "return@bounce.office.test"

[[application]]
name = "office"
domains = ["office.test"]
networks = ["{{.Net.ServerAddr.Addr}}/32"]
`})
	dir := sink(t, mx(st, "office.test"))
	host, port, _ := strings.Cut(st.Submission, ":")
	for i, to := range []string{"ann@accepts.test", "bob@unknown.test"} {
		// swaks knows no NOTIFY, Python's smtplib does.
		script(t, "", "submit_dsn.py", host, port, fmt.Sprintf("boss%d@office.test", i), to)
	}
	awaitFiles(t, dir, 2)
	st.Stop() // so that the sink has written what it has
	got := map[string]string{}
	for _, d := range dumps(t, dir) {
		if d.from != "<>" {
			t.Errorf("MAIL FROM %s, want the null reverse-path", d.from)
		}
		var r struct {
			Type, Report, To   string
			Parts, Defects     []string
			Message, Recipient map[string]string
			Recipients         int
			Original           string
		}
		out := script(t, strings.ReplaceAll(d.message, "\n", "\r\n"), "report.py")
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatalf("%v in %q", err, out)
		}
		if r.Message["reporting-mta"] != "dns; mail.example.org" || r.Message["original-envelope-id"] != "env+1" || r.Recipients != 1 || len(r.Defects) > 0 {
			t.Errorf("report %s, want our name, the envelope id, one recipient and no defects", out)
		}
		got[d.to[0]] = fmt.Sprintf("%s %s %q %s %s %s %s", r.Type, r.Report, r.Parts, r.Recipient["original-recipient"], r.Recipient["final-recipient"],
			r.Recipient["action"], r.Recipient["status"])
	}
	parts := `["text/plain" "message/delivery-status" "%s"]`
	want := map[string]string{
		"<boss0@office.test> NOTIFY=NEVER": "multipart/report delivery-status " + fmt.Sprintf(parts, "text/rfc822-headers") + " rfc822; ann@accepts.test rfc822; ann@accepts.test relayed 2.0.0",
		"<boss1@office.test> NOTIFY=NEVER": "multipart/report delivery-status " + fmt.Sprintf(parts, "text/rfc822-headers") + " rfc822; bob@unknown.test rfc822; bob@unknown.test failed 5.1.1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the application's people read (-want +got):\n%s", diff)
	}
}
