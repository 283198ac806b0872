package integration

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"homing/internal/civicrmtest"
	"homing/internal/dnsx/dnstest"
	"homing/internal/toynet"
)

// A filer is a stage where mail is filed at a site of CiviCRM, told to a webhook
// and written into a Maildir, with somebody who signs what he writes.
type filer struct {
	*stage
	site *civicrmtest.Site
	key  ed25519.PrivateKey // of member.test
}

const filerTables = `
[[route]]
address = "crm@bounce.example.org"
as = "activity"
to = ["crm", "hooks", "drop"]
[[sink]]
name = "crm"
type = "civicrm"
url = "%s"
api_key_file = "civi-key"
site_key_file = "civi-site-key"
[[sink]]
name = "drop"
type = "maildir"
what = "activities"
path = "activities"
`

func newFiler(t *testing.T) *filer {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	world := toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {}}, Records: dnstest.Zone{TXTs: map[string][]string{
		"k1._domainkey.member.test": {"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)},
		"_dmarc.member.test":        {"v=DMARC1; p=reject"},
		"member.test":               {"v=spf1 -all"},
	}}}
	s := settings{World: world, Top: `trusted_results = ["mx.front.test"]`, Listen: `lmtp = ["{{.LMTP}}"]`, Networks: `networks = ["127.0.0.1/32"]`,
		Files: map[string]string{"civi-key": civiKey + "\n", "civi-site-key": civiSiteKey}}
	f := &filer{stage: newStage(t, s), key: private}
	f.site = f.stage.site("civi+", ".", "127.0.0.1")
	s.Tables = fmt.Sprintf(filerTables, f.site.URL())
	f.Reload(s)
	return f
}

// written is a mail of a member with an attachment.
func written(id string) string {
	return strings.ReplaceAll("From: Olga <olga@member.test>\nTo: Ann Lee <ann@accepts.test>\nSubject: Your question\nMessage-ID: <"+id+"@member.test>\nDate: Mon, 23 Nov 2026 11:00:00 +0100\n"+
		"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nGood morning\n--b\nContent-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\n\n"+
		base64.StdEncoding.EncodeToString([]byte("%PDF\x00\xff"))+"\n--b--\n", "\n", "\r\n")
}

// signed signs a mail as member.test.
func (f *filer) signed(mail string) string {
	f.t.Helper()
	var out bytes.Buffer
	err := dkim.Sign(&out, strings.NewReader(mail), &dkim.SignOptions{Domain: "member.test", Selector: "k1", Signer: f.key,
		HeaderKeys: []string{"From", "To", "Subject", "Date", "Message-ID"}})
	if err != nil {
		f.t.Fatal(err)
	}
	return out.String()
}

// comes sends a mail to the MX, for the envelope alone to know whom.
func (f *filer) comes(mail, to string) {
	f.t.Helper()
	w := dialSMTP(f.t, f.MX)
	w.begin("bounces@member.test", to)
	w.must(mail+".", "250")
	w.must("QUIT", "221")
}

// activities waits until the site has so many activities, with their files.
func (f *filer) activities(n int) []civicrmtest.Activity {
	f.t.Helper()
	until(f.t, time.Minute, fmt.Sprintf("%d activities with their files", n), func() bool {
		all := f.site.Activities()
		return len(all) >= n && !slices.ContainsFunc(all, func(a civicrmtest.Activity) bool { return len(a.Attachments) == 0 })
	})
	return f.site.Activities()
}

// filedMail is what the webhook hears.
type filedMail struct {
	ID, Type, Recipient string
	Mail                struct {
		MessageID      string `json:"message_id"`
		Subject, Text  string
		Reviewed       bool
		Attachments    []struct{ Name, SHA256 string }
		Authentication struct{ DKIM, DMARC string }
	}
}

func (f *filer) heard() (all []filedMail) {
	f.t.Helper()
	out, _, code := f.Try("events", "--json")
	if code != 0 {
		f.t.Fatalf("events: exit code %d", code)
	}
	for line := range strings.Lines(out) {
		var e filedMail
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			f.t.Fatalf("%v in %q", err, line)
		}
		if e.Type == "filed" {
			all = append(all, e)
		}
	}
	return all
}

