package queue_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"homing/bounce"
	"homing/event"
	"homing/internal/reply"
	"homing/queue"
	"homing/queue/shape"
	"homing/store"
	"homing/store/bolt"
)

// backlogs are the lengths of the queue that are measured: HOMING_BACKLOG has
// others, such as 10000,1000000.
func backlogs(b *testing.B) (all []int) {
	b.Helper()
	list := os.Getenv("HOMING_BACKLOG")
	if list == "" {
		return []int{10_000, 100_000}
	}
	for _, text := range strings.Split(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			b.Fatalf("HOMING_BACKLOG: %v", err)
		}
		all = append(all, n)
	}
	return all
}

const backlogDomains = 10_000

// A bench is a queue over a real store in a directory.
type bench struct {
	*testing.B
	queue *queue.Queue
	store *bolt.Store
	stop  func()
}

// benched opens what a directory holds and runs a queue over it. Its clock is
// ahead by so much.
func benched(b *testing.B, dir string, ahead time.Duration) *bench {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	s, err := bolt.Open(b.Context(), bolt.Options{Dir: dir, Log: log})
	if err != nil {
		b.Fatal(err)
	}
	o := options
	o.Lifetime = 120 * time.Hour
	o.Limits = shape.Limits{Total: 1000, PerSite: 20, Batch: 50, Patience: time.Second, Stalled: 2000}
	q := queue.New(queue.Config{Store: s, Table: bounce.NewTable(), Log: log, Options: o,
		Now: func() time.Time { return time.Now().Add(ahead) }})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	return &bench{b, q, s, func() {
		cancel()
		if err := <-done; err != nil {
			b.Errorf("Run: %v", err)
		}
		if err := s.Close(); err != nil {
			b.Errorf("Close: %v", err)
		}
	}}
}

// send hands a message to the queue.
func (w *bench) send(size int, to ...queue.Recipient) {
	body, err := w.store.NewBody(w.Context())
	if err != nil {
		w.Error(err)
		return
	}
	defer body.Discard()
	body.Write(make([]byte, size))
	_, err = w.queue.Submit(w.Context(), queue.Submission{
		Message: store.Message{Application: "crm", Domain: "example.org", Sender: "news@example.org", From: "news@example.org",
			Campaign: "spring", HeaderID: "<1@example.org>", Subject: "News", Bulk: len(to) > 1},
		Body: body, Heads: [][]byte{make([]byte, 700)}, Recipients: to,
		ReturnPath: func(id event.DeliveryID, _ string) string { return "return+" + id.String() + "@bounce.example.org" },
	})
	if err != nil {
		w.Error(err)
	}
}

// scattered is an address: no order of them is the order in which they come.
func scattered(i int, domain string) string {
	return fmt.Sprintf("p%08x@%s", uint32(i)*2654435761, domain)
}

// fill queues recipients that are due in an hour.
func fillStore(b *testing.B, dir string, count int) {
	b.Helper()
	w := benched(b, dir, time.Hour)
	defer w.stop()
	const each, writers = 1000, 4
	var at atomic.Int64
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for first := int(at.Add(each)) - each; first < count; first = int(at.Add(each)) - each {
				var to []queue.Recipient
				for i := first; i < min(first+each, count); i++ {
					to = append(to, queue.Recipient{Address: scattered(i, fmt.Sprintf("d%d.example.net", i%backlogDomains))})
				}
				w.send(1<<10, to...)
			}
		})
	}
	all.Wait()
}

// heap is what is in use of it.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one finalised
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkBacklog is what a queue does while so many recipients in 10,000
// domains wait for their next attempt.
func BenchmarkBacklog(b *testing.B) {
	for _, count := range append([]int{0}, backlogs(b)...) {
		b.Run(fmt.Sprintf("queued=%d", count), func(b *testing.B) {
			dir := b.TempDir()
			fillStore(b, dir, count)
			if count > 0 {
				b.Run("open", func(b *testing.B) { benchmarkStart(b, dir, count) })
			}
			for _, bm := range []struct {
				name string
				run  func(*bench)
			}{{"accept", benchmarkAccept}, {"defer", benchmarkDefer}, {"dispatch", benchmarkDispatch}} {
				b.Run(bm.name, func(b *testing.B) {
					w := benched(b, dir, 0)
					defer w.stop()
					awaitWaiting(w, count)
					b.ReportAllocs()
					before := spent(b)
					b.ResetTimer()
					bm.run(w)
					b.StopTimer()
					spent(b).report(b, before)
				})
			}
		})
	}
}

