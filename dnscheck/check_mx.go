package dnscheck

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"homing/internal/dnsx"
)

// receiving gives the domains that mail comes in for, those of return
// addresses first.
func (c *checker) receiving() []string {
	all := slices.Clone(c.s.Returns)
	for _, name := range c.s.Routed {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

func (c *checker) mxJobs() (jobs []job) {
	for _, domain := range c.receiving() {
		jobs = append(jobs, job{domain, []string{CheckMX, CheckMXHost}, func(ctx context.Context) []Finding {
			return c.mx(ctx, domain)
		}})
	}
	return jobs
}

// mx checks where the mail of a domain goes (RFC 5321 section 5.1).
func (c *checker) mx(ctx context.Context, domain string) []Finding {
	records, err := c.r.MX(ctx, domain)
	switch {
	case silent(err):
		return []Finding{noAnswer(CheckMX, err), skipped(CheckMXHost, "no answer")}
	case err != nil:
		f := c.implied(ctx, domain)
		if f.Verdict == Fail {
			f.Found += c.astray(ctx, Record{Name: domain, Type: "MX", Value: "10 " + c.s.Hostname + ".", Purpose: ForMX})
		}
		return []Finding{f, skipped(CheckMXHost, "there is no MX record")}
	case dnsx.NullMX(records):
		f := c.wrongMX(domain, Fail, "the domain says that it takes no mail at all (null MX, RFC 7505)")
		f.Fix = "Replace the MX record \"0 .\" by\n" + c.mxLine(domain)
		return []Finding{f, skipped(CheckMXHost, "there is no mail host")}
	}
	slices.SortStableFunc(records, func(a, b dnsx.MX) int {
		return cmp.Or(int(a.Preference)-int(b.Preference), cmp.Compare(a.Host, b.Host))
	})
	hosts := c.lookAt(ctx, records)
	return []Finding{c.leads(ctx, domain, hosts), c.hosts(domain, hosts)}
}

// A mailHost is an MX and what it leads to.
type mailHost struct {
	dnsx.MX
	literal bool // it is an address and no name
	alias   string
	ours    bool
	others  []netip.Addr // its addresses that are not ours
	addrs   int
	err     error
}

func (c *checker) lookAt(ctx context.Context, records []dnsx.MX) (hosts []mailHost) {
	for _, mx := range records[:min(len(records), maxMXHosts)] {
		h := mailHost{MX: mx}
		if addr, err := netip.ParseAddr(strings.Trim(mx.Host, "[]")); err == nil {
			h.literal, h.addrs = true, 1
			h.ours = slices.Contains(c.s.Addresses, addr.Unmap())
		} else {
			addrs, err := c.addrsOf(ctx, mx.Host)
			ours, others := c.ours(addrs)
			h.alias, h.err, h.addrs, h.others = c.aliasOf(ctx, mx.Host), err, len(addrs), others
			h.ours = len(ours) > 0 || mx.Host == c.s.Hostname
		}
		hosts = append(hosts, h)
	}
	return hosts
}

// maxMXHosts is how many mail hosts of a domain are looked at.
const maxMXHosts = 10

// leads says whether the mail comes to us, and to us alone.
func (c *checker) leads(ctx context.Context, domain string, hosts []mailHost) Finding {
	first := slices.IndexFunc(hosts, func(h mailHost) bool { return h.ours })
	if first < 0 {
		if i := slices.IndexFunc(hosts, func(h mailHost) bool { return h.err != nil }); i >= 0 {
			return noAnswer(CheckMX, hosts[i].err)
		}
		if len(c.s.Addresses) == 0 {
			return c.addressless(CheckMX)
		}
		f := c.elsewhere(domain, hosts)
		d := Difference{Record: Record{Name: domain, Type: "MX", Value: "10 " + c.s.Hostname + "."}, From: []string{mxText(hosts[0].MX)}}
		d.Zone = zoneOf(ctx, c.r, d.Record)
		if note := lengthened(ctx, c.r, d); note != "" {
			f.Found += ". But " + note
		}
		return f
	}
	var before, after []string
	for _, h := range hosts {
		switch {
		case h.ours:
		case h.Preference <= hosts[first].Preference:
			before = append(before, h.Host)
		default:
			after = append(after, h.Host)
		}
	}
	switch {
	case len(before) > 0:
		f := c.wrongMX(domain, Fail, fmt.Sprintf("mail goes to %s first, or as often as to us", listed(before)))
		f.Fix = fmt.Sprintf("Remove the MX records with %s, so that there is only\n%s", listed(before), c.mxLine(domain))
		return f
	case len(after) > 0:
		f := c.wrongMX(domain, Warn, fmt.Sprintf("%s takes mail while we are away, and for spammers always. It must know which addresses exist, and hand on reports within minutes", listed(after)))
		f.Fix = fmt.Sprintf("A second MX is not needed, because senders wait for days. Remove the MX records with %s, so that there is only\n%s", listed(after), c.mxLine(domain))
		return f
	}
	return right(CheckMX, c.s.Hostname, hosts[first].Host)
}

func (c *checker) wrongMX(domain string, v Verdict, found string) Finding {
	return Finding{Check: CheckMX, Verdict: v, Wanted: c.s.Hostname + " alone", Found: found, Fix: c.mxLine(domain)}
}

func (c *checker) mxLine(domain string) string {
	return line(Record{Name: domain, Type: "MX", Value: "10 " + c.s.Hostname + "."})
}

// peopled reports whether people have addresses in a domain: such mail may
// well go elsewhere, and must not be moved.
func (c *checker) peopled(domain string) bool {
	return c.plan.sends(domain) || dnsx.Organisation(domain) == domain
}

// elsewhere judges a domain whose mail somebody else takes.
func (c *checker) elsewhere(domain string, hosts []mailHost) Finding {
	var names []string
	for _, h := range hosts {
		names = append(names, h.Host)
	}
	f := c.wrongMX(domain, Fail, "mail goes to "+listed(names))
	switch returns := slices.Contains(c.s.Returns, domain); {
	case !c.peopled(domain):
	case returns:
		f.Found += ", and so do the bounces: they do not come back here"
		f.Fix = fmt.Sprintf("Do not move the mail of the domain. Use a name that is for returns alone, in the configuration:\nreturn_path = \"return@bounce.%s\"\nand in the DNS:\n%s", domain, c.mxLine("bounce."+domain))
	default:
		f.Verdict = Warn
		f.Found += ", and only what is handed on from there reaches the routes here"
		f.Fix = fmt.Sprintf("If mail is handed on from there, nothing is to be done. Else give the route a name of its own, like lists.%s, and publish\n%s", domain, c.mxLine("lists."+domain))
	}
	return f
}

// implied judges a domain without an MX: its address takes its mail.
func (c *checker) implied(ctx context.Context, domain string) Finding {
	addrs, err := c.addrsOf(ctx, domain)
	if err != nil {
		return noAnswer(CheckMX, err)
	}
	ours, others := c.ours(addrs)
	switch {
	case len(addrs) > 0 && len(c.s.Addresses) == 0:
		return c.addressless(CheckMX)
	case len(addrs) == 0:
		return c.wrongMX(domain, Fail, "there is no MX record and no address, so that nobody can send mail there")
	case len(ours) == 0:
		return c.wrongMX(domain, Fail, fmt.Sprintf("there is no MX record, so that mail goes to the address of the domain itself, %s", listed(others)))
	}
	return c.wrongMX(domain, Warn, "there is no MX record; mail comes because the domain has our address, which some senders do not take for an answer")
}

// hosts checks what the names of the mail hosts are. A host that is not ours
// can only be worse than nothing.
func (c *checker) hosts(domain string, hosts []mailHost) Finding {
	const wanted = "a name that has an address and is no alias"
	for _, h := range hosts {
		f := Finding{Check: CheckMXHost, Verdict: lesser(!h.ours), Wanted: wanted, Fix: c.mxLine(domain)}
		switch {
		case h.literal:
			f.Found = h.Host + " is an address, and an MX record holds a name"
		case h.err != nil:
			return noAnswer(CheckMXHost, h.err)
		case h.addrs == 0:
			f.Found, f.Fix = h.Host+" has no address", "Publish the address of "+h.Host+", or\n"+f.Fix
			if h.Host == c.s.Hostname {
				f.Fix = c.hostRecords()
			}
		case h.ours && len(h.others) > 0:
			f.Verdict, f.Found = Warn, fmt.Sprintf("%s has also the address %s, which is not of this machine", h.Host, listed(h.others))
			f.Fix = "Remove the record with that address, or write all addresses of this machine into public_addresses in [delivery]."
		case h.alias != "":
			f.Verdict, f.Found = Warn, fmt.Sprintf("%s is an alias of %s, which some senders do not take (RFC 2181 section 10.3)", h.Host, h.alias)
		default:
			continue
		}
		return f
	}
	return right(CheckMXHost, wanted, "so it is")
}
