package queue

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"homing/bounce"
	"homing/event"
	"homing/hold"
)

// A Replay is what other rules would make of the failures in the log. The API
// and `homing classify --replay --json` give it.
type Replay struct {
	From         time.Time  `json:"from,omitzero"` // the first failure that was read
	To           time.Time  `json:"to,omitzero"`   // the last one
	Failures     int        `json:"failures"`
	Unjudged     int        `json:"unjudged"` // of these, told by a version that did not keep what a verdict takes
	Changed      int        `json:"changed"`  // of these, those on which the verdict changes
	Changes      []Turn     `json:"changes"`  // the most frequent first
	WouldHold    []HeldTurn `json:"would_hold"`
	WouldRelease []HeldTurn `json:"would_release"`
	Cut          bool       `json:"cut"` // there are more addresses
}

// A Turn is a change from one verdict to another.
type Turn struct {
	Count   int     `json:"count"` // of failures
	Now     Meaning `json:"now"`
	Then    Meaning `json:"then"`
	Example Said    `json:"example"`
}

// A Meaning is a verdict without the text that it rests on.
type Meaning struct {
	Class   bounce.Class  `json:"class"`
	Reason  bounce.Reason `json:"reason"`
	CiviCRM string        `json:"civicrm,omitempty"`
	Rule    string        `json:"rule"`
}

func meaningOf(v bounce.Verdict) Meaning { return Meaning{v.Class, v.Reason, v.CiviCRM, v.Rule} }

// counts reports whether a change of verdicts is one for the hold rules.
func (m Meaning) counts(then Meaning) bool {
	m.Rule, then.Rule = "", ""
	return m != then
}

// Said is what was said of whom.
type Said struct {
	Time       time.Time `json:"time"`
	Recipient  string    `json:"recipient"`
	RemoteMTA  string    `json:"remote_mta,omitempty"`
	Diagnostic string    `json:"diagnostic,omitempty"`
}

// A HeldTurn is an address that is held by one set of rules for failures and
// free by the other, for one application.
type HeldTurn struct {
	Address     string     `json:"address"`
	Application string     `json:"application"`
	Rule        string     `json:"rule"` // of the hold
	Reason      string     `json:"reason"`
	Since       time.Time  `json:"since"`
	Until       *time.Time `json:"until"` // null: until released
	Why         Turn       `json:"why"`   // the change that decides
}

// Limits of a Replay.
const (
	mostListed  = 10_000  // addresses in its lists
	mostSuspect = 100_000 // addresses with changed verdicts
	suspectsRun = 10_000  // of these, looked at in one pass over the log
)

// Replay judges the failures in the log by the rules of now and of then, and
// says for which addresses that leads to another outcome of the hold rules. It
// changes nothing. One runs at a time: ErrBusy. It reads the log once, and once
// more for each 10,000 addresses with changed verdicts.
func (q *Queue) Replay(ctx context.Context, now, then bounce.Rules) (Replay, error) {
	if !q.reading.TryLock() {
		return Replay{}, ErrBusy
	}
	defer q.reading.Unlock()
	r := replayer{Queue: q, judges: []judge{newJudge(now), newJudge(then)}, turns: map[turn]*Turn{}, suspects: map[string]bool{},
		out: Replay{WouldHold: []HeldTurn{}, WouldRelease: []HeldTurn{}}}
	if err := q.readLog(ctx, 1, 0, func(e event.Event) error { return r.compare(ctx, e) }); err != nil {
		return Replay{}, fmt.Errorf("judging what is in the log: %w", err)
	}
	for addresses := range slices.Chunk(slices.Sorted(maps.Keys(r.suspects)), suspectsRun) {
		if err := r.hold(ctx, addresses); err != nil {
			return Replay{}, fmt.Errorf("applying the hold rules to what is in the log: %w", err)
		}
		if r.out.Cut && r.listed() == mostListed {
			break
		}
	}
	r.sortTurns()
	return r.out, nil
}

// A replayer is a Replay while it is made.
type replayer struct {
	*Queue
	judges   []judge // of now and of then
	out      Replay
	began    time.Time // the first fact in the log
	last     event.ID  // in it, as far as it is looked at
	turns    map[turn]*Turn
	suspects map[string]bool // canonical addresses with changed verdicts
}

