package message

import (
	"bytes"
	"io"
	"testing"
)

// FuzzDecoder states what a Decoder promises of any content, cut anywhere: what
// comes out is what Part.Bytes gives of the whole, and of what is inside of a
// multipart without the line end that belongs to the delimiter.
func FuzzDecoder(f *testing.F) {
	f.Add("QUJD\r\nREVG=\r\nSA==\r\n", byte(0), byte(3))
	f.Add("a=4", byte(1), byte(2))
	f.Add("gr=C3=\r\n=BC =\r\n", byte(1), byte(4))
	f.Add("one\r\ntwo\r\n", byte(2), byte(5))
	f.Fuzz(func(t *testing.T, content string, encoding, step byte) {
		name := []string{"base64", "quoted-printable", "8bit"}[encoding%3]
		p := Part{Fields: ParseFields([]byte("Content-Transfer-Encoding: " + name + "\n")), Raw: []byte(content)}
		var got bytes.Buffer
		d := p.Decoder(&got)
		for rest := []byte(content); len(rest) > 0; {
			n := bytes.IndexByte(rest, '\n') + 1 // as a walk gives it: line by line
			if n == 0 || name == "base64" {
				n = min(int(step)+1, len(rest))
			}
			if name == "quoted-printable" && n < len(rest) && rest[n-1] != '\n' {
				n = len(rest)
			}
			if _, err := d.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if want := p.Bytes(); !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s %q: %q, want %q", name, content, got.Bytes(), want)
		}
	})
}

func TestALeafIsShownAllOfItsContent(t *testing.T) {
	shown := map[int]*bytes.Buffer{}
	leaf := func(n int, p Part) io.Writer {
		if p.Type == "text/html" {
			return nil
		}
		shown[n] = &bytes.Buffer{}
		return shown[n]
	}
	big := bytes.Repeat([]byte("a line of many octets\r\n"), 60_000)
	text := "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\nx\r\n--b\r\n\r\n" + string(big) + "--b--\r\n"
	mail, err := Walker{Leaf: leaf}.Walk(bytes.NewReader([]byte(text)))
	if err != nil || len(mail.Parts) != 2 || len(shown) != 1 || !bytes.Equal(shown[1].Bytes(), big) || !mail.Parts[1].Cut() {
		t.Errorf("%v: %d parts, of which %d are shown, with %d octets of %d", err, len(mail.Parts), len(shown), shown[1].Len(), len(big))
	}
	full := func(int, Part) io.Writer { return failing{} }
	if _, err := (Walker{Leaf: full}).Walk(bytes.NewReader([]byte(text))); err != io.ErrShortWrite {
		t.Errorf("an error of the leaf: %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
