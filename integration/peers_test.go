package integration

import (
	"slices"
	"testing"
	"time"

	"homing/internal/toynet"
)

// outcome gives the first outcome that the application was told of a
// recipient; "" when there is none.
func outcome(calls []toynet.Call, to string) string {
	for _, c := range calls {
		if c.Taken() && c.Event.Recipient == to && slices.Contains(outcomes, c.Event.Type) {
			return c.Event.Type
		}
	}
	return ""
}

// all reports whether every recipient has one of the given outcomes.
func all(calls []toynet.Call, to []string, want ...string) bool {
	return !slices.ContainsFunc(to, func(to string) bool { return !slices.Contains(want, outcome(calls, to)) })
}

func TestPeersThatMisbehaveHarmNobodyElse(t *testing.T) {
	t.Parallel()
	st := newStage(t, settings{World: toynet.Everyday(time.Second).And(toynet.Misbehaving(time.Millisecond))})
	// What these peers do leaves no doubt that the message was not accepted;
	// those that say nothing for long are still being waited for.
	refusing := []string{"silent.test", "refuses.test", "slams.test", "garbage.test", "big.test", "line.test", "endless.test",
		"closemail.test", "closedata.test", "closedot.test", "mutedot.test", "mixed.test", "deaf.test"}
	// These are clumsy, and yet the message gets through.
	clumsy := recipients("u", 1, "drip.test", "notls.test", "noquit.test")
	healthy := recipients("u", 20, "accepts.test")
	bad := recipients("u", 2, append(refusing, "extra.test", "badtls.test")...)
	to := slices.Concat(bad, clumsy, healthy)
	sent, err := st.Client.Send(within(t, time.Minute), toynet.Mailing{Job: 1, FirstQueue: 1, Subject: "News", Text: "Hello\n", To: to})
	if err != nil {
		t.Fatal(err)
	}
	if len(sent) != len(to) {
		t.Fatalf("%d recipients were offered, want %d", len(sent), len(to))
	}
	began := time.Now()
	good := func(calls []toynet.Call) bool { return all(calls, healthy, "delivered") }
	if err := st.Net.Hook.Calls.Wait(within(t, 30*time.Second), good); err != nil {
		t.Errorf("waiting for the healthy site: %v", err)
	}
	t.Logf("the healthy site was served after %s", time.Since(began))
	slow := func(calls []toynet.Call) bool { return all(calls, clumsy, "delivered") }
	if err := st.Net.Hook.Calls.Wait(within(t, 30*time.Second), slow); err != nil {
		t.Errorf("waiting for the clumsy sites: %v", err)
	}
	calls := st.Net.Hook.Calls.All()
	for _, to := range recipients("u", 2, refusing...) {
		if got := outcome(calls, to); got == "delivered" {
			t.Errorf("%s was %s, want no delivery where nobody accepted the message", to, got)
		}
	}
	for _, fault := range st.Ledger().faults() {
		t.Error(fault)
	}
	st.Kill() // it would go on waiting for the silent ones
}
