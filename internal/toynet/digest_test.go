package toynet

import (
	"bytes"
	"encoding/base64"
	"mime/quotedprintable"
	"strings"
	"testing"
)

func TestDigestIsOfWhatAReaderSees(t *testing.T) {
	multi := func(encoding, text string) string {
		return "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: " + encoding + "\r\n\r\n" + text +
			"\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n--b--\r\n"
	}
	tests := []struct {
		name string
		a, b string
		same bool
	}{
		{"more header fields", "A: b\r\n\r\nHello\r\n", "Received: x\r\nDKIM-Signature: y\r\nA: b\r\n\r\nHello\r\n", true},
		{"other line ends", "A: b\r\n\r\nHello\r\nyou\r\n", "A: b\n\nHello\nyou\n", true},
		{"one more line end at the end", "A: b\r\n\r\nHello\r\n", "A: b\r\n\r\nHello\r\n\r\n", true},
		{"quoted-printable", "A: b\r\n\r\nGrüße\r\n", "Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9F=\r\ne\r\n", true},
		{"base64", "A: b\r\n\r\nGrüße\r\n", "Content-Transfer-Encoding: BASE64\r\n\r\nR3LDvMOf\r\nZQ0K\r\n", true},
		{"a part re-encoded", multi("8bit", "Grüße"), multi("quoted-printable", "Gr=C3=BC=C3=9Fe"), true},
		{"another character", "A: b\r\n\r\nHello\r\n", "A: b\r\n\r\nHallo\r\n", false},
		{"a line less", "A: b\r\n\r\na\r\nb\r\n", "A: b\r\n\r\na\r\n", false},
		{"a character of a part", multi("8bit", "Grüße"), multi("8bit", "Grüsse"), false},
		{"text moved between parts", multi("8bit", "a<p>x</p>"), multi("8bit", "a"), false},
		{"base64 that is none counts as octets", "Content-Transfer-Encoding: base64\r\n\r\n!!", "Content-Transfer-Encoding: base64\r\n\r\n??", false},
		{"a multipart without an end counts as octets", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\na", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nb", false},
		{"no header at all", "Hello", "Hallo", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if same := Digest([]byte(tt.a)) == Digest([]byte(tt.b)); same != tt.same {
				t.Errorf("same = %v, want %v, for\n%s\nand\n%s", same, tt.same, tt.a, tt.b)
			}
		})
	}
}

// FuzzDigest states what Digest promises for any text: re-encoding it changes
// nothing, and one character more does.
func FuzzDigest(f *testing.F) {
	f.Add("Hello\nyou")
	f.Add("Grüße\r\n\r\n.\r\n--b\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(strings.ReplaceAll(text, "\r\n", ""), "\r") {
			t.Skip("quoted-printable makes a line end of a bare CR")
		}
		message := func(encoding, body string) [32]byte {
			return Digest([]byte("Content-Transfer-Encoding: " + encoding + "\r\n\r\n" + body))
		}
		var quoted bytes.Buffer
		w := quotedprintable.NewWriter(&quoted)
		w.Write([]byte(text))
		w.Close()
		want := message("8bit", text)
		if got := message("quoted-printable", quoted.String()); got != want {
			t.Errorf("%q differs in quoted-printable, %q", text, quoted.String())
		}
		if got := message("base64", base64.StdEncoding.EncodeToString([]byte(text))); got != want {
			t.Errorf("%q differs in base64", text)
		}
		if message("8bit", text+"x") == want {
			t.Errorf("%q and one character more are the same", text)
		}
	})
}

// FuzzDigestStructure states that Digest reads any message without a panic,
// and the same message always the same.
func FuzzDigestStructure(f *testing.F) {
	f.Add([]byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\na\r\n--b--\r\n"))
	f.Add([]byte("Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n----\r\n"))
	f.Fuzz(func(t *testing.T, message []byte) {
		if Digest(message) != Digest(bytes.Clone(message)) {
			t.Errorf("Digest(%q) changes", message)
		}
	})
}
