package mtasts

import (
	"context"
	"encoding/json"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homing/store"
)

// space is where policies are noted, by domain.
const space = "mtasts"

// load reads what was noted. What cannot be read is fetched again.
func (c *Cache) load(ctx context.Context) error {
	notes, err := c.Notes.Notes(ctx, space)
	if err != nil {
		return err
	}
	now := time.Now()
	for domain, text := range notes {
		e := &entry{used: now}
		if err := json.Unmarshal(text, &e.kept); err != nil || !e.in(now) || len(c.domains) >= c.Max {
			continue // forgotten at the first sweep
		}
		c.domains[domain] = e
	}
	return nil
}

// note makes a policy survive a restart. That it was not noted is no reason to
// send or not to send.
func (c *Cache) note(ctx context.Context, domain string, row kept) {
	text, err := json.Marshal(row)
	if err == nil {
		err = c.Notes.Note(context.WithoutCancel(ctx), space, map[string][]byte{domain: text})
	}
	if err != nil {
		c.Log.Warn("an MTA-STS policy could not be noted", "domain", domain, "err", err)
	}
}

// Run refreshes policies before they end (RFC 8461 section 3.3) and forgets
// those that have ended, until ctx does. No goroutine outlives it.
func (c *Cache) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepTime)
	defer tick.Stop()
	for first := true; ; first = false {
		if first || c.sweep() {
			if err := c.tidy(ctx); err != nil && ctx.Err() == nil {
				c.Log.Warn("tidying MTA-STS policies failed", "err", err)
			}
		}
		c.refreshDue(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// sweep drops the entries that say nothing any more, and reports whether
// there were any.
func (c *Cache) sweep() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, now := len(c.domains), time.Now()
	maps.DeleteFunc(c.domains, func(_ string, e *entry) bool {
		return e.flight == nil && !e.in(now) && !now.Before(e.tried.Add(maxBackOff))
	})
	return len(c.domains) < before
}

// tidy takes away the notes of domains that are not known any more.
func (c *Cache) tidy(ctx context.Context) error {
	notes, err := c.Notes.Notes(ctx, space)
	if err != nil {
		return err
	}
	c.mu.Lock()
	gone := map[string][]byte{}
	for domain := range notes {
		if e := c.domains[domain]; e == nil || e.Mode == "" {
			gone[domain] = nil
		}
	}
	c.mu.Unlock()
	return store.NoteAll(ctx, c.Notes, space, gone)
}

// refreshers is how many policies are refreshed at once: a few of the turns,
// the others are for mail that waits.
const refreshers = 4

// refreshDue fetches again what was fetched a day ago, or half of its age.
func (c *Cache) refreshDue(ctx context.Context) {
	due := make(chan string)
	var workers sync.WaitGroup
	for range refreshers {
		workers.Go(func() {
			for domain := range due {
				c.renew(ctx, domain)
			}
		})
	}
	for _, domain := range c.old() {
		if ctx.Err() != nil {
			break
		}
		due <- domain
	}
	close(due)
	workers.Wait()
}

// old lists the domains whose policy is to be refreshed.
func (c *Cache) old() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	now := time.Now()
	for domain, e := range c.domains {
		if e.stale(now) {
			out = append(out, domain)
		}
	}
	return out
}

func (e *entry) stale(now time.Time) bool {
	return e.flight == nil && e.in(now) && now.Sub(e.used) < unusedTime &&
		now.Sub(e.Fetched) >= min(refreshAge, e.MaxAge/2) &&
		(e.tried.IsZero() || now.Sub(e.tried) >= max(e.pause, changeTime))
}

// renew fetches a policy again, also where its TXT record has gone.
func (c *Cache) renew(ctx context.Context, domain string) {
	texts, _ := c.Resolver.TXT(ctx, prefix+domain)
	id := ParseRecord(texts)
	c.mu.Lock()
	e := c.domains[domain]
	if e == nil || !e.stale(time.Now()) {
		c.mu.Unlock()
		return
	}
	if id == "" {
		id = e.ID
	}
	c.begin(e)
	c.mu.Unlock()
	c.refresh(ctx, domain, e, id)
}

// Metrics counts fetches.
type Metrics struct{ fetches *prometheus.CounterVec }

// NewMetrics makes the metrics and registers them with r, if r is not nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{fetches: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_mtasts_fetches_total",
		Help: "MTA-STS policies that were asked for, by outcome: fetched, invalid, certificate (of the policy host), failed."}, []string{"outcome"})}
	if r != nil {
		r.MustRegister(m.fetches)
	}
	return m
}
