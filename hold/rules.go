package hold

import (
	"cmp"
	"slices"
	"time"

	"homing/bounce"
)

// Rules are the operator's choices. The zero Rules hold for hard evidence and
// never for soft.
type Rules struct {
	Share      bool           // hard holds count for every application
	Thresholds map[string]int // soft evidence by CiviCRM type; 0 or absent: never
}

// How long things count.
const (
	softHold   = 30 * 24 * time.Hour // a hold that soft evidence led to
	quietAfter = 7 * 24 * time.Hour  // a delivery without a later report clears asynchronous evidence
	twoReports = 24 * time.Hour      // least distance between two reports from strangers
	maxMarks   = 32                  // evidence kept in one Scope; older goes
)

// Unsubscribed is the Mark.Reason of a wish to get no more, and the Rule and
// the Reason of the Hold that it leads to.
const Unsubscribed = "unsubscribe"

// Evidence is one fact about one address, with the flags that the rules need
// and cannot find out, set by the caller before.
type Evidence struct {
	Application string
	Domain      string    // sending domain
	Accepted    time.Time // when the message was accepted
	Mark        Mark      // what was said; Mark.Sync tells a reply from a report

	Complaint   bool // a recipient called the mail unwanted, or unsubscribed
	Surge       bool // a provider fails everybody just now: what it says is provisional
	Unreachable bool // nobody can be reached from here just now: network failures are ours
	Early       bool // said before RCPT named the person: it cannot be about them
}

// An Effect is what evidence did.
type Effect string

// The effects.
const (
	Nothing     Effect = ""            // the record is as it was
	Counting    Effect = "counting"    // noted; not enough for a hold
	Provisional Effect = "provisional" // hard, but from somebody unknown: shown, stops no mail
	Held        Effect = "held"        // this evidence put the address on hold
)

// State gives the Hold that stops a message, if any: of application, sent as
// domain, bulk or not.
func (r Record) State(application, domain string, bulk bool, now time.Time) (Hold, bool) {
	for _, s := range r.Scopes {
		if s.Application != "" && s.Application != application {
			continue
		}
		for _, h := range s.Holds {
			if h.covers(domain, bulk) && h.runs(now) {
				return h, true
			}
		}
	}
	return Hold{}, false
}

func (h Hold) covers(domain string, bulk bool) bool {
	return h.Domain == "" || bulk && h.Domain == domain
}

func (h Hold) runs(now time.Time) bool { return h.Until.IsZero() || now.Before(h.Until) }

// Apply gives the record as it is after the evidence, and the effect. The
// record given is not changed.
func (rules Rules) Apply(r Record, e Evidence) (Record, Effect) {
	scope := r.scope(rules.scopeOf(e))
	if !e.counts(scope) {
		return r, Nothing
	}
	scope = scope.clone()
	scope.expire(e.Mark.Time)
	effect := rules.weigh(&scope, e)
	return r.with(scope), effect
}

// scopeOf says for which application evidence counts.
func (rules Rules) scopeOf(e Evidence) string {
	if rules.Share && !e.Complaint && bounce.Class(e.Mark.Class) == bounce.Hard {
		return ""
	}
	return e.Application
}

// counts tells evidence that may change something from evidence that may not:
// what is not about the person, what is older than the last release, and what
// was counted before.
func (e Evidence) counts(s Scope) bool {
	class := bounce.Class(e.Mark.Class)
	if !e.Complaint && class != bounce.Hard && class != bounce.Soft {
		return false
	}
	if e.Early && !e.Complaint {
		return false
	}
	if e.Unreachable && !e.Complaint && isNetwork(bounce.Reason(e.Mark.Reason)) {
		return false
	}
	// A reply is news whenever it is said; a report is as old as its mail.
	said := e.Accepted
	if e.Mark.Sync {
		said = e.Mark.Time
	}
	if !said.After(s.Epoch) && !s.Epoch.IsZero() {
		return false
	}
	return !s.seen(e.Mark)
}

func isNetwork(r bounce.Reason) bool {
	return r == bounce.NetworkError || r == bounce.HostUnknown || r == bounce.Expired
}

// seen reports whether the same delivery gave evidence of the same class before.
func (s Scope) seen(m Mark) bool {
	same := func(x Mark) bool { return x.Delivery == m.Delivery && x.Class == m.Class && m.Delivery != 0 }
	if slices.ContainsFunc(s.Marks, same) {
		return true
	}
	return slices.ContainsFunc(s.Holds, func(h Hold) bool { return slices.ContainsFunc(h.Marks, same) })
}

