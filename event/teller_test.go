package event_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/event"
)

func TestAFactIsToldAtOnceAndWithoutPolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink := newMemLog(), &memSink{name: "hooks"}
		_, stop := run(t, event.Config{Log: log}, sink)
		for range 3 {
			later(time.Hour)
			start := time.Now()
			id := log.add(of(1))[0]
			synctest.Wait()
			if got := sink.triedAt(id, start); len(got) != 1 || got[0] != 0 {
				t.Errorf("told after %v, want once and at once", got)
			}
		}
		later(24 * time.Hour)
		if log.writes > 8 {
			t.Errorf("an idle day wrote the cursor %d times", log.writes)
		}
		stop()
	})
}

func TestEverySinkIsToldEveryFactInOrderOfItsDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		random := func(ctx context.Context, e event.Event) error {
			return takes(time.Duration(rand.IntN(50))*time.Millisecond)(ctx, e)
		}
		a, b := &memSink{name: "a", answer: random}, &memSink{name: "b", answer: random}
		run(t, event.Config{Log: log}, a, b)
		var want []event.ID
		for i := range 2000 {
			want = append(want, log.add(of(event.DeliveryID(i%37+1)))...)
		}
		later(time.Hour)
		for _, s := range []*memSink{a, b} {
			checkOrder(t, s)
			if got := slices.Sorted(slices.Values(s.told())); !slices.Equal(got, want) {
				t.Errorf("sink %s was told %d facts, want each of %d once", s.name, len(got), len(want))
			}
			if s.most != 8 {
				t.Errorf("%d tellings at once, want 8 for different deliveries", s.most)
			}
		}
	})
}

// gatherer is a sink that makes one telling of many facts.
type gatherer struct{ *memSink }

func (gatherer) AtOnce() int { return 30 }

func TestASinkThatGathersIsToldManyFactsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink := newMemLog(), &memSink{name: "mail", answer: takes(5 * time.Second)}
		run(t, event.Config{Log: log}, gatherer{sink})
		log.add(slices.Repeat([]event.Event{{Type: event.CheckFailed}}, 40)...)
		later(11 * time.Second)
		if sink.most != 30 || len(sink.told()) != 40 {
			t.Errorf("%d at once, %d told; want 30 of 40", sink.most, len(sink.told()))
		}
	})
}

// checkOrder fails the test if facts of one delivery came in another order
// than that of the log. Repeats are no change of order.
func checkOrder(t *testing.T, s *memSink) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	last, seen := map[event.DeliveryID]event.ID{}, map[event.ID]bool{}
	for _, e := range s.took {
		if !seen[e.ID] && e.ID < last[e.Delivery] {
			t.Errorf("delivery %d: %v was first told after %v", e.Delivery, e.ID, last[e.Delivery])
		}
		seen[e.ID] = true
		last[e.Delivery] = max(last[e.Delivery], e.ID)
	}
}

func TestWhereANewSinkBegins(t *testing.T) {
	for _, tt := range []struct {
		name string
		age  time.Duration // of the log when the sink is new
		want int           // facts told of the two that were there and one that comes
	}{
		{"in a fresh log it is told everything", 0, 3},
		{"in a log of ten minutes it is told everything", 10 * time.Minute, 3},
		{"in an old log it is told from now on", 2 * time.Hour, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, sink := newMemLog(), &memSink{name: "hooks"}
				log.add(of(1), of(2))
				later(tt.age)
				run(t, event.Config{Log: log}, sink)
				if log.cursor("hooks").Seen == 0 {
					t.Error("where it begins was not written down at once")
				}
				log.add(of(3))
				synctest.Wait()
				if got := len(sink.told()); got != tt.want {
					t.Errorf("told %d facts, want %d", got, tt.want)
				}
			})
		})
	}
	t.Run("in an empty log it is told everything, whenever it comes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log, sink := newMemLog(), &memSink{name: "hooks"}
			_, stop := run(t, event.Config{Log: log}, sink)
			later(5 * time.Second)
			if log.cursor("hooks").Seen == 0 {
				t.Error("where it begins was not written down")
			}
			later(48 * time.Hour)
			stop()
			run(t, event.Config{Log: log}, sink)
			want := log.add(of(1), of(2))
			synctest.Wait()
			if diff := cmp.Diff(want, slices.Sorted(slices.Values(sink.told()))); diff != "" {
				t.Error(diff)
			}
		})
	})
}

