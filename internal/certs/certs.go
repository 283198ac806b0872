// Package certs has the certificates that the server shows: of files, of an
// authority that it asks itself (RFC 8555), or its own.
package certs

import (
	"context"
	"crypto/tls"
	"strings"
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
