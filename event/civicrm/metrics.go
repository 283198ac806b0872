package civicrm

import "github.com/prometheus/client_golang/prometheus"

// What is counted of facts, beside what counts for every sink.
const (
	noted    = "noted"    // a failure of ours, not told as a bounce
	found    = "found"    // told before, as the site's tables say
	held     = "held"     // set to "on hold"
	cleared  = "cleared"  // that ended, because the hold did
	released = "released" // released by somebody in CiviCRM

	filed      = "filed"      // a mail became an activity
	introduced = "introduced" // somebody in it became a contact
)

// Metrics counts what the sinks of this kind do. Labels are the names of the
// configured sinks, and words above.
type Metrics struct {
	facts *prometheus.CounterVec // homing_civicrm_facts_total{sink,what}
}

// NewMetrics makes the metrics and registers them with r, if r is not nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{facts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_civicrm_facts_total",
		Help: "What was done with CiviCRM beside telling: our own failures that were only noted, calls that had been applied, holds set, cleared and released, mail filed, people introduced."},
		[]string{"sink", "what"})}
	if r != nil {
		r.MustRegister(m.facts)
	}
	return m
}

func (m *Metrics) fact(sink, what string) { m.facts.WithLabelValues(sink, what).Inc() }
