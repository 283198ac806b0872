package bounce_test

import (
	"slices"
	"strings"
	"testing"

	"homing/bounce"
	"homing/internal/reply"
)

// examples gives each example of the shipped rules with its rule.
func examples(table *bounce.Table) func(func(bounce.Rule, string) bool) {
	return func(yield func(bounce.Rule, string) bool) {
		for _, r := range table.Rules() {
			for _, text := range r.Examples {
				if !yield(r, text) {
					return
				}
			}
		}
	}
}

func TestEachRuleWinsOnItsExamples(t *testing.T) {
	table := bounce.NewTable()
	names := map[string]bool{}
	reasons := map[bounce.Reason]bool{}
	for _, r := range table.Rules() {
		stage := reply.DSN
		if len(r.Stages) > 0 {
			stage = r.Stages[0]
		}
		if len(r.Examples) == 0 || names[r.Name] {
			t.Errorf("rule %s has %d examples; its name was there before: %v", r.Name, len(r.Examples), names[r.Name])
		}
		names[r.Name], reasons[r.Reason] = true, true
		for _, text := range r.Examples {
			got := table.Classify(bounce.Evidence{Stage: stage, Text: text})
			if got.Rule != r.Name || got.Reason != r.Reason || got.Matched == "" {
				t.Errorf("rule %s: %q is for %s (%s, %q)", r.Name, text, got.Rule, got.Reason, got.Matched)
			}
		}
	}
	for _, want := range []bounce.Reason{bounce.UserUnknown, bounce.Moved, bounce.NoMailHost, bounce.HostUnknown, bounce.Disabled, bounce.Filtered, bounce.MailboxFull, bounce.SystemFull, bounce.SystemError,
		bounce.NetworkError, bounce.Expired, bounce.Loop, bounce.RelayDenied, bounce.MessageTooBig, bounce.ProtocolError, bounce.NotCompliant, bounce.RateLimited, bounce.Blocked, bounce.BadReputation,
		bounce.AuthFailure, bounce.NoPTR, bounce.TLSFailed, bounce.Policy, bounce.Rejected, bounce.Spam, bounce.Content, bounce.Virus, bounce.Greylisted} {
		if !reasons[want] {
			t.Errorf("no rule gives the reason %s", want)
		}
	}
}

func TestTheSameTextMeansTheSameInAReplyAndInAReport(t *testing.T) {
	table := bounce.NewTable()
	for r, text := range examples(table) {
		if len(r.Stages) > 0 || strings.Contains(text, "in reply to") {
			continue
		}
		later := table.Classify(bounce.Evidence{Stage: reply.DSN, Text: text})
		for _, stage := range []reply.Stage{reply.RCPT, reply.DATA, reply.Dot} {
			if now := table.Classify(bounce.Evidence{Stage: stage, Text: text}); now != later {
				t.Errorf("%q at %s is %v, in a report %v", text, stage, now, later)
			}
		}
	}
}

// A report that carries a reply means what the reply means: there is one table,
// and what stands around it does not change the answer.
func TestAReplyMeansTheSameInsideAReport(t *testing.T) {
	table := bounce.NewTable()
	rd := bounce.NewReader(table)
	for r, text := range examples(table) {
		if len(r.Stages) > 0 || strings.Contains(text, "in reply to") || r.Reason == bounce.Greylisted {
			continue
		}
		want := table.Classify(bounce.Evidence{Stage: reply.RCPT, Text: text})
		report, err := rd.Read(strings.NewReader("From: MAILER-DAEMON@mx.example.net\nReturn-Path: <>\nSubject: failure notice\n" +
			"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n" +
			"Reporting-MTA: dns; mx.example.net\n\nFinal-Recipient: rfc822; bob@example.net\nAction: failed\n" +
			"Diagnostic-Code: smtp; " + strings.ReplaceAll(text, "\n", "\n    ") + "\n--b--\n"))
		if err != nil || len(report.Recipients) != 1 {
			t.Fatalf("%q: %d recipients, %v", text, len(report.Recipients), err)
		}
		if got := report.Recipients[0].Verdict; got.Class != want.Class || got.Reason != want.Reason {
			t.Errorf("%q is %s, %s in a report (%s), %s, %s in a reply (%s)", text, got.Class, got.Reason, got.Rule, want.Class, want.Reason, want.Rule)
		}
	}
}

