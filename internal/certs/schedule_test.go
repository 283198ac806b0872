package certs

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/crypto/acme"
)

const (
	host = "mail.example.org"
	life = 90 * 24 * time.Hour
	day  = 24 * time.Hour
)

// A keeper is an ACME whose authority is a function.
type keeper struct {
	*ACME
	t     *testing.T
	log   *bytes.Buffer
	asked []string // "days since the start: name"
	fails map[string]error
	began time.Time
}

// newKeeper makes one with a directory.
func newKeeper(t *testing.T, dir string, names ...string) *keeper {
	t.Helper()
	return makeKeeper(t, ACMEConfig{Names: names, Dir: dir})
}

// makeKeeper makes one of a configuration.
func makeKeeper(t *testing.T, c ACMEConfig) *keeper {
	t.Helper()
	k := &keeper{t: t, log: &bytes.Buffer{}, fails: map[string]error{}, began: time.Now()}
	own, err := signOwn(c.Names[0], nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	fallback, err := parse(own)
	if err != nil {
		t.Fatal(err)
	}
	c.Fallback, c.Log, c.Metrics = &Own{fallback}, slog.New(slog.NewTextHandler(k.log, nil)), NewMetrics(prometheus.NewRegistry())
	k.ACME, err = NewACME(c)
	if err != nil {
		t.Fatal(err)
	}
	k.issue = func(_ context.Context, name string, key crypto.Signer) (*tls.Certificate, error) {
		k.asked = append(k.asked, fmt.Sprintf("%s: %s", since(k.began), name))
		if err := k.fails[name]; err != nil {
			return nil, err
		}
		return sign(t, name, key, time.Now(), life), nil
	}
	return k
}

// since is a time as tests write it: "30d" or "1h15m0s".
func since(began time.Time) string {
	d := time.Since(began)
	if d > 0 && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}

// sign makes a certificate that an authority could have made.
func sign(t *testing.T, name string, key crypto.Signer, from time.Time, life time.Duration) *tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(from.Unix()), DNSNames: []string{name}, NotBefore: from, NotAfter: from.Add(life)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	data, err := encode(key, [][]byte{der})
	if err != nil {
		t.Fatal(err)
	}
	c, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// run lets time pass with the keeper running.
func (k *keeper) run(d time.Duration) {
	ctx, cancel := context.WithTimeout(k.t.Context(), d)
	defer cancel()
	if err := k.Run(ctx); err != nil {
		k.t.Error(err)
	}
}

func (k *keeper) wants(asked ...string) {
	k.t.Helper()
	if !slices.Equal(k.asked, asked) {
		k.t.Errorf("asked %q, want %q", k.asked, asked)
	}
}

func TestACertificateIsRenewedWhenAThirdOfItsLifeIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(t, t.TempDir(), host)
		if k.Show(host) != k.Fallback.Show("") {
			t.Error("before there is one, another one than the server's own is shown")
		}
		k.run(200 * day)
		k.wants("0s: "+host, "60d: "+host, "120d: "+host, "180d: "+host)
		if got := k.Show(host).Leaf.NotAfter; !got.Equal(k.began.Add(270 * day)) {
			t.Errorf("the one that is shown ends %v", got)
		}
		if got := testutil.ToFloat64(k.Metrics.renewals.WithLabelValues("obtained")); got != 4 {
			t.Errorf("%v were counted, want 4", got)
		}
	})
}

func TestTheKeyStaysWhenACertificateIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(t, t.TempDir(), host)
		k.run(time.Hour)
		first := k.Show(host)
		k.run(61 * day)
		second := k.Show(host)
		if first == second || !first.PrivateKey.(interface{ Equal(crypto.PrivateKey) bool }).Equal(second.PrivateKey) {
			t.Error("it was not renewed with the same key")
		}
	})
}

func TestWhileARenewalFailsTheOldCertificateStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(t, t.TempDir(), host)
		k.run(time.Hour)
		first := k.Show(host)
		k.fails[host] = errors.New("the authority could not reach it")
		k.run(60 * day)
		if k.Show(host) != first || k.Failing()[host] == nil {
			t.Errorf("it shows another one, or nothing fails: %v", k.Failing())
		}
		if !strings.Contains(k.log.String(), "could not be renewed; the old one stays") || !strings.Contains(k.log.String(), "could not reach it") {
			t.Errorf("the log does not say so:\n%s", k.log)
		}
		k.run(40 * day) // past its end
		if k.Show(host) != first {
			t.Error("one that has ended is shown no longer, though there is no better one")
		}
		delete(k.fails, host)
		k.run(13 * time.Hour)
		if k.Show(host) == first || len(k.Failing()) > 0 {
			t.Errorf("when it works again the old one stays (%v)", k.Failing())
		}
	})
}

func TestPausesGrowWhileNothingCanBeHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(t, t.TempDir(), host)
		k.fails[host] = errors.New("no")
		k.run(30 * time.Hour)
		k.wants("0s: "+host, "15m0s: "+host, "45m0s: "+host, "1h45m0s: "+host, "3h45m0s: "+host, "7h45m0s: "+host, "15h45m0s: "+host, "27h45m0s: "+host)
	})
}

func TestAnAuthorityThatWantsToBeLeftAloneIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(t, t.TempDir(), host)
		k.fails[host] = k.explain(host, "", &acme.Error{StatusCode: 429, ProblemType: problemSpace + "rateLimited", Detail: "too many", Header: http.Header{"Retry-After": {"86400"}}})
		k.run(time.Hour)
		delete(k.fails, host)
		k.run(2 * day)
		k.wants("0s: "+host, "1d: "+host)
	})
}

