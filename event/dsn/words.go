package dsn

import (
	"context"
	"strings"

	"homing/event"
	"homing/internal/report"
)

// action is what is reported (RFC 3464 section 2.3.3). We are never the last
// mail system: what we delivered is relayed, to one that reports no more.
func action(e event.Event) string {
	switch e.Type {
	case event.Delivered:
		return "relayed"
	case event.Deferred:
		return "delayed"
	}
	return "failed"
}

var (
	subjects = map[string]string{
		"failed":  "Delivery Status Notification (Failure)",
		"delayed": "Delivery Status Notification (Delay)",
		"relayed": "Delivery Status Notification (Relayed)",
	}
	// statuses stand where the fact has none.
	statuses = map[event.Type]string{
		event.Bounced: "5.0.0", event.Expired: "4.4.7", event.Suppressed: "5.0.0",
		event.Deferred: "4.0.0", event.Delivered: "2.0.0",
	}
)

// report makes the report of a fact.
func (s *Sink) report(ctx context.Context, e event.Event) report.Report {
	did := action(e)
	r := report.Report{
		From: "MAILER-DAEMON@" + s.c.Hostname, To: e.Sender, Subject: subjects[did],
		Date: e.Time, MessageID: s.messageID(e),
		Text:         s.text(e, did),
		ReportingMTA: s.c.Hostname, EnvelopeID: e.EnvelopeID,
		Recipients: []report.Recipient{{
			Original: e.OriginalRecipient, Final: e.Recipient, Action: did, Status: report.StatusOr(e.Status, statuses[e.Type]),
			RemoteMTA: report.HostOf(e.RemoteMTA), Diagnostic: diagnostic(e.Diagnostic),
		}},
		Original: s.original(ctx, e),
	}
	if e.Message != 0 {
		r.Arrived = e.Message.Time().UTC()
	}
	if e.Type != event.Suppressed { // no attempt was made
		r.Recipients[0].Last = e.Time
	}
	return r
}

func (s *Sink) messageID(e event.Event) string { return e.ID.String() + ".dsn@" + s.c.Hostname }

// diagnostic gives what was said with its type (RFC 3464 section 2.3.6).
func diagnostic(said string) string {
	switch {
	case said == "":
		return ""
	case len(said) >= 3 && strings.Trim(said[:3], "0123456789") == "" && (len(said) == 3 || said[3] == ' ' || said[3] == '-'):
		return "smtp; " + said
	}
	return "x-homing; " + said
}

// text is the part for people.
func (s *Sink) text(e event.Event, did string) string {
	var b strings.Builder
	b.WriteString("This is the mail system at " + s.c.Hostname + ".\n\n")
	switch {
	case did == "relayed":
		b.WriteString("Your mail was handed on, to a mail system that may not report what becomes\nof it there. It was for:\n\n")
	case did == "delayed":
		b.WriteString("Your mail could not be delivered yet. You need not send it again: we go on\ntrying. It is for:\n\n")
	case e.Type == event.Expired:
		b.WriteString("Your mail could not be delivered for so long that we tried for the last\ntime. It was for:\n\n")
	case e.Type == event.Suppressed:
		b.WriteString("Your mail was not sent. Its address is on hold here, because of what became\nof earlier mail to it. It was for:\n\n")
	default:
		b.WriteString("Your mail could not be delivered, and we will not try again. It was for:\n\n")
	}
	b.WriteString("    " + e.Recipient + "\n")
	if e.Diagnostic != "" {
		who := "The answer"
		if e.RemoteMTA != "" {
			who += " of " + report.HostOf(e.RemoteMTA)
		}
		b.WriteString("\n" + who + " was:\n\n" + indented(e.Diagnostic))
	}
	return b.String()
}

// indented writes text in lines of at most 76 columns where it has spaces.
func indented(text string) string {
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case column == 0:
			b.WriteString("    ")
			column = 4
		case column+1+len(word) > 76:
			b.WriteString("\n    ")
			column = 4
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String() + "\n"
}
