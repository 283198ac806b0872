package queue

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"homing/store"
)

// spaceTally is where it is noted what sites took lately.
const spaceTally = "tally"

const (
	// tallyDays is how many days of UTC are remembered.
	tallyDays = 30
	// tallySites is how many sites are: where there are more, those with the
	// least mail are added up under the name others.
	tallySites = 2000
)

// others is the name of all sites that are too small to be remembered one by
// one. No site is called so.
const others = "*"

// A tallied is what happened at a site on a day of UTC.
type tallied struct {
	Date  int64 // days since 1970
	Taken int   // messages that it took
	Ended int   // attempts that it answered, whatever it said
	Busy  int64 // milliseconds that these took
}

// tallies count what sites took. They have a lock of their own, because every
// attempt is counted.
type tallies struct {
	mu      sync.Mutex
	sites   map[string][]tallied // oldest day first
	changed map[string]bool      // since they were noted
}

// tally counts an attempt that a site has answered.
func (q *Queue) tally(site string, r Result) {
	if !r.Ours {
		q.tallies.count(site, q.now(), r.Reply.Positive(), r.Took)
	}
}

// dateOf numbers the days of UTC.
func dateOf(now time.Time) int64 { return now.Unix() / (24 * 60 * 60) }

func (t *tallies) count(site string, now time.Time, taken bool, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sites == nil {
		t.sites, t.changed = map[string][]tallied{}, map[string]bool{}
	}
	if _, known := t.sites[site]; !known && len(t.sites) >= tallySites {
		t.fold()
	}
	one := tallied{Date: dateOf(now), Ended: 1, Busy: took.Milliseconds()}
	if taken {
		one.Taken = 1
	}
	t.add(site, one)
}

// add adds what happened on a day.
func (t *tallies) add(site string, one tallied) {
	days := t.sites[site]
	i, found := slices.BinarySearchFunc(days, one.Date, func(d tallied, date int64) int { return cmp.Compare(d.Date, date) })
	if found {
		days[i].Taken, days[i].Ended, days[i].Busy = days[i].Taken+one.Taken, days[i].Ended+one.Ended, days[i].Busy+one.Busy
	} else {
		days = slices.Insert(days, i, one)
	}
	t.sites[site], t.changed[site] = days, true
}

// fold adds the smaller half of the sites to the others.
func (t *tallies) fold() {
	names := slices.Collect(maps.Keys(t.sites))
	taken := map[string]int{}
	for _, name := range names {
		taken[name] = sum(t.sites[name]).Taken
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(taken[a]-taken[b], cmp.Compare(a, b)) })
	for _, name := range names[:len(names)/2] {
		if name == others {
			continue
		}
		for _, d := range t.sites[name] {
			t.add(others, d)
		}
		delete(t.sites, name)
		t.changed[name] = true
	}
}

// sum adds up days. Its Date is that of the first.
func sum(days []tallied) (all tallied) {
	for i, d := range days {
		if i == 0 {
			all.Date = d.Date
		}
		all.Taken, all.Ended, all.Busy = all.Taken+d.Taken, all.Ended+d.Ended, all.Busy+d.Busy
	}
	return all
}

// sums gives what each site did in the days that are remembered.
func (t *tallies) sums(now time.Time) map[string]tallied {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.age(now)
	all := map[string]tallied{}
	for name, days := range t.sites {
		all[name] = sum(days)
	}
	return all
}

// age forgets days that are too old, and sites without any.
func (t *tallies) age(now time.Time) {
	oldest := dateOf(now) - tallyDays + 1
	for name, days := range t.sites {
		i := slices.IndexFunc(days, func(d tallied) bool { return d.Date >= oldest })
		switch {
		case i < 0:
			delete(t.sites, name)
		case i > 0:
			t.sites[name] = slices.Delete(days, 0, i)
		default:
			continue
		}
		t.changed[name] = true
	}
}

// take gives what has changed since the last take, as notes.
func (t *tallies) take(now time.Time) (map[string][]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.age(now)
	notes := map[string][]byte{}
	for name := range t.changed {
		notes[name] = nil
		if days := t.sites[name]; len(days) > 0 {
			text, err := json.Marshal(days)
			if err != nil {
				return nil, err
			}
			notes[name] = text
		}
	}
	clear(t.changed)
	return notes, nil
}

// again has sites noted with the next take.
func (t *tallies) again(notes map[string][]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name := range notes {
		t.changed[name] = true
	}
}

// noteTallies makes durable what sites took. What is counted between two of
// these is lost with the process: it is no more than a measure.
func (q *Queue) noteTallies(ctx context.Context) {
	notes, err := q.tallies.take(q.now())
	if err == nil && len(notes) > 0 {
		err = store.NoteAll(ctx, q.store, spaceTally, notes)
	}
	if err == nil {
		return
	}
	q.tallies.again(notes)
	if ctx.Err() == nil {
		q.log.Error("noting what sites took failed", "err", err)
	}
}

// recallTallies reads what was noted before the start.
func (q *Queue) recallTallies(ctx context.Context) error {
	notes, err := q.store.Notes(ctx, spaceTally)
	if err != nil {
		return fmt.Errorf("reading what sites took: %w", err)
	}
	sites := map[string][]tallied{}
	for name, text := range notes {
		var days []tallied
		if err := json.Unmarshal(text, &days); err != nil {
			q.log.Warn("what a site took cannot be read and is forgotten", "site", name, "err", err)
			continue
		}
		sites[name] = days
	}
	q.tallies.mu.Lock()
	defer q.tallies.mu.Unlock()
	q.tallies.sites, q.tallies.changed = sites, map[string]bool{}
	return nil
}
