package dnscheck

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"blitiri.com.ar/go/spf"

	"homing/internal/dnsx"
	"homing/internal/publicnet"
)

// maxSPFQuestions is how many terms of a record, with those that it includes,
// may ask the DNS (RFC 7208 section 4.6.4). One more, and it counts for nothing.
const maxSPFQuestions = 10

// maxFlat is how many networks are written out in the place of an include.
const maxFlat = 12

// spf gives the SPF record of a name that mail is sent in: what is there, with
// what sends for us in front, where it comes before anything that could fail.
func (p *planner) spf(ctx context.Context, name string) (plan Plan) {
	texts, err := p.r.TXT(ctx, name)
	if err != nil && errors.Is(err, dnsx.ErrTemporary) {
		plan.remark(name, Unknown, "the DNS does not say now whether there is an SPF record, so none is proposed. Ask again later.")
		return plan
	}
	old := spfsIn(texts)
	base := joinedSPF(meantSPFs(old))
	switch {
	case len(old) == 0:
		if base, err = p.firstSPF(ctx, name); err != nil {
			plan.remark(name, Unknown, "the DNS does not say now who else sends for this name, so no SPF record is proposed. Ask again later.")
			return plan
		}
	case len(old) > 1:
		plan.remark(name, Note, "there are %d SPF records, and so none counts. They become one.", len(old))
	}
	tree := &spfTree{r: p.r}
	more, open := p.missing(ctx, tree, name, base, &plan)
	if len(old) == 0 && open {
		base = strings.Replace(base, "-all", "?all", 1) // of what is not known it must not say that it is forged
	}
	if len(old) == 0 && len(more) == 0 {
		if open {
			plan.remark(name, Todo, "there is no SPF record, and none can be proposed before it is known who sends.")
		}
		return plan
	}
	text := withTerms(base, more)
	plan.join(overSPF(ctx, tree, name, text))
	if len(tree.dead) > 0 {
		plan.remark(name, Note, "the DNS does not answer now for %s in the SPF record, so its questions could not be counted.", strings.Join(tree.dead, ", "))
	}
	plan.add(Record{Name: name, Type: "TXT", Value: text, Purpose: ForSPF, Instead: without(old, text), Why: p.whySPF(name)})
	return plan
}

// meantSPFs are SPF records as they were meant.
func meantSPFs(texts []string) (all []string) {
	for _, t := range texts {
		if !isSPF(t) {
			t = bare(t)
		}
		all = append(all, t)
	}
	return all
}

func (p *planner) whySPF(name string) string {
	switch {
	case slices.Contains(p.s.Returns, name):
		return "the envelope sender is in this name, and receivers look up who may use it"
	case name == p.s.Hostname:
		return "bounces and other mail without a sender are judged by the name that Homing calls itself"
	}
	return "some receivers look up the name in the From field as well"
}

// firstSPF begins a record where there is none. Of a name that only Homing
// sends in it can say that all else is forged. Of a domain in which people
// write from elsewhere it must not.
func (p *planner) firstSPF(ctx context.Context, name string) (string, error) {
	w := p.way(ctx, name)
	ours := (name == p.s.Hostname || slices.Contains(p.s.Returns, name)) && !p.sends(name)
	switch {
	case ours && dnsx.Organisation(name) != name:
		return "v=spf1 -all", nil
	case w.place == unsaid:
		return "", dnsx.ErrTemporary
	case ours && w.place != elsewhere:
		return "v=spf1 -all", nil
	case len(w.records) == 0 || dnsx.NullMX(w.records):
		return "v=spf1 ?all", nil
	}
	if term := includeOf(w.records[0].Host); term != "" {
		return "v=spf1 " + term + " ?all", nil
	}
	return "v=spf1 mx ?all", nil
}

func (p *planner) sends(name string) bool {
	return slices.ContainsFunc(p.s.Domains, func(d Domain) bool { return d.Name == name })
}

// missing gives the terms that a record lacks for the mail that we send in its
// name. It is open where somebody sends who is not known.
func (p *planner) missing(ctx context.Context, tree *spfTree, name, base string, plan *Plan) (more []string, open bool) {
	addrs, hosts := p.sources(name)
	for _, a := range addrs {
		if !tree.passes(ctx, a, base, name) && !p.passesByMacro(ctx, a, base, name) {
			more = append(more, addressTerm(a))
		}
	}
	for _, host := range hosts {
		term, why := p.smarthost(ctx, name, host)
		if why != "" {
			plan.remark(name, Note, "%s", why)
		}
		open = open || term == ""
		if term == "" || tree.has(ctx, base, name, term) {
			continue
		}
		terms, why := p.fitting(ctx, tree, name, withTerms(base, append(slices.Clone(more), term)), term)
		if why != "" {
			plan.remark(name, Note, "%s", why)
		}
		more = append(more, terms...)
	}
	there := strings.Fields(base)
	return slices.DeleteFunc(more, func(t string) bool { return slices.Contains(there, t) }), open
}