// A turn is what failures that change alike have in common.
type turn struct{ now, then Meaning }

// sortTurns notes the changes of verdicts, the most frequent first.
func (r *replayer) sortTurns() {
	r.out.Changes = make([]Turn, 0, len(r.turns))
	for _, t := range r.turns {
		r.out.Changes = append(r.out.Changes, *t)
	}
	slices.SortFunc(r.out.Changes, func(a, b Turn) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Now.Rule, b.Now.Rule), cmp.Compare(a.Then.Rule, b.Then.Rule), b.Example.Time.Compare(a.Example.Time))
	})
}

// compare is the first pass: which verdicts change, and for whom.
func (r *replayer) compare(ctx context.Context, e event.Event) error {
	if r.began.IsZero() {
		r.began = e.Time
	}
	r.last = e.ID
	if !failure(e) {
		return nil
	}
	if r.out.Failures == 0 {
		r.out.From = e.Time
	}
	r.out.Failures++
	r.out.To = e.Time
	if e.Basis == nil {
		r.out.Unjudged++
		return nil
	}
	v, err := r.rejudge(ctx, e, r.judges...)
	if err != nil {
		return err
	}
	t := turn{meaningOf(v[0]), meaningOf(v[1])}
	if t.now == t.then {
		return nil
	}
	r.out.Changed++
	if r.turns[t] == nil {
		r.turns[t] = &Turn{Now: t.now, Then: t.then}
	}
	r.turns[t].Count++
	r.turns[t].Example = saidBy(e)
	if address := hold.Canonical(e.Recipient); t.now.counts(t.then) && e.Application != "" && !r.suspects[address] {
		if len(r.suspects) < mostSuspect {
			r.suspects[address] = true
		} else {
			r.out.Cut = true
		}
	}
	return nil
}

func saidBy(e event.Event) Said {
	return Said{Time: e.Time, Recipient: e.Recipient, RemoteMTA: e.RemoteMTA, Diagnostic: e.Diagnostic}
}

// hold is the second pass: what the hold rules make of the facts about some
// addresses.
func (r *replayer) hold(ctx context.Context, addresses []string) error {
	pasts := make(map[string]*past, len(addresses))
	for _, a := range addresses {
		record, err := r.store.Hold(ctx, a)
		if err != nil {
			return err
		}
		pasts[a] = newPast(record.Before(r.began))
	}
	err := r.readLog(ctx, 1, r.last, func(e event.Event) error {
		p := pasts[hold.Canonical(e.Recipient)]
		if p == nil {
			return nil
		}
		v := []bounce.Verdict{recorded(e), recorded(e)}
		if failure(e) && e.Basis != nil {
			var err error
			if v, err = r.rejudge(ctx, e, r.judges...); err != nil {
				return err
			}
		}
		p.see(r.Queue, e, v[0], v[1])
		return nil
	})
	if err != nil {
		return err
	}
	for _, a := range addresses {
		record, err := r.store.Hold(ctx, a)
		if err != nil {
			return err
		}
		r.list(a, pasts[a], record)
	}
	return nil
}

// listed counts the addresses in the lists.
func (r *replayer) listed() int { return len(r.out.WouldHold) + len(r.out.WouldRelease) }

// list notes what becomes of an address that has a record.
func (r *replayer) list(address string, p *past, record hold.Record) {
	now := r.now()
	for _, application := range slices.Sorted(maps.Keys(p.applications)) {
		into, h := p.differs(application, now, record)
		if into == same {
			continue
		}
		if r.listed() == mostListed {
			r.out.Cut = true
			return
		}
		t := HeldTurn{Address: address, Application: application, Rule: h.Rule, Reason: h.Reason, Since: h.Since.UTC(), Why: p.why(h)}
		if !h.Until.IsZero() {
			until := h.Until.UTC()
			t.Until = &until
		}
		if into == free {
			r.out.WouldRelease = append(r.out.WouldRelease, t)
		} else {
			r.out.WouldHold = append(r.out.WouldHold, t)
		}
	}
}
