package main

import (
	"bytes"
	"fmt"
	"net/mail"
	"slices"
	"testing"
	"time"

	"homing/config"
	"homing/dnscheck"
	"homing/server/selfcheck"
)

func TestNoticesComeFromADomainWhoseMailGetsOut(t *testing.T) {
	signed := []config.DKIM{{}}
	cfg := &config.Config{Hostname: "mail.example.org", Postmaster: "postmaster@example.org",
		Domains: []config.Domain{{Name: "example.org", DKIM: signed}, {Name: "shop.example"}, {Name: "club.example", DKIM: signed}}}
	bare := &config.Config{Hostname: "mail.example.org", Domains: []config.Domain{{Name: "shop.example"}}}
	tests := []struct {
		name  string
		cfg   *config.Config
		stuck []string // domains
		want  string
	}{
		{"nothing is stuck", cfg, nil, "postmaster@example.org"},
		{"that of another domain is", cfg, []string{"shop.example"}, "postmaster@example.org"},
		{"the usual way is, and another one is not", cfg, []string{"example.org"}, "postmaster@shop.example"},
		{"two ways are", cfg, []string{"example.org", "shop.example"}, "postmaster@club.example"},
		{"all are", cfg, []string{"example.org", "shop.example", "club.example"}, "postmaster@example.org"},
		{"no domain has keys", bare, nil, "postmaster@mail.example.org"},
		{"no domain has keys, and the usual way is stuck", bare, []string{"mail.example.org"}, "postmaster@shop.example"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := noticeAuthor(tt.cfg, func(domain string) bool { return slices.Contains(tt.stuck, domain) }); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// TestANoticeGoesByTheSmarthostWhenTheWayOutIsBroken gives one of two sending
// domains a smarthost, and the server an address without reverse DNS.
func TestANoticeGoesByTheSmarthostWhenTheWayOutIsBroken(t *testing.T) {
	for _, tt := range []struct{ name, address, host, from string }{
		{"nothing is known to be broken", "", "direct.test", "postmaster@mail.example.org"},
		{"others may refuse what comes from our address", "203.0.113.10", "relay.test", "postmaster@shop.example"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStandWith(t, "[[domain]]\nname = \"shop.example\"\nreturn_path = \"return@bounce.shop.example\"\n", func(s *stand) {
				s.change(t, `to = ["it@accepts.test"]`, `to = ["it@relayed.test"]`)
				s.change(t, `return_path = "return@bounce.shop.example"`, fmt.Sprintf(`return_path = "return@bounce.shop.example"
[domain.smarthost]
address = %q
tls = "none"`, s.net.HostAddr("relay.test")))
				if tt.address != "" {
					s.change(t, `retry = ["1h"]`, fmt.Sprintf("retry = [\"1h\"]\npublic_addresses = [%q]", tt.address))
				}
			})
			r, err := s.house.checker.Now(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if fails := slices.ContainsFunc(r.Findings, func(f selfcheck.Finding) bool { return f.Check == dnscheck.CheckPTR && f.Verdict == dnscheck.Fail }); fails != (tt.address != "") {
				t.Fatalf("the check ptr fails: %v: %+v", fails, r.Findings)
			}
			now := time.Now()
			if err := s.house.mailDigest(t.Context(), s.house.live.Load(), now.Add(-time.Hour), now); err != nil {
				t.Fatal(err)
			}
			if got := s.hostsOf(t, "it@relayed.test"); got != "it@relayed.test by "+tt.host {
				t.Errorf("%s, want by %s", got, tt.host)
			}
			m, err := mail.ReadMessage(bytes.NewReader(s.received(t, "it@relayed.test").Message))
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Header.Get("From"); got != "Homing <"+tt.from+">" {
				t.Errorf("from %s, want %s", got, tt.from)
			}
		})
	}
}
