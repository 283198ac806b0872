package dnscheck

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"homing/internal/dnsx"
)

// host gives what is wanted of the machine: its name, the name of its
// addresses, and its certificate.
func (p *planner) host(ctx context.Context) (plan Plan) {
	if len(p.s.Addresses) == 0 {
		plan.remark(p.s.Hostname, Todo, "which addresses the world knows this machine by cannot be found out here. "+
			"Write them into [delivery], like public_addresses = [\"203.0.113.10\"], and ask again: without them the records of the host, SPF and the reverse names are missing.")
	}
	other := p.otherMachine(ctx)
	if by := p.takenBy(ctx, other); by != "" {
		plan.remark(p.s.Hostname, Todo, "%s leads to another machine (%s), which is not to change. Write a hostname of this machine's own into the configuration, like \"%s\", and ask again: "+
			"until then nothing is proposed for it. If this machine is to take over from the other one, publish its address first.", by, listed(other), p.freeName())
		return plan
	}
	if len(other) > 0 {
		plan.remark(p.s.Hostname, Note, "the name leads to %s now. If another machine is in use by it, as where people read their mail, leave it and write a hostname of this machine's own, "+
			"like \"%s\", into the configuration.", listed(other), p.freeName())
	}
	for _, r := range families(p.s.Addresses) {
		r.Name, r.Purpose, r.Why = p.s.Hostname, ForHost, "the name that Homing calls itself"
		plan.add(r)
	}
	for _, t := range p.s.Pinned {
		plan.add(Record{Name: "_25._tcp." + p.s.Hostname, Type: "TLSA", Value: tlsaText(t), Purpose: ForDANE,
			Why: "senders that check DANE take this certificate alone: publish the next one before it comes into use"})
	}
	if len(p.s.Pinned) > 0 {
		plan.Remarks = append(plan.Remarks, p.signed(ctx)...)
	}
	if p.direct() {
		p.reverse(&plan)
	}
	if p.s.Reports == "" && len(p.s.Returns) > 0 {
		plan.remark(p.s.Hostname, Note, "there is no address for reports about DMARC and TLS, so none are asked for. A route makes one: "+
			"[[route]] with address = \"reports@%s\" and as = \"report\".", p.s.Returns[0])
	}
	return plan
}

// otherMachine gives the addresses that our name leads to, where none of them is
// ours.
func (p *planner) otherMachine(ctx context.Context) []netip.Addr {
	addrs, err := p.r.Addrs(ctx, p.s.Hostname)
	if err != nil || p.anyOurs(addrs) || len(p.s.Addresses) == 0 {
		return nil
	}
	return addrs
}

// taken reports whether our name is in use by another machine.
func (p *planner) taken(ctx context.Context) bool { return p.takenBy(ctx, p.otherMachine(ctx)) != "" }

// takenBy says what another machine is in use for by our name: the web site of
// a domain, mostly, or the mail of one that is not to be moved. "": for nothing
// that the DNS tells.
func (p *planner) takenBy(ctx context.Context, other []netip.Addr) string {
	name := p.s.Hostname
	switch {
	case len(other) == 0:
		return ""
	case dnsx.Organisation(name) == name || p.sends(name):
		return "the domain itself"
	}
	domains := []string{dnsx.Organisation(name)}
	for _, d := range p.s.Domains {
		domains = append(domains, d.Name, dnsx.Organisation(d.Name))
	}
	slices.Sort(domains)
	for _, domain := range slices.Compact(domains) {
		records, err := p.r.MX(ctx, domain)
		if err == nil && slices.ContainsFunc(records, func(mx dnsx.MX) bool { return mx.Host == name }) {
			return "the mail host of " + domain
		}
	}
	return ""
}

// freeName is a name that this machine could have.
func (p *planner) freeName() string {
	organisation := dnsx.Organisation(p.s.Hostname)
	if p.s.Hostname == organisation {
		return "mail." + organisation
	}
	return "homing." + organisation
}

// signed says where TLSA records would have no effect (RFC 7672 section 2.2).
func (p *planner) signed(ctx context.Context) []Remark {
	bases, err := p.r.Bases(ctx, p.s.Hostname)
	if len(bases) > 0 || err != nil {
		return nil
	}
	return []Remark{{p.s.Hostname, Note, "TLSA records count only in a zone that is signed with DNSSEC. " +
		"The answers for this name are not signed, or the resolver here does not validate: a local unbound does."}}
}

// reverse asks for the names of the addresses that mail is sent from.
func (p *planner) reverse(plan *Plan) {
	for _, a := range p.s.Addresses {
		name, err := dns.ReverseAddr(a.String())
		if err != nil {
			continue // no address of anybody
		}
		plan.add(Record{Name: strings.TrimSuffix(name, "."), Type: "PTR", Value: p.s.Hostname + ".", Purpose: ForReversal, Provider: true, address: a,
			Why: "many receivers refuse mail from an address without a name; whoever gave you " + a.String() + " sets it"})
	}
}

