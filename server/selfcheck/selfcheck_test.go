package selfcheck_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"homing/dnscheck"
	"homing/event"
	"homing/server/selfcheck"
)

// A world is what a Checker checks, and who hears of it.
type world struct {
	*testing.T
	mu       sync.Mutex
	verdicts map[string]dnscheck.Verdict // by subject
	runs     []time.Duration             // when there was one, since the beginning
	began    time.Time
	notes    map[string]map[string][]byte
	told     []string
	deaf     error         // of Tell
	mute     error         // of Note
	ahead    time.Duration // of the clock on the wall
	more     []selfcheck.Check
	metrics  *prometheus.Registry
}

func (w *world) Notes(_ context.Context, space string) (map[string][]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.notes[space]), nil
}

func (w *world) Note(_ context.Context, space string, values map[string][]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mute != nil {
		return w.mute
	}
	if w.notes[space] == nil {
		w.notes[space] = map[string][]byte{}
	}
	for name, v := range values {
		if w.notes[space][name] = v; v == nil {
			delete(w.notes[space], name)
		}
	}
	return nil
}

func (w *world) tell(_ context.Context, events ...event.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deaf != nil {
		return w.deaf
	}
	for _, e := range events {
		w.told = append(w.told, fmt.Sprintf("%v %s: %s", time.Since(w.began), e.Type, e.Text))
	}
	return nil
}

func (w *world) check(context.Context) (all []dnscheck.Finding) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.runs = append(w.runs, time.Since(w.began))
	for _, subject := range slices.Sorted(maps.Keys(w.verdicts)) {
		f := dnscheck.Finding{Check: "spf", Subject: subject, Verdict: w.verdicts[subject]}
		if f.Verdict == dnscheck.Fail || f.Verdict == dnscheck.Warn {
			f.Found, f.Fix = "no record", "publish one"
		}
		all = append(all, f)
	}
	return all
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead)
}

// set has subjects be found so from now on; "": they are not checked any more.
func (w *world) set(verdicts map[string]dnscheck.Verdict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for subject, v := range verdicts {
		if w.verdicts[subject] = v; v == "" {
			delete(w.verdicts, subject)
		}
	}
}

// heard gives what was told since it was asked the last time.
func (w *world) heard() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := strings.Join(w.told, "\n")
	w.told = nil
	return all
}

func newWorld(t *testing.T) *world {
	return &world{T: t, verdicts: map[string]dnscheck.Verdict{}, notes: map[string]map[string][]byte{}, began: time.Now(), metrics: prometheus.NewRegistry()}
}

// run has a Checker run, hourly, for as long as f takes.
func (w *world) run(f func(c *selfcheck.Checker)) {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	c, err := selfcheck.New(ctx, selfcheck.Config{
		Checks: func() []selfcheck.Check { return append([]selfcheck.Check{{Name: "spf", Run: w.check}}, w.more...) },
		Notes:  w, Tell: w.tell, Log: slog.New(slog.DiscardHandler), Metrics: w.metrics, Now: w.now})
	if err != nil {
		w.Fatal(err)
	}
	c.SetInterval(time.Hour)
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	synctest.Wait()
	f(c)
	cancel()
	if err := <-done; err != nil {
		w.Error(err)
	}
	w.metrics = prometheus.NewRegistry()
}

func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func in(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newWorld(t)) })
}

func TestAFailureIsToldWhenTwoRunsHaveIt(t *testing.T) {
	in(t, func(w *world) {
		w.set(map[string]dnscheck.Verdict{"a": dnscheck.OK, "b": dnscheck.OK, "c": dnscheck.Warn})
		w.run(func(c *selfcheck.Checker) {
			after(30 * time.Minute)
			w.set(map[string]dnscheck.Verdict{"a": dnscheck.Fail, "b": dnscheck.Fail})
			after(30*time.Minute + time.Second)
			w.set(map[string]dnscheck.Verdict{"b": dnscheck.OK}) // it was a moment
			if got := w.heard(); got != "" {
				t.Errorf("told at once: %s", got)
			}
			if r := c.Last(); r.Worst() != dnscheck.Fail {
				t.Errorf("the result is %+v, want a failure", r)
			}
			after(3 * time.Hour)
			if got, want := w.heard(), "1h1m0s check_failed: The check spf of a fails: no record. To mend it: publish one"; got != want {
				t.Errorf("told %q, want %q", got, want)
			}
			w.set(map[string]dnscheck.Verdict{"a": dnscheck.Warn})
			after(time.Hour)
			if got, want := w.heard(), "4h1m0s check_recovered: The check spf of a fails no more: no record."; got != want {
				t.Errorf("told %q, want %q", got, want)
			}
		})
		if diff := cmp.Diff([]time.Duration{0, time.Hour, 61 * time.Minute, 121 * time.Minute, 181 * time.Minute, 241 * time.Minute}, w.runs); diff != "" {
			t.Errorf("runs (-want +got):\n%s", diff)
		}
	})
}