func TestAFactThatAloneKeepsFailingIsParkedAndTheRestFlows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink := newMemLog(), &memSink{name: "hooks"}
		teller, _ := run(t, event.Config{Log: log}, sink)
		sink.becomes(refuses(1))
		ids := log.add(of(1), of(2), of(1), of(3))
		later(10 * time.Second)
		if got := sink.triedAt(ids[2], time.Now()); got != nil {
			t.Errorf("the fact behind the failed one was tried")
		}
		if diff := cmp.Diff([]event.ID{ids[1], ids[3]}, slices.Sorted(slices.Values(sink.told()))); diff != "" {
			t.Errorf("told while one fact fails: %s", diff)
		}
		c := log.cursor("hooks")
		if c.Seen != ids[3] || len(c.Parked) != 2 || c.Parked[0].Event != ids[0] || c.Parked[1].Event != ids[2] {
			t.Errorf("cursor %+v, want all seen, and the fact and its follower parked", c)
		}
		if s := teller.Status()[0]; s.State != event.Working || s.Lag < 9*time.Second {
			t.Errorf("status %+v, want a lag: nothing was taken since the last failure", s)
		}
		ids = append(ids, log.add(of(4))...)
		synctest.Wait()
		if s := teller.Status()[0]; s.State != event.Working || s.Parked != 2 || s.Lag != 0 {
			t.Errorf("status %+v, want working, two parked and no lag", s)
		}
		sink.becomes(nil)
		later(time.Minute)
		if diff := cmp.Diff([]event.ID{ids[0], ids[2]}, sink.told()[3:]); diff != "" {
			t.Errorf("told after it was well: %s", diff)
		}
		if c := log.cursor("hooks"); len(c.Parked) != 0 || !c.Failing.IsZero() {
			t.Errorf("cursor %+v, want nothing parked", c)
		}
	})
}

func TestAParkedFactIsTriedWithBackOffAndGivenUpAfterThreeDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink := newMemLog(), &memSink{name: "hooks"}
		run(t, event.Config{Log: log}, sink)
		start := time.Now()
		var bad event.ID
		sink.becomes(func(_ context.Context, e event.Event) error {
			if e.Delivery == 1 && (bad == 0 || e.ID == bad) {
				bad = e.ID
				return errNo
			}
			return nil
		})
		follower := log.add(of(1), of(1))[1]
		for time.Since(start) < 73*time.Hour {
			log.add(of(2)) // the sink is well all the time
			later(time.Hour)
		}
		at := sink.triedAt(bad, start)
		for i, want := range []time.Duration{0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600} {
			var gap time.Duration
			if i > 0 {
				gap = at[i] - at[i-1]
			}
			want *= time.Second
			if gap < want*8/10 || gap > want*12/10 {
				t.Errorf("try %d came after %v, want %v give or take a fifth", i, gap, want)
			}
		}
		last := at[len(at)-1]
		if last < 72*time.Hour || last > 72*time.Hour+15*time.Minute {
			t.Errorf("given up after %v, want three days", last)
		}
		if got := sink.triedAt(follower, start); len(got) != 1 || got[0] != last {
			t.Errorf("the fact behind it was told at %v, want once at %v", got, last)
		}
	})
}

func TestASinkThatTakesNothingLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink := newMemLog(), &memSink{name: "hooks", answer: never}
		teller, _ := run(t, event.Config{Log: log}, sink)
		var want []event.ID
		for i := range 3000 {
			want = append(want, log.add(of(event.DeliveryID(i%500+1)))...)
		}
		later(24 * time.Hour)
		if s := teller.Status()[0]; s.State != event.Failing || s.Lag < 24*time.Hour-time.Second {
			t.Errorf("status %+v, want failing and a lag of a day", s)
		}
		if n := sink.allTries(); n > 2*200+20 {
			t.Errorf("%d tellings in a day, want few: the back-off ends at ten minutes", n)
		}
		sink.becomes(nil)
		later(15 * time.Minute)
		checkOrder(t, sink)
		if got := slices.Sorted(slices.Values(sink.told())); !slices.Equal(got, want) {
			t.Errorf("told %d facts after it came back, want each of %d once", len(got), len(want))
		}
		if s := teller.Status()[0]; s.State != event.Working || s.Lag != 0 || s.Parked != 0 {
			t.Errorf("status %+v, want working", s)
		}
	})
}

