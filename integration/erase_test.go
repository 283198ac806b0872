package integration

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"homing/internal/toynet"
)

func TestAPersonIsErasedForGoodAlsoOverACrashAndStaysOnHold(t *testing.T) {
	t.Parallel()
	st := newStage(t, settings{World: toynet.Everyday(time.Millisecond)})
	st.Outcomes(st.Mail(1, "ann@unknown.test", "bob@accepts.test"))
	st.Run("queue", "pause", "--domain", "vacation.test")
	st.Mail(2, "eve@vacation.test")

	if got := st.Run("erase", "ann@unknown.test"); !strings.Contains(got, "1 delivery (bounced)") || !strings.Contains(got, "A hold goes on, as ") {
		t.Errorf("erasing ann: %s", got)
	}
	if got := st.Run("erase", "Eve@vacation.test"); !strings.Contains(got, "1 delivery (waiting)") || strings.Contains(got, "hold goes on") || strings.Contains(got, "does not hear") {
		t.Errorf("erasing eve: %s", got)
	}
	st.heard("cancelled", "eve@vacation.test", 1)
	st.Kill()
	st.Restart()

	for _, address := range []string{"ann@unknown.test", "eve@vacation.test"} {
		for _, of := range [][]string{{"events"}, {"hold", "list", "--all"}, {"queue", "list"}} {
			if got := st.Run(of...); strings.Contains(strings.ToLower(got), address) {
				t.Errorf("homing %s still names %s:\n%s", strings.Join(of, " "), address, got)
			}
		}
	}
	st.says("delivered", "trace", "bob@accepts.test")
	if held := st.Held(); len(held) != 1 || !regexp.MustCompile(`^[0-9a-f]{40}@erased\.invalid$`).MatchString(held[0]) {
		t.Errorf("on hold are %q", held)
	}
	again := st.Mail(3, "Ann@unknown.test", "eve@vacation.test")
	st.heard("suppressed", "Ann@unknown.test", 1)
	st.Run("queue", "resume", "--domain", "vacation.test")
	st.Outcomes(again)

	st.Run("erase", "ann@unknown.test")
	st.Run("hold", "release", "ann@unknown.test")
	if held := st.Held(); len(held) != 0 {
		t.Errorf("after the release %q are on hold", held)
	}
	st.Stop()
	st.Run("doctor")
}
