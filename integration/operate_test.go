package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"homing/internal/reply"
	"homing/internal/toynet"
)

// slotsPerSite is how many connections a site gets by default.
const slotsPerSite = 20

// slowly is a world with a domain that takes a while to answer RCPT.
func slowly(answer time.Duration) toynet.World {
	return toynet.Everyday(50 * time.Millisecond).And(toynet.World{Domains: map[string]toynet.Domain{
		"slow.test": {Host: toynet.Host{NoTLS: true, Faults: []toynet.Fault{{At: reply.RCPT, Wait: answer, Say: toynet.Proper}}}},
	}})
}

// arrived counts the messages that an MX accepted for a domain, by recipient.
func (st *stage) arrived(domain string) map[string]int {
	st.t.Helper()
	count := map[string]int{}
	for _, r := range st.Net.Receipts.All() {
		if r.Accepted() && strings.HasSuffix(r.To, "@"+domain) {
			count[r.To]++
		}
	}
	return count
}

// quiet waits until nothing is being sent.
func (st *stage) quiet() {
	st.t.Helper()
	until(st.t, 20*time.Second, "idle slots", func() bool { return st.Metrics()["homing_queue_busy_slots"] == 0 })
}

// says checks what a command prints.
func (st *stage) says(want string, args ...string) {
	st.t.Helper()
	if got := st.Run(args...); !strings.Contains(got, want) {
		st.t.Errorf("homing %s says %q, want %q", strings.Join(args, " "), got, want)
	}
}

func TestAPauseKeepsMailUntilItIsResumedAlsoOverACrash(t *testing.T) {
	t.Parallel()
	st := newStage(t, settings{World: slowly(time.Millisecond)})
	st.Run("queue", "pause", "--domain", "accepts.test", "--why", "a try")
	sent := st.Mail(1, "ann@accepts.test", "bob@accepts.test", "zoe@slow.test")
	st.Arrived("zoe@slow.test") // it came last, and it went
	st.says("2 recipients would be cancelled", "queue", "cancel", "--domain", "accepts.test", "--dry-run")

	st.Kill()
	st.Restart()
	sent = append(sent, st.Mail(2, "cyd@accepts.test", "eve@slow.test")...)
	st.Arrived("eve@slow.test")
	st.quiet()
	if got := st.arrived("accepts.test"); len(got) != 0 {
		t.Errorf("while it was paused there went %v", got)
	}
	st.says("domain accepts.test is paused", "status")
	st.says("3 recipients wait", "status")
	st.says("3 recipients go on", "queue", "resume", "--domain", "accepts.test")
	st.Outcomes(sent)
	st.Balanced()
}

func TestAPauseStopsAMailingOnItsWay(t *testing.T) {
	t.Parallel()
	st := newStage(t, settings{World: slowly(500 * time.Millisecond)})
	to := recipients("u", 150, "slow.test")
	sent := st.Mail(1, to...)
	st.Arrived(to[0])
	st.Run("queue", "pause", "--campaign", "civicrm:job:1")
	st.quiet()
	gone := len(st.arrived("slow.test"))
	if paused := len(st.Waiting()); gone == 0 || gone == len(to) || gone+paused != len(to) {
		t.Errorf("%d of %d arrived and %d are paused", gone, len(to), paused)
	}
	st.Mail(2, "last@slow.test")
	st.Arrived("last@slow.test")
	st.quiet()
	if now := len(st.arrived("slow.test")); now != gone+1 {
		t.Errorf("%d arrived while they were paused", now-gone-1)
	}
	st.Run("queue", "resume", "--campaign", "civicrm:job:1")
	st.Outcomes(sent)
	st.Balanced()
}

func TestCancellingAMailingOnItsWay(t *testing.T) {
	t.Parallel()
	st := newStage(t, settings{World: slowly(500 * time.Millisecond)})
	to := recipients("u", 150, "slow.test")
	sent := st.Mail(1, to...)
	other := st.Mail(2, "zoe@slow.test")
	st.Arrived(to[0])
	st.says("are cancelled", "queue", "cancel", "--campaign", "civicrm:job:1")
	st.Outcomes(append(sent, other...))
	st.quiet()
	arrived, told := st.arrived("slow.test"), map[string][]string{}
	for _, c := range st.Net.Hook.Calls.All() {
		if c.Taken() && (c.Event.Type == "delivered" || c.Event.Type == "cancelled") {
			told[c.Event.Recipient] = append(told[c.Event.Recipient], c.Event.Type)
		}
	}
	cancelled, both := 0, 0
	for _, s := range sent {
		switch got := fmt.Sprint(told[s.To]); {
		case got == "[cancelled]":
			cancelled++
			both += arrived[s.To]
		case got != "[delivered]" || arrived[s.To] != 1:
			t.Errorf("%s arrived %d times and was told as %s", s.To, arrived[s.To], got)
		}
	}
	// What was on the wire at that moment may arrive: one in each slot, and
	// one more whose envelope rode behind it.
	if most := 2 * slotsPerSite; cancelled == 0 || cancelled == len(sent) || both > most {
		t.Errorf("%d of %d are cancelled; %d of them arrived, which is more than %d, or all, or none", cancelled, len(sent), both, most)
	}
	st.wantOutcome(t, other[0], "delivered")
	if left := st.Waiting(); len(left) != 0 {
		t.Errorf("still waiting: %v", left)
	}
}
