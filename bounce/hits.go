package bounce

import (
	"slices"
	"strings"
)

// A hit is an address in a report for people.
type hit struct {
	address    string
	start, end int // of its line
	after      int // where the text behind the address begins
	rank       int
}

// How much an address looks like that of a recipient.
const (
	rankOther  = 1 // anywhere
	rankSaid   = 2 // in a dialogue with the next host
	rankPhrase = 3 // behind words such as "recipient:"; before words on its line
	rankAlone  = 4 // at the start of a line, with nothing or a reason behind it
)

// maxHits bounds the recipients of a report for people.
const maxHits = 200

// hits gives the addresses of the notice.
func (l *letter) hits() []hit {
	if !l.scanned {
		l.found, l.scanned = scan(l.notice), true
		l.cut = l.cut || len(l.found) == maxHits
	}
	return l.found
}

// recipients gives the recipients that a report for people names: those of
// X-Failed-Recipients, else all that look as much like recipients as the best.
func (l *letter) recipients() []hit {
	hits := l.hits()
	if named := failedRecipients(l); len(named) > 0 {
		out := make([]hit, 0, len(named))
		for _, a := range named {
			out = append(out, hit{address: a, rank: rankAlone, start: -1})
		}
		return out
	}
	best := 0
	for _, h := range hits {
		if !l.own(h) {
			best = max(best, h.rank)
		}
	}
	var out []hit
	for _, h := range hits {
		if h.rank == best && !l.own(h) && !slices.ContainsFunc(out, func(o hit) bool { return strings.EqualFold(o.address, h.address) }) {
			out = append(out, h)
		}
	}
	if best == rankOther && len(out) > 1 {
		out = out[:1]
	}
	if len(out) == 0 {
		out = l.users()
	}
	if len(out) == 0 {
		out = l.addressee(hits)
	}
	return out
}

// addressee falls back to the address in the subject, then to the sender's own
// where a report names no other, then to the only one that the returned message
// was for.
func (l *letter) addressee(hits []hit) []hit {
	if in := allAddresses(l.Fields.Text("Subject"), 2); len(in) == 1 {
		if h := (hit{address: in[0], rank: rankOther, start: -1}); !l.own(h) {
			return []hit{h}
		}
	}
	for _, h := range hits {
		if h.rank >= rankPhrase {
			return []hit{h}
		}
	}
	to := allAddresses(l.returned.Get("To"), 2)
	if len(to) == 0 {
		to = allAddresses(repeatedTo(l.notice), 2)
	}
	if len(to) == 1 {
		return []hit{{address: to[0], rank: rankOther, start: -1}}
	}
	return nil
}

// repeatedTo gives the line of a text that repeats the header's To field.
func repeatedTo(text string) string {
	for line := range strings.Lines(clip(text, maxText)) {
		if line = strings.TrimSpace(line); hasPrefixFold(line, "to:") {
			return line
		}
	}
	return ""
}

// failedRecipients reads X-Failed-Recipients.
func failedRecipients(l *letter) []string {
	var all []string
	for _, v := range l.Fields.Values("X-Failed-Recipients") {
		for a := range strings.SplitSeq(v, ",") {
			if a = strings.Trim(a, " \t<>"); a != "" && !slices.Contains(all, a) && len(all) < maxHits {
				all = append(all, a)
			}
		}
	}
	return all
}

// own reports whether an address is of whoever reports or is reported to.
func (l *letter) own(h hit) bool {
	a := strings.ToLower(h.address)
	if a == l.from || slices.Contains(l.to, a) {
		return true
	}
	switch localOf(a) {
	case "mailer-daemon", "postmaster", "abuse":
		return true
	case "support", "helpdesk": // where one may ask, unless it stands where recipients do
		return h.rank < rankPhrase
	}
	return false
}

// scan ranks the addresses of a text.
func scan(text string) []hit {
	var hits []hit
	above := "" // the line without an address before this one
	end := 0
	for line := range strings.Lines(text) {
		start := end
		end += len(line)
		switch {
		case len(line) > maxLine || len(hits) >= maxHits:
		case strings.IndexByte(line, '@') >= 0:
			hits = scanLine(hits, line, start, rankBelow(above))
		case strings.TrimSpace(line) != "":
			above = line
		}
	}
	return hits
}

