package dnscheck

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"blitiri.com.ar/go/spf"
)

func (c *checker) spfJobs() (jobs []job) {
	for _, name := range c.envelopes() {
		jobs = append(jobs,
			job{name, []string{CheckSPF}, func(ctx context.Context) []Finding { return []Finding{c.spf(ctx, name)} }},
			job{name, []string{CheckSPFRecord, CheckSPFLookups, CheckSPFVoid}, func(ctx context.Context) []Finding { return c.spfRecord(ctx, name) }})
	}
	return jobs
}

// envelopes gives the names that SPF judges our mail by: those in MAIL FROM,
// and that in HELO (RFC 7208 section 2.3 and 2.4).
func (c *checker) envelopes() []string {
	names := slices.Clone(c.s.Returns)
	for _, d := range c.s.Domains {
		if d.Return != "" {
			names = append(names, d.Return)
		} else {
			names = append(names, d.Name)
		}
	}
	if c.plan.direct() {
		names = append(names, c.s.Hostname)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// spf judges mail in a name as a receiver would: from each address that it
// comes from, or by what its smarthost wants in the record.
func (c *checker) spf(ctx context.Context, name string) Finding {
	addrs, hosts := c.plan.sources(name)
	if len(addrs)+len(hosts) == 0 {
		return c.addressless(CheckSPF)
	}
	texts, err := c.textsOf(ctx, name)
	if err != nil {
		return noAnswer(CheckSPF, err)
	}
	texts = slices.DeleteFunc(texts, func(t string) bool { return !isSPF(t) })
	var all []Finding
	for _, a := range addrs {
		all = append(all, c.judged(ctx, name, a))
	}
	for _, host := range hosts {
		all = append(all, c.included(ctx, name, host, strings.Join(texts[:min(len(texts), 1)], "")))
	}
	f := worst(all)
	if f.Fix == "" && (f.Verdict == Fail || f.Verdict == Warn) {
		f.Fix = c.spfFix(ctx, name, texts)
	}
	return f
}

// worst makes one finding of several: the worst, with what all that are as bad
// have found.
func worst(all []Finding) Finding {
	Sort(all)
	f := all[0]
	var found []string
	for _, one := range all {
		if one.Verdict == f.Verdict {
			found = append(found, one.Found)
		}
	}
	f.Found = strings.Join(found, "; ")
	return f
}

// judged gives the result for one address (RFC 7208 section 2.6).
func (c *checker) judged(ctx context.Context, name string, a netip.Addr) Finding {
	const wanted = "pass"
	result, why := evaluate(ctx, c.r, envelope{a, c.s.Hostname, "postmaster@" + name})
	f := Finding{Check: CheckSPF, Verdict: Fail, Wanted: wanted, Found: fmt.Sprintf("%s for %s", result, a)}
	switch result {
	case spf.Pass:
		return right(CheckSPF, wanted, f.Found)
	case spf.TempError:
		return noAnswer(CheckSPF, why)
	case spf.None:
		f.Verdict, f.Found = lesser(name == c.s.Hostname), fmt.Sprintf("there is no SPF record that would let %s pass", a)
	case spf.Neutral:
		f.Verdict = Warn
		f.Found += ": the record does not say that it may send"
	case spf.PermError:
		f.Found += ": " + c.spfMistake(why)
	}
	return f
}

// spfMistake says why a record counts for nothing.
func (c *checker) spfMistake(why error) string {
	switch {
	case errors.Is(why, spf.ErrLookupLimitReached):
		return fmt.Sprintf("it takes more than %d look-ups, and so the record counts for nothing", maxSPFQuestions)
	case errors.Is(why, spf.ErrVoidLookupLimitReached):
		return fmt.Sprintf("it names more than %d things that do not exist, and so the record counts for nothing", maxVoid)
	case errors.Is(why, spf.ErrMultipleRecords):
		return "there are several records, here or at a name that is included, and so none counts"
	case errors.Is(why, spf.ErrNoResult):
		return "it includes a name without an SPF record, and so counts for nothing"
	}
	return fmt.Sprintf("the record has a mistake, and so counts for nothing (%v)", why)
}

// included says whether a record lets those pass who send for a smarthost.
func (c *checker) included(ctx context.Context, name, host, text string) Finding {
	term, why := c.plan.smarthost(ctx, name, host)
	f := Finding{Check: CheckSPF, Verdict: Fail, Wanted: term, Found: fmt.Sprintf("the record does not let those pass who send for the smarthost %s", host)}
	switch {
	case term == "":
		f.Verdict, f.Wanted, f.Found = Warn, "those who send for the smarthost "+host, why
		f.Fix = "Look up what the provider of " + host + " tells its customers to include in SPF, and add it to the record at " + name + "."
		if text != "" && slices.ContainsFunc(termsOf(text), func(t spfTerm) bool { return t.qualifier == '+' && t.name != "all" }) {
			return right(CheckSPF, f.Wanted, "a record is there; whether it names them is not known here")
		}
	case text == "":
		f.Found = "there is no SPF record that would let those pass who send for the smarthost " + host
	case c.covers(ctx, name, text, term):
		return right(CheckSPF, term, "it is in the record, for the smarthost "+host)
	}
	return f
}

// covers reports whether a record has a term, or lets everybody pass who the
// term does.
func (c *checker) covers(ctx context.Context, name, text, term string) bool {
	tree := &spfTree{r: c.r}
	if tree.has(ctx, text, name, term) {
		return true
	}
	var nets []string
	if domain, ok := strings.CutPrefix(term, "include:"); ok {
		nets = tree.networks(ctx, domain)
	} else if host, ok := strings.CutPrefix(term, "a:"); ok {
		addrs, _ := c.addrsOf(ctx, host) // no answer is no address
		for _, a := range addrs {
			nets = append(nets, addressTerm(a))
		}
	} else {
		nets = []string{term}
	}
	return len(nets) > 0 && !slices.ContainsFunc(nets, func(t string) bool {
		net, err := network(termOf(t).argument)
		return err != nil || !tree.passes(ctx, net.Addr(), text, name)
	})
}

// spfFix gives the record that would mend it, as `homing dns` does. Where that
// is what is published, no term that is added would help.
func (c *checker) spfFix(ctx context.Context, name string, published []string) string {
	plan := c.plan.spf(ctx, name)
	for _, r := range plan.Records {
		switch {
		case len(r.Instead) > 0 && slices.Contains(published, r.Value):
			return "Remove\n" + textLines(name, r.Instead) + "\nso that this alone is left:\n" + line(r)
		case len(r.Instead) > 0:
			return "Replace\n" + textLines(name, r.Instead) + "\nby\n" + line(r)
		case !slices.Contains(published, r.Value):
			return line(r)
		}
	}
	var remarks []string
	for _, remark := range plan.Remarks {
		remarks = append(remarks, remark.Text)
	}
	if len(remarks) == 0 {
		return "The record names all that it must. What is wrong with it, the check \"spf_record\" says."
	}
	return strings.Join(remarks, "\n")
}

func textLines(name string, texts []string) string {
	var lines []string
	for _, t := range texts {
		lines = append(lines, textLine(name, t))
	}
	return strings.Join(lines, "\n")
}
