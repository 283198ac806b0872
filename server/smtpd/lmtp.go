package smtpd

import (
	"fmt"

	"homing/internal/reply"
)

// replies gives what is said after a message for the answers of the Session:
// one reply over SMTP, and over LMTP one for each recipient that was accepted,
// in order (RFC 2033 section 4.2).
func (e *edge) replies(answers []error) []reply.Reply {
	n := 1
	if e.o.Kind == LMTP {
		n = e.accepted
	}
	if n > 1 && len(answers) > 1 && len(answers) != n {
		e.o.Metrics.fault(e.o.Kind)
		e.o.Log.Error("session answered for other recipients than it accepted", "listener", e.o.Kind,
			"peer", e.who.Remote, "err", fmt.Sprintf("%d answers for %d recipients", len(answers), n))
	}
	list := make([]reply.Reply, n)
	for i := range list {
		switch {
		case len(answers) == 0:
			list[i] = reply.Of(nil)
		case len(answers) == 1:
			list[i] = e.verdict(answers[0])
		case i < len(answers):
			list[i] = e.verdict(answers[i])
		default:
			list[i] = errFault.Reply // the log has it
			list[i].Code = 451
		}
	}
	return list
}

// allFail reports whether no recipient gets the message.
func allFail(answers []error) bool {
	for _, err := range answers {
		if reply.Of(err).Positive() {
			return false
		}
	}
	return len(answers) > 0
}

// outcome is the word by which a message is counted.
func outcome(replies []reply.Reply) string {
	worst := "accepted"
	for _, r := range replies {
		switch {
		case r.Positive():
			return "accepted"
		case r.Temporary():
			worst = "deferred"
		case worst == "accepted":
			worst = "refused"
		}
	}
	return worst
}
