package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
)

// A Key signs under one selector. It may be used from many goroutines.
type Key struct {
	Selector  string
	algorithm string // "rsa-sha256" or "ed25519-sha256"
	private   crypto.Signer
	opts      crypto.SignerOpts
}

// MinRSABits is the shortest RSA key that verifiers accept (RFC 8301 section 3.2).
const MinRSABits = 1024

// ErrNoKey says that a file holds no PEM block with a private key.
var ErrNoKey = errors.New("dkim: no private key in PEM form")

// ParseKey reads a private key from PEM: PKCS #8 (RSA, Ed25519) or PKCS #1.
func ParseKey(selector string, data []byte) (Key, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return Key{}, ErrNoKey
	}
	var private any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		return Key{}, fmt.Errorf("%w: the block is a %s", ErrNoKey, block.Type)
	}
	if err != nil {
		return Key{}, fmt.Errorf("dkim: reading the private key: %w", err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return Key{}, fmt.Errorf("dkim: a %T cannot sign mail: use RSA or Ed25519", private)
	}
	return NewKey(selector, signer)
}

// NewKey makes a Key of a private key that was read elsewhere: an
// *rsa.PrivateKey or an ed25519.PrivateKey.
func NewKey(selector string, private crypto.Signer) (Key, error) {
	switch k := private.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < MinRSABits {
			return Key{}, fmt.Errorf("dkim: an RSA key of %d bits is too short: make one of 2048", k.N.BitLen())
		}
		return Key{selector, "rsa-sha256", k, crypto.SHA256}, nil
	case ed25519.PrivateKey:
		return Key{selector, "ed25519-sha256", k, crypto.Hash(0)}, nil
	}
	return Key{}, fmt.Errorf("dkim: a %T cannot sign mail: use RSA or Ed25519", private)
}

// sign signs the SHA-256 of the canonical header (RFC 6376 section 3.7, RFC
// 8463 section 3: Ed25519 signs the digest as its message).
func (k Key) sign(digest [sha256.Size]byte) ([]byte, error) {
	return k.private.Sign(rand.Reader, digest[:], k.opts)
}

// Record is the TXT record to publish at SELECTOR._domainkey.DOMAIN (RFC 6376
// section 3.6.1).
func (k Key) Record() (string, error) {
	switch public := k.private.Public().(type) {
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public), nil
	default:
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			return "", fmt.Errorf("dkim: writing the public key: %w", err)
		}
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der), nil
	}
}
