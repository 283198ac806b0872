package bounce

import (
	"slices"

	"homing/internal/reply"
	"homing/internal/terminal"
	"homing/internal/tomltree"
)

// tryExamples notes the examples on which another rule than theirs wins. What
// is broken takes no part.
func (f *ruleFile) tryExamples() {
	whole := slices.DeleteFunc(slices.Clone(f.drafts), func(d *draft) bool { return d.broken })
	if len(whole) == 0 {
		return
	}
	rules := make([]Rule, len(whole))
	for i, d := range whole {
		rules[i] = d.Rule
	}
	table := NewTable(rules...)
	for _, d := range whole {
		for _, e := range d.examples {
			d.try(table, e)
		}
	}
}

// try notes what keeps the rule from winning on an example: it must at one of
// its stages.
func (d *draft) try(table *Table, example *tomltree.Value) {
	trials := d.trials(example.Text)
	for _, e := range trials {
		if table.Classify(e).Rule == d.Name {
			return
		}
	}
	if why := d.misses(trials[0]); why != "" {
		d.errorf(example, "examples", "this rule does not fit its example %s: %s", terminal.Quote(example.Text), why)
		return
	}
	winner := table.Classify(trials[0]).Rule
	other := d.file.names[winner]
	switch {
	case other == nil:
		d.errorf(example, "examples", "the shipped rule %s wins on this text; place it first, or say more", winner)
	case d.Last && !other.Last:
		d.errorf(example, "examples", "the rule %s on line %d wins on this text, because it is placed first; place this one first and above it, or say more there", winner, other.table.Line)
	default:
		d.errorf(example, "examples", "the rule %s on line %d wins on this text; move this rule above it, or say more there", winner, other.table.Line)
	}
}

// trials gives the evidence that an example stands for: one for each stage of
// the rule.
func (d *draft) trials(text string) []Evidence {
	e := Evidence{Stage: reply.DSN, Text: text}
	if len(d.Remote) > 0 {
		e.RemoteMTA = d.Remote[0]
	}
	if len(d.Stages) == 0 {
		return []Evidence{e}
	}
	all := make([]Evidence, len(d.Stages))
	for i, stage := range d.Stages {
		e.Stage = stage
		all[i] = e
	}
	return all
}

// misses says which condition keeps the rule from fitting; "" when it fits.
func (d *draft) misses(e Evidence) string {
	s := read(e)
	for _, condition := range []struct {
		only Rule
		why  string
	}{
		{Rule{Words: d.Words}, "none of its words is in it; take them from the example"},
		{Rule{Words: d.Words, Near: d.Near}, "no phrase of near is within 80 octets of its words; bring them together in the example"},
		{Rule{Patterns: d.Patterns}, "none of its patterns matches it; try them one by one"},
		{Rule{Codes: d.Codes}, "it has none of its reply codes; begin the example with the code"},
		{Rule{Status: d.Status}, "it has none of its enhanced codes; put one behind the reply code of the example"},
		{Rule{Stages: d.Stages}, "it names another stage of the dialogue; leave that out of the example"},
		{Rule{Not: d.Not}, "a phrase of not is in it; leave one of the two out"},
	} {
		c := compile(condition.only)
		c.links = true
		index := indexPhrases(c.number(nil))
		s.marks = index.mark(s.text)
		if _, fits := c.match(&s); !fits {
			return condition.why
		}
	}
	return ""
}
