// Package reports keeps what receivers of mail claim of our domains in DMARC
// and TLS reports: sums by day, source and reporter. Who wrote a report nothing
// proves, so it changes nothing but figures.
package reports

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homing/internal/aggregate"
	"homing/store"
)

// A Resolver says what an address is called, and which addresses a name has.
// Every dnsx.Resolver is one.
type Resolver interface {
	PTR(ctx context.Context, addr netip.Addr) ([]string, error)
	Addrs(ctx context.Context, name string) ([]netip.Addr, error)
}

// Names say what is ours. Domains are in lower-case A-labels.
type Names struct {
	Senders   []string            // domains that mail is sent as
	Others    []string            // domains that mail comes back to, or in for
	Selectors map[string][]string // of our DKIM keys, by domain, in lower case
	Hostname  string              // its addresses are ours
	Addresses []netip.Addr        // from which we send
	Address   string              // for reports; "": none
	Keep      time.Duration       // how long figures are kept
}

// Config is what a Keeper is made of.
type Config struct {
	Notes    store.Notes
	Resolver Resolver
	Names    Names
	Log      *slog.Logger
	Now      func() time.Time
	Metrics  prometheus.Registerer // nil: not counted anywhere
}

// A Keeper takes mail with reports and says what they claim. Its methods may
// be called from many goroutines; Run once.
type Keeper struct {
	Config
	metrics *metrics
	turn    chan struct{} // held by whoever changes days

	mu     sync.Mutex
	names  names
	days   map[key]*day // never changed, only replaced
	unread map[aggregate.Reason]int
	began  time.Time
}

// A key says what a day is of. Days are those of UTC, "2006-01-02".
type key struct{ date, domain string }

// space is where days are noted: "2026-11-22 example.org".
const space = "reports"

func (k key) note() string { return k.date + " " + k.domain }

// New makes a Keeper with what an earlier one has noted.
func New(ctx context.Context, c Config) (*Keeper, error) {
	k := &Keeper{Config: c, metrics: newMetrics(c.Metrics), turn: make(chan struct{}, 1),
		days: map[key]*day{}, unread: map[aggregate.Reason]int{}, began: c.Now().UTC()}
	k.names = namesOf(c.Names)
	notes, err := c.Notes.Notes(ctx, space)
	if err != nil {
		return nil, fmt.Errorf("reading what was reported: %w", err)
	}
	for name, text := range notes {
		d := &day{}
		at, domain, ok := strings.Cut(name, " ")
		if err := json.Unmarshal(text, d); err != nil || !ok {
			c.Log.Warn("what was reported of a day cannot be read and is forgotten", "day", name, "err", err)
			continue
		}
		k.days[key{at, domain}] = d
	}
	return k, nil
}

// SetNames says what is ours from now on.
func (k *Keeper) SetNames(n Names) {
	k.mu.Lock()
	defer k.mu.Unlock()
	host := k.names.host
	k.names = namesOf(n)
	k.names.host = host
}

// Times of a Keeper.
const (
	tickTime = time.Hour
	lookTime = 5 * time.Second
	waitTime = 20 * time.Second // for mail that is being read
)

// Run forgets what is too old, and learns the addresses of our name, until ctx
// ends. No goroutine outlives it.
func (k *Keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(tickTime)
	defer tick.Stop()
	for {
		k.look(ctx)
		if err := k.forget(ctx); err != nil && ctx.Err() == nil {
			k.Log.Warn("what was reported long ago could not be forgotten", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look learns the addresses that the world has for our name.
func (k *Keeper) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	k.mu.Lock()
	name := k.names.Hostname
	k.mu.Unlock()
	found, err := k.Resolver.Addrs(ctx, name)
	if err != nil {
		return // those of the configuration remain
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.names.host = found
}

// Take reads mail that came to the address for reports. What is in it counts
// once, however often it comes, and is durable when Take returns nil. What
// cannot be understood is no error; an error is one of r or of the notes.
func (k *Keeper) Take(ctx context.Context, r io.Reader) error {
	leave, err := k.enter(ctx)
	if err != nil {
		return err
	}
	if leave == nil {
		k.notUnderstood([]aggregate.Fault{{Reason: busy, Detail: "it was not read, because others took too long to read"}})
		return nil
	}
	defer leave()
	got, err := aggregate.Read(r)
	if err != nil {
		return err
	}
	k.notUnderstood(got.Faults)
	b := k.begin()
	for i := range got.DMARC {
		b.dmarc(&got.DMARC[i])
	}
	for i := range got.TLS {
		b.tls(&got.TLS[i])
	}
	if err := k.commit(ctx, b); err != nil {
		return fmt.Errorf("noting what was reported: %w", err)
	}
	for _, o := range b.outcomes {
		k.Log.Info("report about our mail", "kind", o.kind, "outcome", o.outcome)
	}
	k.metrics.count(b)
	return nil
}

// enter waits for the turn to change days: memory and time are spent on one
// mail at a time. A nil leave means that it took too long.
func (k *Keeper) enter(ctx context.Context) (leave func(), err error) {
	limit := time.NewTimer(waitTime)
	defer limit.Stop()
	select {
	case k.turn <- struct{}{}:
		return func() { <-k.turn }, nil
	case <-limit.C:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// notUnderstood counts what could not be read.
func (k *Keeper) notUnderstood(faults []aggregate.Fault) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, f := range faults {
		k.unread[f.Reason]++
		k.metrics.unread.WithLabelValues(string(f.Reason)).Inc()
		k.Log.Info("a report is not understood", "class", f.Reason, "err", f.Detail)
	}
}

// forget drops days that are older than is kept.
func (k *Keeper) forget(ctx context.Context) error {
	leave, err := k.enter(ctx)
	if err != nil || leave == nil {
		return err // an hour later it is tried again
	}
	defer leave()
	return k.commit(ctx, k.begin())
}

// atOnce is how many days are noted in one transaction.
const atOnce = 100

// commit makes changes durable and then known. The turn is ours.
func (k *Keeper) commit(ctx context.Context, b *batch) error {
	b.bound()
	values := map[string][]byte{}
	for at, d := range b.changed {
		if d == nil {
			values[at.note()] = nil
			continue
		}
		text, err := d.note()
		if err != nil {
			return err
		}
		values[at.note()] = text
	}
	for some := range slices.Chunk(slices.Sorted(maps.Keys(values)), atOnce) {
		part := map[string][]byte{}
		for _, name := range some {
			part[name] = values[name]
		}
		if err := k.Notes.Note(ctx, space, part); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for at, d := range b.changed {
		if d == nil {
			delete(k.days, at)
		} else {
			k.days[at] = d
		}
	}
	return nil
}
