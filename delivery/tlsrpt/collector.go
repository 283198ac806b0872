package tlsrpt

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homing/internal/dnsx"
	"homing/store"
)

// A Resolver answers what is asked to send a report. Every dnsx.Resolver is
// one.
type Resolver interface {
	TXT(ctx context.Context, name string) ([]string, error)
	Addrs(ctx context.Context, name string) ([]netip.Addr, error)
}

// Config is what a Collector is made of.
type Config struct {
	Resolver Resolver
	Notes    store.Notes
	Log      *slog.Logger
	// Submit puts a mail into our own queue. Two calls with one Key are one
	// mail.
	Submit  func(ctx context.Context, m Mail) error
	Allowed func(a netip.Addr) bool                                        // where reports may be posted to; nil: public addresses
	Dial    func(ctx context.Context, to netip.AddrPort) (net.Conn, error) // nil: the network
	Roots   *x509.CertPool                                                 // whom their certificates must come from; nil: the system's
	Metrics prometheus.Registerer                                          // nil: not counted anywhere
}

// A Collector counts sessions by day (UTC) and domain, and sends what it has
// counted when the day has ended. Add and SetAuthor may be called from any
// goroutine; Run once.
type Collector struct {
	Config
	client  *http.Client
	reports *prometheus.CounterVec

	mu     sync.Mutex
	author Author
	days   map[time.Time]day // by their beginning
}

// space is where counts are noted: "2026-11-23 example.net 0", a number for
// each policy.
const space = "tlsrpt"

// New makes a Collector with what an earlier one has noted.
func New(ctx context.Context, c Config) (*Collector, error) {
	s := &Collector{Config: c, days: map[time.Time]day{},
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_tlsrpt_reports_total",
			Help: "Reports about TLS, by way (mail, https) and outcome: sent, failed (it is tried again for a day)."}, []string{"way", "outcome"})}
	if c.Metrics != nil {
		c.Metrics.MustRegister(s.reports)
	}
	s.client = dnsx.Dialer{Resolver: s.Resolver, Allowed: s.Allowed, Dial: s.Dial}.HTTPClient(s.Roots)
	notes, err := s.Notes.Notes(ctx, space)
	for _, name := range slices.Sorted(maps.Keys(notes)) {
		start, domain, ok := readName(name)
		t := &tally{}
		if ok && json.Unmarshal(notes[name], t) == nil {
			a := s.day(start)[domain]
			if a == nil {
				a = &account{}
				s.day(start)[domain] = a
			}
			a.tallies = append(a.tallies, t)
		}
	}
	return s, err
}

func noteName(start time.Time, domain string, n int) string {
	return fmt.Sprintf("%s %s %d", start.Format(dayForm), domain, n)
}

func readName(name string) (start time.Time, domain string, ok bool) {
	words := strings.Fields(name)
	if len(words) != 3 {
		return start, "", false
	}
	start, err := time.Parse(dayForm, words[0])
	return start, words[1], err == nil
}

// day gives the counts of the day that begins at start. c.mu is held, or
// nobody else knows c yet.
func (c *Collector) day(start time.Time) day {
	d := c.days[start]
	if d == nil {
		d = day{}
		c.days[start] = d
	}
	return d
}

// SetAuthor says who reports from now on. The zero Author counts and sends
// nothing.
func (c *Collector) SetAuthor(a Author) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.author = a
}

// Add counts a session. It never waits for the disk: a crash may lose what was
// counted in the last minutes.
func (c *Collector) Add(s Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.author.Submitter != "" {
		c.day(today()).add(s)
	}
}

// today is the beginning of the day.
func today() time.Time { return time.Now().UTC().Truncate(24 * time.Hour) }

// Times of a Collector.
const (
	tickTime  = time.Minute
	noteEvery = 5 * time.Minute
)

// Run notes what was counted and sends reports until ctx ends; what was
// counted by then is noted. No goroutine outlives it.
func (c *Collector) Run(ctx context.Context) error {
	tick := time.NewTicker(tickTime)
	defer tick.Stop()
	for noted := time.Now(); ; {
		c.sendDue(ctx)
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tickTime)
			defer cancel()
			c.noteAll(ctx)
			return nil
		case <-tick.C:
		}
		if time.Since(noted) >= noteEvery {
			c.noteAll(ctx)
			noted = time.Now()
		}
	}
}

// noteAll makes what has changed survive a restart.
func (c *Collector) noteAll(ctx context.Context) {
	values := map[string][]byte{}
	c.mu.Lock()
	for start, d := range c.days {
		for domain, tallies := range d.changed() {
			for n, t := range tallies {
				if text, err := json.Marshal(t); err == nil {
					values[noteName(start, domain, n)] = text
				}
			}
		}
	}
	c.mu.Unlock()
	if err := store.NoteAll(ctx, c.Notes, space, values); err != nil {
		c.Log.Warn("what was counted of TLS could not be noted", "err", err)
	}
}

// forget drops what was counted for a domain.
func (c *Collector) forget(ctx context.Context, start time.Time, domain string) {
	values := map[string][]byte{}
	c.mu.Lock()
	d := c.days[start]
	if a := d[domain]; a != nil {
		for n := range a.tallies {
			values[noteName(start, domain, n)] = nil
		}
	}
	delete(d, domain)
	if len(d) == 0 {
		delete(c.days, start)
	}
	c.mu.Unlock()
	if err := store.NoteAll(ctx, c.Notes, space, values); err != nil {
		c.Log.Warn("what was counted of TLS could not be forgotten", "err", err)
	}
}
