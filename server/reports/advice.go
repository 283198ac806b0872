package reports

import (
	"fmt"
	"strings"
	"time"

	"homing/internal/dnsx"
)

// Bounds of advice.
const (
	fewMessages = 5  // of a source, that a person need not look at
	fewPercent  = 2  // that fail because others forward them badly
	longEnough  = 14 // days of reports before a stricter policy is proposed
	mostAdvice  = 10 // sources that are spoken of
	longAgo     = 14 // days without it before the last report, after which something is mended
)

// advise says in words what was reported of a domain, and what to do.
func advise(d *Domain, n *names) []string {
	all := []string{}
	say := func(text string) {
		if text != "" {
			all = append(all, text)
		}
	}
	if d.Sends && d.Messages == 0 {
		say(unreported(d, n))
	}
	spoken, quiet := 0, true
	for i := range d.Sources {
		text := d.Sources[i].advice(d, n)
		if quiet = quiet && text == ""; text != "" && spoken < mostAdvice {
			spoken++
			say(text)
		}
	}
	if quiet {
		say(stricter(d))
	}
	for _, p := range d.TLS.Policies {
		unsaid := p.Failed
		for _, f := range p.Failures {
			unsaid -= f.Sessions
			if !d.mended(f.Last) {
				say(tlsAdvice(d.Domain, p.Type, f))
			}
		}
		if unsaid > 0 && !d.mended(p.last) {
			say(fmt.Sprintf("%s failed under its policy %s, and no report says why (last on %s).", sessions(unsaid, d.Domain), p.Type, p.last))
		}
	}
	return all
}

// mended reports whether what was last seen on a day is over, as far as the
// reports reach.
func (d *Domain) mended(day string) bool { return span(day, d.Until) > longAgo }

// unreported says how to get reports.
func unreported(d *Domain, n *names) string {
	if n.Address == "" {
		return fmt.Sprintf("No report says anything of %s, because no address takes any: write a [[route]] with as = \"report\" into the configuration, "+
			"and its address as rua=mailto:… into the DMARC record at _dmarc.%[1]s.", d.Domain)
	}
	text := fmt.Sprintf("No report says anything of %s. Receivers send them once a day to the address in the DMARC record: let the TXT record at _dmarc.%[1]s have "+
		"rua=mailto:%s, as in \"v=DMARC1; p=none; rua=mailto:%[2]s\".", d.Domain, n.Address)
	_, home, _ := strings.Cut(n.Address, "@")
	if dnsx.Organisation(home) != dnsx.Organisation(d.Domain) { // RFC 7489 section 7.1
		text += fmt.Sprintf(" Because that address is in another domain, receivers want its consent, too: the TXT record %s._report._dmarc.%s with \"v=DMARC1\".", d.Domain, home)
	}
	return text
}

// called is a source as people know it.
func (s *Source) called() string {
	if s.Name == "" {
		return s.Address.String()
	}
	return fmt.Sprintf("%s (%s)", s.Address, s.Name)
}

// advice says what a source means and what to do; "": nothing is to be done.
func (s *Source) advice(d *Domain, n *names) string {
	fails := s.failing()
	switch {
	case fails <= 0 || d.mended(s.failed):
		return ""
	case s.Own:
		return s.ownAdvice(d, n, fails)
	case fails < fewMessages:
		return ""
	case s.Signed > 0:
		return fmt.Sprintf("%s passed on %d messages in your name that fail, and others that you have signed: it forwards mail and changes some of it, so there is nothing to do.", s.called(), fails)
	}
	text := fmt.Sprintf("%s sent %d messages in your name that fail (last on %s)", s.called(), fails, s.failed)
	if s.As != "" {
		text += ", as " + s.As
	}
	return text + fmt.Sprintf(": if that is you, add it to SPF (%s in the record of the domain in its envelope sender, which has to be %s or below it) or have it sign with DKIM for %s; if not, %s.",
		mechanism(s), d.Domain, d.Domain, stopped(d.Policy))
}

// mechanism is what allows a source in an SPF record (RFC 7208 section 5.6).
func mechanism(s *Source) string {
	if s.Address.Is4() {
		return "ip4:" + s.Address.String()
	}
	return "ip6:" + s.Address.String()
}

// stopped says what a policy does to what fails.
func stopped(policy string) string {
	switch policy {
	case "reject":
		return "your policy (p=reject) has it refused, and there is nothing to do"
	case "quarantine":
		return "your policy (p=quarantine) puts it among the unwanted mail, and p=reject would have it refused"
	}
	return "a stricter policy (p=quarantine, then p=reject) would stop it"
}

