package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homing/config"
	"homing/dnscheck"
	smtpreply "homing/internal/reply"
	"homing/queue"
	"homing/server/selfcheck"
)

func TestEachDomainOfReturnAddressesIsOneWayBack(t *testing.T) {
	domain := func(name, returns string) config.Domain {
		return config.Domain{Name: name, ReturnPath: returns, VERP: config.Sign}
	}
	kept := domain("club.example", "r@bounce.club.example")
	kept.VERP = config.Keep
	cfg := &config.Config{Domains: []config.Domain{domain("example.org", "r@bounce.example.org"), domain("shop.example", "r@bounce.example.org"),
		domain("bank.example", "r@bounce.bank.example"), domain("mill.example", "r@bounce.bank.example"), kept, domain("none.example", "")}}
	got := waysOf(cfg, func(domain string) string {
		return map[string]string{"example.org": "a", "bank.example": "b", "mill.example": "c"}[domain]
	})
	want := []selfcheck.Way{
		{Domain: "example.org", Returns: "bounce.example.org"}, // mail of shop.example goes straight
		{Domain: "bank.example", Returns: "bounce.bank.example", Through: "b"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhyATrialWasNotTaken(t *testing.T) {
	said := func(stage smtpreply.Stage, code int, ours bool) queue.Result {
		return queue.Result{Stage: stage, Reply: smtpreply.Reply{Code: code, Text: "x"}, Ours: ours}
	}
	other := errors.New("other")
	for _, tt := range []struct {
		name string
		r    queue.Result
		want error
	}{
		{"it was", said(smtpreply.Dot, 250, false), nil},
		{"the DNS does not answer", said(smtpreply.Resolve, 451, true), selfcheck.ErrNotAsked},
		{"there is no MX", said(smtpreply.Resolve, 550, true), other},
		{"nobody is connected to", said(smtpreply.Connect, 451, true), selfcheck.ErrNotReached},
		{"somebody greets with 421", said(smtpreply.Connect, 421, false), other},
		{"somebody refuses", said(smtpreply.RCPT, 550, false), other},
	} {
		err := trialError(tt.r)
		got := err
		switch {
		case errors.Is(err, selfcheck.ErrNotAsked):
			got = selfcheck.ErrNotAsked
		case errors.Is(err, selfcheck.ErrNotReached):
			got = selfcheck.ErrNotReached
		case err != nil:
			got = other
		}
		if got != tt.want || err != nil && !strings.Contains(err.Error(), "x") {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestNoWayBackIsTriedWhereNothingIsSent(t *testing.T) {
	s := newStandWith(t, "", func(s *stand) { s.change(t, `data_dir = "data"`, "data_dir = \"data\"\nmode = \"capture\"") })
	r, err := s.house.checker.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(r.Findings, func(f selfcheck.Finding) bool {
		return f.Check == "return_path" && f.Subject == "bounce.example.org" && f.Verdict == dnscheck.Skipped && f.Found == `nothing is sent: mode is "capture"`
	}) {
		t.Errorf("%+v", r.Findings)
	}
}
