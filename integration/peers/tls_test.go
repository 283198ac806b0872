package peers

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"homing/integration/harness"
	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
	"homing/internal/toynet"
)

// An authority issues certificates of hosts.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	last int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t), last: 1, cert: &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Authority of a test"},
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}}
	der := sign(t, a.cert, a.cert, a.key, a.key)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) pem() string { return armour("CERTIFICATE", a.cert.Raw) }

// An identity is a certificate with its key.
type identity struct{ cert, key string }

// issue makes an identity for names that ends at a time, and the TLSA record
// that allows it. The key is RSA, which every program can
// use.
func (a *authority) issue(end time.Time, names ...string) (identity, dnsx.TLSA) {
	a.t.Helper()
	a.last++
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		a.t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(a.last), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: end.AddDate(0, -3, 0), NotAfter: end, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		a.t.Fatal(err)
	}
	sum := sha256.Sum256(public)
	return identity{armour("CERTIFICATE", der), armour("PRIVATE KEY", secret)}, dnsx.TLSA{Usage: 3, Selector: 1, Matching: 1, Data: sum[:]}
}

// trusting is a stage whose server trusts an authority.
func trusting(t testing.TB, a *authority, w toynet.World) *harness.Stage {
	t.Helper()
	w.Hosts["policies.test"] = toynet.Host{Dead: true}
	return harness.NewStage(t, harness.Settings{World: w, Files: map[string]string{"authority.pem": a.pem()}, Env: []string{"SSL_CERT_FILE=$DIR/authority.pem"}})
}

