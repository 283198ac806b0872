package bounce

import (
	"cmp"
	"slices"
	"strings"

	"homing/internal/message"
)

// This file tells answers of programs on behalf of people from answers of
// people (RFC 3834, and the many that ignore it).

// autoReplyFirst recognises answers that say what they are, before a word in
// them is taken for a failure.
func (rd *Reader) autoReplyFirst(l *letter) (Report, bool) {
	if l.Fields.Has("X-Failed-Recipients") || len(l.status) > 0 {
		return Report{}, false
	}
	var s signs
	if !l.personal() {
		l.declaredInSubject(&s)
	}
	if !s.enough() && !l.daemon() && !l.list() && !l.failing {
		l.declaredInHeader(&s)
	}
	return l.answer(AutoReply, s), s.enough()
}

// autoReply recognises the rest: what has no return path, as RFC 3834 section
// 3.3 wants it, and no report in it; what says so without a sign in the header;
// what has two hints.
func (rd *Reader) autoReply(l *letter) (Report, bool) {
	if l.list() || l.kind.Type == "multipart/report" {
		return Report{}, false
	}
	var s signs
	l.declaredInHeader(&s)
	if l.null() && !l.daemon() {
		s.add(proof, "null-return-path", "<>")
	}
	if !l.personal() {
		l.declaredInSubject(&s)
		s.add(proof, ruleText, autoDeclarations.find(l.ownOpening()))
		l.hintsInHeader(&s)
		if !l.byHand() {
			l.hintsInText(&s)
			l.hintsInSubject(&s)
		}
	}
	return l.answer(AutoReply, s), s.enough()
}

// personal reports whether somebody passes on or answers what a program wrote,
// takes an appointment or writes to subscribers: then what is said of absence
// is said by a person.
func (l *letter) personal() bool {
	if beginsWithOne(l.subject, passingOn) {
		return true
	}
	if l.answers() && !strings.HasPrefix(l.subject, "[") && autoWords.begins(bareSubject(l.subject)) != "" && l.Fields.Has("References") {
		return true
	}
	if !l.answers() && (strings.HasSuffix(l.subject, "の件") || strings.HasSuffix(l.subject, "について")) { // "about …"
		return true
	}
	appointment := func(p message.Part) bool { return p.Type == "text/calendar" }
	return l.Fields.Has("List-Unsubscribe") || slices.ContainsFunc(l.Parts, appointment)
}

// Rules of answers.
const (
	ruleSubject = "subject-auto-reply"
	ruleText    = "text-auto-reply"
)

// declaredInHeader adds the fields by which an answer says that nobody wrote it.
func (l *letter) declaredInHeader(s *signs) {
	for _, f := range autoFields {
		for _, v := range l.Fields.Values(f.name) {
			if v = strings.ToLower(v); strings.Contains(v, f.value) && v != "no" {
				s.add(proof, "header-"+strings.ToLower(f.name), v)
			}
		}
	}
	if name, value := fieldSaying(l.Fields, autoValues); name != "" {
		s.add(proof, "header-"+strings.ToLower(name), value)
	}
	if name, value := fieldNamed(l.Fields, autoNames); name != "" && !strings.HasSuffix(strings.ToLower(name), "suppress") && !strings.EqualFold(value, "no") {
		s.add(proof, "header-"+strings.ToLower(name), name)
	}
	if strings.Contains(strings.ToLower(l.Fields.Get("Return-Path")), "+canned.response@") {
		s.add(proof, "return-path-auto-reply", "+canned.response")
	}
}

// declaredInSubject adds the words by which its subject does.
func (l *letter) declaredInSubject(s *signs) {
	subject := bareSubject(l.subject)
	w := autoSubjects.begins(subject)
	word := autoWords.begins(subject)
	switch ticket := strings.HasPrefix(l.subject, "["); {
	case l.answers() && !ticket, l.list() && !strings.Contains(w, "office") && !strings.Contains(w, "your message"): // perhaps about holidays, or about such answers
		s.add(hint, ruleSubject, cmp.Or(w, word))
	case word != "":
		s.add(proof, ruleSubject, word)
	case !l.daemon():
		s.add(proof, ruleSubject, w)
	}
}

