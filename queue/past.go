package queue

import (
	"slices"
	"strings"
	"time"

	"homing/bounce"
	"homing/event"
	"homing/hold"
	"homing/store"
)

// A past is what the hold rules made of the facts about one address by two
// sets of verdicts.
type past struct {
	epochs       hold.Record // what was known before the log begins
	now, then    hold.Record
	applications map[string]bool
	open         map[event.DeliveryID]*deferrals // of deliveries that have no outcome yet
	turns        []pastTurn                      // the youngest
}

// deferrals are those of one delivery by two sets of verdicts.
type deferrals struct {
	attempts  int
	now, then store.Deferrals
}

// A pastTurn is a verdict on one delivery that changed.
type pastTurn struct {
	delivery uint64
	Turn
}

// maxTurns is how many changed verdicts are kept of one address: as many as
// marks are.
const maxTurns = 32

func newPast(before hold.Record) *past {
	return &past{epochs: before, now: before, then: before, applications: map[string]bool{}, open: map[event.DeliveryID]*deferrals{}}
}

// see takes one fact, of a failure with the verdicts of now and of then on it.
func (p *past) see(q *Queue, e event.Event, now, then bounce.Verdict) {
	if e.Application != "" {
		p.applications[e.Application] = true
	}
	e.Diagnostic = strings.ToValidUTF8(strings.Clone(e.Diagnostic[:min(len(e.Diagnostic), shortDiagnostic)]), "")
	switch e.Type {
	case event.Deferred:
		p.turned(e, now, then)
		p.deferred(e, now, then)
	case event.Bounced:
		p.turned(e, now, then)
		p.apply(q, e, findingOf(e, now), findingOf(e, then))
	case event.Expired:
		p.turned(e, now, then)
		p.expired(q, e, now, then)
	case event.Complained, event.Unsubscribed:
		p.apply(q, e, findingOf(e, now), findingOf(e, then))
	case event.Delivered:
		rules := q.options.Load().Rules
		p.now, _ = rules.Delivered(p.now, e.Application, e.Time)
		p.then, _ = rules.Delivered(p.then, e.Application, e.Time)
	case event.Held:
		p.held(e)
	case event.Released:
		p.now, _ = p.now.Release(e.Application, e.Time)
		p.then, _ = p.then.Release(e.Application, e.Time)
		p.now, p.then = p.now.WithEpochs(p.epochs), p.then.WithEpochs(p.epochs)
	}
	switch e.Type {
	case event.Delivered, event.Bounced, event.Expired, event.Cancelled, event.Suppressed:
		delete(p.open, e.Delivery)
	}
}

// shortDiagnostic is how much of what was said is kept, in octets: there may be
// much of it at once.
const shortDiagnostic = 300

// turned keeps a verdict that changed.
func (p *past) turned(e event.Event, now, then bounce.Verdict) {
	t := Turn{Count: 1, Now: meaningOf(now), Then: meaningOf(then), Example: saidBy(e)}
	if !t.Now.counts(t.Then) {
		return
	}
	if len(p.turns) == maxTurns {
		p.turns = slices.Delete(p.turns, 0, 1)
	}
	p.turns = append(p.turns, pastTurn{uint64(e.Delivery), t})
}

// why gives the change that a hold rests on, else the youngest.
func (p *past) why(h hold.Hold) Turn {
	for _, m := range slices.Backward(h.Marks) {
		for _, t := range slices.Backward(p.turns) {
			if t.delivery == m.Delivery {
				return t.Turn
			}
		}
	}
	if len(p.turns) == 0 {
		return Turn{}
	}
	return p.turns[len(p.turns)-1].Turn
}

// apply gives evidence to the hold rules.
func (p *past) apply(q *Queue, e event.Event, now, then finding) {
	wish := e.Type == event.Complained || e.Type == event.Unsubscribed
	for _, side := range []struct {
		record *hold.Record
		f      finding
	}{{&p.now, now}, {&p.then, then}} {
		c := caseOf(e)
		c.Hold = *side.record
		q.holdFor(&c, side.f, wish)
		*side.record = c.Hold
	}
}

// deferred counts an attempt that was put off. A fact without a Basis is not
// counted, and so makes the count incomplete.
func (p *past) deferred(e event.Event, now, then bounce.Verdict) {
	if !synchronous(e) || e.Basis == nil {
		return
	}
	d := p.open[e.Delivery]
	if d == nil {
		d = &deferrals{}
		p.open[e.Delivery] = d
	}
	d.count(e, now, then)
}

func (d *deferrals) count(e event.Event, now, then bounce.Verdict) {
	d.attempts++
	findingOf(e, now).count(&d.now)
	findingOf(e, then).count(&d.then)
}

// expired judges by the deferrals that prevailed. Where some of them are no
// longer in the log, what was told stands.
func (p *past) expired(q *Queue, e event.Event, now, then bounce.Verdict) {
	var d deferrals
	if known := p.open[e.Delivery]; known != nil {
		d = *known
	}
	d.count(e, now, then)
	if e.Basis == nil || d.attempts != e.Attempt {
		p.apply(q, e, findingOf(e, recorded(e)), findingOf(e, recorded(e)))
		return
	}
	p.apply(q, e, findingOf(e, now).expired(d.now), findingOf(e, then).expired(d.then))
}

// held notes the word of an operator, unless a release came after it. What
// rules have held follows from the evidence.
func (p *past) held(e event.Event) {
	if e.Delivery != 0 || e.Hold == nil {
		return
	}
	for _, s := range p.epochs.Scopes {
		if s.Application == e.Application && !e.Time.After(s.Epoch) {
			return
		}
	}
	h := hold.Hold{Since: e.Time, By: "operator", Reason: e.Reason}
	if e.Hold.Until != nil {
		h.Until = *e.Hold.Until
	}
	p.now, _ = p.now.Add(e.Application, h)
	p.then, _ = p.then.Add(e.Application, h)
}

// What may become of an address.
type fate int

const (
	same fate = iota
	kept      // it would be on hold
	free      // it would not be on hold
)

// differs says what becomes of the address, which has a record, for an
// application, and the hold that is new or would be gone. What the record does
// not hold because of these facts is nothing that a change of rules releases,
// and an address that is on hold already is nothing new.
func (p *past) differs(application string, now time.Time, record hold.Record) (fate, hold.Hold) {
	held, isHeld := ofFailures(p.now.Running(application, now))
	would, wouldBe := ofFailures(p.then.Running(application, now))
	real := record.Running(application, now)
	switch {
	case !isHeld && wouldBe && !slices.ContainsFunc(real, func(h hold.Hold) bool { return h.Domain == "" }):
		return kept, would
	case isHeld && !wouldBe && len(real) > 0:
		known := p.now.Running(application, now)
		for _, h := range real {
			again := func(k hold.Hold) bool { return k.Rule == h.Rule && k.Since.Equal(h.Since) }
			if !h.OfFailures() || !slices.ContainsFunc(known, again) {
				return same, hold.Hold{}
			}
		}
		return free, held
	}
	return same, hold.Hold{}
}

// ofFailures gives the first hold that failures led to.
func ofFailures(all []hold.Hold) (hold.Hold, bool) {
	i := slices.IndexFunc(all, hold.Hold.OfFailures)
	if i < 0 {
		return hold.Hold{}, false
	}
	return all[i], true
}
