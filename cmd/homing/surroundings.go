package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"homing/dnscheck"
	"homing/hold"
	"homing/internal/dnsx"
	"homing/internal/publicnet"
	"homing/server/selfcheck"
)

// surroundings are what `homing init` finds on the machine and around it.
type surroundings struct {
	ports    []busyPort
	outgoing dnscheck.Finding // whether port 25 of others can be reached; zero: it was not tried
	public   []netip.Addr     // addresses of this machine that the world knows
	leaving  []netip.Addr     // what packets to the world leave from: at most one of each kind
	hidden   netip.Addr       // the IPv4 address of a machine that has no public one; zero: it has one, or no IPv4
	name     string           // what the machine calls itself; "": no full name
	dns      resolver         // nil: nobody is asked
}

// resolver is what `homing init` asks of the DNS.
type resolver interface {
	MX(ctx context.Context, name string) ([]dnsx.MX, error)
	Addrs(ctx context.Context, name string) ([]netip.Addr, error)
}

// blocked reports whether it is certain that mail cannot leave by itself.
func (s *surroundings) blocked() bool { return s.outgoing.Verdict == dnscheck.Fail }

// lookAround looks who has the ports that the server and the web use, and
// whether mail gets out through port 25; with a nil resolver only on the machine
// itself.
func lookAround(ctx context.Context, dns resolver) surroundings {
	s := surroundings{ports: busyPorts("/proc"), public: onlyPublic(interfaceAddresses()), name: ownName(ctx), dns: dns}
	for _, network := range []string{"udp4", "udp6"} {
		if a := outwardAddress(network); a.IsGlobalUnicast() {
			s.leaving = append(s.leaving, a)
		}
	}
	if !slices.ContainsFunc(s.public, netip.Addr.Is4) {
		if i := slices.IndexFunc(s.leaving, func(a netip.Addr) bool { return a.Is4() && a.IsPrivate() }); i >= 0 {
			s.hidden = s.leaving[i]
		}
	}
	if dns != nil {
		way := selfcheck.Net{Resolver: dns, Port: smtpPort, Dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", to.String())
		}}
		ctx, cancel := context.WithTimeout(ctx, lookTime)
		defer cancel()
		s.outgoing = way.Outgoing(ctx)
	}
	return s
}

// lookTime is how long the tries of mail hosts may take together.
const lookTime = 15 * time.Second

// outwardAddress is the address of this machine that packets to the world
// leave from. Nothing is sent for it.
func outwardAddress(network string) netip.Addr {
	to := map[string]string{"udp4": "192.0.2.1:9", "udp6": "[2001:db8::1]:9"}[network]
	c, err := net.Dial(network, to)
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}

// ownName is the full name of this machine; "": it has none that others could
// know it by.
func ownName(ctx context.Context) string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	if !strings.Contains(name, ".") {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		if name, err = net.DefaultResolver.LookupCNAME(ctx, name); err != nil {
			return ""
		}
	}
	name = hold.CanonicalDomain(name)
	if !strings.Contains(name, ".") || slices.ContainsFunc([]string{".localdomain", ".local", ".internal", ".lan", ".home.arpa"},
		func(end string) bool { return strings.HasSuffix(name, end) }) {
		return ""
	}
	return name
}

// nameFor proposes what the server calls itself: the machine's own name where
// it is in the domain's zone or leads here, else a new one in the domain. A name
// that leads to another machine already is left to that one, as the domain's
// own mail often comes to mail.DOMAIN.
func (s *surroundings) nameFor(ctx context.Context, domain string, own []netip.Addr) string {
	if s.name != "" && (s.name == domain || strings.HasSuffix(s.name, "."+domain) || s.leadsHere(ctx, s.name, own)) {
		return s.name
	}
	fallback := "mail." + domain
	if s.dns == nil {
		return fallback
	}
	for _, name := range []string{fallback, "homing." + domain} {
		_, err := s.dns.Addrs(ctx, name)
		if errors.Is(err, dnsx.ErrNoName) || errors.Is(err, dnsx.ErrNoData) || s.leadsHere(ctx, name, own) {
			return name
		}
		if err != nil {
			return fallback // nobody knows now
		}
	}
	return "homing1." + domain
}

func (s *surroundings) leadsHere(ctx context.Context, name string, own []netip.Addr) bool {
	if s.dns == nil {
		return false
	}
	found, _ := s.dns.Addrs(ctx, name)
	return slices.ContainsFunc(found, func(a netip.Addr) bool { return slices.Contains(own, a) })
}

// addressOf is the public IPv4 address that the DNS has for a name; zero: none.
func (s *surroundings) addressOf(ctx context.Context, name string) netip.Addr {
	if s.dns == nil {
		return netip.Addr{}
	}
	found, _ := s.dns.Addrs(ctx, name)
	for _, a := range found {
		if a.Is4() && publicnet.Address(a) {
			return a
		}
	}
	return netip.Addr{}
}
