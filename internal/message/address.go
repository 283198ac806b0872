package message

import (
	"mime"
	"strings"
	"unicode"
)

// A Mailbox is one mailbox of an address field (RFC 5322 section 3.4).
type Mailbox struct {
	Name    string // for people: encoded words decoded, quotes undone; "" where there is none
	Address string // "ann@example.net", as it came; a quoted local part keeps its quotes
}

// Mailboxes reads an address field's value (From, To, Cc and the like) as far
// as it can be read: groups are taken apart, comments and routes left out,
// raw 8-bit names understood. What has no address is left out.
func Mailboxes(value string) []Mailbox {
	var all []Mailbox
	for _, item := range lexAddresses(value) {
		if m := item.mailbox(); m.Address != "" {
			all = append(all, m)
		}
	}
	return all
}

// FirstMailbox is the first of Mailboxes; ok is false where there is none.
func FirstMailbox(value string) (m Mailbox, ok bool) {
	for _, item := range lexAddresses(value) {
		if m := item.mailbox(); m.Address != "" {
			return m, true
		}
	}
	return Mailbox{}, false
}

// SplitAddress cuts an address at the at sign that divides it, which is never
// inside of quotes. ok is false when a part is missing, or has octets that no
// address has: controls, or white space outside of quotes.
func SplitAddress(address string) (local, domain string, ok bool) {
	at := strings.LastIndexByte(address, '@')
	if at <= 0 || at == len(address)-1 {
		return "", "", false
	}
	local, domain = address[:at], address[at+1:]
	if !isDomain(domain) || strings.IndexFunc(address, unicode.IsControl) >= 0 {
		return "", "", false
	}
	if strings.HasPrefix(local, `"`) {
		return local, domain, quotedEnd(local) == len(local)
	}
	return local, domain, !strings.ContainsAny(local, " \"<>(),;:\\@")
}

// isDomain reports whether s has none of the octets that divide addresses, or
// is an address literal (RFC 5321 section 4.1.3), which may have colons. One with
// angle brackets inside, which that grammar allows, is none here: nobody could
// tell where the address ends.
func isDomain(s string) bool {
	inside, literal := strings.CutPrefix(s, "[")
	if !literal {
		return !strings.ContainsAny(s, " \"<>(),;:\\@")
	}
	inside, closed := strings.CutSuffix(inside, "]")
	return closed && inside != "" && !strings.ContainsAny(inside, " <>[]\\")
}

// quotedEnd gives the position after the quoted string that s begins with
// (RFC 5322 section 3.2.4), or that of the end when it does not end: len+1.
func quotedEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s) + 1
}

// pieceKind is what a piece of an address field is.
type pieceKind int

const (
	wordsPiece   pieceKind = iota // a phrase, or an address without brackets
	commentPiece                  // "(…)"
	anglePiece                    // "<…>"
)

// A piece is a part of one item of an address field, as it came.
type piece struct {
	kind pieceKind
	text string
}

// An item is what stands between two commas of an address field. end is what
// ended it: ',', ';', ':' after the name of a group, or 0.
type item struct {
	pieces []piece
	end    byte
}

// lexAddresses takes an unfolded value apart. Put together again, pieces and
// ends give the value, and nothing in it is an error.
func lexAddresses(value string) []item {
	var items []item
	var now item
	words := 0 // where the words piece that is being read begins
	flush := func(end int) {
		if strings.TrimSpace(value[words:end]) != "" {
			now.pieces = append(now.pieces, piece{wordsPiece, value[words:end]})
		}
	}
	for i := 0; i < len(value); {
		next := i + 1
		switch c := value[i]; c {
		case '"':
			next = min(i+quotedEnd(value[i:]), len(value))
		case '\\':
			next = min(i+2, len(value))
		case '(', '<':
			flush(i)
			kind, length := anglePiece, angleEnd
			if c == '(' {
				kind, length = commentPiece, commentEnd
			}
			next = i + length(value[i:])
			now.pieces = append(now.pieces, piece{kind, value[i:next]})
			words = next
		case '[': // a domain literal may have colons
			if n := strings.IndexByte(value[i:min(i+256, len(value))], ']'); n > 0 && i > 0 && value[i-1] == '@' {
				next = i + n + 1
			}
		case ',', ';', ':':
			flush(i)
			now.end = c
			items = append(items, now)
			now, words = item{}, next
		}
		i = next
	}
	flush(len(value))
	return append(items, now)
}

// angleEnd gives the length of the "<…>" that s begins with.
func angleEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			i += quotedEnd(s[i:]) - 1
		case '>':
			return i + 1
		}
	}
	return len(s)
}

// commentEnd gives the length of the comment that s begins with; comments
// nest (RFC 5322 section 3.2.2).
func commentEnd(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			depth--
			if depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// mailbox reads an item. A group's name, or an item without an address, gives
// the zero Mailbox.
func (it item) mailbox() (m Mailbox) {
	if it.end == ':' {
		return Mailbox{}
	}
	var words, comment []string
	for _, p := range it.pieces {
		switch p.kind {
		case wordsPiece:
			words = append(words, p.text)
		case commentPiece:
			comment = append(comment, strings.TrimSuffix(strings.TrimPrefix(p.text, "("), ")"))
		case anglePiece:
			m.Address = angleAddress(p.text)
		}
	}
	if m.Address == "" {
		m.Address, words = bareAddress(strings.Join(words, "")), comment
	}
	if _, _, ok := SplitAddress(m.Address); !ok {
		return Mailbox{}
	}
	if len(words) == 0 {
		words = comment // "ann@example.net (Ann)" is how old software says it
	}
	m.Name = phraseText(strings.Join(words, " "))
	return m
}

// angleAddress gives what is between brackets, without an old source route
// (RFC 5322 section 4.4).
func angleAddress(s string) string {
	s = strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(s, "<"), ">"))
	if strings.HasPrefix(s, "@") {
		if i := strings.IndexByte(s, ':'); i >= 0 {
			s = s[i+1:]
		}
	}
	return bareAddress(s)
}

// bareAddress removes the white space that old grammar allows around dots and
// the at sign (RFC 5322 section 4.4), but none between words.
func bareAddress(s string) string {
	s = strings.TrimSpace(s)
	if !strings.ContainsAny(s, " \t") || strings.HasPrefix(s, `"`) {
		return s
	}
	for _, c := range []string{".", "@"} {
		parts := strings.Split(s, c)
		for i := range parts {
			parts[i] = strings.Trim(parts[i], " \t")
		}
		s = strings.Join(parts, c)
	}
	return s
}

// phraseText gives a phrase as people read it.
func phraseText(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
		case '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return decodeWords(strings.Join(strings.Fields(toUTF8([]byte(b.String()), "")), " "))
}

// maxDecoded is the longest text in which encoded words are looked for: the
// library takes quadratic time where none of them ends.
const maxDecoded = 16 << 10

// decodeWords decodes encoded words (RFC 2047); text with broken ones stays
// as it is.
func decodeWords(s string) string {
	if len(s) > maxDecoded || !strings.Contains(s, "=?") {
		return s
	}
	d := mime.WordDecoder{CharsetReader: charsetReader}
	out, err := d.DecodeHeader(s)
	if err != nil {
		return s
	}
	return out
}
