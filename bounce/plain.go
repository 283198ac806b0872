package bounce

import (
	"regexp"
	"slices"
	"strings"
)

// This file understands reports written for people: most of them by mail
// systems from before RFC 3464, and by some that still ignore it.

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
	switch {
	case l.daemon():
		points += 3
	case (l.isBack || l.null()) && (slices.Contains(roles, localOf(l.from)) || roleNames.in(l.name)):
		points++
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
	if l.failing && !l.answers() {
		// A person may write about failures as well. What gives a message
		// back without being somebody's name is no person.
		points++
		if points > 1 || l.givesBack() || l.tabulates() {
			points++
		}
	}
	if strings.HasPrefix(strings.ToLower(f.Get("Auto-Submitted")), "auto-") {
		points++
	}
	return points
}

// subjectFails reports whether the subject says that mail was not delivered.
func (l *letter) subjectFails() bool {
	return failures.in(l.subject) || !l.list() && turnedAway(l.subject)
}

// tellsMore reports whether the text makes a sentence of words for mail and for
// what did not happen to it, in what no person sent: people make such
// sentences as well.
func (l *letter) tellsMore() bool {
	if !l.isBack && !l.null() && !l.Fields.Has("Auto-Submitted") && !l.failing && !l.gate {
		return false
	}
	return turnedAway(l.text())
}

// turnedAway reports whether folded text makes a sentence of words for mail and
// for what did not happen to it, or what somebody who did not want it did.
func turnedAway(text string) bool { return missed(text) || mails.near(text, refused) != "" }

// missed reports whether folded text makes a sentence of words for mail, for
// its delivery and for what did not happen.
func missed(text string) bool {
	return deliveries.near(text, misses) != "" && deliveries.near(text, mails) != ""
}

// tabulates reports whether the notice says that mail was not delivered and
// lists whom it was for and from, as gates do.
func (l *letter) tabulates() bool {
	var to, from bool
	for line := range strings.Lines(clip(l.notice, maxText)) {
		label, rest := labelled(strings.TrimLeft(line, " \t"))
		if strings.Contains(rest, "@") {
			to = to || slices.Contains(toLabels, label)
			from = from || slices.Contains(headerNames, label)
		}
	}
	return to && from && missed(l.text())
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
	return beginsWithOne(l.subject, []string{"re:", "fw:", "fwd:", "aw:", "wg:", "sv:", "tr:", "rv:", "antw:", "odp:", "odp.:", "ynt:", "vs:", "res:", "ref:", "rif:", "enc:", "vb:", "ilt:", "va:"})
}

// forwarded reports whether a person answers or passes on a report.
func (l *letter) forwarded() bool {
	local := localOf(l.from)
	return l.kind.Type != "multipart/report" && l.answers() && !slices.Contains(robots, local) && !robotNames.in(l.name)
}

// composed reports whether a program for people wrote this: no mail system has
// a mail client, tickets, scheduled jobs, or answers with quotations.
func (l *letter) composed() bool {
	if l.kind.Type == "multipart/report" {
		return false
	}
	if l.Fields.Has("X-Cron-Env") || strings.HasPrefix(l.subject, "cron <") { // what a job printed
		return true
	}
	if !l.isBack && !l.null() && (l.list() && l.listSoftware() == "" && (!l.failing || len(l.recipients()) == 0) || ticketMark.MatchString(l.subject)) { // what somebody wrote to others, or about a case
		return true
	}
	if l.answers() && !l.isBack && !l.null() && takesLeave(l.notice) {
		return true
	}
	mailer := Fold(l.Fields.Get("X-Mailer") + " " + l.Fields.Get("User-Agent") + " " + l.Fields.Get("X-Powered-By"))
	return clients.in(mailer) || strings.Contains(l.subject, "[ticket#") || l.answers() && lineStarts(l.notice, "> ") >= 0
}

// takesLeave reports whether somebody says goodbye in a text.
func takesLeave(text string) bool {
	for line := range strings.Lines(clip(text, maxText)) {
		if line = strings.TrimSpace(line); line != "" && len(line) < maxGoodbye && goodbyes.begins(Fold(line)) != "" {
			return true
		}
	}
	return false
}

// ticketMark is how programs for cases mark their subjects: "[help #123]".
var ticketMark = regexp.MustCompile(`^(?:\w+: )?\[[^\]]*#\d+\]|\(#\d+\)$`)

// delayed reports whether a report for people speaks of a delay alone.
func (l *letter) delayed() bool {
	text := l.subject + "\n" + l.text()
	return promises.in(text) || delays.in(text) && !finals.in(text)
}

// plainReport recognises reports for people. It wants a header that may be a
// mail system's, words of failure or delay, and more of the one where there is
// less of the other.
func (rd *Reader) plainReport(l *letter) (Report, bool) {
	points := l.robot()
	if points < 2 || l.forwarded() || l.composed() || l.ofNoMail() {
		return Report{}, false
	}
	text := l.text()
	failed := failures.in(text) || l.failing || l.tellsMore()
	late := l.delayed()
	hits := l.recipients()
	code, status := findReply(clip(l.notice, maxText))
	if !failed && !late {
		if what := successes.find(text); what != "" {
			return l.delivered(what, hits), true
		}
		if code == 0 && status == "" || points < 3 || len(hits) == 0 {
			return Report{}, false
		}
	}
	if !l.credible(points, hits, code, late) {
		return Report{}, false
	}
	report := Report{Kind: Bounce, Format: formatOf(l), Recipients: rd.plainRecipients(l, hits, late)}
	if late {
		report.Kind = Delayed
	}
	return report, true
}

