package dane_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/delivery/dane"
	"homing/internal/dnsx"
)

var day = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// An issuer makes certificates.
type issuer struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// make issues a certificate; a nil issuer is its own.
func (by *issuer) make(t testing.TB, c x509.Certificate) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	if c.NotAfter.IsZero() {
		c.NotAfter = day.AddDate(0, 1, 0)
	}
	c.NotBefore = c.NotAfter.AddDate(-1, 0, 0)
	c.BasicConstraintsValid = true
	parent, signer := &c, key
	if by != nil {
		parent, signer = by.Certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, &c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{made, key}
}

// record makes a TLSA record of a certificate.
func record(usage, selector, matching uint8, c *issuer) dnsx.TLSA {
	data := c.Raw
	if selector == 1 {
		data = c.RawSubjectPublicKeyInfo
	}
	switch matching {
	case 1:
		sum := sha256.Sum256(data)
		data = sum[:]
	case 2:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return dnsx.TLSA{Usage: usage, Selector: selector, Matching: matching, Data: data}
}

func TestVerify(t *testing.T) {
	var nobody *issuer
	root := nobody.make(t, x509.Certificate{Subject: pkix.Name{CommonName: "root"}, IsCA: true})
	middle := root.make(t, x509.Certificate{Subject: pkix.Name{CommonName: "middle"}, IsCA: true})
	host := middle.make(t, x509.Certificate{DNSNames: []string{"mx.example.net"}})
	forDomain := middle.make(t, x509.Certificate{DNSNames: []string{"example.net"}})
	wild := middle.make(t, x509.Certificate{DNSNames: []string{"*.example.net"}})
	other := middle.make(t, x509.Certificate{DNSNames: []string{"mx.example.com"}})
	expired := middle.make(t, x509.Certificate{DNSNames: []string{"mx.example.com"}, NotAfter: day.Add(-time.Second)})
	expiredHost := middle.make(t, x509.Certificate{DNSNames: []string{"mx.example.net"}, NotAfter: day.Add(-time.Second)})
	common := func(name string, names ...string) *issuer {
		return middle.make(t, x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: names})
	}
	byCommon, wildCommon, otherCommon := common("MX.example.net"), common("*.example.net"), common("mx.example.com")
	commonAndOther := common("mx.example.net", "mx.example.com")
	stranger := nobody.make(t, x509.Certificate{DNSNames: []string{"mx.example.net"}, IsCA: true})

	all := func(leaf *issuer) []*issuer { return []*issuer{leaf, middle, root} }
	tests := []struct {
		name    string
		records []dnsx.TLSA
		chain   []*issuer
		want    bool
	}{
		{"3 1 1", []dnsx.TLSA{record(3, 1, 1, host)}, all(host), true},
		{"3 1 2", []dnsx.TLSA{record(3, 1, 2, host)}, all(host), true},
		{"3 1 0", []dnsx.TLSA{record(3, 1, 0, host)}, all(host), true},
		{"3 0 1", []dnsx.TLSA{record(3, 0, 1, host)}, all(host), true},
		{"3 0 0", []dnsx.TLSA{record(3, 0, 0, host)}, all(host), true},
		{"usage 3 of an expired certificate for another name", []dnsx.TLSA{record(3, 1, 1, expired)}, all(expired), true},
		{"usage 3 without a chain", []dnsx.TLSA{record(3, 1, 1, host)}, []*issuer{host}, true},
		{"usage 3 of another certificate", []dnsx.TLSA{record(3, 1, 1, other)}, all(host), false},
		{"usage 3 of the issuer", []dnsx.TLSA{record(3, 1, 1, middle)}, all(host), false},
		{"the second of two records", []dnsx.TLSA{record(3, 1, 1, other), record(3, 1, 1, host)}, all(host), true},
		{"2 0 1 of the root", []dnsx.TLSA{record(2, 0, 1, root)}, all(host), true},
		{"2 1 1 of the issuer", []dnsx.TLSA{record(2, 1, 1, middle)}, all(host), true},
		{"2 1 1 of the issuer, whose own issuer is not shown", []dnsx.TLSA{record(2, 1, 1, middle)}, []*issuer{host, middle}, true},
		{"2 0 0 of an issuer that is not shown", []dnsx.TLSA{record(2, 0, 0, middle)}, []*issuer{host}, true},
		{"2 0 1 of an issuer that is not shown", []dnsx.TLSA{record(2, 0, 1, middle)}, []*issuer{host}, false},
		{"usage 2 and a certificate for the domain", []dnsx.TLSA{record(2, 0, 1, root)}, all(forDomain), true},
		{"usage 2 and a wildcard", []dnsx.TLSA{record(2, 0, 1, root)}, all(wild), true},
		{"usage 2 and a certificate for another name", []dnsx.TLSA{record(2, 0, 1, root)}, all(other), false},
		{"usage 2 and a common name, where there is no other", []dnsx.TLSA{record(2, 0, 1, root)}, all(byCommon), true},
		{"usage 2 and a wildcard as the common name", []dnsx.TLSA{record(2, 0, 1, root)}, all(wildCommon), true},
		{"usage 2 and the common name of another host", []dnsx.TLSA{record(2, 0, 1, root)}, all(otherCommon), false},
		{"usage 2 and a common name beside other names", []dnsx.TLSA{record(2, 0, 1, root)}, all(commonAndOther), false},
		{"usage 2 and no name at all", []dnsx.TLSA{record(2, 0, 1, root)}, all(common("")), false},
		{"usage 2 and an expired certificate", []dnsx.TLSA{record(2, 0, 1, root)}, all(expiredHost), false},
		{"usage 2 of the certificate itself", []dnsx.TLSA{record(2, 1, 1, host)}, all(host), false},
		{"usage 2 of an issuer that is shown and did not issue it", []dnsx.TLSA{record(2, 0, 1, middle)}, []*issuer{stranger, middle}, false},
		{"2 0 0 of octets that are no certificate", []dnsx.TLSA{{Usage: 2, Data: []byte("x")}}, all(host), false},
		{"no certificate", []dnsx.TLSA{record(3, 1, 1, host)}, nil, false},
		{"no record", nil, all(host), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var chain []*x509.Certificate
			for _, c := range tt.chain {
				chain = append(chain, c.Certificate)
			}
			err := dane.Verify(tt.records, chain, []string{"mx.example.net", "example.net"}, day)
			if (err == nil) != tt.want || err != nil && !errors.Is(err, dane.ErrMismatch) {
				t.Errorf("Verify = %v, want success: %v", err, tt.want)
			}
		})
	}
}