func TestWhatIsSaidBeforeRCPTNeverCountsAgainstThePerson(t *testing.T) {
	table := bounce.NewTable()
	hosts := []bounce.Reason{bounce.HostUnknown, bounce.NoMailHost, bounce.SystemFull, bounce.SystemError, bounce.NetworkError, bounce.Expired, bounce.Loop}
	for _, text := range examples(table) {
		for _, stage := range []reply.Stage{reply.Connect, reply.EHLO, reply.STARTTLS, reply.AUTH, reply.MAIL} {
			v := table.Classify(bounce.Evidence{Stage: stage, Text: text})
			if v.Class == bounce.Hard || v.Class == bounce.Soft && !slices.Contains(hosts, v.Reason) {
				t.Errorf("%q at %s is %s, %s (%s)", text, stage, v.Class, v.Reason, v.Rule)
			}
		}
	}
}

func TestNothingTemporaryIsHard(t *testing.T) {
	table := bounce.NewTable()
	for _, text := range examples(table) {
		for _, stage := range []reply.Stage{reply.RCPT, reply.Dot, reply.DSN} {
			if v := table.Classify(bounce.Evidence{Stage: stage, Code: 450, Text: text}); v.Class == bounce.Hard {
				t.Errorf("450 with %q at %s is hard (%s)", text, stage, v.Rule)
			}
			if v := table.Classify(bounce.Evidence{Stage: stage, Status: "4.1.1", Text: "user unknown"}); v.Class == bounce.Hard {
				t.Errorf("4.1.1 at %s is hard (%s)", stage, v.Rule)
			}
		}
	}
}

