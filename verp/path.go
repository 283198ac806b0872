package verp

import (
	"fmt"
	"strings"
)

// MaxLocalPart is the longest local part we make, in octets (RFC 5321 section
// 4.5.3.1.1).
const MaxLocalPart = 64

// ReturnField is the field of the header that carries the return address where
// the next hop replaces the reverse-path by one of its own: what comes back has
// it among the header of the message that it returns.
const ReturnField = "X-Homing-Return"

// A Path is what the return addresses of a domain have in common:
// Local, Separator, the tag, "@", Domain. It is a value and is only read.
type Path struct {
	Local     string // "return", lower case
	Domain    string // "bounce.example.org", lower case
	Separator byte   // '+' or '-'
}

// ParsePath reads "return@bounce.example.org". Its error says in one sentence
// what cannot be used in a return address.
func ParsePath(address string, separator byte) (Path, error) {
	local, domain, ok := strings.Cut(address, "@")
	p := Path{strings.ToLower(local), strings.ToLower(domain), separator}
	switch {
	case !ok || local == "" || domain == "":
		return Path{}, fmt.Errorf("return path %q is not of the form local@domain", address)
	case separator != '+' && separator != '-':
		return Path{}, fmt.Errorf("separator %q is neither \"+\" nor \"-\"", separator)
	case len(local)+1+TagLength > MaxLocalPart:
		return Path{}, fmt.Errorf("return path %q: the local part has more than %d octets", address, MaxLocalPart-1-TagLength)
	case len(domain) > maxDomain:
		return Path{}, fmt.Errorf("return path %q: the domain has more than %d octets", address, maxDomain)
	}
	for _, c := range p.Local {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789._-", c) {
			return Path{}, fmt.Errorf("return path %q: %q does not survive every relay; use letters, digits, \".\", \"_\" and \"-\"", address, c)
		}
	}
	if strings.HasPrefix(local, ".") || strings.HasSuffix(local, ".") || strings.Contains(local, "..") {
		return Path{}, fmt.Errorf("return path %q: a dot must stand between other characters", address)
	}
	return p, nil
}

// Format gives the return address with a tag.
func (p Path) Format(tag string) string {
	return p.Local + string(p.Separator) + tag + "@" + p.Domain
}

// Match reports whether an address has the form of our return addresses of
// this path, and gives what stands where the tag belongs: 31 letters and
// digits. Whether the tag is genuine is for Decode to say. Both separators are
// understood and letter case is ignored, because relays change it; an
// application's own grammar at the same local part ("return+b.2.1.…") does not
// match.
func (p Path) Match(address string) (tag string, ok bool) {
	n := len(p.Local)
	at := n + 1 + TagLength
	if len(address) != at+1+len(p.Domain) || address[at] != '@' || address[n] != '+' && address[n] != '-' ||
		!strings.EqualFold(address[:n], p.Local) || !strings.EqualFold(address[at+1:], p.Domain) {
		return "", false
	}
	tag = address[n+1 : at]
	for i := range len(tag) {
		if c := lower(tag[i]); (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return "", false
		}
	}
	return tag, true
}
