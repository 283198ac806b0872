package integration

import (
	"context"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"homing/integration/harness"
	"homing/internal/toynet"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// Short names for what every test here begins with.
type (
	settings = harness.Settings
	waiting  = harness.Waiting
)

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	return harness.Within(t, d)
}

func command(t testing.TB, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return harness.Command(t, stdin, args...)
}

// A stage is the real server in a toy internet, with the journals that a
// ledger compares.
type stage struct {
	*harness.Stage
	t testing.TB
}

func newStage(t testing.TB, s settings) *stage {
	t.Helper()
	return &stage{harness.NewStage(t, s), t}
}

// Ledger reads all journals of this moment.
func (st *stage) Ledger() ledger {
	return ledger{
		Sent:     st.Client.Sent.All(),
		Receipts: st.Net.Receipts.All(),
		Calls:    st.Net.Hook.Calls.All(),
		Waiting:  st.Waiting(),
		Notes:    st.Net.Notes.All(),
	}
}

// until waits for what no journal tells.
func until(t testing.TB, d time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited %s in vain for %s", d, what)
		}
	}
}

// Reload makes the server read a new configuration, and waits until it has.
func (st *stage) Reload(s settings) {
	st.t.Helper()
	st.Reconfigure(s)
	st.hangUp("configuration reloaded")
}

// hangUp sends SIGHUP and waits until the log says something once more.
func (st *stage) hangUp(says string) {
	st.t.Helper()
	before := strings.Count(st.Log(), says)
	st.Signal(syscall.SIGHUP)
	until(st.t, 10*time.Second, says, func() bool { return strings.Count(st.Log(), says) > before })
}

// Mail sends one mailing and gives what became of its recipients.
func (st *stage) Mail(job int, to ...string) []toynet.Sent {
	st.t.Helper()
	sent, err := st.Client.Send(within(st.t, time.Minute),
		toynet.Mailing{Job: job, FirstQueue: 10_000 * job, Subject: "News", Text: "Hello\n", To: to})
	if err != nil {
		st.t.Fatal(err)
	}
	return sent
}

// Outcomes waits until every acknowledged recipient has an outcome.
func (st *stage) Outcomes(sent []toynet.Sent) {
	st.t.Helper()
	if err := st.Net.Hook.Calls.Wait(within(st.t, time.Minute), settled(sent)); err != nil {
		st.t.Errorf("waiting for all outcomes: %v", err)
	}
}

// Balanced fails the test for each fault that the ledger finds.
func (st *stage) Balanced() {
	st.t.Helper()
	// The answer to a report comes before the application is told of it. What
	// is still missing then is a fault of the ledger.
	_ = st.Net.Hook.Calls.Wait(within(st.t, 30*time.Second), heeded(st.Net.Notes.All()))
	for _, fault := range st.Ledger().faults() {
		st.t.Error(fault)
	}
}

// Arrived waits until an MX has accepted a message for an address, and gives
// it.
func (st *stage) Arrived(to string) toynet.Receipt {
	st.t.Helper()
	var found toynet.Receipt
	err := st.Net.Receipts.Wait(within(st.t, 30*time.Second), func(all []toynet.Receipt) bool {
		i := slices.IndexFunc(all, func(r toynet.Receipt) bool { return r.To == to && r.Accepted() })
		if i >= 0 {
			found = all[i]
		}
		return i >= 0
	})
	if err != nil {
		st.t.Fatalf("waiting for the mail to %s: %v", to, err)
	}
	return found
}
