package delivery

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"homing/queue"
)

// Metrics counts what delivery does. Labels take few values by construction:
// never an address, a domain or a reply text.
type Metrics struct {
	attempts    *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	sessions    *prometheus.CounterVec
	connections prometheus.Gauge
	reused      prometheus.Counter
	plain       prometheus.Counter
}

// NewMetrics makes the metrics and registers them with r, if r is not nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_delivery_attempts_total",
			Help: "Attempts that ended, by outcome: delivered (2xx), deferred (4xx), refused (5xx)."}, []string{"outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "homing_delivery_duration_seconds",
			Help:    "How long an attempt took, by the version of TLS in use.",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1200}}, []string{"tls"}),
		sessions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_delivery_sessions_total",
			Help: "Connections to next hops over which mail could be sent, by what the host had proved: plain (no TLS), none, pkix, mta-sts, dane."}, []string{"verified"}),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{Name: "homing_delivery_connections",
			Help: "Connections to next hops that are open, busy or idle."}),
		reused: prometheus.NewCounter(prometheus.CounterOpts{Name: "homing_delivery_connections_reused_total",
			Help: "Idle connections that another job went on with."}),
		plain: prometheus.NewCounter(prometheus.CounterOpts{Name: "homing_delivery_windows_dropped_total",
			Help: "Listed sites at which whole transactions went wrong, so that they get one after the other for a day."}),
	}
	if r != nil {
		r.MustRegister(m.attempts, m.seconds, m.sessions, m.connections, m.reused, m.plain)
	}
	return m
}

// outcome is the label for a result.
func outcome(r queue.Result) string {
	switch {
	case r.Reply.Positive():
		return "delivered"
	case r.Reply.Permanent():
		return "refused"
	}
	return "deferred"
}

// report is the single place where an attempt becomes a count and a log line.
func (m *Metrics) report(ctx context.Context, log *slog.Logger, it queue.Item, r queue.Result) {
	secure := r.TLS.Version
	if secure == "" {
		secure = "none"
	}
	m.attempts.WithLabelValues(outcome(r)).Inc()
	m.seconds.WithLabelValues(secure).Observe(r.Took.Seconds())
	if !log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	attrs := []slog.Attr{slog.String("item", it.Delivery.String()), slog.String("rcpt", it.Recipient.Address),
		slog.String("outcome", outcome(r)), slog.String("mx", r.RemoteMTA), slog.String("stage", string(r.Stage)),
		slog.Int("code", r.Reply.Code), slog.String("status", r.Reply.Enhanced.String()), slog.String("tls", r.TLS.Version),
		slog.String("cipher", r.TLS.Cipher), slog.String("verified", r.TLS.Verified), slog.Duration("took", r.Took)}
	if r.Cause != nil {
		attrs = append(attrs, slog.Any("err", r.Cause))
	}
	log.LogAttrs(ctx, slog.LevelInfo, "attempt ended", attrs...)
}
