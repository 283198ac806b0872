package queue

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"homing/store"
)

// A Pause is a decision that mail waits until it is resumed.
//
// Where its Filter can be told by the key of the work (domain, provider,
// application, campaign), the Pause is standing: it stops what waits and what
// comes later, and its recipients stay Waiting. Else it says why recipients
// were set aside, which are Paused.
type Pause struct {
	Filter
	Since time.Time `json:"since"`
	By    string    `json:"by"`            // who decided
	Why   string    `json:"why,omitempty"` // in their words
	// Recipients is how many wait behind a standing Pause now, or else how
	// many it has set aside, of which some may be gone by now.
	Recipients int `json:"recipients,omitempty"`
	// Lifted is when a standing pause ended. It is remembered for a while, so
	// that it takes nothing from the lifetime of what waited behind it.
	Lifted time.Time `json:"lifted,omitzero"`
}

// Standing reports whether the Pause stops what comes later, too.
func (p Pause) Standing() bool { return p.ofKeys() }

// note is the name of the note that keeps it.
func (p Pause) note() string {
	if p.Lifted.IsZero() {
		return p.name()
	}
	return fmt.Sprintf("%s %d", p.name(), p.Since.UnixNano())
}

// pauses are all that count at one moment. A value never changes, so that it
// can be read without a lock. The zero value is nothing.
type pauses struct {
	standing []Pause // oldest first
	aside    []Pause // oldest first
	past     []Pause // standing once, oldest first
}

func pausesOf(all []Pause) *pauses {
	out := &pauses{}
	slices.SortFunc(all, func(a, b Pause) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.name(), b.name())) })
	for _, p := range all {
		switch {
		case !p.Lifted.IsZero():
			out.past = append(out.past, p)
		case p.Standing():
			out.standing = append(out.standing, p)
		default:
			out.aside = append(out.aside, p)
		}
	}
	return out
}

// current gives those that have not been lifted, in one list.
func (p *pauses) current() []Pause { return slices.Concat(p.standing, p.aside) }

// stops reports whether work under a key, for a provider of that name, waits
// for somebody's decision.
func (p *pauses) stops(k store.Key, provider string) bool {
	return slices.ContainsFunc(p.standing, func(s Pause) bool { return s.wantsKey(k, provider) })
}

// spans gives when work under a key was paused, until a moment.
func (p *pauses) spans(k store.Key, provider string, to time.Time) (all []span) {
	for _, s := range slices.Concat(p.past, p.standing) {
		if !s.wantsKey(k, provider) {
			continue
		}
		end := to
		if !s.Lifted.IsZero() {
			end = s.Lifted
		}
		all = append(all, span{s.Since, end})
	}
	return all
}

// paused gives how much of the time from one moment to another work under a key
// was paused.
func (q *Queue) paused(k store.Key, from, to time.Time) time.Duration {
	p := q.pauses.Load()
	if len(p.past) == 0 && len(p.standing) == 0 {
		return 0
	}
	return overlap(p.spans(k, q.Provider(k), to), from, to)
}

// pauseSpace is where pauses are noted in the store.
const pauseSpace = "pause"

// loadPauses reads what was paused before the start, once. The caller holds
// pausing.
func (q *Queue) loadPauses(ctx context.Context) error {
	if q.pausesLoaded {
		return nil
	}
	notes, err := q.store.Notes(ctx, pauseSpace)
	if err != nil {
		return fmt.Errorf("reading what is paused: %w", err)
	}
	var all []Pause
	for name, text := range notes {
		var p Pause
		if err := json.Unmarshal(text, &p); err != nil {
			return fmt.Errorf("reading the pause %s: %w", name, err)
		}
		all = append(all, p)
	}
	q.usePauses(pausesOf(all))
	q.pausesLoaded = true
	return nil
}

// usePauses puts pauses in force.
func (q *Queue) usePauses(p *pauses) {
	q.pauses.Store(p)
	q.metrics.pauses.Set(float64(len(p.standing)))
	q.mu.Lock()
	defer q.mu.Unlock()
	q.shaper.SetPaused(p.stops, q.now())
	q.wake()
}

// startPauses puts in force what was paused before the start.
func (q *Queue) startPauses(ctx context.Context) error {
	q.pausing.Lock()
	defer q.pausing.Unlock()
	return q.loadPauses(ctx)
}

