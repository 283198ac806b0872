// Package webhook tells facts over HTTP: one POST for each, as the Standard
// Webhooks specification has it, or in the form that other software takes.
package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
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
	URL          string            // https or http; user and password in it are sent as Basic authentication
	Format       Format            // "": Standard
	Secrets      []Secret          // Standard: all of them sign; at least one. Mailgun: exactly one
	SigningKey   *ecdsa.PrivateKey // SendGrid
	Topic        string            // SES: the ARN of the topic that is told; "": one of our own making
	Username     string            // sent with Password as Basic authentication; "": none
	Password     Secret            // see ParsePassword
	AllowPrivate bool              // the URL may lead to an address that is not public
	Timeout      time.Duration     // for the whole of a request; 0: 15 s
	InFlight     int               // connections kept open; 0: 8
	RootCAs      *x509.CertPool    // nil: those of the system
	Resolver     *net.Resolver     // nil: that of the system
	Now          func() time.Time
}

// A Sink posts facts to one URL. In the Standard format the body is the JSON of
// the event, webhook-id is its ID, the same at every try. A 2xx means told. A
// redirect is a failure and is not followed. 410 asks us to be quiet for good,
// 429 for a while; Retry-After is honoured. Where there is a user name, 401 and
// 403 mean that nothing is taken. The environment's proxy is not used.
type Sink struct {
	c      Config
	base   *url.URL
	target string // base, as text
	format dialect
	client *http.Client
}

// New makes a Sink. It connects to nobody yet.
func New(c Config) (*Sink, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("webhook: the url of sink %q must begin with https:// or http:// and name a host", c.Name)
	}
	format, err := c.dialect()
	if err != nil {
		return nil, err
	}
	c.Format = cmp.Or(c.Format, Standard)
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
	return &Sink{c: c, base: u, target: u.String(), format: format, client: &http.Client{
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

// Wants implements event.Sink: in the Standard format a webhook hears of
// everything, in others of what they have a word for and that names somebody.
func (s *Sink) Wants(e event.Event) bool {
	return s.format.wants(e) && (e.Recipient != "" || s.c.Format == Standard)
}

// Close closes the connections that are idle.
func (s *Sink) Close() { s.client.CloseIdleConnections() }

// A caller is a dialect that says a fact in more than one request.
type caller interface {
	call(ctx context.Context, s *Sink, e event.Event) error
}

// Tell implements event.Sink: it posts the fact.
func (s *Sink) Tell(ctx context.Context, e event.Event) error {
	ctx, cancel := context.WithTimeout(ctx, s.c.Timeout)
	defer cancel()
	if c, ok := s.format.(caller); ok {
		return c.call(ctx, s, e)
	}
	h := http.Header{}
	body, err := s.format.write(e, s.c.Now(), h)
	if err != nil {
		return fmt.Errorf("writing the fact for the receiver: %w", err)
	}
	req, err := s.request(ctx, http.MethodPost, s.target, body)
	if err != nil {
		return err
	}
	maps.Copy(req.Header, h)
	_, err = s.do(req, 0)
	return err
}

// do makes a request and gives up to most octets of the answer. An error says
// what it means that there is no answer, or another one than a 2xx.
func (s *Sink) do(req *http.Request, most int64) ([]byte, error) {
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	resp, err := s.client.Do(req.WithContext(ctx))
	if err != nil {
		return nil, s.unanswered(ctx, err)
	}
	defer resp.Body.Close()
	failure := s.answered(resp)
	if failure == nil && most > 0 {
		body, err := io.ReadAll(io.LimitReader(resp.Body, most))
		if err != nil {
			return nil, s.unanswered(ctx, err)
		}
		return body, nil
	}
	// What is read to its end leaves the connection usable; what is endless
	// or slow does not hold us up: the answer is known.
	defer time.AfterFunc(drainTime, cancel).Stop()
	_, _ = io.CopyN(io.Discard, resp.Body, maxResponse)
	return nil, failure
}

func (s *Sink) request(ctx context.Context, method, target string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", httpcall.Bare(err))
	}
	h := req.Header
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "Homing")
	if s.c.Username != "" {
		req.SetBasicAuth(s.c.Username, string(s.c.Password.key))
	}
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
	f.Fault = s.format.status(r.StatusCode)
	switch {
	case f.Fault != event.Unclear:
	case r.StatusCode == http.StatusGone:
		f.Fault = event.Gone
	case r.StatusCode == http.StatusTooManyRequests:
		f.Fault = event.Down
	case s.c.Username != "" && (r.StatusCode == http.StatusUnauthorized || r.StatusCode == http.StatusForbidden):
		f.Fault = event.Down
		f.Err = fmt.Errorf("%w: the user name or the password of the sink is wrong, or that user may not do this", f.Err)
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

func seconds(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }
