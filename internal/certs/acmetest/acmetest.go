// Package acmetest runs a certificate authority for tests: Pebble, which the
// makers of Let's Encrypt have written to try clients of RFC 8555 with.
package acmetest

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// Options are what an authority is to be like.
type Options struct {
	HTTPPort, TLSPort int           // where it looks, instead of 80 and 443
	DNS               string        // the resolver that it asks, "127.0.0.1:40053"
	Valid             time.Duration // of what it issues; 0: 90 days
	Blocked           []string      // names that it issues nothing for
}

// An Authority issues certificates on a loopback address.
type Authority struct {
	Directory string         // URL
	Client    *http.Client   // trusts what answers there
	PEM       []byte         // the certificate of what answers there, for SSL_CERT_FILE
	Roots     *x509.CertPool // whom those trust who trust what it issues

	down   atomic.Bool
	orders atomic.Int64
}

// Orders says how many orders were begun. One that had to be sent again, since
// its nonce was rejected, is one.
func (a *Authority) Orders() int { return int(a.orders.Load()) }

// SetDown lets it hang up on everybody, or no longer.
func (a *Authority) SetDown(down bool) { a.down.Store(down) }

// settings make Pebble look at once and each time anew. It rejects now and
// then a nonce that was good, as authorities may (RFC 8555 section 6.5).
var settings = sync.OnceValue(func() error {
	for _, name := range []string{"PEBBLE_VA_NOSLEEP", "PEBBLE_AUTHZREUSE"} {
		value := "1"
		if name == "PEBBLE_AUTHZREUSE" {
			value = "0"
		}
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
})

// Start runs an authority until the test ends.
func Start(t testing.TB, o Options) *Authority {
	t.Helper()
	if err := settings(); err != nil {
		t.Fatal(err)
	}
	if o.Valid == 0 {
		o.Valid = 90 * 24 * time.Hour
	}
	quiet := log.New(io.Discard, "", 0)
	memory := db.NewMemoryStore()
	for _, name := range o.Blocked {
		if err := memory.AddBlockedDomain(name); err != nil {
			t.Fatal(err)
		}
	}
	issuer := ca.New(quiet, memory, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "of this test", ValidityPeriod: uint64(o.Valid / time.Second)}})
	looker := va.New(quiet, o.HTTPPort, o.TLSPort, true, o.DNS, memory)
	front := wfe.New(quiet, memory, looker, issuer, []string{"pebble.example"}, true, false, 1, 1)
	a := &Authority{Roots: x509.NewCertPool()}
	handler := front.Handler()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if a.down.Load() {
			panic(http.ErrAbortHandler)
		}
		counted := &statusWriter{ResponseWriter: rw}
		handler.ServeHTTP(counted, r)
		if r.URL.Path == "/order-plz" && counted.status == http.StatusCreated {
			a.orders.Add(1)
		}
	}))
	s.Config.ErrorLog = quiet
	s.StartTLS()
	t.Cleanup(s.Close)
	a.Directory, a.Client = s.URL+wfe.DirectoryPath, s.Client()
	a.PEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if !a.Roots.AppendCertsFromPEM(issuer.GetRootCert(0).PEM()) {
		t.Fatal("the authority has no root")
	}
	return a
}

// A statusWriter notes what status a response has; 0: 200, by itself.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
