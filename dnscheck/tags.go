package dnscheck

import (
	"fmt"
	"strings"
)

// tagList is a text like "v=DMARC1; p=none", in which each tag stands once.
type tagList []tag

type tag struct{ name, value string }

// get gives the value of a tag, or what it is where it does not stand there.
func (l tagList) get(name, otherwise string) string {
	for _, t := range l {
		if t.name == name {
			return t.value
		}
	}
	return otherwise
}

func (l tagList) has(name string) bool {
	for _, t := range l {
		if t.name == name {
			return true
		}
	}
	return false
}

// tagsOf reads a list of tags (RFC 6376 section 3.2, RFC 7489 section 6.4): a
// semicolon between them and perhaps at the end, space around everything.
func tagsOf(text string) (l tagList, err error) {
	fields := strings.Split(strings.TrimRight(text, " \t\r\n"), ";")
	if fields[len(fields)-1] == "" {
		fields = fields[:len(fields)-1]
	}
	for _, field := range fields {
		name, value, ok := strings.Cut(field, "=")
		t := tag{strings.Trim(name, " \t\r\n"), strings.Trim(value, " \t\r\n")}
		switch {
		case !ok:
			return nil, fmt.Errorf("%.40q is not of the form tag=value", strings.TrimSpace(field))
		case !tagName(t.name):
			return nil, fmt.Errorf("%.40q is no name of a tag", t.name)
		case l.has(t.name):
			return nil, fmt.Errorf("the tag %s stands there twice", t.name)
		}
		l = append(l, t)
	}
	return l, nil
}

func tagName(s string) bool {
	for i, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}