// changePauses adds one pause, in the place of what has its name, and lifts
// others. That is durable and in force when it returns nil. The caller holds
// pausing.
func (q *Queue) changePauses(ctx context.Context, add *Pause, lift ...Pause) error {
	now := q.now().UTC()
	gone := map[string]bool{}
	var fresh []Pause
	for _, p := range lift {
		gone[p.note()] = true
		if p.Standing() {
			p.Lifted = now
			fresh = append(fresh, p)
		}
	}
	if add != nil {
		gone[add.note()] = true
		fresh = append(fresh, *add)
	}
	p := q.pauses.Load()
	notes := map[string][]byte{}
	keep := slices.DeleteFunc(slices.Concat(p.current(), p.past), func(p Pause) bool {
		old := !p.Lifted.IsZero() && now.Sub(p.Lifted) > q.options.Load().Lifetime
		if !old && !gone[p.note()] {
			return false
		}
		notes[p.note()] = nil
		return true
	})
	if err := q.writePauses(ctx, fresh, notes); err != nil {
		return fmt.Errorf("noting what is paused: %w", err)
	}
	q.usePauses(pausesOf(slices.Concat(keep, fresh)))
	return nil
}

// writePauses adds pauses to notes and makes these durable.
func (q *Queue) writePauses(ctx context.Context, list []Pause, notes map[string][]byte) error {
	for _, p := range list {
		text, err := json.Marshal(p)
		if err != nil {
			return err
		}
		notes[p.note()] = text
	}
	return store.NoteAll(context.WithoutCancel(ctx), q.store, pauseSpace, notes)
}

// Wanted reports whether an item that was claimed is still to be sent: nobody
// has cancelled it or paused its work since. What is not wanted needs no Done:
// Finish gives it back.
func (q *Queue) Wanted(it Item) bool {
	k := it.Recipient.Key
	if p := q.pauses.Load(); len(p.standing) > 0 && p.stops(k, q.Provider(k)) {
		return false
	}
	if !q.cancelled.Load() {
		return true
	}
	// Whoever cancels takes the lease away.
	return q.store.Extend(context.Background(), q.now().Add(leaseTime), it.Token) == nil
}

// Paused says why a recipient is paused, if it is.
func (q *Queue) Paused(r store.Row) (Pause, bool) {
	p, k := q.pauses.Load(), r.Recipient.Key
	switch r.Recipient.State {
	case store.Waiting:
		if i := slices.IndexFunc(p.standing, func(s Pause) bool { return s.wantsKey(k, q.Provider(k)) }); i >= 0 {
			return p.standing[i], true
		}
	case store.Paused:
		for _, a := range slices.Backward(p.aside) {
			if a.wantsKey(k, q.Provider(k)) && a.wantsRow(r) {
				return a, true
			}
		}
		return Pause{}, true // what is known of it was lost
	}
	return Pause{}, false
}

// Pauses gives all that is paused, oldest first, standing pauses before what
// was set aside, and how many recipients are set aside altogether.
func (q *Queue) Pauses(ctx context.Context) (all []Pause, aside int, err error) {
	if err := q.startPauses(ctx); err != nil {
		return nil, 0, err
	}
	counts, err := q.store.Counts(ctx)
	if err != nil {
		return nil, 0, err
	}
	p := q.pauses.Load()
	all = slices.Clone(p.standing)
	if len(all) > 0 {
		works, err := q.works(ctx)
		if err != nil {
			return nil, 0, err
		}
		for _, w := range works {
			provider := q.Provider(w.Key)
			for i := range all {
				if all[i].wantsKey(w.Key, provider) {
					all[i].Recipients += w.Waiting + w.Leased
				}
			}
		}
	}
	if counts[store.Paused] > 0 {
		all = append(all, p.aside...)
	}
	return all, counts[store.Paused], nil
}

// works gives all work there is.
func (q *Queue) works(ctx context.Context) ([]store.Work, error) {
	counts, err := q.store.Counts(ctx)
	if err != nil || counts[store.Waiting] == 0 {
		return nil, err // Due would wait for the first work ever
	}
	works, _, err := q.store.Due(ctx, 0)
	return works, err
}
