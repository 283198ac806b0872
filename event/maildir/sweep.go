package maildir

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"homing/internal/maildir"
)

// A State is how a Maildir stands. Reports are those that were written here;
// what others put there does not count.
type State struct {
	Reports int
	Unread  int       // that nobody has looked at: they lie in new
	Oldest  time.Time // when the oldest unread one was written; zero: there is none
	Expired int       // that this Sweep has removed, unread
}

// ours is what a file of ours is called: the time, the ID of the fact, and
// whose it is.
var ours = regexp.MustCompile(`^[0-9]+\.E[0-9A-Z]{13}\.`)

// Sweep removes reports that lie there for longer than Keep, so that a mailbox
// that nobody reads fills no disk and names nobody for ever, and says how the
// Maildir stands. A Maildir that is not there is empty.
func (s *Sink) Sweep(now time.Time) (State, error) {
	dir := maildir.Dir(s.c.Path)
	all, err := dir.Messages()
	if err != nil {
		return State{}, err
	}
	var st State
	var old []maildir.Message
	for _, m := range all {
		switch {
		case !ours.MatchString(m.Name):
			continue
		case s.c.Keep > 0 && now.Sub(m.Modified) > s.c.Keep:
			old = append(old, m)
			continue
		}
		st.Reports++
		if !m.Seen {
			st.Unread++
			if st.Oldest.IsZero() || m.Modified.Before(st.Oldest) {
				st.Oldest = m.Modified
			}
		}
	}
	removed, err := dir.Remove(old...)
	for _, m := range removed {
		if !m.Seen {
			st.Expired++
		}
	}
	if err != nil {
		err = fmt.Errorf("removing old reports: %w", err)
	}
	return st, err
}

// errFull says that nobody empties the Maildir.
var errFull = errors.New("the Maildir is full")

// reserve takes the room for one report. The files are counted only where what
// was counted last may be used up.
func (s *Sink) reserve() error {
	if s.c.Max <= 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.room == 0 {
		all, err := maildir.Dir(s.c.Path).Messages()
		if err != nil {
			return err
		}
		s.room = max(0, s.c.Max-len(all))
	}
	if s.room == 0 {
		return fmt.Errorf("%w: %d messages lie in %s and nobody takes them; have the application fetch and delete them, or raise max_messages", errFull, s.c.Max, s.c.Path)
	}
	s.room--
	return nil
}
