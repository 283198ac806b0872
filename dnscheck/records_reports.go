package dnscheck

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"homing/internal/dnsx"
)

// sending gives what is wanted of a domain that mail is sent as, beside SPF.
func (p *planner) sending(ctx context.Context, d Domain) (plan Plan) {
	for _, k := range d.Keys {
		plan.add(Record{Name: k.Selector + "._domainkey." + d.Name, Type: "TXT", Value: k.Record, Purpose: ForDKIM,
			Why: "the key that Homing signs with"})
	}
	if len(d.Keys) == 0 {
		plan.remark(d.Name, Note, "mail of this domain goes unsigned, because its [[domain]] names no key: make one and name it in dkim, "+
			"as the chapter on DKIM in docs/OPERATING.md says, and ask again.")
	}
	plan.join(p.dmarc(ctx, d.Name))
	return plan
}

// dmarc gives the policy of a domain: what is there with our address for
// reports, or one that changes nothing but asks for reports. A policy from
// above is left to count, since one of p=none below would weaken it (RFC 7489
// section 6.6.3).
func (p *planner) dmarc(ctx context.Context, domain string) (plan Plan) {
	name := "_dmarc." + domain
	texts, err := p.r.TXT(ctx, name)
	if err != nil && errors.Is(err, dnsx.ErrTemporary) {
		plan.remark(domain, Unknown, "the DNS does not say now whether there is a DMARC policy, so none is proposed. Ask again later.")
		return plan
	}
	old, first := policiesIn(texts), "v=DMARC1; p=none"
	if len(old) == 0 {
		above, remark := p.above(ctx, domain)
		if remark.Text != "" {
			plan.Remarks = append(plan.Remarks, remark)
			return plan
		}
		first = cmp.Or(above, first)
	}
	if of := aliasOf(ctx, p.r, name); of != "" && len(old) > 0 {
		return p.hosted(domain, name, of, old)
	}
	meant, err := meantPolicies(old)
	if err != nil {
		plan.remark(domain, Todo, "the policy %q does not count as it stands there: %v. Correct it, and ask again; nothing is proposed in its place, since it would be weaker.", old[0], err)
		return plan
	}
	if len(old) > 1 {
		plan.remark(domain, Note, "there are %d DMARC policies, and so none counts. The strictest stays, with every address for reports.", len(old))
	}
	text := p.withReports(strictest(append(meant, first)))
	plan.add(Record{Name: name, Type: "TXT", Value: text, Purpose: ForDMARC, Instead: without(old, text),
		Why: "large receivers ask for a policy; reports say who sends in the name of " + domain})
	plan.join(p.consent(domain))
	return plan
}

// hosted leaves a policy alone that a service has by an alias: a record in its
// place would not follow what the service does.
func (p *planner) hosted(domain, name, of string, policies []string) (plan Plan) {
	if p.s.Reports == "" || slices.ContainsFunc(receiversOf(policies[0]), p.s.reads) {
		return plan
	}
	plan.remark(domain, Note, "%s is an alias (CNAME) of %s, where whoever runs that has the policy. So none is proposed: have %s added to its rua there, or reports do not come here.",
		name, of, mailto(p.s.Reports))
	plan.join(p.consent(domain))
	return plan
}

// meantPolicies reads policies, and those that were meant for one. Its error is
// that of the first where none can be read.
func meantPolicies(texts []string) (all []string, err error) {
	for _, t := range texts {
		text, mistake := meantPolicy(t)
		if mistake == nil {
			all = append(all, text)
		} else if err == nil {
			err = mistake
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	return nil, err
}

// above says in a Remark whose policy counts for a domain that has none of its
// own. Of domains between it and the registered one, receivers ask only by a
// newer rule than RFC 7489: then policy asks for the same everywhere.
func (p *planner) above(ctx context.Context, domain string) (policy string, r Remark) {
	top := dnsx.Organisation(domain)
	for name := domain; name != top; {
		_, name, _ = strings.Cut(name, ".")
		texts, err := p.r.TXT(ctx, "_dmarc."+name)
		i := slices.IndexFunc(texts, isDMARC)
		switch {
		case err != nil && errors.Is(err, dnsx.ErrTemporary):
			return "", Remark{domain, Unknown, "the DNS does not say now whether the DMARC policy of " + name + " counts here, so none is proposed. Ask again later."}
		case i < 0:
		case name == top:
			return "", Remark{domain, Note, fmt.Sprintf("the DMARC policy of %s counts here (%s), so none is proposed: one of its own could only weaken it.", name, texts[i])}
		case policy == "":
			if d, err := dmarcRecordOf(texts[i]); err == nil {
				policy = "v=DMARC1; p=" + d.subPolicy
			}
		}
	}
	return policy, Remark{}
}

// withReports adds our address to a policy, unless reports come here already,
// at whichever address: twice they would be no better.
func (p *planner) withReports(text string) string {
	if p.s.Reports == "" || slices.ContainsFunc(receiversOf(text), p.s.reads) {
		return text
	}
	return withReceiver(text, p.s.Reports)
}

// consent lets reports about a domain go to another one of ours.
func (p *planner) consent(domain string) (plan Plan) {
	_, at, ok := strings.Cut(p.s.Reports, "@")
	if !ok || dnsx.Organisation(at) == dnsx.Organisation(domain) {
		return plan
	}
	plan.add(Record{Name: domain + "._report._dmarc." + at, Type: "TXT", Value: "v=DMARC1", Purpose: ForConsent,
		Why: "reports about " + domain + " may go to " + p.s.Reports})
	return plan
}

// tlsReports asks for reports about TLS of mail to a domain.
func (p *planner) tlsReports(ctx context.Context, domain string) (plan Plan) {
	if p.s.Reports == "" {
		return plan
	}
	name := "_smtp._tls." + domain
	texts, err := p.r.TXT(ctx, name)
	if err != nil && errors.Is(err, dnsx.ErrTemporary) {
		plan.remark(domain, Unknown, "the DNS does not say now who gets reports about TLS, so no record is proposed for them. Ask again later.")
		return plan
	}
	old := slices.DeleteFunc(texts, func(t string) bool { return !isTLSRPT(t) })
	text := "v=TLSRPTv1; rua=" + mailto(p.s.Reports)
	if len(old) > 0 {
		text = p.withReports(joined(old))
	}
	plan.add(Record{Name: name, Type: "TXT", Value: text, Purpose: ForTLSRPT, Instead: without(old, text), Why: "reports say whether TLS to Homing works"})
	return plan
}

// versioned reports whether a text is a list of tags that begins with a
// version.
func versioned(text, version string) bool {
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), version)
	rest = strings.TrimLeft(rest, " \t")
	return ok && (rest == "" || rest[0] == ';')
}

