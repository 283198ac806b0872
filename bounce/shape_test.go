package bounce_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"homing/bounce"
)

func ExampleShape() {
	fmt.Println(bounce.Shape("550 5.7.99 <ann@example.net>: Recipient refused on Mon, 23 Nov 2026 10:00:05 +0000 [4XyZ12] https://mx.example.net/why?id=17"))
	fmt.Println(bounce.Shape("550-5.7.99 <Bob@example.com>: recipient refused\r\n550 5.7.99 on Tue, 1 Dec 2026 23:59:01 +0100 [1F00BA] http://mx2.example.com/why"))
	// Output:
	// 550 5.7.99 <{address}>: recipient refused on {time} [{n}] {url}
	// 550 5.7.99 <{address}>: recipient refused on {time} [{n}] {url}
}

// templates are replies as mail systems give them: those of one template in
// one entry.
var templates = []struct {
	name    string
	shape   string
	replies []string
}{
	{"Postfix, virtual mailbox", "550 5.1.1 <{address}>: recipient address rejected: user unknown in virtual mailbox table", []string{
		"550 5.1.1 <ann@example.net>: Recipient address rejected: User unknown in virtual mailbox table",
		"550 5.1.1 <bob.smith+news@mail.example.com>: Recipient address rejected: User  unknown in virtual\nmailbox table"}},
	{"Postfix, local table", "550 5.1.1 <{address}>: recipient address rejected: user unknown in local recipient table", []string{
		"550 5.1.1 <ann@example.net>: Recipient address rejected: User unknown in local recipient table"}},
	{"Postfix as it quotes another host", "550 5.1.1 host {host}[{ip}] said: <{address}>: no such user (in reply to rcpt to command)", []string{
		"host mx.example.net[198.51.100.7] said: 550 5.1.1 <ann@example.net>: No such user (in reply to RCPT TO command)",
		"host mx2.example.co.uk[2001:db8::25] said: 550 5.1.1 <bob@example.co.uk>: No such user (in reply to RCPT TO command)"}},
	{"Postfix, greylisting", "450 4.2.0 <{address}>: recipient address rejected: greylisted, see {url}", []string{
		"450 4.2.0 <ann@example.net>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/example.net.html",
		"450 4.2.0 <x@y.example>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/y.example.html"}},
	{"Exim", "550 unrouteable address {address}", []string{"550 Unrouteable address ann@example.net", "550 unrouteable address BOB@EXAMPLE.COM"}},
	{"Exim, with its identifier", "550 rejected message {n}: unknown reason", []string{
		"550 rejected message 1rABCd-0001xY-2b: unknown reason", "550 rejected message 1sZzzz-000000002Qk-0abc: unknown reason"}},
	{"Sendmail", "550 5.7.1 {n} <{address}>... access denied", []string{
		"550 5.7.1 x9NKpT5m012345 <ann@example.net>... Access denied", "550 5.7.1 2ABCxy0m543210 <b@example.com>... Access denied"}},
	{"qmail", "550 5.1.1 sorry, no mailbox here by that name.", []string{
		"550 sorry, no mailbox here by that name. (#5.1.1)"}},
	{"qmail, vpopmail", "550 5.7.1 sorry, your envelope sender domain must exist", []string{"550 sorry, your envelope sender domain must exist (#5.7.1)"}},
	{"Gmail, no such user, in lines", "550 5.1.1 the email account that you tried to reach does not exist. please try double-checking the recipient's email address for typos or unnecessary spaces. for more information, go to {url} {n}.{n} - gsmtp", nil},
	{"Gmail, disabled", "550 5.2.1 the email account that you tried to reach is disabled. learn more at {url} {n} - gsmtp", []string{
		"550-5.2.1 The email account that you tried to reach is disabled. Learn more at\n550 5.2.1 https://support.google.com/mail/?p=DisabledUser d2e1a72fcca58-7a1b2c3d4e5si1234567b3a.123 - gsmtp",
		"550 5.2.1 The email account that you tried to reach is disabled. Learn more at https://support.google.com/mail/?p=DisabledUser x9-20020a1709064.9 - gsmtp"}},
	{"Gmail, rate", "450 4.2.1 the user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered. {n} - gsmtp", []string{
		"450-4.2.1 The user you are trying to contact is receiving mail at a rate that\n450-4.2.1 prevents additional messages from being delivered. 5b1f17b1804b1-40e5si99 - gsmtp"}},
	{"Microsoft 365, no such recipient", "550 5.1.10 resolver.adr.recipientnotfound; recipient {address} not found by smtp address lookup", []string{
		"550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient ann@example.net not found by SMTP address lookup",
		"550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient bob@contoso.com not found by SMTP address lookup"}},
	{"Microsoft 365, authentication", "550 5.7.134 resolver.rst.senderauthenticationrequiredformailbox; authentication required", []string{
		"550 5.7.134 RESOLVER.RST.SenderAuthenticationRequiredForMailbox; authentication required"}},
	{"Microsoft 365, access denied", "550 5.4.1 recipient address rejected: access denied. [{host} {time}]", []string{
		"550 5.4.1 Recipient address rejected: Access denied. [VI1EUR05FT012.eop-eur05.prod.protection.outlook.com 2026-11-14T12:22:33.123Z 08DBE4A1B2C3D4E5]",
		"550 5.4.1 Recipient address rejected: Access denied. [AM0EUR02FT099.eop-EUR02.prod.protection.outlook.com 2027-01-02T03:04:05.678Z 1234567890123456]"}},
	{"Outlook, block list", "550 5.7.1 unfortunately, messages from [{ip}] weren't sent. please contact your internet service provider since part of their network is on our block list ({n}). [{host}]", []string{
		"550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3140). [VE1EUR01FT033.eop-EUR01.prod.protection.outlook.com]",
		"550 5.7.1 Unfortunately, messages from [203.0.113.99] weren’t sent. Please contact your Internet service provider since part of their network is on our block list (S3150). [BN8NAM11FT011.mail.protection.outlook.com]"}},
	{"Yahoo", "554 delivery error: dd requested mail action aborted, mailbox not found - {host}", []string{
		"554 delivery error: dd Requested mail action aborted, mailbox not found - mta4107.mail.ne1.yahoo.com",
		"554 delivery error: dd Requested mail action aborted, mailbox not found - mta7000.mail.gq1.yahoo.com"}},
	{"Yahoo, put off", "421 4.7.0 [{n}] messages from {ip} temporarily deferred due to unexpected volume or user complaints - {ip}; see {url}", []string{
		"421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes",
		"421 4.7.0 [TSS05] Messages from 203.0.113.7 temporarily deferred due to unexpected volume or user complaints - 4.16.56.1; see https://postmaster.yahooinc.com/error-codes"}},
	{"GMX", "550 requested action not taken: mailbox unavailable invalid dns mx or a/aaaa resource record for explanation visit {url}", []string{
		"550-Requested action not taken: mailbox unavailable\n550-invalid DNS MX or A/AAAA resource record\n550 For explanation visit https://postmaster.gmx.net/en/error-messages?ip=192.0.2.1&c=mx",
		"550 Requested action not taken: mailbox unavailable invalid DNS MX or A/AAAA resource record For explanation visit http://postmaster.gmx.net/en/error-messages?ip=203.0.113.77&c=mx"}},
	{"Spamhaus", "554 5.7.1 service unavailable; client host [{ip}] blocked using {host}; {url}", []string{
		"554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.1",
		"554 5.7.1 Service unavailable; Client host [2001:db8::1] blocked using bl.spamcop.net; https://www.spamcop.net/bl.shtml?2001:db8::1"}},
	{"Mimecast", "550 rejected by header based anti-spoofing policy: {address} - {url} [{n}.{n}]", nil},
	{"Proofpoint", "550 5.1.1 <{address}>: recipient address rejected: no such recipient here, {n}", nil},
	{"Amazon SES", "554 5.7.1 email address is not verified. the following identities failed the check in region eu-west-{n}: {address}", nil},
	{"mail.ru", "550 message was not accepted -- invalid mailbox. local mailbox {address} is unavailable: account is disabled", []string{
		"550 Message was not accepted -- invalid mailbox. Local mailbox ann@mail.ru is unavailable: account is disabled",
		"550 Message was not accepted -- invalid mailbox.  Local mailbox боб@mail.ru is unavailable: account is disabled"}},
	{"in German", "552 5.2.2 das postfach von {address} ist seit {time} überfüllt ({n} mb)", []string{
		"552 5.2.2 Das Postfach von ann@example.de ist seit 03.11.2026 überfüllt (500 MB)",
		"552 5.2.2 das Postfach von jürgen.groß@example.de ist seit 30.10.2026 ÜBERFÜLLT (1000 MB)"}},
	{"in Japanese", "552 メールボックスの容量を超えました({n}バイト)", []string{"552 メールボックスの容量を超えました(１０００バイト)", "552 メールボックスの容量を超えました(52428800バイト)"}},
	{"in Russian", "550 почтовый ящик {address} не существует", []string{"550 Почтовый ящик ann@example.ru не существует", "550 почтовый ЯЩИК vasya-99@mail.ru не существует"}},
	{"a list of hosts, however long", "450 4.4.4 no answer from {host}", []string{
		"450 4.4.4 No answer from mx1.example.net", "450 4.4.4 No answer from mx1.example.net, mx2.example.net, mx3.example.net"}},
	{"dates of other forms", "550 account closed since {time}", []string{
		"550 account closed since Nov 23, 2026", "550 account closed since 2026-11-23", "550 account closed since 23/11/2026 10:00",
		"550 account closed since Mon Nov 23 10:00:05 2026", "550 account closed since 23 May 2026", "550 account closed since Monday, 23 November 2026"}},
	{"a month that is none", "550 you may not send to this list, ask may", []string{"550 You may not send to this list, ask May"}},
	{"sizes", "552 5.3.4 message size {n} exceeds limit of {n} bytes", []string{
		"552 5.3.4 Message size 35651584 exceeds limit of 10485760 bytes", "552 5.3.4 message size 34.5MB exceeds limit of 10M bytes"}},
	{"base64 and hexadecimal", "550 verification failed: {n}", []string{
		"550 verification failed: aGVsbG8gd29ybGQ/IQ==", "550 verification failed: 0x7f00DEADBEEF", "550 verification failed: QzUxRkY5MEE0Rj/zZDk+aQ="}},
	{"pairs", "550 spf={n}; client-ip={ip}; helo={host}", []string{
		"550 spf=1; client-ip=192.0.2.1; helo=mail.example.org", "550 SPF=22; client-ip=2001:db8::7; helo=a.example.com:25"}},
	{"no space behind a full stop", "550 unknown user.please check the address", []string{"550 Unknown user.Please check the address"}},
	{"a report's field", "550 5.1.1 smtp; the account {address} is gone", []string{"smtp; 550 5.1.1 The account ann@example.net is gone"}},
	{"only a status", "5.7.999 refused by rule {n}", []string{"5.7.999 refused by rule 17", "Refused by rule 9 (5.7.999)"}},
	{"another status of the same words", "5.7.998 refused by rule {n}", []string{"5.7.998 refused by rule 17"}},
	{"only a code", "550", []string{"550", "550-\n550"}},
	{"nothing", "", []string{"", " \r\n\t"}},
}

