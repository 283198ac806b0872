package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
)

// ChallengePath is what paths of HTTP-01 begin with (RFC 8555 section 8.3).
const ChallengePath = "/.well-known/acme-challenge/"

// answers are what the authority is to find while it looks.
type answers struct {
	names func(string) bool // whether we answer for a name at all

	mu     sync.Mutex
	tokens map[string]string           // key authorizations by token, for HTTP-01
	certs  map[string]*tls.Certificate // by name, for TLS-ALPN-01
}

// set adds an answer and gives what takes it away.
func set[V any](a *answers, m *map[string]V, key string, value V) (undo func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = value
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(*m, key)
	}
}

// ServeHTTP answers HTTP-01 (RFC 8555 section 8.3) for the names that
// certificates are for. All else is 404.
func (a *ACME) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	token, ok := strings.CutPrefix(r.URL.Path, ChallengePath)
	a.answers.mu.Lock()
	answer := a.answers.tokens[token]
	a.answers.mu.Unlock()
	if !ok || answer == "" || !a.has(canonical(host)) || r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.NotFound(rw, r)
		return
	}
	rw.Header().Set("Content-Type", "application/octet-stream")
	io.WriteString(rw, answer) // whoever asked may be gone
}

// HTTPS gives the TLS configuration of a web server that shows what a Source
// has. If that is an ACME it answers TLS-ALPN-01 as well (RFC 8737).
func HTTPS(s Source) *tls.Config {
	c := Config(s)
	c.NextProtos = []string{"h2", "http/1.1"}
	a, ok := s.(*ACME)
	if !ok {
		return c
	}
	c.NextProtos = append(c.NextProtos, acme.ALPNProto)
	show := c.GetCertificate
	c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if !slices.Equal(hello.SupportedProtos, []string{acme.ALPNProto}) {
			return show(hello)
		}
		a.answers.mu.Lock()
		defer a.answers.mu.Unlock()
		if cert := a.answers.certs[canonical(hello.ServerName)]; cert != nil {
			return cert, nil
		}
		return nil, fmt.Errorf("no certificate is asked for %q", hello.ServerName)
	}
	return c
}

// answerHTTP runs a web server that knows nothing but the challenges, until
// stop is called.
func (a *ACME) answerHTTP() (stop func(), err error) {
	l, err := a.Listen()
	if err != nil {
		return nil, err
	}
	s := &http.Server{Handler: a, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.Log.Warn("answering the authority failed", "err", err)
		}
	})
	return func() {
		s.Close() // whoever is still there wants nothing that counts
		serving.Wait()
	}, nil
}

// tokenForm is what a token may be (RFC 8555 section 8.3): it becomes the name
// of a file.
var tokenForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,200}$`)

// answerFile writes an answer where another program shows it, readable for
// everybody whatever our umask is, and gives what takes the file away.
func (a *ACME) answerFile(token, answer string) (undo func(), err error) {
	if !tokenForm.MatchString(token) {
		return nil, fmt.Errorf("the authority gave a token that is none: %.40q", token)
	}
	if _, err := os.Stat(a.Webroot); err != nil {
		return nil, err
	}
	dir := a.Webroot
	for part := range strings.SplitSeq(strings.Trim(ChallengePath, "/"), "/") {
		dir = filepath.Join(dir, part)
		if err := os.Mkdir(dir, 0o755); err == nil {
			if err := os.Chmod(dir, 0o755); err != nil {
				return nil, err
			}
		}
	}
	path := filepath.Join(dir, token)
	if err := os.WriteFile(path, []byte(answer), 0o644); err != nil {
		return nil, err
	}
	undo = func() {
		if err := os.Remove(path); err != nil {
			a.Log.Warn("an answer for the authority is left behind", "file", path, "err", err)
		}
	}
	if err := os.Chmod(path, 0o644); err != nil {
		undo()
		return nil, err
	}
	return undo, nil
}
