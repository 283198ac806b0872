// Package webhook tells facts over HTTP as the Standard Webhooks
// specification has it: one signed POST for each.
package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"homing/event"
	"homing/internal/httpcall"
	"homing/internal/publicnet"
)

const (
	maxResponse = 64 << 10         // octets of a response that are read, and of its header
	drainTime   = time.Second      // what reading the rest of a response may take
	maxTimeout  = 15 * time.Second // for the whole of a request
)

// Config is what a Sink is made of.
type Config struct {
	Name         string
	URL          string         // https or http; user and password in it are sent as Basic authentication
	Secrets      []Secret       // all of them sign; at least one
	AllowPrivate bool           // the URL may lead to an address that is not public
	Timeout      time.Duration  // for the whole of a request; 0: 15 s
	InFlight     int            // connections kept open; 0: 8
	RootCAs      *x509.CertPool // nil: those of the system
	Resolver     *net.Resolver  // nil: that of the system
	Now          func() time.Time
}

// A Sink posts facts to one URL. The body is the JSON of the event,
// webhook-id is its ID, the same at every try. A 2xx means told. A redirect is
// a failure and is not followed. 410 asks us to be quiet for good, 429 for a
// while; Retry-After is honoured. The environment's proxy is not used.
type Sink struct {
	c      Config
	target string
	client *http.Client
}

// New makes a Sink. It connects to nobody yet.
func New(c Config) (*Sink, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("webhook: the url of sink %q must begin with https:// or http:// and name a host", c.Name)
	}
	if len(c.Secrets) == 0 {
		return nil, fmt.Errorf("webhook: sink %q has no secret to sign with", c.Name)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Timeout == 0 {
		c.Timeout = maxTimeout
	}
	if c.InFlight == 0 {
		c.InFlight = 8
	}
	u.Fragment = ""
	return &Sink{c: c, target: u.String(), client: &http.Client{
		Transport:     c.transport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (c Config) transport() *http.Transport {
	dialer := &net.Dialer{Timeout: c.Timeout, Resolver: c.Resolver}
	if !c.AllowPrivate {
		dialer.Control = publicnet.Control
	}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    c.InFlight,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxResponse,
	}
}

// Name implements event.Sink.
func (s *Sink) Name() string { return s.c.Name }

// Kind implements event.Sink.
func (s *Sink) Kind() string { return "webhook" }

// Wants implements event.Sink: a webhook hears of everything.
func (s *Sink) Wants(event.Event) bool { return true }

// Close closes the connections that are idle.
func (s *Sink) Close() { s.client.CloseIdleConnections() }

// Tell implements event.Sink: it posts the fact.
func (s *Sink) Tell(ctx context.Context, e event.Event) error {
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("writing the fact as JSON: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.c.Timeout)
	defer cancel()
	req, err := s.request(ctx, e.ID.String(), body)
	if err != nil {
		return err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return s.unanswered(ctx, err)
	}
	failure := s.answered(resp)
	// What is read to its end leaves the connection usable; what is endless
	// or slow does not hold us up: the answer is known.
	defer time.AfterFunc(drainTime, cancel).Stop()
	_, _ = io.CopyN(io.Discard, resp.Body, maxResponse)
	_ = resp.Body.Close()
	return failure
}

func (s *Sink) request(ctx context.Context, id string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", httpcall.Bare(err))
	}
	now := s.c.Now()
	h := req.Header
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "Homing")
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	h.Set("webhook-signature", sign(s.c.Secrets, id, now, body))
	// Not sent: tells net/http that it may repeat the request when a kept
	// connection turns out to be closed. The receiver knows repeats by their id.
	h["Idempotency-Key"] = nil
	return req, nil
}

// answered says what a response means; nil: told.
func (s *Sink) answered(r *http.Response) error {
	if r.StatusCode >= 200 && r.StatusCode < 300 {
		return nil
	}
	f := &event.Failure{Err: fmt.Errorf("the receiver answered %d %s", r.StatusCode, http.StatusText(r.StatusCode))}
	f.After = httpcall.RetryAfter(r.Header.Get("Retry-After"), s.c.Now())
	switch {
	case r.StatusCode == http.StatusGone:
		f.Fault = event.Gone
	case r.StatusCode == http.StatusTooManyRequests:
		f.Fault = event.Down
	case r.StatusCode >= 300 && r.StatusCode < 400:
		f.Err = fmt.Errorf("%w, and redirects are not followed: name the final URL", f.Err)
	}
	return f
}

// unanswered says what an error in place of a response means. That nobody can
// be connected to is no fault of the fact.
func (s *Sink) unanswered(ctx context.Context, err error) error {
	err = httpcall.Bare(err)
	switch {
	case errors.Is(err, publicnet.ErrNotPublic):
		return &event.Failure{Fault: event.Down, Err: fmt.Errorf("%w; allow_private would allow it", err)}
	case httpcall.NotConnected(err):
		return &event.Failure{Fault: event.Down, Err: err}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("no answer within %v: %w", s.c.Timeout, err)
	}
	return err
}
