package integration

import (
	"context"
	"os"
	"testing"
	"time"

	"homing/integration/harness"
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
