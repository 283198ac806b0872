package bounce

import (
	"strings"

	"homing/internal/message"
)

// disposition recognises message disposition notifications (RFC 8098).
func (rd *Reader) disposition(l *letter) (Report, bool) {
	if l.forwarded() {
		return Report{}, false
	}
	if l.disposed == "" {
		return l.plainDisposition()
	}
	f := l.disposition()
	what := f.Get("Disposition")
	r := Recipient{Address: typedAddress(f.Get("Final-Recipient")), Original: typedAddress(f.Get("Original-Recipient")), Diagnostic: clip(what, 200),
		Verdict: AutoReplied.usual("disposition-notification", clip(what, 80))}
	if r.Address == "" {
		r.Address = l.from
	}
	l.arrival = f.Get("Original-Message-ID") + what
	return Report{Kind: Disposition, Format: "rfc8098", Recipients: []Recipient{r}}, true
}

// disposition gives the fields of a notification, which some tear apart by
// empty lines.
func (l *letter) disposition() message.Fields {
	f := message.ParseFields([]byte(l.disposed))
	if strings.Contains(l.disposed, "\n\n") && !f.Has("Disposition") {
		f = message.ParseFields([]byte(strings.ReplaceAll(l.disposed, "\n\n", "\n")))
	}
	return f
}

// plainDisposition recognises the notes of programs from before RFC 2298, and
// of those that ignore it.
func (l *letter) plainDisposition() (Report, bool) {
	var s signs
	const rule = "text-disposition"
	s.add(hint, rule, dispositionSubjects.begins(l.subject))
	if s.weight > 0 {
		if yourMessage.in(l.opening()) { // a person may have read something else
			s.add(hint, rule, dispositionTexts.find(l.opening()))
		}
	}
	if !s.enough() {
		return Report{}, false
	}
	r := l.answer(Disposition, s)
	r.Format = "plain"
	return r, true
}