// ofNoMail reports whether what failed is a parcel, or a bait for whoever reads
// this: nobody is told, by somebody who wants an answer, that his own mailbox
// refused his mail.
func (l *letter) ofNoMail() bool {
	if l.isBack || l.null() {
		return false
	}
	if parcels.in(l.subject) || parcels.in(l.opening()) {
		return !l.daemon()
	}
	path := strings.Trim(strings.ToLower(l.Fields.Get("Return-Path")), "<> ")
	hits := l.hits()
	others := slices.ContainsFunc(hits, func(h hit) bool { return !slices.Contains(l.to, strings.ToLower(h.address)) })
	return path == l.from && len(hits) > 0 && !others
}

// credible reports whether words of failure are those of a report: what names
// nobody and repeats no reply may be statistics, a parcel or a bank's.
func (l *letter) credible(points int, hits []hit, code int, late bool) bool {
	about := l.failing || late && delays.in(l.subject)
	said := about || l.tellsMore()
	switch {
	case len(hits) == 0 && code == 0:
		return points >= 3 && (l.daemon() && said || l.isBack && about)
	case points < 3 && (len(hits) == 0 || hits[0].rank < rankSaid):
		return about
	}
	return true
}

// plainRecipients makes Recipients of the addresses that a report for people
// is about. Where it names nobody, it failed, whoever it was for.
func (rd *Reader) plainRecipients(l *letter, hits []hit, late bool) []Recipient {
	if len(hits) == 0 {
		hits = []hit{{start: -1}}
	}
	addresses := make([]string, len(hits))
	for i, h := range hits {
		addresses[i] = h.address
	}
	l.about(addresses)
	all := make([]Recipient, len(hits))
	for i, h := range hits {
		all[i] = rd.plainRecipient(l, h, len(hits) == 1, late)
	}
	rd.share(l, hits, all)
	if !slices.ContainsFunc(all, func(r Recipient) bool { return r.Verdict.Reason != Unknown }) { // then it is told once, for all of them
		for i := range all {
			rd.consider(l, &all[i], whole, l.notice)
			all[i].settle(l)
		}
	}
	return all
}

// share gives recipients of whom nothing is said before the next is named what
// is said of that one: a list may have its reason below.
func (rd *Reader) share(l *letter, hits []hit, all []Recipient) {
	for i := len(all) - 2; i >= 0; i-- {
		h, next := hits[i], hits[i+1]
		if all[i].Verdict.Reason == Unknown && h.rank == rankAlone && h.after <= next.start && h.start >= 0 && !hasWords(l.notice[h.after:next.start]) {
			if texts := l.sections(next.address, ""); len(texts) > 0 {
				rd.widen(l, &all[i], texts[0])
				all[i].settle(l)
			}
		}
	}
}

// delivered makes the Report of a delivery that is told in words.
func (l *letter) delivered(what string, hits []hit) Report {
	r := Recipient{Action: "delivered", Verdict: Verdict{Class: None, Rule: "action", Matched: what}}
	if len(hits) == 1 {
		r.Address = hits[0].address
	}
	return Report{Kind: Delivered, Format: formatOf(l), Recipients: []Recipient{r}}
}

// plainRecipient makes a Recipient of an address and the text about it.
func (rd *Reader) plainRecipient(l *letter, h hit, alone, late bool) Recipient {
	r := Recipient{Address: h.address, Action: "failed"}
	sections := l.sections(h.address, "")
	for _, text := range sections {
		trial := r
		if rd.widen(l, &trial, text); better(trial.Verdict, r.Verdict) {
			r = trial
		}
	}
	for _, text := range sections {
		rd.consider(l, &r, replyAlone, text)
	}
	if alone {
		for _, part := range []func(string) string{transcript, replyAlone, stated, whole} {
			rd.consider(l, &r, part, l.notice)
		}
		rd.consider(l, &r, whole, l.Fields.Text("Subject"))
	}
	if r.Verdict.Rule == "" {
		rd.judge(l, &r, "")
	}
	if r.Verdict.Reason == Unknown && alone && r.Address != "" {
		if inside := rd.inside(l); inside != nil { // a gateway that has less to say than what it wrapped
			for _, text := range inside.sections(r.Address, "") {
				rd.compare(l, &r, text)
			}
		}
	}
	if r.Code == 0 && r.Status == "" && alone {
		r.Code, r.Status = findReply(clip(l.notice, maxText))
	}
	if late {
		r.Action = "delayed"
	}
	r.settle(l)
	return r
}

func whole(text string) string { return text }

// consider judges part of a text, where what is known of the recipient is no
// proof, and takes what it says if that is more.
func (rd *Reader) consider(l *letter, r *Recipient, part func(string) string, text string) {
	if r.Verdict.strength == Proof {
		return
	}
	if text = part(text); text == "" {
		return
	}
	trial := *r
	rd.judge(l, &trial, text)
	if better(trial.Verdict, r.Verdict) {
		trial.Diagnostic = replyIn(clip(text, maxText))
		*r = trial
	}
}

// better reports whether one verdict says more than another.
func better(a, b Verdict) bool { return a.strength > b.strength || b.Rule == "" && a.Rule != "" }

func formatOf(l *letter) string {
	text := l.opening()
	for _, f := range formats {
		if strings.Contains(text, f.in) {
			return f.name
		}
	}
	return "plain"
}
