package bounce_test

import (
	"regexp"
	"strings"
	"testing"

	"homing/bounce"
)

// FuzzPattern promises of any pattern and text that a rule with the pattern
// fits the text if, and only if, the pattern finds more than white space in it:
// what a pattern needs is looked for first, and must never be asked too much.
func FuzzPattern(f *testing.F) {
	f.Add("(user|mailbox) .{1,40}(gone|fro[sz]en)", "550 The USER ann is FROZEN")
	f.Add("(?-i:Ku)rz|straße|(ab+)+c{2}", "\u212aurz STRAẞE abbcc")
	f.Add("(?:x|yy)*ſo|[[:^alpha:]]ss", "550 SO\xff\n1SS")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		re, err := bounce.CompilePattern(pattern)
		if err != nil || len(text) > 4<<10 {
			return
		}
		table := bounce.NewTable(bounce.Rule{Name: "ours", Patterns: []*regexp.Regexp{re}, Reason: bounce.Loop})
		want := strings.TrimSpace(re.FindString(text)) != ""
		if v := table.Classify(bounce.Evidence{Text: text}); (v.Rule == "ours") != want {
			t.Errorf("%q fits %q: %v, want %v", pattern, text, !want, want)
		}
	})
}
