package delivery_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/delivery"
	"homing/delivery/mtasts"
	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
	"homing/internal/smtptest"
	"homing/queue"
)

// policies are the MTA-STS policies of domains.
type policies map[string]mtasts.Found

func (p policies) Find(_ context.Context, domain string) mtasts.Found { return p[domain] }

// sts is a policy that lists mail hosts.
func sts(mode mtasts.Mode, mx ...string) mtasts.Found {
	return mtasts.Found{ID: "1", Policy: mtasts.Policy{Mode: mode, MX: mx, MaxAge: time.Hour}}
}

// tlsa is a record of usage 3 for the key that a host has.
func tlsa(t *testing.T, host *tls.Config, usage uint8) dnsx.TLSA {
	t.Helper()
	c, err := x509.ParseCertificate(host.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return dnsx.TLSA{Usage: usage, Selector: 1, Matching: 1, Data: sum[:]}
}

const securely = `
	C: STARTTLS
	S: 220 go
	tls
	C: EHLO mail.example.org
	S: 250 mx` + accept + bye

const untrusting = `
	C: STARTTLS
	S: 220 go
	tls`

// TestPolicies is about one host, mx1.example.net, and what its domain and its
// DNS ask for. A second host offers no TLS and takes mail from whoever has no
// policy.
func TestPolicies(t *testing.T) {
	const (
		mx1      = " by mx1.example.net[198.51.100.1]"
		mx2      = "dot: 250 2.0.0 queued by mx2.example.net[198.51.100.2]"
		name     = "mx1.example.net[198.51.100.1]:25"
		bySTS    = " (the MTA-STS policy of example.net asks for TLS)"
		byTLSA   = " (TLSA records of the host ask for TLS)"
		offering = smtptest.Script("S: 220 mx\nC: EHLO mail.example.org\nS: 250-mx\nS: 250 STARTTLS\n")
	)
	plain := smtptest.Script(hello + accept + bye)
	good, roots, err := smtptest.Certificate("mx1.example.net")
	if err != nil {
		t.Fatal(err)
	}
	other, otherRoots, err := smtptest.Certificate("www.example.com")
	if err != nil {
		t.Fatal(err)
	}
	// A server may choose its certificate by the name that it is asked for.
	issued, issuer := issuedFor(t, "host.example.com")
	issued.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if h.ServerName != "host.example.com" {
			return nil, fmt.Errorf("there is no %s here", h.ServerName)
		}
		return nil, nil
	}
	both := sts(mtasts.Enforce, "mx1.example.net", "mx2.example.net")
	tests := []struct {
		name    string
		sts     mtasts.Found
		records []dnsx.TLSA
		change  func(z *dnstest.Zone) // of a world in which everything is signed
		tls     *tls.Config           // good
		roots   *x509.CertPool        // roots
		first   smtptest.Script
		second  smtptest.Script // nil: there is one host
		want    string
	}{
		{name: "no policy, and a certificate of nobody", tls: other, first: offering + securely, want: "dot: 250 2.0.0 queued" + mx1 + " over TLS1.3 none"},
		{name: "no policy, and TLS as it was done twenty years ago", tls: ancient(t), first: offering + securely, want: "dot: 250 2.0.0 queued" + mx1 + " over TLS1.0 none"},
		{name: "enforce: TLS as it was done twenty years ago", sts: both, tls: ancient(t), first: offering + untrusting,
			want: "starttls: we say 451 4.7.5 TLS with " + name + " failed: remote error: tls: protocol version not supported" + bySTS + mx1},
		{name: "no policy, and no TLS", first: plain, want: "dot: 250 2.0.0 queued" + mx1},

		{name: "enforce: TLS with a certificate for the host", sts: both, first: offering + securely, want: "dot: 250 2.0.0 queued" + mx1 + " over TLS1.3 mta-sts"},
		{name: "enforce: no TLS", sts: both, first: hello + bye, want: "starttls: we say 451 4.7.5 " + name + " does not offer the TLS that we require" + bySTS + mx1},
		{name: "enforce: TLS refused for good", sts: both, first: offering + "C: STARTTLS\nS: 502 5.5.1 what is that\n" + bye,
			want: "starttls: we say 451 4.7.5 " + name + " refuses to begin TLS: 502 5.5.1 what is that" + bySTS + mx1},
		{name: "enforce: a certificate for another name", sts: both, tls: other, roots: otherRoots, first: offering + untrusting,
			want: "starttls: we say 451 4.7.5 TLS with " + name + " failed: x509: certificate is valid for www.example.com, not mx1.example.net" + bySTS + mx1},
		{name: "enforce: a certificate of nobody", sts: both, roots: otherRoots, first: offering + untrusting,
			want: "starttls: we say 451 4.7.5 TLS with " + name + " failed: x509: certificate signed by unknown authority" + bySTS + mx1},
		{name: "enforce: a host that the policy does not list is not connected to", sts: sts(mtasts.Enforce, "*.example.org"), first: plain,
			want: "resolve: we say 451 4.7.5 mx1.example.net is not a mail host by the MTA-STS policy of example.net"},
		{name: "enforce: the next host is tried, and neither is used without TLS", sts: both, tls: other, first: offering + untrusting, second: hello + bye,
			want: "starttls: we say 451 4.7.5 mx2.example.net[198.51.100.2]:25 does not offer the TLS that we require" + bySTS + " by mx2.example.net[198.51.100.2]"},
		{name: "enforce: TLS that does not come to its end", sts: both, tls: endlessTLS(good), first: offering + untrusting,
			want: "starttls: we say 451 4.7.5 TLS with " + name + " failed: timed out" + bySTS + mx1},
		{name: "testing: a certificate of nobody", sts: sts(mtasts.Testing, "mx1.example.net"), tls: other, first: offering + securely, want: "dot: 250 2.0.0 queued" + mx1 + " over TLS1.3 none"},
		{name: "testing: a host that the policy does not list", sts: sts(mtasts.Testing, "mx9.example.net"), first: plain, want: "dot: 250 2.0.0 queued" + mx1},
		{name: "none: no TLS", sts: sts(mtasts.None), first: plain, want: "dot: 250 2.0.0 queued" + mx1},

		{name: "DANE: the key of a record, for another name and of nobody", records: []dnsx.TLSA{tlsa(t, other, 3)}, tls: other, first: offering + securely,
			want: "dot: 250 2.0.0 queued" + mx1 + " over TLS1.3 dane"},
		{name: "DANE: another key", records: []dnsx.TLSA{tlsa(t, other, 3)}, first: offering + untrusting,
			want: "starttls: we say 451 4.7.5 TLS with " + name + " failed: no TLSA record of the host allows its certificate" + byTLSA + mx1},
		{name: "DANE: another key, and the next host has no records", records: []dnsx.TLSA{tlsa(t, other, 3)}, first: offering + untrusting, second: plain, want: mx2},
		{name: "DANE: no TLS", records: []dnsx.TLSA{tlsa(t, good, 3)}, first: hello + bye,
			want: "starttls: we say 451 4.7.5 " + name + " does not offer the TLS that we require" + byTLSA + mx1},
		{name: "DANE goes before MTA-STS, whose certificate would not do", sts: both, records: []dnsx.TLSA{tlsa(t, other, 3)}, tls: other, first: offering + securely,
			want: "dot: 250 2.0.0 queued" + mx1 + " over TLS1.3 dane"},
		{name: "DANE goes before MTA-STS, whose certificate would do", sts: both, records: []dnsx.TLSA{tlsa(t, other, 3)}, first: offering + untrusting,
			want: "starttls: we say 451 4.7.5 TLS with " + name + " failed: no TLSA record of the host allows its certificate" + byTLSA + mx1},
		{name: "records that cannot be used ask for TLS with anybody", records: []dnsx.TLSA{tlsa(t, good, 1)}, tls: other, first: offering + securely,
			want: "dot: 250 2.0.0 queued" + mx1 + " over TLS1.3 none"},
		{name: "records that cannot be used, and no TLS", records: []dnsx.TLSA{tlsa(t, good, 0)}, first: hello + bye,
			want: "starttls: we say 451 4.7.5 " + name + " does not offer the TLS that we require" + byTLSA + mx1},
		{name: "records that cannot be used do not do away with a policy", sts: both, records: []dnsx.TLSA{tlsa(t, other, 1)}, tls: other, roots: otherRoots, first: offering + untrusting,
			want: "starttls: we say 451 4.7.5 TLS with " + name + " failed: x509: certificate is valid for www.example.com, not mx1.example.net" + bySTS + mx1},
		{name: "nor with the hosts that it lists", sts: sts(mtasts.Enforce, "*.example.org"), records: []dnsx.TLSA{tlsa(t, good, 1)}, first: plain,
			want: "resolve: we say 451 4.7.5 mx1.example.net is not a mail host by the MTA-STS policy of example.net"},
		{name: "a signed zone without records", first: plain, want: "dot: 250 2.0.0 queued" + mx1},
		{name: "records that cannot be had: the host is not used", change: func(z *dnstest.Zone) { z.Down = map[string]bool{"_25._tcp.mx1.example.net": true} }, first: plain,
			want: "resolve: we say 451 4.7.5 the TLSA records of mx1.example.net, which is in a signed zone, cannot be had"},
		{name: "records that cannot be had: the next host is used", change: func(z *dnstest.Zone) { z.Down = map[string]bool{"_25._tcp.mx1.example.net": true} }, first: plain, second: plain, want: mx2},
		{name: "an alias: the records of the host that it stands for", tls: other, first: offering + securely,
			change: alias(map[string][]dnsx.TLSA{"_25._tcp.host.example.com": {tlsa(t, other, 3)}, "_25._tcp.mx1.example.net": {tlsa(t, good, 3)}}),
			want:   "dot: 250 2.0.0 queued" + mx1 + " over TLS1.3 dane"},
		{name: "an alias: its own records, where there are no others", tls: other, first: offering + securely,
			change: alias(map[string][]dnsx.TLSA{"_25._tcp.mx1.example.net": {tlsa(t, other, 3)}}),
			want:   "dot: 250 2.0.0 queued" + mx1 + " over TLS1.3 dane"},
		{name: "an alias: the certificate is for the host that it stands for", tls: issued, first: offering + securely,
			change: alias(map[string][]dnsx.TLSA{"_25._tcp.host.example.com": {issuer}}),
			want:   "dot: 250 2.0.0 queued" + mx1 + " over TLS1.3 dane"},
		{name: "an alias that is not signed: no DANE", tls: other, first: plain,
			change: func(z *dnstest.Zone) {
				alias(map[string][]dnsx.TLSA{"_25._tcp.host.example.com": {tlsa(t, good, 3)}})(z)
				delete(z.Signed, "mx1.example.net")
			}, want: "dot: 250 2.0.0 queued" + mx1},
		{name: "MX records that are not signed: no DANE", records: []dnsx.TLSA{tlsa(t, other, 3)}, change: func(z *dnstest.Zone) { delete(z.Signed, "example.net") }, first: plain,
			want: "dot: 250 2.0.0 queued" + mx1},
		{name: "an address that is not signed: nobody asks for records", change: func(z *dnstest.Zone) {
			delete(z.Signed, "mx1.example.net")
			z.Down = map[string]bool{"_25._tcp.mx1.example.net": true}
		}, first: plain, want: "dot: 250 2.0.0 queued" + mx1},
		{name: "records that are not signed", records: []dnsx.TLSA{tlsa(t, other, 3)}, change: func(z *dnstest.Zone) { delete(z.Signed, "_25._tcp.mx1.example.net") }, first: plain,
			want: "dot: 250 2.0.0 queued" + mx1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.tls = good
				if tt.tls != nil {
					w.tls = tt.tls
				}
				w.mx("example.net", "mx1.example.net", "198.51.100.1", tt.first)
				if tt.second != "" {
					w.mx("example.net", "mx2.example.net", "198.51.100.2", tt.second)
				}
				w.zone.TLSAs = map[string][]dnsx.TLSA{"_25._tcp.mx1.example.net": tt.records}
				w.zone.Signed = map[string]bool{"example.net": true, "mx1.example.net": true, "mx2.example.net": true, "_25._tcp.mx1.example.net": true}
				if tt.change != nil {
					tt.change(w.zone)
				}
				w.job("example.net", "ann@example.net")
				c := w.config()
				c.STS, c.Roots = policies{"example.net": tt.sts}, roots
				if tt.roots != nil {
					c.Roots = tt.roots
				}
				w.run(c, 1)
				if diff := cmp.Diff(map[string]string{"ann@example.net": tt.want}, w.outcomes()); diff != "" {
					t.Errorf("outcomes (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// endlessTLS is the TLS of a host that takes its time.
func endlessTLS(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		<-time.After(time.Hour)
		return nil, nil
	}
	return c
}

// TestTLSThatHangsIsGivenUpOn: a minute is enough, where nobody asks for it.
func TestTLSThatHangsIsGivenUpOn(t *testing.T) {
	good, _, err := smtptest.Certificate("mx1.example.net")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.tls = endlessTLS(good)
		w.mx("example.net", "mx1.example.net", "198.51.100.1", hello250("STARTTLS")+untrusting, hello250("STARTTLS")+accept+bye)
		w.job("example.net", "ann@example.net")
		var took time.Duration
		began, c := time.Now(), w.config()
		c.Queue = &watching{Queue: w, done: func(queue.Item) { took = time.Since(began) }}
		w.run(c, 1)
		if got := w.outcomes()["ann@example.net"]; got != "dot: 250 2.0.0 queued by mx1.example.net[198.51.100.1]" || took != time.Minute {
			t.Errorf("%q after %v, want it delivered without TLS after a minute", got, took)
		}
	})
}

// ancient is the TLS of a host that has an RSA key and knows nothing else.
func ancient(t *testing.T) *tls.Config {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mx1.example.net"}, NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}}
}

// alias makes mx1.example.net an alias of host.example.com, in a world with
// TLSA records, in which everything is signed.
func alias(records map[string][]dnsx.TLSA) func(z *dnstest.Zone) {
	return func(z *dnstest.Zone) {
		z.CNAMEs = map[string]string{"mx1.example.net": "host.example.com"}
		z.Hosts["host.example.com"], z.Hosts["mx1.example.net"] = z.Hosts["mx1.example.net"], nil
		z.TLSAs = records
		z.Signed["host.example.com"], z.Signed["_25._tcp.host.example.com"] = true, true
	}
}

// issuedFor is the TLS of a host with a certificate for a name, and the TLSA
// record of its issuer.
func issuedFor(t *testing.T, name string) (*tls.Config, dnsx.TLSA) {
	t.Helper()
	issuer, _, err := smtptest.Certificate("issuer")
	if err != nil {
		t.Fatal(err)
	}
	parent, err := x509.ParseCertificate(issuer.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	host, _, err := smtptest.Certificate(name)
	if err != nil {
		t.Fatal(err)
	}
	key := host.Certificates[0].PrivateKey.(crypto.Signer)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotAfter: parent.NotAfter},
		parent, key.Public(), issuer.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der, parent.Raw}, PrivateKey: key}}}, tlsa(t, issuer, 2)
}

