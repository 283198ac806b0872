package web

import "github.com/prometheus/client_golang/prometheus"

// Counts counts who was refused. Those of a nil Counts count nothing.
type Counts struct {
	tokens *prometheus.CounterVec
}

// NewCounts makes the metrics and registers them with r, if r is not nil.
func NewCounts(r prometheus.Registerer) *Counts {
	c := &Counts{tokens: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_web_tokens_refused_total",
		Help: "Requests over HTTP that were refused for their token, by why: token (nobody's, or expired), limited (too many wrong ones), application (it was taken out of the configuration), scope (the token may not do this)."}, []string{"why"})}
	if r != nil {
		r.MustRegister(c.tokens)
	}
	return c
}

func (c *Counts) refused(why string) {
	if c != nil {
		c.tokens.WithLabelValues(why).Inc()
	}
}
