// Package civicrm makes rules of the patterns by which CiviCRM understands
// bounces, so that what somebody taught CiviCRM is not lost.
package civicrm

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"homing/bounce"
	"homing/internal/reply"
)

// A kind is a type of bounce as CiviCRM has them.
type kind struct {
	name   string
	reason bounce.Reason
}

// kinds are CiviCRM's types in the order of their numbers, from 1, in which it
// tries their patterns. What a type is for CiviCRM, the class of the reason is
// here: AOL and Spam are refusals of the sender, and Away is no failure.
var kinds = []kind{
	{"AOL", bounce.Policy},
	{"Away", bounce.AutoReplied},
	{"Dns", bounce.HostUnknown},
	{"Host", bounce.SystemError},
	{"Inactive", bounce.Disabled},
	{"Invalid", bounce.UserUnknown},
	{"Loop", bounce.Loop},
	{"Quota", bounce.MailboxFull},
	{"Relay", bounce.RelayDenied},
	{"Spam", bounce.Spam},
	{"Syntax", bounce.Unknown},
}

// A File is what became of an export.
type File struct {
	Text    []byte // rules in TOML, as bounce.ParseRules reads them
	Rules   int
	Covered int       // patterns that stand in comments, because other rules know what they find
	LeftOut []LeftOut // what cannot be a rule, in the order of the export
}

// A LeftOut is a row of an export that cannot be a rule.
type LeftOut struct {
	Line int    // in the export, from 1
	Why  string // what is wrong with it, and what to write instead
}

// MaxOctets is the longest export that Import reads.
const MaxOctets = 1 << 20

// Import makes rules of an export of CiviCRM's table
// civicrm_mailing_bounce_pattern: columns separated by comma, semicolon or tab,
// with a header or in the order id, bounce_type_id, pattern. With last they are
// asked behind the shipped rules. Its error says why none of it could be read.
func Import(export []byte, last bool) (File, error) {
	if len(export) > MaxOctets {
		return File{}, errors.New("the export is longer than 1 MiB; export only the table civicrm_mailing_bounce_pattern")
	}
	rows, err := readRows(export)
	if err != nil {
		return File{}, err
	}
	i := importer{last: last, table: bounce.NewTable(), ids: map[string]int{}}
	for _, r := range byKind(rows) {
		if why := i.row(r); why != "" {
			i.file.LeftOut = append(i.file.LeftOut, LeftOut{r.line, why})
			i.text.leftOut(r, why)
		}
	}
	slices.SortStableFunc(i.file.LeftOut, func(a, b LeftOut) int { return cmp.Compare(a.Line, b.Line) })
	i.file.Text = i.text.whole(&i.file, last)
	if len(i.file.Text) > MaxOctets {
		return File{}, errors.New("the rules would be longer than 1 MiB; export fewer rows")
	}
	return i.file, nil
}

// byKind gives the rows in the order in which CiviCRM tries them.
func byKind(rows []row) []row {
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.kind, b.kind) })
	return rows
}

// An importer makes rules of one row after the other.
type importer struct {
	last  bool
	rules []bounce.Rule
	table *bounce.Table  // with rules
	ids   map[string]int // to the line
	file  File
	text  text
}

// row makes a rule of a row, in a comment where it could never win. It says
// why it cannot.
func (i *importer) row(r row) (why string) {
	if r.wrong != "" {
		return r.wrong
	}
	if line := i.ids[r.id]; line > 0 {
		return fmt.Sprintf("its id %s is that of line %d; give it a different one", r.id, line)
	}
	i.ids[r.id] = r.line
	re, err := bounce.CompilePattern(r.pattern)
	switch {
	case err != nil:
		return err.Error()
	case len(i.rules) == bounce.MaxPatterns:
		return fmt.Sprintf("a file of rules may have %d patterns, and has them; put those that bounces need most in front", bounce.MaxPatterns)
	}
	candidates := slices.DeleteFunc(examples(r.pattern), func(s string) bool {
		return strings.TrimSpace(s) == "" || !re.MatchString(s)
	})
	if len(candidates) == 0 {
		return "no example could be made of it; write this rule by hand, with an example from a bounce"
	}
	rule := bounce.Rule{Name: r.name(), Patterns: []*regexp.Regexp{re}, Reason: kinds[r.kind].reason, Last: i.last}
	if !i.take(r, rule, candidates) {
		i.file.Covered++
		i.text.covered(r, candidates[0], i.table.Classify(evidence(candidates[0])), i.last)
	}
	return ""
}

// take writes the rule with the first example on which it wins, if any. A table
// takes long to make, so there is one only for a rule that nothing before it
// keeps from winning.
func (i *importer) take(r row, rule bounce.Rule, candidates []string) bool {
	for _, example := range candidates {
		if !i.open(example) {
			continue
		}
		table := bounce.NewTable(append(slices.Clip(i.rules), rule)...)
		if table.Classify(evidence(example)).Rule == rule.Name {
			i.rules, i.table = append(i.rules, rule), table
			i.file.Rules++
			i.text.rule(r, example, i.last)
			return true
		}
	}
	return false
}

// open reports whether none of the rules that are asked before the next one
// fits.
func (i *importer) open(example string) bool {
	by := i.table.Classify(evidence(example)).Rule
	if i.last {
		return by == bounce.NoRule
	}
	return !slices.ContainsFunc(i.rules, func(r bounce.Rule) bool { return r.Name == by })
}

// evidence is what an example of a rule stands for.
func evidence(example string) bounce.Evidence {
	return bounce.Evidence{Stage: reply.DSN, Text: example}
}