// maxLine is how long a line may be that is looked at for recipients.
const maxLine = 2000

// scanLine adds the addresses of a line that starts at start. None ranks over
// most.
func scanLine(hits []hit, line string, start, most int) []hit {
	for at := strings.IndexByte(line, '@'); at >= 0 && len(hits) < maxHits; {
		a, s, e := addressAt(line, at)
		if a != "" {
			if rank := min(rankIn(line, s, e), most); rank > 0 {
				hits = append(hits, hit{a, start, start + len(line), start + e, rank})
			}
		}
		from := max(e, at+1)
		next := strings.IndexByte(line[from:], '@')
		if next < 0 {
			break
		}
		at = from + next
	}
	return hits
}

// rankBelow gives the most that an address may rank below a line without one:
// whom to ask is no recipient, and who received the message is one that counts
// if there is no other.
func rankBelow(line string) int {
	folded := strings.TrimRight(Fold(line), " :.\r\n")
	for _, aside := range asides {
		if rest, ok := strings.CutSuffix(folded, aside); ok && (rest == "" || !alpha(rest[len(rest)-1])) {
			return 0
		}
	}
	if strings.HasSuffix(strings.TrimSpace(line), ":") && received.in(folded) && !denials.in(folded) {
		return rankOther
	}
	return rankAlone
}

// headerNames begin lines that repeat the header of the message.
var headerNames = []string{"to", "cc", "from", "subject", "date", "sent", "message-id", "reply-to", "return-path", "received", "sender", "mail from", "message id", "in-reply-to", "references", "x-mailer"}

// phrases stand before a recipient, folded, at the end of what precedes it.
var phrases = []string{"recipient", "recipients", "recipient address", "recipient(s)", "addressed to", "deliver to", "delivered to", "deliver mail to", "deliver message to", "deliver your message to", "delivering your mail to", "message to", "mail to", "email to", "delivery to", "delivery failed", "undeliverable to", "user", "userid", "attempts", "mailbox", "account", "delivering your message to", "be delivered to", "email address", "email address :", "failed to deliver to", "size", "is full", "permanent errors", "size limit for", "full", "sent to", "find user", "quota violation for", "contact", "rcpt to", "final recipient", "the address", "unknown", "address", "addresses", "following"}

// rankIn ranks the address at s to e of a line.
func rankIn(line string, s, e int) int {
	lead, rest := line[:s], line[e:]
	bare := strings.Trim(lead, " \t<\"'*-[(•>|")
	rest = strings.TrimLeft(rest, ">\"')]")
	if bare == "" && !quoted(lead) {
		switch rest = strings.TrimSpace(rest); {
		case rest == "", strings.IndexByte(":;([,", rest[0]) >= 0, strings.HasPrefix(rest, "..."), strings.HasPrefix(rest, "on "), rest == ".":
			return rankAlone
		}
		return rankPhrase
	}
	folded := Fold(lead)
	for _, h := range headerNames {
		if strings.HasPrefix(folded, h) && strings.HasPrefix(strings.TrimSpace(folded[len(h):]), ":") {
			return 0
		}
	}
	switch {
	case strings.HasSuffix(folded, "rcpt to:<"), strings.HasSuffix(folded, "rcpt to: <"), strings.HasPrefix(strings.TrimSpace(strings.TrimPrefix(rest,
		">")), "..."):
		return rankSaid
	case strings.Contains(folded, "please") || strings.Contains(folded, "contact ") || strings.Contains(folded,
		"assistance") || strings.Contains(folded, "mailto:") || strings.Contains(folded, "envelope-from"):
		return 0
	case strings.Contains(folded, "message-id") || strings.Contains(folded, "message id"):
		return 0
	}
	folded = strings.TrimRight(folded, " <\"':=-([.")
	for _, p := range phrases {
		if strings.HasSuffix(folded, p) {
			return rankPhrase
		}
	}
	return rankOther
}

// quoted reports whether a line begins as a quotation does, rather than as what
// was said in a dialogue.
func quoted(lead string) bool {
	lead = strings.TrimSpace(lead)
	return strings.HasPrefix(lead, ">") && !strings.HasPrefix(lead, ">>")
}
