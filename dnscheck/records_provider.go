package dnscheck

import "strings"

// includes are the SPF records that large providers tell their customers to
// include, by the names of their hosts: those that take mail for sending, and
// those that their customers' MX records name. As of November 2026.
var includes = []struct{ hosts, spf string }{
	{"google.com", "_spf.google.com"},
	{"googlemail.com", "_spf.google.com"},
	{"gmail.com", "_spf.google.com"},
	{"outlook.com", "spf.protection.outlook.com"},
	{"office365.com", "spf.protection.outlook.com"},
	{"mx.microsoft", "spf.protection.outlook.com"},
	{"email-smtp.*.amazonaws.com", "amazonses.com"},
	{"inbound-smtp.*.amazonaws.com", "amazonses.com"},
	{"sendgrid.net", "sendgrid.net"},
	{"mailgun.org", "mailgun.org"},
	{"brevo.com", "spf.brevo.com"},
	{"sendinblue.com", "spf.brevo.com"},
	{"mailjet.com", "spf.mailjet.com"},
	{"postmarkapp.com", "spf.mtasv.net"},
	{"mandrillapp.com", "spf.mandrillapp.com"},
	{"sparkpostmail.com", "sparkpostmail.com"},
	{"elasticemail.com", "_spf.elasticemail.com"},
	{"smtp2go.com", "spf.smtp2go.com"},
	{"messagingengine.com", "spf.messagingengine.com"},
	{"fastmail.com", "spf.messagingengine.com"},
	{"mailbox.org", "mailbox.org"},
	{"protonmail.ch", "_spf.protonmail.ch"},
	{"mail.infomaniak.com", "spf.infomaniak.ch"},
	{"mta-gw.infomaniak.ch", "spf.infomaniak.ch"},
	{"mail.gandi.net", "_mailcust.gandi.net"},
	{"mail.ovh.net", "mx.ovh.com"},
	{"ssl0.ovh.net", "mx.ovh.com"},
	{"ionos.com", "_spf-us.ionos.com"},
	{"ionos.de", "_spf-eu.ionos.com"},
	{"ionos.co.uk", "_spf-eu.ionos.com"},
	{"ionos.fr", "_spf-eu.ionos.com"},
	{"ionos.es", "_spf-eu.ionos.com"},
	{"ionos.it", "_spf-eu.ionos.com"},
	{"kundenserver.de", "_spf-eu.ionos.com"},
	{"zoho.com", "zohomail.com"},
	{"zoho.eu", "zohomail.eu"},
}

// includeOf gives the term for mail that comes from a provider, by a host of
// it; "": the provider is not known.
func includeOf(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, e := range includes {
		if first, rest, ok := strings.Cut(e.hosts, "*"); ok {
			label, fits := strings.CutPrefix(host, first)
			label, ends := strings.CutSuffix(label, rest)
			if fits && ends && label != "" && !strings.Contains(label, ".") {
				return "include:" + e.spf
			}
		} else if within(host, e.hosts) {
			return "include:" + e.spf
		}
	}
	return ""
}