// TestConnectionsOfDifferentPoliciesAreNotExchanged has two domains with one
// host: what one of them accepts is no use to the other.
func TestConnectionsOfDifferentPoliciesAreNotExchanged(t *testing.T) {
	good, roots, err := smtptest.Certificate("mx.example.net")
	if err != nil {
		t.Fatal(err)
	}
	offering := smtptest.Script("S: 220 mx\nC: EHLO mail.example.org\nS: 250-mx\nS: 250 STARTTLS\n")
	tests := []struct {
		name    string
		second  mtasts.Found
		host    string // of the second domain, at the same address
		scripts []smtptest.Script
		dials   int
	}{
		{"the same one: exchanged", sts(mtasts.Enforce, "mx.example.net"), "mx.example.net",
			[]smtptest.Script{offering + "C: STARTTLS\nS: 220 go\ntls\nC: EHLO\nS: 250 mx\n" + accept + accept + bye}, 1},
		{"none", mtasts.Found{}, "mx.example.net", []smtptest.Script{offering + securely, offering + securely}, 2},
		{"a proof for another name", sts(mtasts.Enforce, "mx.example.com"), "mx.example.com", []smtptest.Script{offering + securely, offering + untrusting}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.tls = good
				w.mx("example.net", "mx.example.net", "198.51.100.1")
				w.mx("example.com", tt.host, "198.51.100.1", tt.scripts...)
				w.zone.Hosts["mx.example.net"] = []netip.Addr{netip.MustParseAddr("198.51.100.1")}
				c := w.config()
				c.STS, c.Roots = policies{"example.net": sts(mtasts.Enforce, "mx.example.net"), "example.com": tt.second}, roots
				c.Queue = &inTurn{world: w}
				w.job("example.net", "ann@example.net")
				w.job("example.com", "bob@example.com")
				w.run(c, 2)
				if len(w.dialled) != tt.dials {
					t.Errorf("%d connections, want %d: %v", len(w.dialled), tt.dials, w.outcomes())
				}
			})
		})
	}
}

