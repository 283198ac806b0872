package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
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
	for _, want := range []string{"  civicrm: 2 accepted, 1 delivered, 1 bounced\r\n", "* Mail of example.org goes unsigned", "* the DNS of example.org, bounce.example.org, mail.example.org (`homing dns`"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the digest has no %q:\n%s", want, text)
		}
	}
}

func TestSecretsOfAYearAreNamed(t *testing.T) {
	dir := t.TempDir()
	at := func(name string, days int) string {
		path := filepath.Join(dir, name)
		when := time.Now().AddDate(0, 0, -days)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, when, when)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cfg := &config.Config{
		DataDir:      dir,
		Domains:      []config.Domain{{Name: "example.org", DKIM: []config.DKIM{{Selector: "homing1", KeyFile: at("new.pem", 300)}, {Selector: "homing0", KeyFile: at("old.pem", 400)}}}},
		Sinks:        []config.Sink{{Name: "hooks", SecretFile: at("hook", 400)}, {Name: "others", SecretFile: at("fresh", 10)}, {Name: "drop"}},
		Applications: []config.Application{{Name: "shop", PasswordFile: at("shop", 400)}, {Name: "civicrm"}},
		Delivery:     config.Delivery{Smarthost: &config.Smarthost{PasswordFile: at("smarthost", 400), Address: config.Address{Network: "tcp", Address: "smtp.provider.example:587"}}},
	}
	at(verpKeyName, 400) // made at the first start
	got := dueSecrets(cfg, time.Now())
	for _, want := range []string{"old.pem", "verp.key", "smarthost", "hook", "shop"} {
		if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, filepath.Join(dir, want)+" is of ") }) {
			t.Errorf("%s is not among those that are due: %q", want, got)
		}
	}
	if len(got) != 5 {
		t.Errorf("due are %q, want five", got)
	}
	cfg.VERP.Keys = []config.VERPKey{{File: at("verp-2.key", 10)}, {File: filepath.Join(dir, verpKeyName)}}
	if got := dueSecrets(cfg, time.Now()); len(got) != 4 {
		t.Errorf("with another key of return addresses before the old one due are %q, want four", got)
	}
}
