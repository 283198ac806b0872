package queue

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"homing/event"
	"homing/hold"
	"homing/store"
)

// ErasedDomain is the domain of the names under which holds on people go on who
// were erased. No mail can have it (RFC 2606 section 2).
const ErasedDomain = "erased.invalid"

// An Erasure says what is known of a person, which Erase makes nobody know.
type Erasure struct {
	Deliveries map[store.State]int // by the state in which they were
	Events     int                 // facts in the log, which sinks are told
	Untold     int                 // of these, those that some sink has not passed: it never hears them
	Alias      string              // under which a hold on the person goes on; "": there is none
}

const (
	toldTime = 10 * time.Second // how long sinks have to hear of mail that was cancelled
	toldPoll = 100 * time.Millisecond
)

// Erase forgets a person: mail to the address that waits is cancelled, and
// every delivery to it, its place in the queue, the facts about it and what was
// kept of reports and replies is removed. A hold goes on, under a keyed hash of
// the address in place of the address, without evidence and without words: so
// that somebody who must not be mailed is not, should an application try again.
//
// Sinks that work have ten seconds to hear of mail that was cancelled. What one
// has not heard by then, it never does. Of mail that is being sent at this
// moment, and may still arrive, nothing is noted. It is durable when it returns
// nil; after an error it can be done again. One reads the log at a time: ErrBusy.
func (q *Queue) Erase(ctx context.Context, address, by string) (Erasure, error) {
	if !q.reading.TryLock() {
		return Erasure{}, ErrBusy
	}
	defer q.reading.Unlock()
	canonical := hold.Canonical(address)
	out, err := q.erasable(ctx, canonical)
	if err == nil {
		out.Alias, err = q.moveHold(ctx, canonical)
	}
	if err == nil {
		err = q.cancelAll(ctx, canonical)
	}
	var facts map[event.ID]bool
	if err == nil {
		facts, err = q.factsAbout(ctx, canonical)
	}
	if err == nil {
		out.Events = len(facts)
		out.Untold, err = q.awaitSinks(ctx, facts)
	}
	if err == nil {
		out.Alias, err = q.forgetPerson(ctx, canonical)
	}
	if err != nil {
		return out, fmt.Errorf("erasing a person: %w", err)
	}
	q.log.Info("a person was erased", "deliveries", out.total(), "events", out.Events, "untold", out.Untold, "held", out.Alias != "", "by", by)
	return out, nil
}

// forgetPerson forgets all about a person but the hold, also that mail for him
// alone was paused. It gives the alias of the hold as moveHold does, since one
// may have come while sinks were waited for.
func (q *Queue) forgetPerson(ctx context.Context, canonical string) (alias string, err error) {
	for n := 1; err == nil && n > 0; {
		n, err = q.store.Forget(ctx, store.What{Address: canonical}, retainRows)
	}
	if err == nil {
		err = q.startPauses(ctx)
	}
	if err == nil {
		err = q.forgetPauses(ctx, slices.DeleteFunc(q.pauses.Load().current(), func(p Pause) bool { return p.Recipient != canonical }))
	}
	if err != nil {
		return "", err
	}
	return q.moveHold(ctx, canonical)
}

// WouldErase says what Erase would find now, and changes nothing. ErrBusy.
func (q *Queue) WouldErase(ctx context.Context, address string) (Erasure, error) {
	if !q.reading.TryLock() {
		return Erasure{}, ErrBusy
	}
	defer q.reading.Unlock()
	canonical := hold.Canonical(address)
	out, err := q.erasable(ctx, canonical)
	if err != nil {
		return out, err
	}
	facts, err := q.factsAbout(ctx, canonical)
	if err != nil {
		return out, err
	}
	out.Events = len(facts)
	if out.Untold, _, err = q.untold(ctx, facts); err != nil {
		return out, err
	}
	record, err := q.Record(ctx, canonical)
	if err == nil && len(record.Anonymous(q.now()).Scopes) > 0 {
		out.Alias = cmp.Or(q.aliases.of(canonical), "…@"+ErasedDomain)
	}
	return out, err
}

func (e Erasure) total() (n int) {
	for _, count := range e.Deliveries {
		n += count
	}
	return n
}

// erasable counts the deliveries to a person.
func (q *Queue) erasable(ctx context.Context, canonical string) (Erasure, error) {
	out := Erasure{Deliveries: map[store.State]int{}}
	query := store.Query{Address: canonical, Max: taskRows}
	for {
		page, err := q.store.Find(ctx, query)
		if err != nil {
			return out, err
		}
		for _, r := range page.Rows {
			out.Deliveries[r.Recipient.State]++
		}
		if query.After = page.Next; query.After == "" {
			return out, nil
		}
	}
}

// cancelAll ends what waits for a person, and has the log not name who it is.
func (q *Queue) cancelAll(ctx context.Context, canonical string) error {
	t, err := q.task("cancel", Order{Filter: Filter{Recipient: canonical}})
	if err != nil {
		return err
	}
	t.quiet = true
	_, err = t.cancel(ctx)
	return err
}

