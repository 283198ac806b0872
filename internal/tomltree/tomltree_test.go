package tomltree_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"homing/internal/tomltree"
)

func ExampleParse() {
	tree, err := tomltree.Parse([]byte("a = 'x'\n\n[[rule]]\ncode = [\n  550,\n]\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	rule := tree.In["rule"].List[0]
	fmt.Println(tree.Keys, rule.Line, rule.In["code"].Line, rule.In["code"].List[0].Line, rule.In["code"].List[0].Text)
	// Output: [a rule] 3 4 5 550
}

func TestWhatIsNotTOMLIsNamedWithItsLine(t *testing.T) {
	tests := []struct {
		name, text string
		line       int
		key        string
	}{
		{"text without quotes", "a = 1\nb = c\n", 2, ""},
		{"a key twice", "a = 1\n\na = 2\n", 3, "a"},
		{"a quote that is not closed", "a = \"b\n", 1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tomltree.Parse([]byte(tt.text))
			var wrong *tomltree.SyntaxError
			if !errors.As(err, &wrong) || wrong.Line != tt.line || wrong.Key != tt.key || !strings.Contains(wrong.What, "not TOML") {
				t.Errorf("Parse(%q): %v, want line %d, key %q", tt.text, err, tt.line, tt.key)
			}
		})
	}
}

func TestTooLongATextIsNotRead(t *testing.T) {
	if _, err := tomltree.Parse([]byte(strings.Repeat("#", tomltree.MaxOctets+1))); !errors.Is(err, tomltree.ErrTooLong) {
		t.Errorf("error %v, want ErrTooLong", err)
	}
}

// FuzzParse promises of any text that Parse does not panic, and that each line
// it gives is one of the text.
func FuzzParse(f *testing.F) {
	f.Add("a = 1\n[b.c]\nd = [1,\n {e = 'f'}]\n[[g]]\nh.i = 2020-01-01\n")
	f.Add("a = \n")
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Count(text, "\n") + 1
		tree, err := tomltree.Parse([]byte(text))
		var wrong *tomltree.SyntaxError
		if errors.As(err, &wrong) && (wrong.Line < 1 || wrong.Line > lines) {
			t.Errorf("the mistake is on line %d of %d", wrong.Line, lines)
		}
		var walk func(v *tomltree.Value)
		walk = func(v *tomltree.Value) {
			if v.Line < 1 || v.Line > lines {
				t.Errorf("a value on line %d of %d", v.Line, lines)
			}
			for _, e := range v.List {
				walk(e)
			}
			for _, k := range v.Keys {
				walk(v.In[k])
			}
		}
		if err == nil {
			walk(tree)
		}
	})
}
