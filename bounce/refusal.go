package bounce

import "strings"

// This file understands who refuses mail in the form of something else: lists
// that answer, and readers' programs that send a disposition notification.

// refusal recognises what list software answers to those who may not write, and
// what a delivery agent says in a notification of a disposition: Dovecot of a
// full mailbox, Sieve of "reject" (RFC 5429 section 2.2).
func (rd *Reader) refusal(l *letter) (Report, bool) {
	if l.forwarded() || len(l.status) > 0 {
		return Report{}, false
	}
	const rule = "text-refusal"
	var s signs
	if l.disposed == "" && l.listSoftware() == "" {
		return Report{}, false
	}
	s.add(proof, rule, refusals.find(l.subject))
	s.add(proof, rule, refusals.find(l.opening()))
	if !s.enough() {
		return Report{}, false
	}
	r := Recipient{Action: "failed"}
	if l.disposed != "" {
		r.Address = typedAddress(l.disposition().Get("Final-Recipient"))
	}
	if to := l.addressee(nil); len(to) == 1 && (r.Address == "" || !isAddress(r.Address)) {
		r.Address = to[0].address
	}
	rd.judge(l, &r, l.notice)
	switch unknown := r.Verdict.Reason == Unknown; {
	case l.disposed != "" && (unknown || r.Verdict.Class == Sender): // the recipient's own rule, whatever its words
		r.Verdict = s.verdict(Filtered)
	case unknown:
		r.Verdict = s.verdict(Rejected)
	}
	r.Diagnostic = replyIn(clip(l.notice, maxText))
	return Report{Kind: Bounce, Format: "refusal", Recipients: []Recipient{r}}, true
}

// listSoftware gives the sign that the software of a mailing list itself wrote
// this, or "".
func (l *letter) listSoftware() string {
	for _, name := range []string{"X-MLServer", "X-List-Administrivia", "X-Majordomo-Version", "X-Ecartis-Version"} {
		if l.Fields.Has(name) {
			return name
		}
	}
	local := localOf(l.from)
	for _, program := range []string{"sympa", "listserv", "majordomo", "mailman", "listar", "ecartis", "lyris", "ezmlm"} {
		if strings.HasPrefix(local, program) {
			return local
		}
	}
	for _, role := range []string{"-owner", "-request", "-admin", "-bounces", "-help"} {
		if strings.HasSuffix(local, role) {
			return local
		}
	}
	return ""
}
