package maildir_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"homing/event"
	"homing/event/maildir"
)

// told tells so many facts to a Maildir.
func told(t *testing.T, s *maildir.Sink, from, n int) error {
	t.Helper()
	for i := range n {
		e := failed()
		e.ID += event.ID(from + i)
		if err := s.Tell(t.Context(), e); err != nil {
			return err
		}
	}
	return nil
}

func TestReportsThatNobodyReadsAreRemovedInTheEnd(t *testing.T) {
	path := t.TempDir()
	s := maildir.New(maildir.Config{Name: "drop", Path: path, Hostname: "mail.example.org", Keep: 30 * 24 * time.Hour})
	if err := told(t, s, 0, 4); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	files := names(t, filepath.Join(path, "new"))
	age := func(dir, name string, days int) {
		at := now.AddDate(0, 0, -days)
		if err := os.Chtimes(filepath.Join(path, dir, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	age("new", files[0], 31)
	age("new", files[1], 12)
	move(t, path, files[2], files[2]+":2,S")
	age("cur", files[2]+":2,S", 31)
	move(t, path, files[3], files[3]+":2,S")
	const foreign = "1.M2P3.elsewhere"
	if err := os.WriteFile(filepath.Join(path, "new", foreign), []byte("Subject: of somebody else\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	age("new", foreign, 400)

	got, err := s.Sweep(now)
	if err != nil {
		t.Fatal(err)
	}
	if days := now.Sub(got.Oldest).Hours() / 24; got.Reports != 2 || got.Unread != 1 || got.Expired != 1 || days < 11.9 || days > 12.1 {
		t.Errorf("Sweep says %+v, want 2 reports, one of them unread for 12 days, and one that has expired", got)
	}
	left := slices.Concat(names(t, filepath.Join(path, "new")), names(t, filepath.Join(path, "cur")))
	if want := []string{foreign, files[1], files[3] + ":2,S"}; !slices.Equal(left, want) {
		t.Errorf("left %q, want %q", left, want)
	}
}

func TestSweepingWhatIsNotThere(t *testing.T) {
	s := maildir.New(maildir.Config{Path: filepath.Join(t.TempDir(), "none"), Keep: time.Hour})
	if got, err := s.Sweep(time.Now()); got != (maildir.State{}) || err != nil {
		t.Errorf("Sweep says %+v, %v", got, err)
	}
}

func TestAMaildirThatNobodyEmptiesTakesNoMore(t *testing.T) {
	path := t.TempDir()
	s := maildir.New(maildir.Config{Path: path, Hostname: "mail.example.org", Max: 3})
	if err := told(t, s, 0, 3); err != nil {
		t.Fatal(err)
	}
	var f *event.Failure
	if err := told(t, s, 3, 1); !errors.As(err, &f) || f.Fault != event.Down || !strings.Contains(err.Error(), "3 messages lie in "+path) {
		t.Errorf("the fourth report: %v, want that the Maildir is full, which is no fault of the fact", err)
	}
	if err := told(t, s, 2, 1); err != nil {
		t.Errorf("a report that is there already: %v", err)
	}
	if err := os.Remove(filepath.Join(path, "new", names(t, filepath.Join(path, "new"))[0])); err != nil {
		t.Fatal(err)
	}
	if err := told(t, s, 3, 1); err != nil {
		t.Errorf("a report once there is room again: %v", err)
	}
}
