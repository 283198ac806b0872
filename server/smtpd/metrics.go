package smtpd

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what listeners do. Labels take few values by construction:
// the kind of the listener, names of commands that we know, and words that are
// listed here. Never an address, a name or a text of a peer. The methods of a
// nil Metrics do nothing.
type Metrics struct {
	Connections  *prometheus.CounterVec // homing_smtpd_connections_total{listener,outcome}
	Open         *prometheus.GaugeVec   // homing_smtpd_open_connections{listener}
	Refused      *prometheus.CounterVec // homing_smtpd_refused_commands_total{listener,command}
	AuthFailures *prometheus.CounterVec // homing_smtpd_auth_failures_total{listener}
	Messages     *prometheus.CounterVec // homing_smtpd_messages_total{listener,outcome}
	Faults       *prometheus.CounterVec // homing_smtpd_faults_total{listener}
}

// NewMetrics makes the collectors and registers them with r, whose error it
// returns. One Metrics serves all listeners.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_smtpd_" + name, Help: help}, labels)
	}
	m := &Metrics{
		Connections: counter("connections_total",
			"Connections that came, by what became of them: admitted, address (too many from one address), total (too many in all), tls (handshake failed, also after STARTTLS) or refused (by policy).",
			"listener", "outcome"),
		Open: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "homing_smtpd_open_connections", Help: "Connections that are open now."},
			[]string{"listener"}),
		Refused: counter("refused_commands_total",
			"Commands that were answered with 4xx or 5xx; other is a line that is no command.", "listener", "command"),
		AuthFailures: counter("auth_failures_total", "AUTH commands that ended without a login.", "listener"),
		Messages: counter("messages_total",
			"Messages that began to come, by their answer: accepted, deferred (4xx), refused (5xx) or lost (the connection broke before the end).",
			"listener", "outcome"),
		Faults: counter("faults_total", "Dialogues that ended because of a mistake of ours, each with a line in the log.", "listener"),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.Connections, m.Open, m.Refused, m.AuthFailures, m.Messages, m.Faults} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *Metrics) connection(k Kind, outcome string) {
	if m != nil {
		m.Connections.WithLabelValues(k.String(), outcome).Inc()
	}
}

func (m *Metrics) open(k Kind, change float64) {
	if m != nil {
		m.Open.WithLabelValues(k.String()).Add(change)
	}
}

func (m *Metrics) refused(k Kind, command string) {
	if m != nil {
		m.Refused.WithLabelValues(k.String(), command).Inc()
	}
}

func (m *Metrics) authFailed(k Kind) {
	if m != nil {
		m.AuthFailures.WithLabelValues(k.String()).Inc()
	}
}

func (m *Metrics) message(k Kind, outcome string) {
	if m != nil {
		m.Messages.WithLabelValues(k.String(), outcome).Inc()
	}
}

func (m *Metrics) fault(k Kind) {
	if m != nil {
		m.Faults.WithLabelValues(k.String()).Inc()
	}
}
