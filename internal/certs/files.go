package certs

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Files is a certificate in two PEM files, which are read again when they
// change, so that a renewal needs no restart.
type Files struct {
	certFile, keyFile string
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]
	seen              pair          // what current was made of; for Run alone
	again             chan struct{} // has one when the files are to be looked at now

	mu     sync.Mutex
	failed error // why the files cannot be used, as two looks have found
}

// A pair is what the two files hold. Nothing else tells a change for sure: a
// link can lead to another file of the same size and time.
type pair struct{ cert, key string }

// Load reads the files. Its error says which one cannot be used.
func Load(certFile, keyFile string, log *slog.Logger) (*Files, error) {
	f := &Files{certFile: certFile, keyFile: keyFile, log: log, again: make(chan struct{}, 1)}
	p, c, err := f.read()
	if err != nil {
		return f, err
	}
	f.use(p, c)
	return f, nil
}

// Show implements Source: there is one for all names.
func (f *Files) Show(string) *tls.Certificate { return f.current.Load() }

// Again has Run look at the files at once.
func (f *Files) Again() {
	select {
	case f.again <- struct{}{}:
	default: // it will
	}
}

// Failing says why what the files hold now cannot be used; nil: it is shown.
func (f *Files) Failing() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// every is how often Run looks at the files.
const every = time.Minute

// Run looks after the files until ctx ends. While they cannot be read, or do
// not fit each other, what was shown stays. That is said once two looks in a
// row have found the same, because a renewal changes one file after the other.
func (f *Files) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	suspect := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-f.again:
		}
		err := f.look()
		switch {
		case err == nil:
			suspect = ""
			f.settle(nil)
		case err.Error() == suspect:
			f.settle(err)
		default:
			suspect = err.Error()
		}
	}
}

// look reads the files and shows what is new.
func (f *Files) look() error {
	p, c, err := f.read()
	if err != nil || p == f.seen {
		return err
	}
	f.use(p, c)
	f.log.Info("certificate read again", "expires", c.Leaf.NotAfter)
	return nil
}

// settle keeps why the files cannot be used, and says what is new about that.
func (f *Files) settle(err error) {
	f.mu.Lock()
	was := f.failed
	f.failed = err
	f.mu.Unlock()
	switch {
	case err != nil && (was == nil || was.Error() != err.Error()):
		f.log.Warn("the certificate of the files cannot be used; the old one stays", "err", err, "expires", f.Show("").Leaf.NotAfter)
	case err == nil && was != nil:
		f.log.Info("the certificate of the files can be used again")
	}
}

func (f *Files) use(p pair, c *tls.Certificate) {
	f.seen = p
	f.current.Store(c)
}

func (f *Files) read() (pair, *tls.Certificate, error) {
	cert, err := os.ReadFile(f.certFile)
	if err != nil {
		return pair{}, nil, fmt.Errorf("reading the certificate: %w", err)
	}
	key, err := os.ReadFile(f.keyFile)
	if err != nil {
		return pair{}, nil, fmt.Errorf("reading the key of the certificate: %w", err)
	}
	c, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return pair{}, nil, fmt.Errorf("reading the certificate %s with the key %s: %w", f.certFile, f.keyFile, err)
	}
	return pair{string(cert), string(key)}, &c, nil
}
