package dnsx

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Options say whom a Client asks and how. The zero Options ask the system's
// resolver.
type Options struct {
	// Servers are recursive resolvers, "127.0.0.1:53"; the port may be left
	// out. None: those of /etc/resolv.conf, which is read again when it
	// changes.
	Servers []string
	Timeout time.Duration // of one try; 0: 3 s
	Tries   int           // in all, servers taking turns; 0: 3
	Answers int           // how many are kept; 0: 50,000, about 20 MB
	// TrustAD says that nobody can change answers on the way from the
	// servers, so that their AD bit counts (RFC 7672 section 2.2). It always
	// counts from a server at a loopback address, and else never.
	TrustAD bool
	Now     func() time.Time
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	// Observe, where set, is told of each question that went to a server:
	// the type ("MX"), the outcome ("ok", "no_name", "no_data",
	// "temporary"), and how long it took.
	Observe func(qtype, outcome string, took time.Duration)
}

// A Client is a Resolver that asks servers over UDP, and over TCP where an
// answer does not fit or looks forged. Errors are remembered like answers:
// what does not exist as long as its zone says (at most an hour), failures
// for five seconds.
type Client struct {
	o       Options
	servers servers
	best    atomic.Uint32 // index of the server that answered last
	cache   *cache
}

var _ Resolver = (*Client)(nil)

// New makes a Client. It asks nothing yet; it fails on a server that is no
// address.
func New(o Options) (*Client, error) {
	o.Timeout = cmp.Or(o.Timeout, 3*time.Second)
	o.Tries = cmp.Or(o.Tries, 3)
	o.Answers = cmp.Or(o.Answers, 50_000)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	fixed, err := withPorts(o.Servers)
	if err != nil {
		return nil, err
	}
	return &Client{
		o:       o,
		servers: servers{fixed: fixed, path: resolvConf, now: o.Now},
		cache:   newCache(o.Answers, o.Now),
	}, nil
}

// MX is Resolver.MX.
func (c *Client) MX(ctx context.Context, name string) ([]MX, error) {
	a := c.lookup(ctx, name, dns.TypeMX)
	return slices.Clone(a.mx), a.err
}

// TXT is Resolver.TXT.
func (c *Client) TXT(ctx context.Context, name string) ([]string, error) {
	a := c.lookup(ctx, name, dns.TypeTXT)
	return slices.Clone(a.text), a.err
}

// TLSA is Resolver.TLSA.
func (c *Client) TLSA(ctx context.Context, name string) ([]TLSA, error) {
	a := c.lookup(ctx, name, dns.TypeTLSA)
	records := slices.Clone(a.tlsa)
	for i := range records {
		records[i].Data = slices.Clone(records[i].Data)
	}
	return records, a.err
}

// PTR is Resolver.PTR.
func (c *Client) PTR(ctx context.Context, addr netip.Addr) ([]string, error) {
	name, err := reverse(addr)
	if err != nil {
		return nil, err
	}
	a := c.lookup(ctx, name, dns.TypePTR)
	return slices.Clone(a.text), a.err
}

// Addrs is Resolver.Addrs.
func (c *Client) Addrs(ctx context.Context, name string) ([]netip.Addr, error) {
	six, four := c.both(ctx, name)
	if addrs := slices.Concat(six.addrs, four.addrs); len(addrs) > 0 {
		return addrs, nil
	}
	return nil, worse(six.err, four.err)
}

// Bases is Resolver.Bases.
func (c *Client) Bases(ctx context.Context, host string) ([]string, error) {
	six, four := c.both(ctx, host)
	var with *answer
	for _, a := range []*answer{four, six} {
		switch {
		case a.records() == 0:
		case !a.authentic:
			return nil, nil
		case with == nil:
			with = a
		}
	}
	if with == nil {
		return nil, worse(six.err, four.err)
	}
	own, err := Canonical(host)
	return slices.Compact([]string{with.end, own}), err
}

// both asks for the two kinds of addresses at once.
func (c *Client) both(ctx context.Context, name string) (six, four *answer) {
	var other sync.WaitGroup
	other.Go(func() { six = c.lookup(ctx, name, dns.TypeAAAA) })
	four = c.lookup(ctx, name, dns.TypeA)
	other.Wait()
	return six, four
}

// worse gives the error that says less: a host whose one question failed may
// have addresses, and one that has no data has a name.
func worse(a, b error) error {
	for _, kind := range []error{ErrTemporary, ErrNoData} {
		for _, err := range []error{a, b} {
			if errors.Is(err, kind) {
				return err
			}
		}
	}
	return a
}

// lookup answers one question from the cache or from a server.
func (c *Client) lookup(ctx context.Context, name string, qtype uint16) *answer {
	name, err := askable(name)
	if err != nil {
		return &answer{err: err}
	}
	k := key{name, qtype}
	return c.cache.get(ctx, k, func(ctx context.Context) *answer { return c.resolve(ctx, k) })
}

// resolve asks, and asks again where an answer ends in an alias. A loop that
// goes through several answers ends with the aliases.
func (c *Client) resolve(ctx context.Context, k key) *answer {
	begin := c.o.Now()
	a := c.chase(ctx, k)
	if c.o.Observe != nil {
		c.o.Observe(dns.TypeToString[k.qtype], outcome(a.err), c.o.Now().Sub(begin))
	}
	return a
}

func (c *Client) chase(ctx context.Context, k key) *answer {
	authentic, ttl, q := true, maxTTL, k
	for range maxChain {
		m, err := c.ask(ctx, q)
		if err != nil {
			return failed(k, err)
		}
		a, next := read(q, m)
		authentic, ttl = authentic && a.authentic, min(ttl, a.ttl)
		if next == "" {
			if !authentic {
				a.distrust()
			}
			a.ttl = max(min(a.ttl, ttl), minTTL)
			return a
		}
		q.name = next
	}
	return failed(k, errors.New("the aliases do not end"))
}

// distrust takes the AD bit away: an alias on the way had none.
func (a *answer) distrust() {
	a.authentic = false
	for i := range a.mx {
		a.mx[i].Authentic = false
	}
	for i := range a.tlsa {
		a.tlsa[i].Authentic = false
	}
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrNoName):
		return "no_name"
	case errors.Is(err, ErrNoData):
		return "no_data"
	}
	return "temporary"
}
