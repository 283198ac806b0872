package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/config"
	"homing/dnscheck"
	"homing/server"
	"homing/server/source"
)

func folderAt(username string) config.Source {
	return config.Source{Type: config.SourceIMAP, Address: config.Address{Network: "tcp", Address: "imap.example.net:993"}, Username: username,
		PasswordFile: "/etc/homing/imap-password", Folder: "CiviMail", MovedTo: "CiviMail.processed", As: config.AsReply, To: []string{"crm"}}
}

func TestWhatTheFolderOfASourceIsCalled(t *testing.T) {
	for username, want := range map[string]server.Route{
		"Civi@Example.ORG": {Local: "civi", Domain: "example.org", As: server.RouteReply, To: []string{"crm"}},
		"u1234":            {Local: "u1234", Domain: "imap.example.net", As: server.RouteReply, To: []string{"crm"}},
	} {
		if diff := cmp.Diff(want, sourceRoute(folderAt(username))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", username, diff)
		}
	}
	for folder, want := range map[string]bool{"CiviMail": true, "Inbox": false, "INBOX.CiviMail": true} {
		filed := folderAt("civi@example.org")
		filed.As, filed.Folder = config.AsActivity, folder
		if got := sourceRoute(filed).ByHand; got != want {
			t.Errorf("mail in %s is filed by hand: %v", folder, got)
		}
	}
	if a, b := sourceSpace(folderAt("a")), sourceSpace(folderAt("b")); a == b {
		t.Errorf("two mailboxes share %q", a)
	}
}

func TestAFolderThatIsNotWatchedIsSaid(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	failing := func(step source.Step, since time.Duration) source.Status {
		return source.Status{Failure: &source.Failure{Step: step, Err: errors.New("it says no")}, Since: now.Add(-since)}
	}
	for _, tt := range []struct {
		name   string
		status source.Status
		want   dnscheck.Verdict
		says   []string
	}{
		{"before the first connection", source.Status{}, dnscheck.Skipped, []string{"it is being connected to"}},
		{"a folder that is watched", source.Status{Connected: now, Last: now.Add(-time.Hour)}, dnscheck.OK, []string{"it is watched; the last mail came 2026-11-23 09:00"}},
		{"a server without IDLE", source.Status{Connected: now, Polled: true}, dnscheck.OK, []string{"every minute"}},
		{"a network that is away for a moment", failing(source.Connecting, time.Minute), dnscheck.Warn, []string{"it says no", "port 993"}},
		{"a network that is away", failing(source.Connecting, time.Hour), dnscheck.Fail, []string{"since 2026-11-23 09:00: it says no", "openssl s_client -connect imap.example.net:993"}},
		{"a refused password", failing(source.LoggingIn, time.Second), dnscheck.Fail, []string{"/etc/homing/imap-password", "App passwords", "Microsoft 365", "systemctl reload homing"}},
		{"a folder that is not there", failing(source.Opening, time.Second), dnscheck.Fail, []string{`Make a folder "CiviMail"`}},
		{"mail that cannot be moved", failing(source.Moving, time.Second), dnscheck.Fail, []string{"cannot be moved to CiviMail.processed"}},
		{"mail that cannot be taken now", failing(source.Taking, time.Second), dnscheck.Warn, []string{"other findings"}},
		{"mail that cannot be taken for long", failing(source.Taking, time.Hour), dnscheck.Fail, []string{"stays in its folder"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := sourceFinding(folderAt("civi@example.org"), tt.status, now)
			if f.Check != "source" || f.Subject != "civi@example.org/CiviMail" || f.Verdict != tt.want {
				t.Errorf("%+v, want %s", f, tt.want)
			}
			for _, says := range tt.says {
				if !strings.Contains(f.Found+" "+f.Fix, says) {
					t.Errorf("%q is not in %q %q", says, f.Found, f.Fix)
				}
			}
		})
	}
}
