package bounce

import (
	"cmp"
	"slices"
	"strings"

	"homing/internal/reply"
)

// This file finds what a report for people says of one recipient among others.

// about sets whom the report is about: what it says of one of them ends where
// it names another.
func (l *letter) about(addresses []string) {
	l.named = make(map[string]bool, len(addresses))
	for _, a := range addresses {
		if a != "" {
			l.named[strings.ToLower(a)] = true
		}
	}
}

// sections gives what the notice says of a recipient that has up to two
// addresses, one text for each place that names him: first those that look
// most like a list of recipients.
func (l *letter) sections(address, original string) []string {
	hits := l.hits()
	is := func(h hit) bool {
		return strings.EqualFold(h.address, address) || original != "" && strings.EqualFold(h.address, original)
	}
	var places []hit
	for _, h := range hits {
		if is(h) {
			places = append(places, h)
		}
	}
	slices.SortStableFunc(places, func(a, b hit) int { return cmp.Compare(b.rank, a.rank) })
	var all []string
	for _, h := range places[:min(len(places), maxPlaces)] {
		s := h.section(l, func(o hit) bool {
			return !is(o) && (l.named[strings.ToLower(o.address)] || o.rank >= h.rank && !l.own(o))
		})
		if strings.TrimSpace(s) != "" {
			all = append(all, s)
		}
	}
	return all
}

// maxPlaces is how many places that name a recipient are looked at.
const maxPlaces = 8

// section gives the text about a hit: what follows it up to where the notice
// names another, or its own line and what follows where the reason comes first.
func (h hit) section(l *letter, other func(hit) bool) string {
	before, end := 0, len(l.notice)
	for _, o := range l.hits() {
		switch {
		case o.start > h.start && o.start < end && other(o):
			end = o.start
		case o.start < h.start && o.end > before && other(o):
			before = o.end
		}
	}
	switch h.rank {
	case rankAlone:
		own := l.notice[h.after:max(end, h.after)]
		if end < len(l.notice) {
			own = withoutHeading(own)
		}
		if len(l.named) > 1 && !hasWords(own) {
			own = cmp.Or(headingAbove(l.notice[:h.start]), lastParagraph(l.notice[before:h.start]))
		}
		return strings.TrimLeft(own, ">\"': \t")
	case rankSaid: // what the other side said stands before it
		start := max(strings.LastIndex(l.notice[:h.start], "\n\n"), before, 0)
		start = min(start, h.start)
		if rank, _ := codeRank(l.notice[h.start:h.end], 0); rank > 0 && !strings.Contains(l.notice[start:h.start], "<<<") {
			end = h.end // the line itself is the reply
		}
		return l.notice[start:max(end, h.end)]
	}
	return l.notice[h.start:max(end, h.end)]
}

// withoutHeading takes the last paragraph off a text, if it ends as what heads
// the next address does.
func withoutHeading(text string) string {
	trimmed := strings.TrimSpace(text)
	if !strings.HasSuffix(trimmed, ":") {
		return text
	}
	return trimmed[:max(strings.LastIndex(trimmed, "\n\n"), 0)]
}

// lastParagraph gives the last paragraph of a text.
func lastParagraph(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndex(text, "\n\n")+1:]
}

// headingAbove gives the line with a colon that stands above a list of
// addresses, of which text ends within.
func headingAbove(text string) string {
	for range maxHits {
		text = strings.TrimRight(text, " \t\r\n")
		at := strings.LastIndexByte(text, '\n') + 1
		line := strings.TrimSpace(text[at:])
		if at == 0 || !strings.Contains(line, "@") {
			if strings.HasSuffix(line, ":") {
				return line
			}
			return ""
		}
		text = text[:at]
	}
	return ""
}

// stated gives what a text puts behind a word such as "Reason:", on its line
// and those that follow up to an empty one, or "".
func stated(text string) string {
	text = clip(text, maxText)
	end := 0
	for line := range strings.Lines(text) {
		end += len(line)
		label, cause := labelled(strings.TrimLeft(line, " \t"))
		if !slices.Contains(causes, label) && !strings.HasSuffix(label, " reason") {
			continue
		}
		rest := text[end:]
		if strings.TrimSpace(cause) == "" { // it is a heading
			rest = strings.TrimLeft(rest, "\r\n")
		}
		rest, _, _ = strings.Cut("\n"+strings.ReplaceAll(rest, "\r\n", "\n"), "\n\n")
		if cause += rest; hasWords(cause) {
			return cause
		}
	}
	return ""
}

// replyAlone gives the reply that a text repeats, up to the end of its
// paragraph, without what a mail system says around it: that may speak of
// anybody. It is empty where the text names the stage of the reply, which it
// means nothing without.
func replyAlone(text string) string {
	text = clip(text, maxText)
	if stageIn(Fold(text)) != reply.DSN {
		return ""
	}
	end := 0
	for line := range strings.Lines(text) {
		if lead := strings.TrimLeft(line, " \t<>"); len(lead) > 4 {
			if rank, _ := codeRank(lead, 0); rank > 0 && (lead[0] == '4' || lead[0] == '5') {
				rest, _, _ := strings.Cut(text[end:], "\n\n")
				return rest
			}
		}
		if i := codeBehindColon(line); i > 0 {
			rest, _, _ := strings.Cut(text[end+i:], "\n\n")
			return rest
		}
		end += len(line)
	}
	return ""
}

// codeBehindColon gives where a reply code stands in a line behind a colon, or 0.
func codeBehindColon(line string) int {
	for i := 0; i < len(line); i++ {
		if line[i] != ':' {
			continue
		}
		at := i + 1
		for at < len(line) && (line[at] == ' ' || line[at] == '"') {
			at++
		}
		if at < len(line) && (line[at] == '4' || line[at] == '5') {
			if rank, _ := codeRank(line, at); rank > 0 {
				return at
			}
		}
	}
	return 0
}

// maxLabel is how long a word such as "Reason" may be, in octets.
const maxLabel = 60

// transcript gives the part of a notice that repeats the dialogue.
func transcript(text string) string {
	end := 0
	for line := range strings.Lines(text) {
		end += len(line)
		if slices.ContainsFunc(transcriptHeads, func(head string) bool { return strings.Contains(line, head) }) || strings.HasPrefix(line, "Technical report") {
			return text[end:]
		}
	}
	return ""
}

// transcriptHeads are in the lines above a dialogue.
var transcriptHeads = []string{
	"text was generated during the delivery attempt", "ranscript of session", "RANSCRIPT OF SESSION",
	"Message log follows", "server message",
}
