// Package terminal writes text that came from outside so that whoever looks
// at it in a terminal sees it, and the terminal obeys none of it: no control
// characters, no escape sequences, no change of writing direction.
package terminal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// instead is what stands for a character that must not be shown.
const instead = '?'

// Line gives a text on one line, with white space as single spaces.
func Line(s string) string {
	return strings.Map(shown, strings.Join(strings.Fields(s), " "))
}

// Clip is Line with at most limit characters; "…" is the last one where
// something is missing.
func Clip(s string, limit int) string {
	s = Line(s)
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}

// maxQuoted is how much of a text Quote shows, in octets.
const maxQuoted = 80

// Quote gives the beginning of a text in double quotes, with escapes for what
// must not be shown: so it stands in sentences about what somebody wrote.
func Quote(s string) string {
	if len(s) > maxQuoted {
		s = strings.ToValidUTF8(s[:maxQuoted], "") + "…"
	}
	return strconv.Quote(s)
}

// Lines gives a text with its line ends and tabs, and everything else made
// harmless.
func Lines(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return shown(r)
	}, s)
}

// shown gives what to write for a character.
func shown(r rune) rune {
	switch {
	case r == utf8.RuneError:
		return instead
	case unicode.IsPrint(r):
		return r
	case unicode.Is(unicode.Zs, r): // all spaces but the usual one
		return ' '
	}
	return instead
}

// JSON gives a value as JSON on one line, which ends in a line feed. What no
// terminal should see is escaped, so that nothing is lost; unlike
// json.Marshal it leaves "<", ">" and "&" as they are.
func JSON(v any) ([]byte, error) { return encode(v, "") }

// IndentedJSON is JSON for people: two spaces for each level.
func IndentedJSON(v any) ([]byte, error) { return encode(v, "  ") }

func encode(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return escape(b.Bytes()), nil
}

// escape writes as \u… what is left in JSON that a terminal could act on.
// Outside of strings JSON has none of it.
func escape(text []byte) []byte {
	if !bytes.ContainsFunc(text, escaped) {
		return text
	}
	var b bytes.Buffer
	for _, r := range string(text) {
		switch {
		case !escaped(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}

func escaped(r rune) bool { return r != '\n' && r != utf8.RuneError && shown(r) != r }

// A Writer passes text on to W as Lines has it. A character may come in
// several pieces. It is for one goroutine.
type Writer struct {
	W    io.Writer
	rest []byte // the beginning of a character
}

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	text := append(w.rest, p...)
	end := len(text) - unfinished(text)
	if _, err := io.WriteString(w.W, Lines(string(text[:end]))); err != nil {
		return 0, err
	}
	w.rest = append([]byte(nil), text[end:]...)
	return len(p), nil
}

// unfinished counts the octets at the end of text that begin a character of
// more octets.
func unfinished(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if last := text[len(text)-n:]; utf8.RuneStart(last[0]) {
			if utf8.FullRune(last) {
				return 0
			}
			return n
		}
	}
	return 0
}
