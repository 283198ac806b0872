package mailauth

import (
	"slices"
	"strings"
)

// trusted gives what a trusted host says of mail that came from nobody whom we
// know: the word of the topmost field of such a host, if it can be read.
func (c *Checker) trusted(m Mail, l letter) results {
	if len(c.Trusted) == 0 || m.Remote.IsValid() || m.Own || !l.sound {
		return results{}
	}
	for f := range l.header.All() {
		if !strings.EqualFold(f.Name(), fieldName) {
			continue
		}
		said, ok := readResults(f.Value())
		if slices.ContainsFunc(c.Trusted, func(id string) bool { return sameHost(id, said.host) }) {
			if !ok {
				return results{}
			}
			return said
		}
	}
	return results{}
}

// believe takes over what a trusted host says of SPF, and the signatures that
// were genuine when it saw them: on the way from there lines may have changed.
func (r *Result) believe(said results) {
	spf := false
	for _, m := range said.methods {
		switch {
		case m.method == "spf" && !spf:
			spf = r.believeSPF(m)
		case m.method == "dkim" && Verdict(m.result) == Pass:
			r.believeDKIM(m)
		default:
			continue
		}
		r.Relayed = said.host
	}
}

// spfVerdicts are the results of RFC 8601 section 2.7.2.
var spfVerdicts = []Verdict{Pass, Fail, SoftFail, Neutral, None, TempError, PermError, Policy}

func (r *Result) believeSPF(m methodResult) bool {
	if !slices.Contains(spfVerdicts, Verdict(m.result)) {
		return false
	}
	r.SPF, r.SPFDomain, r.HELO = Verdict(m.result), domainOf(m.properties["smtp.mailfrom"]), false
	if r.SPFDomain == "" {
		r.SPFDomain, r.HELO = domainOf(m.properties["smtp.helo"]), true
	}
	return true
}

func (r *Result) believeDKIM(m methodResult) {
	s := Signature{Domain: domainOf(m.properties["header.d"]), Selector: canonical(m.properties["header.s"]), Verdict: Pass}
	if s.Domain == "" {
		s.Domain = domainOf(m.properties["header.i"])
	}
	if s.Domain == "" || len(r.DKIM) >= 2*maxSignatures {
		return
	}
	same := func(o Signature) bool {
		return o.Domain == s.Domain && (o.Selector == s.Selector || s.Selector == "")
	}
	if i := slices.IndexFunc(r.DKIM, same); i >= 0 {
		r.DKIM[i].Verdict, r.DKIM[i].Why = Pass, ""
		return
	}
	r.DKIM = append(r.DKIM, s)
}

// vouched takes a trusted host's word that DMARC passes for the From domain.
func (r *Result) vouched(said results) {
	for _, m := range said.methods {
		if m.method == "dmarc" && Verdict(m.result) == Pass && r.FromDomain != "" && domainOf(m.properties["header.from"]) == r.FromDomain {
			r.DMARC, r.Aligned, r.Relayed = Pass, true, said.host
		}
	}
}

// domainOf gives the domain of an address, or of what is one already, in its
// canonical spelling.
func domainOf(s string) string { return canonical(s[strings.LastIndexByte(s, '@')+1:]) }
