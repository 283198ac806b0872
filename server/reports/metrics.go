package reports

import (
	"github.com/prometheus/client_golang/prometheus"

	"homing/internal/aggregate"
)

// busy is why a report was not read besides those of aggregate: others took
// too long.
const busy aggregate.Reason = "busy"

// metrics counts what reports claim. Domains are ours alone.
type metrics struct {
	reports  *prometheus.CounterVec
	unread   *prometheus.CounterVec
	messages *prometheus.CounterVec
	sessions *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_reports_received_total",
			Help: "Reports that were read, by kind (dmarc, tls) and outcome: kept, repeated, foreign (not about us), dated (too old), crowded (too many)."}, []string{"kind", "outcome"}),
		unread: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_reports_unread_total",
			Help: "Attachments and mails at the address for reports that are not understood, by why."}, []string{"reason"}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_reports_dmarc_messages_total",
			Help: "Messages in the name of a domain of ours, by source (own: our address or our signature, other) and whether they pass DMARC, as receivers claim."},
			[]string{"domain", "source", "result"}),
		sessions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_reports_tls_sessions_total",
			Help: "Sessions with the mail hosts of a domain of ours, by whether TLS went well (good, failed), as senders claim."}, []string{"domain", "result"}),
	}
	if r != nil {
		r.MustRegister(m.reports, m.unread, m.messages, m.sessions)
	}
	for _, reason := range aggregate.Reasons {
		m.unread.WithLabelValues(string(reason)) // from 0 on, so that the first one is seen
	}
	return m
}

// count counts what has become durable.
func (m *metrics) count(b *batch) {
	for _, o := range b.outcomes {
		m.reports.WithLabelValues(o.kind, o.outcome).Inc()
	}
	word := func(is bool, yes, no string) string {
		if is {
			return yes
		}
		return no
	}
	for _, c := range b.counted {
		if c.kind == kindTLS {
			m.sessions.WithLabelValues(c.domain, word(c.pass, "good", "failed")).Add(float64(c.n))
			continue
		}
		m.messages.WithLabelValues(c.domain, word(c.own, "own", "other"), word(c.pass, "pass", "fail")).Add(float64(c.n))
	}
}
