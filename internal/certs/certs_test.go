package certs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"homing/internal/certs"
)

// write makes a self-signed pair that ends at a time, with a changed stamp.
func write(t *testing.T, cert, key string, notAfter time.Time) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(notAfter.Unix()), Subject: pkix.Name{CommonName: "mail.example.org"},
		DNSNames: []string{"mail.example.org"}, NotBefore: notAfter.AddDate(-1, 0, 0), NotAfter: notAfter}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, notAfter, notAfter); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARenewedCertificateIsShownWithoutARestart(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	first, second := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)
	write(t, cert, key, first)
	synctest.Test(t, func(t *testing.T) {
		f, err := certs.Load(cert, key, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		ctx := t.Context()
		go func() { defer close(done); f.Run(ctx) }()
		if got := f.Show("").Leaf.NotAfter; !got.Equal(first) {
			t.Errorf("ends %v, want %v", got, first)
		}
		if err := os.WriteFile(key, []byte("half a key"), 0o600); err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Minute)
		if got := f.Show("").Leaf.NotAfter; !got.Equal(first) {
			t.Errorf("in the middle of a renewal it ends %v, want %v", got, first)
		}
		write(t, cert, key, second)
		<-time.After(2 * time.Minute)
		shown, err := certs.Config(f).GetCertificate(&tls.ClientHelloInfo{})
		if err != nil || !shown.Leaf.NotAfter.Equal(second) {
			t.Errorf("after the renewal it shows one that ends %v (%v), want %v", shown.Leaf.NotAfter, err, second)
		}
	})
}

func TestAPairThatCannotBeUsedIsAnError(t *testing.T) {
	if _, err := certs.Load("/nonexistent/cert.pem", "/nonexistent/key.pem", slog.Default()); err == nil {
		t.Error("no error for files that do not exist")
	}
}
