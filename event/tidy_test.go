package event_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"homing/event"
)

func TestWhatIsKeptOfWhatWasSaid(t *testing.T) {
	tests := []struct{ name, said, want string }{
		{"an ordinary reply", "550 5.1.1 user unknown", "550 5.1.1 user unknown"},
		{"nothing", "", ""},
		{"controls, and what moves a terminal", "550 \x1b[2Jgone\x00\r\n\u0085", "550  [2Jgone    "},
		{"octets that are no UTF-8", "550 \xffgone", "550 ?gone"},
		{"64 KiB", strings.Repeat("x", 64<<10), strings.Repeat("x", 1000)},
		{"a character across the limit", strings.Repeat("x", 999) + "ü", strings.Repeat("x", 999)},
		{"characters up to the limit", strings.Repeat("ü", 600), strings.Repeat("ü", 500)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (event.Outcome{Diagnostic: tt.said}).Tidy().Diagnostic; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// FuzzTidy states what Tidy promises of any outcome: every text is short,
// valid UTF-8 and free of controls, and tidying again changes nothing.
func FuzzTidy(f *testing.F) {
	f.Add("550 5.1.1 user unknown", "mx.example.net[198.51.100.7]")
	f.Add("\x1b\xff\u0085", strings.Repeat("ü", 400))
	f.Fuzz(func(t *testing.T, diagnostic, mta string) {
		got := event.Outcome{Diagnostic: diagnostic, RemoteMTA: mta, Status: mta, Rule: mta, Matched: diagnostic}.Tidy()
		for _, s := range []string{got.Diagnostic, got.RemoteMTA, got.Status, got.Rule, got.Matched} {
			if len(s) > 1000 || !utf8.ValidString(s) || strings.IndexFunc(s, unicode.IsControl) >= 0 {
				t.Errorf("kept %q", s)
			}
		}
		if len(got.RemoteMTA) > 300 || got.Tidy() != got {
			t.Errorf("%+v is not tidy", got)
		}
	})
}
