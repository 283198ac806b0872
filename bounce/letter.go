package bounce

import (
	"slices"
	"strings"

	"homing/internal/message"
)

// A letter is a message laid out for the recognisers: what a mail system says
// for people, what it says for programs, and what it gives back.
type letter struct {
	message.Mail
	kind     message.ContentType
	from     string   // address of From, lower case
	name     string   // From as people see it, folded
	to       []string // addresses this was sent to, lower case
	writers  []string // addresses of who wrote the message that came back, lower case
	subject  string   // folded
	failing  bool     // the subject says that mail was not delivered
	gate     bool     // a gate before a mail system says that it wrote this
	notice   string   // text for people, up to the message that came back
	whole    string   // text for people with what follows it
	status   []string
	feedback string
	disposed string // disposition notification
	returned message.Fields
	isBack   bool            // a message came back, or its header
	attached bool            // in a part of its own
	arrival  string          // who reports, and when it got the message
	robotic  int             // one more than robot gives; 0: not counted yet
	named    map[string]bool // whom the report is about, lower case
	cut      bool            // there was more than is read
	long     bool            // of the text for people
	judged   int             // octets that the table was asked about
	verdicts map[Evidence]Verdict
	known    known
}

// known is what was found out about the notice of a letter, once asked.
type known struct {
	folded     string // what text gives
	opening    string // what ownOpening gives
	opened     bool
	hits       []hit // addresses
	scanned    bool
	recipients []hit // of them, those that the report is about
	chosen     bool
}

// setNotice changes the text for people.
func (l *letter) setNotice(text string) { l.notice, l.known = text, known{} }

// How much text for people is looked at.
const (
	maxNotice  = 64 << 10
	maxTexts   = 4
	maxOpening = 900
	maxSubject = 1000
	maxTo      = 50 // addresses that a report may be for
)

func layOut(m message.Mail) *letter {
	l := &letter{Mail: m, kind: message.ParseContentType(m.Fields.Get("Content-Type"))}
	from := m.Fields.Text("From")
	l.from = strings.ToLower(firstAddress(from))
	l.name = strings.ReplaceAll(Fold(from), "_", " ")
	l.to = allAddresses(strings.ToLower(m.Fields.Get("To")+" "+m.Fields.Get("Delivered-To")+" "+m.Fields.Get("X-Original-To")), maxTo)
	l.subject = Fold(clip(m.Fields.Text("Subject"), maxSubject))
	l.failing = l.subjectFails()
	l.gate = robotMailers.in(Fold(m.Fields.Get("X-Mailer")))
	var plain, markup []string
	for i := range m.Parts {
		p := &m.Parts[i]
		switch p.Type {
		case "message/delivery-status", "message/global-delivery-status":
			l.status = append(l.status, p.Text())
			l.cut = l.cut || p.Cut()
		case "message/feedback-report":
			l.feedback = p.Text()
		case "message/disposition-notification", "message/global-disposition-notification":
			l.disposed = p.Text()
		case "message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers", "message/rfc822-headers":
			l.back(p)
		case "text/html":
			if len(markup) == 0 {
				l.long = l.long || len(p.Text()) > maxNotice
				markup = append(markup, message.TextOfHTML(clip(p.Text(), maxNotice)))
			}
		default:
			if text, ok := l.textOf(p); ok && len(plain) < maxTexts {
				plain = append(plain, text)
			}
		}
	}
	if len(plain) == 0 || strings.TrimSpace(plain[0]) == "" && len(plain) == 1 {
		plain = markup
	}
	l.read(strings.Join(plain, "\n\n"))
	for _, name := range []string{"From", "Sender", "Reply-To", "Return-Path", "Errors-To"} {
		l.writers = append(l.writers, allAddresses(strings.ToLower(l.returned.Get(name)), 2)...)
	}
	return l
}

// text gives the notice, folded, as far as it is searched for words.
func (l *letter) text() string {
	if l.known.folded == "" {
		l.known.folded = Fold(clip(l.notice, maxText))
	}
	return l.known.folded
}

// opening gives the beginning of text: further down it may quote anything.
func (l *letter) opening() string { return clip(l.text(), maxOpening) }

