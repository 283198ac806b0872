package message

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// EightBit reports whether a field has octets outside of ASCII: as it is, the
// message needs SMTPUTF8 (RFC 6531).
func (h *Header) EightBit() bool {
	for _, f := range h.fields {
		if eightBit(f.raw) {
			return true
		}
	}
	return false
}

// LongLine reports whether a line of a field is longer than MaxLine.
func (h *Header) LongLine() bool {
	for _, f := range h.fields {
		if longLine(f.raw) {
			return true
		}
	}
	return false
}

// longLine looks at whole lines that end in CR LF.
func longLine(b []byte) bool {
	for len(b) > MaxLine {
		n := bytes.IndexByte(b, '\n')
		if n > MaxLine+1 || n < 0 {
			return true
		}
		b = b[n+1:]
	}
	return false
}

// Encode makes the fields ASCII with lines of at most MaxLine octets, and says
// whether it changed any. Text and display names become encoded words (RFC
// 2047), parameters of MIME fields extended ones (RFC 2231), domains A-labels.
// Octets are taken for UTF-8 when they are, else for Windows-1252. Fields that
// have nothing of the kind keep their octets. What no field can say in ASCII
// stays: a local part outside of ASCII, and a word of more than 998 octets
// where words may not be broken; EightBit and LongLine tell.
func (h *Header) Encode() (changed bool) {
	for i, f := range h.fields {
		if !eightBit(f.raw) && !longLine(f.raw) {
			continue
		}
		name, value := strings.ToLower(f.Name()), f.Value()
		if name == "content-type" && eightBit([]byte(ParseContentType(value).Param("boundary"))) {
			continue // the delimiters in the body would have to follow
		}
		value = encodeValue(name, strings.Trim(toUTF8([]byte(value), ""), " \t"))
		raw := foldField(string(f.raw[:f.colon]), value)
		if !bytes.Equal(raw, f.raw) {
			h.fields[i], changed = Field{raw, f.colon}, true
		}
	}
	return changed
}

// encodeValue writes the value of a field in ASCII, each kind of field in its
// own way.
func encodeValue(name, value string) string {
	switch name {
	case "from", "sender", "reply-to", "to", "cc", "bcc", "return-receipt-to", "disposition-notification-to",
		"mail-followup-to", "mail-reply-to", "errors-to", "resent-from", "resent-sender", "resent-to", "resent-cc",
		"resent-bcc", "resent-reply-to", "list-id", "return-path", "delivered-to", "x-civimail-bounce":
		return encodeAddresses(value)
	case "content-type", "content-disposition":
		return encodeParams(value)
	case "message-id", "resent-message-id", "in-reply-to", "references", "content-id", "received", "date",
		"dkim-signature", "mime-version", "content-transfer-encoding":
		return questionMarks(value)
	case "list-unsubscribe", "list-subscribe", "list-help", "list-post", "list-owner", "list-archive", "content-location":
		return encodeURIs(value)
	}
	return encodeText(value)
}

// questionMarks writes what has no other way to be ASCII.
func questionMarks(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 0x80 {
			return '?'
		}
		return r
	}, s)
}

// encodeURIs writes UTF-8 in URIs as RFC 3986 section 2.5 wants it.
func encodeURIs(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] < 0x80 {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String()
}

// maxWord is the longest word of a text that is left as one.
const maxWord = 900

// encodeText writes unstructured text: words that are ASCII stay readable,
// the others become encoded words, and encoded words that are there stay.
func encodeText(s string) string {
	var b strings.Builder
	encoded := false // the word before is an encoded one
	for s != "" {
		word := strings.TrimLeft(s, " \t")
		gap := spaces(s[:len(s)-len(word)])
		run, rest := textRun(word)
		if run == "" {
			run = firstWord(word)
			b.WriteString(gap + run)
			encoded, s = isEncodedWord(run), word[len(run):]
			continue
		}
		// White space between two encoded words is not shown (RFC 2047
		// section 6.2), so it goes inside.
		lead, tail := "", ""
		if encoded {
			lead, gap = gap, " "
		}
		next := strings.TrimLeft(rest, " \t")
		if isEncodedWord(firstWord(next)) {
			tail = spaces(rest[:len(rest)-len(next)])
		}
		// What looks like an encoded word, but touches another, is read as
		// one by many.
		b.WriteString(gap + encodedWords(lead+decodeWords(run)+tail))
		// The gap that went inside is still one space outside.
		encoded, s = false, rest
		if tail != "" {
			b.WriteString(" ")
			s = next
		}
	}
	return b.String()
}

