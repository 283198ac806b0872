package dnscheck

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// errRevoked says that a record withdraws its key (RFC 6376 section 3.6.1).
var errRevoked = errors.New("the key is withdrawn: p is empty")

// A keyRecord is what counts of a published key (RFC 6376 section 3.6.1).
type keyRecord struct {
	public   crypto.PublicKey // *rsa.PublicKey or ed25519.PublicKey
	hashes   []string         // that signatures may use; none: all
	services []string         // that the key is for; none: all
	flags    []string
}

// bits is the length of an RSA key; 0: it is Ed25519.
func (k keyRecord) bits() int {
	if public, ok := k.public.(*rsa.PublicKey); ok {
		return public.N.BitLen()
	}
	return 0
}

func (k keyRecord) sameKey(other keyRecord) bool {
	public, ok := k.public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(other.public)
}

// keyRecordOf reads a published key as verifiers do.
func keyRecordOf(text string) (k keyRecord, err error) {
	tags, err := tagsOf(text)
	switch {
	case err != nil:
		return k, err
	case tags.has("v") && (tags[0].name != "v" || tags[0].value != "DKIM1"):
		return k, fmt.Errorf("v must come first and be DKIM1; it is %.20q", tags.get("v", ""))
	case !tags.has("p"):
		return k, errors.New("there is no p, which holds the key")
	}
	k.hashes, k.services, k.flags = colonList(tags.get("h", "")), colonList(tags.get("s", "")), colonList(tags.get("t", ""))
	p := strings.Join(strings.Fields(tags.get("p", "")), "")
	if p == "" {
		return k, errRevoked
	}
	data, err := base64.StdEncoding.DecodeString(p)
	if err != nil {
		return k, fmt.Errorf("p is not the base64 of a key (%v): has it been cut off, or changed by a web form?", err)
	}
	k.public, err = publicKeyOf(tags.get("k", "rsa"), data)
	return k, err
}

// publicKeyOf reads a key of RFC 6376 section 3.6.1 or RFC 8463 section 4. Bare
// RSA keys, as RFC 6376 erratum 3017 says of them, are taken by verifiers too.
func publicKeyOf(kind string, data []byte) (crypto.PublicKey, error) {
	switch kind {
	case "ed25519":
		if len(data) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("a key of Ed25519 has %d octets, and p has %d (RFC 8463 section 4)", ed25519.PublicKeySize, len(data))
		}
		return ed25519.PublicKey(data), nil
	case "rsa":
		if public, err := x509.ParsePKCS1PublicKey(data); err == nil {
			return public, nil
		}
		public, err := x509.ParsePKIXPublicKey(data)
		if err != nil {
			return nil, fmt.Errorf("p is no RSA key (%v): has it been cut off?", err)
		}
		if rsaKey, ok := public.(*rsa.PublicKey); ok {
			return rsaKey, nil
		}
		return nil, errors.New("k says rsa, and p is another kind of key")
	}
	return nil, fmt.Errorf("there is no kind of key %.20q", kind)
}

// colonList gives the parts of a value like "sha1:sha256".
func colonList(value string) []string {
	parts := strings.Split(value, ":")
	for i, p := range parts {
		parts[i] = strings.ToLower(strings.TrimSpace(p))
	}
	return slices.DeleteFunc(parts, func(p string) bool { return p == "" })
}
