package bounce

import (
	"cmp"
	"strings"

	"homing/internal/message"
)

// feedback recognises complaints: RFC 5965, and the form of Microsoft's
// programme, which is the bare message behind a subject of its own.
//
// A report of type auth-failure (RFC 6591) is about our signatures, not about
// a person who complains: its verdict is of class Sender. One of type not-spam
// (RFC 6430) is praise, and no complaint.
func (rd *Reader) feedback(l *letter) (Report, bool) {
	if l.forwarded() {
		return Report{}, false
	}
	if l.feedback == "" && !l.feedbackInText() {
		return l.bareFeedback()
	}
	// Some put more header fields or empty lines before the fields.
	var f message.Fields
	for _, block := range groups(l.feedback) {
		if f = message.ParseFields(block); f.Has("Feedback-Type") {
			break
		}
	}
	kind := strings.ToLower(f.Get("Feedback-Type"))
	r := Recipient{Verdict: Complained.usual("feedback-report", cmp.Or(kind, "feedback-report"))}
	r.Address = firstAddress(cmp.Or(f.Get("Original-Rcpt-To"), f.Get("Removal-Recipient")))
	if r.Address == "" {
		r.Address = l.complainant()
	}
	r.RemoteMTA = mtaName(f.Get("Reporting-MTA"))
	report := Report{Kind: Complaint, Format: "arf"}
	switch {
	case kind == "not-spam":
		return Report{Kind: Message, Format: "arf"}, true
	case strings.HasPrefix(kind, "auth-failure"):
		r.Verdict.Class, r.Verdict.Reason = Sender, AuthFailure
	case kind == "opt-out" || kind == "opt-out-list":
		report.Kind = Unsubscribe
	}
	report.Recipients = []Recipient{r}
	l.arrival = f.Get("Arrival-Date") + f.Get("Received-Date")
	return report, true
}

// feedbackInText finds the fields of a report in the text for people, where a
// broken reporter put them.
func (l *letter) feedbackInText() bool {
	if !l.attached || lineStarts(l.notice, "feedback-type:") < 0 {
		return false
	}
	for _, name := range []string{"source-ip:", "original-mail-from:", "original-rcpt-to:", "user-agent:"} {
		if lineStarts(l.notice, name) >= 0 {
			l.feedback = l.notice
			return true
		}
	}
	return false
}

// bareFeedback recognises a complaint that is only the message, wrapped.
func (l *letter) bareFeedback() (Report, bool) {
	if !l.isBack {
		return Report{}, false
	}
	const rule = "feedback-subject"
	var s signs
	mark := l.returned.Get("X-HmXmrOriginalRecipient")
	if mark != "" {
		s.add(proof, rule, "X-HmXmrOriginalRecipient")
	}
	s.add(proof, rule, complaintSubjects.begins(l.subject))
	s.add(hint, rule, complainers.find(l.from))
	told := complaintWords.find(l.subject)
	if told == "" {
		told = complaintWords.find(l.opening())
	}
	s.add(hint, rule, told)
	if !s.enough() {
		return Report{}, false
	}
	r := Recipient{Address: cmp.Or(firstAddress(mark), l.complainant()), Verdict: s.verdict(Complained)}
	format := "plain"
	if mark != "" || s.best == proof {
		format = "jmrp"
	}
	return Report{Kind: Complaint, Format: format, Recipients: []Recipient{r}}, true
}

// complainant finds whom the message was for that came back.
func (l *letter) complainant() string {
	for _, name := range []string{"X-HmXmrOriginalRecipient", "X-Rcpt-To", "Delivered-To", "To"} {
		if a := firstAddress(l.returned.Get(name)); a != "" {
			return a
		}
	}
	return ""
}
