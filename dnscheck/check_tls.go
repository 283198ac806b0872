package dnscheck

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

func (c *checker) tlsJobs() (jobs []job) {
	for _, domain := range c.receiving() {
		jobs = append(jobs,
			job{domain, []string{CheckSTS, CheckSTSPolicy}, func(ctx context.Context) []Finding { return c.mtaSTS(ctx, domain) }},
			job{domain, []string{CheckTLSRPT}, func(ctx context.Context) []Finding { return []Finding{c.tlsReports(ctx, domain)} }})
	}
	return jobs
}

// stsRecord is what announces a policy (RFC 8461 section 3.1).
var stsRecord = regexp.MustCompile(`^v=STSv1[ \t]*;[ \t]*id[ \t]*=[ \t]*[A-Za-z0-9]{1,32}[ \t]*(;|$)`)

// mtaSTS checks what announces a policy about TLS, and the policy.
func (c *checker) mtaSTS(ctx context.Context, domain string) []Finding {
	name := "_mta-sts." + domain
	texts, err := c.textsOf(ctx, name)
	if err != nil {
		return []Finding{noAnswer(CheckSTS, err), skipped(CheckSTSPolicy, "no answer")}
	}
	texts = slices.DeleteFunc(texts, func(t string) bool { return !strings.HasPrefix(strings.ToLower(strings.TrimSpace(t)), "v=stsv1") })
	f := Finding{Check: CheckSTS, Verdict: Warn, Wanted: "none, or one that can be read", Fix: "Replace it by what `homing dns` prints, like\n" + textLine(name, "v=STSv1; id=1")}
	switch {
	case len(texts) == 0:
		return []Finding{skipped(CheckSTS, "there is none, and none is needed"), skipped(CheckSTSPolicy, "no policy is announced")}
	case len(texts) > 1:
		f.Found = fmt.Sprintf("there are %d records at %s, and so none counts (RFC 8461 section 3.1)", len(texts), name)
		return []Finding{f, skipped(CheckSTSPolicy, "no policy is announced")}
	case !stsRecord.MatchString(texts[0]):
		f.Found = fmt.Sprintf("%q cannot be read: it must be \"v=STSv1;\" and an id of at most 32 letters and digits", texts[0])
		return []Finding{f, skipped(CheckSTSPolicy, "no policy is announced")}
	}
	return []Finding{right(CheckSTS, f.Wanted, texts[0]), c.stsPolicy(ctx, domain, stsID(texts[0]))}
}

// tlsReports checks who is told how TLS went (RFC 8460 section 3).
func (c *checker) tlsReports(ctx context.Context, domain string) Finding {
	name := "_smtp._tls." + domain
	texts, err := c.textsOf(ctx, name)
	if err != nil {
		return noAnswer(CheckTLSRPT, err)
	}
	texts = slices.DeleteFunc(texts, func(t string) bool { return !strings.HasPrefix(strings.ToLower(strings.TrimSpace(t)), "v=tlsrptv1") })
	address := c.s.Reports
	if address == "" {
		address = "postmaster@" + domain
	}
	f := Finding{Check: CheckTLSRPT, Verdict: Warn, Wanted: "none, or one that can be read", Fix: "Replace it by\n" + textLine(name, "v=TLSRPTv1; rua="+mailto(address))}
	switch {
	case len(texts) == 0:
		return skipped(CheckTLSRPT, "there is none, and none is needed")
	case len(texts) > 1:
		f.Found = fmt.Sprintf("there are %d records at %s, and so none counts (RFC 8460 section 3)", len(texts), name)
		return f
	}
	if err := readableTLSRPT(texts[0]); err != nil {
		f.Found = fmt.Sprintf("%q cannot be read: %v", texts[0], err)
		return f
	}
	return right(CheckTLSRPT, f.Wanted, texts[0])
}

func readableTLSRPT(text string) error {
	tags, err := tagsOf(text)
	switch {
	case err != nil:
		return err
	case len(tags) == 0 || tags[0] != (tag{"v", "TLSRPTv1"}):
		return fmt.Errorf("it must begin with %q", "v=TLSRPTv1")
	case tags.get("rua", "") == "":
		return errors.New("there is no rua, which says where reports go")
	}
	for uri := range strings.SplitSeq(tags.get("rua", ""), ",") {
		u, err := url.Parse(strings.TrimSpace(uri))
		if err != nil || u.Scheme != "mailto" && u.Scheme != "https" {
			return fmt.Errorf("rua must have mailto: or https: addresses, not %.80q", strings.TrimSpace(uri))
		}
	}
	return nil
}
