package bounce

import (
	"cmp"
	"slices"
	"strings"
)

// This file tells answers of programs on behalf of people from answers of
// people (RFC 3834, and the many that ignore it).

// autoSign finds a sign in the header that nobody wrote this, and says which.
func (l *letter) autoSign() (rule, matched string) {
	for _, f := range autoFields {
		if !l.Fields.Has(f.name) {
			continue
		}
		for _, v := range l.Fields.Values(f.name) {
			if v = strings.ToLower(v); strings.Contains(v, f.value) && v != "no" {
				return "header-" + strings.ToLower(f.name), clip(v, 80)
			}
		}
	}
	subject := l.subject
	for {
		cut := false
		for _, p := range []string{"re: ", "aw: ", "sv: ", "antw: ", "odp: ", "r: ", "[auto] "} {
			if rest, ok := strings.CutPrefix(subject, p); ok {
				subject, cut = rest, true
			}
		}
		if !cut {
			break
		}
	}
	if s := autoSubjects.begins(subject); s != "" {
		return "subject-auto-reply", s
	}
	return "", ""
}

// daemon reports whether the name of a mail system is in From.
func (l *letter) daemon() bool {
	local := localOf(l.from)
	return slices.Contains(robots, local) || strings.Contains(local, "mailer-daemon") || strings.Contains(local,
		"postmaster") || robotNames.in(l.name)
}

// autoReplyFirst recognises answers that say what they are, before a word in
// them is taken for a failure.
func (rd *Reader) autoReplyFirst(l *letter) (Report, bool) {
	if l.daemon() || l.Fields.Has("X-Failed-Recipients") || len(l.status) > 0 {
		return Report{}, false
	}
	rule, matched := l.autoSign()
	if rule == "" || l.list() && !strings.Contains(matched, "auto") && !strings.Contains(matched, "office") {
		return Report{}, false
	}
	return l.answer(AutoReply, rule, matched), true
}

// autoReply recognises the rest: what has no return path, as RFC 3834 section
// 3.3 wants it, and no report in it; what a program sent that has such a text.
func (rd *Reader) autoReply(l *letter) (Report, bool) {
	f := l.Fields
	path := strings.TrimSpace(f.Get("Return-Path"))
	null := f.Has("Return-Path") && path == "<>"
	if rule, matched := l.autoSign(); rule != "" && !l.list() {
		return l.answer(AutoReply, rule, matched), true
	}
	if l.list() || l.kind.Type == "multipart/report" {
		return Report{}, false
	}
	opening := Fold(clip(l.notice, 600))
	switch {
	case null && !l.daemon():
		return l.answer(AutoReply, "null-return-path", "<>"), true
	case strings.HasPrefix(strings.ToLower(f.Get("Auto-Submitted")), "auto-") || f.Has("X-Auto-Response-Suppress") && l.answers():
		if w := autoOpenings.find(opening); w != "" {
			return l.answer(AutoReply, "text-auto-reply", w), true
		}
	}
	return Report{}, false
}

// list reports whether a mailing list sent this on.
func (l *letter) list() bool {
	f := l.Fields
	return f.Has("List-Id") || f.Has("List-Post") || f.Has("X-BeenThere") || f.Has("X-Mailman-Version") || f.Has("Mailing-List")
}

// answer makes the Report of an answer: one recipient, whoever it is from.
func (l *letter) answer(k Kind, rule, matched string) Report {
	return Report{Kind: k, Format: "rfc3834", Recipients: []Recipient{{Address: l.from,
		Verdict: Verdict{Class: None, Reason: AutoReplied, Rule: rule, Matched: matched}}}}
}

// challenge recognises questions that somebody must answer before his mail is
// let through. One word is not enough: two signs must agree.
func (rd *Reader) challenge(l *letter) (Report, bool) {
	signs, matched := 0, ""
	count := func(what string) {
		if what != "" {
			signs++
			matched = cmp.Or(matched, what)
		}
	}
	count(challengers.find(l.from))
	for _, name := range []string{"X-TMDA-Fingerprint", "X-Boxbe-Notice", "X-Challenge"} {
		if l.Fields.Has(name) {
			count(name)
			break
		}
	}
	count(challengeSubjects.find(l.subject))
	if signs == 0 {
		return Report{}, false
	}
	count(challengeTexts.find(Fold(clip(l.notice, maxText))))
	for _, s := range l.status {
		if lineStarts(s, "x-boxbe-notice") >= 0 {
			count("x-boxbe-notice")
		}
	}
	if signs < 2 || l.list() {
		return Report{}, false
	}
	return l.answer(Challenge, "challenge", matched), true
}

// unsubscribe recognises mail that asks for nothing but to get no more.
func (rd *Reader) unsubscribe(l *letter) (Report, bool) {
	if l.robot() >= 3 || l.list() {
		return Report{}, false
	}
	wish := func(line string) string {
		line = strings.Trim(line, " .!\"'*-:,")
		line = strings.TrimPrefix(line, "re: ")
		if len(line) < 60 && (slices.Contains(leaving, line) || strings.HasPrefix(line, "unsubscribe ") || strings.HasPrefix(line, "unsubscribe:")) {
			return line
		}
		return ""
	}
	if w := wish(l.subject); w != "" {
		return l.answer(Unsubscribe, "subject-unsubscribe", w), true
	}
	for line := range strings.Lines(clip(l.notice, 1000)) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if w := wish(Fold(line)); w != "" {
			return l.answer(Unsubscribe, "text-unsubscribe", w), true
		}
		break
	}
	return Report{}, false
}
