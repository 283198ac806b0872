package delivery_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"homing/delivery"
	"homing/event"
	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
	"homing/internal/memconn"
	"homing/internal/message"
	"homing/internal/smtptest"
	"homing/queue"
	"homing/store"
)

// A world is everything around a Delivery: a queue in memory, a DNS that is a
// literal, and hosts that play scripts.
type world struct {
	t    testing.TB
	zone *dnstest.Zone
	// hosts play one script for each connection, the last one for all that
	// follow. An address without scripts refuses connections.
	hosts map[string][]smtptest.Script
	tls   *tls.Config // of the hosts

	mu       sync.Mutex
	dialled  []string
	sources  []netip.Addr
	players  []*smtptest.Player
	playing  sync.WaitGroup
	events   []string // in order
	results  map[string]queue.Result
	jobs     chan *queue.Job
	further  [][]queue.Item // what More gives
	open     int            // bodies
	broken   map[string]bool
	room     map[string]int // by domain, how many its site takes now; else: all
	doneErr  error
	unwanted map[string]bool
	next     event.DeliveryID
	log      bytes.Buffer
}

func newWorld(t testing.TB) *world {
	return &world{t: t, zone: &dnstest.Zone{MXs: map[string][]dnsx.MX{}, Hosts: map[string][]netip.Addr{}},
		hosts: map[string][]smtptest.Script{}, results: map[string]queue.Result{}, jobs: make(chan *queue.Job, 100),
		broken: map[string]bool{}, unwanted: map[string]bool{}}
}

// mx gives a domain a host with an address and scripts.
func (w *world) mx(domain, host, address string, scripts ...smtptest.Script) {
	w.zone.MXs[domain] = append(w.zone.MXs[domain], dnsx.MX{Host: host, Preference: uint16(10 * (len(w.zone.MXs[domain]) + 1))})
	w.zone.Hosts[host] = append(w.zone.Hosts[host], netip.MustParseAddr(address))
	w.hosts[address] = scripts
}

// items makes items, one for each address.
func (w *world) items(addresses ...string) []queue.Item {
	var out []queue.Item
	for _, a := range addresses {
		w.next++
		it := queue.Item{Lease: store.Lease{Token: store.Token{Delivery: w.next, Fence: 1},
			Recipient: store.Recipient{ID: w.next, Address: a, ReturnPath: "return@bounce.example.org"}}}
		out = append(out, it)
	}
	return out
}

// job puts a job into the queue.
func (w *world) job(domain string, addresses ...string) {
	w.jobs <- &queue.Job{Domain: domain, Items: w.items(addresses...)}
}

func (w *world) Next(ctx context.Context) (*queue.Job, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case j, ok := <-w.jobs:
		if !ok {
			return nil, errors.New("the store has failed")
		}
		return j, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Locate finds room for all but those that a test has set.
func (w *world) Locate(j *queue.Job, hosts []queue.Host) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for _, h := range hosts {
		names = append(names, h.Name)
	}
	w.events = append(w.events, "locate "+j.Domain+" at "+strings.Join(names, ","))
	if may, set := w.room[j.Domain]; set {
		return may
	}
	return len(j.Items)
}

func (w *world) More(ctx context.Context, _ *queue.Job) ([]queue.Item, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.further) == 0 {
		return nil, nil
	}
	items := w.further[0]
	w.further = w.further[1:]
	return items, ctx.Err()
}

func (w *world) Wanted(it queue.Item) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.unwanted[it.Recipient.Address]
}

func (w *world) Done(ctx context.Context, it queue.Item, r queue.Result) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, twice := w.results[it.Recipient.Address]; twice {
		w.t.Errorf("%s is done twice", it.Recipient.Address)
	}
	w.results[it.Recipient.Address] = r
	w.events = append(w.events, "done "+it.Recipient.Address)
	return errors.Join(w.doneErr, ctx.Err())
}

func (w *world) Finish(j *queue.Job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, "finish "+j.Domain)
}

