package bounce

import (
	"slices"
	"strings"
)

// This file understands reports written for people: most of them by mail
// systems from before RFC 3464, and by some that still ignore it.

// robots are local parts of mail systems.
var robots = []string{"mailer-daemon", "mailerdaemon", "mailer_daemon", "mail-daemon", "postmaster", "post_master", "mdaemon", "ndr", "bounce", "bounces", "mail.delivery.system", "mail-delivery", "mailsystem", "mail-system", "mail_system", "delivery", "symantec_antivirus_for_smtp_gateways", "e500_smtp_mail_service", "mailadmin", "sysadmin", "maildelivery", "dsn", "double-bounce", "administrator", "mailadministrator"}

// robotNames are in the names that mail systems give themselves, folded.
var robotNames = []string{"mail delivery", "mailer-daemon", "mailer daemon", "delivery subsystem", "mail system", "mail administrator", "system administrator", "postmaster", "delivery system", "delivery service", "mailserver", "mail server", "microsoft exchange", "microsoft outlook", "internet mail delivery", "mail router", "ndr administrator", "mail gateway", "mta daemon", "delivery notification"}

// failures are what subjects and texts of failure reports say, folded.
var failures = []string{
	"undeliver", "could not be delivered", "couldn't be delivered", "cannot be delivered", "can't be delivered",
	"could not deliver", "couldn't deliver", "cannot deliver", "can not be delivered", "unable to deliver",
	"not able to deliver", "wasn't able to deliver", "was not able to deliver", "unable to be delivered",
	"not delivered", "not been delivered", "wasn't delivered", "was not delivered", "non-delivery",
	"nondeliver", "non deliver", "delivery fail", "delivery has failed", "delivery has been failed",
	"delivery problem", "delivery error", "delivery notification: delivery has failed", "delivery status notification",
	"delivery to the following", "delivery report", "delevery to the following", "error delivering",
	"error while delivering", "error sending your mail", "error occurred while trying to deliver",
	"error was encountered while attempting to deliver", "failed delivery", "failure delivering", "failed to deliver",
	"failure notice", "failure notification", "returned mail", "returned to sender", "return to sender",
	"returning message to sender", "mail failed", "mail failure", "mail error", "mail system error",
	"mail returned", "message returned", "permanent error", "permanent fatal errors", "permanent failure",
	"failed permanently", "failed recipients", "failed addresses", "following address failed", "following addresses failed",
	"following address(es) failed", "address(es) failed", "addresses had delivery", "delivery errors",
	"did not reach", "trouble delivering", "delivery attempt", "processing error", "error during delivery",
	"undelivered", "transcript of session", "bounced", "invalid user address", "unable to find user",
	"mailbox is full:", "has failed due to", "user unknown", "no such user", "giving up", "loop alert",
	"wrong or no longer valid", "group you tried to contact",
	"unzustellbar", "nicht zugestellt", "zustellung * fehlgeschlagen", "konnte nicht zugestellt", "konnten nicht zugestellt",
	"zustellfehler", "fehlgeschlagen", "non remis", "non distribue", "n'a pas pu etre", "echec de",
	"non delivre", "non livre", "no se pudo entregar", "no pudo ser entregado", "no entregado", "no se ha podido entregar",
	"devuelto", "mancata consegna", "non recapitabile", "non e stato possibile", "impossibile recapitare",
	"nao pode ser entregue", "nao foi possivel entregar", "nao entregue", "nao pode ser enviada", "devolvida",
	"onbestelbaar", "niet worden bezorgd", "niet bezorgd", "niet afgeleverd", "nie moze byc dostarcz",
	"nie zostala dostarczona", "niedostarcz", "nelze dorucit", "nedorucit", "nedorucen", "kezbesithetetlen",
	"kunde inte levereras", "kunne ikke leveres", "olevererbart", "toimitus epaonnistui", "teslim edilemedi",
	"nu a putut fi", "не доставлено", "не может быть доставлено", "не удалось доставить", "недоставлен",
	"не доставлен", "配信不能", "配信できません", "送信できません", "送信に失敗", "配送できません", "届けることができません", "エラーのため", "退信",
	"无法投递", "無法傳遞", "无法送达", "投递失败", "전송 실패", "배달되지",
}

