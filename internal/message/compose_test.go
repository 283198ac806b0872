package message

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// letterDate is when the letters of tests are written.
var letterDate = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func composedText(t *testing.T, l *Letter) string {
	t.Helper()
	if faults := l.Faults(); len(faults) > 0 {
		t.Fatalf("faults: %v", faults)
	}
	var b bytes.Buffer
	if err := l.Compose(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// outline gives the types of the parts of a message, as in "mixed(text/plain
// image/png)", with what those say that have no parts.
func outline(t *testing.T, header mail.Header, body io.Reader, leaves *[]leaf) string {
	t.Helper()
	kind, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		t.Fatalf("Content-Type %q: %v", header.Get("Content-Type"), err)
	}
	multi, ok := strings.CutPrefix(kind, "multipart/")
	if !ok {
		*leaves = append(*leaves, leafOf(t, kind, params, header, body))
		return kind
	}
	var words []string
	for r := multipart.NewReader(body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return multi + "(" + strings.Join(words, " ") + ")"
		}
		if err != nil {
			t.Fatal(err)
		}
		words = append(words, outline(t, mail.Header(p.Header), p, leaves))
	}
}

// A leaf is a part that has none, as other software reads it.
type leaf struct {
	kind, charset, disposition, filename, id, content string
}

func leafOf(t *testing.T, kind string, params map[string]string, header mail.Header, body io.Reader) leaf {
	t.Helper()
	switch encoding := header.Get("Content-Transfer-Encoding"); encoding {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "7bit", "8bit":
	default:
		t.Errorf("Content-Transfer-Encoding %q", encoding)
	}
	content, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	l := leaf{kind: kind, charset: params["charset"], id: strings.Trim(header.Get("Content-ID"), "<>"), content: string(content)}
	if d := header.Get("Content-Disposition"); d != "" {
		var more map[string]string
		if l.disposition, more, err = mime.ParseMediaType(d); err != nil {
			t.Fatalf("Content-Disposition %q: %v", d, err)
		}
		l.filename = more["filename"]
	}
	return l
}

// read gives the outline of a message and its leaves, as the standard library
// reads them.
func read(t *testing.T, text string) (*mail.Message, string, []leaf) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	var leaves []leaf
	return m, outline(t, m.Header, m.Body, &leaves), leaves
}

func TestALetterBecomesTheSimplestMessageThatSaysIt(t *testing.T) {
	logo := Attachment{Name: "logo.png", Type: "image/png", ContentID: "logo", Content: []byte{0x89, 'P', 'N', 'G', 0}}
	other := Attachment{Name: "rules.pdf", Type: "application/pdf", Content: []byte("%PDF")}
	tests := []struct {
		name   string
		letter Letter
		want   string
	}{
		{"text", Letter{Text: "x"}, "text/plain"},
		{"HTML", Letter{HTML: "x"}, "text/html"},
		{"both", Letter{Text: "x", HTML: "x"}, "alternative(text/plain text/html)"},
		{"a picture in HTML", Letter{HTML: "x", Attachments: []Attachment{logo}}, "related(text/html image/png)"},
		{"a picture in HTML with text", Letter{Text: "x", HTML: "x", Attachments: []Attachment{logo}}, "alternative(text/plain related(text/html image/png))"},
		{"a picture without HTML that shows it", Letter{Text: "x", Attachments: []Attachment{logo}}, "mixed(text/plain image/png)"},
		{"an attachment", Letter{Text: "x", Attachments: []Attachment{other}}, "mixed(text/plain application/pdf)"},
		{"an attachment alone", Letter{Attachments: []Attachment{other}}, "mixed(application/pdf)"},
		{"everything", Letter{Text: "x", HTML: "x", Attachments: []Attachment{other, logo, {Content: []byte("?")}}},
			"mixed(alternative(text/plain related(text/html image/png)) application/pdf application/octet-stream)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.letter.From = Mailbox{Address: "news@example.org"}
			if _, got, _ := read(t, composedText(t, &tt.letter)); got != tt.want {
				t.Errorf("it is %s, want %s", got, tt.want)
			}
		})
	}
}