func TestASinkIsPausedAfterThreeDaysWithAnIncident(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink, seen := newMemLog(), &memSink{name: "hooks", answer: never}, &incidents{}
		teller, _ := run(t, event.Config{Log: log, Report: seen.report}, sink)
		start := time.Now()
		ids := log.add(of(1), of(2), of(3), of(4), of(5), of(6))
		later(72*time.Hour - time.Second)
		if got := seen.types(); got != nil {
			t.Fatalf("incidents before three days were over: %v", got)
		}
		later(time.Hour)
		if diff := cmp.Diff([]event.Type{event.IncidentOpened}, seen.types()); diff != "" {
			t.Fatal(diff)
		}
		if s := teller.Status()[0]; s.State != event.Paused || !s.Since.Equal(start) || s.Failure != "no" {
			t.Errorf("status %+v, want paused since the first failure", s)
		}
		before := sink.allTries()
		later(10 * time.Hour)
		if n := sink.allTries() - before; n < 9 || n > 22 {
			t.Errorf("%d tellings in ten hours of a paused sink, want a probe of at most two facts an hour", n)
		}
		sink.becomes(nil)
		later(time.Hour)
		if diff := cmp.Diff(ids, slices.Sorted(slices.Values(sink.told()))); diff != "" {
			t.Errorf("told once it works again: %s", diff)
		}
		if diff := cmp.Diff([]event.Type{event.IncidentOpened, event.IncidentClosed}, seen.types()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestARestartTriesAPausedSinkAtOnceAndOpensNoSecondIncident(t *testing.T) {
	for _, well := range []bool{false, true} {
		t.Run(fmt.Sprintf("well by then: %v", well), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, sink, seen := newMemLog(), &memSink{name: "hooks", answer: never}, &incidents{}
				_, stop := run(t, event.Config{Log: log, Report: seen.report}, sink)
				ids := log.add(of(1), of(2))
				later(80 * time.Hour)
				stop()
				want := []event.Type{event.IncidentOpened}
				if well {
					sink.becomes(nil)
					want = append(want, event.IncidentClosed)
				}
				before := sink.allTries()
				teller, _ := run(t, event.Config{Log: log, Report: seen.report}, sink)
				if n := sink.allTries() - before; n != 2 {
					t.Errorf("%d tellings at once after the start, want 2", n)
				}
				if diff := cmp.Diff(want, seen.types()); diff != "" {
					t.Error(diff)
				}
				if got := slices.Sorted(slices.Values(sink.told())); well && !slices.Equal(got, ids) {
					t.Errorf("told %v, want %v", got, ids)
				}
				if got := teller.Status()[0].State; !well && got != event.Paused {
					t.Errorf("state %v, want paused", got)
				}
			})
		})
	}
}

func TestRestartsDoNotPutTheIncidentOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink, seen := newMemLog(), &memSink{name: "hooks", answer: never}, &incidents{}
		log.add(of(1))
		for range 4 {
			_, stop := run(t, event.Config{Log: log, Report: seen.report}, sink)
			later(20 * time.Hour)
			stop()
		}
		if diff := cmp.Diff([]event.Type{event.IncidentOpened}, seen.types()); diff != "" {
			t.Errorf("after 80 hours with a restart every 20: %s", diff)
		}
	})
}

