package selfcheck_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"homing/dnscheck"
	"homing/server/selfcheck"
)

// wants compares a finding: its verdict, and a part of what was found.
func wants(t *testing.T, f dnscheck.Finding, v dnscheck.Verdict, found string) {
	t.Helper()
	if f.Verdict != v || !strings.Contains(f.Found, found) {
		t.Errorf("%s: %q; want %s, %q", f.Verdict, f.Found, v, found)
	}
	if needs := f.Verdict == dnscheck.Warn || f.Verdict == dnscheck.Fail; needs != (f.Fix != "") {
		t.Errorf("%s, and the fix is %q", f.Verdict, f.Fix)
	}
}

func TestDisk(t *testing.T) {
	space := func(free, reserve uint64) selfcheck.Space {
		return selfcheck.Space{Path: "/data", Free: free, Reserve: reserve}
	}
	wants(t, selfcheck.Disk(space(20<<30, 1<<30), nil), dnscheck.OK, "20 GiB are free")
	wants(t, selfcheck.Disk(space(400<<20, 256<<20), nil), dnscheck.Warn, "400 MiB are free")
	wants(t, selfcheck.Disk(space(100<<10, 256<<20), nil), dnscheck.Fail, "100 KiB are free")
	wants(t, selfcheck.Disk(space(0, 0), errors.New("no such file")), dnscheck.Skipped, "no such file")
}

func TestClock(t *testing.T) {
	wants(t, selfcheck.Clock(true, nil), dnscheck.OK, "it does")
	wants(t, selfcheck.Clock(false, nil), dnscheck.Warn, "nothing keeps it right")
	wants(t, selfcheck.Clock(false, errors.New("not permitted")), dnscheck.Skipped, "not permitted")
	if _, err := selfcheck.ClockKept(); err != nil {
		t.Logf("this system does not say: %v", err)
	}
}

// An authority makes certificates.
type authority struct {
	*testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	over *authority
}

func (a *authority) issue(name string, ends time.Time, isCA bool) *authority {
	a.Helper()
	return a.issueFor(name, ends, 90*24*time.Hour, isCA)
}

// issueFor issues one with a life, that has begun.
func (a *authority) issueFor(name string, ends time.Time, life time.Duration, isCA bool) *authority {
	a.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.Fatal(err)
	}
	begins := ends.Add(-life)
	if begins.After(noon) {
		begins = noon.Add(-time.Hour)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: begins, NotAfter: ends,
		IsCA: isCA, BasicConstraintsValid: true}
	if !isCA {
		template.DNSNames = []string{name}
	}
	parent, by := template, key
	if a.cert != nil {
		parent, by = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		a.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.Fatal(err)
	}
	return &authority{a.T, key, cert, a}
}

// shown gives the certificate with those above it, as many as are asked for.
func (a *authority) shown(above int) *tls.Certificate {
	c := &tls.Certificate{}
	for ; above >= 0; above-- {
		c.Certificate = append(c.Certificate, a.cert.Raw)
		a = a.over
	}
	return c
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestACertificateThatNobodyHasToTrustMayBeSignedByItself(t *testing.T) {
	const name = "mail.example.org"
	nobody := &authority{T: t}
	other := nobody.issue("Other", noon.AddDate(0, 0, 60), true).issue(name, noon.AddDate(0, 0, 60), false).shown(1)
	own := nobody.issue(name, noon.AddDate(0, 0, 60), false).shown(0)
	late := nobody.issue(name, noon.AddDate(0, 0, -1), false).shown(0)
	wants(t, selfcheck.Certificate(own, name, x509.NewCertPool(), false, noon), dnscheck.OK, "signed by itself")
	wants(t, selfcheck.Certificate(late, name, x509.NewCertPool(), false, noon), dnscheck.Fail, "ended on")
	wants(t, selfcheck.Certificate(other, name, x509.NewCertPool(), false, noon), dnscheck.Warn, "unknown authority")
}

func TestCertificate(t *testing.T) {
	const name = "mail.example.org"
	in := func(days int) time.Time { return noon.AddDate(0, 0, days) }
	nobody := &authority{T: t}
	root := nobody.issue("Root", in(1000), true)
	middle := root.issue("Middle", in(1000), true)
	roots := x509.NewCertPool()
	roots.AddCert(root.cert)
	tests := []struct {
		name  string
		cert  *tls.Certificate
		want  dnscheck.Verdict
		found string
	}{
		{"one that is good", middle.issue(name, in(60), false).shown(1), dnscheck.OK, "it is for mail.example.org, from Middle, and ends in 60 days"},
		{"one that ends soon", middle.issue(name, in(20), false).shown(1), dnscheck.Warn, "ends in 20 days"},
		{"one that ends very soon", middle.issue(name, in(2), false).shown(1), dnscheck.Fail, "ends in 2 days"},
		{"one that has ended", middle.issue(name, noon.Add(-time.Minute), false).shown(1), dnscheck.Fail, "ended on 2026-11-23"},
		{"one of 45 days that is renewed 15 days before its end", middle.issueFor(name, in(15), 45*24*time.Hour, false).shown(1), dnscheck.OK, "ends in 15 days"},
		{"one of 45 days that should have been renewed", middle.issueFor(name, in(10), 45*24*time.Hour, false).shown(1), dnscheck.Warn, "ends in 10 days"},
		{"one of 6 days that is renewed 2 days before its end", middle.issueFor(name, in(2), 6*24*time.Hour, false).shown(1), dnscheck.OK, "ends in 2 days"},
		{"one of 6 days that ends very soon", middle.issueFor(name, noon.Add(11*time.Hour), 6*24*time.Hour, false).shown(1), dnscheck.Fail, "ends in 11 hours"},
		{"one for another name", middle.issue("www.example.org", in(60), false).shown(1), dnscheck.Warn, "it is for www.example.org"},
		{"one without what is above it", middle.issue(name, in(60), false).shown(0), dnscheck.Warn, "are missing"},
		{"one that is signed by itself", nobody.issue(name, in(60), false).shown(0), dnscheck.Warn, "signed by itself"},
		{"one of an authority that nobody trusts", nobody.issue("Other", in(60), true).issue(name, in(60), false).shown(1), dnscheck.Warn, "unknown authority"},
		{"none", nil, dnscheck.Warn, "there is none"},
		{"something else", &tls.Certificate{Certificate: [][]byte{{1, 2, 3}}}, dnscheck.Fail, "malformed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wants(t, selfcheck.Certificate(tt.cert, name, roots, true, noon), tt.want, tt.found)
		})
	}
}
