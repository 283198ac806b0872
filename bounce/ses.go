package bounce

import (
	"cmp"
	"encoding/json"
	"strings"
)

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
		report.Recipients = eachOf(n.Bounce.Recipients, func(p sesPerson) Recipient {
			r := rd.sesRecipient(l, p, "failed", n.Bounce.SubType)
			if n.Bounce.Type == "Transient" && r.Verdict.Class == Hard { // it knows that later mail may arrive
				r.Verdict.Class, r.Verdict.CiviCRM = Soft, meanings[Unknown].civicrm
			}
			return r
		})
	case "DeliveryDelay":
		report.Kind = Delayed
		report.Recipients = eachOf(n.Delay.Recipients, func(p sesPerson) Recipient { return rd.sesRecipient(l, p, "delayed", n.Delay.Type) })
	case "Complaint":
		report.Kind = Complaint
		report.Recipients = eachOf(n.Complaint.Recipients, func(p sesPerson) Recipient {
			return Recipient{Address: typedAddress(p.Address), Verdict: Complained.usual("feedback-ses", "Complaint")}
		})
	case "Delivery":
		report.Kind = Delivered
		report.Recipients = eachOf(n.Delivery.Recipients, func(a string) Recipient {
			r := Recipient{Address: typedAddress(a), Action: "delivered", Diagnostic: clip(n.Delivery.Reply, maxDiagnostic)}
			r.settle(l)
			return r
		})
	}
	if len(report.Recipients) == 0 {
		return Report{}, false
	}
	return report, true
}

// eachOf makes a Recipient of each of a list, as far as reports go.
func eachOf[T any](list []T, recipient func(T) Recipient) []Recipient {
	var all []Recipient
	for _, x := range list[:min(len(list), maxRecipients)] {
		all = append(all, recipient(x))
	}
	return all
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
