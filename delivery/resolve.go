package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"homing/delivery/mtasts"
	"homing/internal/dnsx"
	"homing/internal/reply"
	"homing/queue"
)

const (
	maxHosts = 20 // of one domain that are tried
	maxAddrs = 4  // of one host
)

// A hop is one host to connect to, and how the connection must be secured.
type hop struct {
	name   string // of the host; for a literal, the address
	at     netip.AddrPort
	source string // which of the pairs of sources it is reached from
	policy
	terms *terms // what the policy comes from; nil: the operator
}

// mta names a hop for people and for RFC 3464: "mx.example.net[198.51.100.7]".
func (h hop) mta() string { return fmt.Sprintf("%s[%s]", h.name, h.at.Addr()) }

func (h hop) String() string { return fmt.Sprintf("%s:%d", h.mta(), h.at.Port()) }

// A route is the way to a domain: its hosts by preference, looked up as far
// as they are needed.
type route struct {
	domain string
	dns    Resolver
	o      *Options
	port   uint16
	policy policy
	groups [][]string // host names, best group first
	fixed  []hop      // instead of groups, for an address literal
	direct bool       // what the operator named: need not be public
	bare   bool       // there is no MX record: the domain is its own host
	loop   bool       // we are one of the hosts
	signed bool       // the DNS proves that these are the hosts
	sts    mtasts.Found
	needs  needs
	why    *queue.Result // why there are no (more) hops
}

// ours is a Result in which we speak in the peer's place.
func ours(s reply.Stage, code int, e reply.Enhanced, format string, args ...any) *queue.Result {
	err := fmt.Errorf(format, args...)
	return &queue.Result{Stage: s, Ours: true, Reply: reply.Reply{Code: code, Enhanced: e, Text: err.Error()}, Cause: errors.Unwrap(err)}
}

// unresolved is what a failed look-up means. absent is the code for a name
// that has no such record.
func unresolved(name string, err error, absent reply.Enhanced, format string) *queue.Result {
	r := ours(reply.Resolve, 550, absent, format, name)
	if !errors.Is(err, dnsx.ErrNoName) && !errors.Is(err, dnsx.ErrNoData) {
		r = ours(reply.Resolve, 451, reply.Enhanced{4, 4, 3}, "DNS look-up of %s failed", name)
	}
	r.Cause = err
	return r
}

// routeTo finds the mail hosts of a domain (RFC 5321 section 5.1): its MXs,
// or itself where it has none. It gives a Result where there is no way.
func routeTo(ctx context.Context, dns Resolver, o *Options, domain string) (*route, *queue.Result) {
	r := &route{domain: domain, dns: dns, o: o, port: o.Port, policy: policy{mode: Opportunistic}}
	if strings.HasPrefix(domain, "[") {
		return r.literal()
	}
	mxs, err := dns.MX(ctx, domain)
	switch {
	case errors.Is(err, dnsx.ErrNoData):
		// That there is no MX was proved where the address is.
		r.groups, r.bare, r.signed = [][]string{{domain}}, true, true
		return r, nil
	case err != nil:
		return nil, unresolved(domain, err, reply.Enhanced{5, 1, 2}, "Host or domain name not found: %s")
	case dnsx.NullMX(mxs):
		return nil, ours(reply.Resolve, 556, reply.Enhanced{5, 1, 10}, "%s does not accept mail (null MX)", domain)
	}
	r.signed = !slices.ContainsFunc(mxs, func(mx dnsx.MX) bool { return !mx.Authentic })
	r.groups = preference(mxs)
	return r, nil
}

// literal is the route to an address literal (RFC 5321 section 4.1.3).
func (r *route) literal() (*route, *queue.Result) {
	text := strings.TrimSuffix(strings.TrimPrefix(r.domain, "["), "]")
	if v6 := "ipv6:"; len(text) > len(v6) && strings.EqualFold(text[:len(v6)], v6) {
		text = text[len(v6):]
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return nil, ours(reply.Resolve, 550, reply.Enhanced{5, 1, 2}, "%s is not an address", r.domain)
	}
	r.fixed = r.usable(a.String(), []netip.Addr{a})
	return r, nil
}

