package event_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"homing/event"
)

func TestMetadataIsAnObjectOfTextsWithinBounds(t *testing.T) {
	many := map[string]string{}
	for i := range 21 {
		many[fmt.Sprint(i)] = ""
	}
	tests := []struct {
		name  string
		texts map[string]string
		want  event.Metadata
		error string // "": none
	}{
		{"none", nil, "", ""},
		{"sorted by name", map[string]string{"b": "2", "a": "1\n\"ü\""}, `{"a":"1\n\"ü\"","b":"2"}`, ""},
		{"an empty text", map[string]string{"a": ""}, `{"a":""}`, ""},
		{"an empty name", map[string]string{"": "x"}, "", "names of 1 to 64 octets"},
		{"a long name", map[string]string{strings.Repeat("a", 65): "x"}, "", "names of 1 to 64 octets"},
		{"a name over two lines", map[string]string{"a\nb": "x"}, "", "without control characters"},
		{"no UTF-8", map[string]string{"a": "\xff"}, "", "want UTF-8"},
		{"too many", many, "", "at most 20 texts, got 21"},
		{"too long", map[string]string{"a": strings.Repeat("x", 2041)}, "", "at most 2048 octets as JSON, got 2049"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := event.MetadataOf(tt.texts)
			if got != tt.want || (err == nil) != (tt.error == "") || err != nil && !strings.Contains(err.Error(), tt.error) {
				t.Errorf("MetadataOf = %q, %v, want %q, %q", got, err, tt.want, tt.error)
			}
		})
	}
}

func TestAnEventShowsMetadataAsAnObjectAndReadsItAgain(t *testing.T) {
	texts := map[string]string{"order": "4711", "note": "<b>"}
	m, err := event.MetadataOf(texts)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(event.Event{Type: event.Accepted, Metadata: m})
	if err != nil {
		t.Fatal(err)
	}
	var shown struct {
		Metadata map[string]string `json:"metadata"`
	}
	var again event.Event
	if err := json.Unmarshal(text, &shown); err != nil || !maps.Equal(shown.Metadata, texts) {
		t.Errorf("%s shows %v, %v", text, shown.Metadata, err)
	}
	if err := json.Unmarshal(text, &again); err != nil || again.Metadata != m {
		t.Errorf("%s is read as %q, %v", text, again.Metadata, err)
	}
	if text, err := json.Marshal(event.Event{Type: event.Accepted}); err != nil || strings.Contains(string(text), "metadata") {
		t.Errorf("an event without shows %s, %v", text, err)
	}
}
