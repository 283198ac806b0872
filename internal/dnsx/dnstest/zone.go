// Package dnstest is a literal DNS world for tests and for the toy internet:
// in process, where a Zone is a dnsx.Resolver, and over loopback, where a
// Server answers from a Zone.
package dnstest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"homing/internal/dnsx"
)

// A Zone is a dnsx.Resolver whose whole world is its fields. Names are lower
// case without a final dot. A name exists when a field or a longer name knows
// it; the zero Zone answers "no such name" to everything. A Zone that is in
// use is only read.
type Zone struct {
	MXs    map[string][]dnsx.MX
	Hosts  map[string][]netip.Addr
	TXTs   map[string][]string
	PTRs   map[netip.Addr][]string
	TLSAs  map[string][]dnsx.TLSA
	CNAMEs map[string]string // from alias to name

	Down   map[string]bool          // SERVFAIL
	Silent map[string]bool          // no answer at all
	Slow   map[string]time.Duration // the answer takes so long
	Signed map[string]bool          // answers have the AD bit

	// What only a Server can do to a name:
	Truncate map[string]bool // answers over UDP are cut short
	Lies     map[string]bool // forged answers come before the true one

	TTL time.Duration // of every record; 0: a minute
}

var _ dnsx.Resolver = (*Zone)(nil)

// MXs gives the records of one host after the other, with preferences 10, 20
// and so on.
func MXs(hosts ...string) []dnsx.MX {
	var out []dnsx.MX
	for i, h := range hosts {
		out = append(out, dnsx.MX{Host: h, Preference: uint16(i+1) * 10})
	}
	return out
}

// Addrs reads addresses that the test is sure of; it gives the zero Addr for
// one that cannot be read.
func Addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range texts {
		a, _ := netip.ParseAddr(s)
		out = append(out, a)
	}
	return out
}

// MX is dnsx.Resolver.MX.
func (z *Zone) MX(ctx context.Context, name string) ([]dnsx.MX, error) {
	name, signed, err := z.find(ctx, name)
	records, err := answer(z, name, z.MXs[name], err)
	for i := range records {
		records[i].Authentic = signed
	}
	return records, err
}

// Addrs is dnsx.Resolver.Addrs.
func (z *Zone) Addrs(ctx context.Context, name string) ([]netip.Addr, error) {
	name, _, err := z.find(ctx, name)
	return answer(z, name, z.Hosts[name], err)
}

// TXT is dnsx.Resolver.TXT.
func (z *Zone) TXT(ctx context.Context, name string) ([]string, error) {
	name, _, err := z.find(ctx, name)
	return answer(z, name, z.TXTs[name], err)
}

// PTR is dnsx.Resolver.PTR. The servers of an address are down, silent or slow
// under its name in in-addr.arpa or ip6.arpa.
func (z *Zone) PTR(ctx context.Context, addr netip.Addr) ([]string, error) {
	name, err := dns.ReverseAddr(addr.Unmap().String())
	if err != nil {
		return nil, fmt.Errorf("%w: PTR %v", dnsx.ErrNoName, addr)
	}
	name = strings.TrimSuffix(name, ".")
	if err := z.wait(ctx, name); err != nil {
		return nil, fmt.Errorf("%w: PTR %v: %w", dnsx.ErrTemporary, addr, err)
	}
	return answer(z, name, z.PTRs[addr.Unmap()], nil)
}

// TLSA is dnsx.Resolver.TLSA.
func (z *Zone) TLSA(ctx context.Context, name string) ([]dnsx.TLSA, error) {
	name, signed, err := z.find(ctx, name)
	records, err := answer(z, name, z.TLSAs[name], err)
	for i := range records {
		records[i].Authentic = signed
	}
	return records, err
}

// Bases is dnsx.Resolver.Bases.
func (z *Zone) Bases(ctx context.Context, host string) ([]string, error) {
	end, signed, err := z.find(ctx, host)
	if _, err = answer(z, end, z.Hosts[end], err); err != nil || !signed {
		return nil, err
	}
	own, err := dnsx.Canonical(host)
	return slices.Compact([]string{end, own}), err
}

// find follows the aliases of a name, as slowly as each of them is, and says
// whether all are signed.
func (z *Zone) find(ctx context.Context, name string) (end string, signed bool, err error) {
	// No host is called so, but a macro of SPF can ask for a name with a space.
	unspaced, err := dnsx.Canonical(strings.ReplaceAll(name, " ", "_"))
	if err != nil {
		return "", false, err
	}
	if end = unspaced; strings.Contains(name, " ") {
		end = strings.ToLower(strings.TrimSuffix(name, "."))
	}
	signed = z.Signed[end]
	for range 16 {
		if err := z.wait(ctx, end); err != nil {
			return "", false, fmt.Errorf("%w: %s: %w", dnsx.ErrTemporary, end, err)
		}
		next, alias := z.CNAMEs[end]
		if !alias || z.Down[end] {
			return end, signed, nil
		}
		end = next
		signed = signed && z.Signed[end]
	}
	return "", false, fmt.Errorf("%w: %s: the aliases do not end", dnsx.ErrTemporary, name)
}

// wait takes as long as the name's servers do.
func (z *Zone) wait(ctx context.Context, name string) error {
	var answered <-chan time.Time
	if !z.Silent[name] {
		slow := z.Slow[name]
		if slow == 0 {
			return ctx.Err()
		}
		timer := time.NewTimer(slow)
		defer timer.Stop()
		answered = timer.C
	}
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answer gives a copy of records, or the error that a resolver gives for
// their absence.
func answer[T any](z *Zone, name string, records []T, err error) ([]T, error) {
	switch {
	case err != nil:
		return nil, err
	case z.Down[name]:
		return nil, fmt.Errorf("%w: %s: SERVFAIL", dnsx.ErrTemporary, name)
	case len(records) > 0:
		return slices.Clone(records), nil
	case z.exists(name):
		return nil, fmt.Errorf("%w: %s", dnsx.ErrNoData, name)
	}
	return nil, fmt.Errorf("%w: %s", dnsx.ErrNoName, name)
}

// exists reports whether the name, or a longer one, has anything.
func (z *Zone) exists(name string) bool {
	return known(z.MXs, name) || known(z.Hosts, name) || known(z.TXTs, name) ||
		known(z.TLSAs, name) || known(z.CNAMEs, name) || known(z.Signed, name)
}

func known[V any](m map[string]V, name string) bool {
	for n := range m {
		if n == name || strings.HasSuffix(n, "."+name) {
			return true
		}
	}
	return false
}
