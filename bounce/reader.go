package bounce

import (
	"bytes"
	"cmp"
	"io"
	"slices"
	"strings"

	"homing/internal/message"
	"homing/internal/reply"
)

// A Reader understands messages that come to a return address. The zero
// Reader has no table: use NewReader. It may be used from many goroutines.
type Reader struct {
	Table  Rules
	Walker message.Walker
}

// NewReader makes a Reader that gives its verdicts by a table.
func NewReader(t Rules) *Reader { return &Reader{Table: t} }

// Read says what a message is and what it says of whom. No message is an
// error: what cannot be understood is an ordinary Message, and what passes a
// limit is Unparsed. An error is one of r; the Report is then what was known.
func (rd *Reader) Read(r io.Reader) (Report, error) {
	m, err := rd.Walker.Walk(r)
	l := layOut(m)
	report := rd.understand(l)
	report.Unparsed = report.Unparsed || m.Limited || l.cut || l.long && report.Kind == Bounce
	report.Returned = returned(l)
	report.Digest = digest(l, &report)
	return report, err
}

// understand asks one recogniser after the other. Each knows when it must
// keep silent.
func (rd *Reader) understand(l *letter) Report {
	for _, recognise := range []func(*letter) (Report, bool){
		rd.feedback, rd.challenge, rd.notification, rd.deliveryStatus, rd.wrapped, rd.refusal, rd.disposition, rd.autoReplyFirst, rd.plainReport, rd.autoReply, rd.unsubscribe,
	} {
		if report, ok := recognise(l); ok {
			return report
		}
	}
	return Report{Kind: Message}
}

// maxReturned is how many fields of what came back a Report keeps.
const maxReturned = 100

// returned gives the header of what came back.
func returned(l *letter) []Field {
	n := min(l.returned.Len(), maxReturned)
	if n == 0 {
		return nil
	}
	all := make([]Field, n)
	for i := range all {
		all[i].Name, all[i].Body = l.returned.At(i)
	}
	return all
}

// deliveryStatus recognises RFC 3464 and RFC 6533, in their own parts or in
// text.
func (rd *Reader) deliveryStatus(l *letter) (Report, bool) {
	if l.forwarded() || l.kind.Type != "multipart/report" && (l.robot() < 2 || len(l.status) == 0 && l.composed()) {
		return Report{}, false
	}
	texts := l.status
	if len(texts) == 0 && l.robot() >= 2 {
		texts = append(texts, l.takeStatus())
	}
	var all statusReport
	for _, text := range texts {
		one := parseStatus(text)
		all.reportingMTA = cmp.Or(all.reportingMTA, one.reportingMTA)
		all.arrival = cmp.Or(all.arrival, one.arrival)
		for _, r := range one.recipients {
			all.add(r)
		}
		all.more = all.more || one.more
	}
	if len(all.recipients) == 0 {
		return Report{}, false
	}
	l.arrival = all.reportingMTA + "\n" + all.arrival
	report := Report{Format: "rfc3464", Unparsed: all.more}
	l.about(all.addresses())
	for _, f := range all.recipients {
		report.Recipients = append(report.Recipients, rd.recipient(l, f, len(all.recipients) == 1))
	}
	if len(all.recipients) == 1 && report.Recipients[0].Address == "" { // it names nobody: the text for people may
		if plain, ok := rd.plainReport(l); ok && len(plain.Recipients) > 0 {
			report.Recipients = plain.Recipients
		}
	}
	report.Kind = kindOf(l, report.Recipients)
	for i := range report.Recipients {
		if r := &report.Recipients[i]; report.Kind != Bounce && r.Action == "" { // nobody says that it failed
			r.Verdict.Class, r.Verdict.CiviCRM = None, ""
		}
	}
	return report, true
}

// takeStatus gives the fields in the text for people, and leaves the rest.
func (l *letter) takeStatus() string {
	fields := statusText(l.notice)
	if fields == "" {
		return statusText(l.whole)
	}
	l.setNotice(strings.TrimSuffix(l.notice, fields))
	return fields
}

