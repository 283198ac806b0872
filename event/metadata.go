package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Metadata is what an application gave with a message and reads in every event
// about it: a JSON object of texts, "" where it gave none. It means nothing
// to us.
type Metadata string

// Most that Metadata holds: all events of all recipients carry it.
const (
	maxMetadata     = 2048 // octets of the JSON
	maxMetadataSize = 20   // texts
	maxMetadataName = 64   // octets of a name
)

// MetadataOf makes Metadata. The error says what is wrong with the texts.
func MetadataOf(texts map[string]string) (Metadata, error) {
	if len(texts) == 0 {
		return "", nil
	}
	if len(texts) > maxMetadataSize {
		return "", fmt.Errorf("want at most %d texts, got %d", maxMetadataSize, len(texts))
	}
	for name, text := range texts {
		switch {
		case name == "" || len(name) > maxMetadataName:
			return "", fmt.Errorf("want names of 1 to %d octets, got one of %d", maxMetadataName, len(name))
		case !utf8.ValidString(name) || !utf8.ValidString(text) || strings.ContainsFunc(name, unicode.IsControl):
			return "", errors.New("want UTF-8, and names without control characters")
		}
	}
	object, err := json.Marshal(texts) // sorted by name
	if err != nil {
		return "", err
	}
	if len(object) > maxMetadata {
		return "", fmt.Errorf("want at most %d octets as JSON, got %d", maxMetadata, len(object))
	}
	return Metadata(object), nil
}

// MarshalJSON gives the object.
func (m Metadata) MarshalJSON() ([]byte, error) {
	if m == "" {
		return []byte("null"), nil
	}
	return []byte(m), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (m *Metadata) UnmarshalJSON(b []byte) error {
	var texts map[string]string
	if err := json.Unmarshal(b, &texts); err != nil {
		return err
	}
	made, err := MetadataOf(texts)
	*m = made
	return err
}