func TestRepliesOfOneTemplateHaveOneShape(t *testing.T) {
	templates := templates
	byShape := map[string]string{}
	for _, tt := range templates {
		if other, ok := byShape[tt.shape]; ok {
			t.Errorf("%s and %s have one shape: %q", tt.name, other, tt.shape)
		}
		byShape[tt.shape] = tt.name
		for _, r := range tt.replies {
			if got := bounce.Shape(r); got != tt.shape {
				t.Errorf("%s: Shape(%q) =\n%q, want\n%q", tt.name, r, got, tt.shape)
			}
		}
	}
}

// FuzzShape states the promises about any text: Shape does not panic, what it
// gives is its own Shape, has at most 400 octets of valid UTF-8, and no digits
// but those of the codes that it begins with.
func FuzzShape(f *testing.F) {
	for _, tt := range templates {
		f.Add(tt.shape)
		for _, r := range tt.replies {
			f.Add(r)
		}
	}
	f.Add("may {550-n} mon {time} 550 5.1.1 a 550-5.1.1-b (#5.1.1) {n}http://x {")
	f.Fuzz(func(t *testing.T, text string) {
		got := bounce.Shape(text)
		if again := bounce.Shape(got); again != got {
			t.Errorf("Shape(%q) = %q, whose Shape is %q", text, got, again)
		}
		if len(got) > 400 || !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\t") || strings.Contains(got, "  ") {
			t.Errorf("Shape(%q) = %q", text, got)
		}
		if strings.ContainsAny(strings.TrimLeft(got, "0123456789. "), "0123456789") {
			t.Errorf("Shape(%q) = %q, with digits in it", text, got)
		}
	})
}

func BenchmarkShape(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		bounce.Shape("550 5.4.1 Recipient address rejected: Access denied. [VI1EUR05FT012.eop-eur05.prod.protection.outlook.com 2026-11-14T12:22:33.123Z 08DBE4A1B2C3D4E5]")
	}
}