// delays are what notices of a delay say, folded.
var delays = []string{
	"has not yet been delivered", "not yet been delivered", "warning: message", "delayed", "delivery is delayed",
	"delivery delay", "will be retried", "still being retried", "warning message only", "warning only",
	"this is a warning", "has been postponed", "will continue to try", "will keep trying", "attempts will continue",
	"delivery attempts will continue", "temporary failure report", "delivery incomplete", "advisory-only",
	"could not send message for", "do not need to resend", "not need to resend", "queued for", "has been enqueued and undeliverable",
	"still undelivered", "delivery temporarily suspended", "we will keep trying", "is still in the queue",
	"verzogert", "verzogerung", "retarde", "retrasado", "demora en la entrega", "ritardo nella consegna",
	"atrasada", "vertraagd", "opoznion", "задержан", "遅延",
}

// finals take a notice of delay back: it was the last.
var finals = []string{"giving up", "given up", "permanent error", "permanent fatal", "failed permanently", "could not be delivered for", "retry timeout exceeded", "not going to try again", "no further delivery attempts", "undelivered mail returned", "will not be retried"}

// robot says how much the header looks like a mail system's: from 2 on it may
// be one, from 3 on it is.
func (l *letter) robot() int {
	if l.robotic == 0 {
		l.robotic = 1 + l.countRobot()
	}
	return l.robotic - 1
}

func (l *letter) countRobot() int {
	points := 0
	f := l.Fields
	path := strings.ToLower(strings.TrimSpace(f.Get("Return-Path")))
	if l.daemon() {
		points += 3
	}
	switch {
	case f.Has("Return-Path") && (path == "<>" || path == ""):
		points += 2
	case strings.Contains(path, "mailer-daemon") || strings.Contains(path, "postmaster@"):
		points++
	}
	if strings.HasSuffix(localOf(l.from), "-admin") || strings.HasSuffix(localOf(l.from), "-request") || strings.HasPrefix(localOf(l.from),
		"owner-") {
		points++
	}
	if f.Has("X-Failed-Recipients") {
		points += 4
	}
	if l.kind.Type == "multipart/report" {
		points += 2
	}
	if containsAny(l.subject, failures) && !l.answers() {
		// A person may write about failures as well. What gives a message
		// back without being somebody's name is no person.
		points++
		if points > 1 || l.givesBack() {
			points++
		}
	}
	if strings.HasPrefix(strings.ToLower(f.Get("Auto-Submitted")), "auto-") {
		points++
	}
	return points
}

// givesBack reports whether a message is attached that is no report itself.
func (l *letter) givesBack() bool {
	if !l.attached {
		return false
	}
	local := localOf(strings.ToLower(firstAddress(l.returned.Get("From"))))
	return !hasPrefixFold(l.returned.Get("Content-Type"), "multipart/report") && !slices.Contains(robots, local)
}

// answers reports whether the subject is that of an answer or of something
// passed on.
func (l *letter) answers() bool {
	for _, p := range []string{"re:", "fw:", "fwd:", "aw:", "wg:", "sv:", "tr:", "rv:", "antw:", "odp:"} {
		if strings.HasPrefix(l.subject, p) {
			return true
		}
	}
	return false
}

// forwarded reports whether a person answers or passes on a report.
func (l *letter) forwarded() bool {
	local := localOf(l.from)
	return l.kind.Type != "multipart/report" && l.answers() && !slices.Contains(robots, local) && !containsAny(l.name, robotNames)
}

