package delivery

import (
	"net/netip"
	"slices"

	"homing/internal/publicnet"
)

// allowed reports whether mail may go to an address: a public one, or one
// that the operator allows. Nobody publishes a mapped address for mail who
// means well.
func (o *Options) allowed(a netip.Addr) bool {
	if publicnet.Address(a) && !a.Is4In6() {
		return true
	}
	a = a.Unmap()
	return slices.ContainsFunc(o.AllowNetworks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// own reports whether a host is ourselves.
func (o *Options) own(name string, at netip.AddrPort) bool {
	return at.Port() == o.OwnPort && (name == o.Hostname || slices.Contains(o.OwnAddresses, at.Addr().Unmap()))
}

// sourced reports whether we have an address to reach this one from.
func (o *Options) sourced(a netip.Addr) bool {
	return len(o.Sources) == 0 || slices.ContainsFunc(o.Sources, alike(a))
}

// Pairs gives the addresses to send from as the queue is to tell them apart:
// each IPv4 address stands for itself and the IPv6 address in the same place
// among its kind, and what is left over for itself.
func Pairs(sources []netip.Addr) []string {
	var names []string
	for _, p := range pairs(sources) {
		names = append(names, p[0].String())
	}
	return names
}

// pairs gives the addresses of each pair: the first names it.
func pairs(sources []netip.Addr) (all [][]netip.Addr) {
	var v4, v6 []netip.Addr
	for _, a := range sources {
		if a.Unmap().Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	for i, a := range v4 {
		all = append(all, append([]netip.Addr{a}, v6[min(i, len(v6)):min(i+1, len(v6))]...))
	}
	for _, a := range v6[min(len(v4), len(v6)):] {
		all = append(all, []netip.Addr{a})
	}
	return all
}

// source gives the address of a pair to reach this one from, and of another
// pair where it has none of that family; the zero Addr where the kernel may
// choose.
func (o *Options) source(name string, to netip.Addr) (from netip.Addr) {
	for _, pair := range pairs(o.Sources) {
		i := slices.IndexFunc(pair, alike(to))
		switch {
		case i >= 0 && pair[0].String() == name:
			return pair[i]
		case i >= 0 && !from.IsValid():
			from = pair[i]
		}
	}
	return from
}

// alike reports whether another address is of the family of a.
func alike(a netip.Addr) func(netip.Addr) bool {
	return func(b netip.Addr) bool { return a.Unmap().Is4() == b.Unmap().Is4() }
}
