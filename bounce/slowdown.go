package bounce

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Slowdown is what a reply asks of whoever sends.
type Slowdown struct {
	// Asked is that the site wants less mail, or none, from the address that
	// sends, whoever it is for.
	Asked bool
	// Crowd is that it counts dialogues: fewer at once are the remedy.
	Crowd bool
	// After is how long the reply itself says to wait; 0: it does not.
	After time.Duration
}

// ofSource are the reasons that speak of the address that sends.
var ofSource = []Reason{RateLimited, Blocked, BadReputation, NoPTR}

var (
	// onePerson matches replies that name a rate or a number, and mean that of
	// one mailbox or of one transaction.
	onePerson = regexp.MustCompile(`user you are trying to contact|(user|mailbox|inbox|recipient) (is receiving|has (received )?too many)|(mailbox|inbox) (is )?(full|over quota)|recipient('s)? (mailbox|address|has exceeded|rate|limit)|too many recipients|mail for this (user|recipient)|(messages|mails?|limit) (for|to|in) (this |the )?(recipient|mailbox)\b`)
	crowd     = regexp.MustCompile(`connections?|sessions?|concurren|simultan|parallel`)
	// named matches a time to wait: a number with a unit behind a word that
	// asks to wait or to come back, or a length like "00:05:00". Digits with
	// dots are the number of a rule, or an address.
	named = regexp.MustCompile(`\b(?:again|back|retry|later|wait|delay(?:ed)?|greylist\w*|graylist\w*|next attempt|expect\w*|blocked|deferred|limited|erneut|später|réessay\w*|dans)\b([^.;\d]{0,40}?)(\d{1,6})(?::(\d{2})(?::(\d{2}))?)? ?(s|secs?|seconds?|sekunden|m|mins?|minutes?|minuten|h|hrs?|hours?|stunden|heures?)?\b`)
	// moment matches a word before a time of the day.
	moment = regexp.MustCompile(`\b(until|till|bis|jusqu)\b|\b(at|um) $`)
)

// Times that a reply may name. Less means nothing, and more than a day is no
// advice for a retry.
const (
	leastAfter = time.Second
	mostAfter  = 24 * time.Hour
)

// Slowdown reads what a reply asks beyond what it means.
func (v Verdict) Slowdown(text string) Slowdown {
	text = strings.ToLower(text)
	s := Slowdown{After: after(text)}
	s.Asked = v.Class == Sender && slices.Contains(ofSource, v.Reason) && !onePerson.MatchString(text)
	s.Crowd = s.Asked && v.Reason == RateLimited && crowd.MatchString(text)
	return s
}

// after finds the time that a reply names.
func after(text string) time.Duration {
	for _, m := range named.FindAllStringSubmatch(text, 4) {
		if moment.MatchString(m[1]) {
			continue
		}
		if d := length(m[2:]); d >= leastAfter && d <= mostAfter {
			return d
		}
	}
	return 0
}

// length reads "300 seconds" and "00:05:00". A number without a unit and
// without colons is none: it may be anything.
func length(m []string) time.Duration {
	n, _ := strconv.Atoi(m[0])
	if m[1] != "" {
		second, _ := strconv.Atoi(m[1])
		if m[2] == "" {
			return time.Duration(n)*time.Minute + time.Duration(second)*time.Second
		}
		third, _ := strconv.Atoi(m[2])
		return time.Duration(n)*time.Hour + time.Duration(second)*time.Minute + time.Duration(third)*time.Second
	}
	switch {
	case m[3] == "":
		return 0
	case m[3][0] == 's' && m[3] != "stunden":
		return time.Duration(n) * time.Second
	case m[3][0] == 'm':
		return time.Duration(n) * time.Minute
	}
	return time.Duration(n) * time.Hour
}