func TestAnIncidentIsReportedUntilTheReportIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink, seen := newMemLog(), &memSink{name: "hooks", answer: never}, &incidents{}
		full := 5
		report := func(ctx context.Context, e event.Event) error {
			if full--; full >= 0 {
				return errNo
			}
			return seen.report(ctx, e)
		}
		run(t, event.Config{Log: log, Report: report}, sink)
		log.add(of(1))
		later(73 * time.Hour)
		if diff := cmp.Diff([]event.Type{event.IncidentOpened}, seen.types()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestASinkThatIsGoneIsPausedAtOnceUntilARestartOrReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, seen := newMemLog(), &incidents{}
		sink := &memSink{name: "hooks", answer: func(context.Context, event.Event) error {
			return &event.Failure{Fault: event.Gone, Err: errors.New("410 Gone")}
		}}
		teller, _ := run(t, event.Config{Log: log, Report: seen.report}, sink)
		ids := log.add(of(1))
		synctest.Wait()
		later(48 * time.Hour)
		if n := sink.allTries(); n != 1 {
			t.Errorf("%d tellings, want no more after the first", n)
		}
		if diff := cmp.Diff([]event.Type{event.IncidentOpened}, seen.types()); diff != "" {
			t.Error(diff)
		}
		sink.becomes(nil)
		if err := teller.Use(sink); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if diff := cmp.Diff(ids, sink.told()); diff != "" {
			t.Errorf("told after the reload: %s", diff)
		}
		if diff := cmp.Diff([]event.Type{event.IncidentOpened, event.IncidentClosed}, seen.types()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestARefusedFactIsGivenUpAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink := newMemLog(), &memSink{name: "crm"}
		teller, _ := run(t, event.Config{Log: log}, sink)
		sink.becomes(func(_ context.Context, e event.Event) error {
			if e.Attempt == 1 {
				return fmt.Errorf("calling: %w", &event.Failure{Fault: event.Refused, Err: errNo})
			}
			return nil
		})
		bad := of(1)
		bad.Attempt = 1
		ids := log.add(bad, of(1), of(2))
		later(time.Hour)
		if diff := cmp.Diff(ids[1:], slices.Sorted(slices.Values(sink.told()))); diff != "" {
			t.Error(diff)
		}
		if n := len(sink.triedAt(ids[0], time.Now())); n != 1 {
			t.Errorf("tried %d times, want once", n)
		}
		if s := teller.Status()[0]; s.State != event.Working || s.Parked != 0 {
			t.Errorf("status %+v, want working and nothing parked", s)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after time.Duration
		want  time.Duration
	}{
		{"two minutes", 2 * time.Minute, 2 * time.Minute},
		{"a day is cut to an hour", 24 * time.Hour, time.Hour},
	} {
		for _, fault := range []event.Fault{event.Unclear, event.Down} {
			t.Run(fmt.Sprintf("%s, fault %d", tt.name, fault), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					log := newMemLog()
					sink := &memSink{name: "hooks", answer: func(context.Context, event.Event) error {
						return &event.Failure{Fault: fault, After: tt.after, Err: errNo}
					}}
					run(t, event.Config{Log: log}, sink)
					start := time.Now()
					id := log.add(of(1))[0]
					later(tt.want - time.Second)
					if got := sink.triedAt(id, start); len(got) != 1 {
						t.Errorf("tried at %v, want no second try before %v", got, tt.want)
					}
					later(2 * time.Second)
					if got := sink.triedAt(id, start); len(got) != 2 {
						t.Errorf("tried at %v, want a second try after %v", got, tt.want)
					}
				})
			})
		}
	}
}

func TestFactsThatFailAloneCannotKeepASinkDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink := newMemLog(), &memSink{name: "hooks"}
		teller, _ := run(t, event.Config{Log: log}, sink)
		sink.becomes(func(_ context.Context, e event.Event) error {
			if e.Delivery <= 20 {
				return errNo
			}
			return nil
		})
		for i := range 20 {
			log.add(of(event.DeliveryID(i + 1)))
		}
		for range 10 { // until all the bad ones are known
			log.add(of(100))
			later(2 * time.Minute)
		}
		slow := 0
		for range 500 {
			later(97 * time.Second)
			start := time.Now()
			id := log.add(of(100))[0]
			later(1500 * time.Millisecond)
			if got := sink.triedAt(id, start); len(got) != 1 {
				t.Fatalf("a good fact was tried at %v, want once within a second", got)
			} else if got[0] > 0 {
				slow++
			}
		}
		if slow > 2 {
			t.Errorf("%d of 500 good facts had to wait, want none once the bad ones are known", slow)
		}
		if s := teller.Status()[0]; s.State != event.Working || s.Parked != 20 {
			t.Errorf("status %+v, want working with 20 parked", s)
		}
	})
}

func TestALoneFactThatFailsDoesNotDelayTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink := newMemLog(), &memSink{name: "hooks"}
		run(t, event.Config{Log: log}, sink)
		sink.becomes(refuses(1))
		log.add(of(1))
		later(24 * time.Hour)
		start := time.Now()
		id := log.add(of(2))[0]
		synctest.Wait()
		if got := sink.triedAt(id, start); len(got) != 1 || got[0] != 0 {
			t.Errorf("told at %v, want at once", got)
		}
	})
}

