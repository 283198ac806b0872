package server

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"homing/hold"
	"homing/internal/message"
	"homing/store"
)

const (
	// authorSpace is where the authors of campaigns are noted.
	authorSpace = "authors"
	// maxAuthors is how many campaigns are remembered: the youngest.
	maxAuthors = 1000
	// authorPause is how long the author of a campaign that changes is not
	// noted again.
	authorPause = time.Minute
)

// authors remember who sent each campaign, for replies of which nobody knows
// the delivery. Their methods may be called from many goroutines.
type authors struct {
	notes store.Notes
	log   *slog.Logger
	now   func() time.Time

	mu    sync.Mutex
	known map[string]author // by authorKey
}

// An author is who sent the most recent message of a campaign.
type author struct {
	Name    string    `json:"name,omitempty"`
	Address string    `json:"address"`
	Noted   time.Time `json:"noted"`
}

func authorKey(application, campaign string) string { return application + " " + campaign }

// newAuthors remembers what was noted.
func newAuthors(ctx context.Context, notes store.Notes, log *slog.Logger, now func() time.Time) (*authors, error) {
	a := &authors{notes: notes, log: log, now: now, known: map[string]author{}}
	noted, err := notes.Notes(ctx, authorSpace)
	if err != nil {
		return nil, fmt.Errorf("reading who sent what: %w", err)
	}
	for key, value := range noted {
		var one author
		if err := json.Unmarshal(value, &one); err != nil {
			log.Warn("who sent a campaign cannot be read and is forgotten", "campaign", key, "err", err)
			continue
		}
		a.known[key] = one
	}
	return a, nil
}

// note remembers the author of a message. One that cannot be noted is known
// until the server ends: no mail is refused for that.
func (a *authors) note(ctx context.Context, application, campaign string, by message.Mailbox) {
	key, now := authorKey(application, campaign), a.now()
	values := map[string][]byte{}
	a.mu.Lock()
	before, known := a.known[key]
	if known && before.Name == by.Name && before.Address == by.Address {
		a.mu.Unlock()
		return
	}
	one := author{by.Name, by.Address, now.UTC()}
	if known && now.Sub(before.Noted) < authorPause {
		one.Noted = before.Noted
	} else if value, err := json.Marshal(one); err == nil {
		values[key] = value
	}
	a.known[key] = one
	if len(a.known) > maxAuthors {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(a.known)), func(x, y string) int { return a.known[x].Noted.Compare(a.known[y].Noted) })
		delete(a.known, oldest)
		values[oldest] = nil
	}
	a.mu.Unlock()
	if len(values) == 0 {
		return
	}
	if err := a.notes.Note(context.WithoutCancel(ctx), authorSpace, values); err != nil {
		a.log.Warn("who sent a campaign could not be noted", "campaign", key, "err", err)
	}
}

// forget makes nobody know which campaigns somebody has sent, by the canonical
// address. It is durable when it returns nil.
func (a *authors) forget(ctx context.Context, canonical string) error {
	gone := map[string][]byte{}
	a.mu.Lock()
	for key, one := range a.known {
		if hold.Canonical(one.Address) == canonical {
			gone[key] = nil
		}
	}
	a.mu.Unlock()
	if len(gone) == 0 {
		return nil
	}
	if err := a.notes.Note(ctx, authorSpace, gone); err != nil {
		return fmt.Errorf("forgetting who sent a campaign: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for key := range gone {
		if hold.Canonical(a.known[key].Address) == canonical {
			delete(a.known, key)
		}
	}
	return nil
}

// of gives the author of a campaign; the zero Mailbox: nobody knows.
func (a *authors) of(application, campaign string) message.Mailbox {
	a.mu.Lock()
	defer a.mu.Unlock()
	one := a.known[authorKey(application, campaign)]
	return message.Mailbox{Name: one.Name, Address: one.Address}
}
