package dnscheck

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"homing/internal/dnsx"
)

func (c *checker) dmarcJobs() (jobs []job) {
	for _, d := range c.s.Domains {
		checks := []string{CheckDMARC, CheckDMARCPolicy, CheckDMARCReports, CheckDMARCAlignment}
		jobs = append(jobs, job{d.Name, checks, func(ctx context.Context) []Finding { return c.dmarc(ctx, d) }})
	}
	return jobs
}

// A dmarcPolicy is one that counts for a domain.
type dmarcPolicy struct {
	dmarcRecord
	at   string // the domain that it stands at
	text string
}

// effective is what it asks for with mail of a domain.
func (p dmarcPolicy) effective(domain string) string {
	if p.at == domain {
		return p.policy
	}
	return p.subPolicy
}

// dmarc checks how mail of a domain is proven to be its own (RFC 7489).
func (c *checker) dmarc(ctx context.Context, d Domain) []Finding {
	at, texts, err := c.policyTexts(ctx, d.Name)
	if err != nil {
		return []Finding{noAnswer(CheckDMARC, err), skipped(CheckDMARCPolicy, "no answer"), skipped(CheckDMARCReports, "no answer"), skipped(CheckDMARCAlignment, "no answer")}
	}
	f, p := c.onePolicy(d.Name, at, texts)
	if len(texts) == 0 {
		f.Fix = c.firstPolicy(ctx, d.Name)
		f.Found += c.astray(ctx, Record{Name: "_dmarc." + d.Name, Type: "TXT", Purpose: ForDMARC})
	}
	if f.Verdict != OK && p.text == "" {
		relaxed := dmarcPolicy{dmarcRecord: dmarcRecord{policy: "none", subPolicy: "none"}, at: d.Name}
		return []Finding{f, skipped(CheckDMARCPolicy, "there is no policy"), skipped(CheckDMARCReports, "there is no policy"), aligned(d, relaxed)}
	}
	return []Finding{f, demands(d.Name, p), c.dmarcReports(ctx, d.Name, p), aligned(d, p)}
}

// firstPolicy is what homing dns proposes for a domain without a policy.
func (c *checker) firstPolicy(ctx context.Context, domain string) string {
	plan := c.plan.dmarc(ctx, domain)
	for _, r := range plan.Records {
		if r.Purpose == ForDMARC {
			return line(r)
		}
	}
	var remarks []string
	for _, r := range plan.Remarks {
		remarks = append(remarks, r.Text)
	}
	return strings.Join(remarks, "\n")
}

// policyTexts gives what looks like a policy, and the domain that it stands at:
// this one, or else its organisational domain (RFC 7489 section 6.6.3).
func (c *checker) policyTexts(ctx context.Context, domain string) (at string, texts []string, err error) {
	for _, at = range slices.Compact([]string{domain, dnsx.Organisation(domain)}) {
		texts, err = c.textsOf(ctx, "_dmarc."+at)
		texts = policiesIn(texts)
		if err != nil || len(texts) > 0 {
			return at, texts, err
		}
	}
	return domain, nil, nil
}

// onePolicy wants exactly one policy that can be read. It gives none where
// receivers would not find one.
func (c *checker) onePolicy(domain, at string, texts []string) (f Finding, p dmarcPolicy) {
	name := "_dmarc." + at
	wanted := c.plan.withReports("v=DMARC1; p=none")
	f = Finding{Check: CheckDMARC, Verdict: Warn, Wanted: "one policy", Fix: textLine(name, wanted)}
	switch len(texts) {
	case 0:
		f.Found = "there is no policy: large receivers want one from whoever sends to many, and nobody tells who else sends in this name"
		return f, p
	case 1:
	default:
		f.Verdict, f.Found = Fail, fmt.Sprintf("there are %d policies at %s, and so none counts", len(texts), name)
		if readable := slices.DeleteFunc(slices.Clone(texts), func(t string) bool { return !isDMARC(t) }); len(readable) > 0 {
			wanted = c.plan.withReports(strictest(readable))
		}
		f.Fix = "Replace them by one:\n" + textLine(name, wanted)
		return f, p
	}
	record, err := dmarcRecordOf(texts[0])
	if err != nil {
		f.Verdict, f.Found = Fail, fmt.Sprintf("the policy %q does not count as it stands there: %v", texts[0], err)
		f.Fix = "Correct it. The shortest that counts:\n" + textLine(name, c.plan.withReports("v=DMARC1; p="+askedFor(texts[0])))
		if meant, err := meantPolicy(texts[0]); err == nil {
			f.Fix = "Replace it by what was meant:\n" + textLine(name, c.plan.withReports(meant))
		}
		return f, p
	}
	p = dmarcPolicy{record, at, texts[0]}
	if record.unknown != "" {
		f.Found, f.Fix = fmt.Sprintf("the policy %q has a tag %s, which does not exist%s", texts[0], record.unknown, meant(record.unknown)), "Correct the record at "+name+"."
		return f, p
	}
	f = right(CheckDMARC, f.Wanted, texts[0])
	if at != domain {
		f.Found = "that of " + at + ": " + f.Found
	}
	return f, p
}

