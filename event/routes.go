package event

import "slices"

// Routes says which sinks hear of a fact: those that the fact names itself,
// else those of its application, else those of its domain. What belongs to
// neither (checks, incidents of the whole server) goes to Rest. Routes are
// read by many goroutines: do not change the maps while a Teller runs.
type Routes struct {
	Applications map[string][]string // names of sinks by application
	Domains      map[string][]string // names of sinks by domain
	Rest         []string
}

// Sinks gives the names of the sinks that hear of a fact.
func (r Routes) Sinks(e Event) []string {
	switch {
	case len(e.To) > 0:
		return e.To
	case len(r.Applications[e.Application]) > 0:
		return r.Applications[e.Application]
	case e.Application == "" && e.Domain == "":
		return r.Rest
	}
	return r.Domains[e.Domain]
}

// Wants reports whether the named sink hears of a fact.
func (r Routes) Wants(sink string, e Event) bool { return slices.Contains(r.Sinks(e), sink) }
