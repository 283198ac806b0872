package message_test

import (
	"mime"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"homing/internal/message"
)

func TestFieldsBecomeASCII(t *testing.T) {
	long := strings.Repeat("ä", 600)
	tests := []struct {
		name  string
		field string
		want  string // "": unchanged
	}{
		{"ASCII keeps its octets", "Subject:  Hello \t world\r\n", ""},
		{"text in UTF-8", "Subject: Grüße aus Berlin\r\n", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= aus Berlin\r\n"},
		{"text in Latin-1", "Subject: Gr\xfc\xdfe\r\n", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"},
		{"text in Windows-1252", "Subject: 5 \x80\r\n", "Subject: 5 =?utf-8?b?4oKs?=\r\n"},
		{"words between", "Subject: ü b ü c\r\n", "Subject: =?utf-8?q?=C3=BC_b_=C3=BC?= c\r\n"},
		{"mostly outside of ASCII", "Subject: Привет\r\n", "Subject: =?utf-8?b?0J/RgNC40LLQtdGC?=\r\n"},
		{"encoded words stay, and the space is not lost", "Subject: =?utf-8?q?a?= ü =?utf-8?q?b?=\r\n",
			"Subject: =?utf-8?q?a?= =?utf-8?q?_=C3=BC_?= =?utf-8?q?b?=\r\n"},
		{"a folded field", "Subject: Grüße\r\n aus Köln\r\n", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe_aus_K=C3=B6ln?=\r\n"},
		{"an unknown field", "X-Note: ü\r\n", "X-Note: =?utf-8?b?w7w=?=\r\n"},
		{"a display name", "From: Jürgen Müller <j@example.org>\r\n", "From: =?utf-8?q?J=C3=BCrgen_M=C3=BCller?= <j@example.org>\r\n"},
		{"a quoted display name", "From: \"Müller, J.\" <j@example.org>\r\n", "From: =?utf-8?q?M=C3=BCller=2C_J=2E?= <j@example.org>\r\n"},
		{"only the name that needs it", "To: Ann <a@example.org>,\"Jörg\" <j@example.org>\r\n", "To: Ann <a@example.org>, =?utf-8?q?J=C3=B6rg?= <j@example.org>\r\n"},
		{"a comment", "To: j@example.org (Jörg)\r\n", "To: j@example.org (=?utf-8?q?J=C3=B6rg?=)\r\n"},
		{"a group's name", "To: Größe: a@example.org;\r\n", "To: =?utf-8?q?Gr=C3=B6=C3=9Fe?= : a@example.org;\r\n"},
		{"a domain", "To: j@bücher.example\r\n", "To: j@xn--bcher-kva.example\r\n"},
		{"a domain in brackets", "To: J <j@bücher.example>\r\n", "To: J <j@xn--bcher-kva.example>\r\n"},
		{"a local part cannot", "To: jörg@example.org\r\n", ""},
		{"a file name", "Content-Disposition: attachment; filename=\"Übersicht 1.pdf\"\r\n", "Content-Disposition: attachment; filename*=utf-8''%C3%9Cbersicht%201.pdf\r\n"},
		{"a long file name", "Content-Disposition: attachment; filename=" + strings.Repeat("ü", 10) + "\r\n",
			"Content-Disposition: attachment;\r\n filename*0*=utf-8''" + strings.Repeat("%C3%BC", 8) + ";\r\n filename*1*=%C3%BC%C3%BC\r\n"},
		{"a file name that is there twice", "Content-Disposition: attachment; filename=\"ü.pdf\"; filename*=utf-8''%C3%BC.pdf\r\n",
			"Content-Disposition: attachment; filename=\"?.pdf\"; filename*=utf-8''%C3%BC.pdf\r\n"},
		{"other parameters stay", "Content-Type: text/plain; charset=\"utf-8\"; name=ü\r\n", "Content-Type: text/plain; charset=\"utf-8\"; name*=utf-8''%C3%BC\r\n"},
		{"a boundary stays", "Content-Type: multipart/mixed; boundary=\"ü\"; name=\"ü\"\r\n", ""},
		{"a URI", "List-Unsubscribe: <https://example.org/ü>\r\n", "List-Unsubscribe: <https://example.org/%C3%BC>\r\n"},
		{"an identifier", "References: <ü@example.org>\r\n", "References: <?@example.org>\r\n"},
		{"a long text without spaces", "Subject: " + strings.Repeat("x", 1200) + "\r\n",
			"Subject: " + strings.TrimPrefix(strings.Repeat("\r\n =?utf-8?q?"+strings.Repeat("x", 63)+"?=", 19), "\r\n ") + "\r\n =?utf-8?q?xxx?=\r\n"},
		{"a long line with spaces", "X-Note: " + strings.Repeat("x ", 600) + "\r\n",
			"X-Note:" + strings.Repeat(" x", 35) + "\r\n" + strings.Repeat(strings.Repeat(" x", 39)+"\r\n", 14) + strings.Repeat(" x", 19) + "\r\n"},
		{"a long list of addresses without spaces", "To: " + strings.Repeat("ann@example.org,", 100) + "bob@example.org\r\n",
			"To: " + strings.TrimPrefix(strings.Repeat("\r\n ann@example.org, ann@example.org, ann@example.org, ann@example.org,", 25), "\r\n ") + "\r\n bob@example.org\r\n"},
		{"much text outside of ASCII", "Subject: " + long + "\r\n", "Subject: " +
			strings.TrimPrefix(strings.Repeat("\r\n "+mime.BEncoding.Encode("utf-8", strings.Repeat("ä", 22)), 27), "\r\n ") + "\r\n " + mime.BEncoding.Encode("utf-8", strings.Repeat("ä", 6)) + "\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.want
			if want == "" {
				want = tt.field
			}
			h := message.ParseHeader([]byte(tt.field))
			changed := h.Encode()
			if got := string(h.AppendTo(nil)); got != want || changed != (want != tt.field) {
				t.Errorf("changed %v:\n%q, want\n%q", changed, got, want)
			}
		})
	}
}

func TestWhatAFieldNeedsIsKnown(t *testing.T) {
	line := func(n int) string { return "A: " + strings.Repeat("x", n-3) + "\r\n" }
	tests := []struct {
		name        string
		head        string
		eight, long bool
	}{
		{"ASCII", "A: 1\r\n", false, false},
		{"8-bit", "A: 1\r\nB: ü\r\n", true, false},
		{"a line of 998", line(998), false, false},
		{"a line of 999", line(999), false, true},
		{"folded lines", line(998) + " " + strings.Repeat("y", 900) + "\r\n", false, false},
		{"a folded line of 999", line(998) + " " + strings.Repeat("y", 998) + "\r\n", false, true},
	}
	for _, tt := range tests {
		h := message.ParseHeader([]byte(tt.head))
		if h.EightBit() != tt.eight || h.LongLine() != tt.long {
			t.Errorf("%s: 8-bit %v, long line %v, want %v and %v", tt.name, h.EightBit(), h.LongLine(), tt.eight, tt.long)
		}
	}
}

var oneEncodedWord = regexp.MustCompile(`^=\?[^?]+\?[bBqQ]\?[^?]*\?=$`)

// FuzzEncodeText promises that text is ASCII in short lines afterwards, says
// the same to a reader, and needs nothing any more.
func FuzzEncodeText(f *testing.F) {
	for _, s := range []string{"Grüße aus  Köln", "=?utf-8?q?a?= ü =?utf-8?q?b?=", "\xfc \x80", strings.Repeat("x", 1000) + " y", "=? ü ?=", "a =?x?="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return ' '
			}
			return r
		}, text)
		for _, word := range append(strings.Fields(text), text) {
			got, err := new(mime.WordDecoder).DecodeHeader(word)
			glued := !strings.Contains(word, " ") && strings.Contains(word, "=?") && !oneEncodedWord.MatchString(word)
			if err != nil || glued || strings.Contains(word, "=?") && got == word {
				return // readers do not agree on what looks like an encoded word and is none, or touches another
			}
		}
		h := message.ParseHeader([]byte("Subject: " + text + "\r\n"))
		before := readable(t, h.Get("Subject"))
		h.Encode()
		if h.EightBit() || h.LongLine() {
			t.Errorf("%q becomes %q", text, h.Block())
		}
		if after := readable(t, h.Get("Subject")); after != before {
			t.Errorf("%q reads %q, and as %q it reads %q", text, before, h.Block(), after)
		}
		if h.Encode() {
			t.Errorf("%q changes again, to %q", text, h.Block())
		}
	})
}

