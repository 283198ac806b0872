package integration

import (
	"fmt"
	"testing"
	"time"

	"homing/internal/toynet"
)

func TestASinkThatIsDownDelaysNoMailAndMissesNothing(t *testing.T) {
	t.Parallel()
	st := newStage(t, settings{World: toynet.Everyday(50 * time.Millisecond)})
	tests := []struct {
		name   string
		answer toynet.HookAnswer
	}{
		{"errors", toynet.HookAnswer{Status: 500}},
		{"redirects", toynet.HookAnswer{Status: 302, Location: "http://" + st.HTTP + "/healthz"}},
		{"no answer", toynet.HookAnswer{Hang: true}},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st.Net.Hook.Answer(tt.answer)
			to := recipients(fmt.Sprintf("s%d-", i), 20, "accepts.test")
			before := st.Net.Receipts.Len()
			sent, err := st.Client.Send(within(t, time.Minute), toynet.Mailing{Job: i + 1, FirstQueue: 100 * (i + 1), Subject: "News", Text: "Hello\n", To: to})
			if err != nil {
				t.Fatal(err)
			}
			arrived := func(r []toynet.Receipt) bool { return len(r) >= before+len(to) }
			if err := st.Net.Receipts.Wait(within(t, 10*time.Second), arrived); err != nil {
				t.Errorf("waiting for the mail while the sink is down: %v", err)
			}
			st.Net.Hook.Answer(toynet.HookAnswer{})
			if err := st.Net.Hook.Calls.Wait(within(t, time.Minute), settled(sent)); err != nil {
				t.Errorf("waiting for the events once the sink is up: %v", err)
			}
		})
	}
	for _, fault := range st.Ledger().faults() {
		t.Error(fault)
	}
}
