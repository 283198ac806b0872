package main

import (
	"context"
	"testing"
	"time"

	"homing/dnscheck"
	"homing/internal/dnsx/dnstest"
	"homing/server/selfcheck"
)

// TestARecordThatWasJustPublishedIsSeen has a record published between two runs,
// as somebody does who mends what a check has found.
func TestARecordThatWasJustPublishedIsSeen(t *testing.T) {
	s := newStand(t, "")
	policy := func() dnscheck.Verdict {
		t.Helper()
		for _, c := range s.house.checks() {
			if c.Name != "dns" {
				continue
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			for _, f := range selfcheck.Once(ctx, []selfcheck.Check{c}).Findings {
				if f.Check == dnscheck.CheckDMARC {
					return f.Verdict
				}
			}
		}
		t.Fatal("there is no such check")
		return ""
	}
	if got := policy(); got != dnscheck.Warn {
		t.Fatalf("without a policy: %s", got)
	}
	s.net.Publish(dnstest.Zone{TXTs: map[string][]string{"_dmarc.example.org": {"v=DMARC1; p=none"}}})
	if got := policy(); got != dnscheck.OK {
		t.Errorf("with a policy: %s", got)
	}
}
