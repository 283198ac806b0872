// Package certs holds a certificate that lives in files and is read again when
// they change, so that a renewal needs no restart.
package certs

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// Files is a certificate in two PEM files. Its methods may be called from many
// goroutines.
type Files struct {
	certFile, keyFile string
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]
	seen              stamp // of what current was read from; for Run alone
}

// stamp tells one version of the files from another.
type stamp struct {
	cert, key         time.Time
	certSize, keySize int64
}

// Load reads the files. Its error says which one cannot be used.
func Load(certFile, keyFile string, log *slog.Logger) (*Files, error) {
	f := &Files{certFile: certFile, keyFile: keyFile, log: log}
	return f, f.read()
}

// Config gives a TLS configuration of a server that shows the certificate as
// it is at each handshake.
func (f *Files) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return f.current.Load(), nil
		},
	}
}

// NotAfter is when the certificate ends.
func (f *Files) NotAfter() time.Time { return f.current.Load().Leaf.NotAfter }

// every is how often Run looks at the files.
const every = time.Minute

// Run looks after the files until ctx ends. A pair that does not fit, as in the
// middle of a renewal, is logged and changes nothing.
func (f *Files) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if now, err := f.stat(); err != nil || now == f.seen {
			continue
		}
		if err := f.read(); err != nil {
			f.log.Warn("the certificate changed and cannot be used; the old one stays", "err", err)
			continue
		}
		f.log.Info("certificate read again", "expires", f.NotAfter())
	}
}

// read takes the stamp first: what changes while it reads is read again.
func (f *Files) read() error {
	seen, err := f.stat()
	if err != nil {
		return fmt.Errorf("reading the certificate: %w", err)
	}
	c, err := tls.LoadX509KeyPair(f.certFile, f.keyFile)
	if err != nil {
		return fmt.Errorf("reading the certificate %s with the key %s: %w", f.certFile, f.keyFile, err)
	}
	f.current.Store(&c)
	f.seen = seen
	return nil
}

func (f *Files) stat() (stamp, error) {
	cert, err := os.Stat(f.certFile)
	if err != nil {
		return stamp{}, err
	}
	key, err := os.Stat(f.keyFile)
	if err != nil {
		return stamp{}, err
	}
	return stamp{cert.ModTime(), key.ModTime(), cert.Size(), key.Size()}, nil
}