// preference orders MX records: lower preference first, in random order among
// equals.
func preference(mxs []dnsx.MX) [][]string {
	rand.Shuffle(len(mxs), func(i, j int) { mxs[i], mxs[j] = mxs[j], mxs[i] })
	slices.SortStableFunc(mxs, func(a, b dnsx.MX) int { return cmp.Compare(a.Preference, b.Preference) })
	var groups [][]string
	var last uint16
	seen := map[string]bool{".": true} // a null MX among others means nothing
	for _, mx := range mxs {
		if seen[mx.Host] || len(seen) > maxHosts {
			continue
		}
		seen[mx.Host] = true
		if len(groups) == 0 || mx.Preference != last {
			groups = append(groups, nil)
			last = mx.Preference
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], mx.Host)
	}
	return groups
}

// next gives the hops of the next preference that has any; none when all have
// been given. Then why says what is wrong with the others.
func (r *route) next(ctx context.Context) []hop {
	if hops := r.fixed; len(hops) > 0 {
		r.fixed = nil
		if hops = r.onTerms(ctx, hops[0].name, hops); len(hops) > 0 {
			return hops
		}
	}
	for len(r.groups) > 0 {
		group := r.groups[0]
		r.groups = r.groups[1:]
		if hops := r.hops(ctx, group); len(hops) > 0 {
			return hops
		}
	}
	if r.why == nil {
		r.why = ours(reply.Resolve, 550, reply.Enhanced{5, 1, 2}, "%s has no mail host", r.domain)
	}
	return nil
}

// hops looks up the hosts of one preference together.
func (r *route) hops(ctx context.Context, hosts []string) []hop {
	addrs, errs := make([][]netip.Addr, len(hosts)), make([]error, len(hosts))
	var looking sync.WaitGroup
	for i, host := range hosts[1:] {
		looking.Go(func() { addrs[i+1], errs[i+1] = r.dns.Addrs(ctx, host) })
	}
	addrs[0], errs[0] = r.dns.Addrs(ctx, hosts[0])
	looking.Wait()

	var out []hop
	for i, host := range hosts {
		if errs[i] != nil && r.bare {
			r.note(unresolved(host, errs[i], reply.Enhanced{5, 1, 2}, "Host or domain name not found: %s has neither MX nor address"))
		} else if errs[i] != nil {
			r.note(unresolved(host, errs[i], reply.Enhanced{5, 4, 4}, "Host or domain name not found: the MX %s has no address"))
		}
		out = append(out, r.onTerms(ctx, host, r.usable(host, addrs[i]))...)
	}
	if r.loop {
		// No host of this preference or a worse one may be used, or the
		// mail would come back (RFC 5321 section 5.1).
		r.groups, out = nil, nil
	}
	return out
}

// usable picks the addresses of a host that mail may go to, IPv4 first: it is
// where small servers have their name and reputation.
func (r *route) usable(host string, addrs []netip.Addr) []hop {
	slices.SortStableFunc(addrs, func(a, b netip.Addr) int { return cmp.Compare(a.BitLen(), b.BitLen()) })
	var out []hop
	for _, a := range addrs[:min(len(addrs), maxAddrs)] {
		h := hop{name: host, at: netip.AddrPortFrom(a, r.port), policy: r.policy}
		switch {
		case r.o.own(host, h.at):
			r.loop = true
			r.note(ours(reply.Resolve, 554, reply.Enhanced{5, 4, 6}, "mail for %s loops back to ourselves: %s", r.domain, h))
		case !r.direct && !r.o.allowed(a):
			r.note(ours(reply.Resolve, 550, reply.Enhanced{5, 4, 4}, "%s is not a public address", h.mta()))
		case !r.o.sourced(a):
			r.note(ours(reply.Connect, 451, reply.Enhanced{4, 3, 5}, "no source address to reach %s from", h.mta()))
		default:
			out = append(out, h)
		}
	}
	return out
}

// note keeps why a host cannot be used. What may be better tomorrow counts
// more than what will not.
func (r *route) note(why *queue.Result) {
	if r.why == nil || !r.why.Reply.Temporary() || why.Reply.Temporary() {
		r.why = why
	}
}
