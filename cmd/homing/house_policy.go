package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"homing/delivery/mtasts"
	"homing/dnscheck"
)

// servedPolicies ask the hosts of our policies about TLS what they serve, as
// those do who send us mail.
type servedPolicies struct {
	fetch      func(ctx context.Context, domain string) (mtasts.Policy, error)
	addrs      func(ctx context.Context, name string) ([]netip.Addr, error)
	public     []netip.Addr // of this machine, as the world sees them
	interfaces []netip.Addr
}

func (s servedPolicies) of(ctx context.Context, domain string) (dnscheck.STS, error) {
	p, err := s.fetch(ctx, domain)
	if err != nil && !errors.Is(err, mtasts.ErrInvalid) && s.behindRouter(ctx, stsHost+domain) {
		err = fmt.Errorf("%w: it is behind a router that has the address: %w", dnscheck.ErrNoWay, err)
	}
	return dnscheck.STS{Mode: string(p.Mode), MX: p.MX, MaxAge: p.MaxAge}, err
}

// behindRouter reports whether a host is this machine by an address that a
// router has in its place. Many routers do not let it call that one, or answer
// themselves.
func (s servedPolicies) behindRouter(ctx context.Context, host string) bool {
	addrs, err := s.addrs(ctx, host)
	return err == nil && !slices.ContainsFunc(addrs, func(a netip.Addr) bool {
		return !slices.Contains(s.public, a) || slices.Contains(s.interfaces, a)
	})
}

// chainOf gives the certificates that are shown with one, the leaf first.
func chainOf(c *tls.Certificate) (chain []*x509.Certificate, err error) {
	if c == nil {
		return nil, errors.New("there is none")
	}
	for _, der := range c.Certificate {
		one, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		chain = append(chain, one)
	}
	return chain, nil
}
