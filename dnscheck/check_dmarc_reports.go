package dnscheck

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"homing/internal/dnsx"
)

// maxReceivers is how many receivers of reports are looked at; more than two
// need not be reported to (RFC 7489 section 6.2).
const maxReceivers = 5

// dmarcReports checks who gets reports, and whether they may (RFC 7489 section
// 7.1).
func (c *checker) dmarcReports(ctx context.Context, domain string, p dmarcPolicy) Finding {
	f := Finding{Check: CheckDMARCReports, Verdict: Warn, Wanted: "an address that reports go to"}
	if c.s.Reports != "" {
		f.Wanted = c.s.Reports
	}
	f.Fix = "Ask for reports:\n" + textLine("_dmarc."+p.at, c.plan.withReports(p.text))
	if of := c.aliasOf(ctx, "_dmarc."+p.at); of != "" && c.s.Reports != "" {
		f.Fix = "_dmarc." + p.at + " is an alias (CNAME) of " + of + ": have this added to rua there, by whoever runs that:\n" + mailto(c.s.Reports)
	}
	switch {
	case len(p.unusable) > 0:
		f.Found = fmt.Sprintf("rua has %s, to which nobody can report: it must be a mailto: with an address", listed(p.unusable))
		f.Fix = "Correct rua in the record at _dmarc." + p.at + "."
		return f
	case len(p.reports) == 0:
		f.Found = "nobody gets reports, so that it stays unknown who sends in the name of " + domain
		if c.s.Reports == "" {
			f.Fix = "Ask for reports to an address that somebody reads:\n" + textLine("_dmarc."+p.at, withReceiver(p.text, "dmarc@"+p.at))
		}
		return f
	}
	if unasked := c.withoutConsent(ctx, p); unasked.Found != "" {
		return unasked
	}
	if c.s.Reports != "" && !slices.ContainsFunc(p.reports, c.s.reads) {
		f.Found = "reports go to " + listed(p.reports) + " and not here, so that Homing cannot tell what they say"
		return f
	}
	return right(CheckDMARCReports, f.Wanted, listed(p.reports))
}

// withoutConsent finds a receiver in another organisation that has not said
// that it wants reports about the domain that the policy stands at.
func (c *checker) withoutConsent(ctx context.Context, p dmarcPolicy) Finding {
	for _, address := range p.reports[:min(len(p.reports), maxReceivers)] {
		_, at, _ := strings.Cut(address, "@")
		if dnsx.Organisation(at) == dnsx.Organisation(p.at) {
			continue
		}
		name := p.at + "._report._dmarc." + at
		texts, err := c.textsOf(ctx, name)
		if err != nil {
			return noAnswer(CheckDMARCReports, err)
		}
		if slices.ContainsFunc(texts, isDMARC) {
			continue
		}
		f := Finding{Check: CheckDMARCReports, Verdict: Warn, Wanted: "receivers of reports that want them",
			Found: fmt.Sprintf("%s has not said that it takes reports about %s, so that none are sent to %s", at, p.at, address),
			Fix:   fmt.Sprintf("Whoever runs %s has to publish\n%s\nIf that is nobody you know, take %s out of rua.", at, textLine(name, "v=DMARC1"), address)}
		return f
	}
	return Finding{}
}