func (w *world) OpenBody(_ context.Context, it queue.Item) (message.Body, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken[it.Recipient.Address] {
		return nil, store.ErrNotFound
	}
	w.open++
	return &body{Reader: bytes.NewReader([]byte("To: " + it.Recipient.Address + "\r\n\r\n.hello\r\n")), w: w}, nil
}

// A body counts itself.
type body struct {
	*bytes.Reader
	w *world
}

func (b *body) Close() error {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	b.w.open--
	return nil
}

// dial is the network.
func (w *world) dial(_ context.Context, source netip.Addr, to netip.AddrPort) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dialled = append(w.dialled, to.String())
	w.sources = append(w.sources, source)
	scripts := w.hosts[to.Addr().String()]
	if len(scripts) == 0 {
		return nil, &net.OpError{Op: "dial", Err: fmt.Errorf("connect: %w", syscall.ECONNREFUSED)}
	}
	if len(scripts) > 1 {
		w.hosts[to.Addr().String()] = scripts[1:]
	}
	near, far := memconn.Pipe(nil, nil)
	p := &smtptest.Player{TLS: w.tls}
	w.players = append(w.players, p)
	w.playing.Go(func() {
		if err := p.Play(far, scripts[0]); err != nil && !errors.Is(err, io.EOF) {
			w.t.Errorf("%s: %v", to, err)
		}
	})
	return near, nil
}

// config is a Delivery in this world. Documentation addresses are its public
// Internet.
func (w *world) config() delivery.Config {
	return delivery.Config{Queue: w, Resolver: w.zone, Dial: w.dial, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		Options: delivery.Options{Hostname: "mail.example.org",
			AllowNetworks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8::/32")}}}
}

// run delivers until want jobs are finished, and checks what must hold after
// every run: clean octets on the wire, bodies closed, each item given back.
func (w *world) run(c delivery.Config, want int) {
	w.t.Helper()
	ctx, stop := context.WithCancel(w.t.Context())
	defer stop()
	done := make(chan error, 1)
	finished := &counting{Queue: c.Queue, left: want, stop: stop}
	c.Queue = finished
	go func() { done <- delivery.New(c).Run(ctx) }()
	if err := <-done; err != nil {
		w.t.Errorf("Run = %v", err)
	}
	w.check()
}

func (w *world) check() {
	w.t.Helper()
	w.playing.Wait()
	for _, p := range w.players {
		if err := p.Clean(); err != nil {
			w.t.Errorf("on the wire: %v", err)
		}
	}
	if w.open != 0 {
		w.t.Errorf("%d bodies are still open", w.open)
	}
}

// counting stops a run after some jobs.
type counting struct {
	delivery.Queue
	mu   sync.Mutex
	left int
	stop func()
}

func (c *counting) Finish(j *queue.Job) {
	c.Queue.Finish(j)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left == 0 {
		c.stop()
	}
}

// outcomes gives what became of each recipient, as text.
func (w *world) outcomes() map[string]string {
	out := map[string]string{}
	for a, r := range w.results {
		out[a] = say(r)
	}
	return out
}

func say(r queue.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", r.Stage)
	if r.Ours {
		b.WriteString("we say ")
	}
	b.WriteString(r.Reply.String())
	if r.RemoteMTA != "" {
		b.WriteString(" by " + r.RemoteMTA)
	}
	if r.TLS != (event.TLS{}) {
		b.WriteString(" over " + r.TLS.Version + " " + r.TLS.Verified)
	}
	return b.String()
}

const hello = `
	S: 220 mx
	C: EHLO mail.example.org
	S: 250 mx
`
const accept = `
	C: MAIL FROM:<return@bounce.example.org>
	S: 250 ok
	C: RCPT
	S: 250 ok
	C: DATA
	S: 354 go
	C.
	S: 250 2.0.0 queued
`
const bye = `
	C: QUIT
	S: 221 bye
`

// stopAfter runs and asks for the shutdown after a while.
func (w *world) stopAfter(c delivery.Config, d time.Duration) {
	w.t.Helper()
	ctx, stop := context.WithTimeout(w.t.Context(), d)
	defer stop()
	if err := delivery.New(c).Run(ctx); err != nil {
		w.t.Errorf("Run = %v", err)
	}
	w.check()
}
