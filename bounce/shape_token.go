package bounce

import (
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"
)

// This file knows what the tokens of replies are: addresses, hosts, times,
// identifiers.

// days and months as they stand in dates.
var (
	days = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun",
		"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
	months = []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
		"january", "february", "march", "april", "june", "july", "august", "september", "october", "november", "december"}
)

// tokenMarks may be in a token besides letters and digits: they are in addresses,
// URLs and identifiers.
const tokenMarks = "!#$%&'*+-./=?^_~@:"

// joints are the marks between parts of tokens that are none of these. What is
// between those of the first set may have some of the others in it: "ip=::1".
var joints = []string{"!#$%&*+=?^~", "/", ":"}

// tokenLen gives the length of the token that text begins with. It ends where
// a URL begins. Scripts that put no spaces between words make no tokens.
func tokenLen(text string) int {
	for i, r := range text {
		if r >= utf8.RuneSelf {
			if r >= firstUnspaced || !unicode.IsLetter(r) {
				return i
			}
			continue
		}
		c := byte(r)
		if !alpha(c) && !digit(c) && strings.IndexByte(tokenMarks, c) < 0 || i > 0 && !alpha(text[i-1]) && hasScheme(text[i:]) {
			return i
		}
	}
	return len(text)
}

// firstUnspaced is where the scripts begin that put no spaces between words:
// Thai, and the East Asian ones.
const firstUnspaced = '\u0e00'

// hasScheme reports whether a URL begins here.
func hasScheme(text string) bool {
	return hasPrefixFold(text, "https://") || hasPrefixFold(text, "http://")
}

// endOfURL gives where the URL ends that text begins with. What ends a
// sentence is not in it.
func endOfURL(text string) int {
	end := strings.IndexAny(text, " <>\"'()[]{}|")
	if end < 0 {
		end = len(text)
	}
	return len(strings.TrimRight(text[:end], ".,;:!?"))
}

// mouldOf says what a token without marks at its ends is; between: several,
// with joints.
func mouldOf(c string) mould {
	switch {
	case strings.Contains(c, "@"):
		return anAddress
	case isIP(c):
		return anIP
	case isTime(c):
		return aTime
	case isHost(c):
		return aHost
	case isLink(c):
		return aURL
	case isBase64(c):
		return aNumber
	case slices.ContainsFunc(joints, func(set string) bool { return strings.ContainsAny(c, set) }):
		return between
	case strings.ContainsAny(c, "0123456789") || isRandom(c):
		return aNumber
	}
	return word
}

// longestIP is "ipv6:", an address that has an IPv4 address in it, and a port.
const longestIP = 60

// isIP tells an IP address, with or without a port or the length of a prefix.
func isIP(c string) bool {
	if len(c) > longestIP || strings.IndexByte(c, '.') < 0 && strings.IndexByte(c, ':') < 0 {
		return false
	}
	if hasPrefixFold(c, "ipv6:") {
		c = c[len("ipv6:"):]
	}
	if _, err := netip.ParseAddr(c); err == nil {
		return true
	}
	if _, err := netip.ParseAddrPort(c); err == nil {
		return true
	}
	_, err := netip.ParsePrefix(c)
	return err == nil
}

// isTime tells "12:30:05", "2026-11-23", "23.11.2026" and both together as
// RFC 3339 has them.
func isTime(c string) bool {
	if day, clock, ok := strings.Cut(strings.ToUpper(c), "T"); ok {
		return isTime(day) && strings.Trim(clock, "0123456789:.+-Z") == "" && strings.Contains(clock, ":")
	}
	if strings.Trim(c, "0123456789:.-/") != "" {
		return false
	}
	if strings.Contains(c, ":") {
		return strings.Trim(c, "0123456789:.") == ""
	}
	parts := strings.FieldsFunc(c, func(r rune) bool { return !unicode.IsDigit(r) })
	return len(parts) == 3 && (len(parts[0]) == 4 || len(parts[2]) == 4) && max(len(parts[0]), len(parts[1]), len(parts[2])) == 4 && len(parts[1]) <= 2
}

// nearby are the last labels of names that are not in the public DNS.
var nearby = []string{"corp", "example", "home", "internal", "intranet", "invalid", "lan", "local", "localdomain", "localhost", "test"}

// isHost tells a host or domain name, with or without a port: its last label
// must be one of the DNS, because people forget the space behind a full stop.
func isHost(c string) bool {
	name, port, _ := strings.Cut(strings.ToLower(c), ":")
	dot := strings.LastIndexByte(name, '.')
	if dot <= 0 || len(name) > 255 || strings.Trim(port, "0123456789") != "" || strings.Contains(name, "..") {
		return false
	}
	for i := range len(name) {
		if b := name[i]; !alpha(b) && !digit(b) && b != '.' && b != '-' && b != '_' {
			return false
		}
	}
	suffix, icann := publicsuffix.PublicSuffix(name)
	return icann || strings.Contains(suffix, ".") || slices.Contains(nearby, name[dot+1:])
}

// isLink tells a URL that has no scheme.
func isLink(c string) bool {
	host, _, ok := strings.Cut(c, "/")
	return ok && isHost(host)
}

// shortestBase64 is how long a token is that may be base64 with its signs, in
// octets.
const shortestBase64 = 16

// isBase64 tells base64 without its padding.
func isBase64(c string) bool {
	if len(c) < shortestBase64 {
		return false
	}
	upper, lower, digits := false, false, false
	for i := range len(c) {
		switch b := c[i]; {
		case digit(b):
			digits = true
		case b >= 'A' && b <= 'Z':
			upper = true
		case b >= 'a' && b <= 'z':
			lower = true
		case strings.IndexByte("+/=-_", b) < 0:
			return false
		}
	}
	return upper && lower && digits
}

// longestWord is longer than words of ASCII are, in octets.
const longestWord = 40

// isRandom tells letters that nobody has chosen: a capital follows a small
// letter again and again, or there are too many without a mark.
func isRandom(c string) bool {
	changes, run := 0, 0
	for i := range len(c) {
		if run++; !alpha(c[i]) {
			run = 0
		}
		if c[i] >= utf8.RuneSelf {
			return false
		}
		if i > 0 && c[i] >= 'A' && c[i] <= 'Z' && c[i-1] >= 'a' && c[i-1] <= 'z' {
			changes++
		}
		if run > longestWord {
			return true
		}
	}
	return len(c) >= 8 && 3*changes >= len(c)
}
