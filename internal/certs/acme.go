package certs

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
)

// LetsEncrypt is the directory of the authority that is asked by default.
const LetsEncrypt = acme.LetsEncryptURL

// ACMEConfig is what an ACME is made of.
type ACMEConfig struct {
	Directory string   // URL (RFC 8555 section 7.1.1)
	Email     string   // contact of the account; "": none
	Names     []string // whom certificates are for; the first is the server
	Dir       string   // where account, certificates and failures are kept, for this Directory alone
	Fallback  Source   // what is shown until there is one
	Setup     string   // the configuration: what failed with another one is tried anew by the next process

	// How names are proven. Nothing but TLSALPN needs that listener.
	TLSALPN bool                         // a listener with HTTPS is what answers at port 443
	Webroot string                       // directory that another program serves at port 80; "": none
	Listen  func() (net.Listener, error) // opens what answers at port 80; nil: ServeHTTP does so all the time

	// Ready says why nothing can be had for a name yet; nil: it can, or
	// nothing is known. It may ask the DNS.
	Ready func(ctx context.Context, name string) error

	Client  *http.Client // for the authority; nil: http.DefaultClient
	Log     *slog.Logger
	Metrics *Metrics         // nil: not counted anywhere
	Now     func() time.Time // nil: time.Now
}

// ACME asks an authority for certificates, one for each name, and keeps them
// renewed (RFC 8555). What it has goes on being shown while a renewal fails.
// Nothing is ever asked for but Names, whatever clients ask for.
type ACME struct {
	ACMEConfig
	answers answers
	issue   func(ctx context.Context, name string, key crypto.Signer) (*tls.Certificate, error)
	news    chan struct{} // has one when there is something new to ask for

	mu    sync.Mutex
	names []string
	held  map[string]*holding // by name; also of names that were in use before
}

// A holding is what there is for a name.
type holding struct {
	cert   *tls.Certificate // nil: none yet
	failed error            // why the last try gave nothing; nil: it did, or there was none
	tries  int              // that failed, one after the other
	last   time.Time        // when the last try was
	next   time.Time        // no try comes before
	until  time.Time        // the authority wants to be left alone
}

// NewACME makes an ACME with the certificates that an earlier one has kept, and
// the pauses after its failures. Run asks for those that are missing.
func NewACME(c ACMEConfig) (*ACME, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	a := &ACME{ACMEConfig: c, news: make(chan struct{}, 1), held: map[string]*holding{}}
	a.answers.names = a.has
	a.issue = a.obtain
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of certificates: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.name(c.Names)
	a.remember()
	return a, nil
}

// SetNames replaces the names that certificates are for, and has those tried
// again at once that could not be had, unless the authority wants to be left
// alone.
func (a *ACME) SetNames(names []string) {
	a.mu.Lock()
	a.name(names)
	for _, name := range names {
		a.held[name].next = a.held[name].until
	}
	a.mu.Unlock()
	select {
	case a.news <- struct{}{}:
	default: // there is news already
	}
}

// name says which names certificates are for. a.mu is held.
func (a *ACME) name(names []string) {
	a.names = slices.Clone(names)
	for _, name := range names {
		if a.held[name] == nil {
			a.held[name] = &holding{cert: a.kept(name)}
		}
	}
}

// has reports whether certificates are for a name.
func (a *ACME) has(name string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Contains(a.names, name)
}

// Show implements Source.
func (a *ACME) Show(name string) *tls.Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range []string{name, a.names[0]} {
		if h := a.held[n]; h != nil && h.cert != nil {
			return h.cert
		}
	}
	return a.Fallback.Show(name)
}

// Failing gives the names for which the last try gave nothing, with the reason.
func (a *ACME) Failing() map[string]error {
	a.mu.Lock()
	defer a.mu.Unlock()
	failing := map[string]error{}
	for _, name := range a.names {
		if h := a.held[name]; h.failed != nil {
			failing[name] = h.failed
		}
	}
	return failing
}

const (
	longestWait = time.Hour        // between two looks at what is due: the clock can be set
	obtainTime  = 10 * time.Minute // for one certificate
	oftenest    = 24 * time.Hour   // after one that was had: with a clock that is wrong each looks old
	longestRest = 7 * 24 * time.Hour
)

// pauses are those after tries that failed; the last one repeats. Authorities
// allow a handful of failures an hour.
var pauses = []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 12 * time.Hour}

// Run implements Source: it asks for what is missing and renews what ends.
func (a *ACME) Run(ctx context.Context) error {
	for {
		t := time.NewTimer(a.round(ctx))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-a.news:
			t.Stop()
		case <-t.C:
		}
	}
}

// round asks for every certificate that is due, and says how long to wait.
func (a *ACME) round(ctx context.Context) time.Duration {
	wait := longestWait
	a.mu.Lock()
	names := slices.Clone(a.names)
	a.mu.Unlock()
	for _, name := range names {
		due := a.due(name)
		if left := due.Sub(a.Now()); left > 0 {
			wait = min(wait, left)
			continue
		}
		a.try(ctx, name)
		if ctx.Err() != nil {
			return wait
		}
		wait = min(wait, max(a.due(name).Sub(a.Now()), time.Second))
	}
	return wait
}