// textRun gives the run of words, from one outside of ASCII to the last such
// before an encoded word, that s begins with; "" when s begins with another.
func textRun(s string) (run, rest string) {
	end := 0
	for at := 0; at < len(s); {
		gap := len(s[at:]) - len(strings.TrimLeft(s[at:], " \t"))
		word := firstWord(s[at+gap:])
		needs := len(word) > maxWord || eightBit([]byte(word)) || strings.Contains(word, "=?") && !isEncodedWord(word)
		if isEncodedWord(word) && !needs || end == 0 && !needs {
			break
		}
		at += gap + len(word)
		if needs {
			end = at
		}
		if word == "" {
			break
		}
	}
	return s[:end], s[end:]
}

func firstWord(s string) string {
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i]
	}
	return s
}

// isEncodedWord tells "=?charset?encoding?text?=" (RFC 2047 section 2).
func isEncodedWord(s string) bool {
	p := strings.SplitN(s, "?", 6)
	return len(p) == 5 && p[0] == "=" && p[1] != "" && (strings.EqualFold(p[2], "q") || strings.EqualFold(p[2], "b")) && p[4] == "="
}

// spaces keeps white space, but not more of it than fits a line.
func spaces(s string) string {
	if len(s) > 60 {
		return " "
	}
	return s
}

// encodedWords writes text as one or more encoded words of at most 75 octets
// (RFC 2047 section 2), with no octet that a phrase or a comment forbids.
// Text with more than two thirds outside of ASCII is shorter in base64, and
// nobody could read it either way.
func encodedWords(s string) string {
	foreign := 0
	for i := range len(s) {
		if s[i] >= 0x80 {
			foreign++
		}
	}
	const room = 75 - len("=?utf-8?q??=")
	var b strings.Builder
	if foreign*3 > len(s)*2 {
		for s != "" {
			n := cutRunes(s, room/4*3)
			b.WriteString(" =?utf-8?b?" + base64.StdEncoding.EncodeToString([]byte(s[:n])) + "?=")
			s = s[n:]
		}
		return b.String()[1:]
	}
	var word strings.Builder
	for _, r := range s {
		q := quoteRune(r)
		if word.Len()+len(q) > room {
			b.WriteString(" =?utf-8?q?" + word.String() + "?=")
			word.Reset()
		}
		word.WriteString(q)
	}
	b.WriteString(" =?utf-8?q?" + word.String() + "?=")
	return b.String()[1:]
}

// cutRunes gives the length of the longest beginning of s that has at most n
// octets and ends between characters.
func cutRunes(s string, n int) int {
	if len(s) <= n {
		return len(s)
	}
	for n > 1 && !utf8.RuneStart(s[n]) {
		n--
	}
	return n
}

// quoteRune is the Q encoding as it may stand in a phrase (RFC 2047 section
// 5 (3)).
func quoteRune(r rune) string {
	switch {
	case r == ' ':
		return "_"
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '!', r == '*', r == '+', r == '-', r == '/':
		return string(r)
	}
	var b strings.Builder
	for _, c := range []byte(string(r)) {
		fmt.Fprintf(&b, "=%02X", c)
	}
	return b.String()
}

// encodeAddresses writes the display names, comments and domains of an
// address field in ASCII. Pieces that are ASCII keep their octets.
func encodeAddresses(value string) string {
	var b strings.Builder
	for _, it := range lexAddresses(value) {
		bracketed := it.end == ':'
		for _, p := range it.pieces {
			bracketed = bracketed || p.kind == anglePiece
		}
		for _, p := range it.pieces {
			b.WriteString(encodePiece(p, bracketed))
		}
		if it.end != 0 {
			b.WriteByte(it.end)
			b.WriteByte(' ') // so that the list can be folded
		}
	}
	return squeeze(b.String())
}

// encodePiece writes one piece; bracketed says that the item has its address
// in brackets, or none, so that words are a name.
func encodePiece(p piece, bracketed bool) string {
	if !eightBit([]byte(p.text)) {
		return p.text
	}
	switch {
	case p.kind == commentPiece:
		inner := strings.TrimSuffix(strings.TrimPrefix(p.text, "("), ")")
		return "(" + encodedWords(decodeWords(inner)) + ")"
	case p.kind == anglePiece, !bracketed && strings.Contains(p.text, "@"):
		return asciiDomain(p.text)
	}
	return " " + encodedWords(phraseText(p.text)) + " "
}

