package integration

import (
	"fmt"
	"testing"
	"time"

	"homing/internal/toynet"
)

func TestNothingIsLostWhenTheServerIsKilled(t *testing.T) {
	t.Parallel()
	const cycles, mailing = 5, 200
	st := newStage(t, settings{World: toynet.Everyday(50 * time.Millisecond)})
	var acknowledged []toynet.Sent
	for cycle := range cycles {
		m := toynet.Mailing{Job: cycle + 1, FirstQueue: cycle*mailing + 1, Subject: "News", Text: "Hello\n",
			To: recipients(fmt.Sprintf("c%d-", cycle), mailing/4, "accepts.test", "unknown.test", "later.test", "greylist.test")}
		done := make(chan []toynet.Sent, 1)
		go func() {
			sent, err := st.Client.Send(within(t, time.Minute), m)
			if err == nil && len(sent) < len(m.To) {
				t.Errorf("%d recipients were offered, want %d", len(sent), len(m.To))
			}
			done <- sent
		}()
		// The crash comes somewhere in the middle of the mailing.
		middle := (cycle + 1) * mailing / (cycles + 1)
		before := st.Client.Sent.Len()
		if err := st.Client.Sent.Wait(within(t, time.Minute), func(s []toynet.Sent) bool { return len(s) >= before+middle }); err != nil {
			t.Fatal(err)
		}
		st.Kill()
		acknowledged = append(acknowledged, <-done...)
		t.Logf("killed after %d recipients, ready again after %s", middle, st.Restart())
	}
	if err := st.Net.Hook.Calls.Wait(within(t, 2*time.Minute), settled(acknowledged)); err != nil {
		t.Errorf("waiting for all outcomes: %v", err)
	}
	l := st.Ledger()
	l.Crashes, l.InFlight = cycles, 100
	for _, fault := range l.faults() {
		t.Error(fault)
	}
}