// askedFor is what a text asks for that cannot be read, as far as it says so.
func askedFor(text string) string {
	if policy := strings.ToLower(tagOf(bare(text), "p")); slices.Contains(dmarcPolicies, policy) {
		return policy
	}
	return "none"
}

// demands says what a policy asks for.
func demands(domain string, p dmarcPolicy) Finding {
	f := right(CheckDMARCPolicy, "what the reports allow", "p="+p.policy)
	policy := p.effective(domain)
	if p.at != domain {
		f.Found = fmt.Sprintf("%s for %s, by the policy of %s", policy, domain, p.at)
	}
	switch {
	case policy == "none":
		f.Found += ": nothing is done about forged mail. When the reports show for some weeks that all mail of this domain passes, p=quarantine is the next step"
	case p.percent == 0:
		f.Verdict, f.Found = Warn, f.Found+" with pct=0, which means none of the mail"
		f.Fix = "Take pct=0 out of the record at _dmarc." + p.at + ", or say p=none, which is what it amounts to."
	case p.percent < 100:
		f.Found += fmt.Sprintf(", for %d in 100 messages that fail", p.percent)
	}
	return f
}

// aligned checks that what proves our mail is of the same domain as its From
// field (RFC 7489 section 3.1). Signatures are of the domain itself.
func aligned(d Domain, p dmarcPolicy) Finding {
	f := Finding{Check: CheckDMARCAlignment, Verdict: Warn, Wanted: "a signature and a return address of the domain of the From field"}
	signed := len(d.Keys) > 0
	returned := d.Return == d.Name || !p.strictSPF && dnsx.Organisation(d.Return) == dnsx.Organisation(d.Name)
	own := "bounce." + d.Name
	if p.strictSPF {
		own = d.Name
	}
	switch {
	case signed && d.Rewrites:
		return right(CheckDMARCAlignment, f.Wanted, "the signature is; the smarthost puts its own return address in the place of ours")
	case d.Rewrites:
		f.Found = fmt.Sprintf("nothing of ours proves that mail is of %s: it is not signed, and the smarthost replaces the return address", d.Name)
		f.Fix = newKey(d.Name, "homing1") + "\nOr, where the account of the smarthost can be made to sign as " + d.Name + ", have it do so; it is not seen from here whether it does."
	case signed && d.Return == "":
		return right(CheckDMARCAlignment, f.Wanted, "the signature is; return addresses are those of the applications")
	case signed && returned:
		return right(CheckDMARCAlignment, f.Wanted, "both are")
	case signed && p.strictSPF && dnsx.Organisation(d.Return) == dnsx.Organisation(d.Name):
		f.Found = fmt.Sprintf("by aspf=s the return address in %s does not count for %s; only the signature does", d.Return, d.Name)
		f.Fix = fmt.Sprintf("Take aspf=s out of the record at _dmarc.%s.", p.at)
	case signed:
		f.Found = fmt.Sprintf("the return address in %s does not count for %s; only the signature does", d.Return, d.Name)
		f.Fix = "Use a return address in the same domain:\nreturn_path = \"return@" + own + "\""
	case returned && d.Return != "":
		f.Found, f.Fix = "mail is not signed: where it is forwarded, nothing proves it", newKey(d.Name, "homing1")
	default:
		if p.effective(d.Name) != "none" {
			f.Verdict = Fail
		}
		f.Found = fmt.Sprintf("nothing that proves our mail is of %s: it is not signed, and the return address is in another domain", d.Name)
		f.Fix = newKey(d.Name, "homing1")
	}
	return f
}
