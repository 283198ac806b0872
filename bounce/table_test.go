package bounce_test

import (
	"testing"

	"homing/bounce"
	"homing/internal/reply"
)

func TestEachRuleWinsOnItsExamples(t *testing.T) {
	table := bounce.NewTable()
	for _, r := range table.Rules() {
		stage := reply.DSN
		if len(r.Stages) > 0 {
			stage = r.Stages[0]
		}
		if len(r.Examples) == 0 {
			t.Errorf("rule %s has no example", r.Name)
		}
		for _, text := range r.Examples {
			got := table.Classify(bounce.Evidence{Stage: stage, Text: text})
			if got.Rule != r.Name || got.Reason != r.Reason {
				t.Errorf("rule %s: %q is for %s (%s, %q)", r.Name, text, got.Rule, got.Reason, got.Matched)
			}
		}
	}
}
