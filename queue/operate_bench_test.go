package queue_test

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"homing/bounce"
	"homing/event"
	"homing/queue"
	"homing/store"
	"homing/store/bolt"
)

// fill lets recipients wait in a queue that nothing takes from, in mailings of
// a thousand to as many domains, every other mailing of the campaign "spring".
func fill(b *testing.B, recipients int) *queue.Queue {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	s, err := bolt.Open(b.Context(), bolt.Options{Dir: b.TempDir(), Log: log})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	q := queue.New(queue.Config{Store: s, Table: bounce.NewTable(), Log: log, Options: options})
	var wg sync.WaitGroup
	for w := range 10 {
		wg.Go(func() {
			for n := range recipients / 10_000 {
				if err := mailing(b, s, q, w%2 == 0, n); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return q
}

// mailing submits a message to a thousand recipients.
func mailing(b *testing.B, s store.Store, q *queue.Queue, spring bool, n int) error {
	body, err := s.NewBody(b.Context())
	if err != nil {
		return err
	}
	defer body.Discard()
	if _, err := io.WriteString(body, "Hello.\r\n"); err != nil {
		return err
	}
	m := queue.Submission{Body: body, Heads: [][]byte{[]byte("Subject: hi\r\n\r\n")},
		Message:    store.Message{Application: "crm", Domain: "example.org", Sender: "news@example.org", Campaign: "autumn", Bulk: true},
		ReturnPath: func(id event.DeliveryID, _ string) string { return "return+" + id.String() + "@bounce.example.org" }}
	if spring {
		m.Message.Campaign = "spring"
	}
	for i := range 1000 {
		m.Recipients = append(m.Recipients, queue.Recipient{Address: fmt.Sprintf("user%d@d%d.example.net", n, i)})
	}
	_, err = q.Submit(b.Context(), m)
	return err
}

// BenchmarkOperate does each operation once to half of a queue, and looks
// for a domain of which nothing waits.
func BenchmarkOperate(b *testing.B) {
	const waiting = 200_000
	q := fill(b, waiting)
	spring, sender := queue.Filter{Campaign: "spring"}, queue.Filter{Campaign: "spring", Sender: "news@example.org"}
	for _, step := range []struct {
		name string
		op   operation
		o    queue.Order
	}{
		{"DryRunOfNothing", q.Cancel, queue.Order{Filter: queue.Filter{Domain: "nobody.example.net"}, DryRun: true}},
		{"DryRunOfASender", q.Cancel, queue.Order{Filter: queue.Filter{Sender: "nobody@example.net"}, DryRun: true}},
		{"DryRunOfHalf", q.Cancel, queue.Order{Filter: spring, DryRun: true}},
		{"PauseOfAll", q.Pause, queue.Order{Filter: queue.Filter{All: true}}},
		{"ResumeOfAll", q.Resume, queue.Order{Filter: queue.Filter{All: true}}},
		{"PauseOfASender", q.Pause, queue.Order{Filter: sender}},
		{"ResumeOfASender", q.Resume, queue.Order{Filter: sender}},
		{"CancelOfHalf", q.Cancel, queue.Order{Filter: spring}},
	} {
		b.Run(step.name, func(b *testing.B) {
			began, recipients := time.Now(), 0
			for range b.N {
				t, err := step.op(b.Context(), step.o)
				if err != nil {
					b.Fatal(err)
				}
				recipients += t.Total()
			}
			b.ReportMetric(float64(recipients), "recipients")
			b.ReportMetric(time.Since(began).Seconds()/float64(b.N), "s/op")
		})
	}
}