// readable gives text as a reader sees it, white space folded.
func readable(t *testing.T, s string) string {
	t.Helper()
	f := message.ParseFields([]byte("Subject: " + s + "\r\n"))
	return strings.Join(strings.Fields(f.Text("Subject")), " ")
}

// FuzzEncodeField promises of every field that it is ASCII in lines that fit,
// unless it says that it cannot be, and that it is done after one time.
func FuzzEncodeField(f *testing.F) {
	for _, name := range []string{"To", "Content-Type", "References", "List-Unsubscribe", "Subject", "Received"} {
		f.Add(name, "Jürgen <j@bücher.example>, \"ü\" (ä); x=\"ü\"; y*=ü")
		f.Add(name, strings.Repeat("x@example.org,", 100))
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		value = strings.NewReplacer("\r", "", "\n", "\r\n ", "\x00", "").Replace(value)
		h := message.ParseHeader([]byte(name + ": " + value + "\r\n"))
		addresses := message.Mailboxes(h.Get(name))
		h.Encode()
		once := string(h.Block())
		if h.Encode() {
			t.Errorf("%s: %q becomes %q and then %q", name, value, once, h.Block())
		}
		broken := func(r rune) bool { return r < ' ' || r == utf8.RuneError || unicode.IsSpace(r) && r != ' ' } // what an address ends at is anybody's guess
		if strings.EqualFold(name, "To") && !strings.ContainsAny(value, "\"\\()<>") && !strings.ContainsFunc(value, broken) {
			if after := message.Mailboxes(h.Get(name)); len(after) != len(addresses) {
				t.Errorf("To: %q has %q, and as %q it has %q", value, addresses, once, after)
			}
		}
	})
}
