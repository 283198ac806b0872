package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
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
		{"an answer without end", toynet.HookAnswer{Status: 500, Endless: true}},
		{"a yes without end", toynet.HookAnswer{Status: 200, Endless: true}},
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

func TestASinkThatWasDownHearsExactlyWhatTheLogHolds(t *testing.T) {
	t.Parallel()
	st := newStage(t, settings{World: toynet.Everyday(50 * time.Millisecond), Delivery: `retry = ["300ms"]`})
	to := recipients("d", 6, "accepts.test", "unknown.test", "later.test", "greylist.test", "complains.test", "vacation.test", "replies.test")
	half := len(to) / 2

	st.Net.Hook.Answer(toynet.HookAnswer{Status: 503})
	sent := st.Mail(1, to[:half]...)
	if err := grown(within(t, 30*time.Second), &st.Net.Hook.Calls, 5); err != nil {
		t.Fatalf("waiting for calls to the sink that is down: %v", err)
	}
	st.Restart()
	sent = append(sent, st.Mail(2, to[half:]...)...)
	st.Net.Hook.Answer(toynet.HookAnswer{})
	st.Outcomes(sent)
	if err := st.Net.Settled(within(t, time.Minute)); err != nil {
		t.Fatalf("waiting for what comes back: %v", err)
	}
	if err := st.Net.Hook.Calls.Wait(within(t, 30*time.Second), heeded(st.Net.Notes.All())); err != nil {
		t.Errorf("waiting for what the application is told of reports: %v", err)
	}

	logged := make(map[string]string)
	var ids []string
	for line := range strings.Lines(st.Run("events")) {
		var e toynet.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		logged[e.ID] = line
		ids = append(ids, e.ID)
	}
	if !slices.IsSorted(ids) {
		t.Error("the log gives events out of order")
	}
	told, last := make(map[string]bool), make(map[string]string)
	for _, c := range st.Net.Hook.Calls.All() {
		if !c.Taken() {
			continue
		}
		e := c.Event
		if line, ok := logged[e.ID]; !ok {
			t.Errorf("the sink was told of event %s, which the log does not have", e.ID)
		} else if !sameJSON(t, []byte(line), c.Body) {
			t.Errorf("event %s is one thing in the log and another for the sink:\n%s%s", e.ID, line, c.Body)
		}
		if key := e.Recipient + " " + e.Sender; !told[e.ID] {
			if e.ID < last[key] {
				t.Errorf("%s: event %s came after %s", key, e.ID, last[key])
			}
			last[key] = e.ID
		}
		told[e.ID] = true
	}
	for _, id := range ids {
		if !told[id] {
			t.Errorf("the sink was never told of %s", logged[id])
		}
	}
	t.Logf("%d events", len(ids))
	st.Balanced()
}

// sameJSON reports whether two texts say the same in JSON.
func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal(a, &x), json.Unmarshal(b, &y)); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}