// inTurn gives a job when the one before has ended.
type inTurn struct {
	*world
	given, ended int
}

func (q *inTurn) Next(ctx context.Context) (*queue.Job, error) {
	for {
		q.mu.Lock()
		free := q.given == q.ended
		q.mu.Unlock()
		if free {
			break
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	j, err := q.world.Next(ctx)
	q.mu.Lock()
	defer q.mu.Unlock()
	if err == nil {
		q.given++
	}
	return j, err
}

func (q *inTurn) Finish(j *queue.Job) {
	q.world.Finish(j)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended++
}

// TestWithoutAWayNobodyWaitsForAPolicy: the look-up of a policy that never
// ends must not keep a domain that does not exist.
func TestWithoutAWayNobodyWaitsForAPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.job("nowhere.example", "ann@nowhere.example")
		c := w.config()
		c.STS = endless{}
		began := time.Now()
		w.run(c, 1)
		want := "resolve: we say 550 5.1.2 Host or domain name not found: nowhere.example"
		if got := w.outcomes()["ann@nowhere.example"]; got != want || time.Since(began) != 0 {
			t.Errorf("%q after %v, want %q at once", got, time.Since(began), want)
		}
	})
}

type endless struct{}

func (endless) Find(ctx context.Context, _ string) mtasts.Found {
	<-ctx.Done()
	return mtasts.Found{Err: errors.New("ended")}
}

