package message

import (
	"fmt"
	"mime"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A Letter is what a message says, for Compose to make one of it. Texts are
// UTF-8 as people read them: nothing in them is encoded yet.
type Letter struct {
	From            Mailbox
	To, Cc, ReplyTo []Mailbox
	Subject         string
	Text, HTML      string // "": not there; any line ends
	Fields          []LetterField
	Attachments     []Attachment
	Date            time.Time
	MessageID       string // "<x@example.org>"; for letters whose Fields have none
}

// A LetterField is a further field of the header. Its value is kept as it is
// where it is ASCII, and may be structured.
type LetterField struct{ Name, Value string }

// An Attachment goes with a Letter. One with a ContentID is shown within the
// HTML, which names it as "cid:" and the ContentID.
type Attachment struct {
	Name      string // of the file; "": none
	Type      string // "image/png"; "": application/octet-stream
	ContentID string // without brackets
	Content   []byte
}

// A Fault is something in a Letter that no message can have.
type Fault struct {
	Where []string // names and numbers that lead to it: "attachments", "0", "filename"
	What  string   // what is wanted
}

// Most that a Letter has.
const (
	maxLetterName   = 500 // octets of a name of a person
	maxLetterText   = 2000
	maxLetterField  = 16 << 10 // octets of a value
	maxLetterFields = 100
	maxFileName     = 255
	maxContentID    = 200
	maxAttachments  = 100
)

// letterFields are fields that Compose makes of the rest of a Letter, or that
// belong to the way of a message, in lower case.
var letterFields = map[string]string{
	"from": "from", "to": "to", "cc": "cc", "bcc": "bcc", "reply-to": "reply_to", "subject": "subject",
	"mime-version": "", "received": "", "return-path": "", "dkim-signature": "", "resent-bcc": "",
}

// Faults gives all that is wrong with a Letter, by the names that its parts
// have in JSON. A Letter without any can be composed.
func (l *Letter) Faults() (all []Fault) {
	fault := func(what string, where ...string) { all = append(all, Fault{where, what}) }
	l.mailboxFaults(fault)
	if what := lineFault(l.Subject, maxLetterText); what != "" {
		fault(what, "subject")
	}
	for _, t := range []struct{ where, text string }{{"text", l.Text}, {"html", l.HTML}} {
		if !utf8.ValidString(t.text) {
			fault("want UTF-8", t.where)
		}
	}
	if l.Text == "" && l.HTML == "" && len(l.Attachments) == 0 {
		fault("want a text, html or attachments: a message needs something to say", "text")
	}
	l.fieldFaults(fault)
	l.attachmentFaults(fault)
	return all
}

func (l *Letter) mailboxFaults(fault func(what string, where ...string)) {
	check := func(m Mailbox, where ...string) {
		if _, _, ok := SplitAddress(m.Address); !ok || !utf8.ValidString(m.Address) || len(m.Address) > 2*maxFileName {
			fault(fmt.Sprintf("want an address like ann@example.net, got %q", clipped(m.Address)), where...)
		}
		if what := lineFault(m.Name, maxLetterName); what != "" {
			fault("the name: "+what, where...)
		}
	}
	check(l.From, "from")
	for _, list := range []struct {
		where string
		boxes []Mailbox
	}{{"to", l.To}, {"cc", l.Cc}, {"reply_to", l.ReplyTo}} {
		for i, m := range list.boxes {
			check(m, list.where, fmt.Sprint(i))
		}
	}
}

// clipped is a text that is quoted in a sentence.
func clipped(s string) string {
	if len(s) <= 100 {
		return s
	}
	return s[:cutRunes(s, 100)] + "…"
}

// lineFault says what is wrong with a text of one line; "": nothing. A line
// break in it would begin a field of its own.
func lineFault(s string, limit int) string {
	switch {
	case !utf8.ValidString(s):
		return "want UTF-8"
	case strings.ContainsFunc(s, unicode.IsControl):
		return "want one line without control characters"
	case len(s) > limit:
		return fmt.Sprintf("want at most %d octets, got %d", limit, len(s))
	}
	return ""
}

func (l *Letter) fieldFaults(fault func(what string, where ...string)) {
	if len(l.Fields) > maxLetterFields {
		fault(fmt.Sprintf("want at most %d fields, got %d", maxLetterFields, len(l.Fields)), "headers")
		return
	}
	seen := map[string]bool{}
	for _, f := range l.Fields {
		lower := strings.ToLower(f.Name)
		instead, made := letterFields[lower]
		switch {
		case seen[lower]:
			fault("want each field once", "headers", f.Name)
		case !fieldName(f.Name):
			fault("want a name of a field: letters, digits and hyphens", "headers", f.Name)
		case instead != "":
			fault("want "+instead+" in its place", "headers", f.Name)
		case made || strings.HasPrefix(lower, "content-"):
			fault("want none: the server writes this field", "headers", f.Name)
		case lower == "message-id" && !messageID(f.Value):
			fault("want an identifier like <20261123.4711@example.org>", "headers", f.Name)
		case lower == "date" && !date(f.Value):
			fault("want a date like Mon, 23 Nov 2026 10:00:00 +0000", "headers", f.Name)
		}
		seen[lower] = true
		if what := lineFault(strings.ReplaceAll(f.Value, "\t", " "), maxLetterField); what != "" {
			fault(what, "headers", f.Name)
		}
	}
}

// messageID reports whether s may identify a message (RFC 5322 section 3.6.4).
func messageID(s string) bool {
	inside, ok := strings.CutPrefix(s, "<")
	inside, closed := strings.CutSuffix(inside, ">")
	left, right, at := strings.Cut(inside, "@")
	return ok && closed && at && left != "" && right != "" && len(s) <= maxFileName && !eightBit([]byte(s)) && !strings.ContainsAny(inside, " \t<>")
}

func date(s string) bool {
	_, err := mail.ParseDate(s)
	return err == nil
}

// fieldName reports whether s may name a field of ours: RFC 5322 section 3.6.8
// allows more signs, which nobody uses and some software stumbles over.
func fieldName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return s != "" && len(s) <= 76
}