func TestANewNameIsAskedForAtOnceAndAFailureAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(t, t.TempDir(), host)
		k.fails[host] = errors.New("no")
		running, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- k.Run(running) }()
		<-time.After(time.Minute)
		synctest.Wait()
		delete(k.fails, host)
		k.SetNames([]string{host, "mta-sts.example.org"})
		<-time.After(time.Minute)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		k.wants("0s: "+host, "1m0s: "+host, "1m0s: mta-sts.example.org")
		for _, name := range []string{host, "mta-sts.example.org"} {
			if err := k.Show(name).Leaf.VerifyHostname(name); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestOneNameThatFailsKeepsNoOtherFromItsCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(t, t.TempDir(), host, "mta-sts.example.org")
		k.fails[host] = errors.New("no")
		k.run(time.Minute)
		if err := k.Show("mta-sts.example.org").Leaf.VerifyHostname("mta-sts.example.org"); err != nil {
			t.Error(err)
		}
		if k.Show(host) != k.Fallback.Show("") {
			t.Error("the host shows a certificate of another name")
		}
	})
}

func TestNothingIsAskedForWhatIsNotOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(t, t.TempDir(), host)
		k.run(time.Minute)
		for _, name := range []string{"evil.example.net", "", "MAIL.example.org", "mail.example.org.", "mta-sts.example.org"} {
			c, err := Config(k).GetCertificate(&tls.ClientHelloInfo{ServerName: name})
			if err != nil || c != k.Show(host) {
				t.Errorf("%q is shown %v, %v, want the certificate of the server", name, c, err)
			}
		}
		k.run(time.Hour)
		k.wants("0s: " + host)
	})
}

func TestANameThatIsNotReadyIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(t, t.TempDir(), host)
		ready := false
		k.Ready = func(context.Context, string) error {
			if !ready {
				return errors.New("it has no address: publish one")
			}
			return nil
		}
		k.run(50 * time.Minute)
		k.wants()
		if got := testutil.ToFloat64(k.Metrics.renewals.WithLabelValues("failed")); got != 0 || !strings.Contains(k.log.String(), "publish one") {
			t.Errorf("%v failures were counted, log:\n%s", got, k.log)
		}
		ready = true
		k.run(time.Hour)
		k.wants("1h0m0s: " + host)
		if got := strings.Count(k.log.String(), "publish one"); got != 1 {
			t.Errorf("the log says it %d times", got)
		}
	})
}

func TestARestartAsksForNothingThatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "acme")
		first := newKeeper(t, dir, host)
		first.run(time.Hour)
		second := newKeeper(t, dir, host)
		if !second.Show(host).Leaf.Equal(first.Show(host).Leaf) {
			t.Error("it is not shown from the beginning")
		}
		second.run(59 * day)
		second.wants()
		second.run(2 * day)
		second.wants("1439h0m0s: " + host)
		for name, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, host+".pem"): 0o600} {
			if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v, %v, want mode %o", name, info.Mode(), err, want)
			}
		}
	})
}

func TestWhatWasKeptAndCannotBeUsedIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := sign(t, "other.example.org", mustKey(t), time.Now(), life)
		wrong, err := encode(other.PrivateKey.(crypto.Signer), other.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{"nothing": nil, "no PEM": []byte("x"), "another name": wrong} {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, host+".pem"), data, 0o600); err != nil {
				t.Fatal(err)
			}
			k := newKeeper(t, dir, host)
			if k.Show(host) != k.Fallback.Show("") || !strings.Contains(k.log.String(), "cannot be used") {
				t.Errorf("%s: it is shown, or the log says nothing:\n%s", name, k.log)
			}
			k.run(time.Minute)
			k.wants("0s: " + host)
		}
	})
}

func mustKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestAStopIsNobodysFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(t, t.TempDir(), host)
		k.issue = func(ctx context.Context, _ string, _ crypto.Signer) (*tls.Certificate, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		k.run(time.Minute)
		if len(k.Failing()) > 0 || k.log.Len() > 0 {
			t.Errorf("failing %v, log %q", k.Failing(), k.log)
		}
	})
}

func TestTheMetricSaysHowLongCertificatesAreValid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(t, t.TempDir(), host)
		k.run(30 * day)
		want := fmt.Sprintf("# HELP homing_tls_certificate_expiry_seconds Seconds until the certificate that is shown for a name ends; below zero it has.\n"+
			"# TYPE homing_tls_certificate_expiry_seconds gauge\nhoming_tls_certificate_expiry_seconds{name=%q} %d\n", host, 60*day/time.Second)
		if err := testutil.CollectAndCompare(Expiry(k, func() []string { return []string{host} }, time.Now), strings.NewReader(want)); err != nil {
			t.Error(err)
		}
	})
}

func TestEveryAuthorityHasADirectoryOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, url := range []string{LetsEncrypt, "https://acme-staging-v02.api.letsencrypt.org/directory", "https://127.0.0.1:14000/dir", "https://../../etc", "https://x/../.."} {
		got := DirOf(url)
		if seen[got] || strings.ContainsAny(got, "/\\:") || got == "" || got[0] == '.' {
			t.Errorf("DirOf(%q) = %q", url, got)
		}
		seen[got] = true
	}
}
