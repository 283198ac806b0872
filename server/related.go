package server

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"homing/hold"
	"homing/internal/dnsx"
)

// Names is the part of the DNS that tells who a peer is. dnsx.Resolver is one.
type Names interface {
	PTR(ctx context.Context, ip netip.Addr) ([]string, error)
	Addrs(ctx context.Context, name string) ([]netip.Addr, error)
}

// relatedTimeout bounds what is asked of the DNS while a peer waits behind
// its dot.
const relatedTimeout = 3 * time.Second

// A peer is who hands mail in. The zero peer is a stranger.
type peer struct {
	name  string   // "mx.example.net[198.51.100.7]"
	hosts []string // its forward-confirmed reverse names
}

// identify asks the DNS who a peer is. One that does not answer makes a
// stranger of it.
func identify(ctx context.Context, dns Names, addr net.Addr) peer {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return peer{}
	}
	ip, _ := netip.AddrFromSlice(tcp.IP)
	ip = ip.Unmap()
	ctx, cancel := context.WithTimeout(ctx, relatedTimeout)
	defer cancel()
	p := peer{name: "[" + ip.String() + "]", hosts: confirmed(ctx, dns, ip)}
	if len(p.hosts) > 0 {
		p.name = p.hosts[0] + p.name
	}
	return p
}

// related reports whether a peer is related to a delivery: whether one of its
// names is in the organisational domain of the MX that took the mail, or of
// the recipient.
func (p peer) related(mta, recipient string) bool {
	_, domain := split(recipient)
	return slices.ContainsFunc(p.hosts, func(host string) bool {
		return sameOrganisation(host, domain) || sameOrganisation(host, hostOf(mta))
	})
}

// maxNames is how many reverse names of one address are looked at.
const maxNames = 5

// confirmed gives the names of an address that lead back to it.
func confirmed(ctx context.Context, dns Names, ip netip.Addr) (names []string) {
	found, err := dns.PTR(ctx, ip)
	if err != nil {
		return nil
	}
	for _, host := range found[:min(len(found), maxNames)] {
		if back, err := dns.Addrs(ctx, host); err == nil && slices.Contains(back, ip) {
			names = append(names, hold.CanonicalDomain(host))
		}
	}
	return names
}

// hostOf takes the name from "mx.example.net[198.51.100.7]".
func hostOf(mta string) string {
	host, _, _ := strings.Cut(mta, "[")
	return hold.CanonicalDomain(host)
}

// sameOrganisation reports whether two names are in one organisational domain,
// by the public suffix list.
func sameOrganisation(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	return dnsx.Organisation(a) == dnsx.Organisation(b)
}
