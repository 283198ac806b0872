package peers

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/integration/harness"
	"homing/internal/toynet"
)

// A phpResult is what became of one recipient in testdata/mailing.php: what
// CiviCRM goes by.
type phpResult struct {
	To    string `json:"to"`
	Error string `json:"error"` // "" when it was accepted
	Code  int    `json:"code"`  // of the last reply
	Queue string `json:"queue"` // what the server said it is queued as
}

// mailing has PEAR's Mail send to each address as CiviCRM does.
func mailing(t *testing.T, st *harness.Stage, job map[string]any) []phpResult {
	t.Helper()
	job["prefix"], job["domain"] = "civi+", "bounce.example.org"
	in, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	got := call(t, strings.NewReader(string(in)), "php", "-d", "error_reporting=24575", "-d", "openssl.cafile="+filepath.Join(st.Dir, "ca.pem"),
		filepath.Join("testdata", "mailing.php"))
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("php: %v", got)
	}
	var all []phpResult
	for line := range strings.Lines(got.stdout) {
		var one phpResult
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		all = append(all, one)
	}
	return all
}

func people(count int) (to []string) {
	for i := range count {
		to = append(to, fmt.Sprintf("u%d@accepts.test", i))
	}
	return to
}

// peer finds from where a message was handed in, in the log.
var peer = regexp.MustCompile(`"msg":"message accepted".*"peer":"([^"]+)"`)

// connections counts those over which messages came.
func connections(st *harness.Stage) int {
	from := make(map[string]bool)
	for _, m := range peer.FindAllStringSubmatch(st.Log(), -1) {
		from[m[1]] = true
	}
	return len(from)
}

func TestPEARMailSendsAMailingAsCiviCRMDoes(t *testing.T) {
	begin(t)
	tests := []struct {
		name string
		job  map[string]any
		with string // in the Received field
	}{
		{"on loopback, known by its network", map[string]any{"from": "news@example.org"}, "with ESMTP;"},
		{"with AUTH and STARTTLS, whose certificate PHP trusts",
			map[string]any{"from": "news@example.org", "username": "newsletter", "password": shopPassword}, "with ESMTPSA;"},
		{"with AUTH and implicit TLS",
			map[string]any{"from": "news@example.org", "username": "newsletter", "password": shopPassword, "implicit": true}, "with ESMTPSA;"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBlock()
			files := certificates(t, b.at(server, 0))
			files["password"] = shopPassword
			st := harness.NewStage(t, harness.Settings{
				World:  toynet.World{Block: b.Prefix, Domains: map[string]toynet.Domain{"accepts.test": {}}},
				Listen: `submissions = ["{{.At 2465}}"]`,
				Tables: `
[[application]]
name = "newsletter"
kind = "civicrm"
domains = ["example.org"]
password_file = "password"
verp_prefix = "news+"

[tls]
cert_file = "cert.pem"
key_file = "key.pem"
`, Files: files})
			host, port, _ := strings.Cut(st.Submission, ":")
			if tt.job["implicit"] != nil {
				host, port = "ssl://"+host, "2465"
			}
			to := people(200)
			tt.job["host"], tt.job["port"], tt.job["to"] = host, port, to
			results := mailing(t, st, tt.job)
			if len(results) != len(to) {
				t.Fatalf("%d results, want %d", len(results), len(to))
			}
			for _, r := range results {
				if r.Error != "" || r.Queue == "" {
					t.Fatalf("%s: %s %d %q, want 250 and a number", r.To, r.Error, r.Code, r.Queue)
				}
			}
			awaitDelivered(t, st, "accepts.test", len(to))
			for i, a := range to {
				r := arrived(t, st, a)
				head, _, _ := strings.Cut(string(r.Message), "\r\n\r\n")
				verp := fmt.Sprintf("civi+b.7.%d.", i+1)
				if !strings.Contains(head, tt.with) || strings.Contains(head, "Return-Path:") || !strings.Contains(head, "X-CiviMail-Bounce: "+verp) ||
					!strings.Contains(head, "\r\nMessage-ID: <") || !strings.HasPrefix(r.From, "return+") {
					t.Fatalf("from <%s>\n%s\nwant %q, our return address, CiviCRM's own in X-CiviMail-Bounce only, and a Message-ID", r.From, head, tt.with)
				}
				if e := heard(t, st, a, "delivered"); !strings.HasPrefix(e.Sender, verp) || e.Campaign != "civicrm:job:7" {
					t.Fatalf("event %+v, want the sender %s… and the campaign civicrm:job:7", e, verp)
				}
			}
			if got := connections(st); got != 1 {
				t.Errorf("%d connections, want one for the whole mailing", got)
			}
		})
	}
}

func TestPEARMailTakesOurMistakesForTemporary(t *testing.T) {
	begin(t)
	st := harness.NewStage(t, harness.Settings{
		World: toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {}}},
		App:   "daily_limit = 8",
	})
	host, port, _ := strings.Cut(st.Submission, ":")
	to := people(10)
	results := mailing(t, st, map[string]any{"host": host, "port": port, "from": "news@example.org", "to": to,
		"senders": map[string]string{"3": "boss@example.com"}, "froms": map[string]string{"5": "boss@example.com"}})
	var got []string
	for i, r := range results {
		got = append(got, fmt.Sprintf("%d: %d %s", i, r.Code, r.Error))
	}
	want := []string{"0: 250 ", "1: 250 ", "2: 250 ", "3: 451 Failed to set sender", "4: 250 ", "5: 451 Failed to send data",
		"6: 250 ", "7: 250 ", "8: 250 ", "9: 250 "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what CiviCRM learns (-want +got):\n%s", diff)
	}
	for _, r := range mailing(t, st, map[string]any{"host": host, "port": port, "from": "news@example.org", "to": to[:2]}) {
		if r.Code != 451 {
			t.Errorf("%s over the daily limit: %d %s, want 451", r.To, r.Code, r.Error)
		}
	}
	var incidents []string
	err := st.Net.Hook.Calls.Wait(harness.Within(t, 10*time.Second), func(calls []toynet.Call) bool {
		incidents = nil
		for _, c := range calls {
			if c.Event.Type == "incident_opened" {
				incidents = append(incidents, c.Event.Type)
			}
		}
		return len(incidents) == 2
	})
	if err != nil {
		t.Errorf("incidents: %q, want two, for the sender and for the limit: %v", incidents, err)
	}
}
