package maildir_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	gomessage "github.com/emersion/go-message"
	"github.com/google/go-cmp/cmp"

	"homing/event"
	"homing/event/maildir"
	"homing/internal/message"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const sender = "civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org"

// stored is a message in a store.
type stored struct{ *bytes.Reader }

func (stored) Close() error { return nil }

func opens(text string) func(context.Context, message.Ref) (message.Body, error) {
	return func(context.Context, message.Ref) (message.Body, error) {
		return stored{bytes.NewReader([]byte(strings.ReplaceAll(text, "\n", "\r\n")))}, nil
	}
}

const original = `Return-Path: <other+b.9.9.ffffffffffffffff@bounce.example.org>
From: News <news@example.org>
To: Ann <ann@example.net>
X-CiviMail-Bounce: other+b.9.9.ffffffffffffffff@bounce.example.org
Subject: News of November
Message-ID: <1@example.org>
job_id: 1

The user is unknown and the mailbox is full.
`

func failed() event.Event {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	return event.Event{
		ID: event.FirstID(at), Type: event.Bounced, Time: at, Message: event.MessageID(event.FirstID(at.Add(-time.Hour))),
		Delivery: 7, Recipient: "ann@example.net", Sender: sender, Original: message.Ref{Body: 1},
		Outcome: event.Outcome{Class: "hard", Reason: "user_unknown", CiviCRM: "Invalid", Code: 550, Status: "5.1.1",
			Diagnostic: "550 5.1.1 <ann@example.net>: host unknown, quota exceeded, relay access denied", RemoteMTA: "mx.example.net[198.51.100.7]"},
	}
}

func sink(path string) *maildir.Sink {
	return maildir.New(maildir.Config{Name: "drop", Path: path, Hostname: "mail.example.org", OpenBody: opens(original)})
}

