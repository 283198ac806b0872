package bounce

import (
	"cmp"
	"encoding/json"
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

// A notification is what Amazon SES tells by mail through SNS, in JSON.
type notification struct {
	Type   string `json:"notificationType"`
	Event  string `json:"eventType"`
	Bounce struct {
		Reporting  string      `json:"reportingMTA"`
		Recipients []sesPerson `json:"bouncedRecipients"`
		Type       string      `json:"bounceType"`
		SubType    string      `json:"bounceSubType"`
	} `json:"bounce"`
	Delay struct {
		Recipients []sesPerson `json:"delayedRecipients"`
		Type       string      `json:"delayType"`
	} `json:"deliveryDelay"`
	Complaint struct {
		Recipients []sesPerson `json:"complainedRecipients"`
	} `json:"complaint"`
	Delivery struct {
		Recipients []string `json:"recipients"`
		Reply      string   `json:"smtpResponse"`
		Reporting  string   `json:"reportingMTA"`
	} `json:"delivery"`
	Mail struct {
		ID string `json:"messageId"`
	} `json:"mail"`
}

type sesPerson struct {
	Address    string `json:"emailAddress"`
	Action     string `json:"action"`
	Status     string `json:"status"`
	Diagnostic string `json:"diagnosticCode"`
}

// notification recognises what Amazon SES tells in JSON.
func (rd *Reader) notification(l *letter) (Report, bool) {
	text := strings.TrimSpace(l.whole)
	if !strings.HasPrefix(text, "{") || !strings.Contains(text, `"mail"`) {
		return Report{}, false
	}
	n := readNotification(text)
	report := Report{Format: "ses"}
	l.arrival = n.Mail.ID
	switch cmp.Or(n.Type, n.Event) {
	case "Bounce":
		report.Kind = Bounce
		for _, p := range n.Bounce.Recipients[:min(len(n.Bounce.Recipients), maxRecipients)] {
			r := rd.sesRecipient(l, p, "failed", n.Bounce.SubType)
			if n.Bounce.Type == "Transient" && r.Verdict.Class == Hard { // it knows that later mail may arrive
				r.Verdict.Class, r.Verdict.CiviCRM = Soft, meanings[Unknown].civicrm
			}
			report.Recipients = append(report.Recipients, r)
		}
	case "DeliveryDelay":
		report.Kind = Delayed
		for _, p := range n.Delay.Recipients[:min(len(n.Delay.Recipients), maxRecipients)] {
			report.Recipients = append(report.Recipients, rd.sesRecipient(l, p, "delayed", n.Delay.Type))
		}
	case "Complaint":
		report.Kind = Complaint
		for _, p := range n.Complaint.Recipients[:min(len(n.Complaint.Recipients), maxRecipients)] {
			report.Recipients = append(report.Recipients, Recipient{Address: typedAddress(p.Address),
				Verdict: Complained.usual("feedback-ses", "Complaint")})
		}
	case "Delivery":
		report.Kind = Delivered
		for _, a := range n.Delivery.Recipients[:min(len(n.Delivery.Recipients), maxRecipients)] {
			r := Recipient{Address: typedAddress(a), Action: "delivered", Diagnostic: clip(n.Delivery.Reply, maxDiagnostic)}
			r.settle(l)
			report.Recipients = append(report.Recipients, r)
		}
	}
	if len(report.Recipients) == 0 {
		return Report{}, false
	}
	return report, true
}

// sesRecipient makes a Recipient of a person of a notification, where kind is
// its word for what happened if it has no diagnostic.
func (rd *Reader) sesRecipient(l *letter, p sesPerson, did, kind string) Recipient {
	r := Recipient{Address: typedAddress(p.Address), Action: cmp.Or(action(p.Action), did), Status: p.Status}
	r.Diagnostic = clip(diagnosticText(p.Diagnostic), maxDiagnostic)
	rd.judge(l, &r, cmp.Or(r.Diagnostic, kind))
	r.settle(l)
	return r
}

// readNotification reads as much of a notification as is whole: relays break
// lines of JSON.
func readNotification(text string) (n notification) {
	d := json.NewDecoder(strings.NewReader(text))
	if _, err := d.Token(); err != nil {
		return n
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return n
		}
		var into any
		switch key {
		case "notificationType":
			into = &n.Type
		case "eventType":
			into = &n.Event
		case "bounce":
			into = &n.Bounce
		case "deliveryDelay":
			into = &n.Delay
		case "complaint":
			into = &n.Complaint
		case "delivery":
			into = &n.Delivery
		case "mail":
			into = &n.Mail
		default:
			into = new(json.RawMessage)
		}
		if err := d.Decode(into); err != nil {
			return n
		}
	}
	return n
}