// awaitWaiting waits until the queue knows of at least so many recipients.
func awaitWaiting(w *bench, count int) {
	for w.queue.Waiting() < count {
		runtime.Gosched()
	}
}

// benchmarkStart is a start until the queue knows all that waits, and the
// memory that this takes.
func benchmarkStart(b *testing.B, dir string, count int) {
	var used int64
	for b.Loop() {
		b.StopTimer()
		before := heap()
		b.StartTimer()
		w := benched(b, dir, 0)
		awaitWaiting(w, count)
		b.StopTimer()
		used = heap() - before
		w.stop()
		b.StartTimer()
	}
	b.ReportMetric(float64(used)/float64(count), "octets/recipient")
}

// expense is what the process has used so far: on a shared machine it says
// more than the clock.
type expense struct {
	cpu     time.Duration
	written int64 // octets, on their way to the disk
}

func spent(b *testing.B) (e expense) {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	e.cpu = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	if text, err := os.ReadFile("/proc/self/io"); err == nil { // Linux alone tells
		_, rest, _ := strings.Cut(string(text), "\nwrite_bytes: ")
		fmt.Sscan(rest, &e.written)
	}
	return e
}

func (e expense) report(b *testing.B, before expense) {
	b.ReportMetric(float64((e.cpu-before.cpu).Microseconds())/float64(b.N), "cpu-µs/op")
	if e.written > 0 {
		b.ReportMetric(float64(e.written-before.written)/float64(b.N), "written-octets/op")
	}
}

var benchRuns atomic.Int64 // makes the addresses of each run new ones

// benchmarkAccept is ten writers with a message of 4 KiB to one recipient each.
func benchmarkAccept(w *bench) {
	const writers = 10
	run := benchRuns.Add(1)
	var left atomic.Int64
	left.Store(int64(w.N))
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for i := left.Add(-1); i >= 0; i = left.Add(-1) {
				w.send(4<<10, queue.Recipient{Address: scattered(int(i), fmt.Sprintf("run%d.example.net", run))})
			}
		})
	}
	all.Wait()
	w.ReportMetric(float64(w.N)/w.Elapsed().Seconds(), "accepted/s")
}

// putOff is how an attempt ends that is made again later.
var putOff = queue.Result{Stage: reply.Connect, RemoteMTA: "mx.example.net[198.51.100.7]",
	Reply: reply.Reply{Code: 421, Enhanced: reply.Enhanced{4, 3, 2}, Text: "try again later"}}

// benchmarkDefer is twenty workers that put off whatever is due.
func benchmarkDefer(w *bench) {
	run := benchRuns.Add(1)
	w.StopTimer()
	const each = 1000
	for first := 0; first < w.N; first += each {
		var to []queue.Recipient
		for i := first; i < min(first+each, w.N); i++ {
			to = append(to, queue.Recipient{Address: scattered(i, fmt.Sprintf("run%d-%d.example.net", run, i%100))})
		}
		w.send(1<<10, to...)
	}
	w.StartTimer()
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	var left atomic.Int64
	left.Store(int64(w.N))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for {
				job, err := w.queue.Next(ctx)
				if err != nil {
					return
				}
				w.putOff(job)
				if left.Add(int64(-len(job.Items))) <= 0 {
					cancel()
				}
				w.queue.Finish(job)
			}
		})
	}
	all.Wait()
	w.ReportMetric(float64(w.N)/w.Elapsed().Seconds(), "deferred/s")
}

// putOff ends a job as delivery ends one whose host cannot be reached: several
// outcomes are on their way to the disk at once.
func (w *bench) putOff(job *queue.Job) {
	room := make(chan struct{}, 16)
	var settling sync.WaitGroup
	for _, it := range job.Items {
		room <- struct{}{}
		settling.Go(func() {
			if err := w.queue.Done(w.Context(), it, putOff); err != nil {
				w.Error(err)
			}
			<-room
		})
	}
	settling.Wait()
}

// benchmarkDispatch is one message to a domain without mail, until a worker
// has it.
func benchmarkDispatch(w *bench) {
	run := benchRuns.Add(1)
	for i := range w.N {
		to := fmt.Sprintf("ann@fresh%d-%d.example.net", run, i)
		w.send(1<<10, queue.Recipient{Address: to})
		for got := ""; got != to; {
			job, err := w.queue.Next(w.Context())
			if err != nil {
				w.Fatal(err)
			}
			got = job.Items[0].Recipient.Address
			w.StopTimer()
			w.putOff(job)
			w.queue.Finish(job)
			w.StartTimer()
		}
	}
}
