package bounce

import (
	"regexp"
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
	rankTo     = 2 // where the header of the message is repeated
	rankSaid   = 3 // in a dialogue with the next host
	rankPhrase = 4 // behind words such as "recipient"; before words on its line
	rankAlone  = 5 // at the start of a line, with nothing or a reason behind it
)

// maxHits bounds the recipients of a report for people.
const maxHits = 200

// hits gives the addresses of the notice.
func (l *letter) hits() []hit {
	if !l.known.scanned {
		l.known.hits, l.known.scanned = append(scan(l.notice), l.users(false)...), true
		l.cut = l.cut || len(l.known.hits) >= maxHits
	}
	return l.known.hits
}

// recipients gives the recipients that a report for people names: those of
// X-Failed-Recipients, else all that look as much like recipients as the best.
func (l *letter) recipients() []hit {
	if !l.known.chosen {
		l.known.recipients, l.known.chosen = l.choose(), true
	}
	return l.known.recipients
}

// choose finds the recipients.
func (l *letter) choose() []hit {
	if named := failedRecipients(l); len(named) > 0 {
		out := make([]hit, 0, len(named))
		for _, a := range named {
			out = append(out, hit{address: a, rank: rankAlone, start: -1})
		}
		return out
	}
	if in := l.inSubject(); in != "" {
		return unplaced(in)
	}
	best := 0
	for _, h := range l.hits() {
		if !l.own(h) {
			best = max(best, h.rank)
		}
	}
	if best <= rankTo { // others know better
		if tagged := l.tagged(); tagged != "" {
			return unplaced(tagged)
		}
		if to := l.sentTo(); best > 0 && len(to) == 1 && l.mentions(to[0]) {
			return unplaced(to[0])
		}
	}
	out := l.ranked(best)
	if len(out) == 0 {
		out = l.users(true)
		l.known.hits = append(l.known.hits, out...)
	}
	if len(out) == 0 {
		out = l.addressee(l.hits())
	}
	return out
}

// ranked gives the hits of a rank, each address once. Of those that stand
// anywhere, only the first is likely to be a recipient.
func (l *letter) ranked(rank int) []hit {
	var out []hit
	for _, h := range l.hits() {
		if h.rank == rank && !l.own(h) && !slices.ContainsFunc(out, func(o hit) bool { return strings.EqualFold(o.address, h.address) }) {
			out = append(out, h)
		}
	}
	if rank == rankOther && len(out) > 1 {
		out = out[:1]
	}
	return out
}

// unplaced is a recipient that is known from elsewhere than the notice.
func unplaced(address string) []hit { return []hit{{address: address, rank: rankOther, start: -1}} }

// tagged gives the address that is written into the one which the report was
// sent to, as mailing list software does: "list+ann=example.com@example.org".
func (l *letter) tagged() string {
	for _, to := range l.to {
		if m := verpTag.FindStringSubmatch(to); m != nil {
			return m[1] + "@" + m[2]
		}
	}
	return ""
}

var verpTag = regexp.MustCompile(`[+-]([\w.+-]{1,64})=([a-z0-9-]+(?:\.[a-z0-9-]+)+)@`)

// mentions reports whether the notice names an address, with its domain or
// without any.
func (l *letter) mentions(address string) bool {
	text, local := strings.ToLower(l.notice), localOf(address)
	if strings.Contains(text, strings.ToLower(address)) {
		return true
	}
	for {
		i := strings.Index(text, local)
		if i < 0 {
			return false
		}
		before, after := text[:i], text[i+len(local):]
		if (before == "" || !localByte(before[len(before)-1])) && (after == "" || after[0] != '@' && !localByte(after[0])) {
			return true
		}
		text = after
	}
}

// inSubject gives the only address in a subject that tells of a failure, or "".
// Behind what tells of it and a colon stands the subject of the message that
// came back, which may have any.
func (l *letter) inSubject() string {
	subject := l.Fields.Text("Subject")
	in := allAddresses(subject, 2)
	if len(in) != 1 || !strings.Contains(in[0][strings.LastIndexByte(in[0], '@'):], ".") || !l.failing || l.own(hit{address: in[0]}) {
		return ""
	}
	if head, rest, ok := strings.Cut(subject, ": "); ok && failures.in(Fold(head)) && !strings.HasPrefix(strings.Trim(rest, " <"), in[0]) {
		return ""
	}
	return in[0]
}

// sentTo gives whom the message was for that came back, at most two of them: by
// its header, or by what the notice repeats of that.
func (l *letter) sentTo() []string {
	to := allAddresses(l.returned.Get("To"), 2)
	if len(to) == 0 {
		to = allAddresses(repeatedTo(l.whole), 2)
	}
	return slices.DeleteFunc(to, func(a string) bool { return l.own(hit{address: a}) })
}

// addressee falls back to the address in the subject, then to the sender's own
// where a report names no other, then to the only one that the returned message
// was for.
func (l *letter) addressee(hits []hit) []hit {
	if in := allAddresses(l.Fields.Text("Subject"), 2); len(in) == 1 {
		if h := unplaced(in[0]); !l.own(h[0]) {
			return h
		}
	}
	for _, h := range hits {
		if h.rank >= rankPhrase {
			return []hit{h}
		}
	}
	if to := l.sentTo(); len(to) == 1 {
		return unplaced(to[0])
	}
	return nil
}

