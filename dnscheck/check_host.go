package dnscheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"homing/internal/dnsx"
)

func (c *checker) hostJobs() []job {
	return []job{
		{c.s.Hostname, []string{CheckHELO}, func(ctx context.Context) []Finding { return []Finding{c.helo(ctx)} }},
		{c.s.Hostname, []string{CheckTLSA}, func(ctx context.Context) []Finding { return []Finding{c.tlsa(ctx)} }},
	}
}

// nowhereTLDs are ends of names that do not exist in the DNS of the world (RFC
// 6761, RFC 6762, RFC 8375 and the names that people use so).
var nowhereTLDs = []string{"local", "localdomain", "localhost", "lan", "home", "internal", "intranet", "corp", "home.arpa", "invalid"}

// helo checks the name that we greet with (RFC 5321 section 2.3.5).
func (c *checker) helo(ctx context.Context) Finding {
	name := c.s.Hostname
	f := Finding{Check: CheckHELO, Verdict: Fail, Wanted: "a name in the DNS with an address of this machine", Fix: c.hostRecords()}
	if !strings.Contains(name, ".") || slices.ContainsFunc(nowhereTLDs, func(tld string) bool { return within(name, tld) }) {
		f.Found = name + " is no name that the world can look up"
		f.Fix = "Write the full name of this machine into the configuration, like\nhostname = \"mail.example.org\"\nand publish its address."
		return f
	}
	if len(c.s.Addresses) == 0 {
		return c.addressless(CheckHELO)
	}
	addrs, err := c.addrsOf(ctx, name)
	switch {
	case errors.Is(err, errInside):
		return c.inside(f, err)
	case err != nil:
		return noAnswer(CheckHELO, err)
	}
	ours, others := c.ours(addrs)
	switch of := c.aliasOf(ctx, name); {
	case len(addrs) == 0:
		f.Found = name + " has no address"
	case len(ours) == 0:
		f.Found = fmt.Sprintf("%s has the address %s, and this machine %s", name, listed(others), listed(c.s.Addresses))
		f.Fix = fmt.Sprintf("If another machine is in use by this name (a web site, where people read their mail), leave it, and write a name of this machine's own into the configuration:\n"+
			"hostname = \"%s\"\nElse publish the addresses of this machine:\n%s", c.plan.freeName(), f.Fix)
		if by := c.plan.takenBy(ctx, others); by != "" {
			f.Fix = fmt.Sprintf("Leave the record, for %s leads to that machine. Write a name of this machine's own into the configuration, and publish what `homing dns` prints then:\nhostname = \"%s\"", by, c.plan.freeName())
		}
	case of != "":
		f.Verdict, f.Found = Warn, fmt.Sprintf("%s is an alias of %s, which a name in HELO and MX must not be (RFC 5321 section 2.3.5)", name, of)
		f.Fix = "Remove the CNAME record and publish the addresses themselves:\n" + f.Fix
	case len(others) > 0:
		f.Verdict, f.Found = Warn, fmt.Sprintf("%s has also the address %s, which is not of this machine: what is sent there does not arrive", name, listed(others))
		f.Fix = fmt.Sprintf("Remove the record with %s. If it is an address of this machine, write all that it has into the configuration:\n[delivery]\npublic_addresses = [%s]", listed(others), quotedAddrs(addrs))
	default:
		return right(CheckHELO, f.Wanted, name+" has the address "+listed(ours))
	}
	return f
}

// inside says that nothing is known of our name but what this machine itself
// makes of it.
func (c *checker) inside(f Finding, err error) Finding {
	f.Verdict, f.Found = Warn, err.Error()+". If the world sees the same, no mail comes; if not, nothing that hangs on this name can be checked from here"
	f.Fix = "See what the world sees:\ndig +short " + c.s.Hostname + " @9.9.9.9\nWhere that is wrong, publish\n" + c.hostRecords() +
		"\nWhere it is right, the other answer comes from /etc/hosts or from a DNS of this network. " + localUnbound
	return f
}

// addressless says that there is nothing to compare with.
func (c *checker) addressless(check string) Finding {
	f := skipped(check, "which addresses the world knows this machine by is not known")
	f.Fix = "Write them into the configuration, like\n[delivery]\npublic_addresses = [\"203.0.113.10\"]"
	return f
}

// hostRecords are those that give Hostname our addresses.
func (c *checker) hostRecords() string {
	var lines []string
	for _, r := range families(c.s.Addresses) {
		r.Name = c.s.Hostname
		lines = append(lines, line(r))
	}
	return strings.Join(lines, "\n")
}

// line writes a record as a zone file has it.
func line(r Record) string {
	value := r.Value
	if r.Type == "TXT" {
		value = r.Quoted()
	}
	return r.Name + ". IN " + r.Type + " " + value
}

func textLine(name, text string) string { return line(Record{Name: name, Type: "TXT", Value: text}) }

func quotedAddrs(addrs []netip.Addr) string {
	var words []string
	for _, a := range addrs {
		words = append(words, fmt.Sprintf("%q", a))
	}
	return strings.Join(words, ", ")
}

// tlsa compares the published pins of our certificate with it: of those that
// are there one must fit, or senders that check DANE keep their mail (RFC 7672
// section 2.2).
func (c *checker) tlsa(ctx context.Context) Finding {
	name := "_25._tcp." + c.s.Hostname
	published, err := c.r.TLSA(ctx, name)
	switch {
	case silent(err):
		return noAnswer(CheckTLSA, err)
	case len(c.s.Pinned) == 0 && err != nil:
		return skipped(CheckTLSA, "no certificate is pinned")
	}
	pins := c.s.Pinned
	if c.o.Pins != nil && err == nil {
		pins = c.o.Pins(published)
	}
	if len(pins) == 0 {
		return skipped(CheckTLSA, "there are records at "+name+", but the configuration pins no certificate to compare them with")
	}
	var wanted []string
	for _, t := range pins {
		wanted = append(wanted, line(Record{Name: name, Type: "TLSA", Value: tlsaText(t)}))
	}
	f := Finding{Check: CheckTLSA, Wanted: "a TLSA record of the certificate", Fix: strings.Join(wanted, "\n")}
	fits := func(p dnsx.TLSA) bool {
		return slices.ContainsFunc(pins, func(t dnsx.TLSA) bool {
			return t.Usage == p.Usage && t.Selector == p.Selector && t.Matching == p.Matching && bytes.Equal(t.Data, p.Data)
		})
	}
	switch {
	case err != nil:
		f.Verdict, f.Found = Warn, "there is none, so senders do not check the certificate"
	case !slices.ContainsFunc(published, fits):
		f.Verdict, f.Found = Fail, "none of the records fits the certificate: senders that check DANE do not deliver"
	default:
		return right(CheckTLSA, f.Wanted, "published")
	}
	return f
}
