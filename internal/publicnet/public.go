// Package publicnet tells addresses of the Internet from those that only mean
// something on this machine or in its neighbourhood, so that what strangers
// or web forms name cannot make us connect there.
package publicnet

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// ErrNotPublic says that an address is loopback, private, link-local,
// multicast, or otherwise not globally reachable.
var ErrNotPublic = errors.New("not a public address")

// Address reports whether a is globally reachable unicast by the registries
// of RFC 6890. An IPv4 address inside an IPv6 one (mapped, NAT64 of RFC 6052,
// 6to4 of RFC 3056) is judged itself. An address with a zone is not public.
func Address(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsValid() || a.Zone() != "" {
		return false
	}
	if inner, ok := embedded(a); ok {
		return Address(inner)
	}
	if a.Is6() && !unicast6.Contains(a) {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// Control refuses to connect to what is not public. It goes into
// net.Dialer.Control, where the name has been resolved: no second answer of
// the DNS can change the address any more.
func Control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%s: %w", address, ErrNotPublic)
	}
	if !Address(ap.Addr()) {
		return fmt.Errorf("%s: %w", ap.Addr(), ErrNotPublic)
	}
	return nil
}

var (
	unicast6  = netip.MustParsePrefix("2000::/3") // all that is given out (RFC 4291 section 2.4)
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
)

// special are the networks that are not globally reachable: the IANA
// special-purpose registries, multicast, and what is reserved.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("224.0.0.0/3"),
	netip.MustParsePrefix("2001::/23"), // Teredo, ORCHID and other assignments of the IETF
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("3fff::/20"),
}

// embedded gives the IPv4 address that an IPv6 one leads to.
func embedded(a netip.Addr) (netip.Addr, bool) {
	b := a.As16()
	switch {
	case !a.Is6():
	case nat64.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}
