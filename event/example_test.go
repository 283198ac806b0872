package event_test

import (
	"context"
	"fmt"

	"homing/event"
)

// printer is a sink that prints.
type printer struct{ done chan struct{} }

func (printer) Name() string             { return "paper" }
func (printer) Kind() string             { return "printer" }
func (printer) Wants(e event.Event) bool { return e.Type == event.Bounced }

func (p printer) Tell(_ context.Context, e event.Event) error {
	fmt.Println(e.Type, e.Recipient, e.Status)
	close(p.done)
	return nil
}

func ExampleTeller() {
	log := newMemLog()
	paper := printer{make(chan struct{})}
	routes := event.Routes{Applications: map[string][]string{"crm": {"paper"}}}
	teller := event.NewTeller(event.Config{Log: log, Wants: routes.Wants})
	if err := teller.Use(paper); err != nil {
		fmt.Println(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- teller.Run(ctx) }()

	log.add(
		event.Event{Type: event.Accepted, Delivery: 1, Recipient: "ann@example.net", Application: "crm"},
		event.Event{Type: event.Bounced, Delivery: 1, Recipient: "ann@example.net", Application: "crm",
			Outcome: event.Outcome{Class: "hard", Reason: "user_unknown", Status: "5.1.1"}},
	)
	<-paper.done
	stop()
	fmt.Println(<-done)
	// Output:
	// bounced ann@example.net 5.1.1
	// <nil>
}
