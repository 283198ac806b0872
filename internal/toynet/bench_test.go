package toynet

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// BenchmarkReceive is one message of 4 KB from the client to an MX, journal and
// digest included: what both ends of an end-to-end test cost.
func BenchmarkReceive(b *testing.B) {
	n, err := World{Domains: map[string]Domain{"a.test": {}}}.Open()
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}()
	m := Mailing{Job: 1, Subject: "News", Text: strings.Repeat("All the news that fits.\n", 70)}
	for i := range b.N {
		m.To = append(m.To, fmt.Sprintf("u%d@a.test", i))
	}
	b.ReportAllocs()
	b.ResetTimer()
	if _, err := civi(n.HostAddr("mx.a.test").String()).Send(ctx, m); err != nil {
		b.Fatal(err)
	}
	if got := n.Receipts.Len(); got != b.N {
		b.Errorf("%d receipts, want %d", got, b.N)
	}
}
