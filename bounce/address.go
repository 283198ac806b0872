package bounce

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addressAt gives the address around the "@" at position at of s, and where it
// stands. It takes what people and mail systems write for one, not only what
// RFC 5321 section 4.1.2 allows. An empty address means that there is none.
func addressAt(s string, at int) (address string, start, end int) {
	start = localStart(s, at)
	end = domainEnd(s, at+1)
	for end > at+1 && (s[end-1] == '.' || s[end-1] == '-') {
		end--
	}
	if start == at || end == at+1 {
		return "", start, end
	}
	address = s[start:end]
	if i := lastIndexFold(address[:at-start], "smtp="); i >= 0 { // X.400 written out
		start += i + len("smtp=")
		address = s[start:end]
	}
	if !utf8.ValidString(address) || len(address) > 320 {
		return "", start, end
	}
	return address, start, end
}

// lastIndexFold gives the last place of sub in s, letter case ignored, or -1.
func lastIndexFold(s, sub string) int {
	for i := len(s) - len(sub); i >= 0; i-- {
		if strings.EqualFold(s[i:i+len(sub)], sub) {
			return i
		}
	}
	return -1
}

// domainEnd gives where the domain that begins at start ends. Three dots are no
// domain's, nor is what follows it without a space in a script that has none.
func domainEnd(s string, start int) int {
	end := start
	for end < len(s) {
		if s[end] < utf8.RuneSelf {
			if !domainByte(s[end]) || s[end] == '.' && s[end-1] == '.' {
				break
			}
			end++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[end:])
		glued := alpha(s[end-1]) && !unicode.In(r, unicode.Latin, unicode.Mn)
		if glued || !unicode.In(r, unicode.L, unicode.M, unicode.N) && r != utf8.RuneError {
			break
		}
		end += size
	}
	return end
}

// localStart gives where the local part before the "@" at position at begins.
func localStart(s string, at int) int {
	start := at
	if at > 0 && s[at-1] == '"' { // a quoted local part
		if i := strings.LastIndexByte(s[:at-1], '"'); i >= 0 && at-i <= 66 && !strings.ContainsAny(s[i:at], "<>\n") {
			return i
		}
		return at
	}
	foreign := at > 0 && s[at-1] >= utf8.RuneSelf
	for start > 0 && at-start < 256 {
		c := s[start-1]
		if c >= utf8.RuneSelf != foreign && c >= utf8.RuneSelf || !localByte(c) {
			break
		}
		start--
	}
	for start < at && strings.IndexByte("'*=/{|.", s[start]) >= 0 && !orAddress(s[start:at]) {
		start++
	}
	return start
}

// orAddress reports whether a local part is an X.400 address: "/G=Ann/S=…"
// (RFC 2156 section 4.1).
func orAddress(local string) bool {
	name, _, ok := strings.Cut(strings.TrimPrefix(local, "/"), "=")
	return ok && local[0] == '/' && len(name) > 0 && len(name) <= 8 && !strings.Contains(name, "/")
}

func localByte(c byte) bool {
	return c >= utf8.RuneSelf || alpha(c) || digit(c) || strings.IndexByte("!#$%&'*+-./=?^_`{|}~", c) >= 0
}

func domainByte(c byte) bool {
	return c >= utf8.RuneSelf || alpha(c) || digit(c) || c == '-' || c == '.' || c == '_'
}

// firstAddress gives the first address in s, or "".
func firstAddress(s string) string {
	for from := 0; ; {
		i := strings.IndexByte(s[from:], '@')
		if i < 0 {
			return ""
		}
		if a, _, _ := addressAt(s, from+i); a != "" {
			return a
		}
		from += i + 1
	}
}

// allAddresses gives up to limit addresses in s.
func allAddresses(s string, limit int) []string {
	var all []string
	for from := 0; len(all) < limit; {
		i := strings.IndexByte(s[from:], '@')
		if i < 0 {
			break
		}
		a, _, end := addressAt(s, from+i)
		if a != "" {
			all = append(all, a)
		}
		from = max(end, from+i+1)
	}
	return all
}

// typedAddress reads a recipient field of a delivery report: an address type,
// a semicolon, an address (RFC 3464 section 2.3.1, RFC 6533 section 4). It
// tolerates a missing type, brackets and comments.
func typedAddress(body string) string {
	kind, address, ok := strings.Cut(body, ";")
	if !ok || strings.ContainsRune(kind, '@') {
		kind, address = "", body
	}
	address = strings.TrimSpace(address)
	if i := strings.IndexByte(address, '<'); i >= 0 && !strings.HasPrefix(address, `"`) {
		address = address[i+1:]
		if j := strings.IndexByte(address, '>'); j >= 0 {
			address = address[:j]
		}
	} else if i := strings.Index(address, " ("); i > 0 {
		address = address[:i]
	}
	address = strings.Trim(address, "<>; \t,")
	if len(address) > 5 && strings.EqualFold(address[:5], "smtp:") {
		address = address[5:]
	}
	if strings.EqualFold(strings.TrimSpace(kind), "utf-8") {
		address = unescapeUTF8(address)
	}
	if len(address) > 320 || strings.ContainsAny(address, "\r\n") || address == "@" {
		return ""
	}
	return strings.ToValidUTF8(address, "")
}

// unescapeUTF8 undoes utf-8-addr-xtext and utf-8-addr-unitext (RFC 6533
// section 3): "\x{20AC}" is a character.
func unescapeUTF8(s string) string {
	if !strings.Contains(s, `\x{`) {
		return s
	}
	var b strings.Builder
	for s != "" {
		before, rest, ok := strings.Cut(s, `\x{`)
		b.WriteString(before)
		if !ok {
			break
		}
		digits, after, _ := strings.Cut(rest, "}")
		if r, err := strconv.ParseUint(digits, 16, 21); err == nil && utf8.ValidRune(rune(r)) {
			b.WriteRune(rune(r))
		}
		s = after
	}
	return b.String()
}

// isAddress reports whether s has the form of an address.
func isAddress(s string) bool {
	i := strings.LastIndexByte(s, '@')
	return i > 0 && i < len(s)-1 && !strings.ContainsAny(s, " \t")
}

// localOf gives the lower-case local part.
func localOf(address string) string {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		i = len(address)
	}
	return strings.ToLower(address[:i])
}
