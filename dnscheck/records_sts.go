package dnscheck

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"homing/internal/dnsx"
)

// The modes of a policy (RFC 8461 section 5).
const (
	stsTesting = "testing" // mail comes also where TLS fails, and that is reported
	stsEnforce = "enforce" // mail does not come where TLS fails
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

// sts gives what announces a policy about TLS for mail to a domain, and the
// policy, where there is a web server for it.
func (p *planner) sts(ctx context.Context, domain string, hosts []string) (plan Plan) {
	host, ok := webHost(p.s.PublicURL)
	if !ok {
		return plan
	}
	name, server := "_mta-sts."+domain, "mta-sts."+domain
	text, id := STSPolicy(stsTesting, hosts)
	// The answer decides between two modes; if none comes, the Diff says so.
	texts, _ := p.r.TXT(ctx, name)
	if enforced, other := STSPolicy(stsEnforce, hosts); slices.ContainsFunc(texts, func(t string) bool { return stsID(t) == other }) {
		text, id = enforced, other
	} else {
		plan.remark(domain, Note, "the policy begins with mode testing: mail comes also where TLS fails. Once the reports about TLS have shown no failure for some weeks, "+
			"serve it with \"mode: enforce\" and publish at %s the text \"v=STSv1; id=%s\".", name, other)
	}
	plan.add(Record{Name: name, Type: "TXT", Value: "v=STSv1; id=" + id, Purpose: ForSTS, Why: "mail for " + domain + " is to come over TLS, by a policy that is served over HTTPS"})
	if host != server {
		plan.add(Record{Name: server, Type: "CNAME", Value: host + ".", Purpose: ForSTSHost, Why: "the policy is served there"})
		plan.join(p.web(ctx, host))
	}
	plan.Policies = append(plan.Policies, Policy{domain, "https://" + server + "/.well-known/mta-sts.txt", text})
	return plan
}

// webHost gives the host of an https URL that can have other names as well.
func webHost(text string) (string, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" {
		return "", false
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return "", false
	}
	host, err := dnsx.Canonical(u.Hostname())
	return host, err == nil
}

// web says where the host of public_url has no address.
func (p *planner) web(ctx context.Context, host string) (plan Plan) {
	if host == p.s.Hostname {
		return plan // its addresses are wanted anyway
	}
	if _, err := p.r.Addrs(ctx, host); err != nil && !errors.Is(err, dnsx.ErrTemporary) {
		plan.remark(host, Todo, "public_url names this host, and it has no address: publish the one of the web server, or correct public_url.")
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
