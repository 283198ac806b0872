package certs_test

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"homing/internal/certs"
)

func TestTheOwnCertificateIsMadeOnceAndReplacedWhenItNoLongerFits(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	const host = "mail.example.org"
	tests := []struct {
		name    string
		change  func(path string) error // between two starts; nil: nothing
		host    string
		now     time.Time
		same    bool   // certificate as before
		sameKey bool   // key as before
		logged  string // "": nothing
	}{
		{"the next start", nil, host, now.Add(time.Hour), true, true, ""},
		{"ten years later", nil, host, now.AddDate(10, 0, 0), true, true, ""},
		{"a week before its end", nil, host, now.AddDate(20, 0, -7), false, true, "was made"},
		{"another hostname", nil, "mx.example.net", now, false, true, "was made"},
		{"the file is gone", os.Remove, host, now, false, false, "was made"},
		{"half of the file is gone", func(path string) error { return os.Truncate(path, 100) }, host, now, false, false, "cannot be read"},
		{"an empty file", func(path string) error { return os.Truncate(path, 0) }, host, now, false, false, "cannot be read"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "own.pem")
			first, err := certs.LoadOwn(path, host, now, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			if tt.change != nil {
				if err := tt.change(path); err != nil {
					t.Fatal(err)
				}
			}
			var log bytes.Buffer
			second, err := certs.LoadOwn(path, tt.host, tt.now, slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			a, b := first.Show("").Leaf, second.Show("").Leaf
			if a.Equal(b) != tt.same {
				t.Errorf("the same certificate: %v, want %v", a.Equal(b), tt.same)
			}
			if got := a.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(b.PublicKey); got != tt.sameKey {
				t.Errorf("the same key: %v, want %v", got, tt.sameKey)
			}
			if err := b.VerifyHostname(tt.host); err != nil {
				t.Error(err)
			}
			if !strings.Contains(log.String(), tt.logged) || (tt.logged == "") != (log.Len() == 0) {
				t.Errorf("log %q, want %q", log.String(), tt.logged)
			}
			wantAlone(t, path)
		})
	}
}

// wantAlone checks that a file is for its owner alone, and that nothing is left
// beside it.
func wantAlone(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("%s has mode %o, want 600", path, got)
	}
	all, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(all) != 1 {
		t.Errorf("the directory has %v (%v), want the file alone", all, err)
	}
}

func TestAVeryLongHostnameHasACertificateToo(t *testing.T) {
	host := strings.Repeat("a", 60) + "." + strings.Repeat("b", 60) + ".example.org"
	own, err := certs.LoadOwn(filepath.Join(t.TempDir(), "own.pem"), host, time.Now(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := own.Show("").Leaf.VerifyHostname(host); err != nil {
		t.Error(err)
	}
}

func TestADirectoryThatMayNotBeWrittenIsAnError(t *testing.T) {
	if _, err := certs.LoadOwn("/nonexistent/own.pem", "mail.example.org", time.Now(), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("no error")
	}
}

func TestAClientThatTrustsTheOwnCertificateGetsThrough(t *testing.T) {
	own, err := certs.LoadOwn(filepath.Join(t.TempDir(), "own.pem"), "mail.example.org", time.Now(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(own.Show("").Leaf)
	if got := dial(t, certs.Config(own), &tls.Config{RootCAs: roots, ServerName: "mail.example.org"}); got != nil {
		t.Error(got)
	}
	if got := dial(t, certs.Config(own), &tls.Config{ServerName: "mail.example.org"}); got == nil {
		t.Error("a client that trusts authorities alone gets through")
	}
}
