package mtasts

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"homing/internal/dnsx"
	"homing/store"
)

// A Resolver answers what is asked to find a policy. Every dnsx.Resolver is
// one, and keeps its answers, so that a domain without a policy costs one
// question for each TTL.
type Resolver interface {
	TXT(ctx context.Context, name string) ([]string, error)
	Addrs(ctx context.Context, name string) ([]netip.Addr, error)
}

// Config is what a Cache is made of.
type Config struct {
	Resolver Resolver
	Notes    store.Notes
	Log      *slog.Logger
	Metrics  *Metrics                // nil: not counted anywhere
	Allowed  func(a netip.Addr) bool // where policy hosts may be; nil: public addresses
	Roots    *x509.CertPool          // whom their certificates must come from; nil: the system's
	Dial     func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	Max      int // policies that are remembered; 0: 20,000
	Fetches  int // at once; 0: 50
}

// When policies are fetched.
const (
	refreshAge = 24 * time.Hour      // RFC 8461 section 3.3: once a day
	unusedTime = 30 * 24 * time.Hour // a policy that nobody asked for is not refreshed any more
	sweepTime  = time.Minute
	backOff    = 5 * time.Minute // RFC 8461 section 3.3; doubled with each failure
	maxBackOff = time.Hour
	changeTime = time.Minute // a new id is looked at so long after the last fetch
)

// A Cache finds policies and remembers them as long as they say. What it
// remembers survives a restart. Its methods may be called from many
// goroutines.
type Cache struct {
	Config
	client *http.Client
	turns  chan struct{} // one for each fetch

	mu      sync.Mutex
	domains map[string]*entry
}

// An entry is what is known of a domain that has a policy, or has said so.
type entry struct {
	kept             // Policy of the zero Mode: none was ever fetched
	used   time.Time // when it was last asked for
	failed error     // why the last fetch gave nothing; nil: it did
	wanted string    // the id that failed
	tried  time.Time // when the last fetch ended
	pause  time.Duration
	flight chan struct{} // closed when the fetch under way has ended; nil: none is
}

// kept is what survives a restart.
type kept struct {
	ID      string    `json:"id"`
	Fetched time.Time `json:"fetched"`
	Policy
}

// in reports whether there is a policy in force.
func (k kept) in(now time.Time) bool {
	return k.Mode != "" && now.Before(k.Fetched.Add(max(k.MaxAge, shortest)))
}

// New makes a Cache with what an earlier one has noted.
func New(ctx context.Context, c Config) (*Cache, error) {
	c.Max, c.Fetches = cmp.Or(c.Max, 20_000), cmp.Or(c.Fetches, 50)
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	s := &Cache{Config: c, turns: make(chan struct{}, c.Fetches), domains: map[string]*entry{}}
	s.client = dnsx.Dialer{Resolver: s.Resolver, Allowed: s.Allowed, Dial: s.Dial}.HTTPClient(s.Roots)
	return s, s.load(ctx)
}

// A Found is what holds for a domain.
type Found struct {
	Policy // of the zero Mode: the domain has none, or none could be had
	ID     string
	// Err says why the policy that the domain has now could not be had, so
	// that an older one or none holds: ErrCertificate, ErrInvalid or ErrFetch.
	Err error
}

// Find gives the policy that holds for a domain (RFC 8461 section 5.1). It
// waits for a fetch where the DNS names a policy that it does not know yet. A
// policy that was fetched holds until its max_age ends, whatever becomes of
// its TXT record and its host. It gives no policy when ctx ends.
func (c *Cache) Find(ctx context.Context, domain string) Found {
	texts, _ := c.Resolver.TXT(ctx, prefix+domain) // no answer is no record
	id := ParseRecord(texts)
	for ctx.Err() == nil {
		c.mu.Lock()
		e := c.domains[domain]
		now := time.Now()
		if e == nil && id == "" {
			c.mu.Unlock()
			return Found{}
		}
		if e == nil {
			e = c.enter(domain)
		}
		e.used = now
		if id == "" || !e.due(id, now) {
			found := e.found(id, now)
			c.mu.Unlock()
			return found
		}
		flight := e.flight
		if flight == nil {
			c.begin(e)
			c.mu.Unlock()
			c.refresh(ctx, domain, e, id)
			continue
		}
		c.mu.Unlock()
		select {
		case <-flight:
		case <-ctx.Done():
		}
	}
	return Found{}
}

// due reports whether the policy with an id must be fetched now.
func (e *entry) due(id string, now time.Time) bool {
	switch {
	case e.in(now) && e.ID == id:
		return false
	case e.failed != nil && e.wanted == id:
		return !now.Before(e.tried.Add(e.pause))
	}
	return e.tried.IsZero() || !now.Before(e.tried.Add(changeTime))
}

// found is what holds by an entry.
func (e *entry) found(id string, now time.Time) Found {
	var f Found
	if e.in(now) {
		f.Policy, f.ID = e.Policy, e.ID
	}
	if id != "" && id == e.wanted && id != f.ID {
		f.Err = e.failed
	}
	return f
}

// enter makes the entry of a domain, in the place of the one that was used
// least where there are too many. c.mu is held.
func (c *Cache) enter(domain string) *entry {
	if len(c.domains) >= c.Max {
		oldest := ""
		for name, e := range c.domains {
			if e.flight == nil && (oldest == "" || e.used.Before(c.domains[oldest].used)) {
				oldest = name
			}
		}
		delete(c.domains, oldest) // its note goes with the next sweep
	}
	e := &entry{}
	c.domains[domain] = e
	return e
}

// begin marks a fetch as under way. c.mu is held.
func (c *Cache) begin(e *entry) { e.flight = make(chan struct{}) }

// refresh fetches the policy of a domain and remembers what came of it.
func (c *Cache) refresh(ctx context.Context, domain string, e *entry, id string) {
	p, err := c.fetch(ctx, domain)
	stopped := err != nil && ctx.Err() != nil // it is not the domain's fault
	if !stopped {
		c.Metrics.fetches.WithLabelValues(outcome(err)).Inc()
	}
	now := time.Now()
	c.mu.Lock()
	switch {
	case stopped:
	case err != nil:
		e.pause = min(max(2*e.pause, backOff), maxBackOff)
		e.failed, e.wanted, e.tried = err, id, now
	default:
		e.kept = kept{ID: id, Fetched: now.UTC().Round(0), Policy: p}
		e.failed, e.wanted, e.tried, e.pause = nil, "", now, 0
	}
	row := e.kept
	close(e.flight)
	e.flight = nil
	c.mu.Unlock()
	switch {
	case stopped:
	case err != nil:
		c.Log.Warn("an MTA-STS policy could not be fetched", "domain", domain, "err", err)
	default:
		c.note(ctx, domain, row)
	}
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "fetched"
	case errors.Is(err, ErrCertificate):
		return "certificate"
	case errors.Is(err, ErrInvalid):
		return "invalid"
	}
	return "failed"
}
