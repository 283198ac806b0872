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
	shown  map[[2]string]bool // checks and subjects that have a status
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

// show shows a result. What is still checked is there all the time: a scrape
// must not find it gone.
func (m *metrics) show(r Result) {
	shown := map[[2]string]bool{}
	for _, f := range r.Findings {
		labels := [2]string{f.Check, f.Subject}
		if !shown[labels] { // the first one is the worst
			m.status.WithLabelValues(f.Check, f.Subject).Set(levels[f.Verdict])
		}
		shown[labels] = true
	}
	for labels := range m.shown {
		if !shown[labels] {
			m.status.DeleteLabelValues(labels[0], labels[1])
		}
	}
	m.shown = shown
	m.last.Set(float64(r.Time.UnixMilli()) / 1000)
	m.took.Set(r.Took)
}
