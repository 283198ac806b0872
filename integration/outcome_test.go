package integration

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

func TestMailThatIsNotSentHasAnOutcomeToo(t *testing.T) {
	t.Parallel()
	st := newStage(t, settings{World: toynet.Everyday(50 * time.Millisecond), Delivery: `retry = ["300ms"]`})
	attempts := func(to string) (count int) {
		for _, r := range st.Net.Receipts.All() {
			if r.To == to {
				count++
			}
		}
		return count
	}
	t.Run("mail to somebody on hold is suppressed", func(t *testing.T) {
		st.Outcomes(st.Mail(1, "ann@unknown.test"))
		before := attempts("ann@unknown.test")
		second := st.Mail(2, "Ann@UNKNOWN.test")
		st.Outcomes(second)
		st.wantOutcome(t, second[0], "suppressed")
		if got := attempts("ann@unknown.test"); got != before {
			t.Errorf("%d attempts after the hold, want none", got-before)
		}
	})
	t.Run("mail that waits when somebody is put on hold is suppressed", func(t *testing.T) {
		sent := st.Mail(3, "bob@busy.test")
		st.Run("hold", "add", "bob@busy.test")
		st.Outcomes(sent)
		st.wantOutcome(t, sent[0], "suppressed")
	})
	t.Run("mail to somebody who was released is sent again", func(t *testing.T) {
		st.Run("hold", "add", "cid@accepts.test")
		st.Outcomes(st.Mail(4, "cid@accepts.test"))
		st.Run("hold", "release", "cid@accepts.test")
		sent := st.Mail(5, "cid@accepts.test")
		st.Outcomes(sent)
		st.wantOutcome(t, sent[0], "delivered")
	})
	t.Run("captured mail waits and is never sent", func(t *testing.T) {
		st.Reload(settings{App: `mode = "capture"`})
		st.Mail(6, "dan@accepts.test")
		st.Reload(settings{})
		st.Outcomes(st.Mail(7, "eve@accepts.test"))
		if got := attempts("dan@accepts.test"); got != 0 {
			t.Errorf("captured mail was sent %d times", got)
		}
		want := []waiting{{Recipient: "dan@accepts.test", Sender: st.Client.VERP("b", 6, 60_000), State: "captured"}}
		if diff := cmp.Diff(want, st.Waiting()); diff != "" {
			t.Errorf("what waits (-want +got):\n%s", diff)
		}
	})
	st.Balanced()
}

// wantOutcome fails t when a recipient has another outcome.
func (st *stage) wantOutcome(t *testing.T, sent toynet.Sent, want string) {
	t.Helper()
	for _, c := range st.Net.Hook.Calls.All() {
		if c.Taken() && c.Event.Sender == sent.Sender && slices.Contains(outcomes, c.Event.Type) {
			if c.Event.Type != want {
				t.Errorf("%s: %s (%s), want %s", sent.To, c.Event.Type, c.Event.Diagnostic, want)
			}
			return
		}
	}
	t.Errorf("%s has no outcome, want %s", sent.To, want)
}