// bareSubject takes marks of answers and of tickets off a subject.
func bareSubject(subject string) string {
	for {
		rest := strings.TrimLeft(subject, " 【[(<*:-")
		for _, p := range answerMarks {
			rest = strings.TrimPrefix(rest, p)
		}
		if inner, after, ok := strings.Cut(rest, "]"); ok && subject != rest && strings.ContainsAny(inner, "#0123456789") {
			rest = after // "[ticket #12] …"
		}
		if rest == subject {
			return subject
		}
		subject = rest
	}
}

// ownOpening gives the first words of a text above what it quotes, folded.
func (l *letter) ownOpening() string {
	if !l.known.opened {
		l.known.opening, l.known.opened = Fold(clip(ownWords(clip(l.notice, 2*maxOpening)), maxOpening)), true
	}
	return l.known.opening
}

// byHand reports whether somebody answers with a program that only people use.
func (l *letter) byHand() bool {
	return l.answers() && handhelds.in(Fold(l.Fields.Get("X-Mailer")+" "+l.Fields.Get("User-Agent")))
}

// hintsInText adds what the first words of a text say. People could have
// written each of them, and not two of them together.
func (l *letter) hintsInText(s *signs) {
	opening := l.ownOpening()
	if asks(opening) {
		s.weight -= hint
	}
	absent := absences.find(clip(opening, maxExcuse))
	ack := acknowledgements.find(opening)
	s.add(hint, ruleText, cmp.Or(absent, ack))
	if !l.answers() && absent != "" { // people say thanks in answers
		s.add(hint, ruleText, ack)
	}
	s.add(hint, ruleText, cmp.Or(generated.find(opening), machines.near(opening, writings)))
	s.add(hint, ruleText, unread.find(opening))
	s.add(hint, ruleText, anybodies.find(clip(opening, 80)))
	if absent != "" {
		s.add(hint, ruleText, substitutes.find(opening))
	}
	if ack != "" && !l.answers() {
		s.add(hint, ruleText, soon.find(opening))
	}
	if ack != "" || acknowledgements.in(l.subject) {
		s.add(hint, "from-auto-reply", noReaders.begins(localOf(l.from)))
	}
}

// asks reports whether folded text asks something, as programs hardly do, in
// four words or more.
func asks(text string) bool {
	for {
		question, rest, ok := strings.Cut(text, "?")
		if !ok {
			return false
		}
		if rest == "" || rest[0] == ' ' {
			sentence := question[strings.LastIndexAny(question, ".!:?")+1:]
			if strings.Count(strings.TrimSpace(sentence), " ") >= 3 {
				return true
			}
		}
		text = rest
	}
}

// maxExcuse is within how many octets an answer tells that somebody is away:
// it has nothing else to tell.
const maxExcuse = 500

// hintsInSubject adds what a subject may be about.
func (l *letter) hintsInSubject(s *signs) {
	subject := bareSubject(l.subject)
	ack := acknowledgements.find(subject)
	switch {
	case strings.LastIndexByte(l.subject, '(') > 0:
		s.add(hint, ruleSubject, absences.find(l.subject[strings.LastIndexByte(l.subject, '('):]))
	case l.answers():
		s.add(hint, ruleSubject, departures.find(subject))
	default:
		s.add(hint, ruleSubject, cmp.Or(topicOf(subject), departures.find(subject), unread.find(subject), movedTo.begins(subject)))
	}
	switch {
	case trades.in(subject): // orders are acknowledged as well
	case ack != "" && strings.HasPrefix(l.subject, "["): // "[Request received] …"
		s.add(proof, ruleSubject, ack)
	case !l.answers():
		s.add(hint, ruleSubject, cmp.Or(ack, receipts.find(subject)))
		if ack != "" || acknowledgements.in(l.opening()) {
			s.add(hint, ruleSubject, ticketIn(subject))
		}
	}
}