func TestTooManyParkedFactsStopTheReadingAndNothingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink, seen := newMemLog(), &memSink{name: "hooks"}, &incidents{}
		teller, _ := run(t, event.Config{Log: log, Report: seen.report, MaxParked: 40}, sink)
		sink.becomes(func(_ context.Context, e event.Event) error {
			if e.Delivery%20 == 0 {
				return errNo
			}
			return nil
		})
		var want []event.ID
		for i := range 6000 {
			want = append(want, log.add(of(event.DeliveryID(i+1)))...)
		}
		later(60 * time.Hour)
		if s := teller.Status()[0]; s.Parked < 40 || s.Parked > 40+1024/20+1 {
			t.Errorf("%d parked, want forty, and what was read with them", s.Parked)
		}
		if got := seen.types(); got != nil {
			t.Errorf("incidents %v before three days were over", got)
		}
		later(24 * time.Hour)
		if got := seen.types(); len(got) == 0 || got[0] != event.IncidentOpened {
			t.Errorf("incidents %v, want one: one fact in twenty fails", got)
		}
		sink.becomes(nil)
		later(3 * time.Hour)
		if got := slices.Sorted(slices.Values(sink.told())); !slices.Equal(got, want) {
			t.Errorf("told %d facts, want each of %d once", len(got), len(want))
		}
	})
}

func TestASlowSinkDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		slow, quick := &memSink{name: "slow", answer: takes(time.Minute)}, &memSink{name: "quick"}
		run(t, event.Config{Log: log}, slow, quick)
		start := time.Now()
		for i := range 3000 {
			log.add(of(event.DeliveryID(i + 1)))
		}
		synctest.Wait()
		if got := len(quick.told()); got != 3000 || time.Since(start) > 0 {
			t.Errorf("the quick sink was told %d of 3000 facts after %v", got, time.Since(start))
		}
		if got := len(slow.told()); got != 0 {
			t.Errorf("the slow sink was told %d facts, want it still busy with the first", got)
		}
	})
}

func TestATellingThatNeverEndsIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink := newMemLog(), &memSink{name: "hooks", answer: takes(100 * time.Hour)}
		run(t, event.Config{Log: log, Timeout: time.Minute}, sink)
		start := time.Now()
		id := log.add(of(1))[0]
		later(62 * time.Second)
		if got := sink.triedAt(id, start); len(got) != 2 {
			t.Errorf("tried at %v, want a second try after a minute", got)
		}
	})
}

func TestShutdownInTheMiddleOfATelling(t *testing.T) {
	for _, tt := range []struct {
		name   string
		needs  time.Duration
		told   int // before the restart
		stops  time.Duration
		repeat int // tellings after the restart
	}{
		{"one that ends within the grace counts", 3 * time.Second, 1, 3 * time.Second, 0},
		{"one that does not is cut and told again", time.Minute, 0, 5 * time.Second, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, sink := newMemLog(), &memSink{name: "hooks", answer: takes(tt.needs)}
				_, stop := run(t, event.Config{Log: log}, sink)
				log.add(of(1), of(1))
				synctest.Wait()
				start := time.Now()
				stop()
				if got := time.Since(start); got != tt.stops {
					t.Errorf("stopping took %v, want %v", got, tt.stops)
				}
				if got := len(sink.told()); got != tt.told {
					t.Errorf("told %d, want %d", got, tt.told)
				}
				sink.becomes(nil)
				before := sink.allTries()
				run(t, event.Config{Log: log}, sink)
				if got := sink.allTries() - before; got != tt.repeat+1 {
					t.Errorf("%d tellings after the restart, want %d", got, tt.repeat+1)
				}
				checkOrder(t, sink)
				if got := len(sink.told()); got != 2 {
					t.Errorf("told %d in the end, want 2", got)
				}
			})
		})
	}
}