// weigh is the table of hold rules in the vocabulary, one case a row.
func (rules Rules) weigh(s *Scope, e Evidence) Effect {
	m := e.Mark
	hard := bounce.Class(m.Class) == bounce.Hard
	switch {
	case e.Complaint:
		rule := string(bounce.Complained)
		if m.Reason == Unsubscribed {
			rule = Unsubscribed
		}
		return s.hold(Hold{Since: m.Time, Domain: e.Domain, Rule: rule, Reason: rule, Marks: []Mark{m}})
	case hard && !e.Surge && m.Sync:
		return s.hold(Hold{Since: m.Time, Rule: "hard", Reason: m.Reason, Marks: []Mark{m}})
	case hard && !e.Surge && m.Related:
		return s.hold(Hold{Since: m.Time, Rule: "hard-report", Reason: m.Reason, Marks: []Mark{m}})
	case hard:
		s.note(m)
		return s.secondReport(e)
	}
	s.note(m)
	return rules.threshold(s, m)
}

// secondReport holds for a hard report from somebody unknown when another one,
// about another message, came at least a day before. What a surge brings
// never adds up.
func (s *Scope) secondReport(e Evidence) Effect {
	if e.Surge {
		return Provisional
	}
	var why []Mark
	for _, x := range s.Marks {
		if bounce.Class(x.Class) == bounce.Hard && x.Message != e.Mark.Message && e.Mark.Time.Sub(x.Time) >= twoReports {
			why = append(why, x)
		}
	}
	if len(why) == 0 {
		return Provisional
	}
	return s.hold(Hold{Since: e.Mark.Time, Rule: "two-reports", Reason: e.Mark.Reason, Marks: append(why, e.Mark)})
}

// threshold holds for soft evidence of one CiviCRM type about enough messages
// on at least two days; then the count starts again.
func (rules Rules) threshold(s *Scope, m Mark) Effect {
	limit := rules.Thresholds[m.CiviCRM]
	if limit <= 0 {
		return Counting
	}
	messages, days := map[uint64]bool{}, map[string]bool{}
	var why []Mark
	for _, x := range s.Marks {
		if x.CiviCRM == m.CiviCRM && bounce.Class(x.Class) == bounce.Soft {
			messages[x.Message], days[x.Time.UTC().Format(time.DateOnly)] = true, true
			why = append(why, x)
		}
	}
	if len(messages) < limit || len(days) < min(2, limit) {
		return Counting
	}
	s.Marks = slices.DeleteFunc(s.Marks, func(x Mark) bool {
		return x.CiviCRM == m.CiviCRM && bounce.Class(x.Class) == bounce.Soft // a hard one of that type still waits for its second
	})
	return s.hold(Hold{Since: m.Time, Until: m.Time.Add(softHold), Rule: "threshold", Reason: m.Reason, Marks: why})
}

// note keeps evidence. A new report means that the last delivery was answered
// by one after all.
func (s *Scope) note(m Mark) {
	s.Marks = append(s.Marks, m)
	if !m.Sync {
		s.Delivered = time.Time{}
	}
	if extra := len(s.Marks) - maxMarks; extra > 0 {
		s.Marks = slices.Delete(s.Marks, 0, extra)
	}
}

// hold adds a Hold. One that stops the same mail at least as long makes it
// superfluous.
func (s *Scope) hold(h Hold) Effect {
	if h.By == "" {
		h.By = "rule"
	}
	for _, x := range s.Holds {
		if x.Domain == h.Domain && (x.Until.IsZero() || !h.Until.IsZero() && !h.Until.After(x.Until)) {
			return Nothing
		}
	}
	s.Holds = slices.DeleteFunc(s.Holds, func(x Hold) bool { return x.Domain == h.Domain })
	s.Holds = append(s.Holds, h)
	return Held
}

// expire forgets holds that have run out, and asynchronous evidence that a
// delivery has answered: a week went by and no report came.
func (s *Scope) expire(now time.Time) {
	s.Holds = slices.DeleteFunc(s.Holds, func(h Hold) bool { return !h.runs(now) })
	if !s.Delivered.IsZero() && now.Sub(s.Delivered) >= quietAfter {
		s.Marks = slices.DeleteFunc(s.Marks, func(m Mark) bool { return !m.Sync && m.Time.Before(s.Delivered) })
		s.Delivered = time.Time{}
	}
}

