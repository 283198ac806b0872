package civicrm

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"homing/event"
)

// Notes keep small values durably. Every store.Store has them.
type Notes interface {
	Notes(ctx context.Context, space string) (map[string][]byte, error)
	Note(ctx context.Context, space string, values map[string][]byte) error
}

// How long calls are remembered.
const (
	toldFor   = time.Hour          // longer than a crash can make the log forget that it told
	triedFor  = 4 * 24 * time.Hour // longer than a fact is tried
	tidyAfter = 500                // new calls after which old ones are forgotten, and the most of these at once
)

// A Memory is what the sink of one site has done that it must not forget: the
// calls of late, and which addresses it has on hold there. It is durable, and
// stays the same when sinks are replaced. Its methods may be called from many
// goroutines.
type Memory struct {
	notes Notes
	calls string // spaces of notes
	holds string
	now   func() time.Time

	turns turns // of addresses

	mu     sync.Mutex
	next   string // where the next round begins
	tried  map[string]tried
	tidyAt int // with so many it is time to forget some
	set    map[string]entry
}

// A tried is a call that was begun.
type tried struct {
	Time   time.Time `json:"time"`
	Before int       `json:"before"` // records of its kind that the site had before; -1: nobody asked
	Told   bool      `json:"told,omitempty"`
}

// An entry is an address that is on hold.
type entry struct {
	Address string    `json:"address"`
	Scopes  []Scope   `json:"scopes"`
	Until   time.Time `json:"until,omitzero"` // when the hold runs out; zero: not by itself
	Level   int       `json:"level"`          // what "on hold" is set to; 0: CiviCRM decides
	Emails  []email   `json:"emails,omitempty"`
	// Done is set once the site has what it should have. Before, what it has
	// says nothing about what people did there.
	Done bool `json:"done,omitempty"`
}

// An email is a record of the address at CiviCRM.
type email struct {
	ID    uint64 `json:"id"`
	Whose whose  `json:"whose"`
	Reset string `json:"reset,omitempty"` // reset_date when we last saw it
}

// whose says who put a record on hold.
type whose uint8

const (
	theirs whose = iota // somebody else: it is left alone
	caused              // CiviCRM, for what we told
	ours
)

// NewMemory reads what is known of a sink.
func NewMemory(ctx context.Context, notes Notes, sink string, now func() time.Time) (*Memory, error) {
	m := &Memory{notes: notes, calls: "civicrm calls " + sink, holds: "civicrm holds " + sink, now: now}
	var err error
	if m.tried, err = recall[tried](ctx, notes, m.calls); err == nil {
		m.set, err = recall[entry](ctx, notes, m.holds)
	}
	if err != nil {
		return nil, fmt.Errorf("civicrm: reading what was told: %w", err)
	}
	return m, nil
}

// recall reads the values of a space. One that cannot be read is as none.
func recall[T any](ctx context.Context, notes Notes, space string) (map[string]T, error) {
	kept, err := notes.Notes(ctx, space)
	all := make(map[string]T, len(kept))
	for name, text := range kept {
		var v T
		if json.Unmarshal(text, &v) == nil {
			all[name] = v
		}
	}
	return all, err
}

// call gives what is known of the call for a fact.
func (m *Memory) call(id event.ID) (tried, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, known := m.tried[id.String()]
	return t, known
}

// noteCall remembers a call, durably, and forgets old ones.
func (m *Memory) noteCall(ctx context.Context, id event.ID, t tried) error {
	t.Time = m.now().UTC()
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	values := map[string][]byte{id.String(): text}
	m.mu.Lock()
	m.tried[id.String()] = t
	for _, name := range m.stale(t.Time) {
		values[name] = nil
		delete(m.tried, name)
	}
	m.mu.Unlock()
	if err := m.notes.Note(ctx, m.calls, values); err != nil {
		return fmt.Errorf("noting a call: %w", err)
	}
	return nil
}

// stale gives some calls that may be forgotten, once there are many new ones.
func (m *Memory) stale(now time.Time) (names []string) {
	if len(m.tried) < m.tidyAt {
		return nil
	}
	for name, t := range m.tried {
		if age := now.Sub(t.Time); len(names) < tidyAfter && (age > triedFor || t.Told && age > toldFor) {
			names = append(names, name)
		}
	}
	m.tidyAt = len(m.tried) - len(names) + tidyAfter
	return names
}

// entry gives what is known of an address.
func (m *Memory) entry(address string) (entry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, known := m.set[strings.ToLower(address)]
	return e, known
}

// noteEntry remembers an address, durably.
func (m *Memory) noteEntry(ctx context.Context, e entry) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	name := strings.ToLower(e.Address)
	if err := m.notes.Note(ctx, m.holds, map[string][]byte{name: text}); err != nil {
		return fmt.Errorf("noting a hold: %w", err)
	}
	m.mu.Lock()
	m.set[name] = e
	m.mu.Unlock()
	return nil
}

// forget drops an address, durably.
func (m *Memory) forget(ctx context.Context, address string) error {
	name := strings.ToLower(address)
	if err := m.notes.Note(ctx, m.holds, map[string][]byte{name: nil}); err != nil {
		return fmt.Errorf("forgetting a hold: %w", err)
	}
	m.mu.Lock()
	delete(m.set, name)
	m.mu.Unlock()
	return nil
}

// entries gives all addresses.
func (m *Memory) entries() map[string]entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.set)
}
