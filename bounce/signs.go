package bounce

import (
	"strings"

	"homing/internal/message"
)

// signs add up what speaks for a message being something. A proof is enough,
// and so are two hints that have nothing to do with each other.
type signs struct {
	weight        int
	best          int    // weight of the heaviest
	rule, matched string // of the heaviest
}

// What a sign weighs.
const (
	hint  = 1
	proof = 2
)

// add counts a sign, if something was matched.
func (s *signs) add(weight int, rule, matched string) {
	if matched == "" {
		return
	}
	s.weight += weight
	if weight > s.best {
		s.best, s.rule, s.matched = weight, rule, clip(matched, 80)
	}
}

// verdict makes a Verdict of the signs, with what the reason usually means.
func (s *signs) verdict(r Reason) Verdict {
	return r.usual(s.rule, s.matched)
}

func (s *signs) enough() bool { return s.best >= proof || s.weight >= proof }

// fieldNamed gives the name of the first header field whose name has a phrase
// of names in it, and its value.
func fieldNamed(f message.Fields, names *lexicon) (name, value string) {
	for i := range f.Len() {
		if names.in(strings.ReplaceAll(Fold(f.Name(i)), "-", " ")) {
			return f.At(i)
		}
	}
	return "", ""
}

// fieldSaying gives the first header field of somebody's own ("X-…") that has a
// phrase of values in its value.
func fieldSaying(f message.Fields, values *lexicon) (name, value string) {
	for i := range f.Len() {
		name = f.Name(i)
		if !hasPrefixFold(name, "x-") || hasPrefixFold(name, "x-auto-response-suppress") || hasPrefixFold(name, "x-spam") {
			continue
		}
		if _, value = f.At(i); len(value) < 100 && values.in(Fold(value)) {
			return name, value
		}
	}
	return "", ""
}
