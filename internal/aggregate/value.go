package aggregate

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"homing/internal/dnsx"
)

// addressOf reads an address in the spellings that occur: in brackets, with a
// prefix length, a zone, or zeros in front. It is not valid where it is none.
func addressOf(text string) netip.Addr {
	text = strings.Trim(strings.TrimSpace(text), "[]")
	if rest, ok := cutPrefixFold(text, "ipv6:"); ok {
		text = rest
	}
	text, _, _ = strings.Cut(text, "/")
	text, _, _ = strings.Cut(text, "%")
	text = strings.Trim(text, "[] ")
	a, err := netip.ParseAddr(text)
	if err != nil {
		a, err = netip.ParseAddr(unpadded(text))
	}
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap()
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// unpadded takes zeros from the front of the numbers of an address.
func unpadded(text string) string {
	if len(text) > 64 {
		return text
	}
	separator := ":"
	if !strings.Contains(text, ":") {
		separator = "."
	}
	numbers := strings.Split(text, separator)
	for i, n := range numbers {
		if short := strings.TrimLeft(n, "0"); short != "" || n == "" {
			numbers[i] = short
		} else {
			numbers[i] = "0"
		}
	}
	return strings.Join(numbers, separator)
}

// countOf reads a number of messages or sessions. ok is false where it is
// none, or less than none; what is over MaxCount is MaxCount.
func countOf(text string) (n int, ok bool) {
	text = strings.TrimSpace(text)
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || v < 0 || len(text) > 64 {
		return 0, false
	}
	return int(min(v, MaxCount)), true
}

// Years in which a report can have been written.
const (
	firstYear = 2010
	lastYear  = 2200
)

// timeForms are spellings of times besides seconds since 1970.
var timeForms = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02"}

// timeOf reads a time: seconds (or thousandths of them) since 1970, or a date.
// The zero Time where it is none.
func timeOf(text string) time.Time {
	text = strings.TrimSpace(text)
	var t time.Time
	if v, err := strconv.ParseFloat(text, 64); err == nil && v > 0 {
		if v > 1e11 {
			v /= 1000
		}
		if v < 1e11 {
			t = time.Unix(int64(v), 0)
		}
	} else {
		for _, form := range timeForms {
			if t, err = time.Parse(form, text); err == nil {
				break
			}
		}
	}
	if t = t.UTC(); t.Year() < firstYear || t.Year() > lastYear {
		return time.Time{}
	}
	return t
}

// domainOf reads the name of a domain; "": it is none.
func domainOf(text string) string {
	text = strings.TrimSpace(text)
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		text = text[at+1:]
	}
	name, err := dnsx.Canonical(strings.Trim(text, ". \t<>"))
	if err != nil {
		return ""
	}
	return name
}

// spanOf completes the time that a report is about: one without an end is
// about a day.
func (h *Head) spanOf() {
	switch {
	case h.End.IsZero():
		h.End = h.Begin.Add(24 * time.Hour)
	case h.End.Before(h.Begin):
		h.End = h.Begin
	}
}
