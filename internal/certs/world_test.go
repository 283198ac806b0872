package certs_test

import (
	"crypto/tls"
	"testing"

	"homing/internal/memconn"
)

// dial has a client and a server shake hands, and gives what the client says of
// it.
func dial(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	a, b := memconn.Pipe(nil, nil)
	defer a.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer b.Close()
		_ = tls.Server(b, server).Handshake() // the client has the word
	}()
	err := tls.Client(a, client).Handshake()
	a.Close()
	<-done
	return err
}