// asciiDomain writes the domain of an address in A-labels.
func asciiDomain(s string) string {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return s
	}
	end := len(s)
	if i := strings.IndexAny(s[at:], "> \t"); i >= 0 {
		end = at + i
	}
	if end-at > MaxLine { // punycode takes quadratic time
		return s
	}
	a, err := idna.Lookup.ToASCII(s[at+1 : end])
	if err != nil {
		return s
	}
	return s[:at+1] + a + s[end:]
}

// squeeze makes one space of white space outside of quotes, where it means
// nothing more in structured fields.
func squeeze(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		switch s[i] {
		case '"':
			n := min(quotedEnd(s[i:]), len(s)-i)
			b.WriteString(s[i : i+n])
			i += n
		case '\\':
			n := min(2, len(s)-i)
			b.WriteString(s[i : i+n])
			i += n
		case ' ', '\t':
			b.WriteByte(' ')
			i += len(s[i:]) - len(strings.TrimLeft(s[i:], " \t"))
		default:
			b.WriteByte(s[i])
			i++
		}
	}
	return strings.Trim(b.String(), " ")
}

// maxParams is more parameters than any field has.
const maxParams = 100

// encodeParams writes the parameters of a MIME field in ASCII (RFC 2231).
func encodeParams(value string) string {
	pieces := splitParams(value)
	if len(pieces) > maxParams {
		return questionMarks(squeeze(strings.ReplaceAll(value, ";", "; ")))
	}
	for i, p := range pieces {
		name, v, ok := strings.Cut(p, "=")
		name = strings.TrimSpace(name)
		switch {
		case !eightBit([]byte(p)) && len(p) < maxWord:
			pieces[i] = strings.TrimSpace(p)
		case i == 0 || !ok || !paramName(name):
			pieces[i] = questionMarks(strings.TrimSpace(p))
		case strings.HasSuffix(name, "*"): // extended already, but for its octets
			pieces[i] = encodeURIs(strings.TrimSpace(p))
		case hasExtended(pieces, name): // readers take that one
			pieces[i] = name + "=" + questionMarks(strings.TrimSpace(v))
		default:
			v, _ = paramValue(strings.TrimSpace(v))
			pieces[i] = extendedParam(name, v)
		}
	}
	return strings.Trim(strings.Join(pieces, "; "), "; ")
}

// paramName reports whether s may be the name of a parameter, extended or not:
// a token without the signs that RFC 2231 section 7 reserves before its "*",
// short enough to stand on each of its lines.
func paramName(s string) bool {
	token, _, _ := strings.Cut(s, "*")
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("()<>@,;:\\\"/[]?='%", c) >= 0 {
			return false
		}
	}
	return token != "" && len(s) < maxWord
}

// hasExtended reports whether a parameter is also there in extended form.
func hasExtended(pieces []string, name string) bool {
	for _, p := range pieces {
		p = strings.TrimSpace(p)
		if len(p) > len(name) && strings.EqualFold(p[:len(name)], name) && p[len(name)] == '*' {
			return true
		}
	}
	return false
}

// splitParams cuts a value at the semicolons that are not quoted.
func splitParams(s string) (pieces []string) {
	begin := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			i += quotedEnd(s[i:]) - 1
		case ';':
			pieces = append(pieces, s[begin:i])
			begin = i + 1
		}
	}
	return append(pieces, s[begin:])
}

// extendedParam writes a parameter in pieces that fit a line.
func extendedParam(name, value string) string {
	const room = 50
	var encoded []string
	var part strings.Builder
	for _, r := range value {
		q := percentRune(r)
		if part.Len()+len(q) > room {
			encoded = append(encoded, part.String())
			part.Reset()
		}
		part.WriteString(q)
	}
	encoded = append(encoded, part.String())
	if len(encoded) == 1 {
		return name + "*=utf-8''" + encoded[0]
	}
	var b strings.Builder
	for i, e := range encoded {
		if i == 0 {
			e = "utf-8''" + e
		} else {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s*%d*=%s", name, i, e)
	}
	return b.String()
}

// percentRune leaves what RFC 2231 section 7 calls attribute-char, and no
// more than all readers agree on.
func percentRune(r rune) string {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_' {
		return string(r)
	}
	var b strings.Builder
	for _, c := range []byte(string(r)) {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}
