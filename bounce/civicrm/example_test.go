package civicrm

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExamplesOfPatterns(t *testing.T) {
	tests := []struct {
		name, pattern string
		want          []string
	}{
		{"words", "Mailbox full", []string{"Mailbox full"}},
		{"alternatives", "(user|mailbox) (is )?(unknown|invalid)", []string{"user unknown", "mailbox is invalid"}},
		{"anything between words", "user.*unknown", []string{"user unknown"}},
		{"something between words", "user.+unknown", []string{"user x unknown"}},
		{"so much between words", "user.{2,40}unknown", []string{"user x unknown"}},
		{"at least so much", "a.{5}b", []string{"a     b"}},
		{"a class of spaces", `over\s*quota`, []string{"over quota"}},
		{"other classes", `[^a-z][[:digit:]]\d?\x{e9}`, []string{"11é", "111é"}},
		{"a code with dots that are not escaped", "5.1.1", []string{"5.1.1"}},
		{"a code with dots that are", `5\.1\.1`, []string{"5.1.1"}},
		{"repetitions", "(ab){3}c{0,2}", []string{"ababab", "abababc"}},
		{"anchors", `^\bno$`, []string{"no"}},
		{"what nothing matches", `[^\x00-\x{10FFFF}]`, nil},
		{"too long", "((a{100}){10}b)", nil},
		{"no pattern", "(", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, examples(tt.pattern)); diff != "" {
				t.Errorf("examples(%q) (-want +got):\n%s", tt.pattern, diff)
			}
		})
	}
}