func TestClassify(t *testing.T) {
	tests := []struct {
		name   string
		stage  reply.Stage
		text   string
		class  bounce.Class
		reason bounce.Reason
	}{
		// The words of the vocabulary.
		{"5.1.1", reply.RCPT, "550 5.1.1 <ann@example.com>", bounce.Hard, bounce.UserUnknown},
		{"5.1.3", reply.RCPT, "553 5.1.3 <ann@example.com>", bounce.Hard, bounce.UserUnknown},
		{"5.1.6", reply.RCPT, "551 5.1.6 <ann@example.com>", bounce.Hard, bounce.Moved},
		{"551 alone", reply.RCPT, "551 elsewhere", bounce.Hard, bounce.Moved},
		{"a null MX", reply.RCPT, "556 5.1.10 no", bounce.Hard, bounce.NoMailHost},
		{"NXDOMAIN", reply.Resolve, "example.com: NXDOMAIN", bounce.Soft, bounce.HostUnknown},
		{"5.1.2", reply.DSN, "550 5.1.2 no", bounce.Soft, bounce.HostUnknown},
		{"5.2.1 disabled", reply.RCPT, "550 5.2.1 mailbox disabled", bounce.Hard, bounce.Disabled},
		{"Gmail's busy 5.2.1", reply.RCPT, "550-5.2.1 The user you are trying to contact is receiving mail at a rate that prevents", bounce.Sender, bounce.RateLimited},
		{"Gmail's busy 4.2.1", reply.RCPT, "450-4.2.1 The user you are trying to contact is receiving mail too quickly.", bounce.Sender, bounce.RateLimited},
		{"Exchange wants authentication for a group", reply.RCPT, "550 5.7.133 sender not authenticated for group", bounce.Soft, bounce.Filtered},
		{"Exchange keeps strangers out", reply.Dot, "550 5.7.124 sender not in allowed-senders list", bounce.Soft, bounce.Filtered},
		{"5.2.2", reply.RCPT, "552 5.2.2 no", bounce.Soft, bounce.MailboxFull},
		{"552 alone says nothing", reply.RCPT, "552 no", bounce.Soft, bounce.Unknown},
		{"4.3.1", reply.RCPT, "452 4.3.1 no", bounce.Soft, bounce.SystemFull},
		{"4.3.0", reply.RCPT, "451 4.3.0 no", bounce.Soft, bounce.SystemError},
		{"5.3.x", reply.Dot, "554 5.3.5 no", bounce.Soft, bounce.SystemError},
		{"4.4.1", reply.DSN, "4.4.1", bounce.Soft, bounce.NetworkError},
		{"4.4.7", reply.DSN, "4.4.7", bounce.Soft, bounce.Expired},
		{"5.4.6", reply.Dot, "554 5.4.6 no", bounce.Soft, bounce.Loop},
		{"relaying", reply.RCPT, "554 5.7.1 <ann@example.com>: Relay access denied", bounce.Soft, bounce.RelayDenied},
		{"5.3.4", reply.MAIL, "552 5.3.4 no", bounce.Sender, bounce.MessageTooBig},
		{"501", reply.RCPT, "501 no", bounce.Sender, bounce.ProtocolError},
		{"5.6.x", reply.Dot, "554 5.6.0 no", bounce.Sender, bounce.NotCompliant},
		{"421 4.7.0", reply.Connect, "421 4.7.0 no", bounce.Sender, bounce.RateLimited},
		{"a block list under 5.7.1", reply.RCPT, "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", bounce.Sender, bounce.Blocked},
		{"reputation", reply.Connect, "554 poor reputation", bounce.Sender, bounce.BadReputation},
		{"5.7.26", reply.Dot, "550 5.7.26 no", bounce.Sender, bounce.AuthFailure},
		{"5.7.25", reply.RCPT, "550 5.7.25 no", bounce.Sender, bounce.NoPTR},
		{"5.7.10", reply.MAIL, "530 5.7.10 no", bounce.Sender, bounce.TLSFailed},
		{"5.7.0", reply.Dot, "550 5.7.0 no", bounce.Sender, bounce.Policy},
		{"5.1.8", reply.MAIL, "553 5.1.8 no", bounce.Sender, bounce.Rejected},
		{"the sender under 5.1.0", reply.RCPT, "550 5.1.0 <news@example.org> sender rejected", bounce.Sender, bounce.Rejected},
		{"greylisting", reply.RCPT, "450 4.7.1 try again later", bounce.None, bounce.Greylisted},
		{"nothing known", reply.RCPT, "550 no", bounce.Soft, bounce.Unknown},
		{"nothing at all", reply.DSN, "", bounce.Soft, bounce.Unknown},

		// The text goes before the code, and what is our fault before the person.
		{"Outlook's 5.5.0", reply.RCPT, "550 5.5.0 Requested action not taken: mailbox unavailable", bounce.Hard, bounce.UserUnknown},
		{"Microsoft's 5.4.1", reply.RCPT, "550 5.4.1 Recipient address rejected: Access denied", bounce.Hard, bounce.UserUnknown},
		{"a full mailbox under 5.1.1", reply.RCPT, "552 sorry, mailbox ann is over quota (#5.1.1)", bounce.Soft, bounce.MailboxFull},
		{"an unknown user under 5.2.1", reply.RCPT, "550 5.2.1 <ann@example.com>... User Unknown", bounce.Hard, bounce.UserUnknown},
		{"an unknown user under 5.7.1", reply.RCPT, "550 5.7.1 No such user", bounce.Hard, bounce.UserUnknown},
		{"a block list under 5.1.1", reply.RCPT, "550 5.1.1 192.0.2.1 is listed at zen.spamhaus.org", bounce.Sender, bounce.Blocked},
		{"too many of us, who asked for too many nobodies", reply.RCPT, "550 5.5.3 Too many invalid recipients", bounce.Sender, bounce.RateLimited},
		{"an address that is called spam", reply.RCPT, "550 5.1.1 <spam.blocked@example.com>: user unknown", bounce.Hard, bounce.UserUnknown},
		{"a virus scanner that is down", reply.Dot, "451 4.3.0 virus scanner unavailable", bounce.Soft, bounce.SystemError},
		{"DMARC over several lines", reply.Dot, "550-5.7.26 Unauthenticated email from example.org is not accepted due to domain's\n550-5.7.26 DMARC policy.", bounce.Sender, bounce.AuthFailure},
		{"a message too large for a mailbox over quota is the mailbox", reply.RCPT, "552 5.2.2 message would exceed mailbox quota", bounce.Soft, bounce.MailboxFull},

		// Whoever is refused before RCPT is us.
		{"an unknown user at MAIL", reply.MAIL, "550 5.1.1 user unknown", bounce.Sender, bounce.Rejected},
		{"nothing known at MAIL", reply.MAIL, "550 no", bounce.Sender, bounce.Rejected},
		{"an unknown user at connect", reply.Connect, "554 no such user", bounce.Sender, bounce.Blocked},
		{"what a report says of MAIL", reply.DSN, "host mx.example.com[192.0.2.1] said: 550 5.1.1 unknown (in reply to MAIL FROM command)", bounce.Sender, bounce.Rejected},
		{"what a report says of the greeting", reply.DSN, "host mx.example.com[192.0.2.1] refused to talk to me: 554 go", bounce.Sender, bounce.Blocked},
		{"STARTTLS that fails", reply.STARTTLS, "454 no", bounce.Sender, bounce.TLSFailed},
		{"a timeout at EHLO is the network", reply.EHLO, "connection timed out", bounce.Soft, bounce.NetworkError},

		// Other languages.
		{"German", reply.RCPT, "550 Empfänger unbekannt", bounce.Hard, bounce.UserUnknown},
		{"German, full", reply.RCPT, "552 Postfach ist voll", bounce.Soft, bounce.MailboxFull},
		{"French", reply.RCPT, "550 Utilisateur inconnu", bounce.Hard, bounce.UserUnknown},
		{"Spanish, full", reply.RCPT, "552 Buzón lleno", bounce.Soft, bounce.MailboxFull},
		{"Italian", reply.RCPT, "550 utente sconosciuto", bounce.Hard, bounce.UserUnknown},
		{"Portuguese, full", reply.RCPT, "552 Caixa postal cheia", bounce.Soft, bounce.MailboxFull},
		{"Dutch", reply.RCPT, "550 Gebruiker onbekend", bounce.Hard, bounce.UserUnknown},
		{"Polish", reply.RCPT, "550 Użytkownik nieznany", bounce.Hard, bounce.UserUnknown},
		{"Czech", reply.RCPT, "550 uživatel neexistuje", bounce.Hard, bounce.UserUnknown},
		{"Swedish", reply.RCPT, "550 okänd mottagare", bounce.Hard, bounce.UserUnknown},
		{"Russian", reply.RCPT, "550 Пользователь не найден", bounce.Hard, bounce.UserUnknown},
		{"Russian, full", reply.RCPT, "552 Почтовый ящик переполнен", bounce.Soft, bounce.MailboxFull},
		{"Greek", reply.RCPT, "550 Άγνωστος χρήστης", bounce.Hard, bounce.UserUnknown},
		{"Turkish, full", reply.RCPT, "552 Posta kutusu dolu", bounce.Soft, bounce.MailboxFull},
		{"Japanese", reply.RCPT, "550 ユーザが見つかりません", bounce.Hard, bounce.UserUnknown},
		{"Japanese, full", reply.RCPT, "552 メールボックスがいっぱいです", bounce.Soft, bounce.MailboxFull},
		{"Chinese", reply.RCPT, "550 用户不存在", bounce.Hard, bounce.UserUnknown},
	}
	table := bounce.NewTable()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if v := table.Classify(bounce.Evidence{Stage: tt.stage, Text: tt.text}); v.Class != tt.class || v.Reason != tt.reason {
				t.Errorf("%s, %s (rule %s, %q), want %s, %s", v.Class, v.Reason, v.Rule, v.Matched, tt.class, tt.reason)
			}
		})
	}
}

