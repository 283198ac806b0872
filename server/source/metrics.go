package source

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what Sources do. Labels are their names and words that are
// listed here. The methods of a nil Metrics do nothing.
type Metrics struct {
	watched         *prometheus.GaugeVec
	mails, failures *prometheus.CounterVec
}

// NewMetrics makes the metrics and registers them with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		watched: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "homing_source_watched",
			Help: "Whether a folder at another server is watched (1), or cannot be (0)."}, []string{"source"}),
		mails: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_source_mails_total",
			Help: "Mails of a folder by what became of them: taken, ignored (it will never be taken) or deferred (it stays there and is tried again)."}, []string{"source", "outcome"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_source_failures_total",
			Help: "Times that a folder could not be watched any more, by the step that failed: connect, login, folder or watch (a connection that had worked)."}, []string{"source", "step"}),
	}
	r.MustRegister(m.watched, m.mails, m.failures)
	return m
}

func (m *Metrics) appear(source string) {
	if m != nil {
		m.watched.WithLabelValues(source).Set(0)
	}
}

// Vanish forgets a source that there is no more.
func (m *Metrics) Vanish(source string) {
	if m != nil {
		labels := prometheus.Labels{"source": source}
		m.watched.DeletePartialMatch(labels)
		m.mails.DeletePartialMatch(labels)
		m.failures.DeletePartialMatch(labels)
	}
}

func (m *Metrics) connected(source string, yes bool) {
	if m == nil {
		return
	}
	v := 0.0
	if yes {
		v = 1
	}
	m.watched.WithLabelValues(source).Set(v)
}

func (m *Metrics) mail(source, outcome string) {
	if m != nil {
		m.mails.WithLabelValues(source, outcome).Inc()
	}
}

func (m *Metrics) failed(source string, step Step) {
	if m != nil {
		m.failures.WithLabelValues(source, string(step)).Inc()
	}
}
