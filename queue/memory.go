package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"homing/queue/shape"
	"homing/store"
)

// spaceSites is where the state of sites is noted: by site, the paths of which
// something must not be forgotten.
const spaceSites = "site"

// noteEvery is how often what was sent on the day is noted.
const noteEvery = time.Minute

// worth reports whether a path has something that a restart must not forget:
// that the site refuses us, how warm the address is there, or what was sent of
// what the day or the rate allows.
func worth(p shape.Path) bool {
	return p.Level > 0 || p.Learned > 0 || p.Day > 0 || p.Spent >= 1 || p.Allowance >= 0 && p.Sent > 0
}

// noteSites makes the state of sites durable, as far as it has changed, and
// what they took.
func (q *Queue) noteSites(ctx context.Context) {
	q.noting.Lock()
	defer q.noting.Unlock()
	q.noteTallies(ctx)
	now := q.now()
	q.mu.Lock()
	sites := q.shaper.Sites(now)
	q.mu.Unlock()
	fresh := map[string][]byte{}
	for _, s := range sites {
		var keep []shape.Path
		for _, p := range s.Paths {
			if worth(p) {
				keep = append(keep, p)
			}
		}
		if len(keep) == 0 {
			continue
		}
		note, err := json.Marshal(keep)
		if err != nil {
			q.log.Error("noting the state of a site failed", "err", err)
			continue
		}
		fresh[s.Name] = note
	}
	changed := map[string][]byte{}
	for name, note := range fresh {
		if string(q.noted[name]) != string(note) {
			changed[name] = note
		}
	}
	for name := range q.noted {
		if fresh[name] == nil {
			changed[name] = nil
		}
	}
	if err := store.NoteAll(ctx, q.store, spaceSites, changed); err != nil {
		if ctx.Err() == nil {
			q.log.Error("noting the state of sites failed", "err", err)
		}
		return
	}
	q.noted = fresh
}

// recall gives the shaper what was noted before the start.
func (q *Queue) recall(ctx context.Context) error {
	notes, err := q.store.Notes(ctx, spaceSites)
	if err != nil {
		return fmt.Errorf("reading the state of sites: %w", err)
	}
	q.noting.Lock()
	q.noted = maps.Clone(notes)
	q.noting.Unlock()
	now := q.now()
	q.mu.Lock()
	defer q.mu.Unlock()
	for site, note := range notes {
		var paths []shape.Path
		if err := json.Unmarshal(note, &paths); err != nil {
			q.log.Warn("the state of a site cannot be read and is forgotten", "site", site, "err", err)
			continue
		}
		for _, p := range paths {
			q.shaper.Restore(site, p, now)
		}
	}
	return nil
}
