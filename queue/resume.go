package queue

import (
	"context"
	"errors"
	"slices"

	"homing/store"
)

// Pause keeps mail from being sent until it is resumed, without eating into
// its lifetime. A standing pause is in force at once, however much waits behind
// it; made again, it changes nothing. Other ones set recipients aside, but for
// those being sent at this moment. Durability and errors are those of Retry.
func (q *Queue) Pause(ctx context.Context, o Order) (Tally, error) {
	t, err := q.task("pause", o)
	if err != nil {
		return Tally{}, err
	}
	p := Pause{Filter: t.Filter, Since: t.began.UTC(), By: o.By, Why: o.Why}
	// Written down first: somebody may look while it goes on.
	if !o.DryRun {
		if p, err = q.notePause(ctx, p, 0); err != nil {
			return t.tally, err
		}
	}
	if p.Standing() {
		return t.stop(ctx, p)
	}
	t.states, t.idle = []store.State{store.Waiting}, true
	t.decide = func(c *store.Case) error { return c.Recipient.Move(store.Paused, q.now()) }
	out, err := t.do(ctx)
	out.Pauses = []Pause{p}
	if o.DryRun {
		return out, err
	}
	var noted error
	switch n := out.Total(); {
	case n > 0:
		out.Pauses[0], noted = q.notePause(ctx, p, n)
	case p.Recipients == 0 && out.Next == "":
		out.Pauses, noted = nil, q.forgetPauses(ctx, out.Pauses)
	}
	return out, errors.Join(err, noted)
}

// notePause writes down a pause that sets more recipients aside. One that is
// there already stays, and counts them.
func (q *Queue) notePause(ctx context.Context, p Pause, more int) (Pause, error) {
	q.pausing.Lock()
	defer q.pausing.Unlock()
	if err := q.loadPauses(ctx); err != nil {
		return p, err
	}
	all := q.pauses.Load().current()
	if i := slices.IndexFunc(all, func(k Pause) bool { return k.name() == p.name() }); i >= 0 {
		p = all[i]
		if more == 0 {
			return p, nil
		}
	}
	p.Recipients += more
	return p, q.changePauses(ctx, &p)
}

// stop counts what waits behind a standing pause.
func (t *task) stop(ctx context.Context, p Pause) (Tally, error) {
	if !t.DryRun {
		t.log.Warn("mail is paused", "what", p.String(), "by", p.By, "why", p.Why)
	}
	err := t.countBehind(ctx, pausesOf([]Pause{p}))
	p.Recipients = t.tally.Total()
	t.tally.Pauses = []Pause{p}
	return t.tally, err
}

// countBehind counts the recipients that wait behind standing pauses, and in a
// dry run shows some.
func (t *task) countBehind(ctx context.Context, p *pauses) error {
	works, err := t.works(ctx)
	if err != nil || len(p.standing) == 0 {
		return err
	}
	count := 0
	for _, w := range works {
		if p.stops(w.Key, t.Provider(w.Key)) {
			count += w.Waiting + w.Leased
		}
	}
	if count > 0 {
		t.tally.Recipients[store.Waiting] += count
	}
	if count == 0 || !t.DryRun {
		return nil
	}
	page, err := t.store.Find(ctx, store.Query{States: []store.State{store.Waiting}, Max: maxExamples,
		Key: func(k store.Key) bool { return p.stops(k, t.Provider(k)) }})
	t.tally.Examples = append(t.tally.Examples, page.Rows...)
	t.tally.Examples = t.tally.Examples[:min(len(t.tally.Examples), maxExamples)]
	return err
}

// Resume ends what keeps the mail of a Filter from being sent: standing pauses
// of all or a part of it, and recipients of it that were set aside. A standing
// pause that means more than the Filter stays, and Tally.Still has it.
// Durability and errors are those of Retry.
func (q *Queue) Resume(ctx context.Context, o Order) (Tally, error) {
	t, err := q.task("resume", o)
	if err != nil {
		return Tally{}, err
	}
	var lifted pauses
	if lifted, err = t.lift(ctx); err == nil && !o.DryRun {
		q.resumed(ctx, lifted.standing)
	}
	if err == nil && o.After == "" {
		err = t.countBehind(ctx, &lifted)
	}
	if err != nil {
		return t.tally, err
	}
	t.states = []store.State{store.Paused}
	t.decide = func(c *store.Case) error {
		now, r := q.now(), &c.Recipient
		if err := r.Move(store.Waiting, now); err != nil {
			return err
		}
		// From when it was due it waited for us: that is no time of its life.
		if waited := now.Sub(r.Due); waited > 0 {
			r.Due, r.Expires = now, r.Expires.Add(waited)
		}
		return nil
	}
	out, err := t.do(ctx)
	if err == nil && out.Next == "" && !o.DryRun {
		err = errors.Join(q.forgetPauses(ctx, lifted.aside), q.tidyPauses(ctx))
	}
	return out, err
}

// lift gives the pauses that the Filter covers, and lifts the standing ones of
// them. Those of recipients set aside are lifted when these are resumed.
func (t *task) lift(ctx context.Context) (lifted pauses, err error) {
	t.pausing.Lock()
	defer t.pausing.Unlock()
	if err := t.loadPauses(ctx); err != nil {
		return lifted, err
	}
	works, err := t.works(ctx)
	if err != nil {
		return lifted, err
	}
	for _, p := range t.pauses.Load().current() {
		switch covered := t.covers(p.Filter, t.straight); {
		case covered && p.Standing():
			lifted.standing = append(lifted.standing, p)
		case covered:
			lifted.aside = append(lifted.aside, p)
		case p.Standing() && t.overlaps(p, works):
			t.tally.Still = append(t.tally.Still, p)
		}
	}
	t.tally.Pauses = lifted.current()
	if t.DryRun || len(lifted.standing) == 0 {
		return lifted, nil
	}
	for _, p := range lifted.standing {
		t.log.Warn("mail is resumed", "what", p.String(), "by", t.By, "why", t.Why)
	}
	return lifted, t.changePauses(ctx, nil, lifted.standing...)
}

// overlaps reports whether a pause stops work that the Filter can mean.
func (t *task) overlaps(p Pause, works []store.Work) bool {
	return slices.ContainsFunc(works, func(w store.Work) bool {
		provider := t.Provider(w.Key)
		return t.wantsKey(w.Key, provider) && p.wantsKey(w.Key, provider)
	})
}

// tidyPauses forgets why recipients were set aside once none is.
func (q *Queue) tidyPauses(ctx context.Context) error {
	counts, err := q.store.Counts(ctx)
	if err != nil || counts[store.Paused] > 0 {
		return err
	}
	return q.forgetPauses(ctx, q.pauses.Load().aside)
}

// forgetPauses lifts pauses.
func (q *Queue) forgetPauses(ctx context.Context, list []Pause) error {
	if len(list) == 0 {
		return nil
	}
	q.pausing.Lock()
	defer q.pausing.Unlock()
	if err := q.loadPauses(ctx); err != nil {
		return err
	}
	return q.changePauses(ctx, nil, list...)
}
