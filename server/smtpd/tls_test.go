package smtpd

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// certificate makes a configuration of a server that nobody trusts.
func certificate(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mx.test"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// encrypt does the client's part of a handshake.
func (p *peer) encrypt() {
	p.t.Helper()
	c := tls.Client(p.raw, &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		p.t.Errorf("handshake: %v", err)
	}
	p.c, p.r = c, bufio.NewReader(c)
}

func TestSTARTTLSBeginsAgain(t *testing.T) {
	b := &accepting{}
	closed := 0
	b.closing = func() { closed++ }
	serving(t, Options{TLS: certificate(t), Auth: true, RequireTLS: true}, b, func(s *bench) {
		p := s.greeted()
		p.write("EHLO a\r\n")
		if r := p.reply(); !strings.Contains(r, "STARTTLS") || strings.Contains(r, "AUTH") {
			t.Errorf("EHLO says %q", r)
		}
		p.do("STARTTLS", "220/2.0.0")
		p.encrypt()
		synctest.Wait()
		if closed != 1 || len(b.conns) != 2 || b.conns[0].TLS != nil || b.conns[1].TLS == nil {
			t.Errorf("sessions: %d closed, connections %v", closed, b.conns)
		}
		p.do("MAIL FROM:<>", "503/5.5.1")
		p.write("EHLO a\r\n")
		if r := p.reply(); strings.Contains(r, "STARTTLS") || !strings.Contains(r, "AUTH PLAIN LOGIN|") || !strings.Contains(r, "REQUIRETLS") {
			t.Errorf("EHLO inside TLS says %q", r)
		}
		p.do("STARTTLS", "503/5.5.1")
		p.do("MAIL FROM:<> REQUIRETLS", "250")
		p.write("RCPT TO:<y@y.test>\r\nDATA\r\n" + message(100000) + ".\r\nQUIT\r\n")
		p.want("250 354 250 221 EOF")
	})
	if len(b.messages) != 1 || b.messages[0] != message(100000) || !b.mails[0].RequireTLS {
		t.Errorf("stored %d messages, %+v", len(b.messages), b.mails)
	}
}

func TestSTARTTLSForgetsTheTransactionAndTheLogin(t *testing.T) {
	serving(t, Options{TLS: certificate(t), Auth: true, AllowInsecureAuth: true}, &accepting{}, func(s *bench) {
		p := s.greeted()
		p.do("EHLO a", "250")
		p.do("MAIL FROM:<>", "250")
		p.do("STARTTLS", "503/5.5.1")
		p.do("RSET", "250")
		p.do("AUTH PLAIN AHVzZXIAc2VjcmV0", "235")
		p.do("STARTTLS", "220")
		p.encrypt()
		p.do("RSET", "250")
		p.do("RCPT TO:<x@y.test>", "503")
		p.do("EHLO a", "250")
		p.do("DATA", "503")
		p.do("AUTH PLAIN AHVzZXIAc2VjcmV0", "235")
	})
}

func TestNothingMayFollowSTARTTLS(t *testing.T) {
	b := &accepting{}
	serving(t, Options{TLS: certificate(t)}, b, func(s *bench) {
		p := s.greeted()
		p.do("EHLO a", "250")
		p.write("STARTTLS\r\nMAIL FROM:<evil@example.org>\r\n")
		p.want("554/5.5.1 EOF")
		q := s.greeted()
		q.do("EHLO a", "250")
		q.do("STARTTLS now", "501/5.5.4")
	})
	if len(b.froms) > 0 {
		t.Errorf("MAIL was carried out: %q", b.froms)
	}
}

// What arrives between the command and the handshake is no command either.
func TestPlaintextInsteadOfAHandshake(t *testing.T) {
	b := &accepting{}
	serving(t, Options{TLS: certificate(t)}, b, func(s *bench) {
		p := s.greeted()
		p.do("EHLO a", "250")
		p.do("STARTTLS", "220")
		p.write("MAIL FROM:<evil@example.org>\r\n")
		for r := p.reply(); r != "EOF"; r = p.reply() {
			if strings.HasPrefix(r, "2") {
				t.Errorf("answered %q", r)
			}
		}
	})
	if len(b.froms) > 0 {
		t.Errorf("MAIL was carried out: %q", b.froms)
	}
}

func TestHandshakeHasADeadline(t *testing.T) {
	for name, o := range map[string]Options{"STARTTLS": {}, "implicit TLS": {ImplicitTLS: true}} {
		t.Run(name, func(t *testing.T) {
			o.TLS, o.HelloTimeout = certificate(t), 20*time.Second
			serving(t, o, &accepting{}, func(s *bench) {
				p := s.dial(nil)
				if !o.ImplicitTLS {
					p.want("220")
					p.do("EHLO a", "250")
					p.do("STARTTLS", "220")
				}
				start := time.Now()
				p.want("EOF")
				if got := time.Since(start); got != 20*time.Second {
					t.Errorf("given up after %v", got)
				}
			})
		})
	}
}

func TestHandshakeEndsAtShutdown(t *testing.T) {
	serving(t, Options{TLS: certificate(t), ImplicitTLS: true}, &accepting{}, func(s *bench) {
		p := s.dial(nil)
		synctest.Wait()
		start := time.Now()
		s.waitStopped()
		p.want("EOF")
		if got := time.Since(start); got != 0 {
			t.Errorf("stopped after %v", got)
		}
	})
}

func TestImplicitTLS(t *testing.T) {
	b := &accepting{}
	serving(t, Options{TLS: certificate(t), ImplicitTLS: true, Auth: true}, b, func(s *bench) {
		p := s.dial(nil)
		p.encrypt()
		p.want("220")
		p.write("EHLO a\r\n")
		if r := p.reply(); strings.Contains(r, "STARTTLS") || !strings.Contains(r, "AUTH PLAIN LOGIN") {
			t.Errorf("EHLO says %q", r)
		}
		p.do("STARTTLS", "503/5.5.1")
		s.stop()
		p.want("421/4.3.2 EOF")
	})
	if len(b.conns) != 1 || b.conns[0].TLS == nil {
		t.Errorf("connections: %+v", b.conns)
	}
}
