package config

import (
	"slices"
	"strings"
)

// answers checks where what people write back goes.
func (c *checker) answers() {
	for i := range c.c.Applications {
		a := &c.c.Applications[i]
		if a.Kind == Mailman {
			c.mailman(*a, at("application", i, "sinks"))
		}
		c.repliesTo(a, at("application", i, "replies_to"))
		if a.Replies == RepliesForward {
			c.twice(*a, at("application", i, "replies"))
		}
	}
}

// repliesTo checks who gets replies to a mailing whose author is not known. That
// is somebody whose mail does not come here.
func (c *checker) repliesTo(a *Application, path string) {
	if a.RepliesTo == "" || c.hasFailed(strings.TrimSuffix(path, "_to")) {
		return
	}
	if a.Replies != RepliesForward {
		c.errorf(path, `counts for replies = "forward" only; write that, or remove it`)
		return
	}
	c.mailbox(&a.RepliesTo, path)
	if _, domain, _ := strings.Cut(a.RepliesTo, "@"); !c.hasFailed(path) && c.readHere(a.RepliesTo, domain) {
		c.errorf(path, "mail to %s comes here, where nobody reads it; write the address of a mailbox somewhere else", a.RepliesTo)
	}
}

// readHere reports whether mail to an address is taken for what comes back, or
// has a route.
func (c *checker) readHere(address, domain string) bool {
	local, _, _ := strings.Cut(strings.ToLower(address), "@")
	routed := func(r Route) bool {
		at, of, _ := strings.Cut(r.Address, "@")
		rest, ok := strings.CutPrefix(local, at)
		return of == domain && (at == "*" || ok && (rest == "" || rest[0] == '+' || rest[0] == '-'))
	}
	return domain == c.c.Hostname ||
		slices.ContainsFunc(c.c.Domains, func(d Domain) bool { return strings.HasSuffix(d.ReturnPath, "@"+domain) }) ||
		slices.ContainsFunc(c.c.Routes, routed)
}

// twice warns where CiviCRM, which hears of replies, sends them on itself.
func (c *checker) twice(a Application, path string) {
	for _, s := range c.sinksOf(a) {
		if s.Type == SinkCiviCRM && a.Kind == CiviCRM {
			c.warnf(path, `CiviCRM hears of replies too (sink %s), and forwards those to mailings with "Forward Replies": their sender would get each twice; untick that in CiviCRM's mailings (Tracking), or leave replies out`, s.Name)
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
