package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/internal/dnsx/dnstest"
	"homing/internal/reply"
	"homing/internal/toynet"
)

// says is a domain whose MX answers like this at one stage.
func says(at reply.Stage, answer string) toynet.Domain {
	var r reply.Reply
	fmt.Sscanf(answer, "%d %d.%d.%d", &r.Code, &r.Enhanced[0], &r.Enhanced[1], &r.Enhanced[2])
	_, r.Text, _ = strings.Cut(answer[len("550 "):], " ")
	switch at {
	case reply.RCPT:
		return toynet.Domain{Behaviour: toynet.Behaviour{RCPT: r}}
	case reply.Dot:
		return toynet.Domain{Behaviour: toynet.Behaviour{Dot: r}}
	}
	return toynet.Domain{Host: toynet.Host{NoTLS: true, Faults: []toynet.Fault{{At: at, Say: answer + "\r\n"}}}}
}

func TestNobodyIsPutOnHoldForOurOwnFaults(t *testing.T) {
	t.Parallel()
	ours := map[string]toynet.Domain{
		"blocklist.test":   says(reply.RCPT, "554 5.7.1 Service unavailable; Client host [{peer}] blocked using zen.spamhaus.test"),
		"blocked.test":     says(reply.RCPT, "550 5.7.1 Your IP {peer} is blocked by our policy; see https://postmaster.blocked.test"),
		"greeting.test":    says(reply.Connect, "554 5.7.1 {peer} is listed at bl.spamcop.test"),
		"ehlo.test":        says(reply.EHLO, "550 5.1.1 User unknown"),
		"mail.test":        says(reply.MAIL, "550 5.1.1 User unknown"),
		"sender.test":      says(reply.MAIL, "550 5.1.8 Sender address rejected: Domain not found"),
		"reputation.test":  says(reply.RCPT, "550 5.7.1 Message refused: poor reputation of the sending host"),
		"ptr.test":         says(reply.RCPT, "550 5.7.25 The IP address sending this message does not have a PTR record"),
		"unsigned.test":    says(reply.Dot, "550 5.7.26 Unauthenticated email from example.org is not accepted due to the domain's DMARC policy"),
		"dkim.test":        says(reply.Dot, "550 5.7.20 No passing DKIM signature found"),
		"spf.test":         says(reply.RCPT, "550 5.7.23 SPF validation failed"),
		"spam.test":        says(reply.Dot, "554 5.7.1 Message rejected as spam by content filter"),
		"virus.test":       says(reply.Dot, "550 5.7.1 Message contains a virus (Eicar-Test-Signature)"),
		"rate.test":        says(reply.RCPT, "450 4.7.1 You are sending too many messages, slow down"),
		"connections.test": says(reply.Connect, "421 4.7.0 Too many connections from your host"),
		"big.test":         says(reply.Dot, "552 5.3.4 Message size exceeds fixed limit"),
		"syntax.test":      says(reply.RCPT, "501 5.5.4 Syntax error in parameters"),
	}
	world := toynet.World{Domains: maps.Clone(ours)}
	world.Domains["unknown.test"] = says(reply.RCPT, "550 5.1.1 User unknown") // it is no fault of ours
	world.Domains["accepts.test"] = toynet.Domain{}
	st := newStage(t, settings{World: world, Delivery: "retry = [\"200ms\"]\nlifetime = \"1s\""})
	to := append(recipients("ann", 1, slices.Sorted(maps.Keys(ours))...), "ann0@unknown.test", "ann0@accepts.test")

	st.Outcomes(st.Mail(1, to...))
	second := st.Mail(2, to...)
	st.Outcomes(second)
	for _, s := range second {
		want := map[string]string{"ann0@unknown.test": "suppressed", "ann0@accepts.test": "delivered", "ann0@rate.test": "expired",
			"ann0@connections.test": "expired"}[s.To]
		if want == "" {
			want = "bounced"
		}
		st.wantOutcome(t, s, want)
	}
	for _, c := range st.Net.Hook.Calls.All() {
		e := c.Event
		if e.Recipient == "ann0@unknown.test" || e.Class == "" {
			continue
		}
		if e.Class != "sender" {
			t.Errorf("%s %s: class %q (%s), want sender", e.Recipient, e.Diagnostic, e.Class, e.Rule)
		}
		if e.Hold != nil && e.Hold.State != "free" {
			t.Errorf("%s %s: hold %q, want free", e.Recipient, e.Diagnostic, e.Hold.State)
		}
	}
	if diff := cmp.Diff([]string{"ann0@unknown.test"}, st.Suspected()); diff != "" {
		t.Errorf("addresses against which something is known (-want +got):\n%s", diff)
	}
	st.Balanced()
}

// Suspected gives the addresses that are on hold, or against which something
// counts, sorted.
func (st *stage) Suspected() (all []string) {
	st.t.Helper()
	var list struct {
		Holds []struct {
			Address string
			Scopes  []struct{ Holds, Evidence []any }
		}
	}
	if err := json.Unmarshal([]byte(st.Run("hold", "list", "--all", "--json")), &list); err != nil {
		st.t.Fatal(err)
	}
	for _, h := range list.Holds {
		for _, s := range h.Scopes {
			if len(s.Holds)+len(s.Evidence) > 0 {
				all = append(all, h.Address)
				break
			}
		}
	}
	slices.Sort(all)
	return all
}

func TestNobodyIsSuspectedWhileTheNetworkIsDown(t *testing.T) {
	t.Parallel()
	world := toynet.World{
		Domains: map[string]toynet.Domain{"down.test": {Host: toynet.Host{Dead: true}}, "dead.test": {Host: toynet.Host{Dead: true}},
			"slams.test": {Host: toynet.Host{NoTLS: true, Faults: []toynet.Fault{{At: reply.Connect, Then: toynet.Close}}}}},
		Records: dnstest.Zone{Down: map[string]bool{"servfail.test": true}},
	}
	st := newStage(t, settings{World: world, Delivery: "retry = [\"200ms\"]\nlifetime = \"1s\""})
	sent := st.Mail(1, recipients("ann", 3, "down.test", "dead.test", "slams.test", "servfail.test")...)
	if err := st.Net.Hook.Calls.Wait(within(t, 30*time.Second), settled(sent)); err != nil {
		t.Fatalf("waiting for the end of the lifetime: %v", err)
	}
	for _, s := range sent {
		st.wantOutcome(t, s, "expired")
	}
	if got := st.Suspected(); len(got) > 0 {
		t.Errorf("something is known against %q, want nobody", got)
	}
	st.Balanced()
}
