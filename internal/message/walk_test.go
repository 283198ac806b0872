package message_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/internal/message"
)

func walk(t testing.TB, text string) message.Mail {
	t.Helper()
	m, err := message.Walker{}.Walk(strings.NewReader(text))
	if err != nil {
		t.Fatalf("Walk: %v", err)
	}
	return m
}

// outline is each part with its depth, its type and its text.
func outline(m message.Mail) []string {
	var out []string
	for i := range m.Parts {
		p := &m.Parts[i]
		out = append(out, fmt.Sprintf("%d %s %q", p.Depth, p.Type, strings.TrimSpace(p.Text())))
	}
	return out
}

func TestWalkFindsParts(t *testing.T) {
	const two = "--b\nContent-Type: text/plain\n\none\n--b\nContent-Type: text/html\n\n<p>two\n--b--\n"
	tests := []struct {
		name string
		text string
		want []string
	}{
		{"a message without MIME is one text", "Subject: s\n\nhello\n", []string{`0 text/plain "hello"`}},
		{"a message without a body is one empty text", "Subject: s\n", []string{`0 text/plain ""`}},
		{"a multipart is its parts", "Content-Type: multipart/mixed; boundary=b\n\npreamble\n" + two + "epilogue\n",
			[]string{`1 text/plain "one"`, `1 text/html "<p>two"`}},
		{"CR LF is as good as LF", strings.ReplaceAll("Content-Type: multipart/mixed; boundary=b\n\n"+two, "\n", "\r\n"),
			[]string{`1 text/plain "one"`, `1 text/html "<p>two"`}},
		{"multiparts nest", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=b\n\n" + two + "--a\n\nthree\n--a--\n",
			[]string{`2 text/plain "one"`, `2 text/html "<p>two"`, `1 text/plain "three"`}},
		{"the last delimiter may be missing", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo", []string{`1 text/plain "one"`, `1 text/plain "two"`}},
		{"the inner last delimiter may be missing", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--a\n\ntwo\n--a--\n",
			[]string{`2 text/plain "one"`, `1 text/plain "two"`}},
		{"a multipart that names no delimiter takes the first that is followed by a part", "Content-Type: multipart/mixed\n\n" + two,
			[]string{`1 text/plain "one"`, `1 text/html "<p>two"`}},
		{"so does one that names another", "Content-Type: multipart/mixed; boundary=c\n\n" + two, []string{`1 text/plain "one"`, `1 text/html "<p>two"`}},
		{"a signature is no delimiter", "Content-Type: multipart/mixed\n\n--\nAnn\n", []string{`1 text/plain "--\nAnn"`}},
		{"a multipart without any delimiter is its text", "Content-Type: multipart/report; boundary=b\n\nwhat happened\n", []string{`1 text/plain "what happened"`}},
		{"a message inside is one part", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nx\n--b--\n",
			[]string{`1 message/rfc822 "Content-Type: multipart/mixed; boundary=c\n\n--c\n\nx"`}},
		{"an mbox line is no header", "From ann@example.org Thu Apr 29 23:34:45 2010\nContent-Type: text/html\n\n<b>\n", []string{`0 text/html "<b>"`}},
		{"empty lines before the header are passed over", "\n\nContent-Type: text/html\n\n<b>\n", []string{`0 text/html "<b>"`}},
		{"so is a byte order mark", "\ufeffContent-Type: text/html\n\n<b>\n", []string{`0 text/html "<b>"`}},
		{"a header may lack the empty line behind it", "Content-Type: text/html\n<b>hello</b>\n", []string{`0 text/html "<b>hello</b>"`}},
		{"a line of white space inside a header is a fold", "Subject: a\n \nContent-Type: text/html\n\n<b>\n", []string{`0 text/html "<b>"`}},
		{"a line of white space behind a header ends it", "Content-Type: text/html\n \n<b>\n", []string{`0 text/html "<b>"`}},
		{"base64 is decoded past what is no base64", "Content-Transfer-Encoding: base64\n\naGVs!!bG8=\n", []string{`0 text/plain "hello"`}},
		{"quoted-printable is decoded past what is none", "Content-Transfer-Encoding: quoted-printable\n\nh=65llo =zz=\n!\n", []string{`0 text/plain "hello =zz!"`}},
		{"a charset is decoded", "Content-Type: text/plain; charset=iso-8859-15\nContent-Transfer-Encoding: quoted-printable\n\n=A4\n", []string{`0 text/plain "€"`}},
		{"UTF-8 is UTF-8 whatever it is called", "Content-Type: text/plain; charset=iso-8859-1\n\nZoë\n", []string{`0 text/plain "Zoë"`}},
		{"ISO-2022-JP is known by its escapes", "Content-Type: text/plain; charset=us-ascii\n\n\x1b$B%a!<%k\x1b(B\n", []string{`0 text/plain "メール"`}},
		{"EUC-JP that is called ISO-2022-JP is Japanese still", "Content-Type: text/plain; charset=iso-2022-jp\n\n\xa5\xe1\xa1\xbc\xa5\xeb\n", []string{`0 text/plain "メール"`}},
		{"an unknown charset is read as Windows-1252", "Content-Type: text/plain; charset=x-what\n\nZo\xeb\n", []string{`0 text/plain "Zoë"`}},
		{"a charset in quotes that never end", "Content-Type: text/plain; charset=\"iso-8859-1\n\nZo\xeb\n", []string{`0 text/plain "Zoë"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, outline(walk(t, tt.text))); diff != "" {
				t.Errorf("parts differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFields(t *testing.T) {
	f := message.ParseFields([]byte("Subject: =?utf-8?B?WmE=?=\r\n =?utf-8?Q?nne?=\r\nnonsense\r\nTo : ann@example.org\r\nTO: bob@example.org\r\nX-Empty:\r\nX-Broken: =?utf-8?B?\xff\r\n"))
	got := []any{f.Len(), f.Get("subject"), f.Text("Subject"), f.Values("to"), f.Has("X-EMPTY"), f.Get("X-Empty"), f.Has("nonsense"), f.Text("X-Broken")}
	want := []any{5, "=?utf-8?B?WmE=?= =?utf-8?Q?nne?=", "Zanne", []string{"ann@example.org", "bob@example.org"}, true, "", false, "=?utf-8?B?ÿ"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields differ (-want +got):\n%s", diff)
	}
}

func TestContentType(t *testing.T) {
	tests := []struct{ name, body, kind, boundary string }{
		{"as RFC 2045 wants it", `multipart/mixed; boundary="a b"; x=y`, "multipart/mixed", "a b"},
		{"in capitals, without quotes", `Multipart/Report; report-type=delivery-status;BOUNDARY=a/b.c=d`, "multipart/report", "a/b.c=d"},
		{"without a semicolon", `multipart/mixed boundary=x`, "multipart/mixed", "x"},
		{"with a quoted pair", `multipart/mixed; boundary="a\"b"`, "multipart/mixed", `a"b`},
		{"empty", ``, "text/plain", ""},
		{"no subtype", `text`, "text/plain", ""},
		{"parameters without values", `multipart/mixed; a; boundary; boundary=x`, "multipart/mixed", "x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := message.ParseContentType(tt.body)
			if c.Type != tt.kind || c.Param("boundary") != tt.boundary {
				t.Errorf("%q is %q with boundary %q, want %q, %q", tt.body, c.Type, c.Param("boundary"), tt.kind, tt.boundary)
			}
		})
	}
}

func TestTextOfHTML(t *testing.T) {
	const in = `<html><head><title>no</title><STYLE>p { }</STYLE></head><!-- <p>no --><p>Your&nbsp;mail<br>to &lt;ann@example.org&gt; and <bob@example.org><td>failed`
	if got, want := message.TextOfHTML(in), "Your mail\nto <ann@example.org> and <bob@example.org>\tfailed"; got != want {
		t.Errorf("TextOfHTML = %q, want %q", got, want)
	}
}

func TestTextOfHTMLIsLaidOutAsAReaderSeesIt(t *testing.T) {
	for in, want := range map[string]string{
		"<p>by writing to\n ann@example.org</p>\n<p>Bye</p>":                                   "by writing to ann@example.org\n\nBye\n\n",
		"<table><tr><th>Reason</th>\n<td> gone </td></tr><tr><td></td><td>x</td></tr></table>": "Reason\tgone\nx\n\n",
		"<pre>550 no\n  such user</pre>end":                                                    "550 no\n  such user\nend",
		"<div>one</div>\n<div>two</div>":                                                       "one\ntwo\n",
	} {
		if got := message.TextOfHTML(in); got != want {
			t.Errorf("TextOfHTML(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestWalkReturnsErrorsOfItsReader(t *testing.T) {
	broken := errors.New("broken")
	m, err := message.Walker{}.Walk(io.MultiReader(strings.NewReader("Subject: s\n\nhello\n"), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || m.Fields.Get("Subject") != "s" {
		t.Errorf("Walk = %v with subject %q, want %v and what was read before", err, m.Fields.Get("Subject"), broken)
	}
}

func TestWalkThatTakesTooLongIsLimited(t *testing.T) {
	var now time.Time
	w := message.Walker{Now: func() time.Time { now = now.Add(time.Second / 4); return now }}
	m, err := w.Walk(io.MultiReader(strings.NewReader("Subject: s\n\n"), endless{}))
	if err != nil || !m.Limited || m.Fields.Get("Subject") != "s" {
		t.Errorf("Walk = limited %v, %v, want true, nil", m.Limited, err)
	}
}

// endless is a message that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "x\n"[i%2]
	}
	return len(p), nil
}

// hostile are messages made to be expensive.
func hostile() map[string]string {
	var deep, flat strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	flat.WriteString("Content-Type: multipart/mixed; boundary=b\n\n")
	for range 100_000 {
		flat.WriteString("--b\n\nx\n")
	}
	return map[string]string{
		"10,000 multiparts inside each other": deep.String(),
		"10,000 messages inside each other":   strings.Repeat("Content-Type: message/rfc822\n\n", 10_000),
		"100,000 parts":                       flat.String(),
		"100,000 header fields":               strings.Repeat("X-Field: some value\n", 100_000) + "\nbody\n",
		"one field of 10 MB":                  "X-Field: " + strings.Repeat("x", 10<<20) + "\n\nbody\n",
		"one line of 10 MB":                   "Subject: s\n\n" + strings.Repeat("x", 10<<20),
		"a million lines like delimiters": "Content-Type: multipart/mixed; boundary=b\n\n" +
			strings.Repeat("--\n--c\n", 2<<20/7),
	}
}

func TestWalkIsBounded(t *testing.T) {
	for name, text := range hostile() {
		t.Run(name, func(t *testing.T) {
			m := walk(t, text)
			kept := 0
			for _, p := range m.Parts {
				kept += len(p.Raw)
				if p.Depth > message.MaxDepth || len(p.Raw) > message.MaxText {
					t.Errorf("a part at depth %d of %d octets is past the limits", p.Depth, len(p.Raw))
				}
			}
			if len(m.Parts) > message.MaxParts || kept > message.MaxKept {
				t.Errorf("%d parts of %d octets are past the limits", len(m.Parts), kept)
			}
		})
	}
}

func TestWalkKeepsMemorySmall(t *testing.T) {
	big := strings.NewReader("Subject: s\n\n" + strings.Repeat(strings.Repeat("x", 77)+"\n", 16<<20/78))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := (message.Walker{}).Walk(big); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 4<<20 {
		t.Errorf("walking 16 MiB allocated %d octets, want at most 4 MiB", got)
	}
}

// FuzzWalk states what Walk promises of any message: it returns, within the
// limits, the same whatever the reads are, and its texts are UTF-8.
func FuzzWalk(f *testing.F) {
	f.Add([]byte("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: base64\n\naGVsbG8=\n--b--\n"))
	f.Add([]byte("From x\nContent-Type: multipart/mixed\n\n--b\nContent-Type: message/rfc822\n\nA: b\n\nc\n"))
	f.Add([]byte("\ufeffA:b\n \n\n=?x?"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := message.Walker{}.Walk(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("Walk: %v", err)
		}
		slow, err := message.Walker{}.Walk(iotest.OneByteReader(bytes.NewReader(data)))
		if err != nil || len(slow.Parts) != len(m.Parts) {
			t.Errorf("read octet by octet: %d parts, %v, want %d", len(slow.Parts), err, len(m.Parts))
		}
		for i := range m.Parts {
			p := &m.Parts[i]
			if p.Depth > message.MaxDepth || len(p.Raw) > message.MaxText {
				t.Errorf("part %d is past the limits", i)
			}
			if s := p.Text(); strings.ToValidUTF8(s, "") != s {
				t.Errorf("part %d is no UTF-8: %q", i, s)
			}
			message.TextOfHTML(p.Text())
		}
		for i := range m.Fields.Len() {
			if name, _ := m.Fields.At(i); name == "" || !m.Fields.Has(name) {
				t.Errorf("field %d has the name %q and is not found by it", i, name)
			}
		}
	})
}

func BenchmarkWalk(b *testing.B) {
	text := "Content-Type: multipart/report; boundary=b\n" + strings.Repeat("Received: from mx.example.org by mx.example.net; Thu, 29 Apr 2010 23:34:45 +0000\n", 8) +
		"\n--b\n\n" + strings.Repeat("Something went wrong on the way.\n", 20) + "--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.org\n--b\nContent-Type: message/rfc822\n\n" +
		strings.Repeat("A line of the message that came back.\n", 200) + "--b--\n"
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		walk(b, text)
	}
}

func TestAWalkKeepsAsMuchOfEachPartAsItIsTold(t *testing.T) {
	text := "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\n" + strings.Repeat("text\n", 100_000) +
		"--b\nContent-Type: application/zip\n\n" + strings.Repeat("zip\n", 100_000) + "--b\nContent-Type: application/zip\n\n" + strings.Repeat("zip\n", 2_000_000) + "--b--\n"
	tests := []struct {
		name string
		keep int
		want []int
	}{
		{"as usual", 0, []int{message.MaxText, 16 << 10, 16 << 10}},
		{"a little", 1000, []int{1000, 1000, 1000}},
		{"everything, within the limit of all together", message.MaxKept, []int{500_000, 400_000, -1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := message.Walker{Keep: tt.keep}.Walk(strings.NewReader(text))
			if err != nil || len(m.Parts) != len(tt.want) {
				t.Fatalf("%d parts, %v, want %d", len(m.Parts), err, len(tt.want))
			}
			all := 0
			for i, p := range m.Parts {
				all += len(p.Raw)
				if tt.want[i] >= 0 && len(p.Raw) != tt.want[i] {
					t.Errorf("part %d: %d octets are kept, want %d", i, len(p.Raw), tt.want[i])
				}
			}
			if all > message.MaxKept {
				t.Errorf("%d octets are kept, want at most %d", all, message.MaxKept)
			}
		})
	}
}

func TestOnePartIsKeptWholeHoweverLongItIs(t *testing.T) {
	long := strings.Repeat("x", message.MaxKept+100)
	in := "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nfirst\r\n--b\r\nContent-Type: application/zip\r\n\r\n" + long + "\r\n--b\r\nContent-Type: application/zip\r\n\r\n" + long + "\r\n--b--\r\n"
	for whole := range 4 {
		mail, err := message.Walker{Whole: whole}.Walk(strings.NewReader(in))
		if err != nil || len(mail.Parts) != 3 {
			t.Fatalf("%d parts, %v", len(mail.Parts), err)
		}
		for i := range mail.Parts {
			if p := &mail.Parts[i]; i > 0 && p.Cut() == (i+1 == whole) {
				t.Errorf("with part %d whole, %d octets of part %d are kept, of %d", whole, len(p.Raw), i+1, p.Size)
			}
		}
	}
}
