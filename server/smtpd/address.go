package smtpd

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxLocal is the longest local part that is taken, in octets. RFC 5321
	// section 4.5.3.1.1 has 64; rewritten return addresses are longer.
	maxLocal = 255
	// maxDomain is that of RFC 5321 section 4.5.3.1.2.
	maxDomain = 255
)

// Errors of parsing what MAIL and RCPT were given. They become replies where
// it is known which of the two it was.
var (
	errSyntax   = errors.New("not an address in angle brackets")
	errMailbox  = errors.New("not a valid address")
	errNotASCII = errors.New("address is not ASCII, and SMTPUTF8 was not asked for")
)

// cutPath splits the argument of MAIL and RCPT behind its colon: "<path>" and
// the parameters. Spaces before the path, and a path without brackets, are
// understood, because old devices write so.
func cutPath(s string) (path, params string, err error) {
	s = strings.TrimLeft(s, " ")
	bracket := strings.HasPrefix(s, "<")
	if bracket {
		s = s[1:]
	}
	end := unquotedIndex(s, func(c byte) bool { return bracket && c == '>' || !bracket && c == ' ' })
	if end < 0 {
		if bracket || s == "" {
			return "", "", errSyntax
		}
		return s, "", nil
	}
	path, params = s[:end], s[end+1:]
	if bracket && params != "" && params[0] != ' ' {
		return "", "", errSyntax
	}
	return path, strings.Trim(params, " "), nil
}

// unquotedIndex gives the first octet outside of quoted strings that is
// wanted, or -1.
func unquotedIndex(s string, wanted func(c byte) bool) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && wanted(c):
			return i
		}
	}
	return -1
}

// Mailbox gives an address that came by another road than a dialogue as a
// Session gets those of Mail and Rcpt. The error says what is wrong with it.
func Mailbox(address string, allowUTF8 bool) (string, error) {
	if strings.HasPrefix(address, "@") { // a source route, which nobody writes
		return "", errMailbox
	}
	return parseMailbox(address, allowUTF8)
}

// parseMailbox checks the inside of a path and gives its mailbox: without the
// source route, which is to be ignored (RFC 5321 section 3.3), and with the
// quotes of its local part only where it needs them, else as it was given.
func parseMailbox(path string, allowUTF8 bool) (string, error) {
	if err := checkText(path, allowUTF8); err != nil {
		return "", err
	}
	if strings.HasPrefix(path, "@") {
		route, mailbox, ok := strings.Cut(path, ":")
		if !ok || strings.ContainsAny(route, "\" <>") {
			return "", errMailbox
		}
		path = mailbox
	}
	at := unquotedIndex(path, func(c byte) bool { return c == '@' })
	if at < 0 {
		return "", errMailbox
	}
	local, domain := path[:at], path[at+1:]
	if len(local) > maxLocal || !validDomain(domain) {
		return "", errMailbox
	}
	if !strings.HasPrefix(local, `"`) {
		if !isAtoms(local, true) {
			return "", errMailbox
		}
		return path, nil
	}
	plain, ok := unquote(local)
	switch {
	case !ok:
		return "", errMailbox
	case isAtoms(plain, false):
		return plain + path[at:], nil
	}
	return path, nil
}

// checkText refuses control characters, and octets over 127 unless they are
// allowed and UTF-8.
func checkText(s string, allowUTF8 bool) error {
	ascii := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == 0x7f {
			return errMailbox
		} else if c >= utf8.RuneSelf {
			ascii = false
		}
	}
	switch {
	case ascii:
		return nil
	case !allowUTF8:
		return errNotASCII
	case !utf8.ValidString(s) || strings.IndexFunc(s, unicode.IsControl) >= 0:
		return errMailbox
	}
	return nil
}

// isAtoms reports whether s may stand for a local part without quotes: a
// Dot-string (RFC 5321 section 4.1.2). Where dots are loose they may stand
// anywhere, because some carriers have given out such addresses.
func isAtoms(s string, looseDots bool) bool {
	if s == "" {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != '.' && c < utf8.RuneSelf && !isAtext(c) {
			return false
		}
	}
	return looseDots || s[0] != '.' && s[len(s)-1] != '.' && !strings.Contains(s, "..")
}

func isAtext(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// unquote gives what a Quoted-string says. ok is false where s is none.
func unquote(s string) (text string, ok bool) {
	if len(s) < 2 || s[len(s)-1] != '"' {
		return "", false
	}
	var b strings.Builder
	inside := s[1 : len(s)-1]
	for i := 0; i < len(inside); i++ {
		c := inside[i]
		if c == '"' {
			return "", false
		}
		if c == '\\' {
			if i++; i == len(inside) {
				return "", false // it quotes the last quote
			}
			c = inside[i]
		}
		b.WriteByte(c)
	}
	return b.String(), true
}

// validDomain accepts names of letters, digits, hyphens, underscores and octets
// over 127, and address literals (RFC 5321 section 4.1.3) by their look.
func validDomain(s string) bool {
	if s == "" || len(s) > maxDomain {
		return false
	}
	if s[0] == '[' {
		inside, ok := strings.CutSuffix(s[1:], "]")
		return ok && inside != "" && !strings.ContainsAny(inside, "[]\\ <>")
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" {
			return false
		}
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < utf8.RuneSelf && c != '.' && c != '-' && c != '_' && !isAlphanumeric(c) {
			return false
		}
	}
	return true
}