var _ delivery.STS = endless{}

// TestACertificateIsShownForTheNameThatItIsFor: two domains name one host
// differently and share its connection, and its certificate is for one name.
func TestACertificateIsShownForTheNameThatItIsFor(t *testing.T) {
	good, roots, err := smtptest.Certificate("mx.example.com")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.tls = good
		w.mx("example.com", "mx.example.com", "198.51.100.1",
			"S: 220 mx\nC: EHLO mail.example.org\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\ntls\nC: EHLO\nS: 250 mx\n"+accept+accept+bye)
		w.zone.MXs["example.net"] = []dnsx.MX{{Host: "mail.example.net", Preference: 10}}
		w.zone.Hosts["mail.example.net"] = w.zone.Hosts["mx.example.com"]
		go func() {
			w.job("example.com", "ann@example.com")
			<-time.After(time.Second)
			w.job("example.net", "bob@example.net")
		}()
		c := w.config()
		c.Roots = roots
		w.run(c, 2)
		want := map[string]string{
			"ann@example.com": "dot: 250 2.0.0 queued by mx.example.com[198.51.100.1] over TLS1.3 pkix",
			"bob@example.net": "dot: 250 2.0.0 queued by mail.example.net[198.51.100.1] over TLS1.3 none",
		}
		if diff := cmp.Diff(want, w.outcomes()); diff != "" || len(w.dialled) != 1 {
			t.Errorf("dialled %v (-want +got):\n%s", w.dialled, diff)
		}
	})
}
