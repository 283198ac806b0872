package integration

import (
	"fmt"
	"testing"
	"time"

	"homing/internal/toynet"
)

// recipients gives count addresses in each domain, the domains mixed. name
// tells them from those of other calls.
func recipients(name string, count int, domains ...string) (to []string) {
	for i := range count {
		for _, d := range domains {
			to = append(to, fmt.Sprintf("%s%d@%s", name, i, d))
		}
	}
	return to
}

func TestEveryRecipientReachesOneOutcome(t *testing.T) {
	t.Parallel()
	st := newStage(t, settings{
		World:    toynet.Everyday(100 * time.Millisecond),
		Delivery: `retry = ["200ms"]` + "\n" + `lifetime = "3s"`,
	})
	to := recipients("u", 3, "accepts.test", "unknown.test", "disabled.test", "full.test", "greylist.test", "down.test", "nohost.test",
		"nullmx.test", "busy.test", "blocks.test", "spam.test", "later.test", "exim.test", "exchange.test", "delays.test",
		"complains.test", "vacation.test", "replies.test", "leaves.test")
	sent, err := st.Client.Send(within(t, time.Minute), toynet.Mailing{Job: 1, FirstQueue: 1, Subject: "Grüße", Text: "Hello\n.dot\n", To: to})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sent {
		if !s.Acknowledged() {
			t.Errorf("%s was answered %v at %s, want 250 at the dot", s.To, s.Reply, s.Stage)
		}
	}
	if err := st.Net.Hook.Calls.Wait(within(t, time.Minute), settled(sent)); err != nil {
		t.Errorf("waiting for all outcomes: %v", err)
	}
	if err := st.Net.Settled(within(t, time.Minute)); err != nil {
		t.Errorf("waiting for what comes back: %v", err)
	}
	for _, fault := range st.Ledger().faults() {
		t.Error(fault)
	}
}
