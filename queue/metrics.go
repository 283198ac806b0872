package queue

import (
	"github.com/prometheus/client_golang/prometheus"

	"homing/event"
)

// Metrics counts what becomes of recipients. Labels take few values by
// construction: never an address, a domain or a reply text.
type Metrics struct {
	outcomes *prometheus.CounterVec
	verdicts *prometheus.CounterVec
	holds    *prometheus.CounterVec
	reports  *prometheus.CounterVec
	backoffs *prometheus.CounterVec
	waiting  prometheus.Gauge
	slots    prometheus.Gauge
	pauses   prometheus.Gauge
}

// NewMetrics makes the metrics and registers them with r, if r is not nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_queue_outcomes_total",
			Help: "What became of recipients: accepted, delivered, deferred, bounced, expired, suppressed, captured, cancelled."}, []string{"outcome"}),
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_queue_verdicts_total",
			Help: "What failures and reports meant, by class and reason."}, []string{"class", "reason"}),
		holds: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_queue_holds_total",
			Help: "What evidence did to holds: counting, provisional, held, released."}, []string{"effect"}),
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_queue_reports_total",
			Help: "Messages that came to a return address, by kind."}, []string{"kind"}),
		backoffs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_queue_backoffs_total",
			Help: "How often a site was left alone for a while because it asked to, by reason."}, []string{"reason"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{Name: "homing_queue_waiting_recipients",
			Help: "Recipients that wait for delivery or are being delivered."}),
		slots: prometheus.NewGauge(prometheus.GaugeOpts{Name: "homing_queue_busy_slots",
			Help: "Delivery slots in use."}),
		pauses: prometheus.NewGauge(prometheus.GaugeOpts{Name: "homing_queue_standing_pauses",
			Help: "Pauses in force of a domain, a provider, an application or a campaign."}),
	}
	if r != nil {
		r.MustRegister(m.outcomes, m.backoffs, m.verdicts, m.holds, m.reports, m.waiting, m.slots, m.pauses)
	}
	return m
}

// count is the single place where a committed fact becomes a number.
func (m *Metrics) count(events []event.Event) {
	for _, e := range events {
		switch e.Type {
		case event.Held:
			m.holds.WithLabelValues("held").Inc()
			continue
		case event.Released:
			m.holds.WithLabelValues("released").Inc()
			continue
		case event.Accepted, event.Delivered, event.Suppressed, event.Captured, event.Cancelled:
			m.outcomes.WithLabelValues(string(e.Type)).Inc()
			continue
		case event.Deferred, event.Bounced, event.Expired:
			m.outcomes.WithLabelValues(string(e.Type)).Inc()
			m.verdicts.WithLabelValues(e.Class, e.Reason).Inc()
		}
		if e.Hold != nil && (e.Hold.State == "counting" || e.Hold.State == "provisional") {
			m.holds.WithLabelValues(e.Hold.State).Inc()
		}
	}
}
