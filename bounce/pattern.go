package bounce

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A pattern is a regular expression with what every text that it matches has
// in it. Looking for that is much faster, and nearly always enough.
type pattern struct {
	*regexp.Regexp
	needs []string // one of these, as oneCase writes it; empty: nobody knows
}

func newPatterns(all []*regexp.Regexp) []pattern {
	var patterns []pattern
	for _, re := range all {
		p := pattern{Regexp: re}
		if tree, err := syntax.Parse(re.String(), syntax.Perl); err == nil {
			p.needs = needs(tree)
		}
		patterns = append(patterns, p)
	}
	return patterns
}

// maxNeeds is how many texts a pattern may need one of: more take as long to
// find as the pattern itself.
const maxNeeds = 12

// needs gives texts one of which is in everything that an expression matches;
// none where there may be anything.
func needs(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		return []string{oneCase(string(re.Rune))}
	case syntax.OpCapture, syntax.OpPlus:
		return needs(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return needs(re.Sub[0])
		}
	case syntax.OpConcat:
		var best []string
		for _, sub := range re.Sub {
			if n := needs(sub); shortest(n) > shortest(best) {
				best = n
			}
		}
		return best
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			n := needs(sub)
			if len(n) == 0 || len(all)+len(n) > maxNeeds {
				return nil
			}
			all = append(all, n...)
		}
		return all
	}
	return nil
}

// shortest is the length of the shortest text; 0 when there is none.
func shortest(texts []string) int {
	if len(texts) == 0 {
		return 0
	}
	return len(slices.MinFunc(texts, func(a, b string) int { return len(a) - len(b) }))
}

// oneCase writes all letters that (?i) takes for the same as the first of them.
func oneCase(text string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && r != 'k' && r != 's' {
			return unicode.ToUpper(r)
		}
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return least
	}, text)
}

// An original is a text as it came, for patterns.
type original struct {
	as               string
	noCode, noStatus bool   // the text does not give them itself
	answer           bool   // the text answered a command of ours
	forms            []form // what wire and oneLine made of it, once they did
}

// A form is a text that patterns look at, and what oneCase makes of it.
type form struct{ text, cased string }

// wire is the text as it was on the wire: whoever takes a reply apart keeps its
// code and its status elsewhere.
func (s *said) wire() string {
	var lead string
	if s.noCode && s.code != 0 {
		lead = strconv.Itoa(s.code) + " "
	}
	if s.noStatus && s.status != "" {
		lead += s.status + " "
	}
	return lead + s.as
}

// oneLine gives a reply of several lines (RFC 5321 section 4.2.1) on one, with
// the code and the status that each of them repeats only where it begins: so it
// stands in logs and events. It gives "" for what is on one line already, and
// for a letter, whose lines are no one sentence.
func (s *said) oneLine(wire string) string {
	wire = strings.TrimSpace(wire)
	isReply := s.answer || s.code != 0 && strings.HasPrefix(wire, s.codeText())
	if !isReply || !strings.Contains(wire, "\n") {
		return ""
	}
	var words []string
	for line := range strings.Lines(wire) {
		line = strings.TrimSpace(line)
		code := ""
		if rest, ok := cutLead(line, s.codeText(), " -"); ok {
			code, line = s.codeText(), rest
		}
		status := ""
		if rest, ok := cutLead(line, s.status, " "); ok {
			status, line = s.status, rest
		}
		if len(words) == 0 {
			words = append(words, code, status)
		}
		words = append(words, line)
	}
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

// cutLead takes off a line what it begins with, and the mark behind that: one
// of some characters, or the end.
func cutLead(line, lead, marks string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(line, lead)
	if !ok || lead == "" || rest != "" && !strings.ContainsRune(marks, rune(rest[0])) {
		return line, false
	}
	return strings.TrimLeft(rest, marks), true
}

// wholes gives the forms of the text that patterns look at: as it was on the
// wire, and on one line where that is something else.
func (s *said) wholes() []form {
	if s.forms != nil {
		return s.forms
	}
	wire := s.wire()
	s.forms = []form{{wire, oneCase(wire)}}
	if line := s.oneLine(wire); line != "" {
		s.forms = append(s.forms, form{line, oneCase(line)})
	}
	return s.forms
}

// maxMatched is how much of what a pattern found is told, in octets.
const maxMatched = 200

// find gives what the first of the patterns finds, on one line; "" for nothing.
func (s *said) find(patterns []pattern) string {
	for _, p := range patterns {
		for _, f := range s.wholes() {
			if got := p.find(f); got != "" {
				return clip(strings.ToValidUTF8(got, "\uFFFD"), maxMatched)
			}
		}
	}
	return ""
}

// find gives what the pattern finds, on one line; "" for nothing.
func (p pattern) find(f form) string {
	if len(p.needs) > 0 && !slices.ContainsFunc(p.needs, func(n string) bool { return strings.Contains(f.cased, n) }) {
		return ""
	}
	return strings.Join(strings.Fields(p.FindString(f.text)), " ")
}
