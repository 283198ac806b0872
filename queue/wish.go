package queue

import (
	"context"
	"errors"
	"time"

	"homing/bounce"
	"homing/event"
	"homing/hold"
	"homing/store"
)

// A Wish is that of a person to get no more bulk mail of a domain, said by the
// link or the address of List-Unsubscribe. What it says of the mail counts where
// the delivery has been forgotten.
type Wish struct {
	Delivery    event.DeliveryID
	Recipient   string
	Application string
	Domain      string // that the mail was from
	Sender      string // the envelope sender that the application gave
	Campaign    string
	Sent        time.Time

	// Digest is that of the mail that says it (bounce.Report), so that the same
	// mail handed in again is no second wish; 0: it was not said by mail, or by
	// one that cannot be told from the next.
	Digest uint64
}

// Unsubscribe takes a wish: the application is told, and bulk mail of the domain
// is held until it has answered. It is durable when it returns nil. While the
// hold stands, the same wish changes nothing; the same mail never does, as long as
// its delivery is remembered. store.ErrFull: there is no room;
// store.ErrNotFound: the delivery has been forgotten, and the Wish does not say
// whose it is.
func (q *Queue) Unsubscribe(ctx context.Context, w Wish) error {
	change := store.Change{Delivery: w.Delivery, Decide: func(c *store.Case) error { return q.wished(c, w.Digest) }}
	err := q.apply(ctx, change)
	if errors.Is(err, store.ErrNotFound) && w.Recipient != "" {
		change = store.Change{Address: hold.Canonical(w.Recipient), Decide: func(c *store.Case) error {
			c.Message = store.Message{Application: w.Application, Domain: w.Domain, Sender: w.Sender, Campaign: w.Campaign, Bulk: true, Accepted: w.Sent}
			c.Recipient = store.Recipient{Address: w.Recipient}
			return q.wished(c, w.Digest)
		}}
		err = q.apply(ctx, change)
	}
	if errors.Is(err, errSeen) {
		return nil
	}
	return err
}

// wished decides about a wish. It is new whenever it is said: who was released
// meanwhile, and says it again, means it.
func (q *Queue) wished(c *store.Case, digest uint64) error {
	m, now := c.Message, q.now()
	if digest != 0 && !notice(&c.Recipient, digest) {
		return errSeen
	}
	if c.Hold.Unsubscribed(m.Application, m.Domain, now) {
		return errSeen
	}
	return q.unsubscribed(c, finding{now: now, sync: true, verdict: bounce.Verdict{Class: bounce.None}})
}
