package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"homing/config"
	"homing/dnscheck"
	"homing/event"
	"homing/internal/dnsx"
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
	one := func(name string, check func(ctx context.Context) dnscheck.Finding) selfcheck.Check {
		return selfcheck.Check{Name: name, Run: func(ctx context.Context) []dnscheck.Finding { return []dnscheck.Finding{check(ctx)} }}
	}
	way := selfcheck.Net{Resolver: h.dns, Name: cfg.Hostname, Port: uint16(cfg.Delivery.Port), Dial: dialFrom(cfg)}
	all := []selfcheck.Check{
		one("disk", func(context.Context) dnscheck.Finding { return selfcheck.Disk(spaceOf(cfg)) }),
		one("clock", func(context.Context) dnscheck.Finding { return selfcheck.Clock(selfcheck.ClockKept()) }),
		one("certificate", func(context.Context) dnscheck.Finding {
			return selfcheck.Certificate(h.shown(cfg.Hostname), cfg.Hostname, nil, mustTrust(cfg), time.Now())
		}),
	}
	if cfg.Delivery.Smarthost == nil {
		all = append(all, one("outgoing_port", way.Outgoing))
	}
	all = append(all, h.loopChecks(cfg)...)
	all = append(all, h.crmChecks(cfg)...)
	setup, err := setupOf(cfg)
	lists, err2 := dnscheck.Lists(cfg.Check.Blocklists)
	if err = errors.Join(err, err2); err != nil { // neither can be, after the configuration was checked
		return append(all, one("setup", func(context.Context) dnscheck.Finding {
			return dnscheck.Finding{Check: selfcheck.Unfinished, Subject: "setup", Verdict: dnscheck.Skipped, Found: err.Error()}
		}))
	}
	all = append(all, selfcheck.Check{Name: "dns", Run: func(ctx context.Context) []dnscheck.Finding { return h.checkNames(ctx, setup) }}, selfcheck.Check{Name: "blocklist", Run: func(ctx context.Context) []dnscheck.Finding {
		return dnscheck.Blocklists(ctx, h.dns, setup, lists)
	}})
	if len(cfg.Listen.SMTP) > 0 {
		for _, a := range setup.Addresses {
			all = append(all, selfcheck.Check{Name: "incoming_port " + a.String(), Run: func(ctx context.Context) []dnscheck.Finding { return way.Ourselves(ctx, h.server, a) }})
		}
	}
	return all
}

// checkNames checks what the DNS has of us, with the certificate that is shown
// now and the policies about TLS that are served.
func (h *house) checkNames(ctx context.Context, s dnscheck.Setup) []dnscheck.Finding {
	served := servedPolicies{h.policies.Fetch, h.dns.Addrs, s.Addresses, interfaceAddresses()}
	o := dnscheck.Options{Policy: served.of}
	if chain, err := chainOf(h.shown(s.Hostname)); err == nil {
		o.Pins = func(there []dnsx.TLSA) []dnsx.TLSA { return pinning(there, s, chain) }
	}
	return dnscheck.Run(ctx, h.dns, s, o)
}

// dialFrom connects as mail does: from one of the addresses that we send from.
func dialFrom(cfg *config.Config) func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		var d net.Dialer
		for _, a := range cfg.Delivery.SourceAddresses {
			if a.Is4() == to.Addr().Unmap().Is4() {
				d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, 0))
				break
			}
		}
		return d.DialContext(ctx, "tcp", to.String())
	}
}

// spaceOf is the disk that data_dir is on.
func spaceOf(cfg *config.Config) (selfcheck.Space, error) {
	s := selfcheck.Space{Path: cfg.DataDir}
	var fs unix.Statfs_t
	err := unix.Statfs(cfg.DataDir, &fs)
	s.Free, s.Reserve = fs.Bavail*uint64(fs.Bsize), cfg.Limits.DiskReserve.Of(fs.Blocks*uint64(fs.Bsize))
	return s, err
}

// mustTrust reports whether somebody has to trust our certificate: applications
// that log in over the network, those who ask for a policy, or nobody until an
// operator wanted one that is trusted.
func mustTrust(cfg *config.Config) bool {
	over := slices.ContainsFunc(cfg.Listen.Submission, func(a config.Address) bool { return !a.Loopback() })
	return over || len(cfg.Listen.Submissions) > 0 || len(cfg.Listen.HTTPS) > 0 || cfg.TLS.Trusted()
}

// shown is the certificate that is shown to whom calls us by a name; nil: none.
func (h *house) shown(name string) *tls.Certificate {
	t := h.tls()
	if t == nil {
		return nil
	}
	c, err := t.GetCertificate(&tls.ClientHelloInfo{ServerName: name})
	if err != nil {
		return nil
	}
	return c
}
