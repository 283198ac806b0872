// Command relaybench runs the relay job against Postfix: smtp-source sends
// messages over several sessions, the server accepts each durably and delivers
// each to smtp-sink, everything on loopback. Both tools come with Debian's
// postfix package, and Postfix itself, tuned, does the same job in the same
// run: machines are shared and noisy, so only the ratio within one run counts.
//
//	go run ./integration/relaybench -bin ./bin/homing
//
// Afterwards it does the job over a long way: with 25 ms in each direction
// between the server and a sink of its own, over one connection and over
// twenty. Homing does it once more where whole transactions are in flight.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	bin := flag.String("bin", "./bin/homing", "the binary to measure")
	sizes := flag.String("sizes", "4096,51200", "octets of a message, several with commas")
	sessions := flag.String("sessions", "1,10,50", "sessions of the client, several with commas")
	messages := flag.Int("n", 2000, "messages a run")
	runs := flag.Int("runs", 3, "runs of each; medians are compared")
	oneWay := flag.Duration("far", 25*time.Millisecond, "how long octets travel in each direction in the second part; 0: without it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := bench(ctx, *bin, numbers(*sizes), numbers(*sessions), *messages, *runs)
	if err == nil && *oneWay > 0 {
		err = benchFar(ctx, *bin, *oneWay, *runs)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "relaybench:", err)
		os.Exit(1)
	}
}

func numbers(list string) (all []int) {
	for _, text := range strings.Split(list, ",") {
		if n, err := strconv.Atoi(strings.TrimSpace(text)); err == nil {
			all = append(all, n)
		}
	}
	return all
}

// A rate is messages a second: accepted by the server, and arrived at the sink.
type rate struct{ accepted, arrived float64 }

func bench(ctx context.Context, bin string, sizes, sessions []int, messages, runs int) error {
	for _, tool := range []string{"smtp-source", "smtp-sink", "postfix"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is missing: apt-get install postfix", tool)
		}
	}
	dir, err := scratch()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Println("size sessions   postfix/s accepted arrived   homing/s accepted arrived   ratio accepted arrived")
	for _, size := range sizes {
		for _, n := range sessions {
			if err := compare(ctx, dir, bin, job{size, n, messages}, runs); err != nil {
				return err
			}
		}
	}
	return nil
}

// scratch makes a directory in which Postfix's own user may read.
func scratch() (string, error) {
	dir, err := os.MkdirTemp("/var/tmp", "relaybench-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// A job is what one run sends.
type job struct{ size, sessions, messages int }

// compare lets both servers take turns, so that drift of the machine hits
// them alike, and prints the medians.
func compare(ctx context.Context, dir, bin string, j job, runs int) error {
	var all [2][]rate
	for range runs {
		for i, start := range []func() (server, error){
			func() (server, error) { return startPostfix(ctx, dir, sinkAddress, 20) },
			func() (server, error) { return startHoming(ctx, dir, bin, smarthost) },
		} {
			r, err := run(ctx, j, 200, startSink, start)
			if err != nil {
				return err
			}
			all[i] = append(all[i], r)
		}
	}
	p, h := median(all[0]), median(all[1])
	fmt.Printf("%5d %4d   %18.0f %7.0f   %17.0f %7.0f   %14.2f %7.2f\n", j.size, j.sessions,
		p.accepted, p.arrived, h.accepted, h.arrived, h.accepted/p.accepted, h.arrived/p.arrived)
	return nil
}

func median(all []rate) rate {
	pick := func(of func(rate) float64) float64 {
		values := make([]float64, 0, len(all))
		for _, r := range all {
			values = append(values, of(r))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return rate{pick(func(r rate) float64 { return r.accepted }), pick(func(r rate) float64 { return r.arrived })}
}

// run sends one job through a fresh server and a fresh sink, after some
// messages that do not count.
func run(ctx context.Context, j job, first int, open func(context.Context) (*sink, error), start func() (server, error)) (rate, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	sink, err := open(ctx)
	if err != nil {
		return rate{}, err
	}
	defer sink.stop()
	s, err := start()
	if err != nil {
		return rate{}, err
	}
	defer s.stop()
	warm := j
	warm.messages = first
	if _, err := s.send(ctx, warm, sink); err != nil {
		return rate{}, fmt.Errorf("warming up: %w", err)
	}
	return s.send(ctx, j, sink)
}

// send hands a job to the server and waits until all of it has arrived.
func (s server) send(ctx context.Context, j job, sink *sink) (rate, error) {
	before := sink.count()
	began := time.Now()
	c := exec.CommandContext(ctx, "smtp-source", "-d", "-N", "-s", strconv.Itoa(j.sessions), "-m", strconv.Itoa(j.messages), "-l", strconv.Itoa(j.size),
		"-f", "bounce@src.test", "-t", "user@d0.test", s.address)
	if out, err := c.CombinedOutput(); err != nil {
		return rate{}, fmt.Errorf("smtp-source against %s: %w: %s", s.name, err, out)
	}
	accepted := time.Since(began)
	if err := sink.wait(ctx, before+j.messages); err != nil {
		return rate{}, fmt.Errorf("%s delivered %d of %d: %w", s.name, sink.count()-before, j.messages, err)
	}
	arrived := time.Since(began)
	per := func(d time.Duration) float64 { return float64(j.messages) / d.Seconds() }
	return rate{per(accepted), per(arrived)}, nil
}

// errEnded says that a program ended that should have gone on.
var errEnded = errors.New("it ended")
