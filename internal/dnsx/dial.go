package dnsx

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
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

// maxHeader is the longest header of an answer that is read, in octets.
const maxHeader = 64 << 10

// HTTPClient makes a client that connects as d does, to hosts that prove their
// name by a certificate of roots; nil: of the system's. It follows no redirect,
// asks no proxy and keeps nothing between requests.
func (d Dialer) HTTPClient(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            d.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
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
