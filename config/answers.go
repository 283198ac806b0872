package config

import (
	"slices"
	"strings"
)

// answers checks where what people write back goes.
func (c *checker) answers() {
	for i, a := range c.c.Applications {
		if a.Kind == Mailman {
			c.mailman(a, at("application", i, "sinks"))
		}
	}
}

// mailman checks that mail for Mailman itself, where it comes here, can go to it.
func (c *checker) mailman(a Application, path string) {
	if slices.ContainsFunc(c.sinksOf(a), Sink.passesOn) {
		return
	}
	for _, d := range c.c.Domains {
		if slices.Contains(a.Domains, d.Name) && c.receives(d) {
			c.warnf(path, "mail for Mailman itself (LIST-request@%[1]s, LIST-leave@%[1]s and the like) comes here and is refused, because no sink passes it on; write a [[sink]] with name = \"mailman\", type = \"lmtp\" and address = \"127.0.0.1:8024\", and name it here", d.Name)
			return
		}
	}
}

// passesOn reports whether a sink takes mail itself.
func (s Sink) passesOn() bool { return s.Type == SinkLMTP || s.Type == SinkSMTP }

// receives reports whether mail to a domain that mail is sent as comes here,
// as far as the file tells.
func (c *checker) receives(d Domain) bool {
	return strings.HasSuffix(d.ReturnPath, "@"+d.Name) ||
		slices.ContainsFunc(c.c.Routes, func(r Route) bool { return strings.HasSuffix(r.Address, "@"+d.Name) })
}

// sinksOf gives the sinks that hear of an application: its own, else those of
// its domains.
func (c *checker) sinksOf(a Application) (all []Sink) {
	names := a.Sinks
	for _, d := range c.c.Domains {
		if len(a.Sinks) == 0 && slices.Contains(a.Domains, d.Name) {
			names = slices.Concat(names, d.Sinks)
		}
	}
	for _, s := range c.c.Sinks {
		if slices.Contains(names, s.Name) {
			all = append(all, s)
		}
	}
	return all
}