// TestNothingIsLostOrReordered runs random sinks through restarts and crashes.
func TestNothingIsLostOrReordered(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, ofSink := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
				log, sink := newMemLog(), &memSink{name: "hooks"}
				rate, down := r.IntN(60), false
				sink.becomes(func(ctx context.Context, e event.Event) error {
					sink.mu.Lock()
					fails, wait := down || ofSink.IntN(100) < rate, time.Duration(ofSink.IntN(200))*time.Millisecond
					sink.mu.Unlock()
					if err := takes(wait)(ctx, e); err != nil || !fails {
						return err
					}
					return errNo
				})
				var want []event.ID
				for range 8 {
					_, stop := run(t, event.Config{Log: log, InFlight: 1 + r.IntN(16)}, sink)
					for range r.IntN(200) {
						want = append(want, log.add(of(event.DeliveryID(1+r.IntN(20))))...)
					}
					crash := log.cursor("hooks")
					later(time.Duration(r.IntN(60)) * time.Second)
					sink.mu.Lock()
					down = r.IntN(3) == 0
					sink.mu.Unlock()
					stop()
					if r.IntN(2) == 0 && crash.Seen != 0 {
						_ = log.Advance(t.Context(), "hooks", crash) // an older cursor is what a crash leaves
					}
				}
				sink.becomes(nil)
				run(t, event.Config{Log: log}, sink)
				later(time.Hour)
				checkOrder(t, sink)
				got := slices.Compact(slices.Sorted(slices.Values(sink.told())))
				if !slices.Equal(got, want) {
					t.Errorf("told %d different facts, want %d", len(got), len(want))
				}
				if c := log.cursor("hooks"); len(c.Parked) != 0 || c.Seen != want[len(want)-1] {
					t.Errorf("cursor %+v at the end, want everything told", c)
				}
			})
		})
	}
}

func TestParkedFactsSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink := newMemLog(), &memSink{name: "hooks"}
		_, stop := run(t, event.Config{Log: log}, sink)
		operator := event.Event{Type: event.Held, Recipient: "ann@example.net"}
		sink.becomes(func(_ context.Context, e event.Event) error {
			if e.Delivery == 9 {
				return nil
			}
			return errNo
		})
		ids := log.add(of(1), of(1), operator, of(2), of(9))
		later(time.Second)
		stop()
		log.forget(ids[3])

		sink.becomes(nil)
		run(t, event.Config{Log: log}, sink)
		released := log.add(event.Event{Type: event.Released, Recipient: "Ann@example.net"})[0]
		later(time.Minute)
		if diff := cmp.Diff([]event.ID{ids[0], ids[1], ids[2], ids[4], released}, slices.Sorted(slices.Values(sink.told()))); diff != "" {
			t.Errorf("told, but for the forgotten one: %s", diff)
		}
		if told := sink.told(); slices.Index(told, released) < slices.Index(told, ids[2]) {
			t.Error("released was told before held")
		}
		if c := log.cursor("hooks"); len(c.Parked) != 0 {
			t.Errorf("still parked: %+v", c.Parked)
		}
	})
}

func TestLettersToARouteDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink := newMemLog(), &memSink{name: "crm"}
		run(t, event.Config{Log: log}, sink)
		letter := event.Event{Type: event.Filed, Recipient: "civimail@bounce.example.org"}
		letter.Raw.Body = 1
		first := true
		sink.becomes(func(context.Context, event.Event) error {
			if first {
				first = false
				return errNo
			}
			return nil
		})
		ids := log.add(letter)
		synctest.Wait()
		ids = append(ids, log.add(letter)...)
		synctest.Wait()
		if diff := cmp.Diff(ids[1:], sink.told()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWhatOnePersonWishesIsToldInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink := newMemLog(), &memSink{name: "crm"}
		run(t, event.Config{Log: log}, sink)
		letter := event.Event{Type: event.Unsubscribed, Recipient: "ann@example.net", Sender: "civi+u.1.2.0a1b2c3d4e5f6a7b@bounce.example.org"}
		letter.Raw.Body = 1
		first := true
		sink.becomes(func(context.Context, event.Event) error {
			if first {
				first = false
				return errNo
			}
			return nil
		})
		ids := log.add(letter)
		synctest.Wait()
		letter.Type, letter.Recipient = event.Resubscribed, "Ann@example.net"
		ids = append(ids, log.add(letter)...)
		later(time.Minute)
		if diff := cmp.Diff(ids, sink.told()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFactsGoOnlyWhereTheyAreRoutedAndWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		routes := event.Routes{
			Applications: map[string][]string{"crm": {"crm", "hooks"}},
			Domains:      map[string][]string{"example.org": {"mail"}},
			Rest:         []string{"hooks"},
		}
		crm := &memSink{name: "crm", wants: func(e event.Event) bool { return e.Type == event.Bounced }}
		hooks, mail := &memSink{name: "hooks"}, &memSink{name: "mail"}
		run(t, event.Config{Log: log, Wants: routes.Wants}, crm, hooks, mail)
		ids := log.add(
			event.Event{Type: event.Bounced, Application: "crm", Domain: "example.org"},
			event.Event{Type: event.Delivered, Application: "crm", Domain: "example.org"},
			event.Event{Type: event.Bounced, Application: "script", Domain: "example.org"},
			event.Event{Type: event.Filed, To: []string{"mail"}, Application: "crm"},
			event.Event{Type: event.CheckFailed},
		)
		synctest.Wait()
		for sink, want := range map[*memSink][]event.ID{crm: {ids[0]}, hooks: {ids[0], ids[1], ids[4]}, mail: {ids[2], ids[3]}} {
			if diff := cmp.Diff(want, slices.Sorted(slices.Values(sink.told()))); diff != "" {
				t.Errorf("sink %s: %s", sink.name, diff)
			}
		}
		later(time.Second)
		for _, name := range []string{"crm", "hooks", "mail"} {
			if got := log.cursor(name).Seen; got != ids[4] {
				t.Errorf("the cursor of %s is at %v, want it past what it does not hear: %v", name, got, ids[4])
			}
		}
	})
}

func TestALogThatFailsForAWhileIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink := newMemLog(), &memSink{name: "hooks"}
		log.broken(errNo)
		run(t, event.Config{Log: log}, sink)
		later(10 * time.Second)
		log.broken(nil)
		later(10 * time.Second)
		ids := log.add(of(1))
		synctest.Wait()
		log.broken(errNo)
		ids = append(ids, log.add(of(2))...)
		later(10 * time.Second)
		log.broken(nil)
		later(time.Minute)
		if diff := cmp.Diff(ids, sink.told()); diff != "" {
			t.Error(diff)
		}
		if got := log.cursor("hooks").Seen; got != ids[1] {
			t.Errorf("the cursor is at %v, want %v", got, ids[1])
		}
	})
}

func TestUseRefusesTwoSinksOfOneName(t *testing.T) {
	teller := event.NewTeller(event.Config{Log: newMemLog()})
	if err := teller.Use(&memSink{name: "a"}, &memSink{name: "a"}); err == nil {
		t.Error("Use took two sinks of one name")
	}
}

func TestUseWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, a, b := newMemLog(), &memSink{name: "a", answer: takes(time.Second)}, &memSink{name: "b"}
		teller, _ := run(t, event.Config{Log: log}, a)
		ids := log.add(of(1), of(1))
		synctest.Wait()
		if err := teller.Use(a, b); err != nil {
			t.Fatal(err)
		}
		later(3 * time.Second)
		for _, s := range []*memSink{a, b} {
			if diff := cmp.Diff(ids, s.told()); diff != "" {
				t.Errorf("sink %s: %s", s.name, diff)
			}
		}
	})
}

func TestReplayTellsARangeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink := newMemLog(), &memSink{name: "hooks", wants: func(e event.Event) bool { return e.Delivery != 3 }}
		teller, _ := run(t, event.Config{Log: log}, sink)
		ids := log.add(of(1), of(2), of(3), of(4), of(5))
		synctest.Wait()
		for _, tt := range []struct {
			name        string
			after, upTo event.ID
			want        []event.ID
		}{
			{"a range", ids[0], ids[3], []event.ID{ids[1], ids[3]}},
			{"all that it was told", 0, 0, []event.ID{ids[0], ids[1], ids[3], ids[4]}},
			{"no further than it was told", ids[3], ids[4] + 1000, []event.ID{ids[4]}},
			{"nothing", ids[4], 0, []event.ID{}},
		} {
			before := len(sink.told())
			n, err := teller.Replay(t.Context(), "hooks", tt.after, tt.upTo)
			if err != nil || n != len(tt.want) {
				t.Errorf("%s: Replay = %d, %v", tt.name, n, err)
			}
			if diff := cmp.Diff(tt.want, sink.told()[before:]); diff != "" {
				t.Errorf("%s: %s", tt.name, diff)
			}
		}
		if _, err := teller.Replay(t.Context(), "nobody", 0, 0); !errors.Is(err, event.ErrNoSink) {
			t.Errorf("Replay to a sink that is not there: %v, want ErrNoSink", err)
		}
		sink.becomes(never)
		if n, err := teller.Replay(t.Context(), "hooks", 0, 0); n != 0 || !errors.Is(err, errNo) {
			t.Errorf("Replay to a sink that fails: %d, %v", n, err)
		}
	})
}
