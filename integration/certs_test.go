package integration

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"homing/internal/certs/acmetest"
	"homing/internal/dnsx/dnstest"
)

// shown gives what the MX shows behind STARTTLS.
func (st *stage) shown() (leaf *x509.Certificate, chain *x509.CertPool) {
	st.t.Helper()
	w := dialSMTP(st.t, st.MX)
	w.must("EHLO client.test", "250")
	w.must("STARTTLS", "220")
	c := tls.Client(w.conn, &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		st.t.Fatal(err)
	}
	defer c.Close()
	all := c.ConnectionState().PeerCertificates
	chain = x509.NewCertPool()
	for _, more := range all[1:] {
		chain.AddCert(more)
	}
	return all[0], chain
}

// TestTheServerAsksForItsCertificates goes from the server's own certificate to
// those of an authority, which finds it by the DNS, and through a restart.
func TestTheServerAsksForItsCertificates(t *testing.T) {
	t.Parallel()
	const httpPort, httpsPort, policyHost = 5080, 5443, "mta-sts.bounce.example.org"
	s := settings{Env: []string{"SSL_CERT_FILE=$DIR/roots.pem"}, Files: map[string]string{"roots.pem": ""}}
	st := newStage(t, s)
	own, _ := st.shown()
	if err := own.CheckSignature(own.SignatureAlgorithm, own.RawTBSCertificate, own.Signature); err != nil || own.VerifyHostname("mail.example.org") != nil {
		t.Errorf("at first it shows one for %q that it has not signed itself: %v", own.DNSNames, err)
	}

	authority := acmetest.Start(t, acmetest.Options{HTTPPort: httpPort, TLSPort: httpsPort, DNS: st.Net.DNSAddr().String()})
	st.Write("roots.pem", string(authority.PEM))
	st.Net.Publish(dnstest.Zone{Hosts: map[string][]netip.Addr{policyHost: {st.Net.ServerAddr().Addr()}}})
	s.Listen = fmt.Sprintf("https = [\"{{.At %d}}\"]", httpsPort)
	s.Tables = fmt.Sprintf("[tls.acme]\nlisten = \"{{.At %d}}\"\ndirectory = %q\n", httpPort, authority.Directory)
	st.Reconfigure(s)
	st.Restart()
	trusted := func() bool {
		leaf, chain := st.shown()
		_, err := leaf.Verify(x509.VerifyOptions{DNSName: "mail.example.org", Roots: authority.Roots, Intermediates: chain})
		return err == nil
	}
	until(t, 30*time.Second, "a certificate of the authority", trusted)

	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: authority.Roots},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", st.At(httpsPort))
		}}}
	policy := func() (text string) {
		resp, err := client.Get("https://" + policyHost + "/.well-known/mta-sts.txt")
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return string(body)
	}
	until(t, 30*time.Second, "the policy about TLS", func() bool {
		return policy() == "version: STSv1\r\nmode: testing\r\nmx: mail.example.org\r\nmax_age: 604800\r\n"
	})

	orders := authority.Orders()
	st.Restart()
	if !trusted() {
		t.Error("after a restart the certificate is not shown at once")
	}
	c, err := tls.Dial("tcp", st.At(httpsPort), &tls.Config{ServerName: "evil.example.net", InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.ConnectionState().PeerCertificates[0]; got.VerifyHostname("mail.example.org") != nil {
		t.Errorf("whoever asks for another name is shown one for %q", got.DNSNames)
	}
	if left := st.Metrics()[`homing_tls_certificate_expiry_seconds{name="mail.example.org"}`]; left < 89*86400 {
		t.Errorf("it is valid for %g s, says the metric", left)
	}
	if got := authority.Orders(); got != orders || orders != 2 {
		t.Errorf("certificates were asked for %d times, and %d times after the restart, want 2 and 0", orders, got-orders)
	}
	// The self-check warns of it, because this machine does not trust the authority.
	if text := st.Run("status"); strings.Contains(text, "No certificate") {
		t.Errorf("the status says that none can be had:\n%s", text)
	}
}

func TestTheBinaryHasNothingOfTheAuthorityForTests(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", "homing/cmd/homing").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "golang.org/x/crypto/acme\n") || strings.Contains(string(out), "pebble") {
		t.Errorf("it is made of:\n%s", out)
	}
}
