package queue

import (
	"strings"

	"homing/event"
	"homing/internal/message"
)

// unlessAsked takes the message away from a fact that sinks show it with only
// where its sender asked for a report of that kind (NOTIFY, RFC 3461 section
// 4.1). A message that a fact names must be kept until every sink has passed
// the fact, and nearly all mail is accepted and delivered without a word.
func unlessAsked(kind string, e event.Event) event.Event {
	if !strings.Contains(strings.ToUpper(e.Notify), kind) {
		return unshown(e)
	}
	return e
}

// unshown takes the message away from a fact that no sink shows it with.
func unshown(e event.Event) event.Event {
	e.Original = message.Ref{}
	return e
}
