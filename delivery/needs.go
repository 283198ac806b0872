package delivery

import (
	"homing/delivery/mtasts"
	"homing/event"
	"homing/internal/reply"
	"homing/queue"
)

// Needs are what a message asks of the connections that it goes over.
type needs uint8

const (
	asUsual     needs = iota
	requireTLS        // REQUIRETLS (RFC 8689)
	tlsOptional       // "TLS-Required: No" (RFC 8689 section 3)
)

func needsOf(it queue.Item) needs {
	switch {
	case it.Message.RequireTLS:
		return requireTLS
	case it.Message.TLSOptional:
		return tlsOptional
	}
	return asUsual
}

// take takes claimed items into the supply: those with the needs that the
// first ones had. Others are put aside for connections of their own.
func (w *worker) take(items []queue.Item) {
	s := &w.supply
	if w.route == nil && len(items) > 0 {
		w.needs = needsOf(items[0])
	}
	s.waiting = items
	for i, it := range items {
		if needsOf(it) == w.needs {
			continue
		}
		s.waiting = append([]queue.Item{}, items[:i]...) // rarely: items stay as they are
		for _, it := range items[i:] {
			if needsOf(it) == w.needs {
				s.waiting = append(s.waiting, it)
			} else {
				s.aside = append(s.aside, it)
			}
		}
		return
	}
}

// takeTurns makes what was put aside the supply, for connections of its own,
// and reports whether there was anything. What could not be sent because
// connections were lost goes back to the queue, and this with it.
func (w *worker) takeTurns() bool {
	s := &w.supply
	if len(s.aside) == 0 || len(s.begun) > 0 || len(s.waiting) > 0 {
		return false
	}
	aside := s.aside
	s.aside = nil
	w.route, w.hops, w.tired, w.failed, w.current, w.careful = nil, nil, nil, nil, nil, false
	w.take(aside)
	return true
}

func noRequireTLS(format string, args ...any) *queue.Result {
	return ours(reply.EHLO, 550, reply.RequireTLS, format, args...)
}

// require makes terms those of a message that needs TLS (RFC 8689 section 2):
// the name of the host must be beyond doubt, and it must prove that it has it.
func (r *route) require(t *terms, host string) *queue.Result {
	listed := (r.sts.Mode == mtasts.Enforce || r.sts.Mode == mtasts.Testing) && r.sts.Match(host)
	if !r.direct && !r.signed && !listed {
		return noRequireTLS("neither DNSSEC nor MTA-STS says that %s is a mail host of %s, as the message needs (REQUIRETLS)", host, r.domain)
	}
	p := &t.policy
	p.mode, p.proof.required = Require, true
	if p.proof.by == "" || p.proof.by == event.VerifiedNone {
		p.proof.by, p.proof.host = event.VerifiedPKIX, host
	}
	return nil
}