// factsAbout finds the facts about a person: those whose recipient it is, and
// mail of no delivery that came from there.
func (q *Queue) factsAbout(ctx context.Context, canonical string) (map[event.ID]bool, error) {
	facts := map[event.ID]bool{}
	err := q.readLog(ctx, 1, 0, func(e event.Event) error {
		if store.About(e, canonical) {
			facts[e.ID] = true
		}
		return nil
	})
	return facts, err
}

// awaitSinks waits until every sink that works has passed some facts, and says
// how many some sink has not.
func (q *Queue) awaitSinks(ctx context.Context, facts map[event.ID]bool) (int, error) {
	tick := time.NewTicker(toldPoll)
	defer tick.Stop()
	end := time.NewTimer(toldTime)
	defer end.Stop()
	for {
		left, hope, err := q.untold(ctx, facts)
		if err != nil || !hope {
			return left, err
		}
		select {
		case <-tick.C:
		case <-end.C:
			return left, nil
		case <-ctx.Done():
			return left, ctx.Err()
		}
	}
}

// untold counts the facts that some sink has not passed, and reports whether
// one that works has some before it.
func (q *Queue) untold(ctx context.Context, facts map[event.ID]bool) (count int, hope bool, err error) {
	left := map[event.ID]bool{}
	for _, name := range q.options.Load().Sinks {
		c, err := q.store.Cursor(ctx, name)
		if err != nil {
			return 0, false, err
		}
		parked := map[event.ID]bool{}
		for _, p := range c.Parked {
			parked[p.Event] = true
		}
		for id := range facts {
			if id > c.Seen || parked[id] {
				left[id] = true
			}
			hope = hope || id > c.Seen && !c.Paused && c.Failing.IsZero()
		}
	}
	return len(left), hope, nil
}

// moveHold puts the hold on a person under its alias, and gives that; "": there
// is no hold.
func (q *Queue) moveHold(ctx context.Context, canonical string) (alias string, err error) {
	alias, err = q.makeAlias(ctx, canonical)
	if err != nil {
		return "", err
	}
	var moved, after hold.Record
	err = q.store.Apply(ctx,
		store.Change{Address: canonical, Decide: func(c *store.Case) error {
			moved = c.Hold.Anonymous(q.now())
			c.Hold = hold.Record{Address: canonical}
			return nil
		}},
		store.Change{Address: alias, Decide: func(c *store.Case) error {
			c.Hold = c.Hold.Join(moved)
			c.Hold.Address = alias
			after = c.Hold
			return nil
		}})
	if err != nil || len(after.Scopes) == 0 {
		return "", err
	}
	return alias, nil
}

// Record gives what is known against an address, with the hold that goes on
// after the person was erased.
func (q *Queue) Record(ctx context.Context, address string) (hold.Record, error) {
	canonical := hold.Canonical(address)
	r, err := q.store.Hold(ctx, canonical)
	if err != nil {
		return r, err
	}
	alias, err := q.alias(ctx, canonical)
	if err != nil || alias == "" {
		return r, err
	}
	erased, err := q.store.Hold(ctx, alias)
	if err != nil || len(erased.Scopes) == 0 {
		return r, err
	}
	r.Address = canonical
	return r.Join(erased), nil
}

// aliases hashes addresses of people who were erased. While nobody was, there is
// no key.
type aliases struct {
	mu     sync.Mutex
	loaded bool
	key    []byte
}

const (
	spaceErase = "erase"
	eraseKey   = "key"
)

// of gives the alias of a canonical address; "": there is no key.
func (a *aliases) of(canonical string) string {
	a.mu.Lock()
	key := a.key
	a.mu.Unlock()
	if key == nil || isAlias(canonical) {
		return ""
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(canonical))
	return hex.EncodeToString(mac.Sum(nil)[:20]) + "@" + ErasedDomain
}

// isAlias reports whether an address is what we made of another.
func isAlias(canonical string) bool { return strings.HasSuffix(canonical, "@"+ErasedDomain) }

// alias gives the alias of a canonical address; "": nobody was erased so far.
func (q *Queue) alias(ctx context.Context, canonical string) (string, error) {
	if err := q.loadAliases(ctx, false); err != nil {
		return "", err
	}
	return q.aliases.of(canonical), nil
}

// makeAlias gives the alias of a canonical address. The key is durable when it
// returns nil.
func (q *Queue) makeAlias(ctx context.Context, canonical string) (string, error) {
	if err := q.loadAliases(ctx, true); err != nil {
		return "", err
	}
	return q.aliases.of(canonical), nil
}

// loadAliases reads the key, and where there is none can make one.
func (q *Queue) loadAliases(ctx context.Context, create bool) error {
	a := &q.aliases
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.loaded {
		notes, err := q.store.Notes(ctx, spaceErase)
		if err != nil {
			return fmt.Errorf("reading the key of the hashes of erased addresses: %w", err)
		}
		a.key, a.loaded = notes[eraseKey], true
	}
	if a.key != nil || !create {
		return nil
	}
	key := make([]byte, sha256.Size)
	rand.Read(key) // never fails
	if err := q.store.Note(ctx, spaceErase, map[string][]byte{eraseKey: key}); err != nil {
		return fmt.Errorf("keeping the key of the hashes of erased addresses: %w", err)
	}
	a.key = key
	return nil
}
