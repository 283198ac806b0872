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

// source gives the turn-th address to reach this one from; the zero Addr
// where the kernel may choose.
func (o *Options) source(a netip.Addr, turn uint32) netip.Addr {
	var fit []netip.Addr
	for _, s := range o.Sources {
		if alike(a)(s) {
			fit = append(fit, s)
		}
	}
	if len(fit) == 0 {
		return netip.Addr{}
	}
	return fit[int(turn)%len(fit)]
}

// alike reports whether another address is of the family of a.
func alike(a netip.Addr) func(netip.Addr) bool {
	return func(b netip.Addr) bool { return a.Unmap().Is4() == b.Unmap().Is4() }
}
