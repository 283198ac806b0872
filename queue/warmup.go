package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"homing/store"
)

// Warmup is about source addresses that nobody knows yet.
type Warmup struct {
	On   bool
	Warm []string // sources that are in use already, elsewhere
}

// schedule is how many messages a new source sends to a site, on each of the
// first days on which it sends there. Then it is warm. Large receivers watch
// the growth, so it doubles at most.
var schedule = []int{50, 100, 200, 400, 800, 1500, 3000, 6000, 12_000, 25_000, 50_000, 100_000}

// spaceSources is where it is noted which sources are known.
const spaceSources = "source"

// A source is what is known of an address that we send from.
type source struct {
	Warm bool // it was in use before anybody looked
}

// establishedAfter is how long a server must have been sending for its
// addresses to count as warm when they are looked at for the first time.
const establishedAfter = 7 * 24 * time.Hour

// recallSources finds out which sources are new, and notes those that it had
// not seen. While new ones may send what they like, none is noted: what was in
// use then is warm later.
func (q *Queue) recallSources(ctx context.Context) error {
	if !q.options.Load().Warmup.On || q.knowsSources() {
		return nil
	}
	notes, err := q.store.Notes(ctx, spaceSources)
	if err != nil {
		return fmt.Errorf("reading what is known of source addresses: %w", err)
	}
	known := map[string]source{}
	for name, note := range notes {
		var s source
		if err := json.Unmarshal(note, &s); err != nil {
			q.log.Warn("what was noted of a source address cannot be read", "source", name, "err", err)
			continue
		}
		known[name] = s
	}
	old := false
	if len(notes) == 0 {
		if old, err = q.established(ctx); err != nil {
			return err
		}
	}
	fresh := map[string][]byte{}
	for _, name := range q.sourceNames() {
		if _, ok := known[name]; ok {
			continue
		}
		known[name] = source{Warm: old}
		if fresh[name], err = json.Marshal(known[name]); err != nil {
			return err
		}
	}
	if err := q.store.Note(ctx, spaceSources, fresh); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sources = known
	q.shaper.SetLimits(q.limits(*q.options.Load()), q.now())
	q.wake()
	return nil
}

// knowsSources reports whether every source was looked up.
func (q *Queue) knowsSources() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, name := range q.sourceNames() {
		if _, ok := q.sources[name]; !ok {
			return false
		}
	}
	return true
}

func (q *Queue) sourceNames() []string {
	if all := q.options.Load().Limits.Sources; len(all) > 0 {
		return all
	}
	return []string{""}
}

// established reports whether this server has been sending for a while.
func (q *Queue) established(ctx context.Context) (bool, error) {
	page, err := q.store.Find(ctx, store.Query{Max: 1})
	if err != nil {
		return false, fmt.Errorf("looking for the oldest mail: %w", err)
	}
	return len(page.Rows) > 0 && q.now().Sub(page.Rows[0].Message.Accepted) >= establishedAfter, nil
}

// allowance is shape.Limits.Allowance. q.mu is held.
func (q *Queue) allowance(name string, day int) int {
	s, known := q.sources[name]
	switch {
	case q.warm[name] || s.Warm || day >= len(schedule):
		return -1
	case !known:
		return 0 // for the moment until it was looked up
	}
	return schedule[day]
}
