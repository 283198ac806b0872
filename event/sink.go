package event

import (
	"context"
	"errors"
	"time"
)

// A Log is the log of facts as the Teller sees it. store.Store is one.
type Log interface {
	// Events gives up to limit events after an ID in order of commit. It
	// waits until there is one or ctx ends.
	Events(ctx context.Context, after ID, limit int) ([]Event, error)
	// Cursor gives how far a sink has been told; the zero Cursor for a sink
	// that is new.
	Cursor(ctx context.Context, sink string) (Cursor, error)
	// Advance remembers how far a sink has been told. It may be made
	// durable a moment late: what is lost then is told again.
	Advance(ctx context.Context, sink string, c Cursor) error
}

// A Sink tells facts to one receiver. Its methods may be called from many
// goroutines.
type Sink interface {
	// Name is the configured name. The cursor is kept under it.
	Name() string
	// Kind is the type in the configuration: "webhook", "civicrm", …
	Kind() string
	// Wants reports whether the receiver is to hear of a fact that is routed
	// to it. It looks at nothing but the fact. What it does not want counts
	// as told.
	Wants(e Event) bool
	// Tell tells one fact and returns nil once the receiver has taken it. It
	// is called for several facts at once, but never for two of the same
	// delivery, and again for the same fact when in doubt. Any error means
	// that it was not told: it is tried again. An error that is a *Failure
	// says more. Tell ends when ctx does.
	Tell(ctx context.Context, e Event) error
}

// A Gatherer is a Sink that makes one telling of several facts: it is told up to
// AtOnce facts at once, whatever Config.InFlight says.
type Gatherer interface {
	Sink
	AtOnce() int
}

// A Fault says whose fault it is that a telling failed.
type Fault uint8

// The faults.
const (
	// Unclear: of the fact or of the receiver. When other facts are taken it
	// is the fact's.
	Unclear Fault = iota
	// Refused: this fact will never be taken. It is given up at once.
	Refused
	// Down: the receiver takes nothing at the moment.
	Down
	// Gone: the receiver wants to hear nothing more. The sink is paused at
	// once.
	Gone
)

// A Failure is an error of Sink.Tell that says what to do about it.
type Failure struct {
	Fault Fault
	After time.Duration // do not try again before; 0: the Teller's own back-off
	Err   error
}

func (f *Failure) Error() string { return f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

// failureOf gives what an error of Sink.Tell says, with its whole text.
func failureOf(err error) Failure {
	var f *Failure
	if errors.As(err, &f) {
		return Failure{Fault: f.Fault, After: f.After, Err: err}
	}
	return Failure{Err: err}
}