// tell tells one fact to a fresh Maildir and gives the file that it made.
func tell(t *testing.T, e event.Event) []byte {
	t.Helper()
	path := t.TempDir()
	if err := sink(path).Tell(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return only(t, path)
}

// only gives the one message that is in a Maildir.
func only(t *testing.T, path string) []byte {
	t.Helper()
	files := names(t, filepath.Join(path, "new"))
	if len(files) != 1 {
		t.Fatalf("%d files in new, want one", len(files))
	}
	msg, err := os.ReadFile(filepath.Join(path, "new", files[0]))
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := []string{}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestWhatIsWritten(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*event.Event)
		want   bool
	}{
		{"a hard failure", func(*event.Event) {}, true},
		{"a soft failure", func(e *event.Event) { e.Class = "soft" }, true},
		{"one that is known from a later report", func(e *event.Event) { e.Sync = new(bool) }, true},
		{"the end of the last attempt", func(e *event.Event) { e.Type, e.Class = event.Expired, "soft" }, true},
		{"not our own faults", func(e *event.Event) { e.Class = "sender" }, false},
		{"not the end of attempts that failed by our own fault", func(e *event.Event) { e.Type, e.Class = event.Expired, "sender" }, false},
		{"not what is no failure", func(e *event.Event) { e.Class = "none" }, false},
		{"not what is only late", func(e *event.Event) { e.Type, e.Class = event.Deferred, "soft" }, false},
		{"not mail that nobody sent", func(e *event.Event) { e.Sender = "" }, false},
		{"not what was not sent because of a hold", func(e *event.Event) { e.Type = event.Suppressed }, false},
		{"not complaints", func(e *event.Event) { e.Type = event.Complained }, false},
		{"not deliveries", func(e *event.Event) { e.Type = event.Delivered }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := failed()
			tt.change(&e)
			if got := sink("/nowhere").Wants(e); got != tt.want {
				t.Errorf("Wants = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestReportsAsTheyAre(t *testing.T) {
	for name, change := range map[string]func(*event.Event){
		"hard.eml": func(e *event.Event) { e.OriginalRecipient, e.EnvelopeID = "rfc822;Ann@example.net", "job 1" },
		"least.eml": func(e *event.Event) {
			e.Type, e.Original, e.Message, e.Outcome = event.Expired, message.Ref{}, 0, event.Outcome{Class: "soft", CiviCRM: "Host"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := failed()
			change(&e)
			got := tell(t, e)
			path := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheFirstHeaderIsTheApplicationsOwnAddressByteForByte(t *testing.T) {
	for _, from := range []string{sender, "Civi-B.1.2.0A1B2C3D4E5F6A7B@Bounce.Example.ORG",
		"civi+b.1234567.12345678.0a1b2c3d4e5f6a7b@a-long-name-for-returned-mail.of-a-long-name.bounce.example.org"} {
		e := failed()
		e.Sender = from
		if got := tell(t, e); !bytes.HasPrefix(got, []byte("Delivered-To: "+from+"\r\n")) {
			t.Errorf("the file begins with %.150q", got)
		}
	}
}

// civicrmTypes are, in the order in which it tries them, words of each bounce
// type by which CiviCRM's stock patterns know it.
var civicrmTypes = []struct{ name, words string }{
	{"AOL", `client tos notification`},
	{"Away", `(out of|away from) (the|my) (office|computer|town)|on vacation`},
	{"Dns", `name server entry|name lookup failure|no (mail server|dns entries)|reverse dns entry|host or domain name not found|unable to resolve mx`},
	{"Host", `unknown host|host unknown|connection (refused|timed out)|error involving remote host|invalid host name|server is (down|unreachable)|too many connections|(unable to|lost) connect|authentication required|local configuration error`},
	{"Inactive", `account (inactive|expired|deactivated|is locked)|inactive user|mail receiving disabled|mailbox (temporarily disabled|currently suspended)|no longer (accepting mail|in use)|not accepting (mail|messages)|address no longer accepts mail|account suspended`},
	{"Invalid", `user unknown|unknown user|(address|user|recipient) (unknown|invalid|does not exist|not found|rejected)|does not exist|cannot deliver|invalid (mailbox|address|recipient|user)|mailbox (not found|unavailable)|no such (address|recipient|user|mailbox)|recipient unknown|unavailable mailbox|delivery to the following recipients? failed|not a valid`},
	{"Loop", `mail loop|loop detected|too many hops|maximum hop count exceeded`},
	{"Quota", `over ?quota|quota exceeded|mailbox (is )?full|full mailbox|mailbox size|exceeded storage|running out of disk space`},
	{"Relay", `relay(ing)? (not permitted|access denied|denied)|unable to relay|no route to host|network is unreachable|unrouteable address`},
	{"Spam", `spam filters?|as spam|due to spam|blacklisted|blocked message|open relay|denied by policy|policy violation`},
	{"Syntax", `unknown smtp code|syntax error in from address|nonstandard smtp line terminator`},
}

// civicrmType gives the type that CiviCRM calls a text.
func civicrmType(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	for _, x := range civicrmTypes {
		if regexp.MustCompile("(?im)" + x.words).MatchString(text) {
			return x.name
		}
	}
	return ""
}

func TestCiviCRMFindsTheRightType(t *testing.T) {
	for _, kind := range []string{"Dns", "Host", "Inactive", "Invalid", "Loop", "Quota", "Relay", "Spam", "Syntax"} {
		for _, status := range []string{"", "5.1.1", "4.2.2"} {
			e := failed()
			e.CiviCRM, e.Status = kind, status
			forPeople, fields := parts(t, tell(t, e))
			if got := civicrmType(forPeople); got != kind {
				t.Errorf("the part for people is of type %q, want %q: %q", got, kind, forPeople)
			}
			if got := civicrmType(fields.Get("Diagnostic-Code")); got != kind {
				t.Errorf("Diagnostic-Code %q is of type %q, want %q", fields.Get("Diagnostic-Code"), got, kind)
			}
			if got := fields.Get("X-Homing-Diagnostic"); got != e.Diagnostic {
				t.Errorf("X-Homing-Diagnostic %q, want what the mail system said: %q", got, e.Diagnostic)
			}
		}
	}
	e := failed()
	e.CiviCRM = ""
	if _, fields := parts(t, tell(t, e)); civicrmType(fields.Get("Diagnostic-Code")) != "Syntax" {
		t.Errorf("a fact without a type: %q, want type Syntax", fields.Get("Diagnostic-Code"))
	}
}

// parts reads a report with a library that is not ours: its text for people,
// and the fields for its recipient.
func parts(t *testing.T, msg []byte) (string, mail.Header) {
	t.Helper()
	e, err := gomessage.Read(bytes.NewReader(msg))
	if err != nil {
		t.Fatal(err)
	}
	var bodies []string
	for r := e.MultipartReader(); ; {
		p, err := r.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p.Body)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, string(b))
	}
	if len(bodies) < 2 {
		t.Fatalf("%d parts", len(bodies))
	}
	_, group, _ := strings.Cut(bodies[1], "\r\n\r\n")
	m, err := mail.ReadMessage(strings.NewReader(group + "\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	return bodies[0], m.Header
}

// TestCiviCRMFindsTheRightMailing looks for the address where CiviCRM does, in
// its order.
func TestCiviCRMFindsTheRightMailing(t *testing.T) {
	msg := tell(t, failed())
	m, err := mail.ReadMessage(bytes.NewReader(msg))
	if err != nil {
		t.Fatal(err)
	}
	if to, err := m.Header.AddressList("To"); err != nil || len(to) != 1 || to[0].Address != sender {
		t.Errorf("To is %v, %v; want the application's own address", to, err)
	}
	body, err := io.ReadAll(m.Body)
	if err != nil {
		t.Fatal(err)
	}
	if found := regexp.MustCompile(`(?i)(Return-Path|X-CiviMail-Bounce|Delivered-To):.*`).Find(body); found != nil {
		t.Errorf("the body has %q", found)
	}
	if !bytes.Contains(body, []byte("Subject: News of November\r\nMessage-ID: <1@example.org>\r\njob_id: 1\r\n")) {
		t.Error("the header of the original is not in the report")
	}
	if bytes.Contains(body, []byte("The user is unknown")) {
		t.Error("the body of the original is in the report")
	}
	if got := m.Header["Delivered-To"]; len(got) != 1 || got[0] != sender {
		t.Errorf("Delivered-To %q", got)
	}
}

func TestTheHeaderOfTheOriginalIsCutAt64KiB(t *testing.T) {
	path := t.TempDir()
	s := maildir.New(maildir.Config{Path: path, Hostname: "mail.example.org",
		OpenBody: opens("Subject: News\n" + strings.Repeat("X-Long: "+strings.Repeat("x", 90)+"\n", 3000) + "\nbody\n")})
	if err := s.Tell(t.Context(), failed()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(path, "new", names(t, filepath.Join(path, "new"))[0]))
	if err != nil || info.Size() > 70<<10 || info.Size() < 60<<10 {
		t.Errorf("the report has %d octets, %v; want about 64 KiB", info.Size(), err)
	}
}

func TestAReportGoesWithoutAnOriginalThatIsGone(t *testing.T) {
	path := t.TempDir()
	s := maildir.New(maildir.Config{Path: path, Hostname: "mail.example.org",
		OpenBody: func(context.Context, message.Ref) (message.Body, error) { return nil, errors.New("gone") }})
	if err := s.Tell(t.Context(), failed()); err != nil {
		t.Fatal(err)
	}
	if got := names(t, filepath.Join(path, "new")); len(got) != 1 {
		t.Errorf("files in new: %v", got)
	}
}

func TestTheSameFactIsOneFile(t *testing.T) {
	for name, reader := range map[string]func(t *testing.T, path, name string){
		"still in new": func(*testing.T, string, string) {},
		"moved to cur": func(t *testing.T, path, name string) { move(t, path, name, name) },
		"seen in cur":  func(t *testing.T, path, name string) { move(t, path, name, name+":2,S") },
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			s := sink(path)
			if err := s.Tell(t.Context(), failed()); err != nil {
				t.Fatal(err)
			}
			reader(t, path, names(t, filepath.Join(path, "new"))[0])
			if err := s.Tell(t.Context(), failed()); err != nil {
				t.Fatal(err)
			}
			if all := append(names(t, filepath.Join(path, "new")), names(t, filepath.Join(path, "cur"))...); len(all) != 1 {
				t.Errorf("files %v, want one", all)
			}
			if left := names(t, filepath.Join(path, "tmp")); len(left) != 0 {
				t.Errorf("left in tmp: %v", left)
			}
		})
	}
}

func move(t *testing.T, path, from, to string) {
	t.Helper()
	if err := os.Rename(filepath.Join(path, "new", from), filepath.Join(path, "cur", to)); err != nil {
		t.Fatal(err)
	}
}

func TestAFileLeftInTmpByACrashIsNoHindrance(t *testing.T) {
	path := t.TempDir()
	s := sink(path)
	if err := s.Tell(t.Context(), failed()); err != nil {
		t.Fatal(err)
	}
	name := names(t, filepath.Join(path, "new"))[0]
	if err := os.Rename(filepath.Join(path, "new", name), filepath.Join(path, "tmp", name)); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(path, "tmp", name), 10); err != nil {
		t.Fatal(err)
	}
	if err := s.Tell(t.Context(), failed()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(path, "new", name))
	if err != nil || info.Size() < 500 {
		t.Errorf("the file in new: %v, %v", info, err)
	}
}

func TestDifferentFactsAreDifferentFiles(t *testing.T) {
	path := t.TempDir()
	s := sink(path)
	for i := range 20 {
		e := failed()
		e.ID += event.ID(i)
		if err := s.Tell(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(names(t, filepath.Join(path, "new"))); got != 20 {
		t.Errorf("%d files, want 20", got)
	}
}

func TestPermissions(t *testing.T) {
	t.Run("what is missing is made for the owner alone", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "mail", "civi")
		if err := sink(path).Tell(t.Context(), failed()); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{"", "cur", "new", "tmp"} {
			checkMode(t, filepath.Join(path, dir), 0o700)
		}
		checkMode(t, filepath.Join(path, "new", names(t, filepath.Join(path, "new"))[0]), 0o600)
	})
	t.Run("who may read new may read the files", func(t *testing.T) {
		path := t.TempDir()
		for _, dir := range []string{"cur", "new", "tmp"} {
			if err := os.Mkdir(filepath.Join(path, dir), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(filepath.Join(path, "new"), 0o770); err != nil {
			t.Fatal(err)
		}
		if err := sink(path).Tell(t.Context(), failed()); err != nil {
			t.Fatal(err)
		}
		checkMode(t, filepath.Join(path, "new", names(t, filepath.Join(path, "new"))[0]), 0o660)
		checkMode(t, filepath.Join(path, "new"), 0o770)
	})
}

func checkMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s has mode %o, want %o", path, got, want)
	}
}

func TestAMaildirThatCannotBeWrittenIsDownAndLeavesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("no directory"), 0o600); err != nil {
		t.Fatal(err)
	}
	var f *event.Failure
	if err := sink(path).Tell(t.Context(), failed()); !errors.As(err, &f) || f.Fault != event.Down {
		t.Errorf("Tell = %v, want Down", err)
	}
}

func TestAFactThatNoReportCanNameFailsAlone(t *testing.T) {
	e := failed()
	e.Sender = "civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org\r\nBcc: all@example.com"
	path := t.TempDir()
	err := sink(path).Tell(t.Context(), e)
	var f *event.Failure
	if err == nil || errors.As(err, &f) {
		t.Errorf("Tell = %v, want a failure that blames nobody yet", err)
	}
	if got := names(t, filepath.Join(path, "new")); len(got) != 0 {
		t.Errorf("files in new: %v", got)
	}
}

func TestAHostNameIsSafeInAFileName(t *testing.T) {
	path := t.TempDir()
	s := maildir.New(maildir.Config{Path: path, Hostname: "../:evil"})
	e := failed()
	if err := s.Tell(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, filepath.Join(path, "new"))[0], fmt.Sprintf(`%d.E%s...\057\072evil`, e.ID.Time().Unix(), e.ID); got != want {
		t.Errorf("file name %q, want %q", got, want)
	}
}

func ExampleSink_Tell() {
	path, err := os.MkdirTemp("", "maildir")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(path)
	s := maildir.New(maildir.Config{Name: "drop", Path: path, Hostname: "mail.example.org"})
	fmt.Println(s.Tell(context.Background(), event.Event{
		ID: event.FirstID(time.Unix(1795428000, 0)), Type: event.Bounced, Recipient: "ann@example.net", Sender: "return+b.1.2.0a1b2c3d4e5f6a7b@example.org",
		Outcome: event.Outcome{Class: "hard", CiviCRM: "Invalid"},
	}))
	files, err := filepath.Glob(filepath.Join(path, "new", "*"))
	fmt.Println(filepath.Base(files[0]), err)
	// Output:
	// <nil>
	// 1795428000.E01M83XJ880000.mail.example.org <nil>
}

func BenchmarkTell(b *testing.B) {
	s := sink(b.TempDir())
	b.ReportAllocs()
	for i := range b.N {
		e := failed()
		e.ID += event.ID(i)
		if err := s.Tell(b.Context(), e); err != nil {
			b.Fatal(err)
		}
	}
}