func TestClassifyGivesTheCiviCRMType(t *testing.T) {
	table := bounce.NewTable()
	for text, want := range map[string]string{
		"550 5.1.1 no": "Invalid", "550 5.2.1 no": "Inactive", "552 5.2.2 no": "Quota", "550 5.1.2 no": "Dns", "451 4.3.0 no": "Host", "554 5.4.6 no": "Loop",
		"554 relay access denied": "Relay", "554 5.7.1 spam": "Spam", "501 no": "Syntax", "450 greylisted": "", "no": "Syntax",
	} {
		if got := table.Classify(bounce.Evidence{Stage: reply.RCPT, Text: text}).CiviCRM; got != want {
			t.Errorf("%q has the type %q, want %q", text, got, want)
		}
	}
}

func TestEvidenceGoesBeforeWhatItsTextSays(t *testing.T) {
	table := bounce.NewTable()
	got := table.Classify(bounce.Evidence{Stage: reply.RCPT, Code: 450, Status: "4.2.2", Text: "550 5.1.1 no"})
	if got.Class != bounce.Soft || got.Reason != bounce.MailboxFull {
		t.Errorf("450 4.2.2 is %s, %s, want soft, mailbox_full", got.Class, got.Reason)
	}
	got = table.Classify(bounce.Evidence{Stage: reply.DSN, Status: "5.0.0", Text: "smtp; 550 5.1.1 no"})
	if got.Reason != bounce.UserUnknown {
		t.Errorf("a status of 5.0.0 hides 5.1.1: %s", got.Reason)
	}
}

