package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"homing/config"
	"homing/dnscheck"
	"homing/event/maildir"
	"homing/server/pop3d"
)

const mailboxConfig = `hostname = "mail.example.org"
[listen]
submission = ["127.0.0.1:587"]
pop3 = ["127.0.0.1:110"]
[[domain]]
name = "example.org"
return_path = "return@bounce.example.org"
sinks = ["shared"]
[[domain]]
name = "example.net"
return_path = "return@bounce.example.net"
[[application]]
name = "civicrm"
kind = "civicrm"
domains = ["example.org"]
password_file = "password"
sinks = ["bounces"]
[[application]]
name = "listmonk"
kind = "listmonk"
domains = ["example.net"]
password_file = "password"
sinks = ["hard", "soft"]
[[application]]
name = "script"
domains = ["example.org"]
password_file = "password"
[[application]]
name = "bare"
domains = ["example.net"]
password_file = "password"
[[sink]]
name = "bounces"
type = "maildir"
path = "/var/mail/civi"
[[sink]]
name = "hard"
type = "maildir"
path = "/var/mail/hard"
[[sink]]
name = "soft"
type = "maildir"
path = "/var/mail/soft"
keep = "10d"
[[sink]]
name = "shared"
type = "maildir"
path = "/var/mail/shared"
`

func mailboxConfigured(t *testing.T) *config.Config {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte("pass word\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, problems := config.Parse([]byte(mailboxConfig), dir)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return cfg
}

// passwords knows the one of every application.
type passwords struct{}

func (passwords) Authentic(application, password string) bool {
	return application != "nobody" && password == "pass word"
}

func TestWhoReadsWhichMaildir(t *testing.T) {
	r := readers{passwords{}, func() *config.Config { return mailboxConfigured(t) }}
	for _, tt := range []struct{ name, user, password, want, refusal string }{
		{"the one Maildir of an application", "civicrm", "pass word", "/var/mail/civi", ""},
		{"the same by its name", "civicrm/bounces", "pass word", "/var/mail/civi", ""},
		{"one of several by its name", "listmonk/soft", "pass word", "/var/mail/soft", ""},
		{"one of several without its name", "listmonk", "pass word", "", "log in as listmonk/hard or listmonk/soft"},
		{"one that there is not", "listmonk/other", "pass word", "", "log in as listmonk/hard or listmonk/soft"},
		{"that of somebody else", "civicrm/hard", "pass word", "", "log in as civicrm/bounces"},
		{"that of the domain where the application names none", "script", "pass word", "/var/mail/shared", ""},
		{"an application without one", "bare", "pass word", "", "this application has no sink of type maildir"},
		{"a wrong password", "civicrm", "password", "", ""},
		{"a wrong password with a sink that there is not", "civicrm/other", "password", "", ""},
		{"nobody", "nobody", "pass word", "", ""},
		{"no name", "", "pass word", "", "this application has no sink of type maildir"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := r.Login(tt.user, tt.password)
			var refusal *pop3d.Refusal
			switch {
			case tt.want != "":
				if err != nil || string(got.Dir) != tt.want {
					t.Errorf("Login gives %+v, %v; want %s", got, err, tt.want)
				}
			case tt.refusal != "":
				if !errors.As(err, &refusal) || refusal.Text != tt.refusal {
					t.Errorf("Login says %v, want %q", err, tt.refusal)
				}
			case !errors.Is(err, pop3d.ErrLogin):
				t.Errorf("Login says %v, want %v", err, pop3d.ErrLogin)
			}
		})
	}
	if got, _ := r.Login("listmonk/soft", "pass word"); got.Name != "listmonk/soft" || got.Keep != 10*24*time.Hour {
		t.Errorf("the mailbox is %+v", got)
	}
}

func TestAMailboxThatNobodyReadsIsNoticed(t *testing.T) {
	cfg := mailboxConfigured(t)
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	days := func(n int) time.Time { return now.AddDate(0, 0, -n) }
	for _, tt := range []struct {
		name  string
		sink  string
		state maildir.State
		want  dnscheck.Verdict
		says  []string // in what was found and the fix
	}{
		{"nothing there", "bounces", maildir.State{}, dnscheck.OK, nil},
		{"reports of yesterday", "bounces", maildir.State{Reports: 5, Unread: 5, Oldest: days(1)}, dnscheck.OK, nil},
		{"what was read and left there", "bounces", maildir.State{Reports: 5000}, dnscheck.OK, nil},
		{"unread for days", "bounces", maildir.State{Reports: 7, Unread: 5, Oldest: days(4)}, dnscheck.Warn, []string{"7 reports lie in /var/mail/civi, 5 of them unread, the oldest since 2026-11-19", "Scheduled Jobs", "Fetch Bounces"}},
		{"soon to be removed", "bounces", maildir.State{Reports: 5, Unread: 5, Oldest: days(24)}, dnscheck.Fail, []string{"from 2026-11-29 on they are removed", "Fetch Bounces"}},
		{"soon to be removed where little is kept", "soft", maildir.State{Reports: 5, Unread: 5, Oldest: days(8)}, dnscheck.Fail, []string{"from 2026-11-25 on", "Enable bounce mailbox"}},
		{"full", "bounces", maildir.State{Reports: 50000, Unread: 50000, Oldest: days(1)}, dnscheck.Fail, []string{"full (max_messages = 50000)"}},
		{"full of what was read and not deleted", "bounces", maildir.State{Reports: 50000}, dnscheck.Fail, []string{"full (max_messages = 50000)", "deletes what it has read"}},
		{"of an application that we do not know", "shared", maildir.State{Reports: 1, Unread: 1, Oldest: days(5)}, dnscheck.Warn, []string{"Let the application read /var/mail/shared"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := mailboxFinding(cfg, *cfg.Sink(tt.sink), tt.state, now)
			if f.Check != "mailbox" || f.Subject != tt.sink || f.Verdict != tt.want {
				t.Errorf("%+v, want %s", f, tt.want)
			}
			for _, says := range tt.says {
				if !strings.Contains(f.Found+f.Fix, says) {
					t.Errorf("%q is not in %q %q", says, f.Found, f.Fix)
				}
			}
		})
	}
}
