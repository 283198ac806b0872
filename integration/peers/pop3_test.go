package peers

import (
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/integration/harness"
	"homing/internal/toynet"
)

const popPassword = "correct horse battery staple"

// TestOthersFetchReportsByPOP3 has Python's client and curl read the mailbox of
// an application in every way that there is.
func TestOthersFetchReportsByPOP3(t *testing.T) {
	begin(t)
	b := newBlock()
	files := certificates(t, b.at(server, 0))
	files["app-password"] = popPassword
	world := toynet.Everyday(50 * time.Millisecond)
	world.Block = b.Prefix
	st := harness.NewStage(t, harness.Settings{
		World: world, Files: files,
		Listen: `pop3 = ["{{.At 2110}}"]` + "\n" + `pop3s = ["{{.At 2995}}"]`,
		App:    "sinks = [\"drop\", \"hooks\"]\npassword_file = \"app-password\"",
		Tables: "[tls]\ncert_file = \"cert.pem\"\nkey_file = \"key.pem\"\n[[sink]]\nname = \"drop\"\ntype = \"maildir\"\npath = \"civi\"\n",
	})
	to := []string{"ann@accepts.test", "bob@unknown.test", "cid@disabled.test", "dan@blocks.test", "eve@unknown.test", "fay@unknown.test"}
	if _, err := st.Client.Send(harness.Within(t, time.Minute), toynet.Mailing{Job: 1, FirstQueue: 1, Subject: "News", Text: "Hello\n", To: to}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{} // by application's address
	for _, who := range []string{"bob@unknown.test 5.1.1", "cid@disabled.test 5.2.1", "eve@unknown.test 5.1.1", "fay@unknown.test 5.1.1"} {
		address, _, _ := strings.Cut(who, " ")
		want[heard(t, st, address, "bounced").Sender] = who
	}
	heard(t, st, "dan@blocks.test", "bounced")
	until(t, 30*time.Second, func() bool { return len(popOnce(t, st, "plain", 2110, "")) == len(want) })

	// Each deletes one, which the next must not see.
	for _, way := range []struct {
		name string
		port int
	}{{"plain", 2110}, {"stls", 2110}, {"tls", 2995}} {
		got := pop(t, st, way.name, way.port, "1")
		if len(got) != len(want) {
			t.Errorf("%s: %d messages, want %d", way.name, len(got), len(want))
		}
		for i, m := range got {
			if m.String() != want[m.To] {
				t.Errorf("%s: message %d is %+v, want %q", way.name, i+1, m, want[m.To])
			}
		}
		delete(want, got[0].To)
	}

	curl := func(args ...string) string {
		t.Helper()
		got := call(t, nil, "curl", append([]string{"-sS", "--user", "civicrm/drop:" + popPassword, "--cacert", filepath.Join(st.Dir, "ca.pem")}, args...)...)
		if got.code != 0 {
			t.Fatalf("curl %q: %v", args, got)
		}
		return got.stdout
	}
	for _, args := range [][]string{
		{"pop3://" + st.At(2110) + "/1"},
		{"--ssl-reqd", "pop3://" + st.At(2110) + "/1"},
		{"--login-options", "AUTH=PLAIN", "pop3s://" + st.At(2995) + "/1"},
	} {
		if text := curl(args...); !strings.HasPrefix(text, "Delivered-To: civi+b.1.") || !strings.Contains(text, "\r\nAction: failed\r\n") {
			t.Errorf("curl %q fetches %q", args, text)
		}
	}
	curl("--head", "--request", "DELE 1", "pop3s://"+st.At(2995)+"/")
	if left := pop(t, st, "tls", 2995, ""); len(left) != 0 {
		t.Errorf("left is %+v", left)
	}
}

// popped is a message as Python's client has read it.
type popped struct {
	UID, To, Type, Recipient, Status string
	Size, Top                        bool
	Defects                          []string
}

// String is what a good report says: of whom, and which status.
func (m popped) String() string {
	if m.Type != "multipart/report" || !m.Size || !m.Top || len(m.Defects) > 0 {
		return fmt.Sprintf("a bad report: %+v", struct{ popped }{m})
	}
	return strings.TrimPrefix(m.Recipient, "rfc822; ") + " " + m.Status
}

// pop reads the mailbox with Python's client, twice, and then deletes.
func pop(t *testing.T, st *harness.Stage, way string, port int, numbers string) (all []popped) {
	t.Helper()
	first := popOnce(t, st, way, port, "")
	all = popOnce(t, st, way, port, numbers)
	if diff := cmp.Diff(uids(first), uids(all)); diff != "" {
		t.Errorf("%s: unique ids are not the same the next time:\n%s", way, diff)
	}
	return all
}

// popOnce reads the mailbox and then deletes.
func popOnce(t *testing.T, st *harness.Stage, way string, port int, numbers string) (all []popped) {
	t.Helper()
	host, at, err := net.SplitHostPort(st.At(port))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(script(t, "", "pop.py", way, host, at, "civicrm", popPassword, filepath.Join(st.Dir, "ca.pem"), numbers)) {
		var m popped
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		all = append(all, m)
	}
	return all
}

func uids(all []popped) (ids []string) {
	for _, m := range all {
		ids = append(ids, m.UID)
	}
	return ids
}