// ownAdvice is that for an address of ours.
func (s *Source) ownAdvice(d *Domain, n *names, fails int) string {
	if few(fails, s.Messages) {
		return ""
	}
	text := fmt.Sprintf("%d of %d messages from your own address %s fail (last on %s).", fails, s.Messages, s.called(), s.failed)
	switch {
	case s.DKIM == 0 && len(n.Selectors[d.Domain]) == 0:
		text += fmt.Sprintf(" They are not signed: give %s a DKIM key (dkim in its [[domain]]) and publish it.", d.Domain)
	case s.DKIM == 0:
		text += fmt.Sprintf(" No signature of them holds: compare what is published at %s._domainkey.%s with the key of the configuration.", n.Selectors[d.Domain][0], d.Domain)
	case s.DKIM < s.Messages:
		text += fmt.Sprintf(" DKIM holds for %d: what other programs send from there is not signed, or somebody changes mail on its way.", s.DKIM)
	}
	if s.SPF == 0 {
		text += fmt.Sprintf(" SPF passes for none: add %s to the SPF record of the domain of the return addresses.", mechanism(s))
	}
	return text
}

// stricter says when the policy may become stricter: after some time in which
// nothing failed that anybody needs.
func stricter(d *Domain) string {
	next := map[string]string{"none": "quarantine", "quarantine": "reject"}[d.Policy]
	if next == "" || d.Pass == 0 || !few(d.Messages-d.Pass, d.Messages) || span(d.Since, d.Until) < longEnough {
		return ""
	}
	return fmt.Sprintf("Nothing of note fails since %s: p=%s in the TXT record at _dmarc.%s would hit hardly anything that receivers have told of.", d.Since, next, d.Domain)
}

// few reports whether so many of all are hardly any.
func few(n, all int) bool { return float64(n)*100 <= float64(all)*fewPercent }

// span is how many days a domain was reported for.
func span(since, until string) int {
	from, err := time.Parse(dateForm, since)
	if err != nil {
		return 0
	}
	to, err := time.Parse(dateForm, until)
	if err != nil {
		return 0
	}
	return int(to.Sub(from)/(24*time.Hour)) + 1
}

// tlsFixes says what to do about a kind of failure (RFC 8460 section 4.3);
// DOMAIN is the domain.
var tlsFixes = map[string]string{
	"starttls-not-supported":    "its mail host did not offer STARTTLS: give the server a certificate ([tls] in the configuration), and let no firewall rewrite SMTP",
	"certificate-host-mismatch": "the certificate has not the name of the mail host: get one for the name that the MX record of DOMAIN has",
	"certificate-expired":       "the certificate had expired: renew it, and let that happen by itself",
	"certificate-not-trusted":   "the certificate is of no authority that everybody trusts, or its chain is not whole: cert_file wants the certificate and then the intermediate ones",
	"validation-failure":        "the connection could not be secured for another reason: look at the log for sessions that ended early",
	"tlsa-invalid":              "no TLSA record matches the certificate: publish one that does, before the certificate changes, or remove them",
	"dnssec-invalid":            "the DNSSEC signatures of DOMAIN are broken: have whoever runs its DNS mend them",
	"dane-required":             "the sender wanted DANE and found none: sign DOMAIN with DNSSEC and publish TLSA records, or ignore it",
	"sts-policy-fetch-error":    "the MTA-STS policy cannot be fetched: https://mta-sts.DOMAIN/.well-known/mta-sts.txt has to answer with a valid certificate",
	"sts-policy-invalid":        "the MTA-STS policy cannot be read: look at https://mta-sts.DOMAIN/.well-known/mta-sts.txt",
	"sts-webpki-invalid":        "the web server of the MTA-STS policy has no valid certificate: mend that of mta-sts.DOMAIN",
}

func tlsAdvice(domain, policy string, f TLSFailure) string {
	fix, known := tlsFixes[f.Type]
	if !known {
		return fmt.Sprintf("%s failed under its policy %s for a reason that no RFC names (last on %s).", sessions(f.Sessions, domain), policy, f.Last)
	}
	return fmt.Sprintf("%s failed (%s, policy %s, last on %s): %s.", sessions(f.Sessions, domain), f.Type, policy, f.Last, strings.ReplaceAll(fix, "DOMAIN", domain))
}

func sessions(n int, domain string) string {
	if n == 1 {
		return "1 session of others with " + domain
	}
	return fmt.Sprintf("%d sessions of others with %s", n, domain)
}
