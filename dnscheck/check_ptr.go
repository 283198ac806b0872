package dnscheck

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

func (c *checker) ptrJobs() (jobs []job) {
	for _, a := range c.s.Addresses {
		jobs = append(jobs, job{a.String(), []string{CheckPTR, CheckPTRName, CheckPTRHELO}, func(ctx context.Context) []Finding {
			return c.ptr(ctx, a)
		}})
	}
	return jobs
}

// maxPTR is how many names of an address are looked at (RFC 7208 section 5.5).
const maxPTR = 10

// ptr checks the names of an address that mail comes from. Where all mail goes
// through smarthosts, nobody asks for them: then nothing is wrong with them,
// and nothing is to be asked of the provider.
func (c *checker) ptr(ctx context.Context, a netip.Addr) []Finding {
	names, err := c.r.PTR(ctx, a)
	if silent(err) {
		return []Finding{noAnswer(CheckPTR, err), skipped(CheckPTRName, "no answer"), skipped(CheckPTRHELO, "no answer")}
	}
	found := c.reverse(ctx, a, names)
	for i, f := range found {
		if f.Verdict != OK && !c.plan.direct() {
			found[i] = right(f.Check, "nothing, while all mail goes through smarthosts: receivers do not see this address", f.Found)
		}
	}
	return found
}

// reverse judges the names of an address.
func (c *checker) reverse(ctx context.Context, a netip.Addr, names []string) []Finding {
	if len(names) == 0 {
		none := Finding{Check: CheckPTR, Verdict: Fail, Wanted: "a name for the address, which has this address", Found: a.String() + " has no name", Fix: c.askProvider(a)}
		return []Finding{none, skipped(CheckPTRName, "there is no name"), skipped(CheckPTRHELO, "there is no name")}
	}
	slices.Sort(names)
	names = names[:min(len(names), maxPTR)]
	confirmed, open := c.confirm(ctx, a, names)
	return []Finding{c.forward(a, names, confirmed, open), c.named(a, names), c.sameAsHELO(ctx, a, names, confirmed, open)}
}

// confirm gives the names that have the address (RFC 8601 section 2.7.3); open
// is what the DNS did not answer.
func (c *checker) confirm(ctx context.Context, a netip.Addr, names []string) (confirmed []string, open error) {
	for _, name := range names {
		addrs, err := c.addrsOf(ctx, name)
		if err != nil {
			open = err
		}
		if slices.Contains(addrs, a.Unmap()) {
			confirmed = append(confirmed, name)
		}
	}
	return confirmed, open
}

func (c *checker) forward(a netip.Addr, names, confirmed []string, open error) Finding {
	f := Finding{Check: CheckPTR, Verdict: Fail, Wanted: "a name for the address, which has this address",
		Fix: "Publish the address of the name, or have it replaced by one that has the address.\n" + c.hostRecord(a) + "\n" + c.askProvider(a)}
	switch {
	case len(confirmed) == 0 && open != nil:
		return noAnswer(CheckPTR, open)
	case len(confirmed) == 0:
		f.Found = fmt.Sprintf("the name %s does not have the address %s", listed(names), a)
	case len(confirmed) < len(names) && open == nil:
		f.Verdict, f.Found = Warn, fmt.Sprintf("of the names %s only %s has the address; receivers look at any one of them", listed(names), listed(confirmed))
		f.Fix = "Have all names removed but one.\n" + c.askProvider(a)
	default:
		return right(CheckPTR, f.Wanted, listed(confirmed))
	}
	return f
}

// named looks for names that networks give to lines of their customers.
func (c *checker) named(a netip.Addr, names []string) Finding {
	f := Finding{Check: CheckPTRName, Wanted: "a name that somebody chose for a mail server"}
	for _, name := range names {
		g, why := generic(a, name)
		if g == chosen || name == c.s.Hostname && g == hosted {
			continue
		}
		f.Verdict = lesser(g == hosted)
		f.Found, f.Fix = fmt.Sprintf("%s looks like a name for every customer: %s. Many receivers refuse mail from such names", name, why), c.askProvider(a)
		return f
	}
	return right(CheckPTRName, f.Wanted, listed(names))
}

func (c *checker) sameAsHELO(ctx context.Context, a netip.Addr, names, confirmed []string, open error) Finding {
	f := Finding{Check: CheckPTRHELO, Verdict: lesser(len(confirmed) > 0), Wanted: c.s.Hostname, Fix: c.askProvider(a)}
	f.Found = fmt.Sprintf("the address is called %s, and we greet as %s", listed(names), c.s.Hostname)
	switch {
	case slices.Contains(names, c.s.Hostname):
		return right(CheckPTRHELO, f.Wanted, c.s.Hostname)
	case len(confirmed) == 0 && open != nil:
		return noAnswer(CheckPTRHELO, open)
	case len(confirmed) > 0:
		f.Found += ". Most receivers take that, because the name has the address"
		if c.wholly(ctx, confirmed[0]) {
			f.Fix += "\nOr greet with the name of the address, by\nhostname = \"" + confirmed[0] + "\"\nin the configuration, and publish what `homing dns` prints then."
		}
	}
	return f
}

// wholly reports whether a name has every address of this machine, so that it
// could be the one that we greet with.
func (c *checker) wholly(ctx context.Context, name string) bool {
	addrs, err := c.addrsOf(ctx, name)
	ours, _ := c.ours(addrs)
	return err == nil && len(ours) == len(c.s.Addresses)
}

// askProvider says who can change the name of an address, and what to ask for.
func (c *checker) askProvider(a netip.Addr) string {
	r := Record{Type: "PTR", Value: c.s.Hostname + "."}
	r.Name = strings.TrimSuffix(reverseName(a), ".")
	return fmt.Sprintf("Set the reverse DNS (PTR) of %s to %s in the panel of whoever gave you the address, or ask them for it:\n%s", a, c.s.Hostname, line(r))
}

func (c *checker) hostRecord(a netip.Addr) string {
	r := families([]netip.Addr{a})[0]
	r.Name = c.s.Hostname
	return line(r)
}
