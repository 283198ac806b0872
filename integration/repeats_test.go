package integration

import (
	"testing"
	"time"

	"homing/internal/toynet"
)

func TestAReportThatComesFiveTimesHasOneEffect(t *testing.T) {
	t.Parallel()
	const copies = 5
	again := func(c toynet.Composer) toynet.Domain {
		return toynet.Domain{Behaviour: toynet.Behaviour{Later: []toynet.Later{{After: 50 * time.Millisecond, Compose: c, Copies: copies}}}}
	}
	st := newStage(t, settings{World: toynet.World{Domains: map[string]toynet.Domain{
		"postfix.test": again(toynet.PostfixDSN), "exim.test": again(toynet.EximBounce), "exchange.test": again(toynet.ExchangeDSN),
		"complains.test": again(toynet.Complaint), "accepts.test": {},
	}}})
	bouncing := recipients("u", 3, "postfix.test", "exim.test", "exchange.test")
	complaining := recipients("u", 3, "complains.test")
	send := func(job int, to []string) []toynet.Sent {
		t.Helper()
		sent, err := st.Client.Send(within(t, time.Minute), toynet.Mailing{Job: job, FirstQueue: 100 * job, Subject: "News", Text: "Hello\n", To: to})
		if err != nil {
			t.Fatal(err)
		}
		return sent
	}
	sent := send(1, append(bouncing, complaining...))
	if err := st.Net.Hook.Calls.Wait(within(t, time.Minute), settled(sent)); err != nil {
		t.Fatalf("waiting for the deliveries: %v", err)
	}
	if err := st.Net.Settled(within(t, time.Minute)); err != nil {
		t.Fatalf("waiting for the reports: %v", err)
	}
	// What the application is told comes in order: once it knows of a later
	// mail, it knows of every report.
	if err := st.Net.Hook.Calls.Wait(within(t, time.Minute), settled(send(2, recipients("last", 1, "accepts.test")))); err != nil {
		t.Fatalf("waiting for the last mail: %v", err)
	}
	told := make(map[string]map[string]bool) // by recipient and type, the ids
	for _, c := range st.Net.Hook.Calls.All() {
		key := c.Event.Recipient + " " + c.Event.Type
		if told[key] == nil {
			told[key] = make(map[string]bool)
		}
		told[key][c.Event.ID] = true
	}
	for _, to := range bouncing {
		if got := len(told[to+" bounced"]); got != 1 {
			t.Errorf("%s: %d events bounced, want 1", to, got)
		}
	}
	for _, to := range complaining {
		if got := len(told[to+" complained"]); got != 1 {
			t.Errorf("%s: %d events complained, want 1", to, got)
		}
	}
	if got, want := st.Net.Notes.Len(), copies*len(sent); got != want {
		t.Errorf("%d reports were sent, want %d", got, want)
	}
	for _, fault := range st.Ledger().faults() {
		t.Error(fault)
	}
}
