package mailauth

import "strings"

// results is an Authentication-Results field (RFC 8601 section 2.2).
type results struct {
	host    string // authserv-id
	methods []methodResult
}

// A methodResult is what one method gave. Names are in lower case.
type methodResult struct {
	method, result string
	properties     map[string]string // "smtp.mailfrom", "header.d"; also "reason"
}

// readResults reads the value of a field. ok is false where the grammar is
// broken: then nobody can be sure what it says, or who says it.
func readResults(value string) (r results, ok bool) {
	s := &scanner{rest: value}
	if r.host, ok = s.authservID(); !ok {
		return results{}, false
	}
	for s.rest != "" {
		m, empty := s.methodResult()
		if !empty {
			r.methods = append(r.methods, m)
		}
	}
	return r, !s.broken
}

// A scanner reads a field from its beginning. Once broken, it has no rest.
type scanner struct {
	rest   string
	broken bool
}

func (s *scanner) fail() { s.rest, s.broken = "", true }

// space passes over white space and comments, which nest.
func (s *scanner) space() {
	depth := 0
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == '\\' && depth > 0:
			i++
		case depth == 0 && c != ' ' && c != '\t':
			s.rest = s.rest[i:]
			return
		}
	}
	s.rest = ""
	s.broken = s.broken || depth > 0
}

// next takes c, if it is what comes.
func (s *scanner) next(c byte) bool {
	s.space()
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// word takes a token or a quoted string, or several of them without space
// between, as in the address "a b"@example.org. A token ends before one of stop.
func (s *scanner) word(stop string) string {
	s.space()
	var b strings.Builder
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			text, n := unquote(s.rest[i:])
			if n == 0 {
				s.fail()
				return ""
			}
			b.WriteString(text)
			i += n - 1
		case c <= ' ' || c == 0x7f || strings.IndexByte(stop, c) >= 0:
			s.rest = s.rest[i:]
			return b.String()
		default:
			b.WriteByte(c)
		}
	}
	s.rest = ""
	return b.String()
}

// unquote reads the quoted string that s begins with, and says how long it is;
// 0: it has no end.
func unquote(s string) (text string, n int) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), i + 1
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", 0
}

// tspecials end a token (RFC 2045 section 5.1).
const tspecials = `()<>@,;:\"/[]?=`

// authservID takes the name of the host and the version behind it. ok is false
// when something else stands there.
func (s *scanner) authservID() (host string, ok bool) {
	host = s.word(tspecials)
	s.space()
	if s.rest != "" && s.rest[0] != ';' {
		version := s.word(tspecials)
		if version == "" || strings.Trim(version, "0123456789") != "" {
			return "", false
		}
	}
	s.space()
	return host, host != "" && !s.broken && (s.rest == "" || s.rest[0] == ';')
}

// methodResult takes one result with the semicolon before it. empty: it is
// "none", or nothing.
func (s *scanner) methodResult() (m methodResult, empty bool) {
	if !s.next(';') {
		s.fail()
		return m, true
	}
	m.method = strings.ToLower(s.word(tspecials))
	if s.next('/') {
		s.word(tspecials) // the version of the method
	}
	if !s.next('=') {
		s.space()
		if m.method != "" && m.method != "none" || s.rest != "" && s.rest[0] != ';' {
			s.fail()
		}
		return m, true
	}
	m.result = strings.ToLower(s.word(tspecials))
	m.properties = map[string]string{}
	for s.space(); s.rest != "" && s.rest[0] != ';'; s.space() {
		s.property(m.properties)
	}
	return m, false
}

// property takes one property, or the reason.
func (s *scanner) property(into map[string]string) {
	name := strings.ToLower(s.word(tspecials))
	if s.next('.') { // space may stand around the point
		name += "." + strings.ToLower(s.word(tspecials))
	} else if strings.HasSuffix(name, ".") {
		name += strings.ToLower(s.word(tspecials))
	}
	_, twice := into[name]
	if name == "" || twice || !s.next('=') {
		s.fail()
		return
	}
	into[name] = s.word("();")
}
