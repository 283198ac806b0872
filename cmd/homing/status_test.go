package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"homing/dnscheck"
	"homing/server/selfcheck"
	"homing/server/web"
)

func TestTheStatusSaysWhatTheSelfCheckFound(t *testing.T) {
	at := time.Date(2026, 11, 29, 7, 0, 0, 0, time.Local)
	finding := func(check string, v dnscheck.Verdict) selfcheck.Finding {
		return selfcheck.Finding{Since: at, Finding: dnscheck.Finding{Check: check, Subject: "mail.example.org", Verdict: v, Found: "no record",
			Fix: "Publish this:\nmail.example.org. A 203.0.113.10"}}
	}
	fail, warn, good := func(c string) selfcheck.Finding { return finding(c, dnscheck.Fail) }, finding("ptr_helo", dnscheck.Warn), finding("mx", dnscheck.OK)
	tests := []struct {
		name     string
		ready    string
		findings []selfcheck.Finding
		earlier  []string // what else needs attention
		want     []string // lines of the screen
		none     string
	}{
		{"all is well", "ready", []selfcheck.Finding{good}, nil, []string{"It works. Nothing needs attention; it checked itself at 2026-11-29 07:00:00."}, "ATTENTION"},
		{"a check fails", "ready", []selfcheck.Finding{fail("helo"), good}, nil, []string{"Something is broken; 1 thing needs attention, below.",
			"ATTENTION: The check helo of mail.example.org fails since 2026-11-29 07:00:00: no record", "    Publish this:", "    mail.example.org. A 203.0.113.10"}, "mx"},
		{"many fail", "ready", []selfcheck.Finding{fail("a"), fail("b"), fail("c"), fail("d"), fail("e")}, nil, []string{"Something is broken; 4 things need attention, below.",
			"ATTENTION: These fail as well: d mail.example.org, e mail.example.org. `sudo homing check` says what to change."}, ""},
		{"a check warns", "ready", []selfcheck.Finding{warn, good}, nil, []string{"It works; 1 thing needs attention, below.",
			"ATTENTION: The self-check warns of: ptr_helo mail.example.org. Mail flows; `sudo homing check` says what could be better, and how."}, "Publish"},
		{"something else is the matter", "ready", []selfcheck.Finding{good}, []string{"A sink is down."}, []string{"It works; 1 thing needs attention, below.", "ATTENTION: A sink is down."}, ""},
		{"it is stopping", "stopping", []selfcheck.Finding{good}, []string{"The server is not ready: stopping."}, []string{"Something is broken; 1 thing needs attention, below."}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := web.Status{Ready: tt.ready, Attention: tt.earlier}
			tellChecks(&s, selfcheck.Result{Time: at, Findings: tt.findings})
			var b strings.Builder
			if err := printStatus(&b, s); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(b.String(), "\n")
			for _, want := range tt.want {
				if !slices.Contains(lines, want) {
					t.Errorf("there is no line %q in\n%s", want, b.String())
				}
			}
			if tt.none != "" && strings.Contains(b.String(), tt.none) {
				t.Errorf("there is %q in\n%s", tt.none, b.String())
			}
		})
	}
	var s web.Status
	s.Ready = "ready"
	tellChecks(&s, selfcheck.Result{})
	if got := verdictWords(s); got != "It works, as far as is known: it has not checked itself yet." {
		t.Errorf("before the first check: %s", got)
	}
}