// wrapped recognises a report that a gateway put into another, which names
// nobody.
func (rd *Reader) wrapped(l *letter) (Report, bool) {
	inner := message.ParseContentType(l.returned.Get("Content-Type"))
	if l.robot() < 3 || inner.Param("report-type") != "delivery-status" || len(l.hits()) > 0 {
		return Report{}, false
	}
	inside := rd.inside(l)
	if inside == nil {
		return Report{}, false
	}
	return rd.deliveryStatus(inside)
}

// inside lays the message out that came back in a part of its own, or gives nil.
func (rd *Reader) inside(l *letter) *letter {
	for i := range l.Parts {
		if p := &l.Parts[i]; p.Type == "message/rfc822" {
			if m, err := rd.Walker.Walk(bytes.NewReader(p.Bytes())); err == nil {
				return layOut(m)
			}
			break
		}
	}
	return nil
}

// kindOf says what the actions of a report come to.
func kindOf(l *letter, all []Recipient) Kind {
	has := func(actions ...string) bool {
		return slices.ContainsFunc(all, func(r Recipient) bool { return slices.Contains(actions, r.Action) })
	}
	switch {
	case has("failed"):
		return Bounce
	case has("delayed"):
		return Delayed
	case has("delivered", "relayed", "expanded"):
		return Delivered
	case l.delayed():
		return Delayed
	}
	return Bounce
}

// recipient makes a Recipient of its fields, with the help of the text for
// people where the fields say too little.
func (rd *Reader) recipient(l *letter, f recipientFields, alone bool) Recipient {
	r := Recipient{Original: f.original, Action: f.outcome(), Status: f.status, RemoteMTA: f.remote, Diagnostic: clip(f.diagnostic, maxDiagnostic)}
	for _, a := range []string{f.final, f.original, f.actual} {
		if isAddress(a) {
			r.Address = a
			break
		}
	}
	if r.Address == "" && alone {
		if hits := l.recipients(); len(hits) == 1 {
			r.Address = hits[0].address
		}
	}
	r.Address = cmp.Or(r.Address, f.final, f.original)
	text := f.diagnostic
	if text == "" || !hasWords(text) {
		text = strings.TrimSpace(text + " " + f.statusComment)
	}
	r.Code = f.code
	rd.judge(l, &r, text)
	if r.Verdict.Reason == Unknown || !hasWords(f.diagnostic) {
		rd.consult(l, &r, alone)
	}
	r.settle(l)
	return r
}

// settle brings the verdict together with what happened in the end. Why
// something is delayed is still worth telling. What was put off until somebody
// gave up has expired, unless what put it off says more.
func (r *Recipient) settle(l *letter) {
	if r.Action == "failed" && r.Verdict.vague() && r.Code/100 == 4 && expiries.in(l.text()) {
		r.Verdict = r.Verdict.expired()
	}
	r.Verdict = r.Verdict.After(r.Action)
}

// After gives the verdict on a recipient of whom a report tells an action (RFC
// 3464 section 2.3.3), where v is what its diagnostic means by itself.
func (v Verdict) After(action string) Verdict {
	switch {
	case action == "delayed":
		v.Class, v.CiviCRM = None, ""
	case action == "delivered", action == "relayed", action == "expanded":
		return Verdict{Class: None, Rule: "action", Matched: action}
	case action == "failed" && v.Reason == Greylisted:
		return v.expired()
	}
	return v
}

// expired is the verdict on what was put off until somebody gave up.
func (v Verdict) expired() Verdict {
	v.Reason, v.CiviCRM = Expired, meanings[Expired].civicrm
	if v.Class != Sender { // else it is still us
		v.Class = Soft
	}
	return v
}

// vague reports whether a verdict says no more than that somebody should come
// back later.
func (v Verdict) vague() bool {
	return v.Reason == Unknown || v.strength == Later || v.strength == Guess && v.Reason == SystemError
}

// maxDiagnostic is how much of a diagnostic a Recipient keeps, in octets.
const maxDiagnostic = 2000

// maxJudged bounds what the table is asked about one message, in octets: what
// says more about more recipients than anybody reads is somebody's experiment.
const maxJudged = 512 << 10

