package hold

import (
	"slices"
	"time"
)

// This file is for whoever tries other verdicts on what was said before.

// Before gives what of a record is older than t, with the epochs as they are:
// what the evidence of t and later can be applied to once more.
func (r Record) Before(t time.Time) Record {
	past := Record{Address: r.Address}
	for _, s := range r.Scopes {
		s = s.clone()
		s.Holds = slices.DeleteFunc(s.Holds, func(h Hold) bool { return !h.Since.Before(t) })
		s.Marks = slices.DeleteFunc(s.Marks, func(m Mark) bool { return !m.Time.Before(t) })
		if !s.Delivered.Before(t) {
			s.Delivered = time.Time{}
		}
		past.Scopes = append(past.Scopes, s)
	}
	return past
}

// WithEpochs gives the record with the epochs of another, where those are
// later.
func (r Record) WithEpochs(of Record) Record {
	for _, s := range of.Scopes {
		if i, ok := r.find(s.Application); ok && s.Epoch.After(r.Scopes[i].Epoch) {
			own := r.Scopes[i]
			own.Epoch = s.Epoch
			r = r.with(own)
		}
	}
	return r
}

// Running gives the holds that stop mail of an application at a time: all of
// it, or bulk mail of a domain.
func (r Record) Running(application string, now time.Time) (all []Hold) {
	for _, s := range r.Scopes {
		if s.Application != "" && s.Application != application {
			continue
		}
		for _, h := range s.Holds {
			if h.runs(now) {
				all = append(all, h)
			}
		}
	}
	return all
}

// OfFailures reports whether failures led to the hold, and not a wish of the
// recipient or the word of an operator.
func (h Hold) OfFailures() bool {
	return slices.Contains([]string{"hard", "hard-report", "two-reports", "threshold"}, h.Rule)
}
