package selfcheck

import (
	"github.com/prometheus/client_golang/prometheus"

	"homing/dnscheck"
)

// metrics show the newest result.
type metrics struct {
	status *prometheus.GaugeVec
	last   prometheus.Gauge
	took   prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		status: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "homing_check_status",
			Help: "How each check of the last run ended: 0 ok, 1 warn, 2 fail, -1 skipped."}, []string{"check", "subject"}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{Name: "homing_check_last_run_timestamp_seconds",
			Help: "When the last self-check ended, in seconds since 1970; 0: there was none."}),
		took: prometheus.NewGauge(prometheus.GaugeOpts{Name: "homing_check_duration_seconds", Help: "How long the last self-check took."}),
	}
	if reg != nil {
		reg.MustRegister(m.status, m.last, m.took)
	}
	return m
}

var levels = map[dnscheck.Verdict]float64{dnscheck.OK: 0, dnscheck.Warn: 1, dnscheck.Fail: 2, dnscheck.Skipped: -1}

func (m *metrics) show(r Result) {
	m.status.Reset()
	for _, f := range r.Findings {
		m.status.WithLabelValues(f.Check, f.Subject).Set(levels[f.Verdict])
	}
	m.last.Set(float64(r.Time.UnixMilli()) / 1000)
	m.took.Set(r.Took)
}
