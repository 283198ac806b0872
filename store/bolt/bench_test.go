package bolt

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"homing/event"
	"homing/store"
)

// bench opens a store for a benchmark.
func bench(b *testing.B) *Store {
	b.Helper()
	s, err := Open(b.Context(), Options{Dir: b.TempDir(), Log: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	b.ReportAllocs()
	return s
}

// accept enqueues one message of a size to one recipient.
func accept(b *testing.B, s *Store, key store.Key, body, head []byte) {
	d, err := s.NewBody(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer d.Discard()
	d.Write(body)
	now, id := time.Now(), s.Deliveries(1)
	_, err = s.Enqueue(b.Context(), store.Submission{
		Message: store.Message{Accepted: now, Application: "crm", Domain: "example.org", Sender: "news@example.org", From: "news@example.org",
			Campaign: "spring", HeaderID: "<1@example.org>", Subject: "Spring"},
		Body: d, Heads: [][]byte{head},
		Recipients: []store.Recipient{{ID: id, Address: fmt.Sprintf("u%d@example.net", id), ReturnPath: "r@bounce.example.org", Key: key,
			State: store.Waiting, Due: now, Expires: now.Add(120 * time.Hour)}},
		Events: []event.Event{{Type: event.Accepted, Time: now, Delivery: id, Recipient: "u@example.net", Application: "crm"}},
	})
	if err != nil {
		b.Error(err)
	}
}

// deliver leases one recipient, reads its body and settles it.
func deliver(b *testing.B, s *Store, key store.Key) {
	now := time.Now()
	leases, err := s.Lease(b.Context(), store.LeaseRequest{Key: key, Now: now, Until: now.Add(time.Minute), Max: 1})
	if err != nil || len(leases) != 1 {
		b.Errorf("leased %d, %v", len(leases), err)
		return
	}
	err = s.Apply(b.Context(), store.Change{Delivery: leases[0].Delivery, Lease: leases[0].Token, Decide: func(c *store.Case) error {
		c.Recipient.MTA, c.Recipient.Attempt = "mx.example.net[198.51.100.7]", 1
		c.Events = append(c.Events, event.Event{Type: event.Delivered, Time: now, Delivery: c.Recipient.ID, Recipient: c.Recipient.Address})
		return c.Recipient.Move(store.Delivered, now)
	}})
	if err != nil {
		b.Error(err)
	}
}

// parallel runs work b.N times in a number of writers.
func parallel(b *testing.B, writers int, work func(writer int)) {
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan struct{})
	before := cpu(b)
	b.ResetTimer()
	for w := range writers {
		go func() {
			defer func() { done <- struct{}{} }()
			for left.Add(-1) >= 0 {
				work(w)
			}
		}()
	}
	for range writers {
		<-done
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

// cpu is the processor time that the process used: on a shared machine it
// says more than the clock.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkAccept(b *testing.B) {
	for _, writers := range []int{1, 10} {
		for _, size := range []int{4 << 10, 50 << 10} {
			b.Run(fmt.Sprintf("%dKB/writers=%d", size>>10, writers), func(b *testing.B) {
				s := bench(b)
				body, head := make([]byte, size), make([]byte, 700)
				parallel(b, writers, func(w int) { accept(b, s, store.Key{Domain: fmt.Sprint(w)}, body, head) })
			})
		}
	}
}

func BenchmarkAcceptAndSettle(b *testing.B) {
	for _, writers := range []int{1, 10} {
		for _, size := range []int{4 << 10, 50 << 10} {
			b.Run(fmt.Sprintf("%dKB/writers=%d", size>>10, writers), func(b *testing.B) {
				s := bench(b)
				body, head := make([]byte, size), make([]byte, 700)
				parallel(b, writers, func(w int) {
					key := store.Key{Domain: fmt.Sprint(w)}
					accept(b, s, key, body, head)
					deliver(b, s, key)
				})
				b.ReportMetric(float64(s.log.cur.last)/float64(b.N), "syncs/op")
			})
		}
	}
}

// BenchmarkOpen opens a store in which 100,000 recipients wait.
func BenchmarkOpen(b *testing.B) {
	o := Options{Dir: b.TempDir(), Log: quiet()}
	s, err := Open(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	body, head := make([]byte, 100), make([]byte, 100)
	const waiting, writers = 100_000, 50
	done := make(chan struct{})
	for w := range writers {
		go func() {
			for range waiting / writers {
				accept(b, s, store.Key{Domain: fmt.Sprint(w)}, body, head)
			}
			done <- struct{}{}
		}()
	}
	for range writers {
		<-done
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s, err := Open(b.Context(), o)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
