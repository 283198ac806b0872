package nearest_test

import (
	"strings"
	"testing"

	"homing/internal/nearest"
)

func TestWord(t *testing.T) {
	tests := []struct{ text, want string }{
		{"subission", "submission"},
		{"submisison", "submission"}, // two letters exchanged
		{"SMTP", "smtp"},
		{"smtpp", "smtp"},
		{"lmpt", "lmtp"},
		{"port", ""},
		{"", ""},
		{strings.Repeat("smtp", 100), ""},
	}
	for _, tt := range tests {
		if got := nearest.Word(tt.text, []string{"lmtp", "smtp", "submission"}); got != tt.want {
			t.Errorf("Word(%q) = %q, want %q", tt.text, got, tt.want)
		}
	}
}
