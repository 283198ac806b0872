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

// mailingSize is how many recipients a mailing has.
const mailingSize = 1000

func TestPEARMailSendsAMailingAsCiviCRMDoes(t *testing.T) {
	begin(t)
	shop := func(more map[string]any) map[string]any {
		more["username"], more["password"] = "newsletter", shopPassword
		return more
	}
	tests := []struct {
		name        string
		job         map[string]any
		with        string // in the Received field
		connections int
	}{
		{"on loopback, known by its network", map[string]any{}, "with ESMTP;", 1},
		{"on loopback, with RSET after each message", map[string]any{"rset": true}, "with ESMTP;", 1},
		{"on loopback, over a new connection now and then", map[string]any{"reconnect": 300}, "with ESMTP;", 4},
		{"on loopback, with AUTH and without TLS", shop(map[string]any{"bare": true}), "with ESMTPA;", 1},
		{"with AUTH and STARTTLS, whose certificate PHP trusts", shop(map[string]any{"rset": true}), "with ESMTPSA;", 1},
		{"with AUTH and STARTTLS, twice", shop(map[string]any{"reconnect": 500}), "with ESMTPSA;", 2},
		{"with AUTH and implicit TLS", shop(map[string]any{"implicit": true}), "with ESMTPSA;", 1},
		{"with AUTH and implicit TLS, with RSET, twice", shop(map[string]any{"implicit": true, "rset": true, "reconnect": 500}), "with ESMTPSA;", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := newsletters(t, tt.job["bare"] == nil)
			host, port, _ := strings.Cut(st.Submission, ":")
			if tt.job["implicit"] != nil {
				host, port = "ssl://"+host, "2465"
			}
			to := people(mailingSize)
			tt.job["host"], tt.job["port"], tt.job["to"], tt.job["from"] = host, port, to, "news@example.org"
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
			wantMailing(t, st, to, tt.with)
			if got := connections(st); got != tt.connections {
				t.Errorf("%d connections for the whole mailing, want %d", got, tt.connections)
			}
		})
	}
}

// newsletters starts a server that applications reach in every way, or with
// tls false in every way but that.
func newsletters(t *testing.T, tls bool) *harness.Stage {
	t.Helper()
	b := newBlock()
	set := harness.Settings{
		World: toynet.World{Block: b.Prefix, Domains: map[string]toynet.Domain{"accepts.test": {}}},
		Tables: `
[[application]]
name = "newsletter"
kind = "civicrm"
domains = ["example.org"]
password_file = "password"
verp_prefix = "news+"
`, Files: map[string]string{}}
	if tls {
		set.Listen = `submissions = ["{{.At 2465}}"]`
		set.Tables += "[tls]\ncert_file = \"cert.pem\"\nkey_file = \"key.pem\"\n"
		set.Files = certificates(t, b.at(server, 0))
	}
	set.Files["password"] = shopPassword
	return harness.NewStage(t, set)
}

// wantMailing checks that a mailing has arrived once at each of its recipients,
// from a return address of its own that is told with it.
func wantMailing(t *testing.T, st *harness.Stage, to []string, with string) {
	t.Helper()
	receipts, from := map[string][]toynet.Receipt{}, map[string]string{}
	for _, r := range st.Net.Receipts.All() {
		if !r.Accepted() {
			continue
		}
		receipts[r.To] = append(receipts[r.To], r)
		if other := from[r.From]; other != "" && other != r.To || !strings.HasPrefix(r.From, "return+") || !strings.HasSuffix(r.From, "@bounce.example.org") {
			t.Fatalf("from <%s> mail comes to %s and to %q, want a return address of its own", r.From, r.To, other)
		}
		from[r.From] = r.To
	}
	delivered := map[string]map[string]toynet.Event{}
	for _, c := range st.Net.Hook.Calls.All() {
		if e := c.Event; c.Taken() && e.Type == "delivered" {
			if delivered[e.Recipient] == nil {
				delivered[e.Recipient] = map[string]toynet.Event{}
			}
			delivered[e.Recipient][e.ID] = e
		}
	}
	if len(receipts) != len(to) || len(delivered) != len(to) {
		t.Errorf("%d have their mail, %d were told as delivered, want %d", len(receipts), len(delivered), len(to))
	}
	for i, a := range to {
		if len(receipts[a]) != 1 || len(delivered[a]) != 1 {
			t.Fatalf("%s got %d messages and %d facts, want one each", a, len(receipts[a]), len(delivered[a]))
		}
		verp, r := fmt.Sprintf("civi+b.7.%d.", i+1), receipts[a][0]
		head, _, _ := strings.Cut(string(r.Message), "\r\n\r\n")
		if !strings.Contains(head, with) || strings.Contains(head, "Return-Path:") || !strings.Contains(head, "X-CiviMail-Bounce: "+verp) || !strings.Contains(head, "\r\nMessage-ID: <") {
			t.Fatalf("from <%s>\n%s\nwant %q, CiviCRM's own return address in X-CiviMail-Bounce only, and a Message-ID", r.From, head, with)
		}
		for _, e := range delivered[a] {
			if e.ReturnPath != r.From || !strings.HasPrefix(e.Sender, verp) || e.Campaign != "civicrm:job:7" {
				t.Fatalf("event %+v, want the sender %s…, the return address %s and the campaign civicrm:job:7", e, verp, r.From)
			}
		}
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
