package delivery_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/bounce"
	"homing/event"
	"homing/internal/smtptest"
	"homing/queue"
	"homing/queue/shape"
	"homing/store"
	"homing/store/bolt"
)

// A crossing is a real queue, which asks jobs to end, in a world whose hosts
// play scripts.
type crossing struct {
	*queue.Queue
	w *world
}

func (c crossing) Done(ctx context.Context, it queue.Item, r queue.Result) error {
	if err := c.w.Done(ctx, it, r); err != nil {
		return err
	}
	return c.Queue.Done(ctx, it, r)
}

// cross runs a queue over a store in dir for the time of a test. A site takes
// one connection.
func (w *world) cross(dir string, test func(s store.Store, c crossing)) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	log := slog.New(slog.DiscardHandler)
	s, err := bolt.Open(ctx, bolt.Options{Dir: dir, Log: log, Now: time.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	q := queue.New(queue.Config{Store: s, Table: bounce.NewTable(), Log: log, Options: queue.Options{
		Retry: []time.Duration{time.Hour}, Lifetime: 24 * time.Hour, Limits: shape.Limits{Total: 10, PerSite: 1, Batch: 10}}})
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	test(s, crossing{q, w})
	cancel()
	if err := <-done; err != nil {
		w.t.Errorf("the queue: %v", err)
	}
	if err := s.Close(); err != nil {
		w.t.Errorf("the store: %v", err)
	}
}

// submit hands a message for these to the queue.
func (c crossing) submit(s store.Store, lane queue.Lane, to ...string) {
	c.w.t.Helper()
	body, err := s.NewBody(c.w.t.Context())
	if err != nil {
		c.w.t.Error(err)
		return
	}
	io.WriteString(body, "Hello.\r\n")
	m := queue.Submission{Lane: lane, Body: body, Heads: [][]byte{[]byte("Subject: hi\r\n\r\n")},
		Message:    store.Message{Application: "crm", Domain: "example.org", Sender: "news@example.org", From: "news@example.org"},
		ReturnPath: func(event.DeliveryID, string) string { return "return@bounce.example.org" }}
	for _, a := range to {
		m.Recipients = append(m.Recipients, queue.Recipient{Address: a})
	}
	if _, err := c.Submit(c.w.t.Context(), m); err != nil {
		c.w.t.Error(err)
	}
}

// TestAReceiptTakesOverTheConnectionOfAMailing has a receipt come while the
// host makes us wait: what was begun until then is sent to its end, and before
// all the rest of the mailing goes the receipt, over the same connection.
func TestAReceiptTakesOverTheConnectionOfAMailing(t *testing.T) {
	const receipt = "receipt@example.net"
	first := func(dialogue string) smtptest.Script { // the receipt, in such a dialogue, and the rest behind it
		return smtptest.Script(strings.Replace(dialogue, "C: RCPT", "C: RCPT TO:<receipt@", 1) + dialogue + bye)
	}
	riding := smtptest.Script(content + proposed + "\nS: 250 2.0.0 queued")
	slowly := func(s smtptest.Script, step string) smtptest.Script { // with a second before its last such step
		i := strings.LastIndex(string(s), step)
		return s[:i] + "wait 1s\n" + s[i:]
	}
	landing := whole + string(taken(1))
	tests := []struct {
		name   string
		script smtptest.Script
		before int // messages of the mailing that are begun before the receipt
	}{
		{"of one message after another", hello + slowly(accept, "S: 250 2.0.0") + first(accept), 1},
		{"where an envelope rides behind the dot", pipelining + slowly(riding, `S"250 2.0.0`) + first(ahead), 2},
		{"where the first whole transaction proves the connection", chunking + slowly(proof, `S"250 ok`) + first(landing), 2},
		{"where a window of whole transactions is in flight", chunking + proof + whole + whole + whole + whole + "\nwait 1s" + taken(1) + "\nquiet 1s" + taken(3) + first(landing), 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.mx("example.net", "mx.example.net", "198.51.100.1", tt.script)
				var mailing []string
				for n := range tt.before + 1 {
					mailing = append(mailing, string(rune('a'+n))+"@example.net")
				}
				w.cross(dir, func(s store.Store, q crossing) {
					q.submit(s, queue.Bulk, mailing...)
					go func() {
						<-time.After(500 * time.Millisecond)
						q.submit(s, queue.Transactional, receipt)
					}()
					c := w.config()
					c.Queue, c.Options.WindowSites, c.Options.Window = q, []string{"example.net"}, 4
					w.run(c, 3)
				})
				if len(w.dialled) != 1 {
					t.Errorf("dialled %d times, want once", len(w.dialled))
				}
				want := map[string]string{}
				for _, a := range append(mailing, receipt) {
					want[a] = "dot: 250 2.0.0 queued by mx.example.net[198.51.100.1]"
				}
				if diff := cmp.Diff(want, w.outcomes()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}
