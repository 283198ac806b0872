package event_test

import (
	"context"
	"sync/atomic"
	"testing"

	"homing/event"
)

// counter is a sink that counts and closes done at the last fact.
type counter struct {
	left atomic.Int64
	done chan struct{}
	want bool
}

func (c *counter) Name() string           { return "counter" }
func (c *counter) Kind() string           { return "memory" }
func (c *counter) Wants(event.Event) bool { return c.want || c.left.Add(-1) == 0 }
func (c *counter) Tell(context.Context, event.Event) error {
	if c.left.Add(-1) == 0 || !c.want {
		close(c.done)
	}
	return nil
}

// BenchmarkTeller measures what telling one fact costs us, a sink that does
// nothing taken for granted, and what passing over one costs.
func BenchmarkTeller(b *testing.B) {
	for name, want := range map[string]bool{"told": true, "passed over": false} {
		b.Run(name, func(b *testing.B) {
			log := newMemLog()
			for i := range b.N {
				log.events = append(log.events, event.Event{ID: event.ID(i + 2), Delivery: event.DeliveryID(i/2 + 1),
					Recipient: "ann@example.net", Application: "crm"})
			}
			log.cursors["counter"] = event.Cursor{Seen: 1} // not new
			c := &counter{done: make(chan struct{}), want: want}
			c.left.Store(int64(b.N))
			routes := event.Routes{Applications: map[string][]string{"crm": {"counter"}}}
			teller := event.NewTeller(event.Config{Log: log, Wants: routes.Wants})
			if err := teller.Use(c); err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(b.Context())
			ended := make(chan error, 1)
			b.ReportAllocs()
			b.ResetTimer()
			go func() { ended <- teller.Run(ctx) }()
			<-c.done
			b.StopTimer()
			stop()
			if err := <-ended; err != nil {
				b.Error(err)
			}
		})
	}
}
