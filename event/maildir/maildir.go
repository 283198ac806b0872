// Package maildir tells software that reads a Maildir: of failed deliveries, as
// clean reports (RFC 3464) in words that CiviCRM's own bounce patterns sort
// rightly, or of mail that was filed, as it came.
package maildir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"homing/event"
	"homing/internal/message"
)

// Config is what a Sink is made of.
type Config struct {
	Name     string
	Path     string // of the Maildir; it, cur, new and tmp are made with 0700 where they are missing
	Hostname string // of this server: in file names and reports
	// Activities has mail written that was filed, and no reports. A reader of the
	// one would misunderstand the other, so each has a Maildir of its own.
	Activities bool
	// OpenBody opens the message that failed, whose header block goes into
	// the report, or the mail that was filed. Without it, or where it fails, a
	// report goes without.
	OpenBody func(ctx context.Context, ref message.Ref) (message.Body, error)
	// Keep is how long a report lies there before Sweep removes it, read or
	// not; 0: for ever. Max is how many files may lie there before Tell fails
	// until somebody takes some; 0: any number.
	Keep time.Duration
	Max  int
}

// A Sink writes one file for each fact, durably: written to tmp, synced,
// renamed into new, and new synced, before Tell returns nil. The same fact
// gets the same name again, and is not written again while its file is in new
// or cur. Files are readable by those who may read new.
type Sink struct {
	c Config

	mu   sync.Mutex
	room int // for so many reports there is room, as far as is known
}

// New makes a Sink. It touches no file yet.
func New(c Config) *Sink { return &Sink{c: c} }

// Name implements event.Sink.
func (s *Sink) Name() string { return s.c.Name }

// Kind implements event.Sink.
func (s *Sink) Kind() string { return "maildir" }

// Wants implements event.Sink: failures that count against somebody, of mail
// that had a sender to tell. Never what is only late, never our own faults:
// the reader would count those against the person. Of Activities, what was filed.
func (s *Sink) Wants(e event.Event) bool {
	if s.c.Activities {
		return e.Type == event.Filed && e.Mail != nil && !e.Raw.IsZero()
	}
	failed := e.Type == event.Bounced || e.Type == event.Expired
	return failed && (e.Class == "hard" || e.Class == "soft") && e.Sender != ""
}

// Tell implements event.Sink: it writes a report of the fact, or the mail.
func (s *Sink) Tell(ctx context.Context, e event.Event) error {
	if s.c.Activities {
		return s.tellActivity(ctx, e)
	}
	name := s.fileName(e)
	if err := s.makeDirs(); err != nil {
		return down(err)
	}
	there, err := s.has(name)
	if err != nil {
		return down(err)
	}
	if !there {
		if err := s.reserve(); err != nil {
			return down(err)
		}
		msg, err := s.report(ctx, e).Compose()
		if err != nil {
			return err
		}
		if err := s.write(name, func(w io.Writer) error { _, err := w.Write(msg); return err }); err != nil {
			return down(err)
		}
	}
	// Also when the file was there: the telling before may have ended here.
	if err := syncDir(s.dir("new")); err != nil {
		return down(err)
	}
	return nil
}

// down says that the Maildir, not the fact, is what failed.
func down(err error) error { return &event.Failure{Fault: event.Down, Err: err} }

func (s *Sink) dir(name string) string { return filepath.Join(s.c.Path, name) }

// fileName is unique by the fact's ID, and the same at every try.
func (s *Sink) fileName(e event.Event) string {
	return fmt.Sprintf("%d.E%s.%s", e.ID.Time().Unix(), e.ID, s.host())
}

// host is the name of this server as file names have it.
func (s *Sink) host() string {
	return strings.NewReplacer("/", `\057`, ":", `\072`).Replace(s.c.Hostname)
}

// makeDirs makes what is missing of the Maildir, durably.
func (s *Sink) makeDirs() error {
	made := false
	for _, name := range []string{"cur", "new", "tmp"} {
		if info, err := os.Stat(s.dir(name)); err == nil && info.IsDir() {
			continue
		}
		if err := os.MkdirAll(s.dir(name), 0o700); err != nil {
			return fmt.Errorf("making the Maildir: %w", err)
		}
		made = true
	}
	if !made {
		return nil
	}
	return errors.Join(syncDir(s.c.Path), syncDir(filepath.Dir(s.c.Path)))
}

// has reports whether a file of that name waits in new or was seen in cur.
func (s *Sink) has(name string) (bool, error) {
	switch _, err := os.Lstat(filepath.Join(s.dir("new"), name)); {
	case err == nil:
		return true, nil
	case !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	seen, err := os.ReadDir(s.dir("cur"))
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(seen, func(f fs.DirEntry) bool {
		base, _, _ := strings.Cut(f.Name(), ":") // a reader adds flags
		return base == name
	}), nil
}

// write puts a file into new, whole and synced or not at all.
func (s *Sink) write(name string, fill func(io.Writer) error) error {
	tmp := filepath.Join(s.dir("tmp"), name)
	// What an earlier try left there is not ours to go on with.
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := s.fill(f, fill); err != nil {
		return errors.Join(err, f.Close(), os.Remove(tmp))
	}
	if err := f.Close(); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return os.Rename(tmp, filepath.Join(s.dir("new"), name))
}

func (s *Sink) fill(f *os.File, fill func(io.Writer) error) error {
	where, err := os.Stat(s.dir("new"))
	if err != nil {
		return err
	}
	if err := f.Chmod(where.Mode().Perm() & 0o666); err != nil {
		return err
	}
	if err := fill(f); err != nil {
		return err
	}
	return f.Sync()
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
