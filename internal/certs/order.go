package certs

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/crypto/acme"
)

// Kinds of challenges (RFC 8555 section 8.3, RFC 8737 section 3).
const (
	kindHTTP = "http-01"
	kindALPN = "tls-alpn-01"
)

// ways are the kinds of challenges to try: first the one that the operator has
// set up.
func (a *ACME) ways() []string {
	switch {
	case !a.TLSALPN:
		return []string{kindHTTP}
	case a.Webroot != "":
		return []string{kindHTTP, kindALPN}
	}
	return []string{kindALPN, kindHTTP}
}

// obtain has the authority issue a certificate for a name and a key. It writes
// nothing. Its error says what to do.
func (a *ACME) obtain(ctx context.Context, name string, key crypto.Signer) (*tls.Certificate, error) {
	client, err := a.account(ctx)
	if err != nil {
		return nil, a.explain(name, "", err)
	}
	var failures []error
	for _, kind := range a.ways() {
		order, err := a.authorize(ctx, client, name, kind)
		if err == nil {
			cert, err := a.finish(ctx, client, order, name, key)
			if err != nil {
				return nil, a.explain(name, "", err)
			}
			return cert, nil
		}
		failures = append(failures, a.explain(name, kind, err))
		if ctx.Err() != nil || !isProof(err) {
			break // another kind changes nothing about that
		}
	}
	return nil, sentences(failures)
}

// account gives a client whose account the authority knows. An authority that
// has forgotten it gets it again.
func (a *ACME) account(ctx context.Context) (*acme.Client, error) {
	key, err := a.accountKey()
	if err != nil {
		return nil, err
	}
	c := &acme.Client{Key: key, DirectoryURL: a.Directory, HTTPClient: a.Client, UserAgent: "homing", RetryBackoff: backoff}
	var contact []string
	if a.Email != "" {
		contact = []string{"mailto:" + a.Email}
	}
	_, err = c.Register(ctx, &acme.Account{Contact: contact}, acme.AcceptTOS)
	if err != nil && !errors.Is(err, acme.ErrAccountAlreadyExists) {
		return nil, err
	}
	return c, nil
}

// backoff says how long to wait before a request is repeated; below zero it is
// not. An authority that is busy or wants to be left alone has time until the
// next try; a nonce that has become too old costs nothing (RFC 8555 section
// 6.5).
func backoff(n int, _ *http.Request, resp *http.Response) time.Duration {
	switch {
	case resp != nil && resp.StatusCode == http.StatusTooManyRequests:
		return -1
	case resp != nil && resp.StatusCode < 500 && n <= 10:
		return 10 * time.Millisecond
	case n > 2:
		return -1
	}
	return time.Second << n
}

func (a *ACME) accountKey() (crypto.Signer, error) {
	path := filepath.Join(a.Dir, accountFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := newKey()
		if err != nil {
			return nil, err
		}
		if data, err = encode(key, nil); err != nil {
			return nil, err
		}
		return key, writeWhole(path, data)
	}
	if err != nil {
		return nil, err
	}
	key, err := parseKey(data)
	if err != nil {
		return nil, fmt.Errorf("%s is no key (%w): remove it, and the server makes another account", path, err)
	}
	return key, nil
}

// authorize begins an order and proves the name by a kind of challenge
// (RFC 8555 section 7.1.6).
func (a *ACME) authorize(ctx context.Context, c *acme.Client, name, kind string) (*acme.Order, error) {
	order, err := c.AuthorizeOrder(ctx, acme.DomainIDs(name))
	if err != nil {
		return nil, err
	}
	for _, url := range order.AuthzURLs {
		z, err := c.GetAuthorization(ctx, url)
		if err != nil {
			return nil, err
		}
		if z.Status == acme.StatusValid {
			continue // proven lately
		}
		if err := a.prove(ctx, c, z, name, kind); err != nil {
			return nil, err
		}
	}
	return c.WaitOrder(ctx, order.URI)
}

// errNotOffered says that a name cannot be proven in a way.
var errNotOffered = errors.New("the authority does not offer it")

// prove answers a challenge and waits until the authority has looked.
func (a *ACME) prove(ctx context.Context, c *acme.Client, z *acme.Authorization, name, kind string) error {
	i := slices.IndexFunc(z.Challenges, func(x *acme.Challenge) bool { return x.Type == kind })
	if i < 0 {
		return fmt.Errorf("%w: %s", errNotOffered, kind)
	}
	undo, err := a.answer(c, z.Challenges[i], name)
	if undo != nil {
		defer undo()
	}
	var elsewhere *occupied
	if err != nil && !errors.As(err, &elsewhere) {
		return err
	}
	if _, e := c.Accept(ctx, z.Challenges[i]); e != nil {
		return e
	}
	if _, e := c.WaitAuthorization(ctx, z.URI); e != nil {
		return errors.Join(e, err)
	}
	return nil
}

// An occupied says that another program has our port. It may pass on what is
// for us, so that is no failure yet.
type occupied struct{ err error }

func (o *occupied) Error() string { return o.err.Error() }
func (o *occupied) Unwrap() error { return o.err }

// answer puts the answer to a challenge where the authority looks, and gives
// what takes it away; also with an error that is an occupied.
func (a *ACME) answer(c *acme.Client, challenge *acme.Challenge, name string) (undo func(), err error) {
	if challenge.Type == kindALPN {
		cert, err := c.TLSALPN01ChallengeCert(challenge.Token, name)
		if err != nil {
			return nil, err
		}
		return set(&a.answers, &a.answers.certs, name, &cert), nil
	}
	text, err := c.HTTP01ChallengeResponse(challenge.Token)
	if err != nil {
		return nil, err
	}
	if a.Webroot != "" {
		undo, err := a.answerFile(challenge.Token, text)
		if err != nil {
			return nil, &unwritten{err}
		}
		return undo, nil
	}
	forget := set(&a.answers, &a.answers.tokens, challenge.Token, text)
	if a.Listen == nil {
		return forget, nil
	}
	stop, err := a.answerHTTP()
	if err != nil {
		return forget, &occupied{err}
	}
	return func() { stop(); forget() }, nil
}

// An unwritten says that the answer cannot be written to the webroot.
type unwritten struct{ err error }

func (u *unwritten) Error() string { return u.err.Error() }
func (u *unwritten) Unwrap() error { return u.err }

// finish has the certificate made, and checks that it is what was asked for.
func (a *ACME) finish(ctx context.Context, c *acme.Client, order *acme.Order, name string, key crypto.Signer) (*tls.Certificate, error) {
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, key)
	if err != nil {
		return nil, err
	}
	chain, _, err := c.CreateCertFromOrder(ctx, order, csr, true)
	if err != nil {
		return nil, err
	}
	data, err := encode(key, chain)
	if err != nil {
		return nil, err
	}
	cert, err := parse(data) // an error when it is for another key
	if err == nil {
		err = cert.Leaf.VerifyHostname(name)
	}
	if err == nil && !a.Now().Before(cert.Leaf.NotAfter) {
		err = fmt.Errorf("it has ended %s", cert.Leaf.NotAfter)
	}
	if err != nil {
		return nil, fmt.Errorf("the authority issued a certificate that cannot be used: %w", err)
	}
	return cert, nil
}
