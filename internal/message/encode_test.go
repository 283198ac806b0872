package message_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homing/internal/message"
)

// encode re-encodes a whole message with LF line ends and gives it back alike,
// with what remains.
func encode(t testing.TB, text string) (out string, left *message.Scan) {
	t.Helper()
	in := bufio.NewReader(strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n")))
	h, err := message.ReadHeader(in, message.MaxHeader)
	if err != nil {
		t.Fatalf("ReadHeader: %v", err)
	}
	body, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	h.Encode()
	var b bytes.Buffer
	left, err = message.Encode(&b, h, bytes.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatalf("Encode: %v", err)
	}
	return strings.ReplaceAll(string(h.Block())+b.String(), "\r\n", "\n"), left
}

const (
	textHead  = "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
	quoted    = "Content-Transfer-Encoding: quoted-printable\n"
	eightbit  = "Content-Transfer-Encoding: 8bit\n"
	sixtyfour = "Content-Transfer-Encoding: base64\n"
)

// mixed makes a multipart of parts, each with its header.
func mixed(kind string, parts ...string) string {
	var b strings.Builder
	b.WriteString("MIME-Version: 1.0\nContent-Type: " + kind + "; boundary=\"=_b1\"\n\n")
	for _, p := range parts {
		b.WriteString("--=_b1\n" + p + "\n")
	}
	return b.String() + "--=_b1--\n"
}

func TestBodiesAreReencodedWhereTheyNeedIt(t *testing.T) {
	long := strings.Repeat("word ", 210)
	tests := []struct {
		name    string
		message string
		want    string // "": unchanged
	}{
		{"ASCII in short lines stays", textHead + "\nHello = there\n", ""},
		{"8-bit text", textHead + eightbit + "\nGrüße!\n", textHead + quoted + "\nGr=C3=BC=C3=9Fe!\n"},
		{"8-bit text that says 7bit", textHead + "Content-Transfer-Encoding: 7bit\n\nGrüße!\n", textHead + quoted + "\nGr=C3=BC=C3=9Fe!\n"},
		{"8-bit text that says nothing", textHead + "\nGrüße!\n", textHead + quoted + "\nGr=C3=BC=C3=9Fe!\n"},
		{"UTF-8 without any MIME field", "Subject: x\n\nGrüße!\n", "Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n" + quoted + "\nGr=C3=BC=C3=9Fe!\n"},
		{"Latin-1 without any MIME field", "Subject: x\n\nGr\xfc\xdfe!\n", "Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=windows-1252\n" + quoted + "\nGr=FC=DFe!\n"},
		{"a long line without any MIME field", "Subject: x\n\n" + strings.Repeat("a", 999) + "\n",
			"Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=us-ascii\n" + quoted + "\n" + strings.Repeat(strings.Repeat("a", 75)+"=\n", 13) + strings.Repeat("a", 24) + "\n"},
		{"a line of 998 octets stays", textHead + "\n" + strings.Repeat("a", 998) + "\n", ""},
		{"mostly outside of ASCII", textHead + "\nПривет, мир\n", textHead + sixtyfour + "\n" + base64.StdEncoding.EncodeToString([]byte("Привет, мир\r\n")) + "\n"},
		{"white space at the ends of lines", textHead + "\nü \n\t\nx\n", textHead + quoted + "\n=C3=BC=20\n=09\nx\n"},
		{"an equals sign", textHead + "\na=b ü\n", textHead + quoted + "\na=3Db =C3=BC\n"},
		{"a line that begins with a minus", textHead + "\n-- \nJürgen\n", textHead + quoted + "\n=2D-=20\nJ=C3=BCrgen\n"},
		{"no line end at the end", textHead + "\nGrüße ", textHead + quoted + "\nGr=C3=BC=C3=9Fe=20"},
		{"what is not text becomes base64", "MIME-Version: 1.0\nContent-Type: application/xml\n\n<ü/>\n", "MIME-Version: 1.0\nContent-Type: application/xml\n" + sixtyfour + "\nPMO8Lz4NCg==\n"},
		{"quoted-printable with 8-bit octets is mended", textHead + quoted + "\nGr=C3=BC=C3=9Fe für =ZZ alle =\nda=\n", textHead + quoted + "\nGr=C3=BC=C3=9Fe f=C3=BCr =3DZZ alle =\nda=\n"},
		{"quoted-printable with long lines is mended", textHead + quoted + "\n" + strings.Repeat("=C3=BC", 200) + "\n", textHead + quoted + "\n" + mend(strings.Repeat("=C3=BC", 200)) + "\n"},
		{"base64 in one line is wrapped", textHead + sixtyfour + "\n" + strings.Repeat("QUJD", 300) + "\n", textHead + sixtyfour + "\n" + strings.Repeat(strings.Repeat("QUJD", 19)+"\n", 15) + strings.Repeat("QUJD", 15) + "\n"},
		{"an encoding that nobody knows stays", textHead + "Content-Transfer-Encoding: x-uue\n\nü\n", ""},

		{"one part of two", mixed("multipart/alternative", textHead+"\nHello = there\n", "Content-Type: text/html; charset=utf-8\n"+eightbit+"\n<p>Grüße\n"),
			mixed("multipart/alternative", textHead+"\nHello = there\n", "Content-Type: text/html; charset=utf-8\n"+quoted+"\n<p>Gr=C3=BC=C3=9Fe\n")},
		{"a part without a line end of its own", mixed("multipart/mixed", "\nü"), mixed("multipart/mixed", "Content-Transfer-Encoding: base64\n\nw7w=")},
		{"a part in a part", mixed("multipart/mixed", "Content-Type: multipart/alternative; boundary=in\n\n--in\n\naaü\n--in--\n", "\nb\n"),
			mixed("multipart/mixed", "Content-Type: multipart/alternative; boundary=in\n\n--in\n"+quoted+"\naa=C3=BC\n--in--\n", "\nb\n")},
		{"a multipart that says 8bit", eightbit + mixed("multipart/mixed", "\naaü\n"), "Content-Transfer-Encoding: 7bit\n" + mixed("multipart/mixed", quoted+"\naa=C3=BC\n")},
		{"a multipart without an end", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\naaü\n", "Content-Type: multipart/mixed; boundary=b\n\n--b\n" + quoted + "\naa=C3=BC\n"},
		{"base64 in a multipart without an end", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: image/x\n\n\xff\n", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: image/x\n" + sixtyfour + "\n/w0K\n"},
		{"the header of a part", mixed("multipart/mixed", "Content-Disposition: attachment; filename=\"ü\"\n\nx\n"), mixed("multipart/mixed", "Content-Disposition: attachment; filename*=utf-8''%C3%BC\n\nx\n")},
		{"what nobody is shown", "Content-Type: multipart/mixed; boundary=b\n\nfür alte Programme\n--b\n\nx\n--b--\n" + long + "\n", "Content-Type: multipart/mixed; boundary=b\n\nf??r alte Programme\n--b\n\nx\n--b--\n" + long[:998] + "\n " + long[998:] + "\n"},
		{"a text that quotes a delimiter", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n--b and ü\n--bb\n--b--\n", "Content-Type: multipart/mixed; boundary=b\n\n--b\n" + quoted + "\n=2D-b and =C3=BC\n=2D-bb\n--b--\n"},
		{"an empty part", mixed("multipart/mixed", ""), ""},
		{"a part that is only a header", mixed("multipart/mixed", "Content-Type: text/plain"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.want
			if want == "" {
				want = tt.message
			}
			got, left := encode(t, tt.message)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if tt.want != "" && (left.EightBit() || left.LongLine()) {
				t.Errorf("8-bit %v and long lines %v are left", left.EightBit(), left.LongLine())
			}
			if again, _ := encode(t, got); again != got {
				t.Errorf("a second time it becomes\n%q, want\n%q", again, got)
			}
		})
	}
}

// mend breaks pairs of escapes as lines of quoted-printable.
func mend(s string) string {
	var b strings.Builder
	for len(s) > 75 {
		b.WriteString(s[:75] + "=\n")
		s = s[75:]
	}
	return b.String() + s
}

func TestWhatMustKeepItsOctetsKeepsThem(t *testing.T) {
	long := strings.Repeat("x", 1000)
	inner := "Content-Type: text/plain; charset=utf-8\n" + eightbit + "\nGrüße\n" + long + "\n"
	nested := "\nü\n"
	for i := range 25 {
		nested = strings.ReplaceAll(mixed("multipart/mixed", nested), "=_b1", fmt.Sprint("=_", i, "x"))
	}
	var many []string
	for range 202 {
		many = append(many, "\naaü\n")
	}
	tests := []struct{ name, message string }{
		{"multipart/signed", mixed("multipart/signed; micalg=pgp-sha256", inner, "\n-----BEGIN PGP SIGNATURE-----\n")},
		{"multipart/encrypted", mixed("multipart/encrypted", inner)},
		{"multipart/signed within another", "Content-Type: multipart/mixed; boundary=out\n\n--out\n" + mixed("multipart/signed", inner) + "--out--\n"},
		{"message/rfc822", mixed("multipart/mixed", "Content-Type: message/rfc822\n\n"+inner)},
		{"a message in a digest", mixed("multipart/digest", "\n"+inner)},
		{"message/global as the whole", "Content-Type: message/global\n\n" + inner},
		{"a part with a broken header", mixed("multipart/mixed", "this is no header\n\nü\n"+long+"\n")},
		{"a multipart without a boundary", "Content-Type: multipart/mixed\n\nü\n" + long + "\n"},
		{"a part with a header that does not end", mixed("multipart/mixed", strings.Repeat("A: ü"+long+"\n", 70))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, left := encode(t, tt.message)
			if diff := cmp.Diff(tt.message, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !left.EightBit() || !left.LongLine() {
				t.Errorf("8-bit left: %v, long lines left: %v, want both", left.EightBit(), left.LongLine())
			}
		})
	}
	t.Run("deeper than the limit", func(t *testing.T) {
		if _, left := encode(t, nested); !left.EightBit() {
			t.Error("no 8-bit text is left at depth 25")
		}
	})
	t.Run("after too many parts", func(t *testing.T) {
		got, left := encode(t, mixed("multipart/mixed", many...))
		if n := strings.Count(got, "=C3=BC"); n != message.MaxParts || !left.EightBit() {
			t.Errorf("%d parts are encoded, 8-bit left %v, want %d and true", n, left.EightBit(), message.MaxParts)
		}
	})
}

// TestReadersSeeTheSame asks the standard library what the parts say.
func TestReadersSeeTheSame(t *testing.T) {
	paragraph := strings.Repeat("Grüße aus Köln, – und = Zeichen;  zwei Leerzeichen \t\r\n", 40)
	contents := []string{
		paragraph, strings.Repeat("Привет мир ", 500) + "\r\n", strings.Repeat("x", 5000), "", "\r\n\r\n", "ü",
		strings.Repeat("--b\x20x\r\n", 3) + "ü\r\n", "." + strings.Repeat("ü.", 700) + "\r\n.\r\n", strings.Repeat("-", 3000) + "\r\n",
	}
	var body strings.Builder
	body.WriteString("preamble\r\n")
	for _, c := range contents {
		body.WriteString("--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + c + "\r\n")
	}
	body.WriteString("--b--\r\nepilogue\r\n")
	h := message.ParseHeader([]byte("Content-Type: multipart/mixed; boundary=b\r\n"))
	var out bytes.Buffer
	left, err := message.Encode(&out, h, strings.NewReader(body.String()), int64(body.Len()))
	if err != nil || left.EightBit() || left.LongLine() {
		t.Fatalf("Encode: %v, 8-bit left %v, long lines left %v", err, left.EightBit(), left.LongLine())
	}
	parts := multipart.NewReader(&out, "b")
	for i, want := range contents {
		p, err := parts.NextRawPart()
		if err != nil {
			t.Fatalf("part %d: %v", i, err)
		}
		got, err := io.ReadAll(decoder(p.Header.Get("Content-Transfer-Encoding"), p))
		if err != nil || string(got) != want {
			t.Errorf("part %d: %v\n%.200q, want\n%.200q", i, err, got, want)
		}
	}
	if _, err := parts.NextRawPart(); err != io.EOF {
		t.Errorf("after the last part: %v, want the end", err)
	}
}

func decoder(encoding string, r io.Reader) io.Reader {
	switch encoding {
	case "quoted-printable":
		return quotedprintable.NewReader(r)
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, r)
	}
	return r
}

func TestScanSeesLinesAcrossWrites(t *testing.T) {
	line := func(n int) string { return strings.Repeat("x", n) + "\r\n" }
	tests := []struct {
		name        string
		body        string
		eight, long bool
	}{
		{"nothing", "", false, false},
		{"short lines", strings.Repeat(line(70), 50), false, false},
		{"998 octets", line(10) + line(998) + line(10), false, false},
		{"999 octets", line(10) + line(999) + line(10), false, true},
		{"999 octets, then none", strings.Repeat("x", 999), false, true},
		{"998 octets, then none", strings.Repeat("x", 998), false, false},
		{"many lines near the limit", strings.Repeat(line(997), 30), false, false},
		{"the last line", strings.Repeat(line(997), 30) + line(1000), false, true},
		{"8-bit at the end", line(100) + "\x80", true, false},
		{"8-bit at the beginning", "ü" + line(100), true, false},
	}
	for _, tt := range tests {
		for _, size := range []int{1, 7, 997, 998, 1000, 4096, 1 << 20} {
			var s message.Scan
			for rest := tt.body; rest != ""; rest = rest[min(size, len(rest)):] {
				fmt.Fprint(&s, rest[:min(size, len(rest))])
			}
			if s.EightBit() != tt.eight || s.LongLine() != tt.long {
				t.Errorf("%s in writes of %d: 8-bit %v, long %v, want %v and %v", tt.name, size, s.EightBit(), s.LongLine(), tt.eight, tt.long)
			}
		}
	}
}

// full is a disk without room.
type full struct{}

var errFull = errors.New("no room")

func (full) Write([]byte) (int, error) { return 0, errFull }

func (full) ReadAt([]byte, int64) (int, error) { return 0, errFull }

func TestErrorsOfReadingAndWritingAreKept(t *testing.T) {
	for _, text := range []string{
		mixed("multipart/mixed", "\naaü\n", "Content-Type: image/x\n\n\xff\n", "broken\n\n"), "Subject: x\n\nüx\n",
		"Content-Transfer-Encoding: base64\n\nü" + strings.Repeat("A", 100_000) + "\n", "Content-Transfer-Encoding: quoted-printable\n\nü" + strings.Repeat("A", 100_000) + "\n",
	} {
		head, body, _ := strings.Cut(strings.ReplaceAll(text, "\n", "\r\n"), "\r\n\r\n")
		h := message.ParseHeader([]byte(head))
		if _, err := message.Encode(full{}, h, strings.NewReader(body), int64(len(body))); !errors.Is(err, errFull) {
			t.Errorf("writing nowhere: %v, want %v", err, errFull)
		}
	}
	if _, err := message.Encode(io.Discard, message.ParseHeader(nil), full{}, 10); !errors.Is(err, errFull) {
		t.Errorf("reading nothing: %v, want %v", err, errFull)
	}
}

// FuzzEncode promises: CR LF alone ends lines; encoding again changes nothing;
// what holds no multipart, no message and no strange encoding is ASCII in
// short lines afterwards and says the same to a reader.
func FuzzEncode(f *testing.F) {
	f.Add(textHead+eightbit+"\nGrüße!\n", byte(0))
	f.Add(textHead+quoted+"\nGr=C3=BCße =\n= \n"+strings.Repeat("=C3", 500), byte(0))
	f.Add(textHead+sixtyfour+"\n"+strings.Repeat("QUJD", 300)+"ü=", byte(0))
	f.Add(mixed("multipart/mixed", textHead+"\nü\n", "Content-Type: image/x\n\n\xff\n", "x\n"), byte(0))
	f.Add(mixed("multipart/mixed", "Content-Type: multipart/mixed; boundary=\"=_b\"\n\nü\n--=_b\n--=_b1x\n"), byte(3))
	f.Fuzz(func(t *testing.T, text string, stretch byte) {
		text = strings.NewReplacer("\r", "", "\x00", "").Replace(text)
		text = strings.ReplaceAll(text, "stretch", strings.Repeat("x", int(stretch)*10))
		once, left := encode(t, text)
		if strings.ContainsAny(strings.ReplaceAll(once, "\n", ""), "\r") {
			t.Errorf("a bare CR in %q", once)
		}
		if twice, _ := encode(t, once); twice != once {
			t.Errorf("%q becomes\n%q, then\n%q", text, once, twice)
		}
		head, _, _ := strings.Cut(strings.ToLower(text), "\n\n")
		if strings.Contains(head, "multipart") || strings.Contains(head, "message") || strings.Contains(head, "encoding") || strings.Contains(head, "mime-v") {
			return
		}
		if left.EightBit() || left.LongLine() {
			t.Errorf("%q becomes %q", text, once)
		}
		if before, after := says(t, text), says(t, once); before != after {
			t.Errorf("%q says\n%q, and as %q it says\n%q", text, before, once, after)
		}
	})
}

// says decodes the body of a message that is no multipart.
func says(t *testing.T, text string) string {
	t.Helper()
	in := bufio.NewReader(strings.NewReader(text))
	h, err := message.ReadHeader(in, message.MaxHeader)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(decoder(h.Get("Content-Transfer-Encoding"), in))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimRight(strings.ReplaceAll(string(got), "\r\n", "\n"), "\n")
}

func ExampleEncode() {
	h := message.ParseHeader([]byte("Subject: Grüße\r\n\r\n"))
	body := "Viele Grüße aus Köln\r\n"
	h.Encode()
	var out strings.Builder
	left, err := message.Encode(&out, h, strings.NewReader(body), int64(len(body)))
	fmt.Print(strings.ReplaceAll(string(h.Block())+out.String(), "\r\n", "\n"))
	fmt.Println(left.EightBit(), err)
	word, _ := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
	fmt.Println(word)
	// Output:
	// Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
	// MIME-Version: 1.0
	// Content-Type: text/plain; charset=utf-8
	// Content-Transfer-Encoding: quoted-printable
	//
	// Viele Gr=C3=BC=C3=9Fe aus K=C3=B6ln
	// false <nil>
	// Grüße
}

func BenchmarkScan(b *testing.B) {
	text := bytes.Repeat([]byte("Lorem ipsum dolor sit amet, consectetur adipiscing elit sed.\r\n"), 800)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		var s message.Scan
		if _, err := s.Write(text); err != nil || s.EightBit() || s.LongLine() {
			b.Fatal("a plain text needs something")
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	text := strings.Repeat("Viele Grüße aus Köln, und = Zeichen\r\n", 1400)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		h := message.ParseHeader([]byte("Content-Type: text/plain; charset=utf-8\r\n"))
		if _, err := message.Encode(io.Discard, h, strings.NewReader(text), int64(len(text))); err != nil {
			b.Fatal(err)
		}
	}
}
