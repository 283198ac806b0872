package dnsx

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/miekg/dns"
)

// Zone finds the zone that a name is in, or would be in if it existed: the
// nearest one at or above it that has a SOA record (RFC 1034 section 4.2). It
// is asked anew each time.
func (c *Client) Zone(ctx context.Context, name string) (string, error) {
	name, err := absolute(name)
	if err != nil {
		return "", err
	}
	// An alias is answered with the zone of its target: then the name above
	// says more.
	for at := name; at != ""; _, at, _ = strings.Cut(at, ".") {
		m, err := c.ask(ctx, key{at, dns.TypeSOA})
		if err != nil {
			return "", fmt.Errorf("%w: the zone of %s: %w", ErrTemporary, plain(name), err)
		}
		for _, rr := range append(m.Answer, m.Ns...) {
			owner := strings.ToLower(rr.Header().Name)
			if rr.Header().Rrtype == dns.TypeSOA && dns.IsSubDomain(owner, name) {
				return plain(owner), nil
			}
		}
	}
	return "", fmt.Errorf("%w: nobody says what zone %s is in", ErrTemporary, plain(name))
}

// authorities gives the addresses of the servers of a zone.
func (c *Client) authorities(ctx context.Context, zone string) (servers []string, err error) {
	name, err := absolute(zone)
	if err != nil {
		return nil, err
	}
	m, err := c.ask(ctx, key{name, dns.TypeNS})
	if err != nil {
		return nil, fmt.Errorf("%w: the name servers of %s: %w", ErrTemporary, zone, err)
	}
	for _, rr := range m.Answer {
		ns, ok := rr.(*dns.NS)
		if !ok {
			continue
		}
		addrs, err := c.Addrs(ctx, ns.Ns)
		if err != nil {
			continue // the others may do
		}
		for _, a := range addrs {
			servers = append(servers, net.JoinHostPort(a.String(), "53"))
		}
	}
	if len(servers) == 0 {
		return nil, fmt.Errorf("%w: %s names no name server with an address", ErrTemporary, zone)
	}
	return servers, nil
}
