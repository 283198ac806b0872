package parsedmail_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"homing/internal/parsedmail"
)

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func read(t *testing.T, mail string) parsedmail.Mail {
	t.Helper()
	m, err := parsedmail.Read(strings.NewReader(crlf(mail)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func sum(content string) string {
	s := sha256.Sum256([]byte(content))
	return hex.EncodeToString(s[:])
}

const whole = `From: =?utf-8?q?J=C3=BCrg?= <juerg@example.org>
To: Ann <ann@example.net>, undisclosed, bob@example.net
Cc: "Office, the" <office@example.org>
Reply-To: team@example.org
Subject: Re: =?utf-8?q?Caf=C3=A9?= [case #0A1b2c3]
Date: Mon, 23 Nov 2026 11:00:00 +0100
Message-ID: <m1@example.org>
In-Reply-To: <m0@example.net>
References: <a@example.net> <b@example.net>
 <m0@example.net> <b@example.net>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=mixed

--mixed
Content-Type: multipart/alternative; boundary=alt

--alt
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Gr=FC=DFe, see the=
 list
--alt
Content-Type: text/html; charset=utf-8

<p>Grüße<img src="https://track.example/1.gif"><img src="cid:logo@x"><script>alert(1)</script>
<a href="javascript:alert(1)">x</a> <a href="https://example.org/">y</a></p>
--alt--
--mixed
Content-Type: application/pdf; name="other.pdf"
Content-Disposition: attachment; filename*=utf-8''Gr%C3%BC%C3%9Fe.pdf
Content-Transfer-Encoding: base64

JVBERi0xLjQK
AAECAw==
--mixed
Content-Type: text/plain; name="../../etc/notes.txt"
Content-Disposition: attachment; filename="../../etc/notes.txt"

one
two
--mixed
Content-Type: image/png
Content-ID: <logo@x>
Content-Disposition: inline

png
--mixed
Content-Type: message/rfc822

Subject: inside

text
--mixed--
`

func TestAMailIsTakenApart(t *testing.T) {
	want := parsedmail.Mail{
		MessageID: "<m1@example.org>", InReplyTo: []string{"<m0@example.net>"}, References: []string{"<a@example.net>", "<b@example.net>", "<m0@example.net>"},
		From: []parsedmail.Mailbox{{Name: "Jürg", Address: "juerg@example.org"}}, ReplyTo: []parsedmail.Mailbox{{Address: "team@example.org"}},
		To: []parsedmail.Mailbox{{Name: "Ann", Address: "ann@example.net"}, {Address: "bob@example.net"}},
		CC: []parsedmail.Mailbox{{Name: "Office, the", Address: "office@example.org"}}, Subject: "Re: Café [case #0A1b2c3]", Case: "0a1b2c3",
		Date: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), Text: "Grüße, see the list",
		HTML: `<p>Grüße<img src="cid:logo@x"/>` + "\n" + `x <a href="https://example.org/" rel="nofollow noreferrer">y</a></p>`,
		Attachments: []parsedmail.Attachment{
			{Name: "Grüße.pdf", Type: "application/pdf", Size: 13, SHA256: sum("%PDF-1.4\n\x00\x01\x02\x03"), Part: 2},
			{Name: "notes.txt", Type: "text/plain", Size: 8, SHA256: sum("one\r\ntwo"), Part: 3},
			{Name: "attachment-3.png", Type: "image/png", Size: 3, SHA256: sum("png"), ContentID: "logo@x", Part: 4},
			{Name: "attachment-4.eml", Type: "message/rfc822", Size: 23, SHA256: sum("Subject: inside\r\n\r\ntext"), Part: 5},
		},
	}
	if diff := cmp.Diff(want, read(t, whole)); diff != "" {
		t.Errorf("what was read differs (-want +got):\n%s", diff)
	}
}

func TestAnAttachmentIsExtractedAsItWasSent(t *testing.T) {
	m := read(t, whole)
	for i, want := range []string{"%PDF-1.4\n\x00\x01\x02\x03", "one\r\ntwo", "png", "Subject: inside\r\n\r\ntext"} {
		if got, err := parsedmail.Content(strings.NewReader(crlf(whole)), m.Attachments[i]); err != nil || string(got) != want {
			t.Errorf("attachment %d: %q, %v; want %q", i, got, err, want)
		}
	}
	if _, err := parsedmail.Content(strings.NewReader(crlf(whole)), parsedmail.Attachment{Part: 99}); !errors.Is(err, parsedmail.ErrNoPart) {
		t.Errorf("a part that is not there: %v, want ErrNoPart", err)
	}
}

func TestNamesReadInTheOrderOfTheirCharacters(t *testing.T) {
	m := read(t, "From: \"\u202egro.elpmaxe@nna\u202c\" <m@evil.test>\nSubject: a\u2028b\u2066c\u200f\nContent-Type: application/pdf; name=\"bill\u202efdp.exe\"\n\nx\n")
	if m.From[0].Name != "gro.elpmaxe@nna" || m.Subject != "a bc\u200f" || m.Attachments[0].Name != "billfdp.exe" {
		t.Errorf("names are %+q, %+q, %+q", m.From[0].Name, m.Subject, m.Attachments[0].Name)
	}
}

func TestAnAttachmentGoesWholeOverASlowLine(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	mail := crlf("From: a@example.org\nContent-Type: application/zip; name=a.zip\nContent-Transfer-Encoding: base64\n\n" +
		strings.Join(slices.Collect(chunks(base64.StdEncoding.EncodeToString(content), 76)), "\n") + "\n")
	a := read(t, mail).Attachments[0]
	synctest.Test(t, func(t *testing.T) {
		var got slow
		if err := parsedmail.Extract(&got, strings.NewReader(mail), a); err != nil || !bytes.Equal(got.all, content) {
			t.Errorf("%d octets of %d came, %v", len(got.all), len(content), err)
		}
	})
}

// slow takes a second for whatever is written.
type slow struct{ all []byte }

func (s *slow) Write(p []byte) (int, error) {
	<-time.After(time.Second)
	s.all = append(s.all, p...)
	return len(p), nil
}

func TestLessOfAnAttachmentThanThereWasIsAnError(t *testing.T) {
	a := read(t, whole).Attachments[0]
	short := strings.Replace(crlf(whole), "AAECAw==", "", 1)
	if _, err := parsedmail.Content(strings.NewReader(short), a); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

func TestAnAttachmentOfAnySizeHasItsHash(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuvwxyz\x00\xff"), 60_000)
	text := base64.StdEncoding.EncodeToString(content)
	for name, body := range map[string]string{
		"in lines of 76": strings.Join(slices.Collect(chunks(text, 76)), "\n"),
		"in one line":    text,
		"in odd lines":   strings.Join(slices.Collect(chunks(text, 31)), " \n"),
	} {
		t.Run(name, func(t *testing.T) {
			m := read(t, "From: a@example.org\nContent-Type: application/zip; name=a.zip\nContent-Transfer-Encoding: base64\n\n"+body+"\n")
			if len(m.Attachments) != 1 || m.Attachments[0].Size != int64(len(content)) || m.Attachments[0].SHA256 != sum(string(content)) {
				t.Errorf("%+v, want %d octets with %s", m.Attachments, len(content), sum(string(content)))
			}
		})
	}
}

func chunks(s string, n int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for len(s) > n {
			if !yield(s[:n]) {
				return
			}
			s = s[n:]
		}
		yield(s)
	}
}

func TestCaseTokens(t *testing.T) {
	for subject, want := range map[string]string{
		"[case #0a1b2c3] Hello":    "0a1b2c3",
		"Re: [Case #12] Hello":     "12",
		"Re: [case #1234567]":      "1234567",
		"[case #]":                 "",
		"[case #xyz]":              "",
		"case #12":                 "",
		"[case #12] [case #13] no": "12",
	} {
		if got := read(t, "Subject: "+subject+"\n\nx\n").Case; got != want {
			t.Errorf("%q: %q, want %q", subject, got, want)
		}
	}
}

func TestNamesOfFiles(t *testing.T) {
	for field, want := range map[string]string{
		`Content-Disposition: attachment; filename="a b.pdf"`:                              "a b.pdf",
		`Content-Disposition: attachment; filename==?utf-8?q?gr=C3=BC=C3=9Fe.pdf?=`:        "grüße.pdf",
		`Content-Disposition: attachment; filename="=?utf-8?B?Z3LDvMOfZS5wZGY=?="`:         "grüße.pdf",
		`Content-Disposition: attachment; filename*0="long-"; filename*1="name.pdf"`:       "long-name.pdf",
		`Content-Disposition: attachment; filename="C:\\Users\\ann\\secret.doc"`:           "secret.doc",
		`Content-Disposition: attachment; filename="..."`:                                  "attachment-1.pdf",
		`Content-Disposition: attachment; filename="/"`:                                    "attachment-1.pdf",
		`Content-Disposition: attachment; filename=".htaccess"`:                            "htaccess",
		`Content-Disposition: attachment`:                                                  "attachment-1.pdf",
		`Content-Disposition: attachment; filename=a.pdf; filename=b.pdf`:                  "a.pdf",
		`Content-Disposition: attachment; filename="` + strings.Repeat("é", 400) + `.pdf"`: strings.Repeat("é", 150),
		"Content-Disposition: attachment; filename=\"a\tb.pdf\"":                           "a b.pdf",
	} {
		m := read(t, field+"\nContent-Type: application/pdf\n\nx\n")
		if len(m.Attachments) != 1 || m.Attachments[0].Name != want {
			t.Errorf("%s: %+v, want the name %q", field, m.Attachments, want)
		}
	}
}

func TestHTMLIsHarmless(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"a script":                 {`<script>x</script><b onclick="x">a</b>`, `<b>a</b>`},
		"a picture from elsewhere": {`a<img src="http://x/1.gif">`, `a`},
		"a picture of the mail":    {`<img src="cid:1" width=1 onerror=x>`, `<img src="cid:1"/>`},
		"a data picture":           {`<img src="data:image/png;base64,AAAA">a`, `a`},
		"a style":                  {`<p style="background:url(http://x)">a</p><style>p{}</style>`, `<p>a</p>`},
		"a form":                   {`<form action="http://x"><input name=a>b</form>`, `b`},
		"a frame":                  {`<iframe src="http://x"></iframe>a`, `a`},
		"a link to a program":      {`<a href="javascript:x">a</a>`, `a`},
		"a link in disguise":       {"<a href=\"java\tscript:x\">a</a>", `a`},
		"a link that is relative":  {`<a href="/x">a</a>`, `a`},
		"a link by mail":           {`<a href="mailto:a@example.org">a</a>`, `<a href="mailto:a@example.org" rel="nofollow noreferrer">a</a>`},
		"what never ends":          {`<div><b>a`, `<div><b>a</b></div>`},
		"what was never begun":     {`</div></td>a`, `a`},
		"a table":                  {`<table><tr><td>a</table>`, `<table><tbody><tr><td>a</td></tr></tbody></table>`},
		"an svg":                   {`<svg><a xlink:href="javascript:x">b</a></svg>`, `b`},
		"a comment":                {`a<!-- [if mso]><img src="http://x"><![endif] -->b`, `ab`},
	} {
		t.Run(name, func(t *testing.T) {
			if got, complete := parsedmail.Clean(tt.in); got != tt.want || !complete {
				t.Errorf("Clean(%q) = %q, %v; want %q", tt.in, got, complete, tt.want)
			}
		})
	}
}

func TestWhatIsLongIsCutAndSaysSo(t *testing.T) {
	for name, mail := range map[string]string{
		"text":            "Content-Type: text/plain\n\n" + strings.Repeat("ä text of many lines\n", 10_000),
		"HTML":            "Content-Type: text/html\n\n" + strings.Repeat("<p>a</p>\n", 30_000),
		"HTML that grows": "Content-Type: text/html\n\n" + strings.Repeat(`"&'`, 30_000),
		"recipients":      "To: " + strings.Repeat("a@example.org, ", 600) + "\n\nx\n",
		"parts":           "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\nContent-Type: image/png\n\nx\n", 300) + "--b--\n",
	} {
		t.Run(name, func(t *testing.T) {
			m := read(t, mail)
			if !m.Truncated || len(m.Text) > parsedmail.MaxText || len(m.HTML) > parsedmail.MaxText || len(m.To) > 500 || len(m.Attachments) > 200 {
				t.Errorf("truncated %v, text %d, HTML %d, to %d, attachments %d", m.Truncated, len(m.Text), len(m.HTML), len(m.To), len(m.Attachments))
			}
		})
	}
}

