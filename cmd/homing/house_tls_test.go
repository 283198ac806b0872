package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"homing/config"
	"homing/delivery/mtasts"
	"homing/dnscheck"
	"homing/internal/smtptest"
)

// offers says hello at a listener and reports what it offers, with the
// certificate that it shows behind STARTTLS; nil: it offers none.
func offers(t *testing.T, address string) (words string, shown *x509.Certificate) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := textproto.NewConn(conn)
	if _, _, err := c.ReadResponse(220); err != nil {
		t.Fatal(err)
	}
	say := func(code int, line string) string {
		if err := c.PrintfLine("%s", line); err != nil {
			t.Fatal(err)
		}
		_, text, err := c.ReadResponse(code)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	words = say(250, "EHLO client.test")
	if !strings.Contains(words, "STARTTLS") {
		return words, nil
	}
	say(220, "STARTTLS")
	secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	if err := secure.Handshake(); err != nil {
		t.Fatal(err)
	}
	return words, secure.ConnectionState().PeerCertificates[0]
}

func TestWithoutACertificateMailStillComesInEncrypted(t *testing.T) {
	s := newStand(t, "")
	_, first := offers(t, s.house.at("smtp"))
	if first == nil {
		t.Fatal("port 25 offers no STARTTLS")
	}
	if err := first.VerifyHostname("mail.example.org"); err != nil {
		t.Error(err)
	}
	if words, shown := offers(t, s.house.at("submission")); shown != nil {
		t.Errorf("a listener for applications shows a certificate that they do not trust: %s", words)
	}
	info, err := os.Stat(filepath.Join(filepath.Dir(s.config), "data", ownCertName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v, want a file of mode 600", info, err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
	if _, second := offers(t, s.house.at("smtp")); second == nil || !second.Equal(first) {
		t.Error("after a restart it shows another one")
	}
}

// writeCert writes a certificate for a host beside the configuration.
func writeCert(t *testing.T, dir, host string) *x509.CertPool {
	t.Helper()
	c, roots, err := smtptest.Certificate(host)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(c.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: c.Certificates[0].Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return roots
}

// TestAReloadLooksAtTheCertificateAtOnce has the files change, first into
// something that cannot be used.
func TestAReloadLooksAtTheCertificateAtOnce(t *testing.T) {
	dir := t.TempDir()
	writeCert(t, dir, "mail.example.org")
	s := newStand(t, fmt.Sprintf("[tls]\ncert_file = %q\nkey_file = %q\n", filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")))
	_, first := offers(t, s.house.at("smtp"))
	writeCert(t, dir, "mail.example.org")
	s.hup <- os.Interrupt
	s.log.wait(t, 0, "certificate read again")
	if _, second := offers(t, s.house.at("smtp")); second.Equal(first) {
		t.Error("the old one is shown")
	}
	if words, shown := offers(t, s.house.at("submission")); shown != nil {
		t.Errorf("at 127.0.0.1 TLS is offered, for which no certificate is: %s", words)
	}
}

func TestThePoliciesAboutTLSAreOfTheDomainsWhoseMailComesToUs(t *testing.T) {
	certs := t.TempDir()
	roots := writeCert(t, certs, "mta-sts.bounce.example.org")
	s := newStand(t, fmt.Sprintf("[[route]]\naddress = \"*@lists.example.org\"\nas = \"reply\"\nto = [\"hooks\"]\n[tls]\ncert_file = %q\nkey_file = %q\n",
		filepath.Join(certs, "cert.pem"), filepath.Join(certs, "key.pem")))
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.change(t, "[[domain]]", "https = [\"127.0.0.1:0\"]\n\n[[domain]]")
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "mta-sts.bounce.example.org"},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", s.house.at("https"))
		}}}
	ask := func(domain string) (int, string) {
		resp, err := client.Get("https://mta-sts." + domain + "/.well-known/mta-sts.txt")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	wants := func(all map[string]int) {
		t.Helper()
		for domain, want := range all {
			status, text := ask(domain)
			if status != want {
				t.Errorf("%s: %d, want %d", domain, status, want)
			}
			if p, err := mtasts.ParsePolicy([]byte(text)); want == 200 && (err != nil || p.Mode != mtasts.Testing || !p.Match("mail.example.org") || p.MaxAge != 7*24*time.Hour) {
				t.Errorf("%s: %+v, %v of %q", domain, p, err, text)
			}
		}
	}
	// The mail of example.org itself comes in elsewhere.
	wants(map[string]int{"bounce.example.org": 200, "lists.example.org": 200, "example.org": 404, "news.example.org": 404})
	s.change(t, "*@lists.example.org", "*@news.example.org")
	s.hup <- os.Interrupt
	s.log.wait(t, 0, "configuration reloaded")
	wants(map[string]int{"lists.example.org": 404, "news.example.org": 200})
	if log, _ := s.log.read(); !strings.Contains(log, "certificate of cert_file is for other names") || !strings.Contains(log, "host=mail.example.org") {
		t.Error("the log does not say that the certificate is not for the hostname")
	}
}

func TestThePolicyAboutTLS(t *testing.T) {
	tests := []struct {
		mode  config.MTASTS
		hosts []string
		want  string
	}{
		{config.MTASTSTesting, []string{"mail.example.org"}, "version: STSv1\r\nmode: testing\r\nmx: mail.example.org\r\nmax_age: 604800\r\n"},
		{config.MTASTSEnforce, []string{"mx2.example.net", "*.example.org"}, "version: STSv1\r\nmode: enforce\r\nmx: *.example.org\r\nmx: mx2.example.net\r\nmax_age: 604800\r\n"},
	}
	for _, tt := range tests {
		if got, _ := dnscheck.STSPolicy(string(tt.mode), tt.hosts); got != tt.want {
			t.Errorf("%s of %q: %q, want %q", tt.mode, tt.hosts, got, tt.want)
		}
	}
}