func isDMARC(text string) bool {
	version, _, _ := strings.Cut(text, ";")
	name, value, _ := strings.Cut(version, "=")
	return strings.TrimSpace(name) == "v" && strings.TrimSpace(value) == "DMARC1" // with space, by RFC 7489 section 6.4
}

func isTLSRPT(text string) bool { return versioned(text, "v=TLSRPTv1") }

// tagOf gives the value of a tag of a list like "v=DMARC1; p=none"; "": there
// is none.
func tagOf(text, tag string) string {
	for field := range strings.SplitSeq(text, ";") {
		name, value, _ := strings.Cut(field, "=")
		if strings.EqualFold(strings.TrimSpace(name), tag) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// strictest gives of several policies the first that asks for most, with the
// receivers of all.
func strictest(policies []string) string {
	rank := func(text string) int {
		return slices.Index([]string{"quarantine", "reject"}, strings.ToLower(tagOf(text, "p")))
	}
	best := slices.MaxFunc(policies, func(a, b string) int { return rank(a) - rank(b) })
	return joined(append([]string{best}, policies...))
}

// joined gives the first of several texts with the receivers of all.
func joined(texts []string) string {
	text := texts[0]
	for _, other := range texts[1:] {
		for uri := range strings.SplitSeq(tagOf(other, "rua"), ",") {
			if uri = strings.TrimSpace(uri); uri != "" && !slices.Contains(receiversOf(text), receiver(uri)) {
				text = withURI(text, uri)
			}
		}
	}
	return text
}

// withReceiver adds an address to those that reports go to, unless it is
// there. Everything else stays as it is.
func withReceiver(text, address string) string {
	if slices.Contains(receiversOf(text), strings.ToLower(address)) {
		return text
	}
	return withURI(text, mailto(address))
}

func withURI(text, uri string) string {
	fields := strings.Split(strings.TrimRight(text, "; \t"), ";")
	for i, field := range fields {
		name, value, _ := strings.Cut(field, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "rua") {
			continue
		}
		if strings.TrimSpace(value) == "" {
			fields[i] = name + "=" + uri
		} else {
			fields[i] = strings.TrimRight(field, " \t,") + "," + uri
		}
		return strings.Join(fields, ";")
	}
	return strings.Join(fields, ";") + "; rua=" + uri
}

func receiversOf(text string) (all []string) {
	for uri := range strings.SplitSeq(tagOf(text, "rua"), ",") {
		all = append(all, receiver(uri))
	}
	return all
}

// receiver gives the address of a URI in lower case, without the limit of
// size that may stand behind it (RFC 7489 section 6.2), or the whole URI.
func receiver(uri string) string {
	uri, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(uri)), "!")
	address, ok := strings.CutPrefix(uri, "mailto:")
	if !ok {
		return uri
	}
	if plain, err := url.PathUnescape(address); err == nil {
		return plain
	}
	return address
}

// mailto gives the URI of an address, in which "!", "," and ";" would mean
// something else (RFC 7489 section 6.2).
func mailto(address string) string {
	local, domain, _ := strings.Cut(address, "@")
	return "mailto:" + url.PathEscape(local) + "@" + domain
}

// without gives the texts that are not this one.
func without(texts []string, text string) []string {
	return slices.DeleteFunc(slices.Clone(texts), func(t string) bool { return t == text })
}
