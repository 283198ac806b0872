package selfcheck

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"homing/dnscheck"
	"homing/event"
)

// Where it is noted how things stand, and what has changed.
const (
	spaceStanding = "check"         // by check and subject
	spaceHistory  = "check_history" // by time, check and subject
)

// Bounds of the history.
const (
	maxHistory = 500
	maxKey     = 300 // octets of the name of a note
	maxText    = 1000
)

// A standing is how one subject of a check stands.
type standing struct {
	Verdict dnscheck.Verdict `json:"verdict"`
	Since   time.Time        `json:"since"`
	Told    bool             `json:"told,omitempty"` // of a failure: it was told

	seen   time.Time // of a failure: when it was found first, by the clock that never jumps; zero: before the start
	doubts int       // how many runs since could not say whether it is so still
}

// A Change is a verdict that is not what it was.
type Change struct {
	Time    time.Time        `json:"time"`
	Check   string           `json:"check"`
	Subject string           `json:"subject"`
	Was     dnscheck.Verdict `json:"was,omitempty"` // "": nothing was known
	Verdict dnscheck.Verdict `json:"verdict"`       // "": it is not checked any more
	Found   string           `json:"found,omitempty"`
	Fix     string           `json:"fix,omitempty"`

	told  event.Type // what is told of it; "": nothing
	quiet bool       // only a confirmation, that is no change
}

func keyOf(f dnscheck.Finding) string {
	key := f.Check + " " + f.Subject
	return key[:min(len(key), maxKey)]
}

// compare takes over how things stand, and gives what has changed. A failure is
// told when a run of confirmAfter later has it still; what could not be found
// out changes nothing. Of several findings of one check and subject the first,
// which is the worst, counts. s.mu is held.
func (s *Checker) compare(found []dnscheck.Finding, now time.Time) (changes []Change) {
	seen, unsure, sure := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, f := range found {
		key := keyOf(f)
		if seen[key] {
			continue
		}
		seen[key] = true
		if of, ok := strings.CutSuffix(f.Check, dnscheck.Usable); ok && f.Verdict != dnscheck.OK {
			unsure[of] = true // who could not be asked has not said that it is over
		}
		if f.Verdict == dnscheck.Skipped {
			unsure[f.Check] = true
			continue
		}
		sure[key] = true
		if c, changed := s.take(key, f, now); changed {
			changes = append(changes, c)
		}
	}
	if !unsure[Unfinished] {
		changes = append(changes, s.vanished(seen, unsure, now)...)
	}
	for key, k := range s.known {
		if k.Verdict == dnscheck.Fail && !k.Told && !sure[key] {
			k.doubts++
			s.known[key] = k
		}
	}
	return changes
}

// take takes over one finding, and reports whether it says something new.
func (s *Checker) take(key string, f dnscheck.Finding, now time.Time) (c Change, changed bool) {
	was, known := s.known[key]
	is := standing{Verdict: f.Verdict, Since: now}
	c = Change{Time: now, Check: f.Check, Subject: f.Subject, Was: was.Verdict, Verdict: f.Verdict, Found: clip(f.Found), Fix: clip(f.Fix)}
	switch {
	case known && was.Verdict == f.Verdict && (f.Verdict != dnscheck.Fail || was.Told || time.Since(was.seen) < confirmAfter):
		return c, false
	case known && was.Verdict == f.Verdict:
		is.Since, is.Told, c.told, c.quiet = was.Since, true, event.CheckFailed, true
	case was.Told:
		c.told = event.CheckRecovered
	case f.Verdict == dnscheck.Fail:
		is.seen = time.Now()
	}
	s.known[key] = is
	return c, known || f.Verdict != dnscheck.OK
}

// vanished forgets what is not checked any more: what was not seen, where its
// check found out everything.
func (s *Checker) vanished(seen, unsure map[string]bool, now time.Time) (changes []Change) {
	for key, was := range s.known {
		check, subject, _ := strings.Cut(key, " ")
		if seen[key] || unsure[check] {
			continue
		}
		delete(s.known, key)
		c := Change{Time: now, Check: check, Subject: subject, Was: was.Verdict, Found: "it is not checked any more"}
		if was.Told {
			c.told = event.CheckRecovered
		}
		changes = append(changes, c)
	}
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Or(cmp.Compare(a.Check, b.Check), cmp.Compare(a.Subject, b.Subject)) })
	return changes
}