// delayed reports whether a report for people speaks of a delay alone.
func (l *letter) delayed() bool {
	text := l.subject + "\n" + Fold(clip(l.notice, maxText))
	return containsAny(text, delays) && !containsAny(text, finals)
}

// plainReport recognises reports for people. It wants a header that may be a
// mail system's, words of failure or delay, and more of the one where there is
// less of the other.
func (rd *Reader) plainReport(l *letter) (Report, bool) {
	points := l.robot()
	if points < 2 || l.forwarded() {
		return Report{}, false
	}
	text := Fold(clip(l.notice, maxText))
	failed := containsAny(text, failures) || containsAny(l.subject, failures)
	late := l.delayed()
	hits := l.recipients()
	code, _ := findReply(clip(l.notice, maxText))
	if !failed && !late && (code == 0 || points < 3 || len(hits) == 0) {
		return Report{}, false
	}
	if points < 3 && (len(hits) == 0 || hits[0].rank < 2) && !containsAny(l.subject, failures) {
		return Report{}, false
	}
	report := Report{Kind: Bounce, Format: formatOf(l)}
	if late {
		report.Kind = Delayed
	}
	if len(hits) == 0 { // it failed, whoever it was for
		hits = []hit{{start: -1}}
	}
	for i := range hits {
		report.Recipients = append(report.Recipients, rd.plainRecipient(l, hits, i, late))
	}
	return report, true
}

// plainRecipient makes a Recipient of an address and the text about it.
func (rd *Reader) plainRecipient(l *letter, hits []hit, i int, late bool) Recipient {
	r := Recipient{Address: hits[i].address, Action: "failed"}
	rd.widen(&r, hits[i].section(l.notice, hits, i))
	if weak(r.Verdict) && len(hits) == 1 {
		rd.consider(l, &r)
	}
	if r.Verdict.Rule == "" {
		rd.judge(&r, "", nil)
	}
	if r.Code == 0 && r.Status == "" && len(hits) == 1 {
		r.Code, r.Status = findReply(clip(l.notice, maxText))
	}
	if late {
		r.Action = "delayed"
	}
	r.settle()
	return r
}

// consider judges the whole notice, then the subject, where the place of the
// address said nothing.
func (rd *Reader) consider(l *letter, r *Recipient) {
	for _, text := range []string{transcript(l.notice), l.notice, l.Fields.Text("Subject")} {
		trial := *r
		rd.judge(&trial, clip(text, maxText), nil)
		if better(trial.Verdict, r.Verdict) {
			trial.Diagnostic = replyIn(clip(text, maxText))
			*r = trial
		}
	}
}

// better reports whether one verdict says more than another.
func better(a, b Verdict) bool {
	switch {
	case b.Rule == "":
		return true
	case a.Reason == Unknown:
		return false
	}
	return b.Reason == Unknown || weak(b) && !weak(a)
}

// formats are signs of systems whose reports are for people, folded. They name
// the format; the recognisers do not depend on them.
var formats = []struct{ name, in string }{
	{"qmail", "this is the qmail-send program"}, {"qmail", "giving up on"}, {"exim", "message was created automatically by mail delivery software"},
	{"postfix", "postfix program"},
	{"dragonfly", "dragonfly mail agent"}, {"opensmtpd", "this is the mailer-daemon, please do not reply"},
	{"sendmail", "transcript of session follows"}, {"google", "technical details of permanent failure"},
	{"google", "google groups"}, {"yahoo", "we were unable to deliver your message to the following address"},
	{"exchange", "did not reach the following recipient"}, {"mfilter", "m-filter"}, {"domino",
		"domino"},
	{"groupwise", "the message that you sent was undeliverable to the following"}, {"interscan", "interscan"},
}

func formatOf(l *letter) string {
	text := Fold(clip(l.notice, 1000))
	for _, f := range formats {
		if strings.Contains(text, f.in) {
			return f.name
		}
	}
	return "plain"
}