func (l *Letter) attachmentFaults(fault func(what string, where ...string)) {
	if len(l.Attachments) > maxAttachments {
		fault(fmt.Sprintf("want at most %d attachments, got %d", maxAttachments, len(l.Attachments)), "attachments")
		return
	}
	seen := map[string]bool{}
	for i, a := range l.Attachments {
		at := func(what, field string) { fault(what, "attachments", fmt.Sprint(i), field) }
		if what := lineFault(a.Name, maxFileName); what != "" {
			at(what, "filename")
		} else if strings.ContainsAny(a.Name, `/\`) {
			at("want the name of a file without the way to it", "filename")
		}
		if what := typeFault(a); what != "" {
			at(what, "content_type")
		}
		switch {
		case a.ContentID == "":
		case !contentID(a.ContentID):
			at("want letters, digits and . _ - + @, like logo or logo@example.org", "content_id")
		case seen[a.ContentID]:
			at("another attachment has the same one", "content_id")
		}
		seen[a.ContentID] = true
	}
}

// typeFault says what is wrong with the type of an attachment; "": nothing.
func typeFault(a Attachment) string {
	if a.Type == "" {
		return ""
	}
	kind, params, err := mime.ParseMediaType(a.Type)
	main, sub, ok := strings.Cut(kind, "/")
	switch {
	case err != nil || !ok || !paramName(main) || !paramName(sub) || len(a.Type) > maxLetterText || strings.ContainsFunc(a.Type, unicode.IsControl):
		return fmt.Sprintf("want a type like application/pdf, got %q", clipped(a.Type))
	case main == "multipart" || main == "message" && sub != "rfc822":
		return "want a type of a file, or message/rfc822 for a whole message"
	case main == "message" && !plainMessage(a.Content):
		return "this message has NUL octets or lines of more than 998 octets: attach it as application/octet-stream"
	}
	for name, value := range params {
		if !paramName(name) || !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
			return "want parameters of a type that are text"
		}
	}
	return ""
}

// plainMessage reports whether a message may stand within another as it is,
// but for its line ends: no encoding is allowed there (RFC 2046 section 5.2.1).
func plainMessage(content []byte) bool {
	scan := &Scan{}
	scan.Write(crlf(content)) // never fails
	return !scan.LongLine() && !strings.Contains(string(content), "\x00")
}

func contentID(s string) bool {
	for i := range len(s) {
		if c := s[i]; !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._-+@", c) >= 0) {
			return false
		}
	}
	return len(s) <= maxContentID
}
