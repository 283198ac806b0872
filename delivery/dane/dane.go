// Package dane checks certificates of mail hosts against TLSA records
// (RFC 6698, 7671, 7672). It asks nobody: whether the records are to be
// believed is known by then.
package dane

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"homing/internal/dnsx"
)

// Certificate usages that mean something for SMTP (RFC 7672 section 3.1).
const (
	trustAnchor = 2 // DANE-TA: it issued the certificate
	endEntity   = 3 // DANE-EE: it is the certificate
)

// Selectors and matching types (RFC 6698 section 2.1).
const (
	whole, publicKey     = 0, 1
	full, sum256, sum512 = 0, 1, 2
)

// ErrMismatch says that no record allows the certificate.
var ErrMismatch = errors.New("no TLSA record of the host allows its certificate")

// Name is where the TLSA records of a mail host are.
func Name(host string) string { return "_25._tcp." + host }

// Usable gives the records that a certificate can be checked against, in one
// order and each once. Usages 0 and 1 are unusable with SMTP (RFC 7672 section
// 3.1.3), as is what is unknown or has the wrong size. Of two digests of the
// same thing only the stronger one counts (RFC 7671 section 9).
func Usable(all []dnsx.TLSA) []dnsx.TLSA {
	stronger := map[[2]uint8]bool{}
	for _, r := range all {
		if r.Matching == sum512 && usable(r) {
			stronger[[2]uint8{r.Usage, r.Selector}] = true
		}
	}
	var out []dnsx.TLSA
	for _, r := range all {
		if usable(r) && !(r.Matching == sum256 && stronger[[2]uint8{r.Usage, r.Selector}]) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b dnsx.TLSA) int { return strings.Compare(line(a), line(b)) })
	return slices.CompactFunc(out, func(a, b dnsx.TLSA) bool { return line(a) == line(b) })
}

func usable(r dnsx.TLSA) bool {
	if r.Usage != trustAnchor && r.Usage != endEntity || r.Selector > publicKey {
		return false
	}
	switch r.Matching {
	case full:
		return len(r.Data) > 0
	case sum256:
		return len(r.Data) == sha256.Size
	case sum512:
		return len(r.Data) == sha512.Size
	}
	return false
}

// Lines are records as a zone file and reports show them (RFC 8460 section
// 4.2): "3 1 1 0D6F…".
func Lines(records []dnsx.TLSA) []string {
	var out []string
	for _, r := range records {
		out = append(out, line(r))
	}
	return out
}

func line(r dnsx.TLSA) string {
	return fmt.Sprintf("%d %d %d %s", r.Usage, r.Selector, r.Matching, hex.EncodeToString(r.Data))
}

// Verify checks the certificates that a host has shown, its own first, against
// usable records. For usage 3 neither names nor dates count (RFC 7672 section
// 3.1.1). For usage 2 the chain must end in the record's certificate or key,
// be in date, and be for one of the names (section 3.2): the host, and the
// domain whose mail it takes; where it has no DNS names, its common name counts
// (CN-ID). The error is ErrMismatch, together with what is
// wrong with a chain whose anchor was found.
func Verify(records []dnsx.TLSA, chain []*x509.Certificate, names []string, now time.Time) error {
	if len(chain) == 0 {
		return fmt.Errorf("%w: it has shown none", ErrMismatch)
	}
	why := ErrMismatch
	for _, r := range records {
		if r.Usage == endEntity && matches(r, chain[0]) {
			return nil
		}
		if r.Usage != trustAnchor {
			continue
		}
		for _, anchor := range anchors(r, chain[1:]) {
			err := issued(anchor, chain, names, now)
			if err == nil {
				return nil
			}
			why = fmt.Errorf("%w: %w", ErrMismatch, err)
		}
	}
	return why
}

// Names reports whether the names count for which a certificate is, because
// one of the records is of usage 2.
func Names(records []dnsx.TLSA) bool {
	return slices.ContainsFunc(records, func(r dnsx.TLSA) bool { return r.Usage == trustAnchor })
}

// matches reports whether a record is of a certificate.
func matches(r dnsx.TLSA, c *x509.Certificate) bool {
	data := c.Raw
	if r.Selector == publicKey {
		data = c.RawSubjectPublicKeyInfo
	}
	switch r.Matching {
	case sum256:
		sum := sha256.Sum256(data)
		data = sum[:]
	case sum512:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return bytes.Equal(data, r.Data)
}

// anchors gives the certificates that a record of usage 2 speaks of: those
// that were shown, or the one that it holds itself (RFC 7672 section 3.1.2).
func anchors(r dnsx.TLSA, shown []*x509.Certificate) []*x509.Certificate {
	var out []*x509.Certificate
	for _, c := range shown {
		if matches(r, c) {
			out = append(out, c)
		}
	}
	if len(out) == 0 && r.Selector == whole && r.Matching == full {
		if c, err := x509.ParseCertificate(r.Data); err == nil {
			out = append(out, c)
		}
	}
	return out
}

// issued checks that an anchor issued a chain for one of the names.
func issued(anchor *x509.Certificate, chain []*x509.Certificate, names []string, now time.Time) error {
	o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now}
	o.Roots.AddCert(anchor)
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(o); err != nil {
		return err
	}
	leaf := chain[0]
	if cn := leaf.Subject.CommonName; len(leaf.DNSNames) == 0 && cn != "" {
		leaf = &x509.Certificate{DNSNames: []string{cn}} // CN-ID (RFC 7672 section 3.2.3)
	}
	var last error
	for _, name := range names {
		if last = leaf.VerifyHostname(name); last == nil {
			return nil
		}
	}
	return last
}
