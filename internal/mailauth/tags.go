package mailauth

import (
	"strings"
	"unicode"
)

// tags reads a tag-list (RFC 6376 section 3.2) as far as it can be read; of two
// tags of one name the first counts.
func tags(s string) map[string]string {
	all := map[string]string{}
	for part := range strings.SplitSeq(s, ";") {
		name, value, ok := strings.Cut(part, "=")
		name = strings.TrimSpace(name)
		if _, twice := all[name]; ok && !twice {
			all[name] = strings.TrimSpace(value)
		}
	}
	return all
}

// dense removes all white space, which may stand anywhere in some values.
func dense(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}
