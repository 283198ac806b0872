package bounce

import (
	"regexp"
	"strings"
)

// users gives the recipients that a mail system names without a domain,
// because it is its own.
func (l *letter) users() []hit {
	if !strings.Contains(l.from, "@") || !l.daemon() {
		return nil
	}
	var out []hit
	end := 0
	under := false // a line that says whose names follow
	for line := range strings.Lines(clip(l.notice, maxText)) {
		start := end
		end += len(line)
		name, after := userIn(line, under)
		switch text := strings.TrimSpace(line); {
		case name != "" && len(out) < maxHits:
			out = append(out, hit{l.complete(name), start, end, start + after, rankAlone})
		case text != "":
			under = strings.HasSuffix(text, ":") && whom.in(Fold(text))
		}
	}
	l.found = append(l.found, out...)
	return out
}

// complete gives a user his domain: that of whom the message was for that came
// back, else that of the mail system.
func (l *letter) complete(name string) string {
	for _, field := range []string{"To", "Cc"} {
		for _, a := range allAddresses(l.returned.Get(field), maxTo) {
			if strings.EqualFold(localOf(a), name) {
				return a
			}
		}
	}
	return name + l.from[strings.LastIndexByte(l.from, '@'):]
}

// userIn gives the user that a line names, and where what it says of him
// begins.
func userIn(line string, under bool) (name string, after int) {
	if m := refusedUser.FindStringSubmatch(line); m != nil {
		return m[1], 0
	}
	if m := listedUser.FindStringSubmatchIndex(line); m != nil && (under || line[m[1]-1] == '(') {
		return line[m[2]:m[3]], m[3]
	}
	return "", 0
}

var (
	refusedUser = regexp.MustCompile(`^[45]\d\d (?:[45]\.\d{1,3}\.\d{1,3} )?<?([\w.+=-]{1,64})>?\.\.\. `) // sendmail: 550 ann... User unknown
	listedUser  = regexp.MustCompile(`^[ \t]+([\w.+-]{1,64})[ \t]*(?:\(|\r?\n?$)`)                        // GroupWise: ann (user not found)
)
