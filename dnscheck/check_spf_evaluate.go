package dnscheck

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"blitiri.com.ar/go/spf"

	"homing/internal/dnsx"
)

// An envelope is what SPF judges (RFC 7208 section 4.1).
type envelope struct {
	from   netip.Addr // that the mail comes from
	helo   string
	sender string // of the envelope; "": it is empty, and the name in HELO counts
}

// evaluate judges an envelope (RFC 7208 section 4) with the limits of its
// section 4.6.4. The error says why, also of a pass.
func evaluate(ctx context.Context, r Resolver, e envelope, limits ...spf.Option) (spf.Result, error) {
	options := append([]spf.Option{spf.WithContext(ctx), spf.WithResolver(dnsx.Net{Resolver: r})}, limits...)
	return spf.CheckHostWithSender(e.from.AsSlice(), e.helo, e.sender, options...)
}

// strangers are two envelopes of addresses that no record names (RFC 1112 section
// 4), so that evaluating them goes through every term of a record. They have
// nothing in common: what macros make of one is not what they make of the other.
func strangers(name string) (one, other envelope) {
	return envelope{netip.AddrFrom4([4]byte{240, 0, 0, 1}), name, "postmaster@" + name},
		envelope{netip.AddrFrom4([4]byte{241, 2, 3, 4}), "helo." + name, "somebody@" + name}
}

// maxCounted is where counting ends: no record that works comes near.
const maxCounted = 30

// A cost is what a record makes a receiver ask in the worst case.
type cost struct {
	lookups int      // terms that ask; 10 are allowed
	void    int      // of them, those that are answered with nothing, whoever sends; 2 are allowed
	absent  []string // names that were answered with nothing
	result  spf.Result
	err     error // why
}

// costOf counts what the record of a name costs, by trying with how little it
// can be evaluated. The result is what it says to a stranger who may ask as
// much as he likes.
func costOf(ctx context.Context, r Resolver, name string) (c cost) {
	one, other := strangers(name)
	limits := func(lookups, void int) []spf.Option {
		return []spf.Option{spf.OverrideLookupLimit(uint(lookups)), spf.OverrideVoidLookupLimit(uint(void))}
	}
	try := func(lookups, void int) (spf.Result, error) { return evaluate(ctx, r, one, limits(lookups, void)...) }
	here, there := &absences{Resolver: r}, &absences{Resolver: r}
	c.result, c.err = evaluate(ctx, here, one, limits(maxCounted, maxCounted)...)
	evaluate(ctx, there, other, limits(maxCounted, maxCounted)...) // only what it asks for counts
	c.absent = slices.DeleteFunc(slices.Clone(here.names), func(name string) bool { return !slices.Contains(there.names, name) })
	for ; c.lookups < maxCounted; c.lookups++ {
		if _, err := try(c.lookups, maxCounted); !errors.Is(err, spf.ErrLookupLimitReached) {
			break
		}
	}
	for ; c.void < maxCounted; c.void++ {
		if _, err := try(maxCounted, c.void); !errors.Is(err, spf.ErrVoidLookupLimitReached) {
			break
		}
	}
	// A service that answers for each sender ("exists:%{i}.…") has nothing for
	// strangers; that is no mistake.
	c.void = max(0, c.void-(len(here.names)-len(c.absent)))
	return c
}

// absences notes which names have nothing.
type absences struct {
	Resolver
	names []string
}

func (a *absences) note(name string, err error) {
	if err != nil && !silent(err) && !slices.Contains(a.names, name) {
		a.names = append(a.names, name)
	}
}

func (a *absences) MX(ctx context.Context, name string) ([]dnsx.MX, error) {
	records, err := a.Resolver.MX(ctx, name)
	a.note(name, err)
	return records, err
}

func (a *absences) Addrs(ctx context.Context, name string) ([]netip.Addr, error) {
	addrs, err := a.Resolver.Addrs(ctx, name)
	a.note(name, err)
	return addrs, err
}

// PTR notes what a stranger's address is not called, which is no name that
// somebody has written down.
func (a *absences) PTR(ctx context.Context, addr netip.Addr) ([]string, error) {
	names, err := a.Resolver.PTR(ctx, addr)
	a.note(addr.String(), err)
	return names, err
}
