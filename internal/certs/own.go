package certs

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

const (
	ownYears  = 20                  // how long a certificate of our own is valid
	ownSpare  = 30 * 24 * time.Hour // before its end another one is made
	ownBefore = 24 * time.Hour      // how far the clock of a client may be behind
)

// Own is a certificate that the server has signed itself. It proves nothing,
// but STARTTLS works with it: mail servers that do not ask for proof encrypt
// (RFC 7435).
type Own struct{ cert *tls.Certificate }

// LoadOwn reads the certificate for a host from a file that holds key and
// certificate (PEM, mode 0600), and makes it where there is none. One for
// another host, that ends soon or that cannot be read, is replaced: with the
// same key, if that can be read, so that a TLSA record of the key stays right.
func LoadOwn(path, host string, now time.Time, log *slog.Logger) (*Own, error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the server's own certificate: %w", err)
	}
	var key crypto.Signer
	if err == nil {
		c, err := parse(data)
		switch {
		case err != nil:
			log.Warn("the server's own certificate cannot be read, so another one is made", "file", path, "err", err)
		case c.Leaf.VerifyHostname(host) == nil && now.Before(c.Leaf.NotAfter.Add(-ownSpare)):
			return &Own{c}, nil
		default:
			key, _ = c.PrivateKey.(crypto.Signer)
		}
	}
	data, err = signOwn(host, key, now)
	if err == nil {
		err = writeWhole(path, data)
	}
	if err != nil {
		return nil, fmt.Errorf("making the server's own certificate: %w", err)
	}
	c, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("making the server's own certificate: %w", err)
	}
	log.Info("a certificate of the server's own was made", "file", path, "host", host, "expires", c.Leaf.NotAfter)
	return &Own{c}, nil
}

// Show implements Source.
func (o *Own) Show(string) *tls.Certificate { return o.cert }

// Run implements Source: it outlives every process.
func (o *Own) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// newKey makes a key for a certificate.
func newKey() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// signOwn gives key and certificate in PEM; a nil key is a new one.
func signOwn(host string, key crypto.Signer, now time.Time) (data []byte, err error) {
	if key == nil {
		if key, err = newKey(); err != nil {
			return nil, err
		}
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: now.Add(-ownBefore), NotAfter: now.AddDate(ownYears, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	if len(host) > maxCommonName {
		t.Subject = pkix.Name{CommonName: "homing"}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return encode(key, [][]byte{der})
}

// maxCommonName is the longest common name in octets (RFC 5280 appendix A.1,
// ub-common-name).
const maxCommonName = 64

// encode gives a key and its chain in PEM.
func encode(key crypto.Signer, chain [][]byte) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	for _, c := range chain {
		data = append(data, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})...)
	}
	return data, nil
}

// parse reads what encode gives.
func parse(data []byte) (*tls.Certificate, error) {
	c, err := tls.X509KeyPair(data, data)
	return &c, err
}

// writeWhole gives a path a file of mode 0600 that is durable when it returns
// nil, or leaves what is there.
func writeWhole(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
