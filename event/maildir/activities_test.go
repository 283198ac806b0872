package maildir_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"homing/event"
	"homing/event/maildir"
	"homing/internal/message"
	"homing/internal/parsedmail"
)

const filedMail = "Return-Path: <ann@example.net>\nFrom: Ann <ann@example.net>\nTo: bob@example.com\nSubject: Hello\n\nGood morning\n"

func activities(path string) *maildir.Sink {
	return maildir.New(maildir.Config{Name: "drop", Path: path, Hostname: "mail.example.org", Activities: true, OpenBody: opens(filedMail)})
}

// filed is the fact of a mail.
func filed(n int, messageID string) event.Event {
	at := time.Date(2026, 11, 23, 10, 0, n, 0, time.UTC)
	return event.Event{ID: event.FirstID(at), Type: event.Filed, Time: at, Recipient: "crm@bounce.example.org", Raw: message.Ref{Body: 1, Size: 9},
		Mail: &event.Mail{Mail: parsedmail.Mail{MessageID: messageID}}}
}

func TestAMailForActivitiesIsWrittenAsItCame(t *testing.T) {
	path := t.TempDir()
	if err := activities(path).Tell(t.Context(), filed(0, "<1@example.net>")); err != nil {
		t.Fatal(err)
	}
	files := names(t, filepath.Join(path, "new"))
	if len(files) != 1 {
		t.Fatalf("%q in new", files)
	}
	got, err := os.ReadFile(filepath.Join(path, "new", files[0]))
	if want := strings.ReplaceAll("Delivered-To: crm@bounce.example.org\n"+filedMail, "\n", "\r\n"); err != nil || string(got) != want {
		t.Errorf("written is %q, %v; want %q", got, err, want)
	}
}

func TestAMailForActivitiesIsWrittenOnceWhereverItIs(t *testing.T) {
	for _, where := range []string{"new", "cur", "CiviMail.processed", "CiviMail.ignored"} {
		t.Run(where, func(t *testing.T) {
			path := t.TempDir()
			s := activities(path)
			if err := s.Tell(t.Context(), filed(0, "<1@example.net>")); err != nil {
				t.Fatal(err)
			}
			name := names(t, filepath.Join(path, "new"))[0]
			if err := errors.Join(os.MkdirAll(filepath.Join(path, where), 0o700), os.Rename(filepath.Join(path, "new", name), filepath.Join(path, where, name))); err != nil {
				t.Fatal(err)
			}
			if err := s.Tell(t.Context(), filed(1, "<1@example.net>")); err != nil {
				t.Fatal(err)
			}
			if files := names(t, filepath.Join(path, "new")); where != "new" && len(files) > 0 || len(files) > 1 {
				t.Errorf("written again: %q", files)
			}
			if err := errors.Join(s.Tell(t.Context(), filed(2, "<2@example.net>")), s.Tell(t.Context(), filed(3, "")), s.Tell(t.Context(), filed(4, "")), s.Tell(t.Context(), filed(4, ""))); err != nil {
				t.Fatal(err)
			}
			want := 3
			if where == "new" {
				want++
			}
			if files := names(t, filepath.Join(path, "new")); len(files) != want {
				t.Errorf("of other mails there are %q", files)
			}
		})
	}
}

func TestAMaildirHoldsOnlyWhatItIsFor(t *testing.T) {
	path := t.TempDir()
	for _, tt := range []struct {
		name                 string
		e                    event.Event
		activities, failures bool
	}{
		{"mail that was filed", filed(0, ""), true, false},
		{"a failure", failed(), false, true},
		{"a report about our domains", event.Event{Type: event.Filed, Recipient: "dmarc@example.org"}, false, false},
	} {
		if got := activities(path).Wants(tt.e); got != tt.activities {
			t.Errorf("%s among activities: %v", tt.name, got)
		}
		if got := sink(path).Wants(tt.e); got != tt.failures {
			t.Errorf("%s among failures: %v", tt.name, got)
		}
	}
}

func TestAMailThatIsGoneIsNoFaultOfTheMaildir(t *testing.T) {
	s := maildir.New(maildir.Config{Name: "drop", Path: t.TempDir(), Hostname: "mail.example.org", Activities: true,
		OpenBody: func(context.Context, message.Ref) (message.Body, error) { return nil, errors.New("not found") }})
	err := s.Tell(t.Context(), filed(0, ""))
	if f := (*event.Failure)(nil); err == nil || errors.As(err, &f) {
		t.Errorf("%v", err)
	}
}
