package smtpclient

import (
	"bufio"
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"homing/internal/reply"
)

func TestReadReply(t *testing.T) {
	tests := []struct {
		name   string
		octets string
		want   reply.Reply
		err    error
	}{
		{"one line", "250 ok\r\n", reply.Reply{Code: 250, Text: "ok"}, nil},
		{"a code alone", "250\r\n", reply.Reply{Code: 250}, nil},
		{"LF alone ends a line", "250 ok\n", reply.Reply{Code: 250, Text: "ok"}, nil},
		{"several lines", "250-mx\r\n250-SIZE\r\n250 HELP\r\n", reply.Reply{Code: 250, Text: "mx\nSIZE\nHELP"}, nil},
		{"an empty line among several", "550-no\r\n550-\r\n550 sorry\r\n", reply.Reply{Code: 550, Text: "no\n\nsorry"}, nil},
		{"an enhanced status code", "550 5.1.1 no such user\r\n", reply.Reply{Code: 550, Enhanced: reply.Enhanced{5, 1, 1}, Text: "no such user"}, nil},
		{"one on every line", "550-5.1.1 no\r\n550 5.1.1 such user\r\n", reply.Reply{Code: 550, Enhanced: reply.Enhanced{5, 1, 1}, Text: "no\nsuch user"}, nil},
		{"another one on the second line stays text", "550-5.1.1 no\r\n550 5.7.1 you\r\n", reply.Reply{Code: 550, Enhanced: reply.Enhanced{5, 1, 1}, Text: "no\n5.7.1 you"}, nil},
		{"one on the second line alone", "550-no\r\n550 5.1.1 such user\r\n", reply.Reply{Code: 550, Enhanced: reply.Enhanced{5, 1, 1}, Text: "no\nsuch user"}, nil},
		{"one of three digits", "554 5.7.515 not yet\r\n", reply.Reply{Code: 554, Enhanced: reply.Enhanced{5, 7, 515}, Text: "not yet"}, nil},
		{"one of another class is text", "550 4.1.1 what\r\n", reply.Reply{Code: 550, Text: "4.1.1 what"}, nil},
		{"an address is none", "250 2.0.0.1 hello\r\n", reply.Reply{Code: 250, Text: "2.0.0.1 hello"}, nil},
		{"nothing after it", "250 2.0.0\r\n", reply.Reply{Code: 250, Enhanced: reply.Enhanced{2, 0, 0}}, nil},
		{"control characters become spaces", "250 a\x00b\tc\x1b[31m\rd\r\n", reply.Reply{Code: 250, Text: "a b c [31m d"}, nil},
		{"what is not UTF-8 becomes question marks", "550 caf\xe9 \xff\r\n", reply.Reply{Code: 550, Text: "caf? ?"}, nil},
		{"UTF-8 stays", "550 nieznany użytkownik\r\n", reply.Reply{Code: 550, Text: "nieznany użytkownik"}, nil},
		{"mixed codes", "250-ok\r\n550 no\r\n", reply.Reply{}, ErrProtocol},
		{"no code", "hello\r\n", reply.Reply{}, ErrProtocol},
		{"an empty line", "\r\n", reply.Reply{}, ErrProtocol},
		{"a code of no class", "150 hm\r\n", reply.Reply{}, ErrProtocol},
		{"a code that is too long", "2500 hm\r\n", reply.Reply{}, ErrProtocol},
		{"the longest line", "250 " + strings.Repeat("x", 1994) + "\r\n", reply.Reply{Code: 250, Text: strings.Repeat("x", 1994)}, nil},
		{"one octet more", "250 " + strings.Repeat("x", 1995) + "\r\n", reply.Reply{}, ErrProtocol},
		{"a line without an end", "250 " + strings.Repeat("x", 8000), reply.Reply{}, ErrProtocol},
		{"too many lines", strings.Repeat("250-x\r\n", 9400) + "250 x\r\n", reply.Reply{}, ErrProtocol},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readReply(bufio.NewReader(strings.NewReader(tt.octets)))
			if !errors.Is(err, tt.err) {
				t.Fatalf("got error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); err == nil && diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzReadReply states what is promised of any peer: no more than a reply is
// taken in, the code is one, the text is safe to show, and a reply reads the
// same when it is said again.
func FuzzReadReply(f *testing.F) {
	f.Add("250-mx\r\n250 SIZE\r\n")
	f.Add("550-5.1.1 no\n550 5.1.1 \x00\xff\r\n")
	f.Add("250-a\r\n251 b\r\n")
	f.Add("354")
	f.Fuzz(func(t *testing.T, octets string) {
		r, err := readReply(bufio.NewReader(strings.NewReader(octets)))
		if err != nil {
			return
		}
		if r.Code < 200 || r.Code > 599 || len(r.Text) > MaxReply || !utf8.ValidString(r.Text) {
			t.Errorf("%q is %+v", octets, r)
		}
		for _, c := range r.Text {
			if c != '\n' && unicode.IsControl(c) {
				t.Errorf("%q has %q in its text", octets, c)
			}
		}
		if e := r.Enhanced[0]; e != 0 && e != r.Code/100 {
			t.Errorf("%q has %v for %d", octets, r.Enhanced, r.Code)
		}
	})
}

// FuzzParseOffers states what is promised of any reply to EHLO: what it offers
// is on a line of its own after the first, whatever its letter case, and a
// limit is never negative.
func FuzzParseOffers(f *testing.F) {
	f.Add("mx\nPIPELINING\nSIZE 1000\nauth=login plain")
	f.Add("PIPELINING")
	f.Add("mx\nsize -1\nSIZE\n\n \nAUTH")
	f.Fuzz(func(t *testing.T, text string) {
		o := parseOffers(text)
		if o.size < 0 {
			t.Errorf("%q limits messages to %d octets", text, o.size)
		}
		_, rest, _ := strings.Cut(text, "\n")
		if o.pipelining && !strings.Contains(strings.ToUpper(rest), "PIPELINING") {
			t.Errorf("%q does not offer PIPELINING", text)
		}
	})
}

func TestParseOffers(t *testing.T) {
	o := parseOffers("mx.example.net PIPELINING\nsize 1000\nAUTH PLAIN\nAUTH=LOGIN CRAM-MD5\nStartTLS\n")
	if o.pipelining || o.size != 1000 || !o.has("STARTTLS") || !o.auth("PLAIN") || !o.auth("LOGIN") || o.auth("XOAUTH2") {
		t.Errorf("got %+v", o)
	}
	if o := parseOffers("mx\nPIPELINING\nSIZE 99999999999999999999"); !o.pipelining || o.has("DSN") {
		t.Errorf("got %+v", o)
	}
}
