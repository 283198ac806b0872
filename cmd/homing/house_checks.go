package main

import (
	"context"
	"crypto/tls"

	"homing/dnscheck"
	"homing/event"
	"homing/server/selfcheck"
)

// lookAfter makes what checks the server itself.
func (h *house) lookAfter(ctx context.Context) (err error) {
	h.checker, err = selfcheck.New(ctx, selfcheck.Config{
		Checks: h.checks, Notes: h.store, Log: h.log, Metrics: h.metrics,
		Tell: func(ctx context.Context, events ...event.Event) error { return h.queue.Tell(ctx, nil, events...) },
	})
	if err != nil {
		return err
	}
	h.loop = h.newLoop()
	h.checker.SetInterval(h.cfg.Check.Interval)
	return nil
}

// checks are all checks of the server.
func (h *house) checks() []selfcheck.Check {
	cfg := h.live.Load()
	n, err := newInspection(cfg, h.shown, h.policies.Fetch)
	if err != nil { // it cannot be, after the configuration was checked
		return []selfcheck.Check{one("setup", func(context.Context) dnscheck.Finding {
			return dnscheck.Finding{Check: selfcheck.Unfinished, Subject: "setup", Verdict: dnscheck.Skipped, Found: err.Error()}
		})}
	}
	all := append(n.checks(), h.loopChecks(cfg)...)
	all = append(all, h.crmChecks(cfg)...)
	all = append(all, h.mailboxChecks(cfg)...)
	all = append(all, h.sourceChecks()...)
	way := n.way()
	for _, a := range n.listens() {
		all = append(all, selfcheck.Check{Name: "incoming_port " + a.String(), Run: func(ctx context.Context) []dnscheck.Finding { return way.Ourselves(ctx, h.server, a) }})
	}
	return all
}

// shown is the certificate that is shown to whom calls us by a name; nil: none.
func (h *house) shown(name string) (*tls.Certificate, error) {
	t := h.tls()
	if t == nil {
		return nil, nil
	}
	return t.GetCertificate(&tls.ClientHelloInfo{ServerName: name})
}
