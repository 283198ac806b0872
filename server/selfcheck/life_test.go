package selfcheck_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/dnscheck"
	"homing/server/selfcheck"
)

func TestWhatCannotBeConfirmedIsTriedMoreAndMoreSeldom(t *testing.T) {
	in(t, func(w *world) {
		w.set(map[string]dnscheck.Verdict{"a": dnscheck.Fail})
		w.run(func(*selfcheck.Checker) {
			w.set(map[string]dnscheck.Verdict{"a": dnscheck.Skipped})
			after(2*time.Hour + 4*time.Minute)
			if got := w.heard(); got != "" {
				t.Errorf("told %q", got)
			}
		})
		m := time.Minute
		if diff := cmp.Diff([]time.Duration{0, m, 3 * m, 7 * m, 15 * m, 31 * m, 63 * m, 123 * m}, w.runs); diff != "" {
			t.Errorf("runs (-want +got):\n%s", diff)
		}
	})
}

func TestRunsOfOneMomentConfirmNothing(t *testing.T) {
	in(t, func(w *world) {
		w.set(map[string]dnscheck.Verdict{"a": dnscheck.Fail})
		w.run(func(c *selfcheck.Checker) {
			after(40 * time.Second)
			if _, err := c.Now(w.Context()); err != nil || len(w.runs) != 2 {
				t.Fatalf("%d runs, %v", len(w.runs), err)
			}
			if got := w.heard(); got != "" {
				t.Errorf("told after 40 s: %q", got)
			}
			after(2 * time.Minute)
			if got := w.heard(); !strings.HasPrefix(got, "1m40s check_failed") {
				t.Errorf("told %q", got)
			}
		})
	})
}

func TestFindingsOfOneCheckAndSubjectCountAsTheWorst(t *testing.T) {
	in(t, func(w *world) {
		w.set(map[string]dnscheck.Verdict{"a": dnscheck.OK})
		w.more = []selfcheck.Check{{Name: "other", Run: func(context.Context) []dnscheck.Finding {
			return []dnscheck.Finding{{Check: "spf", Subject: "a", Verdict: dnscheck.Fail, Found: "no record", Fix: "publish one"}}
		}}}
		w.run(func(c *selfcheck.Checker) {
			after(5 * time.Hour)
			if got := w.heard(); strings.Count(got, "check_failed") != 1 || strings.Contains(got, "recovered") || len(c.History()) != 1 {
				t.Errorf("told %q, and the history has %d changes", got, len(c.History()))
			}
		})
	})
}

func TestWhoAskedAndWentAwayEndsNoRun(t *testing.T) {
	in(t, func(w *world) {
		begun := 0
		w.more = []selfcheck.Check{{Name: "slow", Run: func(ctx context.Context) []dnscheck.Finding {
			begun++
			select {
			case <-ctx.Done():
				return []dnscheck.Finding{{Check: "slow", Subject: "x", Verdict: dnscheck.Skipped}}
			case <-time.After(5 * time.Second):
				return []dnscheck.Finding{{Check: "slow", Subject: "x", Verdict: dnscheck.OK}}
			}
		}}}
		w.run(func(c *selfcheck.Checker) {
			after(time.Minute)
			ctx, cancel := context.WithTimeout(w.Context(), time.Second)
			defer cancel()
			if _, err := c.Now(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who goes away hears %v", err)
			}
			r, err := c.Now(w.Context())
			if err != nil || begun != 2 || len(r.Findings) != 1 || r.Findings[0].Verdict != dnscheck.OK || time.Since(w.began) != 65*time.Second {
				t.Errorf("after %v, begun %d times: %+v, %v; want the result of the run that was asked for first", time.Since(w.began), begun, r, err)
			}
		})
	})
}

func TestACheckThatHangsDoesNotHoldUpTheEnd(t *testing.T) {
	in(t, func(w *world) {
		hang, took := make(chan bool), time.Duration(0)
		w.more = []selfcheck.Check{{Name: "hangs", Run: func(context.Context) []dnscheck.Finding { <-hang; return nil }}}
		time.AfterFunc(time.Hour, func() { close(hang) })
		began := time.Now()
		w.run(func(*selfcheck.Checker) { after(time.Minute) })
		if took = time.Since(began); took > 65*time.Second {
			t.Errorf("it ended after %v", took)
		}
		<-hang
	})
}

func TestAfterTheEndNobodyIsKeptWaiting(t *testing.T) {
	in(t, func(w *world) {
		var c *selfcheck.Checker
		w.run(func(it *selfcheck.Checker) { c = it; after(time.Hour / 2) })
		if _, err := c.Now(w.Context()); err == nil {
			t.Error("a run that nobody makes has a result")
		}
	})
}

func TestWhatCouldNotBeNotedIsNotedLaterAndHidesNoResult(t *testing.T) {
	in(t, func(w *world) {
		w.set(map[string]dnscheck.Verdict{"a": dnscheck.Fail})
		w.mute = errors.New("the disk is full")
		w.run(func(c *selfcheck.Checker) {
			after(5 * time.Minute)
			if r, err := c.Now(w.Context()); err != nil || r.Worst() != dnscheck.Fail {
				t.Errorf("the result is %+v, %v", r, err)
			}
			w.mu.Lock()
			w.mute = nil
			w.mu.Unlock()
			after(time.Hour)
		})
		if got := w.heard(); strings.Count(got, "check_failed") != 1 {
			t.Errorf("told %q, want the failure once", got)
		}
		w.run(func(c *selfcheck.Checker) {
			after(time.Hour)
			if got := w.heard(); got != "" || len(c.History()) != 1 {
				t.Errorf("after a restart: told %q, history %v", got, c.History())
			}
		})
	})
}

func TestTheHistoryIsBounded(t *testing.T) {
	in(t, func(w *world) {
		w.run(func(c *selfcheck.Checker) {
			for i := range 600 {
				w.set(map[string]dnscheck.Verdict{"a": []dnscheck.Verdict{dnscheck.OK, dnscheck.Warn}[i%2]})
				after(time.Hour)
			}
			if n := len(c.History()); n != 500 {
				t.Errorf("%d changes are kept", n)
			}
		})
		if n := len(w.notes["check_history"]); n != 500 {
			t.Errorf("%d changes are noted", n)
		}
		w.run(func(c *selfcheck.Checker) {
			if past := c.History(); len(past) != 500 || past[0].Time.Before(past[499].Time) {
				t.Errorf("after a restart there are %d changes, or not the newest first", len(past))
			}
		})
	})
}

func TestAClockThatJumpsStopsNoChecks(t *testing.T) {
	for name, jump := range map[string]time.Duration{"back": -72 * time.Hour, "forth": 72 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				w.set(map[string]dnscheck.Verdict{"a": dnscheck.OK})
				w.run(func(c *selfcheck.Checker) {
					after(time.Minute)
					w.mu.Lock()
					w.ahead = jump
					w.mu.Unlock()
					if _, err := c.Now(w.Context()); err != nil || len(w.runs) != 2 {
						t.Errorf("%d runs, %v; want one for whoever asks", len(w.runs), err)
					}
					w.set(map[string]dnscheck.Verdict{"a": dnscheck.Fail})
					after(62 * time.Minute)
					if got := w.heard(); !strings.Contains(got, "1h2m0s check_failed") || len(w.runs) != 4 {
						t.Errorf("%d runs, told %q", len(w.runs), got)
					}
				})
			})
		})
	}
}
