package server

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"homing/hold"
)

// Names is the part of the DNS that tells who a peer is. dnsx.Resolver is one.
type Names interface {
	PTR(ctx context.Context, ip netip.Addr) ([]string, error)
	Addrs(ctx context.Context, name string) ([]netip.Addr, error)
}

// relatedTimeout bounds what is asked of the DNS while a peer waits behind
// its dot.
const relatedTimeout = 5 * time.Second

// identify names a peer, "mx.example.net[198.51.100.7]", and reports whether
// it is related to a delivery: whether its forward-confirmed reverse name is
// in the organisational domain of the MX that took the mail, or of the
// recipient. A DNS that does not answer makes a stranger of it.
func identify(ctx context.Context, dns Names, peer net.Addr, mta, recipient string) (name string, related bool) {
	tcp, ok := peer.(*net.TCPAddr)
	if !ok {
		return "", false
	}
	ip, _ := netip.AddrFromSlice(tcp.IP)
	ip = ip.Unmap()
	ctx, cancel := context.WithTimeout(ctx, relatedTimeout)
	defer cancel()
	_, domain := split(recipient)
	name = "[" + ip.String() + "]"
	for _, host := range confirmed(ctx, dns, ip) {
		name = host + "[" + ip.String() + "]"
		if sameOrganisation(host, domain) || sameOrganisation(host, hostOf(mta)) {
			return name, true
		}
	}
	return name, false
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
	return organisation(a) == organisation(b)
}

// organisation is the registered domain of a name, or the name itself where
// the list knows none.
func organisation(name string) string {
	if d, err := publicsuffix.EffectiveTLDPlusOne(name); err == nil {
		return d
	}
	return name
}
