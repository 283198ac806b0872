package bounce_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homing/bounce"
)

func bouncesDocument(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/BOUNCES.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheDocumentShowsWhatClassifyAnswers(t *testing.T) {
	rd := bounce.NewReader(bounce.NewTable())
	shown := regexp.MustCompile("(?s)\\$ echo '(.*?)' \\| homing classify\n(.*?)```").FindAllStringSubmatch(bouncesDocument(t), -1)
	if len(shown) == 0 {
		t.Fatal("docs/BOUNCES.md shows no answer of homing classify")
	}
	for _, m := range shown {
		r, err := rd.ReadAny(strings.NewReader(m[1] + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		if err := rd.Explain(&got, r); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m[2], got.String()); diff != "" {
			t.Errorf("what %q means differs from docs/BOUNCES.md (-there +here):\n%s", m[1], diff)
		}
	}
}

func TestTheDocumentHasEveryReasonWithItsUsualClassAndType(t *testing.T) {
	document := bouncesDocument(t)
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (hard|soft|sender|none)[^|]*\\| ([A-Za-z]*) *\\|")
	rows := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(document, -1) {
		rows[m[1]] = true
		rule := bounce.Rule{Name: "ours", Words: []string{"zyzzyva"}, Reason: bounce.Reason(m[1])}
		v := bounce.NewTable(rule).Classify(bounce.Evidence{Text: "zyzzyva"})
		if string(v.Class) != m[2] || v.CiviCRM != m[3] {
			t.Errorf("%s is %s, %q, docs/BOUNCES.md says %s, %q", m[1], v.Class, v.CiviCRM, m[2], m[3])
		}
	}
	for _, r := range bounce.NewTable().Rules() {
		if !rows[string(r.Reason)] {
			t.Errorf("docs/BOUNCES.md has no row for %s, which rule %s gives", r.Reason, r.Name)
		}
	}
}

func TestTheDocumentNamesRulesThatAreThere(t *testing.T) {
	var names []string
	for _, r := range bounce.NewTable().Rules() {
		names = append(names, r.Name)
	}
	named := regexp.MustCompile("`((?:google|yahoo|orange|words|near|link|status|stage|code)-[a-z0-9.-]+)`").FindAllStringSubmatch(bouncesDocument(t), -1)
	if len(named) < 10 {
		t.Fatalf("docs/BOUNCES.md names %d rules, want those of its table", len(named))
	}
	for _, m := range named {
		if !slices.Contains(names, m[1]) {
			t.Errorf("docs/BOUNCES.md speaks of a rule %s, which there is not", m[1])
		}
	}
}

func TestRulesInTheDocumentAreRight(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```toml\n(\\[\\[rule\\]\\].*?)```").FindAllStringSubmatch(bouncesDocument(t), -1)
	if len(blocks) == 0 {
		t.Fatal("docs/BOUNCES.md shows no rules")
	}
	for _, m := range blocks {
		if _, err := bounce.ParseRules([]byte(m[1])); err != nil {
			t.Errorf("rules in docs/BOUNCES.md:\n%s%v", m[1], err)
		}
	}
}
