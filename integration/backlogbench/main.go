//go:build linux

// Command backlogbench measures the real binary with a long queue: it fills
// the queue over SMTP with recipients of many domains, of which some are dead,
// starts the server again, and compares what it does with what it did while
// the queue was empty. DNS and mail hosts are the toy internet's on loopback.
//
//	go run ./integration/backlogbench -bin ./bin/homing -queued 1000000
//
// The last lines are in the format of Go benchmarks, for benchstat. Only Linux
// tells what it asks for.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// A scale says how long the queue is.
type scale struct {
	queued, domains, dead int
	due                   bool // after the restart all of it can be delivered
}

// A load is what is measured beside it.
type load struct{ messages, sessions, size int }

func main() {
	var s scale
	var l load
	bin := flag.String("bin", "./bin/homing", "the binary to measure")
	flag.IntVar(&s.queued, "queued", 100_000, "recipients that wait")
	flag.IntVar(&s.domains, "domains", 10_000, "their domains")
	flag.IntVar(&s.dead, "dead", 200, "of these, the ones whose mail host answers nobody")
	flag.BoolVar(&s.due, "due", false, "after the restart all that waits is due and can be delivered, except to the dead")
	flag.IntVar(&l.messages, "n", 10_000, "messages whose acceptance is timed")
	flag.IntVar(&l.sessions, "sessions", 10, "sessions that they come over")
	flag.IntVar(&l.size, "size", 4096, "octets of each")
	where := flag.String("dir", "/var/tmp", "where the store lies while it is measured")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, *bin, *where, s, l); err != nil {
		fmt.Fprintln(os.Stderr, "backlogbench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, bin, where string, s scale, l load) error {
	dir, err := os.MkdirTemp(where, "backlogbench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, stop := context.WithCancel(ctx)
	st, err := s.open(ctx)
	if err != nil {
		stop()
		return err
	}
	defer func() { stop(); <-st.ended }()
	defer st.close()

	// What is put off once is out of the way for the rest of the run.
	empty, _, err := st.live(ctx, bin, dir, 2*time.Hour, func(s *server) (f figure, err error) {
		if f, err = st.measure(ctx, s, "empty", l); err == nil {
			err = st.queue(ctx, s)
		}
		return f, err
	})
	if err != nil {
		return err
	}
	fmt.Printf("the store takes %.0f MB of disk\n", float64(du(dir))/1e6)
	st.answer()
	full, ready, err := st.live(ctx, bin, dir, time.Minute, func(s *server) (figure, error) { return st.measure(ctx, s, "full", l) })
	if err != nil {
		return err
	}
	report(s, empty, full, ready)
	return nil
}

// live starts the server, does something with it and stops it. It also says
// how long it took until the server was ready.
func (st *stage) live(ctx context.Context, bin, dir string, retry time.Duration, do func(*server) (figure, error)) (figure, time.Duration, error) {
	s, err := st.start(ctx, bin, dir, retry)
	if err != nil {
		return figure{}, 0, err
	}
	f, err := do(s)
	began := time.Now()
	if stopped := s.stop(); err == nil {
		err = stopped
	}
	fmt.Printf("ready after %s, stopped within %s\n", s.ready.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	return f, s.ready, err
}

// queue fills the queue, the dead domains last, so that they are still to be
// tried for the first time after the restart.
func (st *stage) queue(ctx context.Context, s *server) error {
	sc := st.scale
	var late, dead []int
	for i := range sc.queued {
		if i%sc.domains < sc.dead {
			dead = append(dead, i)
		} else {
			late = append(late, i)
		}
	}
	address := func(of []int) func(int) string {
		return func(i int) string { return person(of[i]) + "@" + sc.waiting(of[i]) }
	}
	const steps = 10
	for step := range steps {
		first, last := step*len(late)/steps, (step+1)*len(late)/steps
		began := time.Now()
		if err := st.fill(first, last, address(late)); err != nil {
			return fmt.Errorf("filling the queue: %w", err)
		}
		fmt.Printf("queued %d: %.0f recipients/s\n", last, float64(last-first)/time.Since(began).Seconds())
	}
	if sc.due {
		return st.fill(0, len(dead), address(dead))
	}
	began := time.Now()
	err := until(ctx, 200*time.Millisecond, 10*time.Minute, func() (bool, error) {
		m, err := s.metrics()
		return m[`homing_queue_outcomes_total{outcome="deferred"}`] >= float64(len(late)), err
	})
	if err != nil {
		return fmt.Errorf("waiting for the first attempts: %w", err)
	}
	fmt.Printf("all put off after another %s\n", time.Since(began).Round(time.Millisecond))
	return st.fill(0, len(dead), address(dead))
}

// A figure is what one life of the server did.
type figure struct {
	start, end memory
	dispatch   []time.Duration // in order of size
	accepted   float64         // messages a second
	cpu        time.Duration   // of the server, for a message accepted and delivered
	idle       float64         // processors in use while nothing is handed in
	delivered  float64         // messages a second meanwhile
	waiting    float64
}

const (
	tries    = 30
	idleTime = 5 * time.Second
)

// measure sends and watches what becomes of it.
func (st *stage) measure(ctx context.Context, s *server, name string, l load) (f figure, err error) {
	if f.start, err = s.memory(); err != nil {
		return f, err
	}
	for i := range tries {
		took, err := st.dispatch(ctx, name, i)
		if err != nil {
			return f, err
		}
		f.dispatch = append(f.dispatch, took)
	}
	slices.Sort(f.dispatch)
	if err := st.take(ctx, s, name, l, &f); err != nil {
		return f, err
	}
	arrived := st.Receipts.Len()
	if f.idle, err = s.idle(ctx); err != nil {
		return f, err
	}
	f.delivered = float64(st.Receipts.Len()-arrived) / idleTime.Seconds()
	m, err := s.metrics()
	if err != nil {
		return f, err
	}
	f.waiting = m["homing_queue_waiting_recipients"]
	if f.end, err = s.memory(); err != nil {
		return f, err
	}
	fmt.Printf("%s: %s\n", name, f)
	return f, nil
}

// take measures acceptance. What is accepted is delivered meanwhile.
func (st *stage) take(ctx context.Context, s *server, name string, l load, f *figure) error {
	before, err := s.cpu()
	if err != nil {
		return err
	}
	delivered := st.Receipts.Len()
	took, err := st.accept(name, l.messages, l.sessions, l.size)
	if err != nil {
		return err
	}
	f.accepted = float64(l.messages) / took.Seconds()
	err = until(ctx, 10*time.Millisecond, time.Minute, func() (bool, error) { return st.Receipts.Len() >= delivered+l.messages, nil })
	if err != nil {
		return fmt.Errorf("delivering what was accepted: %w", err)
	}
	after, err := s.cpu()
	f.cpu = (after - before) / time.Duration(l.messages)
	return err
}

func (f figure) String() string {
	round := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	return fmt.Sprintf("%.0f waiting; dispatch median %s, longest %s; accepted %.0f/s, %s of CPU each; then %.3f CPUs, %.0f delivered/s; "+
		"anonymous memory %.0f, then %.0f MB, resident %.0f, peak %.0f MB", f.waiting, round(f.dispatch[tries/2]), round(f.dispatch[tries-1]),
		f.accepted, f.cpu, f.idle, f.delivered, f.start.anonymous/1e6, f.end.anonymous/1e6, f.end.resident/1e6, f.end.peak/1e6)
}

// idle says how much of a processor the server uses while nobody asks it for
// anything.
func (s *server) idle(ctx context.Context) (float64, error) {
	before, err := s.cpu()
	if err != nil {
		return 0, err
	}
	t := time.NewTimer(idleTime)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-t.C:
	}
	after, err := s.cpu()
	return (after - before).Seconds() / idleTime.Seconds(), err
}

// report prints what benchstat reads.
func report(s scale, empty, full figure, ready time.Duration) {
	fmt.Printf("\ngoos: linux\npkg: homing/integration/backlogbench\n")
	fmt.Printf("BenchmarkBacklog/queued=%d/domains=%d/dead=%d 1 %.3f ready-s %.0f anon-octets %.0f anon-octets/recipient %.3f acceptance-ratio "+
		"%.0f accepted/s %.0f accepted-empty/s %.0f cpu-µs/message %.0f cpu-empty-µs/message %.2f dispatch-ms %.2f dispatch-longest-ms %.3f idle-cpus %.0f delivered/s\n",
		s.queued, s.domains, s.dead, ready.Seconds(), full.end.anonymous, (full.end.anonymous-empty.end.anonymous)/float64(s.queued),
		full.accepted/empty.accepted, full.accepted, empty.accepted, micros(full.cpu), micros(empty.cpu),
		micros(full.dispatch[tries/2])/1e3, micros(full.dispatch[tries-1])/1e3, full.idle, full.delivered)
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// du is how many octets a directory takes on the disk.
func du(dir string) (sum int64) {
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		var st syscall.Stat_t
		if err == nil && !d.IsDir() && syscall.Stat(path, &st) == nil {
			sum += st.Blocks * 512
		}
		return nil
	})
	return sum
}
