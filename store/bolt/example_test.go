package bolt_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"homing/event"
	"homing/store"
	"homing/store/bolt"
)

// A message is enqueued, its recipient leased, and the outcome applied.
func Example() {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	s, err := bolt.Open(ctx, bolt.Options{Dir: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	now := time.Now()
	key := store.Key{Domain: "example.net"}
	body, err := s.NewBody(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer body.Discard() // does nothing once Enqueue has taken it
	fmt.Fprint(body, "Hello Ann\r\n")
	_, err = s.Enqueue(ctx, store.Submission{
		Message: store.Message{Accepted: now, Sender: "news@example.org"},
		Heads:   [][]byte{[]byte("To: ann@example.net\r\n\r\n")},
		Body:    body,
		Recipients: []store.Recipient{{
			ID: s.Deliveries(1), Address: "ann@example.net", Key: key,
			State: store.Waiting, Due: now, Expires: now.Add(time.Hour),
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	leases, err := s.Lease(ctx, store.LeaseRequest{Key: key, Now: now, Until: now.Add(time.Minute), Max: 10})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, l := range leases {
		err := s.Apply(ctx, store.Change{Delivery: l.Delivery, Lease: l.Token, Decide: func(c *store.Case) error {
			c.Events = append(c.Events, event.Event{Type: event.Delivered, Time: now, Recipient: c.Recipient.Address})
			return c.Recipient.Move(store.Delivered, now)
		}})
		fmt.Println(l.Recipient.Address, err)
	}
	told, err := s.Events(ctx, 0, 10)
	fmt.Println(len(told), told[0].Type, err)
	// Output:
	// ann@example.net <nil>
	// 1 delivered <nil>
}