func TestMailThatIsProvenBecomesAnActivity(t *testing.T) {
	t.Parallel()
	f := newFiler(t)
	f.comes(f.signed(written("1")), "crm@bounce.example.org") // a Bcc: no field names the address
	all := f.activities(1)
	ann, olga := f.site.Who("ann@accepts.test"), f.site.Who("olga@member.test")
	if len(ann) != 1 || len(olga) != 1 || ann[0].Last != "Lee" || len(f.site.Who("crm@bounce.example.org")) > 0 {
		t.Fatalf("contacts are %+v and %+v", ann, olga)
	}
	a := all[0]
	if a.Source != olga[0].ID || !slices.Equal(a.Targets, []uint64{ann[0].ID}) || a.Subject != "Your question" || !strings.Contains(a.Details, "Good morning") || a.Attachments[0].Content != "%PDF\x00\xff" {
		t.Errorf("the activity is %+v", a)
	}
	heard := f.heard()
	if len(heard) != 1 || heard[0].Recipient != "crm@bounce.example.org" || heard[0].Mail.Authentication.DKIM != "pass" || heard[0].Mail.Authentication.DMARC != "pass" {
		t.Fatalf("told was %+v", heard)
	}
	f.wantAttachment(heard[0].ID, "%PDF\x00\xff")

	// By a sub-address, over LMTP, and once more what is there already.
	f.overLMTP(f.signed(written("2")), "crm+vip@bounce.example.org")
	f.comes(f.signed(written("1")), "crm@bounce.example.org")
	f.comes(f.signed(written("3")), "crm@bounce.example.org")
	f.activities(3)
	until(t, time.Minute, "the fourth fact", func() bool { return len(f.heard()) == 4 })
	f.comes(f.signed(written("4")), "crm@bounce.example.org") // behind all of it
	if all := f.activities(4); len(all) != 4 {
		t.Errorf("%d activities, want one for each of four mails", len(all))
	}
	until(t, time.Minute, "four files", func() bool { files, _ := os.ReadDir(filepath.Join(f.Dir, "activities", "new")); return len(files) == 4 })
	files, err := os.ReadDir(filepath.Join(f.Dir, "activities", "new"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(f.Dir, "activities", "new", files[0].Name()))
	if err != nil || !strings.HasPrefix(string(text), "Delivered-To: crm") || !strings.Contains(string(text), "Subject: Your question\r\n") {
		t.Errorf("the Maildir has %q, %v", text, err)
	}
}

// wantAttachment fetches an attachment by the API.
func (f *filer) wantAttachment(event, want string) {
	f.t.Helper()
	secret := strings.TrimSpace(lastLine(f.Run("token", "add", "reader", "--operator")))
	req, err := http.NewRequestWithContext(within(f.t, time.Minute), http.MethodGet, "http://"+f.HTTP+"/api/v1/events/"+event+"/attachments/1", nil)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != want {
		f.t.Errorf("the attachment is %d %q, %v; want %q", resp.StatusCode, got, err, want)
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// overLMTP hands a mail in over LMTP.
func (f *filer) overLMTP(mail, to string) {
	f.t.Helper()
	w := dialLMTP(f.t, f.LMTP)
	w.begin("bounces@member.test", to)
	w.must(mail+".", "250")
}

func TestTheWordOfAMailServerInFrontCountsOverLMTPAlone(t *testing.T) {
	t.Parallel()
	f := newFiler(t)
	const word = "Authentication-Results: mx.front.test; spf=pass smtp.mailfrom=olga@member.test\r\n"
	f.comes(word+written("smtp"), "crm@bounce.example.org") // which anybody can write
	f.overLMTP("Authentication-Results: mx.other.test; dmarc=pass header.from=member.test\r\n"+written("other"), "crm@bounce.example.org")
	f.overLMTP(word+written("lmtp"), "crm@bounce.example.org")
	if all := f.activities(1); len(all) != 1 || len(f.heard()) != 1 || f.heard()[0].Mail.MessageID != "<lmtp@member.test>" || f.heard()[0].Mail.Authentication.DMARC != "pass" {
		t.Fatalf("filed are %+v", f.heard())
	}
	if text := f.Run("review", "list"); strings.Count(text, "olga@member.test") != 2 {
		t.Errorf("waiting are\n%s", text)
	}
}

func TestAForgedSenderWaitsUntilSomebodyHasLooked(t *testing.T) {
	t.Parallel()
	f := newFiler(t)
	f.comes("Authentication-Results: mail.example.org; dmarc=pass\r\n"+written("forged"), "crm@bounce.example.org")
	f.comes(f.signed(written("true")), "crm@bounce.example.org")
	if all := f.activities(1); len(all) != 1 || len(f.heard()) != 1 || f.heard()[0].Mail.MessageID != "<true@member.test>" {
		t.Fatalf("filed are %+v", f.heard())
	}
	f.Kill()
	f.Restart()
	var waiting struct {
		Waiting []struct{ ID, Why, From string }
	}
	if err := json.Unmarshal([]byte(f.Run("review", "list", "--json")), &waiting); err != nil || len(waiting.Waiting) != 1 {
		t.Fatalf("%v: waiting are %+v", err, waiting)
	}
	m := waiting.Waiting[0]
	if m.From != "olga@member.test" || !strings.Contains(m.Why, "fails the DMARC policy") {
		t.Errorf("waiting is %+v", m)
	}
	if text := f.Run("review", "show", m.ID); !strings.Contains(text, "Good morning") {
		t.Errorf("it shows %s", text)
	}
	f.Run("review", "file", m.ID)
	f.activities(2)
	if heard := f.heard(); len(heard) != 2 || !heard[1].Mail.Reviewed || heard[1].Mail.Authentication.DMARC != "fail" {
		t.Errorf("told was %+v", heard)
	}
}

// TestACrashWhileAMailIsFiledIsNoSecondActivity kills the server while the site
// has made the activity and not answered.
func TestACrashWhileAMailIsFiledIsNoSecondActivity(t *testing.T) {
	t.Parallel()
	f := newFiler(t)
	f.site.Introduce("Individual", "ann@accepts.test")
	f.site.Introduce("Individual", "olga@member.test")
	f.site.Break(civicrmtest.Mute)
	f.comes(f.signed(written("1")), "crm@bounce.example.org")
	until(t, time.Minute, "the activity", func() bool { return len(f.site.Activities()) == 1 })
	f.Kill()
	f.site.Break(civicrmtest.Healthy)
	f.Restart()
	f.activities(1)
	f.comes(f.signed(written("2")), "crm@bounce.example.org") // behind it
	if all := f.activities(2); len(all) != 2 || len(all[0].Attachments) != 1 {
		t.Errorf("the activities are %+v", all)
	}
}
