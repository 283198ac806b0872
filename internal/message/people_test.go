package message

import (
	"strings"
	"testing"
	"unicode"
)

func TestPeople(t *testing.T) {
	tests := []struct{ name, value, want, wrong string }{
		{"an address", "ann@example.net", "ann@example.net", ""},
		{"several, with empty places", "ann@example.net, bob@example.net,,", "ann@example.net bob@example.net", ""},
		{"names are left out", `Ann <ann@example.net>, "Bob, the builder" <bob@example.net>`, "ann@example.net bob@example.net", ""},
		{"comments are left out", "ann@example.net (Ann), (Bob (the)) bob@example.net", "ann@example.net bob@example.net", ""},
		{"a group is taken apart", "Friends: ann@example.net, Bob <bob@example.net>;, eve@example.net", "ann@example.net bob@example.net eve@example.net", ""},
		{"a group of nobody", "undisclosed-recipients:;", "", ""},
		{"a quoted local part keeps its quotes", `"ann smith"@example.net`, `"ann smith"@example.net`, ""},
		{"an old source route is left out", "<@a.test,@b.test:ann@example.net>", "ann@example.net", ""},
		{"spaces around dots and the at sign", "ann . smith @ example . net", "ann.smith@example.net", ""},
		{"an address literal", "ann@[IPv6:2001:db8::1]", "ann@[IPv6:2001:db8::1]", ""},
		{"a user of the machine", "root", "root@here", ""},
		{"a user in brackets, with a name", "Charlie Root <root>", "root@here", ""},
		{"a user as cron writes it", "root (Cron Daemon)", "root@here", ""},
		{"a quoted user", `"john doe"`, `"john doe"@here`, ""},
		{"words that are no address", "undisclosed recipients", "", "undisclosed recipients"},
		{"a comma is missing", "<ann@example.net> <bob@example.net>", "", "<ann@example.net><bob@example.net>"},
		{"a comma is missing between words", "ann@example.net bob@example.net", "", "ann@example.net bob@example.net"},
		{"words behind the brackets", "<ann@example.net> Ann", "", "<ann@example.net> Ann"},
		{"a bracket is missing", "Ann <ann@example.net", "", "Ann <ann@example.net"},
		{"nothing in the brackets", "<>", "", "<>"},
		{"two at signs", "ann@b@example.net", "", "ann@b@example.net"},
		{"no local part", "@example.net", "", "@example.net"},
		{"no domain behind the at sign", "ann@", "", "ann@"},
		{"a command behind a line end", "ann@example.net\r\nRCPT TO:<eve@example.net>", "eve@example.net", "ann@example.net\r\nRCPT TO"},
		{"a command behind a quote", "\"ann\r\n\"@example.net", "", "\"ann\r\n\"@example.net"},
		{"one wrong one among others", "ann@example.net, @, bob@example.net", "ann@example.net bob@example.net", "@"},
		{"only a comment", "(nobody)", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all, wrong := People(tt.value, "here")
			var got []string
			for _, m := range all {
				got = append(got, m.Address)
			}
			if g := strings.Join(got, " "); g != tt.want || strings.Join(wrong, "|") != tt.wrong {
				t.Errorf("People(%q) = %q, wrong %q, want %q, %q", tt.value, g, wrong, tt.want, tt.wrong)
			}
		})
	}
}

func TestPeopleKeepsNamesForTheHeader(t *testing.T) {
	for value, want := range map[string]Mailbox{
		"root (Cron Daemon)":          {"Cron Daemon", "root@here"},
		"Charlie Root <root>":         {"Charlie Root", "root@here"},
		"root":                        {"", "root@here"},
		`"Ann, S." <ann@example.net>`: {"Ann, S.", "ann@example.net"},
	} {
		if all, wrong := People(value, "here"); len(all) != 1 || all[0] != want || wrong != nil {
			t.Errorf("People(%q) = %+v, %q, want %+v", value, all, wrong, want)
		}
	}
}

// FuzzPeople states what People promises of any text: it ends, each address
// can be said in SMTP and reads back as itself, and a text that is not empty
// gives something, wrong or right, unless it is a group of nobody.
func FuzzPeople(f *testing.F) {
	for _, seed := range []string{"ann@example.net", `"a b"@c, root (x), g: <@a:b@c>;`, "a@[1.2.3.4]", "\"\\", "<a@b", "((", "ü@ö.test", "a:b@c;", "a@[>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		all, wrong := People(value, "here")
		for _, m := range all {
			if local, domain, ok := SplitAddress(m.Address); !ok || local == "" || domain == "" || strings.IndexFunc(m.Address, unicode.IsControl) >= 0 {
				t.Errorf("People(%q) gives %q, which is none", value, m.Address)
			}
			again, w := People("<"+m.Address+">", "there")
			if len(again) != 1 || again[0].Address != m.Address || w != nil {
				t.Errorf("People(%q) gives %q, which reads as %+v, %q", value, m.Address, again, w)
			}
		}
		if len(all)+len(wrong) == 0 && strings.ContainsRune(value, '@') && !strings.ContainsAny(value, ":(\"\\") {
			t.Errorf("People(%q) gives nothing", value)
		}
	})
}
