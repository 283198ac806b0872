package dnsx

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

// Net gives a Resolver the shape of net.Resolver, errors included, for
// libraries that want one (SPF, DKIM and DMARC evaluation).
type Net struct{ Resolver Resolver }

// LookupMX is net.Resolver.LookupMX.
func (n Net) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	records, err := n.Resolver.MX(ctx, name)
	var out []*net.MX
	for _, mx := range records {
		out = append(out, &net.MX{Host: mx.Host, Pref: mx.Preference})
	}
	return out, netError(name, err)
}

// LookupTXT is net.Resolver.LookupTXT.
func (n Net) LookupTXT(ctx context.Context, name string) ([]string, error) {
	texts, err := n.Resolver.TXT(ctx, name)
	return texts, netError(name, err)
}

// LookupIPAddr is net.Resolver.LookupIPAddr.
func (n Net) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	addrs, err := n.Resolver.Addrs(ctx, host)
	var out []net.IPAddr
	for _, a := range addrs {
		out = append(out, net.IPAddr{IP: a.AsSlice()})
	}
	return out, netError(host, err)
}

// LookupAddr is net.Resolver.LookupAddr.
func (n Net) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return nil, &net.DNSError{Err: err.Error(), Name: addr}
	}
	names, err := n.Resolver.PTR(ctx, ip)
	return names, netError(addr, err)
}

// netError says the same as err in the words of package net.
func netError(name string, err error) error {
	if err == nil {
		return nil
	}
	return &net.DNSError{
		UnwrapErr:   err,
		Err:         err.Error(),
		Name:        name,
		IsNotFound:  errors.Is(err, ErrNoName) || errors.Is(err, ErrNoData),
		IsTemporary: errors.Is(err, ErrTemporary),
		IsTimeout:   errors.Is(err, context.DeadlineExceeded),
	}
}
