package dnscheck

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"slices"
	"strconv"
	"strings"

	"homing/internal/dnsx"
)

// The modes of a policy (RFC 8461 section 5).
const (
	stsTesting = "testing" // mail comes also where TLS fails, and that is reported
	stsEnforce = "enforce" // mail does not come where TLS fails
	stsNone    = "none"    // as if there were no policy
)

// STSPolicy is the text of a policy about TLS (RFC 8461 section 3.2) and the
// id under which its record announces it: another text, another id.
func STSPolicy(mode string, hosts []string) (text, id string) {
	var b strings.Builder
	b.WriteString("version: STSv1\r\nmode: " + mode + "\r\n")
	for _, h := range slices.Sorted(slices.Values(hosts)) {
		b.WriteString("mx: " + h + "\r\n")
	}
	b.WriteString("max_age: 604800\r\n")
	sum := sha256.Sum256([]byte(b.String()))
	return b.String(), strings.ToLower(base32.HexEncoding.EncodeToString(sum[:10]))
}

// policy is what all policies of ours say.
func (p *planner) policy() (mode string, hosts []string) {
	if hosts = p.s.PolicyMX; len(hosts) == 0 {
		hosts = []string{p.s.Hostname}
	}
	return cmp.Or(p.s.PolicyMode, stsTesting), hosts
}

// sts gives what announces a policy about TLS for mail to a domain, and the
// policy, where there is a web server for it.
func (p *planner) sts(ctx context.Context, domain string, w way) (plan Plan) {
	host := p.s.PolicyHost
	if host == "" {
		return plan
	}
	name, server := "_mta-sts."+domain, "mta-sts."+domain
	mode, hosts := p.policy()
	text, id := STSPolicy(mode, hosts)
	if mode == stsTesting {
		plan.remark(domain, Note, "the policy begins with mode testing: mail comes also where TLS fails. Once the reports about TLS have shown no failure for some weeks, "+
			"write mta_sts = \"enforce\" into [tls], restart, and publish at %s what `homing dns` prints then. Where another web server has the policy as a file, change that first.", name)
	}
	if out := p.unlisted(w); len(out) > 0 {
		plan.remark(domain, Todo, "the MX %s is not in the policy, and senders who heed it would not go there: "+
			"write mta_sts_mx = [%s] into [tls], restart, and ask again.", listed(out), quoted(slices.Concat(hosts, out)))
	}
	plan.add(Record{Name: name, Type: "TXT", Value: "v=STSv1; id=" + id, Purpose: ForSTS, Why: "mail for " + domain + " is to come over TLS, by a policy that is served over HTTPS"})
	if host != server {
		plan.add(Record{Name: server, Type: "CNAME", Value: host + ".", Purpose: ForSTSHost, Why: "the policy is served there"})
		plan.join(p.web(ctx, host))
	}
	plan.Policies = append(plan.Policies, Policy{domain, "https://" + server + "/.well-known/mta-sts.txt", text})
	return plan
}

// unlisted gives the names of ours in the MX records of a domain that the policy
// does not list.
func (p *planner) unlisted(w way) []string {
	_, hosts := p.policy()
	return slices.DeleteFunc(slices.Clone(w.names), func(name string) bool {
		return slices.ContainsFunc(hosts, func(pattern string) bool { return stsLists(pattern, name) })
	})
}

// stsLists reports whether a pattern of a policy is for a host: a wildcard
// stands for the whole leftmost label (RFC 8461 section 4.1).
func stsLists(pattern, host string) bool {
	above, wildcard := strings.CutPrefix(pattern, "*.")
	_, parent, _ := strings.Cut(host, ".")
	return !wildcard && pattern == host || wildcard && above == parent
}

func quoted(words []string) string {
	var all []string
	for _, w := range words {
		all = append(all, strconv.Quote(w))
	}
	return strings.Join(all, ", ")
}

// web says where the host of policies has no address.
func (p *planner) web(ctx context.Context, host string) (plan Plan) {
	if host == p.s.Hostname {
		return plan // its addresses are wanted anyway
	}
	if _, err := p.r.Addrs(ctx, host); err != nil && !errors.Is(err, dnsx.ErrTemporary) {
		plan.remark(host, Todo, "policies about TLS are to be served by this host, as public_url says, and it has no address: publish the one of the web server, or correct public_url.")
	}
	return plan
}

// stsID gives the id of a record (RFC 8461 section 3.1); "": it is none.
func stsID(text string) string {
	if rest, ok := strings.CutPrefix(text, "v=STSv1"); !ok || !strings.HasPrefix(strings.TrimLeft(rest, " \t"), ";") {
		return ""
	}
	return tagOf(text, "id")
}