// topicOf gives the word for absence that a folded subject is, or begins with
// before a colon, a date or the subject of what is answered.
func topicOf(subject string) string {
	topic := autoTopics.begins(subject)
	rest := strings.TrimSpace(subject[len(topic):])
	switch {
	case topic != "" && (len(rest) < maxTopic || strings.ContainsAny(subject, "0123456789") || strings.ContainsAny(rest[:1], ":-([|/") || strings.HasSuffix(topic, ":") || slices.Contains(untils, firstWord(rest)) ||
		beginsWithOne(rest, answerMarks)):
		return topic
	case len(subject) < 2*maxTopic || len(subject) < 3*maxTopic && strings.ContainsAny(subject, "0123456789"): // "Urlaub bis 3.8."
		return absences.find(subject)
	}
	return ""
}

func firstWord(text string) string {
	word, _, _ := strings.Cut(text, " ")
	return word
}

// hintsInHeader adds fields that other programs set as well.
func (l *letter) hintsInHeader(s *signs) {
	f := l.Fields
	if strings.HasPrefix(strings.ToLower(f.Get("Auto-Submitted")), "auto-") {
		s.add(hint, "header-auto-submitted", f.Get("Auto-Submitted"))
	} else if f.Has("X-Auto-Response-Suppress") && (l.answers() || absences.in(l.opening())) {
		s.add(hint, "header-x-auto-response-suppress", f.Get("X-Auto-Response-Suppress"))
	}
	if p := strings.ToLower(f.Get("Precedence")); p == "junk" || p == "bulk" && (l.answers() || f.Has("In-Reply-To")) { // else it is what newsletters say
		s.add(hint, "header-precedence", p)
	}
	if loop := f.Get("X-Loop"); strings.EqualFold(loop, l.from) && l.answers() { // only programs expect to meet their own mail again
		s.add(proof, "header-x-loop", loop)
	} else {
		s.add(hint, "header-x-loop", loop)
	}
}

// maxTopic is the longest subject that says nothing but what it is about, and
// the longest text that adds nothing to it, in octets.
const maxTopic = 14

// ticketIn gives the number that a ticket system gave a case, in a folded
// subject, or "".
func ticketIn(subject string) string {
	run := 0
	for i := 0; i < len(subject); i++ {
		if !digit(subject[i]) {
			run = 0
			continue
		}
		if run++; run == 4 && i >= 4 && (strings.IndexByte("#_", subject[i-4]) >= 0 || alpha(subject[i-4])) || run == 5 && ticketWords.in(subject[:i]) {
			return subject[i+1-run : i+1]
		}
	}
	return ""
}

// null reports whether nobody wants an answer: the reverse-path is empty.
func (l *letter) null() bool {
	return strings.TrimSpace(l.Fields.Get("Return-Path")) == "<>"
}

// daemon reports whether the name of a mail system is in From.
func (l *letter) daemon() bool {
	local := localOf(l.from)
	name := strings.TrimLeft(l.name, "<\"' ")
	if strings.HasPrefix(name, "postmaster") && !strings.HasPrefix(name, "postmaster ") { // not a person of that title
		return true
	}
	if l.gate {
		return true
	}
	return slices.Contains(robots, local) || strings.Contains(local, "mailer-daemon") || strings.Contains(local,
		"postmaster") || robotNames.in(l.name)
}

// list reports whether a mailing list sent this on.
func (l *letter) list() bool {
	f := l.Fields
	return f.Has("List-Id") || f.Has("List-Post") || f.Has("X-BeenThere") || f.Has("X-Mailman-Version") || f.Has("Mailing-List")
}

