package smtpd

import (
	"homing/internal/reply"
)

// An Envelope is what MAIL and RCPT say, of mail that comes by another road
// than a dialogue.
type Envelope struct {
	From    string // "": the null reverse-path
	To      []string
	Options MailOptions
	Notify  string // as in RcptOptions, for each recipient
}

// Answers to envelopes that could not have been said.
var (
	errNobody     = reply.Errorf(554, reply.Enhanced{5, 5, 1}, "there are no recipients")
	errParameters = reply.Errorf(501, reply.Enhanced{5, 5, 4}, "a parameter for reports (RFC 3461) is malformed")
)

// Check gives the envelope as a dialogue would have passed it on, or the reply
// that it would have had.
func (e Envelope) Check() (Envelope, error) {
	if len(e.To) == 0 {
		return e, errNobody
	}
	if (e.Notify != "" && !validNotify(e.Notify)) || (e.Options.Return != "" && e.Options.Return != "FULL" && e.Options.Return != "HDRS") ||
		len(e.Options.EnvelopeID) > maxEnvelopeID || !printable(e.Options.EnvelopeID) {
		return e, errParameters
	}
	var err error
	if e.From != "" {
		if e.From, err = parseMailbox(e.From, e.Options.UTF8); err != nil {
			return e, reply.Errorf(553, reply.Enhanced{5, 1, 7}, "the envelope sender %q is no address", e.From)
		}
	}
	to := make([]string, 0, len(e.To))
	for _, a := range e.To {
		address, err := parseMailbox(a, e.Options.UTF8)
		if err != nil {
			return e, reply.Errorf(553, reply.Enhanced{5, 1, 3}, "the recipient %q is no address", a)
		}
		to = append(to, address)
	}
	e.To = to
	return e, nil
}

// printable reports whether s is printable ASCII.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
