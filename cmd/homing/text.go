package main

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// printable makes text that came from outside harmless to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// clip gives at most limit characters of a text, on one line.
func clip(s string, limit int) string {
	s = printable(strings.Join(strings.Fields(s), " "))
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}

// clock is a time as people read it, in their own zone.
func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }
