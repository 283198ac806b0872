package mtasts

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"
)

// Errors of fetching a policy. Those of the certificate are ErrCertificate,
// those of what was fetched ErrInvalid; any other is a policy that could not
// be had.
var (
	ErrCertificate = errors.New("the certificate of the policy host is not valid")
	errNotPublic   = errors.New("the policy host has no address that is public")
)

// fetchTime is how long a fetch may take (RFC 8461 section 3.3), waiting for
// its turn included.
const fetchTime = time.Minute

// maxAddrs is how many addresses of a policy host are tried.
const maxAddrs = 4

// newClient makes the HTTP client: no redirects, no proxy, no cookies, nothing
// kept between requests (RFC 8461 section 3.3).
func (c *Cache) newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            c.connect,
			TLSClientConfig:        &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxOctets,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// connect opens a connection to a policy host, by our own resolver and only
// where mail may go too: anybody's DNS can name any address.
func (c *Cache) connect(ctx context.Context, _, address string) (net.Conn, error) {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := c.Resolver.Addrs(ctx, name)
	if err != nil {
		return nil, err
	}
	why := errNotPublic
	for _, a := range addrs[:min(len(addrs), maxAddrs)] {
		if !c.Allowed(a) {
			continue
		}
		conn, err := c.Dial(ctx, netip.AddrPortFrom(a, c.Port))
		if err == nil {
			return conn, nil
		}
		why = err
	}
	return nil, why
}

// fetch gets the policy of a domain, when it is its turn.
func (c *Cache) fetch(ctx context.Context, domain string) (Policy, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	select {
	case c.turns <- struct{}{}:
		defer func() { <-c.turns }()
	case <-ctx.Done():
		return Policy{}, ctx.Err()
	}
	text, err := c.get(ctx, "https://"+host+domain+path)
	if err != nil {
		return Policy{}, err
	}
	return ParsePolicy(text)
}

func (c *Cache) get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "Homing")
	resp, err := c.client.Do(req)
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &untrusted):
		return nil, fmt.Errorf("%w: %w", ErrCertificate, untrusted.Err)
	case err != nil:
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: HTTP status %s", url, strconv.Itoa(resp.StatusCode))
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "text/plain" {
		return nil, fmt.Errorf("%w: it is %.60q and not text/plain", ErrInvalid, resp.Header.Get("Content-Type"))
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxOctets+1))
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", url, err)
	}
	return text, nil
}

// dialTCP is the way to a policy host in production.
func dialTCP(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return (&net.Dialer{Timeout: fetchTime / maxAddrs}).DialContext(ctx, "tcp", to.String())
}
