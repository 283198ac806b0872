package dnscheck

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"homing/internal/dnsx"
)

// errInside says that a resolver gave our own name an address that nobody else
// can reach, as those do that read /etc/hosts (Debian writes "127.0.1.1" and the
// name of the machine there) or make up an answer for the machine's name.
var errInside = errors.New("an address of this network")

// An insideError is errInside, and dnsx.ErrTemporary: what the world sees is
// not known.
type insideError struct {
	name  string
	addrs []netip.Addr
}

func (e insideError) Error() string {
	return fmt.Sprintf("to the resolver here %s is %s, which nobody else can reach", e.name, listed(e.addrs))
}

func (e insideError) Is(target error) bool { return target == errInside || target == dnsx.ErrTemporary }

// outside is a Resolver that has for our own name the addresses that the world
// sees, and dnsx.ErrTemporary where it is given none of those.
type outside struct {
	Resolver
	s Setup
}

// fromOutside gives a Resolver what is known of r beside: aliases and zones.
func fromOutside(r Resolver, s Setup) Resolver {
	if _, done := r.(outside); done || slices.ContainsFunc(s.Addresses, near) {
		return r // where the world is a network of its own, its addresses count
	}
	return outside{r, s}
}

// Addrs is Resolver.Addrs.
func (o outside) Addrs(ctx context.Context, name string) ([]netip.Addr, error) {
	addrs, err := o.Resolver.Addrs(ctx, name)
	if name != o.s.Hostname || err != nil {
		return addrs, err
	}
	return withoutNear(name, addrs)
}

// Alias is Aliaser.Alias.
func (o outside) Alias(ctx context.Context, name string) (string, error) {
	if r, ok := o.Resolver.(Aliaser); ok {
		return r.Alias(ctx, name)
	}
	return "", fmt.Errorf("%w: nobody tells aliases", dnsx.ErrNoData)
}

// Zone is Zoner.Zone.
func (o outside) Zone(ctx context.Context, name string) (string, error) {
	if r, ok := o.Resolver.(Zoner); ok {
		return r.Zone(ctx, name)
	}
	return dnsx.Organisation(name), nil
}

// withoutNear leaves those of some addresses that the world can reach; none is
// errInside.
func withoutNear(name string, addrs []netip.Addr) ([]netip.Addr, error) {
	far := slices.DeleteFunc(slices.Clone(addrs), near)
	if len(far) == 0 {
		return nil, insideError{name, addrs}
	}
	return far, nil
}

var carrierNAT = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598, and what Tailscale gives names

// near reports whether an address means something in a network of its own only.
func near(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsUnspecified() || carrierNAT.Contains(a)
}
