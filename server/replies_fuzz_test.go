package server

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"homing/internal/message"
	"homing/verp"
)

// FuzzAddress states that a reply with any header goes on from one address of
// ours, with one Reply-To that does not lead back here, its own From field beside
// them octet for octet, and all other fields as they were.
func FuzzAddress(f *testing.F) {
	f.Add("From: Ann <ann@example.net>\r\nSubject: Re\r\nReply-To: x@here.example, ann@example.net\r\nX: \t1\r\n 2\r\n")
	f.Add("From: a@example.net\r\nFrom: b@example.net\r\nReply-To:\r\nReply-To: =?utf-8?q?J=C3=B6rg?= <joerg@example.net>\r\nDate: today\r\n")
	f.Add("from\t: \"x\\\r\n")
	f.Add("Reply-To: \xff <a@here.example>, g: b@example.net;\r\n\r\n")
	back := func(m message.Mailbox) bool { return strings.HasSuffix(strings.ToLower(m.Address), "@here.example") }
	to := forwarding{mailing: mailing{as: &Domain{Name: "example.org", Path: verp.Path{Local: "return", Domain: "bounce.example.org", Separator: '+'}},
		author: message.Mailbox{Name: "News", Address: "news@example.org"}}, writer: message.Mailbox{Address: "ann@example.net"}}
	f.Fuzz(func(t *testing.T, block string) {
		h := message.ParseHeader([]byte(block))
		before := h.Clone()
		to.address(h, time.Unix(1e9, 0), back)
		again := message.ParseHeader(h.Block())
		from := message.Mailboxes(again.Get("From"))
		if again.Count("From") != 1 || len(from) != 1 || from[0].Address != "return@bounce.example.org" {
			t.Fatalf("From: %q", again.Values("From"))
		}
		answers := message.Mailboxes(again.Get("Reply-To"))
		if again.Count("Reply-To") != 1 || len(answers) == 0 || slices.ContainsFunc(answers, back) {
			t.Errorf("Reply-To: %q", again.Values("Reply-To"))
		}
		was, is := slices.Collect(before.All()), slices.Collect(h.All())
		if i := slices.IndexFunc(was, named("From")); i >= 0 {
			_, body, _ := bytes.Cut(was[i].Raw(), []byte(":"))
			if want := append([]byte(originalFrom+":"), body...); !bytes.Equal(is[0].Raw(), want) {
				t.Errorf("%q is kept as %q", was[i].Raw(), is[0].Raw())
			}
			is = is[1:]
		}
		ours := []string{"From", "Reply-To"}
		for _, name := range []string{"Date", "Message-ID"} {
			if !before.Has(name) {
				ours = append(ours, name)
			}
		}
		for _, name := range ours {
			was, is = slices.DeleteFunc(was, named(name)), slices.DeleteFunc(is, named(name))
		}
		if same := func(a, b message.Field) bool { return bytes.Equal(a.Raw(), b.Raw()) }; !slices.EqualFunc(was, is, same) {
			t.Errorf("the other fields are %v, want %v", is, was)
		}
	})
}

func named(name string) func(message.Field) bool {
	return func(f message.Field) bool { return strings.EqualFold(f.Name(), name) }
}