func TestALetterIsWrittenSo(t *testing.T) {
	l := Letter{From: Mailbox{"Verein für Äpfel", "news@example.org"}, To: []Mailbox{{"Doe, Ann", "ann@example.net"}, {"", "bob@bücher.example"}},
		ReplyTo: []Mailbox{{"Office", "office@example.org"}}, Subject: "Grüße", Text: "Hallo Ann,\nschöne Grüße", Date: letterDate, MessageID: "<1@example.org>",
		Fields: []LetterField{{"X-Campaign", "spring"}, {"List-Unsubscribe", "<https://example.org/u/ü>"}}}
	want := strings.ReplaceAll(`From: =?utf-8?q?Verein_f=C3=BCr_=C3=84pfel?= <news@example.org>
To: "Doe, Ann" <ann@example.net>, bob@xn--bcher-kva.example
Reply-To: Office <office@example.org>
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
X-Campaign: spring
List-Unsubscribe: <https://example.org/u/%C3%BC>
Date: Mon, 23 Nov 2026 10:00:00 +0000
Message-ID: <1@example.org>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Hallo Ann,
sch=C3=B6ne Gr=C3=BC=C3=9Fe
`, "\n", "\r\n")
	if diff := cmp.Diff(want, composedText(t, &l)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestContentComesOutAsItWentIn(t *testing.T) {
	eml := "Subject: inside\n\nschön\n"
	l := Letter{From: Mailbox{Address: "news@example.org"}, Text: "a\r\nb\rc\n.\n..\nFrom here \n--\n" + strings.Repeat("long ", 400),
		HTML: "<p>" + strings.Repeat("Привет мир ", 200) + "</p>",
		Attachments: []Attachment{
			{Name: "Übersicht – final \"v2\".csv", Type: "text/csv; charset=utf-8; header=present", Content: []byte("a;b\n\x00\rü")},
			{Name: strings.Repeat("lang", 30) + ".txt", Type: "text/plain", Content: []byte("")},
			{Name: "old.eml", Type: "message/rfc822", Content: []byte(eml)},
			{Type: "image/gif", ContentID: "pixel@example.org", Content: []byte("GIF89a")},
		}}
	_, _, got := read(t, composedText(t, &l))
	want := []leaf{
		{kind: "text/plain", charset: "utf-8", content: "a\r\nb\r\nc\r\n.\r\n..\r\nFrom here \r\n--\r\n" + strings.Repeat("long ", 400) + "\r\n"},
		{kind: "text/html", charset: "utf-8", content: l.HTML + "\r\n"},
		{kind: "image/gif", disposition: "inline", id: "pixel@example.org", content: "GIF89a"},
		{kind: "text/csv", charset: "utf-8", disposition: "attachment", filename: l.Attachments[0].Name, content: "a;b\n\x00\rü"},
		{kind: "text/plain", disposition: "attachment", filename: l.Attachments[1].Name},
		{kind: "message/rfc822", disposition: "attachment", filename: "old.eml", content: strings.ReplaceAll(eml, "\n", "\r\n")},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(leaf{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestALetterThatNoMessageCanBeHasFaults(t *testing.T) {
	field := func(name, value string) Letter { return Letter{Fields: []LetterField{{name, value}}} }
	attachment := func(a Attachment) Letter { return Letter{Attachments: []Attachment{a}} }
	tests := []struct {
		name   string
		letter Letter
		want   string
	}{
		{"nothing to say", Letter{From: Mailbox{Address: "a@b"}}, "text: want a text, html or attachments"},
		{"no author", Letter{Text: "x"}, `from: want an address like ann@example.net, got ""`},
		{"an author with a field of his own", Letter{From: Mailbox{"A\r\nBcc: eve@example.com", "a@example.org"}}, "from: the name: want one line"},
		{"an address with a field of its own", Letter{To: []Mailbox{{"", "a@b"}, {"", "b@example.net\r\nBcc: eve@example.com"}}}, "to/1: want an address"},
		{"two addresses in one", Letter{Cc: []Mailbox{{"", "a@example.net,b@example.net"}}}, "cc/0: want an address"},
		{"a subject over two lines", Letter{Subject: "a\nBcc: eve@example.com"}, "subject: want one line"},
		{"a separator of lines", Letter{Subject: "a\u0085b"}, "subject: want one line"},
		{"a subject that is no UTF-8", Letter{Subject: "\xff"}, "subject: want UTF-8"},
		{"a long subject", Letter{Subject: strings.Repeat("a", 2001)}, "subject: want at most 2000 octets, got 2001"},
		{"a text that is no UTF-8", Letter{Text: "\xff"}, "text: want UTF-8"},
		{"a field over two lines", field("X-A", "b\r\nBcc: eve@example.com"), "headers/X-A: want one line"},
		{"a field without a name", field("", "b"), "headers/: want a name"},
		{"a field whose name is two fields", field("X-A: b\r\nBcc", "eve@example.com"), "headers/X-A: b\r\nBcc: want a name"},
		{"a field that has its own place", field("Subject", "x"), "headers/Subject: want subject in its place"},
		{"a field of the way", field("Received", "x"), "headers/Received: want none"},
		{"a field of MIME", field("content-type", "text/plain"), "headers/content-type: want none"},
		{"a field twice", Letter{Fields: []LetterField{{"X-A", "1"}, {"x-a", "2"}}}, "headers/x-a: want each field once"},
		{"an identifier of a message without a domain", field("Message-ID", "<4711>"), "headers/Message-ID: want an identifier"},
		{"a date that is none", field("Date", "today"), "headers/Date: want a date"},
		{"a type that is none", attachment(Attachment{Type: "pdf"}), `attachments/0/content_type: want a type like application/pdf, got "pdf"`},
		{"a type with a field of its own", attachment(Attachment{Type: "text/plain\r\nX: y"}), "attachments/0/content_type: want a type"},
		{"a part with parts", attachment(Attachment{Type: "multipart/mixed; boundary=x"}), "attachments/0/content_type: want a type of a file"},
		{"a message with long lines", attachment(Attachment{Type: "message/rfc822", Content: bytes.Repeat([]byte("x"), 999)}), "attachments/0/content_type: this message has"},
		{"a file with a way to it", attachment(Attachment{Name: "../x"}), "attachments/0/filename: want the name of a file"},
		{"a file over two lines", attachment(Attachment{Name: "x\ny"}), "attachments/0/filename: want one line"},
		{"an identifier with brackets", attachment(Attachment{ContentID: "<logo>"}), "attachments/0/content_id: want letters"},
		{"the same picture twice", Letter{Attachments: []Attachment{{ContentID: "a"}, {ContentID: "a"}}}, "attachments/1/content_id: another attachment"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var all []string
			for _, f := range tt.letter.Faults() {
				all = append(all, strings.Join(f.Where, "/")+": "+f.What)
			}
			if !slices.ContainsFunc(all, func(s string) bool { return strings.HasPrefix(s, tt.want) }) {
				t.Errorf("the faults are %q, want %q", all, tt.want)
			}
		})
	}
}

// FuzzCompose states what Compose promises of any Letter without Faults: lines
// end in CR LF and have at most 998 octets, there is no field but those that
// were given, and other software reads what was put in.
func FuzzCompose(f *testing.F) {
	f.Add("News", "news@example.org", "Ann", "ann@example.net", "Hello", "Text", "<p>", "X-A", "b", "a.txt", "text/plain", "logo", []byte("x"))
	f.Add("=?utf-8?q?x?=", "a@b", "\"Doe\", Ann", "ü@bücher.example", "=?utf-8?b?", "a\rb\n\x00", "\r\n.\r\n", "List-Id", "ü", "ü\".txt", "text/x; a=\"ü\"", "a@b", []byte("\r"))
	f.Add("a\r\nBcc: x@y", "a@b\r\nX: y", "", "", "a\nb", "", "", "Bcc", "x", "\r\n", "text/plain\r\nX: y", ">", []byte{})
	f.Fuzz(func(t *testing.T, name, from, toName, to, subject, text, html, field, value, file, kind, id string, content []byte) {
		l := Letter{From: Mailbox{name, from}, To: []Mailbox{{toName, to}, {Address: "x@example.net"}}, Subject: subject, Text: text, HTML: html,
			Fields: []LetterField{{field, value}}, Attachments: []Attachment{{file, kind, id, content}}, Date: letterDate, MessageID: "<1@example.org>"}
		for _, fault := range l.Faults() {
			mend(&l, fault)
		}
		written := composedText(t, &l)
		wantLines(t, written)
		m, _, leaves := read(t, written)
		wantFields(t, m, &l)
		wantLeaves(t, leaves, &l)
	})
}

// mend puts in the place of what has a fault something that has none, so that
// the rest of the Letter is tried.
func mend(l *Letter, f Fault) {
	switch f.Where[0] {
	case "from":
		l.From = Mailbox{Address: "news@example.org"}
	case "to":
		l.To = []Mailbox{{Address: "ann@example.net"}}
	case "subject":
		l.Subject = ""
	case "text", "html":
		l.Text, l.HTML = "x", ""
	case "headers":
		l.Fields = []LetterField{{"X-A", "b"}}
	case "attachments":
		l.Attachments = []Attachment{{}}
	}
}

func wantLines(t *testing.T, text string) {
	t.Helper()
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\r\n"), "\r\n") {
		if strings.ContainsAny(line, "\r\n\x00") || len(line) > MaxLine {
			t.Errorf("a line of %d octets: %.200q", len(line), line)
		}
	}
	if !strings.HasSuffix(text, "\r\n") {
		t.Errorf("the last line does not end: %.200q", text[max(0, len(text)-200):])
	}
}

func wantFields(t *testing.T, m *mail.Message, l *Letter) {
	t.Helper()
	want := []string{"From", "To", "Date", "Message-Id", "Mime-Version", "Content-Type"}
	if l.Subject != "" {
		want = append(want, "Subject")
	}
	for name := range m.Header {
		if !slices.ContainsFunc(append(want, l.Fields[0].Name, "Content-Transfer-Encoding"), func(w string) bool { return strings.EqualFold(w, name) }) {
			t.Errorf("there is a field %q, which nobody gave", name)
		}
	}
	for name, values := range m.Header {
		if len(values) != 1 {
			t.Errorf("there are %d fields %s", len(values), name)
		}
	}
	words := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	decoder := mime.WordDecoder{}
	if got, err := decoder.DecodeHeader(m.Header.Get("Subject")); err != nil || words(got) != words(l.Subject) {
		t.Errorf("the subject is %q, %v, want %q", got, err, l.Subject)
	}
	for field, want := range map[string][]Mailbox{"From": {l.From}, "To": l.To} {
		got := Mailboxes(m.Header.Get(field))
		if len(got) != len(want) {
			t.Fatalf("%s: %v in %q, want %v", field, got, m.Header.Get(field), want)
		}
		for i := range got {
			if words(got[i].Name) != words(want[i].Name) || got[i].Address != asciiDomain(want[i].Address) {
				t.Errorf("%s: %q, want %q", field, got[i], want[i])
			}
		}
	}
}

func wantLeaves(t *testing.T, leaves []leaf, l *Letter) {
	t.Helper()
	for _, says := range []struct{ kind, text string }{{"text/plain", l.Text}, {"text/html", l.HTML}} {
		if says.text == "" {
			continue
		}
		want := strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n", "\n", "\r\n").Replace(says.text)
		if !strings.HasSuffix(want, "\r\n") {
			want += "\r\n"
		}
		if got := leaves[0]; got.kind != says.kind || got.content != want {
			t.Errorf("%s: %q, want %q", got.kind, got.content, want)
		}
		leaves = leaves[1:]
	}
	a := l.Attachments[0]
	want := string(a.Content)
	if len(leaves) == 1 && leaves[0].kind == "message/rfc822" {
		want = string(crlf(a.Content))
	}
	if len(leaves) != 1 || leaves[0].content != want || leaves[0].filename != a.Name || leaves[0].id != a.ContentID {
		t.Errorf("attached is %+v, want %q", leaves, fmt.Sprint(a))
	}
}
