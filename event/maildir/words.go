package maildir

import (
	"context"
	"fmt"

	"homing/event"
	"homing/internal/report"
)

// maxHead is the most octets of the original's header block in a report.
const maxHead = 64 << 10

// words are how a report says why, for one CiviCRM bounce type.
type words struct {
	status string // where the fact has none
	said   string
}

// civicrm has for each bounce type words by which CiviCRM's stock patterns
// know it, and by which they know no other type: the patterns are tried type
// by type, and the first that matches anywhere decides.
var civicrm = map[string]words{
	"Dns":      {"5.1.2", "Host or domain name not found, no mail server"},
	"Host":     {"4.4.1", "error involving remote host, server is down or unreachable"},
	"Inactive": {"5.2.1", "inactive user, mail receiving disabled"},
	"Invalid":  {"5.1.1", "user unknown"},
	"Loop":     {"5.4.6", "too many hops, mail loop detected"},
	"Quota":    {"5.2.2", "over quota, mailbox is full"},
	"Relay":    {"5.7.1", "relay access denied"},
	"Spam":     {"5.7.1", "rejected as spam"},
	"Syntax":   {"5.0.0", "unknown smtp code"},
}

func wordsFor(e event.Event) words {
	if w, ok := civicrm[e.CiviCRM]; ok {
		return w
	}
	return civicrm["Syntax"] // what CiviCRM calls anything it does not know
}

// statusFor gives the status code (RFC 3463) and the SMTP code of a report. What
// only counts towards a threshold is no permanent failure in it, whatever the
// mail system called it: readers such as listmonk block an address for good at
// the first status that begins with 5.
func statusFor(e event.Event, w words) (status string, code int) {
	status, code = report.StatusOr(e.Status, w.status), e.Code
	if e.Class == "soft" {
		status = "4" + status[1:]
	}
	if code/100 != int(status[0]-'0') {
		code = 550
		if status[0] == '4' {
			code = 450
		}
	}
	return status, code
}

// report makes the report of a fact.
//
// CiviCRM finds the mailing by the address in To, else by text such as
// "Return-Path: …" anywhere in the body, else by the top-most Delivered-To: so
// the first and the last are the application's own address, and the original's
// fields that look like the second are left out. It finds the type by the
// text of Diagnostic-Code, older releases by the part for people: so both say
// the words for the type and nothing that anybody else said. That is kept in
// a field of ours.
func (s *Sink) report(ctx context.Context, e event.Event) report.Report {
	w := wordsFor(e)
	status, code := statusFor(e, w)
	r := report.Report{
		First:   []report.Field{{Name: "Delivered-To", Value: e.Sender}},
		From:    "MAILER-DAEMON@" + s.c.Hostname,
		To:      e.Sender,
		Subject: "Delivery Status Notification (Failure)",
		Date:    e.Time, MessageID: e.ID.String() + ".report@" + s.c.Hostname,
		Text: "A mail could not be delivered. The second part of this report says to whom,\n" +
			"the third, where there is one, which mail it was.\n\nReason: " + w.said + ".\n",
		ReportingMTA: s.c.Hostname, EnvelopeID: e.EnvelopeID,
		Recipients: []report.Recipient{{
			Original: e.OriginalRecipient, Final: e.Recipient, Action: "failed", Status: status,
			RemoteMTA: report.HostOf(e.RemoteMTA), Diagnostic: fmt.Sprintf("smtp; %d %s %s", code, status, w.said), Last: e.Time,
		}},
		Original: report.Original{Octets: s.head(ctx, e)},
	}
	if e.Message != 0 {
		r.Arrived = e.Message.Time().UTC()
	}
	for _, f := range []report.Field{{Name: "X-Homing-Reason", Value: e.Reason}, {Name: "X-Homing-Diagnostic", Value: e.Diagnostic}} {
		if f.Value != "" {
			r.Recipients[0].Extra = append(r.Recipients[0].Extra, f)
		}
	}
	return r
}

// head reads the header block of the message that failed. Of one that was
// delivered and is forgotten by now there is what its application knows it by.
func (s *Sink) head(ctx context.Context, e event.Event) []byte {
	known := []byte(e.OwnFields)
	if s.c.OpenBody == nil || e.Original.IsZero() {
		return known
	}
	body, err := s.c.OpenBody(ctx, e.Original)
	if err != nil {
		return known
	}
	defer body.Close()
	head, err := report.Head(body, maxHead, "Return-Path", "X-CiviMail-Bounce", "Delivered-To")
	if err != nil {
		return known
	}
	return head
}
