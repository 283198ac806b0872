package queue

import (
	"context"
	"fmt"
	"maps"

	"homing/store"
)

// spacePlaces is where it is noted at which sites the domains are that mail
// waits for. Without that, nobody would know after a restart which mail is a
// provider's before something is sent there.
const spacePlaces = "place"

// notePlaces makes it durable where the domains are, as far as that has
// changed.
func (q *Queue) notePlaces(ctx context.Context) {
	q.noting.Lock()
	defer q.noting.Unlock()
	q.mu.Lock()
	fresh := q.shaper.Places()
	q.mu.Unlock()
	changed := map[string][]byte{}
	for domain, site := range fresh {
		if q.placed[domain] != site {
			changed[domain] = []byte(site)
		}
	}
	for domain := range q.placed {
		if _, waits := fresh[domain]; !waits {
			changed[domain] = nil
		}
	}
	if err := store.NoteAll(ctx, q.store, spacePlaces, changed); err != nil {
		if ctx.Err() == nil {
			q.log.Error("noting where domains are failed", "err", err)
		}
		return
	}
	q.placed = fresh
}

// recallPlaces tells the shaper where the domains were before the start.
func (q *Queue) recallPlaces(ctx context.Context) error {
	notes, err := q.store.Notes(ctx, spacePlaces)
	if err != nil {
		return fmt.Errorf("reading where domains are: %w", err)
	}
	placed := map[string]string{}
	for domain, site := range notes {
		placed[domain] = string(site)
	}
	q.noting.Lock()
	q.placed = placed
	q.noting.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.shaper.Recall(maps.Clone(placed), q.now())
	return nil
}
