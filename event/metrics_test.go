package event_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"homing/event"
)

func TestMetricsSayHowEachSinkDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		log, hooks, dead := newMemLog(), &memSink{name: "hooks"}, &memSink{name: "dead", answer: never}
		hooks.becomes(func(_ context.Context, e event.Event) error {
			switch e.Delivery {
			case 1:
				return errNo
			case 2:
				return &event.Failure{Fault: event.Refused, Err: errNo}
			}
			return nil
		})
		run(t, event.Config{Log: log, Metrics: event.NewMetrics(reg)}, hooks, dead)
		log.add(of(1), of(2), of(3), of(4), of(5))
		later(1300 * time.Millisecond)
		log.add(of(6))
		synctest.Wait()
		want := `
# HELP homing_event_given_up_total Facts that a sink refused, or that alone failed for three days.
# TYPE homing_event_given_up_total counter
homing_event_given_up_total{sink="dead",type="memory"} 0
homing_event_given_up_total{sink="hooks",type="memory"} 1
# HELP homing_event_lag_seconds Age of the oldest fact that a sink waits for.
# TYPE homing_event_lag_seconds gauge
homing_event_lag_seconds{sink="dead",type="memory"} 1.3
homing_event_lag_seconds{sink="hooks",type="memory"} 0
# HELP homing_event_parked_facts Facts that alone keep failing at a sink, and those behind them.
# TYPE homing_event_parked_facts gauge
homing_event_parked_facts{sink="dead",type="memory"} 5
homing_event_parked_facts{sink="hooks",type="memory"} 1
# HELP homing_event_sink_working Whether a sink takes facts (1), or fails or is paused (0).
# TYPE homing_event_sink_working gauge
homing_event_sink_working{sink="dead",type="memory"} 0
homing_event_sink_working{sink="hooks",type="memory"} 1
# HELP homing_event_told_total Facts that sinks took.
# TYPE homing_event_told_total counter
homing_event_told_total{sink="dead",type="memory"} 0
homing_event_told_total{sink="hooks",type="memory"} 4
`
		err := testutil.GatherAndCompare(reg, strings.NewReader(want), "homing_event_given_up_total", "homing_event_lag_seconds",
			"homing_event_parked_facts", "homing_event_sink_working", "homing_event_told_total")
		if err != nil {
			t.Error(err)
		}
		if n := testutil.CollectAndCount(reg, "homing_event_failures_total"); n != 2 {
			t.Errorf("homing_event_failures_total has %d series, want one a sink", n)
		}
	})
}