// lifeOf is how long a certificate is valid in all.
func lifeOf(c *x509.Certificate) time.Duration { return c.NotAfter.Sub(c.NotBefore) }

// due is when a certificate has to be asked for: when a third of its life is
// left, and after a try when the pause is over.
func (a *ACME) due(name string) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.held[name]
	var due time.Time
	if h.cert != nil {
		due = h.cert.Leaf.NotAfter.Add(-lifeOf(h.cert.Leaf) / 3)
	}
	return later(due, h.next)
}

// try asks for a certificate, once, if the name is ready for it.
func (a *ACME) try(ctx context.Context, name string) {
	trying, cancel := context.WithTimeout(ctx, obtainTime)
	defer cancel()
	if err := a.ready(trying, name); err != nil && ctx.Err() == nil {
		a.putOff(name, err)
	} else if err == nil {
		a.ask(trying, name, func() bool { return ctx.Err() != nil })
	}
}

// readyPause is between two looks at a name that is not ready: nobody minds
// being asked.
const readyPause = 15 * time.Minute

func (a *ACME) ready(ctx context.Context, name string) error {
	if a.Ready == nil {
		return nil
	}
	return a.Ready(ctx, name)
}

// putOff notes that nothing was asked for, which is no try.
func (a *ACME) putOff(name string, err error) {
	a.mu.Lock()
	h := a.held[name]
	known := h.failed != nil && h.failed.Error() == err.Error()
	h.failed, h.next = err, later(h.until, a.Now().Add(readyPause))
	a.mu.Unlock()
	if !known {
		a.Log.Info("no certificate is asked for yet", "host", name, "err", err)
	}
}

// ask asks for a certificate and notes what came of it; when the server stops
// meanwhile, nothing did.
func (a *ACME) ask(ctx context.Context, name string, stops func() bool) {
	old, err := a.begin(name)
	if err != nil {
		a.failed(name, err)
		return
	}
	var key crypto.Signer // stays, so that a TLSA record of it stays right
	if old.cert != nil {
		key, _ = old.cert.PrivateKey.(crypto.Signer)
	}
	cert, err := a.request(ctx, name, key)
	switch {
	case err != nil && stops():
		a.settle(name, old)
	case err != nil:
		a.failed(name, err)
	default:
		now := a.Now()
		a.settle(name, holding{cert: cert, last: now, next: now.Add(min(oftenest, lifeOf(cert.Leaf)/3))})
		a.Metrics.renewals.WithLabelValues("obtained").Inc()
		a.Log.Info("certificate obtained", "host", name, "expires", cert.Leaf.NotAfter)
	}
}

// failed notes a try that gave nothing, which begin has counted.
func (a *ACME) failed(name string, err error) {
	a.mu.Lock()
	h := a.held[name]
	h.failed = err
	if wait := retryAfter(err); wait > 0 {
		h.until = h.last.Add(min(wait, longestRest))
		h.next = later(h.next, h.until)
	}
	old, again := h.cert, h.next
	a.mu.Unlock()
	defer a.note()
	a.Metrics.renewals.WithLabelValues("failed").Inc()
	if old != nil {
		a.Log.Warn("the certificate could not be renewed; the old one stays", "host", name, "expires", old.Leaf.NotAfter, "err", err, "again", again)
		return
	}
	a.Log.Warn("no certificate could be had", "host", name, "err", err, "again", again)
}

// later gives the later one of two times.
func later(x, y time.Time) time.Time {
	if x.After(y) {
		return x
	}
	return y
}

func (a *ACME) request(ctx context.Context, name string, key crypto.Signer) (*tls.Certificate, error) {
	if key == nil {
		var err error
		if key, err = newKey(); err != nil {
			return nil, err
		}
	}
	cert, err := a.issue(ctx, name, key)
	if err != nil {
		return nil, err
	}
	if err := a.keep(name, cert); err != nil {
		a.Log.Error("the certificate cannot be kept, so that the next start asks for another one", "host", name, "err", err)
	}
	return cert, nil
}

// Files in Dir.
const accountFile = "account.key"

func (a *ACME) file(name string) string { return filepath.Join(a.Dir, name+".pem") }

func (a *ACME) keep(name string, c *tls.Certificate) error {
	data, err := encode(c.PrivateKey.(crypto.Signer), c.Certificate)
	if err != nil {
		return err
	}
	return writeWhole(a.file(name), data)
}

// kept reads a certificate of an earlier process; nil: there is none that can
// be used. One that has ended is better than none.
func (a *ACME) kept(name string) *tls.Certificate {
	data, err := os.ReadFile(a.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var c *tls.Certificate
	if err == nil {
		c, err = parse(data)
	}
	if err == nil {
		err = c.Leaf.VerifyHostname(name)
	}
	if err != nil {
		a.Log.Warn("a certificate that was kept cannot be used, so another one is asked for", "file", a.file(name), "err", err)
		return nil
	}
	return c
}

// DirOf gives the name of a directory for what one authority has issued: what a
// test authority has must not be shown once the real one is asked.
func DirOf(directory string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, strings.Trim(strings.TrimPrefix(directory, "https://"), "./"))
}
