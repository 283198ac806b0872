package civicrm

import (
	"strings"
	"unicode/utf8"

	"homing/event"
)

// Bounce types of CiviCRM, by the names that facts give them.
var types = map[string]int{
	"AOL": 1, "Away": 2, "Dns": 3, "Host": 4, "Inactive": 5, "Invalid": 6, "Loop": 7, "Quota": 8, "Relay": 9, "Spam": 10, "Syntax": 11,
}

// typeOf gives the type of a failure. What is our own fault gets the type that
// counts least: thirty of them hold an address.
func typeOf(e event.Event) int {
	switch id, ok := types[e.CiviCRM]; {
	case e.Type == event.Complained:
		return types["Spam"]
	case e.Class == "sender":
		return types["Away"]
	case ok:
		return id
	case e.Class == "hard":
		return types["Invalid"]
	}
	return types["Syntax"] // what CiviCRM calls anything that it does not know
}

// why says in words for people what the reasons of failures mean.
var why = map[string]string{
	"user_unknown":  "There is no such address",
	"moved":         "The address has moved",
	"no_mail_host":  "The domain takes no mail",
	"host_unknown":  "The domain was not found",
	"disabled":      "The mailbox is switched off",
	"filtered":      "The recipient's own rules refused the mail",
	"mailbox_full":  "The mailbox is full",
	"system_full":   "The recipient's mail server has no room",
	"system_error":  "The recipient's mail server failed",
	"network_error": "The recipient's mail server cannot be reached",
	"expired":       "Nobody took the mail within the time that was given to it",
	"loop":          "The mail goes in circles at the recipient's",
	"relay_denied":  "The recipient's mail server takes no mail for the address",
}

// maxReason is the most characters of a reason that CiviCRM keeps.
const maxReason = 255

// reasonOf words why a mail came back, in one line.
func reasonOf(e event.Event) string {
	words := why[e.Reason]
	switch {
	case e.Type == event.Complained:
		words = "The recipient called the mail unwanted"
	case e.Class == "sender":
		words = "Our mail was refused, not the address"
	case words == "":
		words = "The mail was refused"
	}
	if e.Diagnostic != "" {
		words += ": " + e.Diagnostic
	}
	if e.RemoteMTA != "" {
		words += " (" + e.RemoteMTA + ")"
	}
	return clip(plain(words), maxReason)
}

// plain gives a text that comes back from CiviCRM as it went in: the API of
// older releases writes angle brackets as HTML, and their tables have no
// characters beyond the first plane of Unicode.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '<':
			return '('
		case r == '>':
			return ')'
		case r == '&':
			return '+'
		case r == '"':
			return '\''
		case r > 0xffff:
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	return strings.Join(strings.Fields(text), " ")
}

// clip cuts a text to so many characters.
func clip(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return strings.TrimSpace(string([]rune(text)[:most-1])) + "…"
}
