package toynet

import (
	"fmt"
	"maps"
	"net/netip"

	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
)

// zone is the DNS of a world: addresses and names of every host, MX records
// and SPF policies of every domain, and what World.Records says.
func (w World) zone(n *Net) *dnstest.Zone {
	z := dnstest.Zone{
		MXs:   make(map[string][]dnsx.MX),
		Hosts: make(map[string][]netip.Addr),
		TXTs:  make(map[string][]string),
		PTRs:  make(map[netip.Addr][]string),
	}
	host := func(name string, a netip.Addr) {
		z.Hosts[name] = []netip.Addr{a}
		z.PTRs[a] = []string{name}
	}
	for name, h := range n.hosts {
		host(name, h.addr)
	}
	for name, d := range w.Domains {
		switch {
		case d.Missing:
		case d.Null:
			z.MXs[name] = []dnsx.MX{{Host: "."}}
		default:
			z.MXs[name] = dnstest.MXs(d.exchangers(name)...)
			z.TXTs[name] = []string{"v=spf1 mx -all"}
		}
	}
	if w.Server.Name != "" {
		a := place(n.block, placeServer)
		host(w.Server.Name, a)
		for _, name := range w.Server.Returns {
			z.MXs[name] = dnstest.MXs(w.Server.Name)
			z.TXTs[name] = []string{fmt.Sprintf("v=spf1 ip4:%s -all", a)}
		}
		for _, name := range w.Server.Senders {
			z.TXTs[name] = []string{fmt.Sprintf("v=spf1 ip4:%s -all", a)}
		}
	}
	z = merge(z, w.Records)
	return &z
}

// merge gives a zone with the records of both; more's where both have some.
func merge(z, more dnstest.Zone) dnstest.Zone {
	z.MXs = union(z.MXs, more.MXs)
	z.Hosts = union(z.Hosts, more.Hosts)
	z.TXTs = union(z.TXTs, more.TXTs)
	z.PTRs = union(z.PTRs, more.PTRs)
	z.TLSAs = union(z.TLSAs, more.TLSAs)
	z.CNAMEs = union(z.CNAMEs, more.CNAMEs)
	z.Down = union(z.Down, more.Down)
	z.Silent = union(z.Silent, more.Silent)
	z.Slow = union(z.Slow, more.Slow)
	z.Signed = union(z.Signed, more.Signed)
	z.Truncate = union(z.Truncate, more.Truncate)
	z.Lies = union(z.Lies, more.Lies)
	if more.TTL != 0 {
		z.TTL = more.TTL
	}
	return z
}

// union gives a map of its own with what both have; b's where both have it.
func union[K comparable, V any](a, b map[K]V) map[K]V {
	out := make(map[K]V, len(a)+len(b))
	maps.Copy(out, a)
	maps.Copy(out, b)
	return out
}
