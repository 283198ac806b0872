package bounce

import (
	"regexp"
	"strings"
)

// users gives the recipients that a mail system names without a domain,
// because it is its own.
func (l *letter) users() []hit {
	at := strings.LastIndexByte(l.from, '@')
	if at < 0 || !l.daemon() {
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
			out = append(out, hit{name + l.from[at:], start, end, start + after, rankAlone})
		case text != "":
			under = strings.HasSuffix(text, ":") && whom.in(Fold(text))
		}
	}
	l.found = append(l.found, out...)
	return out
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
