package bounce

import (
	"regexp"
	"slices"
	"strings"
)

// users gives the recipients that a mail system names without a domain,
// because it is its own: only those whose place leaves no doubt, or where
// nobody is named otherwise, all.
func (l *letter) users(all bool) []hit {
	if !strings.Contains(l.from, "@") || !l.daemon() {
		return nil
	}
	var out []hit
	end := 0
	under := false // a line that says whose names follow
	for line := range strings.Lines(clip(l.notice, maxText)) {
		start := end
		end += len(line)
		name, after := markedUser(line)
		rank := rankAlone
		if name == "" {
			name, after = userIn(line, under)
			if !all && name != "" && after == 0 && among(out, name) { // the reply about one of the list
				rank = rankSaid
			} else if !all {
				name = ""
			}
		}
		switch text := strings.TrimSpace(line); {
		case name != "" && len(out) < maxHits:
			out = append(out, hit{l.complete(name), start, end, start + after, rank})
		case text != "":
			under = strings.HasSuffix(text, ":") && whom.in(Fold(text))
		}
	}
	return out
}

// among reports whether one of the hits is of a user.
func among(hits []hit, user string) bool {
	return slices.ContainsFunc(hits, func(h hit) bool { return localOf(h.address) == strings.ToLower(user) })
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
	if m := listedUser.FindStringSubmatchIndex(line); m != nil && under {
		return line[m[2]:m[3]], m[3]
	}
	return "", 0
}

// markedUser gives the user that a line marks as one, and where what it says of
// him begins.
func markedUser(line string) (name string, after int) {
	m := marked.FindStringSubmatchIndex(line)
	switch {
	case m == nil:
		return "", 0
	case m[2] >= 0:
		return line[m[2]:m[3]], m[3]
	}
	return line[m[4]:m[5]], m[5]
}

var (
	marked      = regexp.MustCompile(`^(?:<([\w.+-]{1,64})>[ \t]+\(|\*\*\* ([\w.+-]{1,64})\s*$)`)         // sendmail, Mercury
	refusedUser = regexp.MustCompile(`^[45]\d\d (?:[45]\.\d{1,3}\.\d{1,3} )?<?([\w.+=-]{1,64})>?\.\.\. `) // sendmail: 550 ann... User unknown
	listedUser  = regexp.MustCompile(`^[ \t]+([\w.+-]{1,64})[ \t]*(?:\(|\r?\n?$)`)                        // GroupWise: ann (user not found)
)