func TestWhatCouldNotBeFoundOutChangesNothing(t *testing.T) {
	in(t, func(w *world) {
		w.set(map[string]dnscheck.Verdict{"a": dnscheck.Fail, "b": dnscheck.OK})
		w.run(func(c *selfcheck.Checker) {
			after(2 * time.Minute)
			w.heard()
			since := c.Last().Findings[0].Since
			w.set(map[string]dnscheck.Verdict{"a": dnscheck.Skipped, "b": ""})
			after(time.Hour)
			w.set(map[string]dnscheck.Verdict{"a": dnscheck.Fail, "b": dnscheck.OK})
			after(time.Hour)
			if got := w.heard(); got != "" {
				t.Errorf("told %q", got)
			}
			if f := c.Last().Findings[0]; f.Subject != "a" || !f.Since.Equal(since) {
				t.Errorf("%+v, want it to fail since %v", f, since)
			}
		})
	})
}

func TestWhatIsNotCheckedAnyMoreHasRecovered(t *testing.T) {
	in(t, func(w *world) {
		w.set(map[string]dnscheck.Verdict{"a": dnscheck.Fail})
		w.run(func(c *selfcheck.Checker) {
			after(2 * time.Minute)
			w.heard()
			w.set(map[string]dnscheck.Verdict{"a": "", "b": dnscheck.OK})
			after(time.Hour)
			if got, want := w.heard(), "1h1m0s check_recovered: The check spf of a fails no more: it is not checked any more."; got != want {
				t.Errorf("told %q, want %q", got, want)
			}
		})
	})
}

func TestWhatNobodyCouldBeAskedAboutIsNotOver(t *testing.T) {
	in(t, func(w *world) {
		w.set(map[string]dnscheck.Verdict{"a": dnscheck.Fail})
		w.more = []selfcheck.Check{{Name: "lists", Run: func(context.Context) []dnscheck.Finding {
			if time.Since(w.began) < time.Hour {
				return nil
			}
			return []dnscheck.Finding{{Check: "spf" + dnscheck.Usable, Subject: "x", Verdict: dnscheck.Warn, Fix: "ask properly"}}
		}}}
		w.run(func(*selfcheck.Checker) {
			after(2 * time.Minute)
			w.heard()
			w.set(map[string]dnscheck.Verdict{"a": "", "b": dnscheck.OK})
			after(2 * time.Hour)
			if got := w.heard(); got != "" {
				t.Errorf("told %q", got)
			}
		})
	})
}

func TestAFailureIsToldOnceThroughRestarts(t *testing.T) {
	in(t, func(w *world) {
		w.set(map[string]dnscheck.Verdict{"a": dnscheck.Fail})
		w.run(func(*selfcheck.Checker) { after(2 * time.Minute) })
		w.heard()
		w.run(func(c *selfcheck.Checker) {
			after(2 * time.Hour)
			if got := w.heard(); got != "" {
				t.Errorf("told again: %q", got)
			}
			w.set(map[string]dnscheck.Verdict{"a": dnscheck.OK})
			after(time.Hour)
			if got := w.heard(); !strings.Contains(got, "check_recovered") {
				t.Errorf("told %q, want that it has recovered", got)
			}
			var past []string
			for _, h := range c.History() {
				past = append(past, fmt.Sprintf("%v %s %q %q", h.Time.Sub(w.began), h.Subject, h.Was, h.Verdict))
			}
			if diff := cmp.Diff([]string{`3h2m0s a "fail" "ok"`, `0s a "" "fail"`}, past); diff != "" {
				t.Errorf("history (-want +got):\n%s", diff)
			}
		})
	})
}