// servePolicies has Python's web server hand out the MTA-STS policies of
// domains, and the DNS speak of them.
func servePolicies(t testing.TB, st *harness.Stage, a *authority, policies map[string]string) {
	t.Helper()
	dir := publicDir(t)
	put := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	at := st.Net.HostAddr("policies.test").Addr()
	records := dnstest.Zone{Hosts: map[string][]netip.Addr{}, TXTs: map[string][]string{}}
	var names []string
	for domain, policy := range policies {
		host := "mta-sts." + domain
		names = append(names, host)
		put(host+"/.well-known/mta-sts.txt", "version: STSv1\n"+policy+"max_age: 86400\n")
		records.Hosts[host], records.TXTs["_mta-sts."+domain] = []netip.Addr{at}, []string{"v=STSv1; id=1;"}
	}
	id, _ := a.issue(time.Now().AddDate(0, 1, 0), names...)
	put("cert.pem", id.cert)
	put("key.pem", id.key)
	serve(t, netip.AddrPortFrom(at, 443).String(), "python3", filepath.Join("testdata", "https.py"), at.String(), "443", dir, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	st.Net.Publish(records)
}

// tlsWorld has domains with one MX each, all played by software of others.
func tlsWorld(mx map[string]string) toynet.World {
	w := toynet.World{Domains: map[string]toynet.Domain{}, Hosts: map[string]toynet.Host{}}
	for domain, host := range mx {
		w.Domains[domain] = toynet.Domain{MX: []string{host}}
		w.Hosts[host] = toynet.Host{Dead: true}
	}
	return w
}

// checkTLS waits for what becomes of the recipients, each written as the
// event, its class and reason, and how the host was verified.
func checkTLS(t *testing.T, st *harness.Stage, want map[string]string) {
	t.Helper()
	var verdicts []verdict
	for to := range want {
		verdicts = append(verdicts, verdict{to: to})
	}
	send(t, st, verdicts, "Hello\n")
	until := harness.Within(t, 30*time.Second)
	for to, all := range want {
		kind, _, _ := strings.Cut(all, " ")
		e := heardUntil(until, t, st, to, kind, func(toynet.Event) bool { return true })
		if got := strings.TrimRight(fmt.Sprintf("%s %s %s %s", e.Type, e.Class, e.Reason, e.TLS.Verified), " "); got != all {
			t.Errorf("%s: %s, want %s; told: %s", to, got, all, told(st, to))
		}
		if e.TLS.Verified != "" && (e.TLS.Version != "TLS1.3" || !strings.HasPrefix(e.TLS.Cipher, "TLS_")) {
			t.Errorf("%s: over %+v, want TLS1.3 and its cipher", to, e.TLS)
		}
	}
	if holds := st.Run("hold", "list"); strings.Contains(holds, ".test") {
		t.Errorf("on hold:\n%s\nwant nobody whose host fails at TLS", holds)
	}
}

// TestPostfixKeepsToPoliciesOrGetsNoMail has Postfix be MXs with a good, an
// expired and a wrong certificate, whose domains enforce their policy, test
// it, or have none, or have TLSA records that do or do not fit.
func TestPostfixKeepsToPoliciesOrGetsNoMail(t *testing.T) {
	begin(t)
	a := newAuthority(t)
	hosts := map[string]string{
		"good.test": "mx-good.test", "old.test": "mx-expired.test", "wrong.test": "mx-wrong.test", "lax.test": "mx-expired.test", "free.test": "mx-expired.test",
		"bare.test": "mx-plain.test", "other.test": "mx-good.test", "dane.test": "mx-dane.test", "forged.test": "mx-forged.test",
	}
	st := trusting(t, a, tlsWorld(hosts))
	servePolicies(t, st, a, map[string]string{
		"good.test": "mode: enforce\nmx: mx-good.test\n", "old.test": "mode: enforce\nmx: *.test\n", "wrong.test": "mode: enforce\nmx: mx-wrong.test\n",
		"lax.test": "mode: testing\nmx: mx-expired.test\n", "bare.test": "mode: enforce\nmx: mx-plain.test\n", "other.test": "mode: enforce\nmx: mx-else.test\n",
	})
	later, ago := time.Now().AddDate(0, 1, 0), time.Now().Add(-time.Hour)
	ids, records := map[string]identity{}, map[string]dnsx.TLSA{}
	issue := func(host string, end time.Time, name string) { ids[host], records[host] = a.issue(end, name) }
	issue("mx-good.test", later, "mx-good.test")
	issue("mx-expired.test", ago, "mx-expired.test")
	issue("mx-wrong.test", later, "www.wrong.test")
	issue("mx-dane.test", ago, "nobody.test")
	issue("mx-forged.test", later, "mx-forged.test")
	st.Net.Publish(dnstest.Zone{
		TLSAs: map[string][]dnsx.TLSA{"_25._tcp.mx-dane.test": {records["mx-dane.test"]}, "_25._tcp.mx-forged.test": {records["mx-good.test"]}},
		Signed: map[string]bool{"dane.test": true, "mx-dane.test": true, "_25._tcp.mx-dane.test": true,
			"forged.test": true, "mx-forged.test": true, "_25._tcp.mx-forged.test": true},
	})
	at := func(host string) string { return st.Net.HostAddr(host).String() }
	var services, domains []string
	dir := publicDir(t)
	for host, id := range ids {
		path := filepath.Join(dir, host+".pem")
		if err := os.WriteFile(path, []byte(id.key+id.cert), 0o600); err != nil {
			t.Fatal(err)
		}
		services = append(services, fmt.Sprintf("%s inet n - n - - smtpd -o smtpd_tls_security_level=may -o smtpd_tls_chain_files=%s\n", at(host), path))
	}
	for domain := range hosts {
		domains = append(domains, domain)
	}
	startPostfix(t, st, "mx-plain.test", []string{at("mx-plain.test")}, "local_transport = discard:\nmydestination = "+strings.Join(domains, ", ")+"\n", strings.Join(services, ""))
	checkTLS(t, st, map[string]string{
		"ann@good.test":   "delivered   mta-sts",
		"ann@old.test":    "deferred sender tls_failed",
		"ann@wrong.test":  "deferred sender tls_failed",
		"ann@bare.test":   "deferred sender tls_failed",
		"ann@other.test":  "deferred sender tls_failed",
		"ann@lax.test":    "delivered   none",
		"ann@free.test":   "delivered   none",
		"ann@dane.test":   "delivered   dane",
		"ann@forged.test": "deferred sender tls_failed",
	})
}

// verified are domains of mx.peer.test: one has TLSA records, one an MTA-STS
// policy, one neither.
func verified(t *testing.T) (*harness.Stage, identity) {
	t.Helper()
	a := newAuthority(t)
	w := tlsWorld(map[string]string{"sts.test": "mx.peer.test", "dane.test": "mx.peer.test", "free.test": "mx.peer.test"})
	st := trusting(t, a, w.And(peerWorld(nil, nil)))
	servePolicies(t, st, a, map[string]string{"sts.test": "mode: enforce\nmx: mx.peer.test\n"})
	id, record := a.issue(time.Now().AddDate(0, 1, 0), "mx.peer.test")
	st.Net.Publish(dnstest.Zone{
		TLSAs:  map[string][]dnsx.TLSA{"_25._tcp.mx.peer.test": {record}},
		Signed: map[string]bool{"dane.test": true, "mx.peer.test": true, "_25._tcp.mx.peer.test": true},
	})
	return st, id
}

// secureExim is one that offers STARTTLS and throws everything away.
const secureExim = `
primary_hostname = mx.peer.test
local_interfaces = {{.Host}}.{{.Port}}
exim_path = {{.Program}}
log_file_path = /var/spool/exim4/%slog
pid_file_path = /run/exim.pid
acl_smtp_rcpt = accept
keep_environment =
tls_advertise_hosts = *
tls_certificate = {{.Dir}}/cert.pem
tls_privatekey = {{.Dir}}/key.pem

begin routers
away:
  driver = redirect
  data = :blackhole:
`

func TestEximIsVerified(t *testing.T) {
	begin(t)
	st, id := verified(t)
	startExim(t, st, secureExim, map[string]string{"cert.pem": id.cert, "key.pem": id.key})
	checkTLS(t, st, map[string]string{"ann@sts.test": "delivered   mta-sts", "ann@dane.test": "delivered   dane", "ann@free.test": "delivered   pkix"})
}

// secureOpenSMTPD is one that offers STARTTLS and throws everything away.
const secureOpenSMTPD = `
pki mx.peer.test cert "{{.Dir}}/cert.pem"
pki mx.peer.test key "{{.Dir}}/key.pem"
table anybody { "@" = "nobody" }
listen on {{.Host}} port {{.Port}} tls pki mx.peer.test hostname mx.peer.test
action away mda "/bin/sh -c 'cat >/dev/null'" user nobody virtual <anybody>
match from any for domain { "sts.test", "dane.test", "free.test" } action away
`

// TestOpenSMTPDCannotBeVerified: OpenSMTPD 6.8 with OpenSSL 3, as Debian 12 has
// it, offers STARTTLS, and fails at each handshake for want of its key. Who
// asks for nothing gets the mail without; the others' waits.
func TestOpenSMTPDCannotBeVerified(t *testing.T) {
	begin(t)
	st, id := verified(t)
	r := newRoom(t)
	path := program(t, "smtpd")
	r.binds = append(r.binds, filepath.Join(filepath.Dir(path), "../libexec"), "/usr/libexec")
	r.mkdir("lib/opensmtpd/empty", "root", 0o755)
	r.mkdir("spool/smtpd", "root", 0o711)
	r.write("cert.pem", id.cert)
	r.write("key.pem", id.key)
	if err := os.Chmod(r.path("key.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := siteOf(st)
	s.Dir = r.dir
	r.write("smtpd.conf", s.fill(t, secureOpenSMTPD))
	r.serve(mx(st, "peer.test"), "smtpd", "-dv", "-f", r.path("smtpd.conf"))
	checkTLS(t, st, map[string]string{"ann@sts.test": "deferred sender tls_failed", "ann@dane.test": "deferred sender tls_failed", "ann@free.test": "delivered"})
}
