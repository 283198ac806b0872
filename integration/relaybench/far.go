package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
)

// The way to the sink is long: servers call the road, which leads there.
const (
	roadAddress    = "127.0.0.1:2601"
	farSinkAddress = "127.0.0.1:2602"
)

// A farJob is a row of the second part.
type farJob struct {
	about       string
	connections int
	messages    int
	window      bool // whole transactions, which Postfix does not know
}

var farJobs = []farJob{
	{"1 connection, PIPELINING", 1, 120, false},
	{"20 connections, PIPELINING", 20, 2000, false},
	{"1 connection, window of 4", 1, 400, true},
}

// benchFar does the job over a long way and prints how many messages a second
// arrive.
func benchFar(ctx context.Context, bin string, oneWay time.Duration, runs int) error {
	dir, err := scratch()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	dns, err := dnstest.Listen("127.0.0.1:0", &dnstest.Zone{MXs: map[string][]dnsx.MX{"d0.test": dnstest.MXs("mx.d0.test")},
		Hosts: map[string][]netip.Addr{"mx.d0.test": dnstest.Addrs("127.0.0.1")}})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var answering sync.WaitGroup
	answering.Go(func() { dns.Run(ctx) })
	defer answering.Wait()
	defer stop()
	fmt.Printf("\n%v each way, 4096 octets       postfix/s   homing/s   ratio\n", oneWay)
	for _, j := range farJobs {
		if err := compareFar(ctx, dir, bin, dns.Addr, j, oneWay, runs); err != nil {
			return fmt.Errorf("%s: %w", j.about, err)
		}
	}
	return nil
}

// compareFar lets both servers take turns, where both can do the job.
func compareFar(ctx context.Context, dir, bin, dns string, j farJob, oneWay time.Duration, runs int) error {
	open := func(ctx context.Context) (*sink, error) { return startFarSink(ctx, oneWay) }
	var postfix, homing []rate
	for range runs {
		if !j.window {
			r, err := run(ctx, job{4096, 10, j.messages}, 20, open, func() (server, error) { return startPostfix(ctx, dir, roadAddress, j.connections) })
			if err != nil {
				return err
			}
			postfix = append(postfix, r)
		}
		r, err := run(ctx, job{4096, 10, j.messages}, 20, open, func() (server, error) { return startHoming(ctx, dir, bin, j.delivery(dns)) })
		if err != nil {
			return err
		}
		homing = append(homing, r)
	}
	if j.window {
		fmt.Printf("%-34s %5s %10.1f\n", j.about, "", median(homing).arrived)
		return nil
	}
	p, h := median(postfix).arrived, median(homing).arrived
	fmt.Printf("%-34s %5.1f %10.1f %7.2f\n", j.about, p, h, h/p)
	return nil
}

// delivery is what Homing is told of the way: the MX of the recipients is the
// road, and takes so many connections.
func (j farJob) delivery(dns string) string {
	listed := ""
	if j.window {
		listed = `window_sites = ["d0.test"]`
	}
	return fmt.Sprintf(`[delivery]
port = %d
allow_networks = ["127.0.0.0/8"]
%s
[[delivery.provider]]
name = "default"
connections = %d
[dns]
server = "%s"
`, netip.MustParseAddrPort(roadAddress).Port(), listed, j.connections, dns)
}
