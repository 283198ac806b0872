package smtpd

import (
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"homing/internal/reply"
)

var (
	errParam = reply.Errorf(501, reply.Enhanced{5, 5, 4}, "parameter is malformed or given twice")
	// RFC 5321 section 4.1.1.11.
	errUnknownParam = reply.Errorf(555, reply.Enhanced{5, 5, 4}, "parameter is not known here")
)

var (
	errXtext  = errors.New("not xtext")
	errUnique = errors.New("given twice")
)

// maxEnvelopeID and maxOriginal are those of RFC 3461 section 4, in octets
// before decoding.
const (
	maxEnvelopeID = 100
	maxOriginal   = 500
)

// eachParam splits the parameters of MAIL and RCPT (RFC 5321 section 4.1.2)
// and gives them to f, names in upper case. It returns the first error.
func eachParam(s string, f func(name, value string) error) error {
	var seen []string
	for param := range strings.FieldsSeq(s) {
		name, value, _ := strings.Cut(param, "=")
		name = strings.ToUpper(name)
		for _, other := range seen {
			if other == name {
				return errParam.With(errUnique)
			}
		}
		seen = append(seen, name)
		if err := f(name, value); err != nil {
			return err
		}
	}
	return nil
}

// parseMailParams reads the parameters of MAIL as far as o offers them.
func parseMailParams(s string, o *Options, tls bool) (m MailOptions, err error) {
	err = eachParam(s, func(name, value string) error {
		switch {
		case name == "SIZE":
			return parseSize(value, o.MaxMessage, &m)
		case name == "BODY":
			m.EightBit = strings.EqualFold(value, "8BITMIME")
			return paramIf(m.EightBit || strings.EqualFold(value, "7BIT"))
		case name == "SMTPUTF8" && o.SMTPUTF8:
			m.UTF8 = true
			return paramIf(value == "")
		case name == "REQUIRETLS" && o.RequireTLS && tls:
			m.RequireTLS = true
			return paramIf(value == "")
		case name == "RET" && o.DSN:
			m.Return = strings.ToUpper(value)
			return paramIf(m.Return == "FULL" || m.Return == "HDRS")
		case name == "ENVID" && o.DSN:
			m.EnvelopeID, err = decodeXtext(value)
			return paramIf(err == nil && value != "" && len(value) <= maxEnvelopeID)
		case name == "AUTH" && o.Auth: // RFC 4954 section 5: we trust nobody's word
			_, err := decodeXtext(value)
			return paramIf(err == nil && value != "")
		}
		return errUnknownParam
	})
	return m, err
}

// parseSize reads SIZE=n (RFC 1870 section 4).
func parseSize(value string, max int64, m *MailOptions) error {
	n, err := strconv.ParseUint(value, 10, 63)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && max > 0 && n > uint64(max):
		return ErrTooBig
	case err != nil:
		return errParam.With(err)
	}
	m.Size = int64(n)
	return nil
}

// parseRcptParams reads the parameters of RCPT as far as o offers them.
func parseRcptParams(s string, o *Options, allowUTF8 bool) (r RcptOptions, err error) {
	err = eachParam(s, func(name, value string) error {
		switch {
		case name == "NOTIFY" && o.DSN:
			r.Notify = strings.ToUpper(value)
			return paramIf(validNotify(r.Notify))
		case name == "ORCPT" && o.DSN:
			var err error
			r.Original, err = decodeOriginal(value, allowUTF8)
			if err != nil {
				return errParam.With(err)
			}
			return nil
		}
		return errUnknownParam
	})
	return r, err
}

func paramIf(ok bool) error {
	if ok {
		return nil
	}
	return errParam
}

// validNotify checks a list of RFC 3461 section 4.1.
func validNotify(list string) bool {
	if list == "NEVER" {
		return true
	}
	seen := make(map[string]bool, 3)
	for word := range strings.SplitSeq(list, ",") {
		if seen[word] || word != "SUCCESS" && word != "FAILURE" && word != "DELAY" {
			return false
		}
		seen[word] = true
	}
	return true
}

// decodeOriginal decodes ORCPT=type;address (RFC 3461 section 4.2, RFC 6533
// section 3). What it gives holds no control character, so that it can stand in
// a report.
func decodeOriginal(value string, allowUTF8 bool) (string, error) {
	kind, addr, ok := strings.Cut(value, ";")
	if !ok || addr == "" || len(value) > maxOriginal || !isAtoms(kind, false) || !isASCII(kind) {
		return "", errSyntax
	}
	kind = strings.ToLower(kind)
	var err error
	if kind == "utf-8" {
		addr, err = decodeUnitext(addr, allowUTF8)
	} else {
		addr, err = decodeXtext(addr)
	}
	if err != nil {
		return "", err
	}
	return kind + ";" + addr, nil
}

// decodeXtext decodes xtext (RFC 3461 section 4). It refuses what is not
// printable ASCII when decoded.
func decodeXtext(s string) (string, error) {
	plain := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '=' {
			return "", errXtext
		} else if c == '+' {
			plain = false
		}
	}
	if plain {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			if i+3 > len(s) {
				return "", errXtext
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil || n < ' ' || n >= 0x7f {
				return "", errXtext
			}
			c, i = byte(n), i+2
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}

// decodeUnitext decodes utf-8-addr-xtext, and utf-8-addr-unitext where UTF-8 is
// allowed (RFC 6533 section 3): \x{HEX} is a character.
func decodeUnitext(s string, allowUTF8 bool) (string, error) {
	var b strings.Builder
	for s != "" {
		if escaped, ok := strings.CutPrefix(s, `\x{`); ok {
			hex, rest, ok := strings.Cut(escaped, "}")
			n, err := strconv.ParseUint(hex, 16, 21)
			if !ok || err != nil || !utf8.ValidRune(rune(n)) || unicode.IsControl(rune(n)) {
				return "", errXtext
			}
			b.WriteRune(rune(n))
			s = rest
			continue
		}
		c, size := utf8.DecodeRuneInString(s)
		switch {
		case c <= ' ' || c == '\\' || c == '+' || c == '=' || unicode.IsControl(c):
			return "", errXtext
		case c >= utf8.RuneSelf && (!allowUTF8 || c == utf8.RuneError && size == 1):
			return "", errXtext
		}
		b.WriteString(s[:size])
		s = s[size:]
	}
	return b.String(), nil
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