func TestRulesOfTheOperatorComeFirst(t *testing.T) {
	table := bounce.NewTable(bounce.Rule{Name: "ours", Words: []string{"User*Unknown"}, Remote: []string{"mx.example.com"}, Reason: bounce.Disabled})
	e := bounce.Evidence{Stage: reply.RCPT, Text: "550 5.1.1 user ann is UNKNOWN", RemoteMTA: "mx.example.com[192.0.2.1]"}
	if v := table.Classify(e); v.Rule != "ours" || v.Reason != bounce.Disabled || v.Class != bounce.Hard || v.Matched != "user ann is unknown" {
		t.Errorf("verdict %+v, want that of the operator's rule", v)
	}
	e.RemoteMTA = "mx.example.net"
	if v := table.Classify(e); v.Rule == "ours" {
		t.Error("the operator's rule won for another host")
	}
}

func TestARuleMayWantOneWordNearAnother(t *testing.T) {
	table := bounce.NewTable(bounce.Rule{Name: "ours", Words: []string{"parcel"}, Near: []string{"lost", "gone astray"}, Reason: bounce.Disabled})
	tests := []struct{ name, text, matched string }{
		{"behind it", "550 the parcel of ann is lost", "parcel of ann is lost"},
		{"before it", "550 lost: the parcel of ann", "lost: the parcel"},
		{"at the second place where there is one", "550 parcel " + strings.Repeat("x", 100) + " parcel lost", "parcel lost"},
		{"not too far away", "550 parcel " + strings.Repeat("x", 100) + " lost", ""},
		{"not missing", "550 parcel", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := table.Classify(bounce.Evidence{Stage: reply.RCPT, Text: tt.text})
			if got := v.Rule == "ours"; got != (tt.matched != "") || got && v.Matched != tt.matched {
				t.Errorf("rule %s matched %q, want %q", v.Rule, v.Matched, tt.matched)
			}
		})
	}
}

func TestExplainNamesTheWinnerAndTheOthers(t *testing.T) {
	all := bounce.NewTable().Explain(bounce.Evidence{Stage: reply.RCPT, Text: "550 5.1.1 user unknown, see policy"})
	var names []string
	for _, m := range all {
		names = append(names, m.Rule)
	}
	want := []string{"words-user", "words-policy"}
	if !slices.Equal(names, want) {
		t.Errorf("rules %v, want %v", names, want)
	}
}

func TestFold(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"case and white space", "  User\r\n\tUNKNOWN ", "user unknown"},
		{"accents", "Empfänger ÉTÉ Żółw", "empfanger ete zolw"},
		{"codes of a reply over several lines", "550-5.7.26 due to domain's\n550 5.7.26 DMARC policy", "due to domain's dmarc policy"},
		{"a code that is glued to its text", "550-user unknown", "user unknown"},
		{"numbers that are no codes stay", "5500 5.1 192.0.2.1", "5500 5.1 192.0.2.1"},
		{"typographic quotes", "doesn’t", "doesn't"},
		{"what is no UTF-8", "a\xffb", "a b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := bounce.Fold(tt.in); got != tt.want {
				t.Errorf("Fold(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}