// passesByMacro reports whether a record lets an address pass by what depends on
// the mail, as services do that answer for each sender ("exists:%{i}.…"). What
// hangs on "ptr" does not count, since many receivers pass it over.
func (p *planner) passesByMacro(ctx context.Context, a netip.Addr, base, name string) bool {
	var words []string
	for _, t := range termsOf(base) {
		if t.name != "ptr" {
			words = append(words, t.text)
		}
	}
	there := instead{p.r, name, withTerms("v=spf1", words)}
	result, _ := evaluate(ctx, there, envelope{a, p.s.Hostname, "postmaster@" + name})
	return result == spf.Pass
}

// instead is a Resolver that has another SPF record at a name.
type instead struct {
	Resolver
	name, record string
}

// TXT is Resolver.TXT.
func (i instead) TXT(ctx context.Context, name string) ([]string, error) {
	if strings.EqualFold(strings.TrimSuffix(name, "."), i.name) {
		return []string{i.record}, nil
	}
	return i.Resolver.TXT(ctx, name)
}

// sources gives the addresses and smarthosts that mail in a name comes from.
func (p *planner) sources(name string) (addrs []netip.Addr, hosts []string) {
	domains := slices.DeleteFunc(slices.Clone(p.s.Domains), func(d Domain) bool { return d.Name != name && d.Return != name })
	direct := name == p.s.Hostname
	if len(domains) == 0 && !direct { // applications that keep their own senders use it, if anybody
		domains, direct = p.s.Domains, p.direct()
	}
	for _, d := range domains {
		if d.Smarthost == "" {
			direct = true
		} else if !slices.Contains(hosts, d.Smarthost) {
			hosts = append(hosts, d.Smarthost)
		}
	}
	if direct {
		addrs = p.s.Addresses
	}
	return addrs, hosts
}

func addressTerm(a netip.Addr) string {
	if a.Is4() {
		return "ip4:" + a.String()
	}
	return "ip6:" + a.String()
}

// smarthost gives the term by which a record names those who send for a
// smarthost, or says why there is none.
func (p *planner) smarthost(ctx context.Context, name, host string) (term, remark string) {
	if a, err := netip.ParseAddr(host); err == nil {
		if !publicnet.Address(a) {
			return "", fmt.Sprintf("the smarthost %s is not a public address: SPF has to name the address that its mail reaches the world from, "+
				"which only whoever runs it can say.", host)
		}
		return addressTerm(a), ""
	}
	if term := includeOf(host); term != "" {
		return term, ""
	}
	organisation := dnsx.Organisation(host)
	if organisation == dnsx.Organisation(name) {
		return "a:" + host, ""
	}
	for _, label := range []string{"_spf.", "spf."} {
		if texts, err := p.r.TXT(ctx, label+organisation); err == nil && slices.ContainsFunc(texts, isSPF) {
			return "include:" + label + organisation, fmt.Sprintf("%s was found by its name: compare it with what the provider of "+
				"the smarthost %s tells its customers to include in SPF.", label+organisation, host)
		}
	}
	return "", fmt.Sprintf("the mail goes through the smarthost %s, and what SPF has to include for it is not known here: "+
		"its provider says it to its customers. Add that to the record.", host)
}

// fitting gives the terms that stand for one that is to be added, so that the
// whole, text, asks no more questions than are allowed.
func (p *planner) fitting(ctx context.Context, tree *spfTree, name, text, term string) (terms []string, remark string) {
	n := tree.questions(ctx, text, name)
	domain, isInclude := strings.CutPrefix(term, "include:")
	if n <= maxSPFQuestions || !isInclude {
		return []string{term}, ""
	}
	why := fmt.Sprintf("%s does not fit in: the SPF record would ask %d questions, and %d are allowed. ", term, n, maxSPFQuestions)
	if !p.inEnvelope(name) {
		return nil, why + "It can be left out, because the envelope sender is in another name."
	}
	if nets := tree.networks(ctx, domain); len(nets) > 0 && len(nets) <= maxFlat {
		return nets, why + "Its networks stand there instead; they change when the provider's do, which `homing dns --diff` finds out."
	}
	return []string{term}, ""
}

// inEnvelope reports whether envelope senders are in a name, and not only From
// fields.
func (p *planner) inEnvelope(name string) bool {
	return !p.sends(name) || slices.ContainsFunc(p.s.Domains, func(d Domain) bool { return d.Return == name || d.Name == name && d.Return == "" })
}

// overSPF says what to do about a record that asks too many questions.
func overSPF(ctx context.Context, tree *spfTree, name, text string) (plan Plan) {
	n := tree.questions(ctx, text, name)
	if n <= maxSPFQuestions {
		return plan
	}
	var costs []string
	for _, t := range termsOf(text) {
		if c := tree.cost(ctx, t, name, 0); c > 0 {
			costs = append(costs, fmt.Sprintf("%s (%d)", t.text, c))
		}
	}
	plan.remark(name, Todo, "the SPF record asks %d questions, and with more than %d it counts for nothing: %s. "+
		"Take out what sends no more, or write networks (ip4:) in the place of an include.", n, maxSPFQuestions, strings.Join(costs, ", "))
	return plan
}
