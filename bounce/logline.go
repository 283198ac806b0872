package bounce

import (
	"regexp"
	"strings"
)

// A logLine is what a line of a mail system's log says of one recipient.
type logLine struct {
	text    string // what was said, or what the mail system says in its place
	host    string // who said it
	address string
	status  string // as the mail system understood it
	delayed bool
}

var (
	logOutcome = regexp.MustCompile(`\bstatus=(bounced|deferred) \((.*)\)\s*$`)
	logSaid    = regexp.MustCompile(`(?:^|[ (])host (\S+) said: `)
	logTo      = regexp.MustCompile(`(?:^|[ ,])to=<([^<>]+)>`)
	logStatus  = regexp.MustCompile(`\bdsn=([45]\.\d{1,3}\.\d{1,3})\b`)
)

// readLogLine takes a line of a log apart: one as Postfix writes it, or any that
// quotes a reply behind "said:". It reports whether it is one.
func readLogLine(text string) (logLine, bool) {
	l := logLine{text: strings.TrimSpace(text)}
	if strings.Contains(l.text, "\n") {
		return l, false
	}
	outcome := logOutcome.FindStringSubmatch(l.text)
	if outcome != nil {
		l.delayed = outcome[1] == "deferred"
		if status := logStatus.FindStringSubmatch(l.text); status != nil {
			l.status = status[1]
		}
	}
	if to := logTo.FindStringSubmatch(l.text); to != nil {
		l.address = firstAddress(to[1])
	}
	if outcome != nil {
		l.text = outcome[2]
	}
	said := logSaid.FindStringSubmatchIndex(l.text)
	if said != nil {
		l.host, l.text = l.text[said[2]:said[3]], l.text[said[1]:]
	}
	return l, l.text != "" && (outcome != nil || said != nil)
}