func Example() {
	m, err := parsedmail.Read(strings.NewReader("From: Ann <ann@example.net>\r\nSubject: Hello\r\n\r\nGood morning\r\n"))
	text, _ := json.Marshal(m)
	fmt.Println(string(text), err)
	// Output: {"from":[{"name":"Ann","address":"ann@example.net"}],"to":[],"cc":[],"subject":"Hello","text":"Good morning","attachments":[]} <nil>
}

// FuzzRead states what Read promises of any mail: it does not fail, its result
// is bounded, valid, and the same after JSON; each attachment can be extracted
// and is what was said of it; HTML is as clean after cleaning as before.
func FuzzRead(f *testing.F) {
	f.Add(crlf(whole))
	f.Add("Content-Type: text/html\r\n\r\n<a href=\"java&#10;script:x\">")
	f.Add("Content-Type: application/x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na=\r\n=4=41= \r\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parsedmail.Read(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Text) > parsedmail.MaxText || len(m.HTML) > parsedmail.MaxText || !utf8.ValidString(m.Subject+m.Text+m.HTML) {
			t.Errorf("text of %d, HTML of %d octets", len(m.Text), len(m.HTML))
		}
		octets, err := json.Marshal(m)
		var again parsedmail.Mail
		if err != nil || json.Unmarshal(octets, &again) != nil || !cmp.Equal(m, again) {
			t.Errorf("%v: JSON changes it:\n%s", err, cmp.Diff(m, again))
		}
		for _, a := range m.Attachments {
			content, err := parsedmail.Content(strings.NewReader(text), a)
			if err != nil || int64(len(content)) != a.Size || sum(string(content)) != a.SHA256 || a.Name == "" || strings.ContainsAny(a.Name, "/\\\x00") {
				t.Errorf("%+v has %d octets, %v", a, len(content), err)
			}
		}
		for _, bad := range []string{"<script", "href=\"javascript", "<iframe", "<style", "<form", "src=\"http"} {
			if strings.Contains(strings.ToLower(m.HTML), bad) {
				t.Errorf("HTML has %s: %s", bad, m.HTML)
			}
		}
	})
}
