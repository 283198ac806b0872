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
	"homing/delivery/mtasts"
	"homing/dnscheck"
	"homing/internal/dnsx"
	"homing/server/selfcheck"
)

// An inspection is one run of the checks that need no running server.
type inspection struct {
	cfg   *config.Config
	setup dnscheck.Setup
	lists []dnscheck.List
	// dns is asked in this run alone: whoever has just published a record must
	// not hear for an hour what was remembered before.
	dns   *dnsx.Client
	shown func(name string) (*tls.Certificate, error)
	fetch func(ctx context.Context, domain string) (mtasts.Policy, error)
}

// newInspection prepares a run. Shown gives the certificate for a name (nil:
// there is none), fetch the policy about TLS that a domain serves.
func newInspection(cfg *config.Config, shown func(string) (*tls.Certificate, error), fetch func(context.Context, string) (mtasts.Policy, error)) (*inspection, error) {
	n := &inspection{cfg: cfg, shown: shown, fetch: fetch}
	var errs [3]error
	n.setup, errs[0] = setupOf(cfg)
	n.lists, errs[1] = dnscheck.Lists(cfg.Check.Blocklists)
	n.dns, errs[2] = dnsx.New(dnsOptions(cfg))
	return n, errors.Join(errs[:]...)
}

// one makes a check of one finding.
func one(name string, check func(ctx context.Context) dnscheck.Finding) selfcheck.Check {
	return selfcheck.Check{Name: name, Run: func(ctx context.Context) []dnscheck.Finding { return []dnscheck.Finding{check(ctx)} }}
}

func (n *inspection) checks() []selfcheck.Check {
	all := []selfcheck.Check{
		one("disk", func(context.Context) dnscheck.Finding { return selfcheck.Disk(spaceOf(n.cfg)) }),
		one("clock", func(context.Context) dnscheck.Finding { return selfcheck.Clock(selfcheck.ClockKept()) }),
		one("certificate", n.certificate),
		{Name: "dns", Run: n.names},
		{Name: "blocklist", Run: func(ctx context.Context) []dnscheck.Finding { return dnscheck.Blocklists(ctx, n.dns, n.setup, n.lists) }},
	}
	if n.cfg.Delivery.Smarthost == nil {
		all = append(all, one("outgoing_port", n.outgoing))
	}
	return all
}

// way is how the network is tried.
func (n *inspection) way() selfcheck.Net {
	return selfcheck.Net{Resolver: n.dns, Name: n.cfg.Hostname, Port: uint16(n.cfg.Delivery.Port), Dial: dialFrom(n.cfg)}
}

// listens are the addresses at which the world should reach our MX.
func (n *inspection) listens() []netip.Addr {
	if len(n.cfg.Listen.SMTP) == 0 {
		return nil
	}
	return n.setup.Addresses
}

func (n *inspection) certificate(context.Context) dnscheck.Finding {
	c, err := n.shown(n.cfg.Hostname)
	if err != nil {
		return dnscheck.Finding{Check: "certificate", Subject: n.cfg.Hostname, Verdict: dnscheck.Skipped, Found: err.Error()}
	}
	return selfcheck.Certificate(c, n.cfg.Hostname, nil, mustTrust(n.cfg), time.Now())
}

// outgoing checks the way to the mail hosts of others, as far as mail goes there.
func (n *inspection) outgoing(ctx context.Context) dnscheck.Finding {
	if n.cfg.Mode == config.Capture {
		return n.way().Untried(nothingSent)
	}
	f := n.way().Outgoing(ctx)
	relayed := len(n.cfg.Domains) > 0 && !slices.ContainsFunc(n.cfg.Domains, func(d config.Domain) bool { return d.Smarthost == nil })
	if f.Verdict == dnscheck.Fail && relayed {
		f.Verdict = dnscheck.Warn
		f.Found += "; mail of all domains goes through smarthosts, but reports of the server's own do not"
	}
	return f
}

// names checks what the DNS has of us, with the certificate that is shown now
// and the policies about TLS that are served.
func (n *inspection) names(ctx context.Context) []dnscheck.Finding {
	served := servedPolicies{n.fetch, n.dns.Addrs, n.setup.Addresses, interfaceAddresses()}
	o := dnscheck.Options{Policy: served.of}
	c, _ := n.shown(n.setup.Hostname) // another check says why there is none
	if chain, err := chainOf(c); err == nil {
		o.Pins = func(there []dnsx.TLSA) []dnsx.TLSA { return pinning(there, n.setup, chain) }
	}
	return dnscheck.Run(ctx, n.dns, n.setup, o)
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
