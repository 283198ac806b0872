package bounce_test

import (
	"regexp"
	"strings"
	"testing"

	"homing/bounce"
	"homing/internal/reply"
)

// FuzzPattern promises of any pattern and text that a rule with the pattern
// fits the text if the pattern finds more than white space in it, and a text of
// one line only then: what a pattern needs is looked for first, and must never
// be asked too much.
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
		if v := table.Classify(bounce.Evidence{Text: text}); (v.Rule == "ours") != want && (want || !strings.Contains(text, "\n")) {
			t.Errorf("%q fits %q: %v, want %v", pattern, text, !want, want)
		}
	})
}

// What is told of a reply later, in events and logs, is on one line, and a
// replay goes by that. So it must mean the same while it is new.
func TestPatternsLookAtAReplyOfSeveralLinesAsAtOneLine(t *testing.T) {
	tests := []struct {
		name, pattern, matched string
		said                   bounce.Evidence
	}{
		{"as it comes from the dialogue", "account is .*closed", "account is for ever closed",
			bounce.Evidence{Stage: reply.RCPT, Code: 550, Status: "5.7.99", Text: "Your account is\nfor ever closed"}},
		{"with its status on each line", "^550 5\\.7\\.99 your account is closed$", "550 5.7.99 Your account is closed",
			bounce.Evidence{Stage: reply.RCPT, Code: 550, Status: "5.7.99", Text: "5.7.99 Your account\n5.7.99 is closed"}},
		{"as it was on the wire", "^550 5\\.7\\.99 your account is closed$", "550 5.7.99 Your account is closed",
			bounce.Evidence{Text: "550-5.7.99 Your account\r\n550 5.7.99 is closed\r\n"}},
		{"a line with nothing but the code", "account is closed", "account is closed",
			bounce.Evidence{Text: "550-Your account\r\n550-\r\n550 is closed"}},
		{"numbers that are no code stay", "room 55012 is closed", "room 55012 is closed",
			bounce.Evidence{Stage: reply.RCPT, Code: 550, Text: "Your room\n55012 is closed"}},
		{"a reply that speaks of another code", "after 421 .* gave up", "after 421 tomorrow we gave up",
			bounce.Evidence{Stage: reply.RCPT, Code: 550, Text: "after 421 tomorrow\nwe gave up"}},
		{"not the lines of a letter", "mailbox .*unknown", "",
			bounce.Evidence{Stage: reply.DSN, Text: "We wrote to your mailbox\nfor reasons unknown"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			re, err := bounce.CompilePattern(tt.pattern)
			if err != nil {
				t.Fatal(err)
			}
			v := bounce.NewTable(bounce.Rule{Name: "ours", Patterns: []*regexp.Regexp{re}, Reason: bounce.Loop}).Classify(tt.said)
			if want := tt.matched != ""; (v.Rule == "ours") != want || want && v.Matched != tt.matched {
				t.Errorf("rule %s, %q, want %q", v.Rule, v.Matched, tt.matched)
			}
		})
	}
}
