package tlsrpt

import (
	"maps"
	"time"
)

// Bounds of what is counted in a day. What does not fit is not reported.
const (
	maxDomains  = 10_000
	maxPolicies = 8  // of a domain; it may change, and each host has records of its own
	maxFailures = 20 // different ones of a policy; others are counted without details
	maxReason   = 100
	maxOctets   = 16 << 10 // of the lines of a policy
)

// A day is what was counted from one midnight (UTC) to the next.
type day map[string]*account

// An account is what was counted for one domain.
type account struct {
	tallies []*tally
	changed bool // since it was noted

	// When the report is due.
	next  time.Time
	tries int
	told  map[string]bool // by URI of the receiver
}

// A tally is what was counted for one policy.
type tally struct {
	Policy   Policy    `json:"policy"`
	Good     int       `json:"good,omitempty"`
	Bad      int       `json:"bad,omitempty"`
	Failures []counted `json:"failures,omitempty"`
}

type counted struct {
	Failure
	Count int `json:"count"`
}

// add counts a session.
func (d day) add(s Session) {
	s.Policy.Lines = clip(s.Policy.Lines)
	a := d[s.Domain]
	if a == nil {
		if len(d) >= maxDomains {
			return
		}
		a = &account{}
		d[s.Domain] = a
	}
	t := a.tally(s.Policy)
	if t == nil {
		return
	}
	a.changed = true
	if s.Failure == nil {
		t.Good++
		return
	}
	t.Bad++
	t.count(*s.Failure)
}

// clip gives the lines that are kept: a note of the store has an end.
func clip(lines []string) []string {
	room := maxOctets
	for i, line := range lines {
		if room -= len(line); room < 0 {
			return lines[:i]
		}
	}
	return lines
}

// tally gives the tally of a policy; nil where there are too many.
func (a *account) tally(p Policy) *tally {
	for _, t := range a.tallies {
		if t.Policy.equal(p) {
			return t
		}
	}
	if len(a.tallies) >= maxPolicies {
		return nil
	}
	t := &tally{Policy: p}
	a.tallies = append(a.tallies, t)
	return t
}

func (t *tally) count(f Failure) {
	f.Reason = f.Reason[:min(len(f.Reason), maxReason)]
	if len(t.Failures) >= maxFailures-1 {
		known := false
		for _, c := range t.Failures {
			known = known || c.Failure == f
		}
		if !known {
			f = Failure{Type: f.Type} // one more for each type at most
		}
	}
	for i := range t.Failures {
		if t.Failures[i].Failure == f {
			t.Failures[i].Count++
			return
		}
	}
	t.Failures = append(t.Failures, counted{f, 1})
}

// copy gives the tallies of an account as they are now.
func (a *account) copy() []tally {
	var out []tally
	for _, t := range a.tallies {
		c := *t
		c.Failures = append([]counted{}, t.Failures...)
		out = append(out, c)
	}
	return out
}

// changed gives the domains of a day that are to be noted.
func (d day) changed() map[string][]tally {
	out := map[string][]tally{}
	for domain, a := range maps.All(d) {
		if a.changed {
			out[domain], a.changed = a.copy(), false
		}
	}
	return out
}
