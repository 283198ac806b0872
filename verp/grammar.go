package verp

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// A Kind names whose grammar an address follows.
type Kind string

// The grammars that we know.
const (
	CiviCRM Kind = "civicrm" // PREFIX ACTION SEP JOB SEP QUEUE SEP HASH
	Mautic  Kind = "mautic"  // MAILBOX+bounce_HASH, MAILBOX+unsubscribe_HASH
	Mailman Kind = "mailman" // LIST-bounces+USER=DOMAIN, and LIST-WORD for Mailman itself
	Postfix Kind = "postfix" // OWNER+USER=DOMAIN; ezmlm, listserv and plain scripts do the same
)

// An Action is what mail to an address asks for.
type Action string

// The actions.
const (
	ActionBounce      Action = "bounce"
	ActionReply       Action = "reply"
	ActionUnsubscribe Action = "unsubscribe"
	ActionOptOut      Action = "opt_out"
	ActionResubscribe Action = "resubscribe"
	ActionConfirm     Action = "confirm"
	ActionSubscribe   Action = "subscribe"
	ActionWrite       Action = "write" // Mailman: to its owners, to itself
)

// civiActions are CiviCRM's letters. Its m and a stand only in Message-IDs.
var civiActions = map[string]Action{
	"b": ActionBounce, "r": ActionReply, "u": ActionUnsubscribe, "o": ActionOptOut,
	"e": ActionResubscribe, "c": ActionConfirm, "s": ActionSubscribe,
}

// A Grammar is how one application writes its own return addresses.
type Grammar struct {
	Kind      Kind
	Prefix    string // the literal beginning of every local part; tells two sites apart
	Separator string // CiviCRM's setting; "" means "."
}

// An Address is an application's own return address, taken apart. Whoever
// passes it on uses the address as it came, byte for byte, not this.
type Address struct {
	Kind   Kind
	Action Action
	// Job, Queue and Hash are CiviCRM's. With ActionConfirm, Job is the
	// contact and Queue the subscription; with ActionSubscribe, Job is the
	// group, and there may be nothing else. Hash is lower case. Mautic has
	// a Hash alone.
	Job, Queue uint64
	Hash       string
	// List is Mailman's list, Postfix's owner or Mautic's mailbox.
	List string
	// Recipient is whom the message went to, as Mailman and Postfix write
	// it: "ann@example.net".
	Recipient string
}

// Command reports whether mail to an address is for the application itself,
// which reads it, and not about mail that it has sent.
func (a Address) Command() bool { return a.Kind == Mailman && a.Recipient == "" }

// Campaign names the mailing that an address belongs to ("civicrm:job:7",
// "mailman:list:news"), and is "" where the grammar does not tell.
func (a Address) Campaign() string {
	switch {
	case a.Kind == CiviCRM && a.Action != ActionConfirm && a.Action != ActionSubscribe:
		return fmt.Sprintf("civicrm:job:%d", a.Job)
	case a.Kind == Mailman, a.Kind == Postfix:
		return fmt.Sprintf("%s:list:%s", a.Kind, strings.ToLower(a.List))
	}
	return ""
}

// Parse takes a local part apart that follows the grammar; ok is false for
// any other. Letter case is ignored where the application does not need it.
func (g Grammar) Parse(local string) (a Address, ok bool) {
	n := len(g.Prefix)
	if len(local) > maxDomain || len(local) < n || !strings.EqualFold(local[:n], g.Prefix) {
		return Address{}, false
	}
	switch g.Kind {
	case CiviCRM:
		a, ok = g.civicrm(local[n:])
	case Mautic:
		a, ok = mautic(local)
	case Mailman:
		a, ok = mailman(local)
	case Postfix:
		a, ok = postfix(local)
	}
	if !ok {
		return Address{}, false
	}
	a.Kind = g.Kind
	return a, true
}

