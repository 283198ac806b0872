// Package dkim signs mail (RFC 6376, RFC 8463): with several keys, the body
// hash computed once, relaxed canonical forms throughout.
package dkim

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Signer signs mail of one domain. It may be used from many goroutines.
type Signer struct {
	Domain string // d=
	Keys   []Key
	Now    func() time.Time // nil: time.Now
}

// signed are the fields that a signature covers, where they are there. Those
// that are oversigned are named once more than they occur, so that nobody can
// add another one that a reader would see (RFC 6376 section 8.15).
var signed = []struct {
	name string
	over bool
}{
	{"From", true}, {"To", true}, {"Cc", true}, {"Subject", true}, {"Date", true}, {"Message-ID", true},
	{"Reply-To", true}, {"In-Reply-To", false}, {"References", false},
	{"MIME-Version", true}, {"Content-Type", true}, {"Content-Transfer-Encoding", true},
	{"List-Id", false}, {"List-Help", false}, {"List-Unsubscribe", false}, {"List-Unsubscribe-Post", false},
	{"List-Subscribe", false}, {"List-Post", false}, {"List-Owner", false}, {"List-Archive", false}, {"Feedback-ID", false},
	{"X-Homing-Return", false},
}

// Sign gives the DKIM-Signature fields for a header block and the hash of its
// body, one for each key, with their line ends: they go before the block.
// head is the block without or with its empty line.
func (s *Signer) Sign(head []byte, body BodySum) ([]byte, error) {
	fields := parse(head)
	names, covered := cover(fields)
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	var out []byte
	for _, k := range s.Keys {
		field := s.field(k, names, body, now())
		h := sha256.New()
		h.Write(covered)
		h.Write(bytes.TrimSuffix(canonical([]byte(field)), []byte("\r\n")))
		sig, err := k.sign([sha256.Size]byte(h.Sum(nil)))
		if err != nil {
			return nil, fmt.Errorf("dkim: signing with selector %s: %w", k.Selector, err)
		}
		out = append(out, field...)
		out = append(out, fold(base64.StdEncoding.EncodeToString(sig))...)
		out = append(out, "\r\n"...)
	}
	return out, nil
}

// field is a DKIM-Signature field up to its empty b= tag.
func (s *Signer) field(k Key, names []string, body BodySum, now time.Time) string {
	var b strings.Builder
	b.WriteString("DKIM-Signature: v=1; a=" + k.algorithm + "; c=relaxed/relaxed;\r\n\td=" + s.Domain + "; s=" + k.Selector +
		"; t=" + strconv.FormatInt(now.Unix(), 10) + ";\r\n\th=")
	column := 3
	for i, name := range names {
		if i > 0 {
			b.WriteByte(':')
			column++
		}
		if column+len(name) > 72 {
			b.WriteString("\r\n\t ")
			column = 2
		}
		b.WriteString(name)
		column += len(name)
	}
	b.WriteString(";\r\n\tbh=" + base64.StdEncoding.EncodeToString(body[:]) + ";\r\n\tb=")
	return b.String()
}

// fold breaks a long value; white space in it is ignored (RFC 6376 section 3.5).
func fold(s string) string {
	var b strings.Builder
	for len(s) > 70 {
		b.WriteString(s[:70] + "\r\n\t ")
		s = s[70:]
	}
	return b.String() + s
}

// cover gives the h= list, and the canonical fields that it names, in order.
// Of several fields of one name the last one counts first (RFC 6376 section
// 5.4.2).
func cover(fields [][]byte) (names []string, canon []byte) {
	for _, want := range signed {
		n := 0
		for i := len(fields) - 1; i >= 0; i-- {
			if named(fields[i], want.name) {
				names = append(names, want.name)
				canon = append(canon, canonical(fields[i])...)
				n++
			}
		}
		if want.over {
			names = append(names, want.name)
		}
	}
	return names, canon
}

func named(field []byte, name string) bool {
	colon := bytes.IndexByte(field, ':')
	return colon >= 0 && strings.EqualFold(string(bytes.TrimRight(field[:colon], " \t")), name)
}

// parse cuts a header block into fields with their folds and line ends. It
// stops at the empty line.
func parse(head []byte) (fields [][]byte) {
	for len(head) > 0 {
		end := lineEnd(head)
		if end == 0 || len(bytes.TrimRight(head[:end], "\r\n")) == 0 {
			return fields
		}
		for end < len(head) && (head[end] == ' ' || head[end] == '\t') {
			end += lineEnd(head[end:])
		}
		fields = append(fields, head[:end])
		head = head[end:]
	}
	return fields
}

func lineEnd(b []byte) int {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	return len(b)
}

// canonical is the relaxed form of one field (RFC 6376 section 3.4.2).
func canonical(field []byte) []byte {
	name, value, _ := bytes.Cut(field, []byte(":"))
	out := append(bytes.ToLower(bytes.TrimRight(name, " \t")), ':')
	for i, word := range bytes.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' }) {
		if i > 0 {
			out = append(out, ' ')
		}
		out = append(out, word...)
	}
	return append(out, "\r\n"...)
}
