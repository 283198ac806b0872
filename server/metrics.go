package server

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"homing/verp"
)

// Metrics counts what the two flows refuse and cannot place. Labels take few
// values by construction.
type Metrics struct {
	refused       *prometheus.CounterVec
	mistakes      *prometheus.CounterVec
	forgotten     prometheus.Counter
	unsubscribed  *prometheus.CounterVec
	injected      *prometheus.CounterVec
	authenticated *prometheus.CounterVec
	replies       *prometheus.CounterVec
}

// NewMetrics makes the metrics and registers them with r, if r is not nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_server_recipients_refused_total",
			Help: "Recipients refused on the return channel, by why: unknown, forged, expired."}, []string{"why"}),
		mistakes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_server_mistakes_total",
			Help: "Mail of applications put off for something an operator must mend, by what: client, sender, quota, disk."}, []string{"what"}),
		forgotten: prometheus.NewCounter(prometheus.CounterOpts{Name: "homing_server_forgotten_total",
			Help: "Mail to genuine return addresses whose delivery is no longer known."}),
		unsubscribed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_server_unsubscribes_total",
			Help: "Wishes to get no more mail that came by our List-Unsubscribe, by way: link, mail."}, []string{"way"}),
		injected: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_server_injected_messages_total",
			Help: "Messages handed over by HTTP, by what came of them: accepted, repeated (an idempotency key seen before), refused, failed."}, []string{"outcome"}),
		authenticated: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_server_inbound_authentication_total",
			Help: "Mail to be filed and replies to be passed on, by what DMARC says of its From domain: pass, aligned (SPF or DKIM passes, and there is no record or it cannot be looked up), fail, none, temperror, permerror."}, []string{"result"}),
		replies: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_server_replies_total",
			Help: "Replies to mail of applications that want them passed on, by what came of it: passed, or not because of machine (no person has written it), loop (it was here before), own (whoever would get it has written it), nobody (it is not known who would get it), forged (it fails the DMARC policy of the domain that it claims to be from)."}, []string{"outcome"}),
	}
	if r != nil {
		r.MustRegister(m.refused, m.mistakes, m.forgotten, m.unsubscribed, m.injected, m.authenticated, m.replies)
	}
	return m
}

// refuse counts a recipient that was refused, by the error of verp.Decode.
func (m *Metrics) refuse(err error) {
	why := "unknown"
	switch {
	case errors.Is(err, verp.ErrForged):
		why = "forged"
	case errors.Is(err, verp.ErrExpired):
		why = "expired"
	}
	m.refused.WithLabelValues(why).Inc()
}