func clip(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxText)], "") }

func (c Change) level() slog.Level {
	switch c.Verdict {
	case dnscheck.Fail:
		return slog.LevelError
	case dnscheck.Warn:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// sentence is what an event says of a change.
func (c Change) sentence() string {
	switch {
	case c.told == event.CheckFailed:
		return fmt.Sprintf("The check %s of %s fails: %s. To mend it: %s", c.Check, c.Subject, c.Found, c.Fix)
	case c.Found != "":
		return fmt.Sprintf("The check %s of %s fails no more: %s.", c.Check, c.Subject, c.Found)
	}
	return fmt.Sprintf("The check %s of %s fails no more.", c.Check, c.Subject)
}

// History gives what has changed, newest first.
func (s *Checker) History() []Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.past)
	slices.Reverse(all)
	return all
}

// eventsOf gives what is told of changes.
func eventsOf(changes []Change) (all []event.Event) {
	for _, c := range changes {
		if c.told != "" {
			all = append(all, event.Event{Type: c.told, Time: c.Time, Text: c.sentence()})
		}
	}
	return all
}

// notes are what is not durable yet, by name.
type notes struct{ standing, history map[string][]byte }

// note makes how things stand durable, and what has changed: now, or the next
// time.
func (s *Checker) note(ctx context.Context, changes []Change) error {
	s.mu.Lock()
	err := s.add(changes)
	due := s.unnoted
	s.mu.Unlock()
	if err != nil || len(due.standing)+len(due.history) == 0 {
		return err
	}
	if err := s.c.Notes.Note(ctx, spaceStanding, due.standing); err != nil {
		return err
	}
	if err := s.c.Notes.Note(ctx, spaceHistory, due.history); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unnoted = notes{}
	return nil
}

// add adds changes to the history and to what is to be noted. s.mu is held.
func (s *Checker) add(changes []Change) (err error) {
	n := &s.unnoted
	if n.standing == nil {
		n.standing, n.history = map[string][]byte{}, map[string][]byte{}
	}
	for _, c := range changes {
		key := keyOf(dnscheck.Finding{Check: c.Check, Subject: c.Subject})
		if n.standing[key] = nil; c.Verdict != "" {
			if n.standing[key], err = json.Marshal(s.known[key]); err != nil {
				return err
			}
		}
		if c.quiet {
			continue
		}
		s.past = append(s.past, c)
		if n.history[c.name()], err = json.Marshal(c); err != nil {
			return err
		}
	}
	for len(s.past) > maxHistory {
		name := s.past[0].name()
		if _, fresh := n.history[name]; fresh {
			delete(n.history, name)
		} else {
			n.history[name] = nil
		}
		s.past = s.past[1:]
	}
	return nil
}

// name is what a Change is noted under.
func (c Change) name() string {
	return c.Time.Format("2006-01-02T15:04:05.000000000Z") + " " + keyOf(dnscheck.Finding{Check: c.Check, Subject: c.Subject})
}

// recall reads what was noted. What cannot be read is forgotten.
func (s *Checker) recall(ctx context.Context) error {
	s.known = map[string]standing{}
	states, err := s.c.Notes.Notes(ctx, spaceStanding)
	if err != nil {
		return fmt.Errorf("reading how the checks stood: %w", err)
	}
	for key, note := range states {
		var k standing
		if json.Unmarshal(note, &k) == nil {
			s.known[key] = k
		}
	}
	past, err := s.c.Notes.Notes(ctx, spaceHistory)
	if err != nil {
		return fmt.Errorf("reading the history of the checks: %w", err)
	}
	for _, note := range past {
		var c Change
		if json.Unmarshal(note, &c) == nil {
			s.past = append(s.past, c)
		}
	}
	slices.SortFunc(s.past, func(a, b Change) int { return cmp.Compare(a.name(), b.name()) })
	return nil
}
