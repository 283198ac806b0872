package spool

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what comes out of the spool. A nil *Metrics counts nothing.
type Metrics struct {
	handled *prometheus.CounterVec
	files   *prometheus.GaugeVec
}

// NewMetrics makes the metrics and registers them with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		handled: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_spool_taken_total",
			Help: "Times that mail of the spool was handled, by outcome: accepted, deferred, refused."}, []string{"outcome"}),
		files: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "homing_spool_files",
			Help: "Mail that lies in the spool after it was tried, by state: waiting, refused."}, []string{"state"}),
	}
	r.MustRegister(m.handled, m.files)
	m.lie(0, 0)
	return m
}

func (m *Metrics) taken(outcome string) {
	if m != nil {
		m.handled.WithLabelValues(outcome).Inc()
	}
}

func (m *Metrics) lie(waiting, refused int) {
	if m != nil {
		m.files.WithLabelValues(Waiting).Set(float64(waiting))
		m.files.WithLabelValues(Refused).Set(float64(refused))
	}
}
