package message_test

import (
	"fmt"
	"net/mail"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"homing/internal/message"
)

func TestMailboxes(t *testing.T) {
	one := func(name, address string) []message.Mailbox { return []message.Mailbox{{Name: name, Address: address}} }
	tests := []struct {
		name  string
		value string
		want  []message.Mailbox
	}{
		{"an address alone", "ann@example.net", one("", "ann@example.net")},
		{"in brackets", "<ann@example.net>", one("", "ann@example.net")},
		{"with a name", "Ann Lee <ann@example.net>", one("Ann Lee", "ann@example.net")},
		{"with a quoted name", `"Lee, Ann \"A\"" <ann@example.net>`, one(`Lee, Ann "A"`, "ann@example.net")},
		{"with an unquoted comma", "Lee, Ann <ann@example.net>", one("Ann", "ann@example.net")},
		{"with dots in the name", "A. B. Lee <ann@example.net>", one("A. B. Lee", "ann@example.net")},
		{"with an address as name", "bob@example.org <ann@example.net>", one("bob@example.org", "ann@example.net")},
		{"with encoded words", "=?utf-8?q?J=C3=BCrgen?= =?utf-8?b?TcO8bGxlcg==?= <j@example.net>", one("JürgenMüller", "j@example.net")},
		{"with raw UTF-8", "Jürgen Müller <j@example.net>", one("Jürgen Müller", "j@example.net")},
		{"with raw Latin-1", "J\xfcrgen <j@example.net>", one("Jürgen", "j@example.net")},
		{"with a comment", "ann@example.net (Ann Lee)", one("Ann Lee", "ann@example.net")},
		{"with nested comments", "Ann (a (b) \\) c) <ann@example.net> (d)", one("Ann", "ann@example.net")},
		{"several", "a@example.net, B <b@example.net>,, c@example.net", []message.Mailbox{
			{Address: "a@example.net"}, {Name: "B", Address: "b@example.net"}, {Address: "c@example.net"}}},
		{"a group", "Friends: a@example.net, B <b@example.net>; c@example.net", []message.Mailbox{
			{Address: "a@example.net"}, {Name: "B", Address: "b@example.net"}, {Address: "c@example.net"}}},
		{"an empty group", "undisclosed-recipients:;", nil},
		{"a quoted local part", `"ann lee"@example.net`, one("", `"ann lee"@example.net`)},
		{"a quoted local part with an at sign and a comma", `X <"a@b,c"@example.net>`, one("X", `"a@b,c"@example.net`)},
		{"an address literal", "ann@[IPv6:2001:db8::1]", one("", "ann@[IPv6:2001:db8::1]")},
		{"an old source route", "<@a.example,@b.example:ann@example.net>", one("", "ann@example.net")},
		{"white space around dots", "ann . lee @ example . net", one("", "ann.lee@example.net")},
		{"white space in brackets", "Ann < ann@example.net >", one("Ann", "ann@example.net")},
		{"an address outside of ASCII", "jürgen@bücher.example", one("", "jürgen@bücher.example")},
		{"brackets that do not end", "Ann <ann@example.net", one("Ann", "ann@example.net")},
		{"quotes that do not end", `"Ann <ann@example.net>`, nil},
		{"no domain", "ann@", nil},
		{"no local part", "@example.net", nil},
		{"words without an address", "Ann Lee", nil},
		{"two at signs", "a@b@example.net", nil},
		{"nothing", "", nil},
		{"the null address", "<>", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := message.Mailboxes(tt.value)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Mailboxes(%q) (-want +got):\n%s", tt.value, diff)
			}
			first, ok := message.FirstMailbox(tt.value)
			if ok != (len(tt.want) > 0) || ok && first != tt.want[0] {
				t.Errorf("FirstMailbox(%q) = %+v, %v", tt.value, first, ok)
			}
		})
	}
}

func TestSplitAddress(t *testing.T) {
	tests := []struct {
		address       string
		local, domain string
		ok            bool
	}{
		{"ann@example.net", "ann", "example.net", true},
		{`"a@b"@example.net`, `"a@b"`, "example.net", true},
		{`"a\"@b"@example.net`, `"a\"@b"`, "example.net", true},
		{"ann@[192.0.2.1]", "ann", "[192.0.2.1]", true},
		{`"a"b@example.net`, "", "", false},
		{`a"b@example.net`, "", "", false},
		{"a b@example.net", "", "", false},
		{"a@exam ple.net", "", "", false},
		{"a@b@example.net", "", "", false},
		{"ann@example.net\r\nRCPT TO:<x@y>", "", "", false},
		{"ann", "", "", false},
		{"@example.net", "", "", false},
		{"ann@", "", "", false},
		{"ann@[IPv6:2001:db8::1]", "ann", "[IPv6:2001:db8::1]", true},
		{"ann@[192.0.2.1", "", "", false},
		{"ann@[]", "", "", false},
		{"ann@[>", "", "", false},
		{"ann@[a]b]", "", "", false},
	}
	for _, tt := range tests {
		local, domain, ok := message.SplitAddress(tt.address)
		if ok != tt.ok || ok && (local != tt.local || domain != tt.domain) {
			t.Errorf("SplitAddress(%q) = %q, %q, %v, want %q, %q, %v", tt.address, local, domain, ok, tt.local, tt.domain, tt.ok)
		}
	}
}

// FuzzMailboxes promises that every address found is one that can stand in an
// envelope, in a reply and in a log line, and that what net/mail reads without
// comments, groups and obsolete forms is read alike.
func FuzzMailboxes(f *testing.F) {
	for _, s := range []string{
		"Ann <ann@example.net>, bob@example.net", `G: "x, y" <"a b"@example.net>;`, "a@b (c (d))", `"\`, "<<>>,:;([",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		value = strings.NewReplacer("\r", "", "\n", "").Replace(value)
		got := message.Mailboxes(value)
		for _, m := range got {
			if _, _, ok := message.SplitAddress(m.Address); !ok || strings.ContainsAny(m.Address, "\r\n\x00") {
				t.Errorf("Mailboxes(%q) has %q", value, m.Address)
			}
		}
		want, err := mail.ParseAddress(value)
		odd := func(r rune) bool { return unicode.IsControl(r) || r != ' ' && unicode.IsSpace(r) }
		if err != nil || strings.ContainsAny(value, "():;\\\"[]=") || strings.IndexFunc(value, odd) >= 0 {
			return
		}
		if len(got) != 1 || got[0].Address != want.Address {
			t.Errorf("Mailboxes(%q) = %q, net/mail reads %q", value, got, want.Address)
		}
	})
}

func ExampleFirstMailbox() {
	m, ok := message.FirstMailbox("=?utf-8?q?J=C3=BCrgen?= <news@example.org>, bob@example.com")
	fmt.Println(m.Name, m.Address, ok)
	// Output: Jürgen news@example.org true
}
