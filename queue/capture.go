package queue

import (
	"context"

	"homing/store"
)

// ReleaseCaptured sends mail that was captured: from now on it waits like any
// other, with a whole lifetime before it. Renew mints its reverse-path anew,
// since that was made on the day of acceptance and might end before the mail is
// answered; "" leaves it as it is. Durability and errors are those of Retry.
func (q *Queue) ReleaseCaptured(ctx context.Context, o Order, renew func(store.Message, store.Recipient) string) (Tally, error) {
	t, err := q.task("release", o)
	if err != nil {
		return Tally{}, err
	}
	t.states = []store.State{store.Captured}
	t.decide = func(c *store.Case) error {
		now := q.now()
		if err := c.Recipient.Move(store.Waiting, now); err != nil {
			return err
		}
		due := now
		if c.Message.SendAt.After(now) {
			due = c.Message.SendAt
		}
		c.Recipient.Due, c.Recipient.Expires = due, due.Add(q.options.Load().Lifetime)
		if path := renew(c.Message, c.Recipient); path != "" {
			c.Recipient.ReturnPath = path
		}
		return nil
	}
	return t.do(ctx)
}