func TestUsable(t *testing.T) {
	sum := func(n int) []byte { return make([]byte, n) }
	tests := []struct {
		name string
		give []dnsx.TLSA
		want []string
	}{
		{"none", nil, nil},
		{"usages 0 and 1 are not for SMTP", []dnsx.TLSA{{Usage: 0, Matching: 1, Data: sum(32)}, {Usage: 1, Matching: 1, Data: sum(32)}}, nil},
		{"a usage, a selector and a matching type that nobody knows", []dnsx.TLSA{{Usage: 4, Matching: 1, Data: sum(32)}, {Usage: 3, Selector: 2, Matching: 1, Data: sum(32)},
			{Usage: 3, Matching: 3, Data: sum(32)}, {Usage: 255, Selector: 255, Matching: 255, Data: sum(1)}}, nil},
		{"digests of a wrong size", []dnsx.TLSA{{Usage: 3, Matching: 1, Data: sum(31)}, {Usage: 3, Matching: 2, Data: sum(32)}, {Usage: 3}}, nil},
		{"in one order, each once", []dnsx.TLSA{{Usage: 3, Matching: 0, Data: []byte{2}}, {Usage: 2, Selector: 1, Data: []byte{1}}, {Usage: 3, Matching: 0, Data: []byte{2}}},
			[]string{"2 1 0 01", "3 0 0 02"}},
		{"the stronger digest alone", []dnsx.TLSA{{Usage: 3, Matching: 1, Data: sum(32)}, {Usage: 3, Matching: 2, Data: sum(64)}, {Usage: 3, Data: []byte{1}}},
			[]string{"3 0 0 01", fmt.Sprintf("3 0 2 %x", sum(64))}},
		{"a stronger digest of something else", []dnsx.TLSA{{Usage: 3, Matching: 1, Data: sum(32)}, {Usage: 2, Matching: 2, Data: sum(64)}},
			[]string{fmt.Sprintf("2 0 2 %x", sum(64)), fmt.Sprintf("3 0 1 %x", sum(32))}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, dane.Lines(dane.Usable(tt.give))); diff != "" {
				t.Errorf("Usable (-want +got):\n%s", diff)
			}
		})
	}
}

func ExampleVerify() {
	var nobody *issuer
	host := nobody.make(&testing.B{}, x509.Certificate{})
	records := []dnsx.TLSA{record(3, 1, 1, host)}
	fmt.Println(dane.Verify(records, []*x509.Certificate{host.Certificate}, nil, time.Now()))
	fmt.Println(dane.Name("mx.example.net"))
	// Output:
	// <nil>
	// _25._tcp.mx.example.net
}

// FuzzVerify promises that no record makes Verify panic, and that a record that
// lets a certificate pass does not when its first octet is another, unless it
// is an issuer's whole certificate, which may be written in several ways.
func FuzzVerify(f *testing.F) {
	var nobody *issuer
	root := nobody.make(f, x509.Certificate{Subject: pkix.Name{CommonName: "root"}, IsCA: true})
	host := root.make(f, x509.Certificate{DNSNames: []string{"mx.example.net"}})
	for _, r := range []dnsx.TLSA{record(3, 1, 1, host), record(2, 0, 0, root), record(2, 1, 2, root)} {
		f.Add(r.Usage, r.Selector, r.Matching, r.Data)
	}
	chain := []*x509.Certificate{host.Certificate, root.Certificate}
	f.Fuzz(func(t *testing.T, usage, selector, matching uint8, data []byte) {
		all := []dnsx.TLSA{{Usage: usage, Selector: selector, Matching: matching, Data: data}}
		verify := func() error { return dane.Verify(dane.Usable(all), chain, []string{"mx.example.net"}, day) }
		if verify() != nil || usage == 2 && selector == 0 && matching == 0 {
			return
		}
		data[0] ^= 1
		if verify() == nil {
			t.Errorf("%v allows the certificate, with another first octet too", all)
		}
	})
}