// Delivered gives the record after a 250 for mail of application: synchronous
// soft evidence is gone, asynchronous evidence goes a week later if no report
// comes. changed is false, and r is given back, when there was none.
func (rules Rules) Delivered(r Record, application string, now time.Time) (after Record, changed bool) {
	for _, name := range []string{application, ""} {
		s := r.scope(name)
		if len(s.Marks) == 0 {
			continue
		}
		s = s.clone()
		s.expire(now)
		s.Marks = slices.DeleteFunc(s.Marks, func(m Mark) bool { return m.Sync && bounce.Class(m.Class) == bounce.Soft })
		if s.Delivered.IsZero() && len(s.Marks) > 0 {
			s.Delivered = now
		}
		r, changed = r.with(s), true
	}
	return r, changed
}

// Add puts an address on hold by an operator's word, for one application or,
// with "", for all.
func (r Record) Add(application string, h Hold) (Record, Effect) {
	s := r.scope(application).clone()
	h.Rule = cmp.Or(h.Rule, "operator")
	effect := s.hold(h)
	return r.with(s), effect
}

// Release ends every hold for one application, or with "" all of them, and
// begins a new epoch: what was said before counts no more.
func (r Record) Release(application string, now time.Time) (after Record, released bool) {
	for _, s := range r.Scopes {
		if application != "" && s.Application != application && s.Application != "" {
			continue
		}
		released = released || len(s.Holds) > 0
		r = r.with(Scope{Application: s.Application, Epoch: now})
	}
	return r, released
}

// Answer ends the hold by which an application's bulk mail, sent as domain, was
// kept from somebody who wished to get no more, until the application knew:
// now it knows, and what it goes on sending is meant.
func (r Record) Answer(application, domain string) (after Record, answered bool) {
	i, ok := r.find(application)
	if !ok {
		return r, false
	}
	s := r.Scopes[i].clone()
	s.Holds = slices.DeleteFunc(s.Holds, func(h Hold) bool { return h.Rule == Unsubscribed && h.Domain == domain })
	if len(s.Holds) == len(r.Scopes[i].Holds) {
		return r, false
	}
	return r.with(s), true
}

// Anonymous gives what has to be known so that the holds that run go on, and
// nothing else: no evidence, no words of operators, and no address.
func (r Record) Anonymous(now time.Time) Record {
	var out Record
	for _, s := range r.Scopes {
		kept := Scope{Application: s.Application}
		for _, h := range s.Holds {
			if !h.runs(now) {
				continue
			}
			h.Marks = nil
			if h.Rule == "operator" {
				h.By, h.Reason = h.Rule, ""
			}
			kept.Holds = append(kept.Holds, h)
		}
		if len(kept.Holds) > 0 {
			out = out.with(kept)
		}
	}
	return out
}

// Join gives a record with the holds of another one as well.
func (r Record) Join(other Record) Record {
	for _, s := range other.Scopes {
		joined := r.scope(s.Application).clone()
		for _, h := range s.Holds {
			same := func(k Hold) bool { return k.Rule == h.Rule && k.Domain == h.Domain && k.Since.Equal(h.Since) }
			if !slices.ContainsFunc(joined.Holds, same) {
				joined.Holds = append(joined.Holds, h)
			}
		}
		r = r.with(joined)
	}
	return r
}

// scope gives the Scope of an application, empty where there is none yet.
func (r Record) scope(application string) Scope {
	if i, ok := r.find(application); ok {
		return r.Scopes[i]
	}
	return Scope{Application: application}
}

func (r Record) find(application string) (int, bool) {
	return slices.BinarySearchFunc(r.Scopes, application, func(s Scope, name string) int {
		return cmp.Compare(s.Application, name)
	})
}

// with gives a copy of the record in which s replaces the scope of its name.
func (r Record) with(s Scope) Record {
	scopes := slices.Clone(r.Scopes)
	if i, ok := r.find(s.Application); ok {
		scopes[i] = s
	} else {
		scopes = slices.Insert(scopes, i, s)
	}
	r.Scopes = scopes
	return r
}

func (s Scope) clone() Scope {
	s.Holds, s.Marks = slices.Clone(s.Holds), slices.Clone(s.Marks)
	return s
}

// Unsubscribed reports whether the person has asked an application for no more
// bulk mail of a domain, and nobody has released that.
func (r Record) Unsubscribed(application, domain string, now time.Time) bool {
	for _, s := range r.Scopes {
		if s.Application == application && slices.ContainsFunc(s.Holds, func(h Hold) bool {
			return h.Rule == Unsubscribed && h.Domain == domain && h.runs(now)
		}) {
			return true
		}
	}
	return false
}
