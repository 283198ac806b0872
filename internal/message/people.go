package message

import (
	"strings"
	"unicode"
)

// People reads an address list that somebody wrote for an envelope: the value
// of To, Cc or Bcc, or an argument of sendmail (RFC 5322 section 3.4). Groups
// are taken apart, comments and names left out of the address. A name without
// a domain, as people at one machine write to each other, gets domain. What is
// no address is in wrong, as it was written: nothing is passed over in silence.
func People(value, domain string) (all []Mailbox, wrong []string) {
	for _, it := range lexAddresses(value) {
		text := it.text()
		m, ok := it.person(domain)
		switch {
		case strings.TrimSpace(text) == "":
		case it.end == ':' && !strings.Contains(text, "@") && utterable(text): // the name of a group
		case ok && it.end != ':':
			all = append(all, m)
		case !it.comment():
			wrong = append(wrong, strings.TrimSpace(text))
		}
	}
	return all, wrong
}

// text is the item as it came.
func (it item) text() string {
	var b strings.Builder
	for _, p := range it.pieces {
		b.WriteString(p.text)
	}
	return b.String()
}

// comment reports whether the item is nothing but comments.
func (it item) comment() bool {
	for _, p := range it.pieces {
		if p.kind != commentPiece && strings.TrimSpace(p.text) != "" {
			return false
		}
	}
	return true
}

// person reads an item that may have no domain.
func (it item) person(domain string) (Mailbox, bool) {
	angles := 0
	var words strings.Builder
	for i, p := range it.pieces {
		switch p.kind {
		case anglePiece:
			if angles++; angles > 1 || !strings.HasSuffix(p.text, ">") {
				return Mailbox{}, false // a comma is missing, or a bracket
			}
			if angleAddress(p.text) == "" || i+1 < len(it.pieces) && it.after(i) {
				return Mailbox{}, false
			}
		case wordsPiece:
			words.WriteString(p.text)
		}
	}
	if m := it.mailbox(); m.Address != "" {
		return m, utterable(m.Address)
	}
	name := bareAddress(words.String())
	if angles > 0 {
		name = it.bracketed()
	}
	if !localName(name) {
		return Mailbox{}, false
	}
	m := it.named(name + "@" + domain)
	return m, m.Address != "" && utterable(m.Address)
}

// after reports whether words follow the piece at i.
func (it item) after(i int) bool {
	for _, p := range it.pieces[i+1:] {
		if p.kind == wordsPiece && strings.TrimSpace(p.text) != "" {
			return true
		}
	}
	return false
}

// bracketed gives what stands in the brackets.
func (it item) bracketed() string {
	for _, p := range it.pieces {
		if p.kind == anglePiece {
			return angleAddress(p.text)
		}
	}
	return ""
}

// named is the mailbox of the item with another address.
func (it item) named(address string) Mailbox {
	var now item
	inBrackets := it.bracketed() != ""
	for _, p := range it.pieces {
		if p.kind == anglePiece || p.kind == wordsPiece && !inBrackets {
			continue // the address as it was
		}
		now.pieces = append(now.pieces, p)
	}
	now.pieces = append(now.pieces, piece{anglePiece, "<" + address + ">"})
	return now.mailbox()
}

// localName reports whether s can stand before an at sign.
func localName(s string) bool {
	local, _, ok := SplitAddress(s + "@x")
	return ok && local == s && s != "" && utterable(s)
}

// utterable reports whether an address has nothing that would be taken for
// something else between the brackets of MAIL and RCPT.
func utterable(address string) bool {
	return strings.IndexFunc(address, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }) < 0
}