// answer makes the Report of an answer: one recipient, whoever it is from.
func (l *letter) answer(k Kind, s signs) Report {
	return Report{Kind: k, Format: "rfc3834", Recipients: []Recipient{{Address: l.from, Verdict: s.verdict(AutoReplied)}}}
}

// challenge recognises questions that somebody must answer before his mail is
// let through.
func (rd *Reader) challenge(l *letter) (Report, bool) {
	if l.list() {
		return Report{}, false
	}
	var s signs
	const rule = "challenge"
	s.add(hint, rule, challengers.find(l.from+" "+strings.ToLower(l.Fields.Get("Return-Path")+" "+l.Fields.Get("Reply-To")+" "+l.Fields.Get("Message-ID"))))
	name, _ := fieldNamed(l.Fields, challengeNames)
	s.add(hint, rule, name)
	s.add(hint, rule, challengeSubjects.find(bareSubject(l.subject)))
	for _, text := range l.status {
		if lineStarts(text, "x-boxbe-notice") >= 0 {
			s.add(hint, rule, "x-boxbe-notice")
		}
	}
	if s.weight > 0 {
		s.add(hint, rule, challengeTexts.find(l.text()))
	}
	return l.answer(Challenge, s), s.enough()
}

// unsubscribe recognises mail that asks for nothing but to get no more.
func (rd *Reader) unsubscribe(l *letter) (Report, bool) {
	if l.robot() >= 3 || l.list() {
		return Report{}, false
	}
	var s signs
	own := ownWords(clip(l.notice, 2000))
	if w := wish(l.subject); len(own) <= maxWish && (len(own) <= maxTopic || !slices.Contains(ambiguous, w)) {
		s.add(proof, "subject-unsubscribe", w)
	}
	for line := range strings.Lines(own) {
		if line = strings.TrimSpace(line); line != "" {
			s.add(proof, "text-unsubscribe", wish(Fold(line)))
			break
		}
	}
	if folded := Fold(own); len(own) <= maxWish && !noWishes.in(folded) { // who writes more wants more than that
		s.add(proof, "text-unsubscribe", wishes.find(folded))
	}
	return l.answer(Unsubscribe, s), s.enough()
}

// maxWish is the longest text that asks for nothing but to get no more, in
// octets.
const maxWish = 450

// ownWords gives what somebody wrote himself, above what he quotes.
func ownWords(text string) string {
	pos := 0
	for line := range strings.Lines(text) {
		if pos > 0 && quotes(strings.TrimSpace(line), text[pos+len(line):]) {
			return text[:pos]
		}
		pos += len(line)
	}
	return text
}

// quotes reports whether a line is quoted or announces a quotation, which rest
// begins with.
func quotes(line, rest string) bool {
	if strings.HasPrefix(line, ">") || strings.HasPrefix(line, "----") || strings.HasPrefix(line, "____") {
		return true
	}
	if strings.IndexByte(line, ':') < 0 {
		return false
	}
	folded := Fold(clip(line, 120))
	if strings.HasSuffix(line, ":") && (wrote.in(folded) || strings.HasPrefix(strings.TrimSpace(rest), ">")) {
		return true
	}
	return beginsWithOne(folded, []string{"from:", "von:", "de :", "de:", "da:", "van:", "fra:", "fran:", "od:"}) ||
		strings.HasPrefix(folded, "on ") && strings.Contains(line, "wrote:")
}

// wish gives the wish to get no more mail that a folded line is, or "".
func wish(line string) string {
	line = strings.Trim(line, " .!\"'*-:,")
	line = strings.TrimPrefix(line, "re: ")
	rest, named := strings.CutPrefix(line, "unsubscribe")
	if len(line) < 60 && (slices.Contains(leaving, line) || named && strings.Count(strings.Trim(rest, " :"), " ") == 0) { // of a list, or with a token
		return line
	}
	return ""
}
