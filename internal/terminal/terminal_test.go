package terminal_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"homing/internal/terminal"
)

func ExampleClip() {
	fmt.Println(terminal.Clip("550 5.1.1\r\n<ann@example.net>: \x1b[2Jno such user here", 30))
	// Output: 550 5.1.1 <ann@example.net>: …
}

func ExampleQuote() {
	fmt.Println(terminal.Quote("a \"word\"\x1b[31m"), len([]rune(terminal.Quote(strings.Repeat("é", 100)))))
	// Output: "a \"word\"\x1b[31m" 43
}

func TestWhatATerminalWouldObeyIsNotShown(t *testing.T) {
	tests := []struct {
		name, in, line, lines string
	}{
		{"ordinary text", "Grüße, 你好", "Grüße, 你好", "Grüße, 你好"},
		{"an escape sequence", "\x1b[31mred", "?[31mred", "?[31mred"},
		{"the same in one octet of C1", "\u009b31mred", "?31mred", "?31mred"},
		{"a bell, a delete and a NUL", "a\ab\x7fc\x00", "a?b?c?", "a?b?c?"},
		{"line ends and tabs", "a\r\n\tb", "a b", "a?\n\tb"},
		{"right to left override", "gro.\u202eelpmaxe", "gro.?elpmaxe", "gro.?elpmaxe"},
		{"octets that are no UTF-8", "caf\xe9", "caf?", "caf?"},
		{"a space that does not break", "a\u00a0b", "a b", "a b"},
		{"a line separator", "a\u2028b", "a b", "a?b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := terminal.Line(tt.in); got != tt.line {
				t.Errorf("Line(%q) = %q, want %q", tt.in, got, tt.line)
			}
			if got := terminal.Lines(tt.in); got != tt.lines {
				t.Errorf("Lines(%q) = %q, want %q", tt.in, got, tt.lines)
			}
		})
	}
}

func TestJSONSaysEverythingHarmlessly(t *testing.T) {
	in := map[string]string{"a": "<ü> & \x1b[2J \u009b31m \x7f \u202e \U000e0041 \u00a0"}
	got, err := terminal.JSON(in)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"a":"<ü> & \u001b[2J \u009b31m \u007f \u202e \udb40\udc41 \u00a0"}` + "\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	indented, err := terminal.IndentedJSON(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{got, indented} {
		var back map[string]string
		if err := json.Unmarshal(text, &back); err != nil || back["a"] != in["a"] {
			t.Errorf("%q reads as %q, %v", text, back, err)
		}
	}
}

// broken is a value that cannot be JSON.
type broken struct{ F func() }

func TestWhatCannotBeJSONIsAnError(t *testing.T) {
	if text, err := terminal.JSON(broken{}); err == nil {
		t.Errorf("JSON of a function = %q, want an error", text)
	}
}

func TestWriterTakesCharactersInPieces(t *testing.T) {
	var b strings.Builder
	w := terminal.Writer{W: &b}
	for _, octet := range []byte("ü€😀\x1b\u009bx\xe2y\n") {
		if n, err := w.Write([]byte{octet}); n != 1 || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	if got, want := b.String(), "ü€😀??x?y\n"; got != want {
		t.Errorf("written octet by octet: %q, want %q", got, want)
	}
}

// FuzzWriter states that however text is cut, the same comes out, and nothing
// of it is for a terminal to obey.
func FuzzWriter(f *testing.F) {
	f.Add("ü\x1b[2J", 1)
	f.Add("\xf0\x9f\x98\x80\u202e", 2)
	f.Fuzz(func(t *testing.T, text string, cut int) {
		text += "\n" // a text that ends within a character is never finished
		at := 0
		if cut > 0 {
			at = cut % len(text)
		}
		var b strings.Builder
		w := terminal.Writer{W: &b}
		w.Write([]byte(text[:at]))
		w.Write([]byte(text[at:]))
		if got, want := b.String(), terminal.Lines(text); got != want {
			t.Errorf("in two pieces %q, in one %q", got, want)
		}
		for _, r := range b.String() {
			if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
				t.Errorf("%q has %U", b.String(), r)
			}
		}
	})
}
