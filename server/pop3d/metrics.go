package pop3d

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what a Server does. Labels are words that are listed here. The
// methods of a nil Metrics do nothing.
type Metrics struct {
	connections, logins *prometheus.CounterVec
	messages            *prometheus.CounterVec
}

// NewMetrics makes the metrics and registers them with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_pop3d_" + name, Help: help}, []string{label})
	}
	m := &Metrics{
		connections: counter("connections_total",
			"Connections that came, by what became of them: admitted, address (too many from one address), total (too many in all) or tls (handshake failed).", "outcome"),
		logins: counter("logins_total",
			"Logins by what became of them: opened, password (wrong), blocked (too many wrong ones from the address), in_use (somebody else reads the mailbox) or refused (no mailbox for that application).", "outcome"),
		messages: counter("messages_total", "Messages that were fetched or deleted.", "what"),
	}
	r.MustRegister(m.connections, m.logins, m.messages)
	return m
}

func (m *Metrics) connection(outcome string) {
	if m != nil {
		m.connections.WithLabelValues(outcome).Inc()
	}
}

func (m *Metrics) login(outcome string) {
	if m != nil {
		m.logins.WithLabelValues(outcome).Inc()
	}
}

func (m *Metrics) fetched() {
	if m != nil {
		m.messages.WithLabelValues("fetched").Inc()
	}
}

func (m *Metrics) removed(n int) {
	if m != nil {
		m.messages.WithLabelValues("deleted").Add(float64(n))
	}
}
