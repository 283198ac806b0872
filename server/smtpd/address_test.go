package smtpd

import (
	"errors"
	"strings"
	"testing"
)

func TestMailbox(t *testing.T) {
	tests := []struct {
		name, arg, want string
		err             error
	}{
		{"plain", "<ann@example.net>", "ann@example.net", nil},
		{"space before it", "  <ann@example.net>", "ann@example.net", nil},
		{"without brackets", "ann@example.net SIZE=1", "ann@example.net", nil},
		{"case is kept", "<Ann.B@Example.NET>", "Ann.B@Example.NET", nil},
		{"return address of CiviCRM", "<civi+b.2.1.789b7abdf5bfdc1a@bounce.example.org>", "civi+b.2.1.789b7abdf5bfdc1a@bounce.example.org", nil},
		{"all that needs no quotes", "<!#$%&'*+-/=?^_`{|}~@example.net>", "!#$%&'*+-/=?^_`{|}~@example.net", nil},
		{"dots where they should not be", "<ann..b.@example.net>", "ann..b.@example.net", nil},
		{"quotes without need", `<"ann"@example.net>`, "ann@example.net", nil},
		{"quoted pairs without need", `<"a\nn"@example.net>`, "ann@example.net", nil},
		{"quotes that a space needs", `<"a b"@example.net>`, `"a b"@example.net`, nil},
		{"quotes that dots need", `<"a..b"@example.net>`, `"a..b"@example.net`, nil},
		{"kept octet for octet", `<"a\b c\""@example.net>`, `"a\b c\""@example.net`, nil},
		{"quoted at sign and bracket", `<"a@b>c"@example.net>`, `"a@b>c"@example.net`, nil},
		{"empty quotes", `<""@example.net>`, `""@example.net`, nil},
		{"source route", "<@a.example.org,@b.example.org:ann@example.net>", "ann@example.net", nil},
		{"address literals", "<ann@[IPv6:2001:db8::1]>", "ann@[IPv6:2001:db8::1]", nil},
		{"underscore in the domain", "<ann@my_host.example.net>", "ann@my_host.example.net", nil},
		{"8-bit, allowed", "<\xc3\xa4@\xc3\xb6.test>", "ä@ö.test", nil},
		{"longest local part", "<" + strings.Repeat("x", 255) + "@example.net>", strings.Repeat("x", 255) + "@example.net", nil},
		{"no local part", "<@example.net>", "", errMailbox},
		{"no domain", "<ann>", "", errMailbox},
		{"empty domain", "<ann@>", "", errMailbox},
		{"empty label", "<ann@example..net>", "", errMailbox},
		{"root label", "<ann@example.net.>", "", errMailbox},
		{"two at signs", "<ann@b@example.net>", "", errMailbox},
		{"space in it", "<a nn@example.net>", "", errMailbox},
		{"quotes in the middle", `<a"n"n@example.net>`, "", errMailbox},
		{"two quoted strings", `<"a""b"@example.net>`, "", errMailbox},
		{"the last quote is quoted", `<"ann\"@example.net>`, "", errSyntax},
		{"open quotes", `<"ann@example.net>`, "", errSyntax},
		{"control character", "<a\tb@example.net>", "", errMailbox},
		{"control character in quotes", "<\"a\x7f\"@example.net>", "", errMailbox},
		{"a control character of UTF-8", "<a\xc2\x85b@example.net>", "", errMailbox},
		{"not UTF-8", "<\xff@example.net>", "", errMailbox},
		{"open bracket", "<ann@example.net", "", errSyntax},
		{"text behind the bracket", "<ann@example.net>x", "", errSyntax},
		{"nothing", "", "", errSyntax},
		{"local part too long", "<" + strings.Repeat("x", 256) + "@example.net>", "", errMailbox},
		{"domain too long", "<ann@" + strings.Repeat("x.", 127) + "xx>", "", errMailbox},
		{"open literal", "<ann@[192.0.2.1>", "", errMailbox},
		{"empty literal", "<ann@[]>", "", errMailbox},
		{"source route without an end", "<@a.example.org>", "", errMailbox},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path, _, err := cutPath(tt.arg)
			got := ""
			if err == nil {
				got, err = parseMailbox(path, true)
			}
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("%q: got %q, %v, want %q, %v", tt.arg, got, err, tt.want, tt.err)
			}
		})
	}
}

func TestXtext(t *testing.T) {
	tests := []struct {
		in, want string
		ok       bool
	}{
		{"QQ314159", "QQ314159", true},
		{"a+2Bb+3D+20c", "a+b= c", true},
		{"+2b", "+", true},
		{"", "", true},
		{"a+", "", false},
		{"a+2", "", false},
		{"a+0D+0Ab", "", false},
		{"+00", "", false},
		{"+7F", "", false},
		{"+80", "", false},
		{"+-1", "", false},
		{"a=b", "", false},
		{"a b", "", false},
		{"a\x80", "", false},
	}
	for _, tt := range tests {
		got, err := decodeXtext(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%q: got %q, %v, want %q, valid: %v", tt.in, got, err, tt.want, tt.ok)
		}
	}
}

func TestOriginalRecipient(t *testing.T) {
	tests := []struct {
		in, want string
		utf8     bool
	}{
		{"rfc822;ann@example.net", "rfc822;ann@example.net", false},
		{"RFC822;ann+2Bx@example.net", "rfc822;ann+x@example.net", false},
		{"x400;/C+3DDE/", "x400;/C=DE/", false},
		{`utf-8;\x{E4}@example.net`, "utf-8;ä@example.net", false},
		{`utf-8;ä@example.net`, "utf-8;ä@example.net", true},
		{`utf-8;ä@example.net`, "", false},
		{`utf-8;\x{D}\x{A}@example.net`, "", true},
		{`utf-8;\x{110000}`, "", true},
		{`utf-8;\x{D800}`, "", true},
		{`utf-8;\x{E4`, "", true},
		{`utf-8;\`, "", true},
		{"rfc822;", "", false},
		{";ann@example.net", "", false},
		{"ann@example.net", "", false},
		{"rfc822;a+0Ab", "", false},
		{"rfc822;" + strings.Repeat("x", 500), "", false},
		{"rfc\xc3\xa4;x", "", true},
	}
	for _, tt := range tests {
		got, err := decodeOriginal(tt.in, tt.utf8)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q: got %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestNotify(t *testing.T) {
	for list, want := range map[string]bool{
		"NEVER": true, "SUCCESS": true, "SUCCESS,FAILURE,DELAY": true, "DELAY,SUCCESS": true,
		"": false, "NEVER,DELAY": false, "DELAY,DELAY": false, "SUCCESS,": false, "SOMETIMES": false,
	} {
		if got := validNotify(list); got != want {
			t.Errorf("%q: got %v, want %v", list, got, want)
		}
	}
}