// civicrm reads what follows the prefix. The action has one character and the
// hash sixteen, so they go off first: the separator may be anything.
func (g Grammar) civicrm(rest string) (a Address, ok bool) {
	if rest == "" {
		return Address{}, false
	}
	a.Action, ok = civiActions[strings.ToLower(rest[:1])]
	if !ok {
		return Address{}, false
	}
	separator := cmp.Or(g.Separator, ".")
	const hashLength = 16
	cut := max(1, len(rest)-hashLength)
	a.Hash = strings.ToLower(rest[cut:])
	numbers, after := strings.CutSuffix(rest[1:cut], separator)
	numbers, before := strings.CutPrefix(numbers, separator)
	job, queue, between := strings.Cut(numbers, separator)
	a.Job, ok = number(job)
	if ok && before && between && after && len(a.Hash) == hashLength && isAlphanumeric(a.Hash) {
		a.Queue, ok = number(queue)
		return a, ok
	}
	// Subscribing needs no more than a group.
	group, found := strings.CutPrefix(rest[1:], separator)
	if a.Action != ActionSubscribe || !found {
		return Address{}, false
	}
	a.Job, ok = number(group)
	return Address{Action: ActionSubscribe, Job: a.Job}, ok
}

// number reads a decimal number as applications write one: no sign, no
// leading nought.
func number(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return n, err == nil && s == strconv.FormatUint(n, 10)
}

func isAlphanumeric(s string) bool {
	for i := range len(s) {
		if c := lower(s[i]); (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// mautic reads MAILBOX+bounce_HASH and MAILBOX+unsubscribe_HASH.
func mautic(local string) (a Address, ok bool) {
	plus := strings.LastIndexByte(local, '+')
	if plus < 1 {
		return Address{}, false
	}
	word, hash, _ := strings.Cut(local[plus+1:], "_")
	switch strings.ToLower(word) {
	case "bounce":
		a.Action = ActionBounce
	case "unsubscribe":
		a.Action = ActionUnsubscribe
	default:
		return Address{}, false
	}
	a.List, a.Hash = local[:plus], hash
	return a, isAlphanumeric(hash)
}

// mailmanWords are the sub-addresses of a list that Mailman itself reads.
var mailmanWords = map[string]Action{
	"bounces": ActionWrite, "owner": ActionWrite, "request": ActionWrite, "confirm": ActionConfirm,
	"join": ActionSubscribe, "subscribe": ActionSubscribe, "leave": ActionUnsubscribe, "unsubscribe": ActionUnsubscribe,
}

// mailman reads LIST-bounces+USER=DOMAIN and the addresses that are for Mailman
// itself: LIST-owner and the like, LIST-confirm+TOKEN, and LIST-bounces+TOKEN,
// by which it tries whether an address is alive.
func mailman(local string) (a Address, ok bool) {
	owner, rest, plus := strings.Cut(local, "+")
	dash := strings.LastIndexByte(owner, '-')
	if dash < 1 || strings.ContainsAny(local, "@ \t\r\n\x00") {
		return Address{}, false
	}
	word := strings.ToLower(owner[dash+1:])
	if a, ok = postfix(local); ok {
		a.List = owner[:dash]
		return a, word == "bounces"
	}
	a = Address{Action: mailmanWords[word], List: owner[:dash]}
	switch {
	case a.Action == "":
		return Address{}, false
	case word == "confirm":
		return a, isAlphanumeric(rest)
	case plus:
		return a, word == "bounces" && isAlphanumeric(rest)
	}
	return a, true
}

// postfix reads OWNER+USER=DOMAIN. USER may hold more plus signs and equal
// signs; DOMAIN holds none.
func postfix(local string) (a Address, ok bool) {
	owner, rest, found := strings.Cut(local, "+")
	equal := strings.LastIndexByte(rest, '=')
	if !found || owner == "" || equal < 1 || equal == len(rest)-1 || strings.ContainsAny(local, "@ \t\r\n\x00") {
		return Address{}, false
	}
	return Address{Action: ActionBounce, List: owner, Recipient: rest[:equal] + "@" + rest[equal+1:]}, true
}
