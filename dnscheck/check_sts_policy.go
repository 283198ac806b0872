package dnscheck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"homing/internal/dnsx"
)

// shortAge is how long a policy must at least be remembered to protect the next
// mail of somebody who writes once a day (RFC 8461 section 3.2).
const shortAge = 24 * time.Hour

// stsPolicy fetches the policy of a domain, and compares it with the mail hosts
// and with the record, by its id, that announces it.
func (c *checker) stsPolicy(ctx context.Context, domain, id string) Finding {
	if c.o.Policy == nil {
		return skipped(CheckSTSPolicy, "the policy is not fetched here")
	}
	where := "https://mta-sts." + domain + "/.well-known/mta-sts.txt"
	f := Finding{Check: CheckSTSPolicy, Verdict: Warn, Wanted: "at " + where + " a policy that lists every MX", Fix: "See for yourself:\ncurl " + where +
		"\nServe there what `homing dns` prints, or say that there is no policy any more by removing the record\n_mta-sts." + domain + ". IN TXT"}
	served, err := c.o.Policy(ctx, domain)
	switch {
	case errors.Is(err, ErrNoWay):
		f.Verdict, f.Found, f.Fix = Skipped, err.Error(), "Look from elsewhere:\ncurl "+where
		return f
	case err != nil && ctx.Err() != nil:
		f.Found = "no answer in time: " + err.Error()
		return f
	case err != nil:
		f.Found = err.Error()
		return f
	}
	if c.stale(&f, domain, id, served) {
		return f
	}
	records, err := c.r.MX(ctx, domain)
	switch {
	case served.Mode == stsNone:
		return right(CheckSTSPolicy, f.Wanted, "its mode is none, so that it asks for nothing")
	case silent(err):
		return noAnswer(CheckSTSPolicy, err)
	case err != nil: // mail comes to the domain itself, if at all
		records = []dnsx.MX{{Host: domain}}
	}
	return c.protects(f, domain, served, records)
}

// protects judges a policy that asks for something. Hosts that it leaves out
// get no mail of senders who heed it (RFC 8461 section 4.1).
func (c *checker) protects(f Finding, domain string, served STS, records []dnsx.MX) Finding {
	out := slices.DeleteFunc(slices.Clone(records), func(mx dnsx.MX) bool {
		return slices.ContainsFunc(served.MX, func(pattern string) bool { return stsLists(pattern, mx.Host) })
	})
	switch {
	case len(out) > 0:
		f.Verdict = lesser(served.Mode != stsEnforce)
		f.Found = fmt.Sprintf("its mode is %s, and it does not list the MX %s", served.Mode, out[0].Host)
		f.Fix = "If mail is to go to " + out[0].Host + ", add to the policy the line\nmx: " + out[0].Host
		if c.s.PolicyHost != "" {
			f.Fix += "\nwhich in the configuration of Homing is\n[tls]\nmta_sts_mx = [" + quoted(append(slices.Clone(served.MX), out[0].Host)) + "]"
		}
		f.Fix += "\nand publish another id at _mta-sts." + domain + ", so that senders read the policy again. Else remove the MX record."
	case served.Mode == stsEnforce && served.MaxAge < shortAge:
		f.Found = fmt.Sprintf("it counts for %d seconds only, so that senders have forgotten it before they write again", served.MaxAge/time.Second)
		f.Fix = "Write into the policy\nmax_age: 604800\nand publish another id at _mta-sts." + domain + "."
	default:
		return right(CheckSTSPolicy, f.Wanted, fmt.Sprintf("its mode is %s, for %s", served.Mode, listed(served.MX)))
	}
	return f
}

// stale reports whether the record announces another policy than is served, as
// far as its id says which: those of ours are made of the text.
func (c *checker) stale(f *Finding, domain, id string, served STS) bool {
	mode, hosts := c.plan.policy()
	_, wanted := STSPolicy(mode, hosts)
	_, own := STSPolicy(served.Mode, served.MX)
	switch ours := c.s.PolicyHost != "" && id == wanted; {
	case id == own:
		return false
	case ours:
		f.Found = fmt.Sprintf("its mode is %s, for %s; the record announces the one of the configuration, which has mode %s, for %s",
			served.Mode, listed(served.MX), mode, listed(hosts))
		f.Fix = "Let the web server at mta-sts." + domain + " serve what `homing dns` prints. Where Homing serves it, the configuration has changed: restart Homing."
		return true
	}
	for _, before := range []string{stsTesting, stsEnforce, stsNone} {
		if _, other := STSPolicy(before, served.MX); id == other {
			f.Found = fmt.Sprintf("its mode is %s, and the record has still the id of the one with mode %s: who remembers that one does not read this", served.Mode, before)
			f.Fix = "Replace the record by\n" + textLine("_mta-sts."+domain, "v=STSv1; id="+own)
			return true
		}
	}
	return false
}
