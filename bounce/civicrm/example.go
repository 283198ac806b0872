package civicrm

import (
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
)

const (
	maxExamples      = 32   // that are made of a pattern
	maxExampleOctets = 1000 // of one
)

// examples makes short texts that a pattern should match, as a mail system
// might write them: words stand apart where there may be anything between
// them, and each alternative is in one of the texts. Where the pattern looks at
// what is around, they may not match.
func examples(pattern string) []string {
	re, err := syntax.Parse(pattern, syntax.Perl&^syntax.OneLine)
	if err != nil {
		return nil
	}
	return texts(re)
}

// texts gives at most maxExamples texts for an expression; none where it
// matches nothing that is short enough.
func texts(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		return fit(string(re.Rune))
	case syntax.OpNoMatch:
		return nil
	case syntax.OpCharClass:
		if len(re.Rune) == 0 {
			return nil
		}
		return fit(string(member(re.Rune)))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return []string{" "}
	case syntax.OpCapture:
		return texts(re.Sub[0])
	case syntax.OpStar:
		return repeated(re.Sub[0], 0, -1)
	case syntax.OpQuest:
		return repeated(re.Sub[0], 0, 1)
	case syntax.OpPlus:
		return repeated(re.Sub[0], 1, -1)
	case syntax.OpRepeat:
		return repeated(re.Sub[0], re.Min, re.Max)
	case syntax.OpConcat:
		return joined(re.Sub)
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			all = append(all, texts(sub)...)
		}
		return limit(all)
	}
	return []string{""} // an anchor
}

func fit(text string) []string {
	if len(text) > maxExampleOctets {
		return nil
	}
	return []string{text}
}

func limit(all []string) []string { return all[:min(len(all), maxExamples)] }

// repeated gives texts for an expression that stands there from least to most
// times; a most of -1 is no limit.
func repeated(re *syntax.Regexp, least, most int) []string {
	once := texts(re)
	gap := isAny(re) || slices.Equal(once, []string{" "})
	switch {
	case isAny(re) && 0 < least && least <= 3 && (most >= 3 || most < 0):
		return []string{" x "}
	case gap && least == 0 && most != 0:
		return once
	case least == 0:
		return limit(append([]string{""}, once...))
	}
	var all []string
	for _, s := range once {
		if len(s)*least <= maxExampleOctets {
			all = append(all, strings.Repeat(s, least))
		}
	}
	return all
}

func isAny(re *syntax.Regexp) bool {
	return re.Op == syntax.OpAnyChar || re.Op == syntax.OpAnyCharNotNL
}

// joined puts the first text of each part together, then the second ones, and
// so on; a part that has no more gives its first.
func joined(parts []*syntax.Regexp) []string {
	choices := make([][]string, len(parts))
	most := 1
	for i, p := range parts {
		if choices[i] = texts(p); len(choices[i]) == 0 {
			return nil
		}
		if isAny(p) && i > 0 && i+1 < len(parts) && isDigit(parts[i-1]) && isDigit(parts[i+1]) {
			choices[i] = []string{"."} // of an enhanced code
		}
		most = max(most, len(choices[i]))
	}
	var out []string
	for n := range most {
		var b strings.Builder
		for _, c := range choices {
			if n < len(c) {
				b.WriteString(c[n])
			} else {
				b.WriteString(c[0])
			}
		}
		out = append(out, fit(b.String())...)
	}
	return out
}

func isDigit(re *syntax.Regexp) bool {
	return re.Op == syntax.OpLiteral && unicode.IsDigit(re.Rune[0]) && unicode.IsDigit(re.Rune[len(re.Rune)-1])
}

// member gives a character of a class, one that reads well if there is one.
func member(ranges []rune) rune {
	in := func(r rune) bool {
		for i := 0; i < len(ranges); i += 2 {
			if ranges[i] <= r && r <= ranges[i+1] {
				return true
			}
		}
		return false
	}
	for _, r := range "xabcdefghijklmnopqrstuvwyz1023456789 XABCDEFGHIJKLMNOPQRSTUVWYZ-.,:;/_'\"()<>" {
		if in(r) {
			return r
		}
	}
	for i := 0; i < len(ranges); i += 2 {
		for r := ranges[i]; r <= min(ranges[i+1], ranges[i]+64); r++ {
			if unicode.IsPrint(r) {
				return r
			}
		}
	}
	return ranges[0]
}
