// Package certs has the certificates that the server shows: of files, of an
// authority that it asks itself (RFC 8555), or its own.
package certs

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// A Source has certificates to show. Its methods may be called from many
// goroutines.
type Source interface {
	// Show gives the certificate for a name; "" stands for whoever asks for
	// none. Where there is none for the name, it is the one of the server.
	Show(name string) *tls.Certificate
	// Run looks after the certificates until ctx ends.
	Run(ctx context.Context) error
}

// Config gives a TLS configuration of a server that shows what a Source has at
// each handshake.
func Config(s Source) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.Show(canonical(hello.ServerName)), nil
		},
	}
}

// canonical is a name as it is compared.
func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// Files is a certificate in two PEM files, which are read again when they
// change, so that a renewal needs no restart.
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

// Show implements Source: there is one for all names.
func (f *Files) Show(string) *tls.Certificate { return f.current.Load() }

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
		f.log.Info("certificate read again", "expires", f.current.Load().Leaf.NotAfter)
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
