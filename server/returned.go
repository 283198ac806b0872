package server

import (
	"io"
	"iter"
	"strings"

	"homing/event"
	"homing/internal/message"
	"homing/verp"
)

// Limits of a search for return addresses in what came back.
const (
	searchOctets = 64 << 10 // of each part
	searchMost   = 20       // addresses that are looked at
)

// tagged gives what may be a return address of ours in a text, in its order:
// what has the form of a tag between "+" or "-" and "@", with what an address
// may have around. Only the policy can say whether it is one.
func tagged(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for from := 0; ; {
			at := strings.IndexByte(text[from:], '@')
			if at < 0 {
				return
			}
			at += from
			if begin := tagBegins(text[from:at]); begin >= 0 {
				rest := text[at+1:]
				end := len(rest) - len(strings.TrimLeftFunc(rest, inDomain))
				domain := strings.TrimRight(rest[:min(end, maxDomain)], ".-") // of a sentence
				if domain != "" && !yield(text[from+begin:at+1]+domain) {
					return
				}
			}
			from = at + 1
		}
	}
}

// maxDomain is the most octets that a domain has (RFC 1035 section 2.3.4).
const maxDomain = 255

// tagBegins says where a local part with a tag begins that a text ends with; -1:
// it ends with none.
func tagBegins(text string) int {
	mark := len(text) - verp.TagLength - 1
	if mark < 1 || text[mark] != '+' && text[mark] != '-' {
		return -1
	}
	for _, c := range []byte(text[mark+1:]) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '2' || c > '7') {
			return -1
		}
	}
	begin := mark
	for begin > 0 && len(text)-begin < verp.MaxLocalPart && (inDomain(rune(text[begin-1])) || text[begin-1] == '_') {
		begin--
	}
	if begin == mark {
		return -1
	}
	return begin
}

func inDomain(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-'
}

// A mention is what a report says of us with a genuine tag, wherever it says it.
type mention struct {
	delivery event.DeliveryID
	trial    uint64 // of a trial of ours, and of no delivery; 0: none
}

// returned finds the delivery that a report is about, which came to an address
// without a tag: by a genuine return address in what it returns. That is as good
// as mail to that address, since whoever knows the one could write to the other.
// Reports that mention several deliveries are about none.
func (in *Inbound) returned(l *letter) (m mention, ok bool) {
	mail, err := message.Walker{Keep: searchOctets}.Walk(io.NewSectionReader(l.raw, 0, l.raw.Size()))
	if err != nil {
		return mention{}, false
	}
	p := in.policy.Load()
	left := searchMost
	for i := range mail.Parts {
		for address := range tagged(mail.Parts[i].Text()) {
			if left--; left < 0 {
				return m, ok
			}
			d, err := p.locate(address)
			if err != nil || d.path == nil || d.wish {
				continue
			}
			found := mention{delivery: event.DeliveryID(d.tag.Delivery)}
			if d.trial {
				found = mention{trial: d.tag.Delivery}
			}
			if ok && found != m {
				return mention{}, false
			}
			m, ok = found, true
		}
	}
	return m, ok
}
