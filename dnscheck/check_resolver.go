package dnscheck

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// absent is a name that does not exist, and never will (RFC 6761 section 6.4).
const absent = "homing-selfcheck.invalid"

const localUnbound = "Install a resolver on this machine, which asks the DNS itself and validates:\n" +
	"apt install unbound\n" +
	"and name it in the configuration:\n" +
	"[dns]\nserver = \"127.0.0.1:53\""

func (c *checker) resolverJobs() []job {
	jobs := []job{{c.o.Signed, []string{CheckResolver, CheckDNSSEC}, c.resolver}}
	for _, domain := range c.ourDomains() {
		jobs = append(jobs, job{domain, []string{CheckServers}, func(ctx context.Context) []Finding {
			return []Finding{c.nameservers(ctx, domain)}
		}})
	}
	return jobs
}

// ourDomains are all that records of ours stand in.
func (c *checker) ourDomains() []string {
	all := slices.Concat([]string{c.s.Hostname}, c.s.Returns, c.s.Routed)
	for _, d := range c.s.Domains {
		all = append(all, d.Name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// resolver asks for what is known beforehand.
func (c *checker) resolver(ctx context.Context) []Finding {
	bases, err := c.r.Bases(ctx, c.o.Signed)
	if err != nil {
		verdict, why := Fail, "the resolver does not answer"
		if !silent(err) {
			verdict, why = Warn, "the resolver knows nothing of the world"
		}
		return []Finding{
			{Check: CheckResolver, Verdict: verdict, Wanted: "an answer for " + c.o.Signed, Found: err.Error(),
				Fix: "Look at which servers /etc/resolv.conf or server in [dns] names, and whether they answer:\ndig " + c.o.Signed + "\n" + localUnbound},
			skipped(CheckDNSSEC, why),
		}
	}
	return []Finding{c.honest(ctx), validates(c.o.Signed, len(bases) > 0)}
}

// honest finds resolvers that answer for what does not exist, as some
// providers' do to show advertisements: to them every domain has addresses,
// and every address is on every block list.
func (c *checker) honest(ctx context.Context) Finding {
	const wanted = "answers for what exists, and none for what does not"
	addrs, err := c.r.Addrs(ctx, absent)
	switch {
	case err == nil:
		return Finding{Check: CheckResolver, Verdict: Fail, Wanted: wanted, Found: fmt.Sprintf("%s, which cannot exist, has the addresses %s: this resolver lies", absent, listed(addrs)), Fix: localUnbound}
	case silent(err):
		return Finding{Check: CheckResolver, Verdict: Warn, Wanted: wanted, Found: "for what does not exist it gives a failure: " + err.Error(), Fix: localUnbound}
	}
	return right(CheckResolver, wanted, "it answers for "+c.o.Signed)
}

func validates(signed string, authentic bool) Finding {
	const wanted = "a resolver on this machine that validates with DNSSEC"
	if authentic {
		return right(CheckDNSSEC, wanted, "the answer for "+signed+" is validated")
	}
	return Finding{Check: CheckDNSSEC, Verdict: Warn, Wanted: wanted,
		Found: "the answer for " + signed + ", whose zone is signed, is not marked as validated, or comes from a server elsewhere, whose mark anybody on the way can set. So DANE is not used, and forged answers pass", Fix: localUnbound}
}

// nameservers asks a domain's servers for anything. That they fail for all
// the world is told from a resolver that fails by asking for another name.
func (c *checker) nameservers(ctx context.Context, domain string) Finding {
	const wanted = "name servers that answer"
	_, err := c.r.TXT(ctx, domain)
	switch {
	case !silent(err):
		return right(CheckServers, wanted, "they answer")
	case ctx.Err() != nil:
		return noAnswer(CheckServers, err)
	}
	if _, other := c.r.Bases(ctx, c.o.Signed); silent(other) {
		return skipped(CheckServers, "the resolver does not answer")
	}
	return Finding{Check: CheckServers, Verdict: Fail, Wanted: wanted, Found: err.Error(),
		Fix: "Others cannot find this domain either, so that they refuse its mail and cannot answer it. Ask whoever runs its DNS. " +
			"A signature of DNSSEC that has run out, or a DS record of keys that are gone, looks the same:\n" +
			"dig +trace TXT " + domain + "\nhttps://dnsviz.net/d/" + domain + "/dnssec/"}
}

// addrsOf gives the addresses of a host; none and no error: it has none.
func (c *checker) addrsOf(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs, err := c.r.Addrs(ctx, host)
	if err != nil && !silent(err) {
		return nil, nil
	}
	return addrs, err
}

// textsOf gives the texts of a name; none and no error: it has none.
func (c *checker) textsOf(ctx context.Context, name string) ([]string, error) {
	texts, err := c.r.TXT(ctx, name)
	if err != nil && !silent(err) {
		return nil, nil
	}
	return texts, err
}

func (c *checker) aliasOf(ctx context.Context, name string) string { return aliasOf(ctx, c.r, name) }

// astray says where a record that is missing was put by mistake; "": nowhere.
func (c *checker) astray(ctx context.Context, w Record) string {
	w.Zone = zoneOf(ctx, c.r, w)
	if note := astray(ctx, c.r, Difference{Record: w}); note != "" {
		return ". But " + note
	}
	return ""
}

// ours reports which of some addresses are ours, and which are not. Where it is
// not known which are, none is either.
func (c *checker) ours(addrs []netip.Addr) (ours, others []netip.Addr) {
	if len(c.s.Addresses) == 0 {
		return nil, nil
	}
	for _, a := range addrs {
		if slices.Contains(c.s.Addresses, a.Unmap()) {
			ours = append(ours, a)
		} else {
			others = append(others, a)
		}
	}
	return ours, others
}

// listed writes things one after the other.
func listed[T any](things []T) string {
	var words []string
	for _, t := range things {
		words = append(words, fmt.Sprint(t))
	}
	return strings.Join(words, ", ")
}