func tlsaText(t dnsx.TLSA) string {
	return fmt.Sprintf("%d %d %d %s", t.Usage, t.Selector, t.Matching, hex.EncodeToString(t.Data))
}

// A place is where the mail of a domain goes now.
type place int

const (
	unsaid    place = iota // the DNS does not answer
	nowhere                // nobody takes it
	here                   // it comes to us
	elsewhere              // somebody else takes it
)

// A way is where the mail of a domain goes, and by which records, the best
// first.
type way struct {
	place
	records []dnsx.MX
	ours    dnsx.MX  // the best of ours, where place is here
	names   []string // of all that are ours
}

// way finds out where the mail of a domain goes.
func (p *planner) way(ctx context.Context, domain string) way {
	records, err := p.r.MX(ctx, domain)
	switch {
	case err != nil && errors.Is(err, dnsx.ErrTemporary):
		return way{}
	case err != nil:
		return way{place: p.implied(ctx, domain)}
	}
	slices.SortStableFunc(records, func(a, b dnsx.MX) int {
		return cmp.Or(int(a.Preference)-int(b.Preference), cmp.Compare(a.Host, b.Host))
	})
	w := way{place: elsewhere, records: records}
	for _, mx := range records {
		switch is, err := p.isOurs(ctx, mx.Host); {
		case err != nil:
			return way{}
		case !is:
		case w.place == elsewhere:
			w.place, w.ours = here, mx
			fallthrough
		default:
			w.names = append(w.names, mx.Host)
		}
	}
	return w
}

// implied is where mail goes without an MX: to the address of the domain (RFC
// 5321 section 5.1).
func (p *planner) implied(ctx context.Context, domain string) place {
	addrs, err := p.r.Addrs(ctx, domain)
	switch {
	case err != nil && errors.Is(err, dnsx.ErrTemporary):
		return unsaid
	case err != nil || p.anyOurs(addrs):
		return nowhere
	}
	return elsewhere
}

// isOurs reports whether a host is this one, by its name or by an address.
func (p *planner) isOurs(ctx context.Context, host string) (bool, error) {
	if host == p.s.Hostname {
		return !p.taken(ctx), nil
	}
	addrs, err := p.r.Addrs(ctx, host)
	if err != nil && errors.Is(err, dnsx.ErrTemporary) {
		return false, err
	}
	return p.anyOurs(addrs), nil
}

func (p *planner) anyOurs(addrs []netip.Addr) bool {
	return slices.ContainsFunc(addrs, func(a netip.Addr) bool { return slices.Contains(p.s.Addresses, a) })
}

// receiving gives what is wanted of a domain for the mail that comes in.
// Nothing of it moves the mail of a domain that people have addresses in: one
// that mail is sent as, or a registered one.
func (p *planner) receiving(ctx context.Context, n role) (plan Plan) {
	w := p.way(ctx, n.name)
	peopled := n.sends || dnsx.Organisation(n.name) == n.name
	switch {
	case w.place == unsaid && peopled:
		plan.remark(n.name, Unknown, "the DNS does not say now where mail for this domain goes, so nothing is proposed for it. Ask again later.")
	case w.place == elsewhere && peopled && n.returns:
		plan.remark(n.name, Todo, "mail for this domain goes to %s, and so do bounces: they do not come back here. Its mail is not to be moved; "+
			"write a return_path in a name that is for returns alone, like \"return@bounce.%s\", and ask again.", w.to(n.name), n.name)
	case w.place == elsewhere && peopled && n.routed:
		plan.remark(n.name, Note, "mail for this domain goes to %s, and only what is handed on from there reaches the routes here. "+
			"Its mail is not to be moved, so no MX is proposed; a route in a name of its own, like lists.%s, gets its mail straight.", w.to(n.name), n.name)
	case n.returns || n.routed, w.place == here:
		if p.taken(ctx) {
			return plan // it would go to another machine
		}
		if !slices.Contains(p.senders(), n.name) {
			plan = p.spf(ctx, n.name)
		}
		plan.join(p.exchange(ctx, n.name, w))
	}
	return plan
}

// to names who takes the mail of a domain.
func (w way) to(domain string) string {
	switch {
	case len(w.records) == 0:
		return "the address of " + domain + " itself"
	case dnsx.NullMX(w.records):
		return "nobody (its MX is \".\")"
	}
	return w.records[0].Host
}

// exchange gives the records of a domain whose MX Homing is, or is to be.
func (p *planner) exchange(ctx context.Context, domain string, w way) (plan Plan) {
	ours := dnsx.MX{Host: p.s.Hostname, Preference: 10}
	if w.place == here {
		ours = w.ours
	}
	plan.add(Record{Name: domain, Type: "MX", Value: mxText(ours), Purpose: ForMX, Why: "mail for this name comes to Homing"})
	plan.join(p.sts(ctx, domain, w))
	plan.join(p.tlsReports(ctx, domain))
	return plan
}

func mxText(mx dnsx.MX) string {
	return strconv.Itoa(int(mx.Preference)) + " " + strings.TrimSuffix(mx.Host, ".") + "."
}
