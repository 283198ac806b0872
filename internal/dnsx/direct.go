package dnsx

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Direct is a Resolver that passes caches by as far as it can: what is within
// some domains it asks the name servers of their zones, and where those do not
// answer, and for everything else, the servers of a Client.
type Direct struct {
	o      Options
	within []string
	usual  *Client

	mu    sync.Mutex
	zones map[string]*Client // nil: the servers of the zone are not to be had
}

var _ Resolver = (*Direct)(nil)

// NewDirect makes a Direct. What it has heard it keeps as a Client does, so
// that whoever waits for a change makes a new one.
func NewDirect(o Options, within []string) (*Direct, error) {
	usual, err := New(o)
	if err != nil {
		return nil, err
	}
	return &Direct{o: usual.o, within: within, usual: usual, zones: map[string]*Client{}}, nil
}

// MX is Resolver.MX.
func (d *Direct) MX(ctx context.Context, name string) ([]MX, error) {
	return first(ctx, d, name, func(c *Client) ([]MX, error) { return c.MX(ctx, name) })
}

// Addrs is Resolver.Addrs.
func (d *Direct) Addrs(ctx context.Context, name string) ([]netip.Addr, error) {
	return first(ctx, d, name, func(c *Client) ([]netip.Addr, error) { return c.Addrs(ctx, name) })
}

// TXT is Resolver.TXT.
func (d *Direct) TXT(ctx context.Context, name string) ([]string, error) {
	return first(ctx, d, name, func(c *Client) ([]string, error) { return c.TXT(ctx, name) })
}

// TLSA is Resolver.TLSA.
func (d *Direct) TLSA(ctx context.Context, name string) ([]TLSA, error) {
	return first(ctx, d, name, func(c *Client) ([]TLSA, error) { return c.TLSA(ctx, name) })
}

// PTR is Resolver.PTR. It asks the servers of the Client: the zones of
// addresses belong to others.
func (d *Direct) PTR(ctx context.Context, addr netip.Addr) ([]string, error) {
	return d.usual.PTR(ctx, addr)
}

// Bases is Resolver.Bases. It asks the servers of the Client: those of a zone do
// not validate.
func (d *Direct) Bases(ctx context.Context, host string) ([]string, error) {
	return d.usual.Bases(ctx, host)
}

// Alias is Client.Alias.
func (d *Direct) Alias(ctx context.Context, name string) (string, error) {
	return first(ctx, d, name, func(c *Client) (string, error) { return c.Alias(ctx, name) })
}

// Zone is Client.Zone.
func (d *Direct) Zone(ctx context.Context, name string) (string, error) {
	return d.usual.Zone(ctx, name)
}

// first asks the servers of a name's zone, and the usual ones where those give
// no answer.
func first[T any](ctx context.Context, d *Direct, name string, ask func(*Client) (T, error)) (T, error) {
	if c := d.client(ctx, name); c != nil {
		if answer, err := ask(c); err == nil || !errors.Is(err, ErrTemporary) {
			return answer, err
		}
	}
	return ask(d.usual)
}

// client gives who asks the servers of a name's zone; nil: the usual ones are
// to be asked.
func (d *Direct) client(ctx context.Context, name string) *Client {
	name, err := Canonical(name)
	if err != nil || !slices.ContainsFunc(d.within, func(top string) bool { return name == top || strings.HasSuffix(name, "."+top) }) {
		return nil
	}
	zone, err := d.usual.Zone(ctx, name)
	if err != nil {
		return nil
	}
	d.mu.Lock()
	c, known := d.zones[zone]
	d.mu.Unlock()
	if known {
		return c
	}
	if servers, err := d.usual.authorities(ctx, zone); err == nil {
		o := d.o
		o.Servers, o.TrustAD, o.Timeout = servers, false, min(o.Timeout, 2*time.Second)
		c, _ = New(o) // the servers are addresses
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.zones[zone] = c
	return c
}