// judge takes code and status from the text and asks the table. What the
// reply itself says goes before what a gateway made of it.
func (rd *Reader) judge(l *letter, r *Recipient, text string) {
	text = clip(text, maxText)
	code, status := findReply(text)
	if code != 0 {
		r.Code = code
	}
	if !general(status) && code != 0 || general(r.Status) && status != "" {
		r.Status = status
	}
	e := Evidence{Stage: reply.DSN, Code: r.Code, Status: r.Status, Text: text, RemoteMTA: r.RemoteMTA}
	if l.judged > maxJudged {
		e.Text, l.cut = "", true
	}
	v, known := l.verdicts[e]
	if !known {
		l.judged += 100 + len(e.Text)
		v = rd.Table.Classify(e)
		if l.verdicts == nil {
			l.verdicts = map[Evidence]Verdict{}
		}
		l.verdicts[e] = v
	}
	r.Verdict, r.judged = v, e
}

// hasWords reports whether a text says something besides codes.
func hasWords(text string) bool {
	n := 0
	for i := 0; i < len(text); i++ {
		if alpha(text[i]) || text[i] >= 0x80 {
			if n++; n > 5 {
				return true
			}
		}
	}
	return false
}

// weak reports whether what else a report says may be more than a verdict.
func (v Verdict) weak() bool { return v.Reason == Unknown || v.strength < Later }

// consult looks into the text for people for what was said of a recipient,
// and takes it where it says more than the fields did.
func (rd *Reader) consult(l *letter, r *Recipient, alone bool) {
	for _, section := range l.sections(r.Address, r.Original) {
		if rd.compare(l, r, section); !r.Verdict.weak() {
			break
		}
	}
	if alone && (r.Verdict.weak() || r.Diagnostic == "") {
		rd.compare(l, r, transcript(l.notice))
	}
	if alone && r.Verdict.Reason == Unknown {
		rd.compare(l, r, l.notice)
	}
}

// compare takes what a text says of a recipient where it says more than what
// is known.
func (rd *Reader) compare(l *letter, r *Recipient, section string) {
	if section == "" {
		return
	}
	better := *r
	rd.widen(l, &better, section)
	if !r.Verdict.weak() { // the fields were enough
		r.Diagnostic = cmp.Or(r.Diagnostic, better.Diagnostic)
		return
	}
	if r.Verdict.strength == Program && better.Verdict.Class == Sender { // it spoke of itself, not of us
		return
	}
	if better.Verdict.Reason == Unknown || better.Verdict.weak() && !r.Verdict.weak() || r.Verdict.Reason != Unknown && better.Verdict.Reason != r.Verdict.Reason && better.Verdict.weak() {
		return
	}
	if r.Diagnostic != "" && hasWords(r.Diagnostic) {
		better.Diagnostic = r.Diagnostic
	}
	*r = better
}

// widen judges what a text states as the cause, else its first paragraph, and
// more of it as long as what was read says little.
func (rd *Reader) widen(l *letter, r *Recipient, text string) {
	text = clip(text, maxText)
	if cause := stated(text); cause != "" {
		trial := *r
		if rd.judge(l, &trial, cause); trial.Verdict.strength == Proof {
			trial.Diagnostic = replyIn(cause)
			*r = trial
			return
		}
	}
	const tries = 6
	for try, end := 0, 0; try < tries && end < len(text); {
		if i := strings.Index(text[end:], "\n\n"); i >= 0 {
			end += i + 2
		} else {
			end = len(text)
		}
		part := strings.TrimSpace(text[:end])
		if end < len(text) && (!hasWords(part) || strings.HasSuffix(part, ":")) { // it announces the next
			continue
		}
		trial := *r
		rd.judge(l, &trial, part)
		if try == 0 || !trial.Verdict.weak() || r.Verdict.weak() && trial.Verdict.Reason != Unknown {
			trial.Diagnostic = replyIn(part)
			*r = trial
		}
		if !r.Verdict.weak() {
			return
		}
		try++
	}
}

// replyIn gives the part of a text that looks most like a reply, on one line.
func replyIn(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if code, _ := findReply(text); code != 0 {
		for from := 0; ; {
			i := strings.Index(text[from:], itoa3(code))
			if i < 0 {
				break
			}
			i += from
			if rank, _ := codeRank(text, i); rank > 0 && (i == 0 || !digit(text[i-1])) {
				text = text[i:]
				break
			}
			from = i + 3
		}
	}
	return clip(text, 500)
}

func itoa3(n int) string {
	return string([]byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)})
}
