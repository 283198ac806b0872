package delivery

import (
	"context"

	"homing/internal/message"
	"homing/internal/reply"
)

// A Local takes mail for ourselves: our return addresses and routes. Such mail
// never leaves, so that no MX record and no other server decides about it.
type Local interface {
	// Has reports whether an address is ours.
	Has(address string) bool
	// Deliver takes a message as the listener would, and says what the
	// listener would have answered. It has stored what it answers 250 to.
	Deliver(ctx context.Context, from, to string, body message.Body) reply.Reply
}
