package certs

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count what becomes of certificates. The label name is one of those
// that the configuration has.
type Metrics struct {
	renewals *prometheus.CounterVec
}

// NewMetrics makes metrics and registers them; nil: nowhere.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{renewals: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "homing_tls_renewals_total", Help: "Certificates that the authority was asked for, by outcome: obtained or failed."}, []string{"outcome"})}
	if r != nil {
		r.MustRegister(m.renewals)
	}
	return m
}

// An expiry shows how long certificates are valid.
type expiry struct {
	source Source
	names  func() []string
	now    func() time.Time
	left   *prometheus.Desc
}

// Expiry shows how long the certificates of a Source for some names are valid.
func Expiry(s Source, names func() []string, now func() time.Time) prometheus.Collector {
	return &expiry{s, names, now, prometheus.NewDesc("homing_tls_certificate_expiry_seconds",
		"Seconds until the certificate that is shown for a name ends; below zero it has.", []string{"name"}, nil)}
}

func (e *expiry) Describe(to chan<- *prometheus.Desc) { to <- e.left }

func (e *expiry) Collect(to chan<- prometheus.Metric) {
	for _, name := range e.names() {
		left := e.source.Show(name).Leaf.NotAfter.Sub(e.now())
		to <- prometheus.MustNewConstMetric(e.left, prometheus.GaugeValue, left.Seconds(), name)
	}
}
