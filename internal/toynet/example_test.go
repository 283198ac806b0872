package toynet_test

import (
	"context"
	"fmt"

	"homing/internal/reply"
	"homing/internal/toynet"
)

func Example() {
	world := toynet.World{Domains: map[string]toynet.Domain{
		"example.test": {
			About: "has room for Ann alone",
			Behaviour: toynet.Behaviour{RCPT: reply.Reply{
				Code: 550, Enhanced: reply.Enhanced{5, 1, 1}, Text: "<{rcpt}>: no such user"}},
			Mailboxes: map[string]toynet.Behaviour{"ann": {}},
		},
	}}
	net, err := world.Open()
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- net.Run(ctx) }()

	crm := &toynet.CiviCRM{
		Address: net.HostAddr("mx.example.test").String(),
		From:    "news@example.org", Prefix: "civi+", Domain: "bounce.example.org",
	}
	sent, err := crm.Send(ctx, toynet.Mailing{Job: 1, FirstQueue: 1, Subject: "News", Text: "Hello",
		To: []string{"ann@example.test", "bob@example.test"}})
	for _, s := range sent {
		fmt.Println(s.Acknowledged(), s.Stage, s.Reply)
	}
	fmt.Println(err, net.Receipts.Len())
	stop()
	fmt.Println(<-ended)
	// Output:
	// true dot 250 2.0.0 Ok: queued as 4000000001
	// false rcpt 550 5.1.1 <bob@example.test>: no such user
	// <nil> 2
	// <nil>
}
