package dnsx

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"homing/internal/publicnet"
)

// maxDialled is how many addresses of a host are tried.
const maxDialled = 4

// A Dialer connects to hosts that strangers name: by our own resolver, and
// only where that is allowed, because anybody's DNS can name any address. Its
// DialContext fits http.Transport.
type Dialer struct {
	Resolver interface {
		Addrs(ctx context.Context, name string) ([]netip.Addr, error)
	}
	Allowed func(a netip.Addr) bool                                        // nil: public addresses
	Dial    func(ctx context.Context, to netip.AddrPort) (net.Conn, error) // nil: the network
}

// DialContext connects to "host:port" over TCP. The error is
// publicnet.ErrNotPublic where no address of the host is allowed.
func (d Dialer) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	if d.Allowed == nil {
		d.Allowed = publicnet.Address
	}
	if d.Dial == nil {
		d.Dial = dialTCP
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil, err
	}
	addrs, err := d.addrs(ctx, host)
	if err != nil {
		return nil, err
	}
	why := fmt.Errorf("%s: %w", host, publicnet.ErrNotPublic)
	for _, a := range addrs[:min(len(addrs), maxDialled)] {
		if !d.Allowed(a) {
			continue
		}
		conn, err := d.Dial(ctx, netip.AddrPortFrom(a, uint16(port)))
		if err == nil {
			return conn, nil
		}
		why = err
	}
	return nil, why
}

func (d Dialer) addrs(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	return d.Resolver.Addrs(ctx, host)
}

// dialTCP leaves time for the other addresses of a host.
func dialTCP(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", to.String())
}