func TestWhatCouldNotBeToldIsToldLater(t *testing.T) {
	in(t, func(w *world) {
		w.set(map[string]dnscheck.Verdict{"a": dnscheck.Fail})
		w.deaf = errors.New("the disk is full")
		w.run(func(c *selfcheck.Checker) {
			after(10 * time.Minute)
			w.mu.Lock()
			w.deaf = nil
			w.mu.Unlock()
			after(2 * time.Minute)
			if got := w.heard(); strings.Count(got, "check_failed") != 1 {
				t.Errorf("told %q, want the failure once", got)
			}
		})
	})
}

func TestACheckThatBreaksOrHangsTakesNoOtherWithIt(t *testing.T) {
	in(t, func(w *world) {
		w.set(map[string]dnscheck.Verdict{"a": dnscheck.OK})
		hang, hung := make(chan bool), 0
		w.more = []selfcheck.Check{
			{Name: "broken", Run: func(context.Context) []dnscheck.Finding { panic("no such index") }},
			{Name: "hangs", Run: func(context.Context) []dnscheck.Finding {
				hung++
				<-hang
				return []dnscheck.Finding{{Check: "hangs", Subject: "x", Verdict: dnscheck.OK}}
			}},
			{Name: "slow", Run: func(ctx context.Context) []dnscheck.Finding {
				<-ctx.Done()
				return []dnscheck.Finding{{Check: "slow", Subject: "x", Verdict: dnscheck.Skipped}}
			}},
		}
		summary := func(r selfcheck.Result) (all []string) {
			for _, f := range r.Findings {
				found, _, _ := strings.Cut(f.Found, ": no such index")
				all = append(all, fmt.Sprintf("%s %s %s %s", f.Check, f.Subject, f.Verdict, found))
			}
			return all
		}
		w.run(func(c *selfcheck.Checker) {
			after(10 * time.Second)
			want := []string{"check broken skipped it broke", "check hangs skipped it did not end within 10s", "slow x skipped ", "spf a ok "}
			if diff := cmp.Diff(want, summary(c.Last())); diff != "" {
				t.Errorf("the first run (-want +got):\n%s", diff)
			}
			after(time.Hour + 10*time.Second)
			want[1] = "check hangs skipped it has not ended since an earlier run"
			if diff := cmp.Diff(want, summary(c.Last())); diff != "" || hung != 1 {
				t.Errorf("the next run, it was begun %d times (-want +got):\n%s", hung, diff)
			}
			close(hang)
		})
	})
}

func TestWhoAsksSoonGetsTheSameResult(t *testing.T) {
	in(t, func(w *world) {
		w.run(func(c *selfcheck.Checker) {
			after(time.Minute)
			var all sync.WaitGroup
			for range 5 {
				all.Go(func() {
					if _, err := c.Now(w.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			after(9 * time.Second)
			if _, err := c.Now(w.Context()); err != nil || len(w.runs) != 2 {
				t.Errorf("%d runs, %v; want that of the start and one", len(w.runs), err)
			}
			after(2 * time.Second)
			if _, err := c.Now(w.Context()); err != nil || len(w.runs) != 3 {
				t.Errorf("%d runs, %v; want another one", len(w.runs), err)
			}
		})
	})
}

func TestResultsAreMeasured(t *testing.T) {
	in(t, func(w *world) {
		w.set(map[string]dnscheck.Verdict{"a": dnscheck.Fail, "b": dnscheck.Warn, "c": dnscheck.OK, "d": dnscheck.Skipped})
		w.run(func(c *selfcheck.Checker) {
			w.set(map[string]dnscheck.Verdict{"d": ""})
			after(time.Minute)
			want := `# HELP homing_check_last_run_timestamp_seconds When the last self-check ended, in seconds since 1970; 0: there was none.
# TYPE homing_check_last_run_timestamp_seconds gauge
homing_check_last_run_timestamp_seconds 9.4668486e+08
# HELP homing_check_status How each check of the last run ended: 0 ok, 1 warn, 2 fail, -1 skipped.
# TYPE homing_check_status gauge
homing_check_status{check="spf",subject="a"} 2
homing_check_status{check="spf",subject="b"} 1
homing_check_status{check="spf",subject="c"} 0
`
			if err := testutil.GatherAndCompare(w.metrics, strings.NewReader(want), "homing_check_status", "homing_check_last_run_timestamp_seconds"); err != nil {
				t.Error(err)
			}
		})
	})
}