// repeatedTo gives the line of a text that repeats the header's To field, in
// any language.
func repeatedTo(text string) string {
	for line := range strings.Lines(clip(text, maxText)) {
		if label, rest := labelled(strings.TrimLeft(line, "> \t")); slices.Contains(toLabels, label) && strings.Contains(rest, "@") {
			return rest
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
	if a == l.from || slices.Contains(l.to, a) || slices.Contains(l.writers, a) {
		return true
	}
	switch local := localOf(a); {
	case local == "mailer-daemon", local == "postmaster", local == "abuse":
		return true
	case h.rank < rankAlone: // where one may ask, unless it stands where recipients do
		return slices.Contains(helpers, local)
	}
	return false
}

// scan ranks the addresses of a text.
func scan(text string) []hit {
	var hits []hit
	above := "" // the line without an address before this one
	most := rankAlone
	closed := false // somebody has said goodbye: what follows is his own address
	within := false // this line goes on what the one above it says
	end := 0
	for line := range strings.Lines(text) {
		start := end
		end += len(line)
		trimmed := strings.TrimSpace(line)
		named := strings.IndexByte(line, '@') >= 0
		switch {
		case len(line) > maxLine || len(hits) >= maxHits:
		case named:
			rank := most
			if closed || within && (slices.Contains(helpers, localOf(firstAddress(line))) || advice.in(Fold(above))) {
				rank = min(rank, rankOther)
			}
			hits = scanLine(hits, line, start, rank)
		case trimmed != "":
			above, most = line, rankBelow(line)
			closed = len(trimmed) < maxGoodbye && !strings.HasSuffix(trimmed, ":") && (closed || trimmed == "--" || goodbyes.begins(Fold(trimmed)) != "")
		}
		within = trimmed != "" && !named && !strings.HasSuffix(trimmed, ":")
	}
	return hits
}

// maxGoodbye is how long a line may be that says goodbye, or follows one, in
// octets: longer ones begin something new.
const maxGoodbye = 70

// maxLine is how long a line may be that is looked at for recipients.
const maxLine = 2000

// scanLine adds the addresses of a line that starts at start. None ranks over
// most.
func scanLine(hits []hit, line string, start, most int) []hit {
	for at := strings.IndexByte(line, '@'); at >= 0 && len(hits) < maxHits; {
		a, s, e := addressAt(line, at)
		if a != "" && !inLink(line[:s]) {
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

// inLink reports whether a link goes on at the end of lead.
func inLink(lead string) bool {
	return strings.Contains(lead[strings.LastIndexAny(lead, " \t<\"")+1:], "://")
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
	if movedTo.in(folded) && strings.HasSuffix(strings.TrimSpace(line), ":") { // where somebody is instead
		return 0
	}
	if strings.HasSuffix(strings.TrimSpace(line), ":") && received.in(folded) && !denials.in(folded) {
		return rankOther
	}
	return rankAlone
}

// rankIn ranks the address at s to e of a line.
func rankIn(line string, s, e int) int {
	lead, rest := line[:s], line[e:]
	rest = strings.TrimLeft(rest, ">\"')]")
	if bare := strings.Trim(lead, " \t<\"'*-[(•>|"); bare == "" && !quoted(lead) {
		switch rest = strings.TrimSpace(rest); {
		case rest == "", strings.IndexByte(":;([,", rest[0]) >= 0, strings.HasPrefix(rest, "..."), strings.HasPrefix(rest, "on "), rest == ".":
			return rankAlone
		}
		return rankPhrase
	}
	if label, _ := labelled(line); label != "" {
		switch {
		case slices.Contains(toLabels, label):
			return rankTo
		case slices.Contains(headerNames, label):
			return 0
		case slices.Contains(recipientLabels, label):
			return rankAlone
		}
	}
	return rankBehind(Fold(lead), strings.TrimSpace(strings.TrimPrefix(rest, ">")))
}

// rankBehind ranks an address by the folded words before it and what follows.
func rankBehind(lead, rest string) int {
	switch {
	case strings.HasSuffix(lead, "rcpt to:<"), strings.HasSuffix(lead, "rcpt to: <"), strings.HasPrefix(rest, "..."):
		return rankSaid
	case strings.HasSuffix(lead, "<mailto:") && rest == "" && strings.Count(lead, " ") < 5: // Exchange: Miller, Ann<mailto:ann@example.com>
		return rankPhrase
	case advice.in(lead):
		return 0
	}
	lead = strings.TrimRight(lead, " <\"':=-([.")
	for _, p := range phrases {
		if strings.HasSuffix(lead, p) {
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

// labelled cuts a line behind the label that it begins with: what stands before
// a colon or, in the row of a table, before the next cell. The label is folded;
// it is "" where the line has none.
func labelled(line string) (label, rest string) {
	i := strings.IndexAny(line, ":\t")
	if i <= 0 || i > maxLabel {
		return "", line
	}
	return strings.Trim(Fold(line[:i]), "-*#>| "), line[i+1:]
}
