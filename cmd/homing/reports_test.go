package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"homing/config"
	"homing/delivery/tlsrpt"
	"homing/internal/dkim"
	"homing/internal/dnsx/dnstest"
	"homing/internal/toynet"
)

// signing writes a key and gives a table of a domain that signs with it, and
// the record to publish.
func signing(t *testing.T, domain string) (table, record string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "dkim.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := dkim.NewKey("s", key)
	if err != nil {
		t.Fatal(err)
	}
	if record, err = k.Record(); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("[[domain]]\nname = %q\nreturn_path = \"return@bounce.%s\"\nsinks = [\"hooks\"]\ndkim = [ { selector = \"s\", key_file = %q } ]\n", domain, domain, path), record
}

// TestHowTLSWentIsReportedByOurOwnMail has a server count a session, find the
// counts of an earlier day when it starts again, and mail the report on them,
// signed, under the null reverse-path.
func TestHowTLSWentIsReportedByOurOwnMail(t *testing.T) {
	table, record := signing(t, "example.com")
	s := newStand(t, table)
	ctx := context.Background()
	if err := s.mail(1, "ann@accepts.test"); err != nil {
		t.Fatal(err)
	}
	if err := s.told("delivered", "ann@accepts.test"); err != nil {
		t.Fatal(err)
	}
	earlier := time.Now().UTC().AddDate(0, 0, -2).Format("2006-01-02")
	counts := []byte(`{"policy":{"kind":"no-policy-found","domain":"accepts.test"},"good":7}`)
	if err := s.house.store.Note(ctx, "tlsrpt", map[string][]byte{earlier + " accepts.test 0": counts}); err != nil {
		t.Fatal(err)
	}
	s.net.Publish(dnstest.Zone{TXTs: map[string][]string{"_smtp._tls.accepts.test": {"v=TLSRPTv1; rua=mailto:tls@accepts.test"}}})
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
	report := s.received(t, "tls@accepts.test")
	notes, err := s.house.store.Notes(ctx, "tlsrpt")
	if err != nil {
		t.Fatal(err)
	}
	if today := string(notes[time.Now().UTC().Format("2006-01-02")+" accepts.test 0"]); !strings.Contains(today, `"good":1`) && time.Now().UTC().Hour() > 0 {
		t.Errorf("counted today: %q of %q, want one session", today, notes)
	}
	m, err := mail.ReadMessage(bytes.NewReader(report.Message))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Header.Get("From") + m.Header.Get("TLS-Report-Submitter"); got != "<postmaster@example.com>mail.example.org" || report.From != "" {
		t.Errorf("from %q, reverse-path %q", got, report.From)
	}
	all, err := msgauth.VerifyWithOptions(bytes.NewReader(report.Message), &msgauth.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		if name != "s._domainkey.example.com" {
			return nil, fmt.Errorf("asked for %s", name)
		}
		return []string{record}, nil
	}})
	if err != nil || len(all) != 1 || all[0].Err != nil || all[0].Domain != "example.com" {
		t.Errorf("signatures %+v, %v, want one of example.com that holds", all, err)
	}
}

// received waits until an MX has taken mail for an address.
func (s *stand) received(t *testing.T, to string) (got toynet.Receipt) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err := s.net.Receipts.Wait(ctx, func(all []toynet.Receipt) bool {
		for _, r := range all {
			if r.Accepted() && r.To == to {
				got = r
				return true
			}
		}
		return false
	})
	if err != nil {
		text, _ := s.log.read()
		t.Fatalf("no mail for %s: %v\n%s", to, err, text)
	}
	return got
}

func TestWhoReportsAboutTLS(t *testing.T) {
	signs := []config.DKIM{{Selector: "s"}}
	tests := []struct {
		name string
		cfg  config.Config
		want tlsrpt.Author
	}{
		{"nobody, where that is switched off", config.Config{Hostname: "mail.example.org"}, tlsrpt.Author{}},
		{"the postmaster, where he is in a domain that signs", config.Config{Hostname: "mail.example.org", Postmaster: "it@Example.org",
			Delivery: config.Delivery{TLSReports: true}, Domains: []config.Domain{{Name: "example.com", DKIM: signs}, {Name: "example.org", DKIM: signs}}},
			tlsrpt.Author{Organization: "mail.example.org", Contact: "it@Example.org", From: "it@Example.org", Submitter: "mail.example.org"}},
		{"else that of a domain that signs", config.Config{Hostname: "mail.example.org", Postmaster: "it@example.org",
			Delivery: config.Delivery{TLSReports: true}, Domains: []config.Domain{{Name: "example.org"}, {Name: "example.com", DKIM: signs}}},
			tlsrpt.Author{Organization: "mail.example.org", Contact: "it@example.org", From: "postmaster@example.com", Submitter: "mail.example.org"}},
		{"nobody by mail, where nothing is signed", config.Config{Hostname: "mail.example.org", Delivery: config.Delivery{TLSReports: true}, Domains: []config.Domain{{Name: "example.org"}}},
			tlsrpt.Author{Organization: "mail.example.org", Contact: "postmaster@mail.example.org", Submitter: "mail.example.org"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := reporter(&tt.cfg); got != tt.want {
				t.Errorf("reporter = %+v, want %+v", got, tt.want)
			}
		})
	}
}
