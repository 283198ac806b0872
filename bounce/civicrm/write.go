package civicrm

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"homing/bounce"
)

// A text is the rules of a file while they are written.
type text struct{ bytes.Buffer }

// whole gives the file with its heading.
func (t *text) whole(f *File, last bool) []byte {
	place, change := "before", ""
	if last {
		place, change = "after", " To let them decide before, make the file anew with --place first."
	}
	head := fmt.Sprintf(`# Bounce patterns of CiviCRM, made by "homing classify --import-civicrm": %d rules, %d in
# comments because other rules know what they find, %d left out. They are asked
# %s the shipped rules.%s
# To try them: homing classify --rules THIS-FILE bounce.eml
# To use them: write rules_file = "THIS-FILE" into [bounce] of homing.toml.
`, f.Rules, f.Covered, len(f.LeftOut), place, change)
	return append([]byte(head), t.Bytes()...)
}

// rule writes a rule.
func (t *text) rule(r row, example string, last bool) {
	t.WriteString("\n" + ruleText(r, example, last))
}

// covered writes a rule that others leave nothing to, in a comment.
func (t *text) covered(r row, example string, by bounce.Verdict, last bool) {
	advice := "To let this one decide, uncomment it before that one."
	if last {
		advice = `To let this one decide, uncomment it with place = "first".`
	}
	fmt.Fprintf(t, "\n# Covered by the rule %s, which says %s, %s of this example. %s\n", by.Rule, by.Class, by.Reason, advice)
	for line := range strings.Lines(ruleText(r, example, last)) {
		t.WriteString("# " + line)
	}
}

// leftOut writes why a row is no rule.
func (t *text) leftOut(r row, why string) {
	fmt.Fprintf(t, "\n# Left out: line %d of the export: %s.\n", r.line, why)
	if r.pattern != "" {
		t.WriteString("# pattern = [" + tomlText(strings.ToValidUTF8(r.pattern, "\ufffd")) + "]\n")
	}
}

func ruleText(r row, example string, last bool) string {
	place := "first"
	if last {
		place = "last"
	}
	return fmt.Sprintf("[[rule]]\nname = %s\npattern = [%s]\nreason = %s\nplace = %s\nexamples = [%s]\n",
		tomlText(r.name()), tomlText(r.pattern), tomlText(string(kinds[r.kind].reason)), tomlText(place), tomlText(example))
}

// tomlText writes a text as TOML does (TOML 1.0, "String"): in single quotes
// where it can, with escapes for all that a terminal does not show.
func tomlText(s string) string {
	hidden := func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }
	if !strings.Contains(s, "'") && !strings.ContainsFunc(s, hidden) {
		return "'" + s + "'"
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case hidden(r) && r > 0xffff:
			fmt.Fprintf(&b, `\U%08X`, r)
		case hidden(r):
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	return `"` + b.String() + `"`
}
