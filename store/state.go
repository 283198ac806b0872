package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A State is where a recipient is in its life.
type State uint8

// The states. Leased is no state: a lease dies with its owner, so recovery
// has nothing to undo. The numbers are on disk: never change them.
const (
	Waiting    State = 1
	Paused     State = 2
	Captured   State = 3
	Delivered  State = 4
	Bounced    State = 5
	Expired    State = 6
	Cancelled  State = 7
	Suppressed State = 8
)

var stateNames = map[State]string{
	Waiting: "waiting", Paused: "paused", Captured: "captured", Delivered: "delivered",
	Bounced: "bounced", Expired: "expired", Cancelled: "cancelled", Suppressed: "suppressed",
}

func (s State) String() string {
	if name, ok := stateNames[s]; ok {
		return name
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// ParseState reads what String wrote.
func ParseState(name string) (State, error) {
	for s, n := range stateNames {
		if n == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("no state is called %q; there are %s", name, strings.Join(slices.Sorted(maps.Values(stateNames)), ", "))
}

// moves lists every legal change of State.
var moves = map[State][]State{
	Waiting:   {Paused, Captured, Delivered, Bounced, Expired, Cancelled, Suppressed},
	Paused:    {Waiting, Bounced, Expired, Cancelled, Suppressed},
	Captured:  {Waiting, Cancelled},
	Delivered: {Bounced}, // a report that came late
}

// Terminal reports whether the delivery has its outcome. Delivered is
// terminal although one late report may still change it.
func (s State) Terminal() bool { return s >= Delivered }

// Move is the only writer of State after Enqueue. It notes the time of the
// outcome, and returns ErrMove for a move that no recipient makes.
func (r *Recipient) Move(to State, now time.Time) error {
	if !slices.Contains(moves[r.State], to) {
		return fmt.Errorf("%w: %v to %v", ErrMove, r.State, to)
	}
	r.State = to
	if to.Terminal() {
		r.Ended = now
	}
	return nil
}
