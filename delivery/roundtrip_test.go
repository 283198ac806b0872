package delivery_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"homing/delivery"
	"homing/internal/memconn"
)

// far gives both ends of a connection on which octets travel for a while.
func far(delay time.Duration, carriers *sync.WaitGroup) (near, distant net.Conn) {
	a, b := memconn.Pipe(nil, nil)
	c, d := memconn.Pipe(nil, nil)
	carriers.Go(func() { carry(c, b, delay, carriers) })
	carriers.Go(func() { carry(b, c, delay, carriers) })
	return a, d
}

func carry(to, from *memconn.Conn, delay time.Duration, carriers *sync.WaitGroup) {
	type load struct {
		at     time.Time
		octets []byte
	}
	road := make(chan load, 1000)
	carriers.Go(func() {
		defer to.CloseWrite()
		for l := range road {
			<-time.After(time.Until(l.at))
			if _, err := to.Write(l.octets); err != nil {
				io.Copy(io.Discard, from)
				return
			}
		}
	})
	defer close(road)
	for {
		p := make([]byte, 4096)
		n, err := from.Read(p)
		if err != nil {
			return
		}
		road <- load{time.Now().Add(delay), p[:n]}
	}
}

// TestAMessageTakesOneRoundTrip: where PIPELINING is offered, the envelope of
// the next message rides behind the final dot, also from one claimed batch to
// the next.
func TestAMessageTakesOneRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const messages, oneWay = 120, 25 * time.Millisecond
		var others sync.WaitGroup
		var s sink
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		p := &pump{left: messages, want: messages, stop: stop, content: []byte(strings.Repeat("hello\r\n", 600))}
		dial := func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
			near, distant := far(oneWay, &others)
			others.Go(func() {
				s.serve(bufio.NewReader(distant), bufio.NewWriter(distant))
				distant.Close()
			})
			return near, nil
		}
		begun := time.Now()
		err := delivery.New(delivery.Config{Queue: p, Dial: dial, Log: slog.New(slog.DiscardHandler), Options: delivery.Options{
			Hostname: "mail.example.org", AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}).Run(ctx)
		trips := float64(time.Since(begun)) / float64(2*oneWay)
		others.Wait()
		if err != nil || p.done != messages {
			t.Errorf("Run = %v, %d of %d delivered", err, p.done, messages)
		}
		// The greeting, EHLO, the first envelope and QUIT are the rest.
		if trips > messages+5 {
			t.Errorf("%.1f round trips for %d messages", trips, messages)
		}
	})
}
