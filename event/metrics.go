package event

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what sinks are told. Labels are the names and kinds of the
// configured sinks.
type Metrics struct {
	told, failed, givenUp *prometheus.CounterVec // by sink, type
	gauges                *gauges
}

// NewMetrics makes the metrics and registers them with r, if r is not nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	labels := []string{"sink", "type"}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, labels, nil) }
	m := &Metrics{
		told:    counter("homing_event_told_total", "Facts that sinks took."),
		failed:  counter("homing_event_failures_total", "Tellings that failed and are tried again."),
		givenUp: counter("homing_event_given_up_total", "Facts that a sink refused, or that alone failed for three days."),
		gauges: &gauges{
			lag:     gauge("homing_event_lag_seconds", "Age of the oldest fact that a sink waits for."),
			parked:  gauge("homing_event_parked_facts", "Facts that alone keep failing at a sink, and those behind them."),
			working: gauge("homing_event_sink_working", "Whether a sink takes facts (1), or fails or is paused (0)."),
		},
	}
	if r != nil {
		r.MustRegister(m.told, m.failed, m.givenUp, m.gauges)
	}
	return m
}

type sinkMetrics struct{ told, failed, givenUp prometheus.Counter }

func (m *Metrics) of(s Sink) sinkMetrics {
	l := []string{s.Name(), s.Kind()}
	return sinkMetrics{m.told.WithLabelValues(l...), m.failed.WithLabelValues(l...), m.givenUp.WithLabelValues(l...)}
}

// gauges are read when they are asked for: a lag grows by itself.
type gauges struct {
	lag, parked, working *prometheus.Desc

	mu    sync.Mutex
	feeds []*feed
}

func (g *gauges) show(feeds []*feed) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.feeds = feeds
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	to <- g.lag
	to <- g.parked
	to <- g.working
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	g.mu.Lock()
	feeds := g.feeds
	g.mu.Unlock()
	for _, f := range feeds {
		s := f.status()
		working := 0.0
		if s.State == Working {
			working = 1
		}
		for d, v := range map[*prometheus.Desc]float64{g.lag: s.Lag.Seconds(), g.parked: float64(s.Parked), g.working: working} {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, s.Name, s.Kind)
		}
	}
}
