package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"homing/config"
)

func TestWhenADigestIsDue(t *testing.T) {
	const form = "Mon 2006-01-02 15:04"
	tests := []struct {
		last string
		how  config.Digest
		want string
	}{
		{"Sun 2026-11-29 03:00", config.Weekly, "Mon 2026-11-30 07:00"},
		{"Mon 2026-11-30 06:59", config.Weekly, "Mon 2026-11-30 07:00"},
		{"Mon 2026-11-30 07:00", config.Weekly, "Mon 2026-12-07 07:00"},
		{"Mon 2026-11-30 07:00", config.Daily, "Tue 2026-12-01 07:00"},
		{"Mon 2026-11-30 06:00", config.Daily, "Mon 2026-11-30 07:00"},
	}
	for _, tt := range tests {
		last, err := time.ParseInLocation(form, tt.last, time.Local)
		if err != nil {
			t.Fatal(err)
		}
		if got := digestAfter(last, tt.how).Format(form); got != tt.want {
			t.Errorf("%s after %s: %s, want %s", tt.how, tt.last, got, tt.want)
		}
	}
}

// TestADigestSaysWhatHappenedAndHowItStands has a server mail somebody and
// then, as if a week had passed, its digest.
func TestADigestSaysWhatHappenedAndHowItStands(t *testing.T) {
	s := newStand(t, "")
	if err := s.mail(1, "ann@accepts.test", "bob@unknown.test"); err != nil {
		t.Fatal(err)
	}
	if err := s.told("delivered", "ann@accepts.test"); err != nil {
		t.Fatal(err)
	}
	if err := s.told("bounced", "bob@unknown.test"); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := s.house.mailDigest(context.Background(), s.house.live.Load(), now.Add(-time.Hour), now); err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(bytes.NewReader(s.received(t, "it@accepts.test").Message))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Header.Get("Subject"); !strings.HasPrefix(got, "[mail.example.org] digest: 1 delivered, 1 bounced, ") {
		t.Errorf("subject %q", got)
	}
	for _, want := range []string{"  civicrm: 2 accepted, 1 delivered, 1 bounced\r\n", "* Mail of example.org goes unsigned", "* the DNS of example.org (`homing dns`"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the digest has no %q:\n%s", want, text)
		}
	}
}

func TestKeysOfAYearAreNamed(t *testing.T) {
	dir := t.TempDir()
	cfg := &config.Config{Domains: []config.Domain{{Name: "example.org"}}}
	for name, age := range map[string]int{"new.pem": 300, "old.pem": 400} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Now().AddDate(0, 0, -age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		cfg.Domains[0].DKIM = append(cfg.Domains[0].DKIM, config.DKIM{KeyFile: path})
	}
	got := fmt.Sprint(oldKeys(cfg, time.Now()))
	if !strings.Contains(got, "old.pem") || strings.Contains(got, "new.pem") {
		t.Errorf("due are %s, want old.pem alone", got)
	}
}
