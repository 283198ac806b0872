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
}

// Standing reports whether the Pause stops what comes later, too.
func (p Pause) Standing() bool { return p.ofKeys() }

// pauses are all that count at one moment. A value never changes, so that it
// can be read without a lock. The zero value is nothing.
type pauses struct {
	standing []Pause // oldest first
	aside    []Pause // oldest first
}

func pausesOf(all []Pause) *pauses {
	out := &pauses{}
	slices.SortFunc(all, func(a, b Pause) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.name(), b.name())) })
	for _, p := range all {
		if p.Standing() {
			out.standing = append(out.standing, p)
		} else {
			out.aside = append(out.aside, p)
		}
	}
	return out
}

// all gives them in one list.
func (p *pauses) all() []Pause { return slices.Concat(p.standing, p.aside) }

// stops reports whether work under a key, for a provider of that name, waits
// for somebody's decision.
func (p *pauses) stops(k store.Key, provider string) bool {
	return slices.ContainsFunc(p.standing, func(s Pause) bool { return s.wantsKey(k, provider) })
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

// changePauses adds one pause and lifts others. That is durable and in force
// when it returns nil. The caller holds pausing.
func (q *Queue) changePauses(ctx context.Context, add *Pause, lift ...Pause) error {
	notes := map[string][]byte{}
	for _, p := range lift {
		notes[p.name()] = nil
	}
	all := slices.DeleteFunc(q.pauses.Load().all(), func(p Pause) bool {
		_, lifted := notes[p.name()]
		return lifted || add != nil && p.name() == add.name()
	})
	if add != nil {
		text, err := json.Marshal(add)
		if err != nil {
			return fmt.Errorf("writing down a pause: %w", err)
		}
		notes[add.name()] = text
		all = append(all, *add)
	}
	if err := q.store.Note(context.WithoutCancel(ctx), pauseSpace, notes); err != nil {
		return fmt.Errorf("noting what is paused: %w", err)
	}
	q.usePauses(pausesOf(all))
	return nil
}

// Wanted reports whether an item that was claimed is still to be sent: nobody
// has cancelled it or paused its work since. What is not wanted needs no Done:
// Finish gives it back.
func (q *Queue) Wanted(it Item) bool {
	k := it.Recipient.Key
	if p := q.pauses.Load(); len(p.standing) > 0 && p.stops(k, q.Provider(k.Domain)) {
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
		if i := slices.IndexFunc(p.standing, func(s Pause) bool { return s.wantsKey(k, q.Provider(k.Domain)) }); i >= 0 {
			return p.standing[i], true
		}
	case store.Paused:
		for _, a := range slices.Backward(p.aside) {
			if a.wantsKey(k, q.Provider(k.Domain)) && a.wantsMessage(r.Message) {
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
			provider := q.Provider(w.Domain)
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