// textOf gives a text part, unless it is what came back or a report that goes by
// a wrong name.
func (l *letter) textOf(p *message.Part) (string, bool) {
	if !strings.HasPrefix(p.Type, "text/") || p.Type == "text/calendar" {
		return "", false
	}
	if p.Depth > 0 && !p.Stray && p.Fields.Has("Received") { // a header without the empty line before it
		l.setReturned(p.Fields)
		return "", false
	}
	if l.isBack && p.Depth > 0 { // footers, and what other programs added
		return "", false
	}
	text := p.Text()
	l.long = l.long || len(text) > maxNotice || p.Cut()
	text = clip(text, maxNotice)
	switch {
	case p.Depth == 0:
	case l.feedback == "" && l.kind.Type == "multipart/report" && lineStarts(text, "feedback-type:") >= 0:
		l.feedback = text
		return "", false
	case lineStarts(text, "reporting-mta:") >= 0 && lineStarts(text, "final-recipient:") >= 0 && len(strings.TrimSpace(text[:lineStarts(text,
		"reporting-mta:")])) == 0:
		l.status = append(l.status, text)
		return "", false
	}
	return text, true
}

// back takes a message that came back.
func (l *letter) back(p *message.Part) {
	if l.isBack {
		return
	}
	if p.Fields.Has("Received") {
		l.setReturned(p.Fields)
		return
	}
	l.isBack, l.attached = true, true
	raw := p.Bytes()
	for i := 0; i < 4 && len(raw) > 0; i++ { // empty lines, mbox
		line, rest, _ := strings.Cut(string(raw[:min(len(raw), 200)]), "\n")
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "From ") && !strings.HasPrefix(line, ">From ") || rest == "" {
			break
		}
		raw = raw[len(line)+1:]
	}
	l.returned = message.ParseFields(headOf(raw))
}

func (l *letter) setReturned(f message.Fields) {
	if !l.isBack {
		l.isBack, l.returned = true, f
	}
}

// headOf gives the header block at the start of raw.
func headOf(raw []byte) []byte {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\n' {
			continue
		}
		if i+1 < len(raw) && raw[i+1] == '\n' || i+2 < len(raw) && raw[i+1] == '\r' && raw[i+2] == '\n' {
			return raw[:i+1]
		}
	}
	return raw
}

// read splits the text for people where the message that came back begins.
func (l *letter) read(text string) {
	l.whole = text
	i, head := split(text)
	l.setNotice(text[:i])
	if !l.isBack && head < len(text) {
		l.setReturned(message.ParseFields(headOf([]byte(text[head:]))))
	}
}

// split gives where the notice ends, and where the header of the message that
// came back begins: the length of text where there is none.
func split(text string) (notice, head int) {
	pos := 0
	for pos < len(text) {
		end := pos + strings.IndexByte(text[pos:], '\n') + 1
		if end <= pos {
			end = len(text)
		}
		line := strings.TrimSpace(text[pos:end])
		switch {
		case hasPrefixFold(line, "received:") || hasPrefixFold(line, "return-path:") || hasPrefixFold(line, "> received:"):
			if pos > 0 {
				return pos, pos
			}
		case strings.HasPrefix(line, "________") && pos > 0 && !diagnostics.in(Fold(clip(text[pos:], 2*maxOpening))): // a footer
			return pos, len(text)
		case len(line) > 6 && len(line) < 200 && heading(line) && markers.in(Fold(line)) && strings.TrimSpace(text[:pos]) != "":
			head := afterMarker(text, end)
			if headerMarkers.in(Fold(line)) && !startsHeader(text[head:]) { // it announces what is attached
				break
			}
			return pos, head
		}
		pos = end
	}
	return len(text), len(text)
}

// startsHeader reports whether a text begins with a header field.
func startsHeader(text string) bool {
	line, _, _ := strings.Cut(text, "\n")
	return message.ParseFields([]byte(line)).Len() > 0
}

// heading reports whether a line announces what follows it.
func heading(line string) bool {
	return strings.IndexByte("-=*|_#+", line[0]) >= 0 || strings.HasSuffix(line, ":") ||
		strings.HasSuffix(line, "follows.") || strings.HasSuffix(line, "follows") || strings.HasSuffix(line,
		"follow.") || strings.Contains(line, "follow:")
}

// afterMarker skips empty lines and rules under a heading.
func afterMarker(text string, pos int) int {
	for pos < len(text) {
		end := pos + strings.IndexByte(text[pos:], '\n') + 1
		if end <= pos {
			return pos
		}
		if line := strings.TrimSpace(text[pos:end]); strings.Trim(line, "-=*_") != "" {
			return pos
		}
		pos = end
	}
	return pos
}

// lineStarts gives the position of the first line that begins with prefix
// (lower case), letter case ignored, or -1.
func lineStarts(text, prefix string) int {
	for pos := 0; pos < len(text); {
		if hasPrefixFold(text[pos:], prefix) {
			return pos
		}
		i := strings.IndexByte(text[pos:], '\n')
		if i < 0 {
			return -1
		}
		pos += i + 1
	}
	return -1
}

// beginsWithOne reports whether s begins with one of the prefixes.
func beginsWithOne(s string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// clip cuts s to at most n octets, at a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
