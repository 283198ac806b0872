package mtasts

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
)

// Errors of a policy that could not be had. What was fetched and is none is
// ErrInvalid.
var (
	ErrCertificate = errors.New("the certificate of the policy host is not valid")
	ErrFetch       = errors.New("the policy could not be fetched")
)

// fetchTime is how long a fetch may take (RFC 8461 section 3.3), waiting for
// its turn included.
const fetchTime = time.Minute

// Fetch gets the policy that a domain serves now (RFC 8461 section 3.3),
// whatever is remembered of it, and remembers nothing. The error is
// ErrCertificate, ErrInvalid or ErrFetch.
func (c *Cache) Fetch(ctx context.Context, domain string) (Policy, error) {
	return c.fetch(ctx, domain)
}

// fetch gets the policy of a domain, when it is its turn.
func (c *Cache) fetch(ctx context.Context, domain string) (Policy, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	select {
	case c.turns <- struct{}{}:
		defer func() { <-c.turns }()
	case <-ctx.Done():
		return Policy{}, fmt.Errorf("%w: %w", ErrFetch, ctx.Err())
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
		return nil, fmt.Errorf("%w: %w", ErrFetch, err)
	}
	req.Header.Set("User-Agent", "Homing")
	resp, err := c.client.Do(req)
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &untrusted):
		return nil, fmt.Errorf("%w: %w", ErrCertificate, untrusted.Err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrFetch, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: GET %s: HTTP status %d", ErrFetch, url, resp.StatusCode)
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "text/plain" {
		return nil, fmt.Errorf("%w: it is %.60q and not text/plain", ErrInvalid, resp.Header.Get("Content-Type"))
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxOctets+1))
	if err != nil {
		return nil, fmt.Errorf("%w: GET %s: %w", ErrFetch, url, err)
	}
	return text, nil
}
