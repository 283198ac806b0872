package dkim_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"homing/internal/dkim"
)

// newSigner makes a signer with both kinds of keys, and the records of both as
// a verifier finds them.
func newSigner(t testing.TB) (*dkim.Signer, map[string]string) {
	t.Helper()
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &dkim.Signer{Domain: "example.org"}
	records := map[string]string{}
	for selector, private := range map[string]crypto.Signer{"rsa": small, "ed": edwards} {
		k, err := dkim.ParseKey(selector, pkcs8(t, private))
		if err != nil {
			t.Fatal(err)
		}
		s.Keys = append(s.Keys, k)
		if records[selector+"._domainkey.example.org"], err = k.Record(); err != nil {
			t.Fatal(err)
		}
	}
	return s, records
}

func pkcs8(t testing.TB, private any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// sign gives the whole signed message; the body is hashed in uneven pieces.
func sign(t testing.TB, s *dkim.Signer, head, body string) string {
	t.Helper()
	b := dkim.NewBodyHash()
	for rest, n := body, 1; len(rest) > 0; n = n*3 + 1 {
		n := min(n, len(rest))
		b.Write([]byte(rest[:n]))
		rest = rest[n:]
	}
	fields, err := s.Sign([]byte(head), b.Sum())
	if err != nil {
		t.Fatal(err)
	}
	return string(fields) + head + "\r\n" + body
}

// verify asks an implementation that we did not write.
func verify(signed string, records map[string]string) error {
	found, err := msgauth.VerifyWithOptions(strings.NewReader(signed), &msgauth.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) { return []string{records[name]}, nil },
	})
	if err != nil {
		return err
	}
	if len(found) != len(records) {
		return fmt.Errorf("%d signatures, want %d", len(found), len(records))
	}
	for _, v := range found {
		err = errors.Join(err, v.Err)
	}
	return err
}

const plainHead = "From: News <news@example.org>\r\nTo: ann@example.net\r\nSubject: Hello\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n"

func TestSignaturesVerify(t *testing.T) {
	s, records := newSigner(t)
	tests := []struct{ name, head, body string }{
		{"a plain message", plainHead, "Hello.\r\n"},
		{"an empty body", plainHead, ""},
		{"a body of empty lines", plainHead, "\r\n\r\n\r\n"},
		{"empty lines at the end", plainHead, "Hello.\r\n\r\n\r\n"},
		{"empty lines at the beginning", plainHead, "\r\n\r\nHello.\r\n"},
		{"no line end at the end", plainHead, "Hello."},
		{"white space at the ends of lines", plainHead, "Hello. \t\r\n \t\r\n  x  y\t\tz \r\n"},
		{"a last line of white space", plainHead, "Hello.\r\n  \t"},
		{"folded fields", "From: News\r\n <news@example.org>\r\nSubject: a\r\n\t b\r\n   c  \r\n", "x\r\n"},
		{"fields twice", plainHead + "Subject: again\r\nTo: bob@example.net\r\n", "x\r\n"},
		{"names in any case, white space before the colon", "FROM : news@example.org\r\nsubject: x\r\n", "x\r\n"},
		{"an empty field", plainHead + "Cc:\r\nReply-To: \r\n", "x\r\n"},
		{"8-bit text", plainHead + "Reply-To: J\u00fcrgen <j@example.org>\r\n", "Gr\u00fc\u00dfe\r\n"},
		{"list fields", plainHead + "List-Unsubscribe: <https://example.org/u/x>,\r\n\t<mailto:u@example.org>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", "x\r\n"},
		{"a very long field", plainHead + "To: " + strings.Repeat("someone@example.net,\r\n ", 200) + "last@example.net\r\n", "x\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			signed := sign(t, s, tt.head, tt.body)
			if err := verify(signed, records); err != nil {
				t.Errorf("%v in\n%s", err, signed)
			}
			for _, line := range strings.Split(signed[:strings.Index(signed, tt.head)], "\r\n") {
				if len(line) > 78 {
					t.Errorf("a line of %d octets in a signature: %q", len(line), line)
				}
			}
		})
	}
}

func TestWhatSignaturesForbid(t *testing.T) {
	s, records := newSigner(t)
	signed := sign(t, s, plainHead, "Hello.\r\n")
	tests := []struct{ name, old, new string }{
		{"another body", "Hello.\r\n", "Hullo.\r\n"},
		{"another subject", "Subject: Hello", "Subject: Hullo"},
		{"a second From", "From: News", "From: eve@example.com\r\nFrom: News"},
		{"a Reply-To that was not there", "From: News", "Reply-To: eve@example.com\r\nFrom: News"},
		{"a Content-Type that was not there", "From: News", "Content-Type: text/html\r\nFrom: News"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i := strings.LastIndex(signed, tt.old)
			if err := verify(signed[:i]+tt.new+signed[i+len(tt.old):], records); err == nil {
				t.Error("the signatures still verify")
			}
		})
	}
}

func TestManyMaySignAtOnce(t *testing.T) {
	s, records := newSigner(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			head := plainHead + fmt.Sprintf("Feedback-ID: %d\r\n", i)
			b := dkim.NewBodyHash()
			fmt.Fprintf(b, "Hello %d.\r\n", i)
			fields, err := s.Sign([]byte(head), b.Sum())
			if err != nil {
				t.Errorf("Sign: %v", err)
				return
			}
			if err := verify(string(fields)+head+fmt.Sprintf("\r\nHello %d.\r\n", i), records); err != nil {
				t.Errorf("message %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

func TestKeysThatCannotBeUsedAreErrors(t *testing.T) {
	_, edwards, _ := ed25519.GenerateKey(rand.Reader)
	tests := []struct {
		name string
		pem  []byte
		want error
	}{
		{"no PEM at all", []byte("secret"), dkim.ErrNoKey},
		{"a certificate", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), dkim.ErrNoKey},
		{"a block cut short", bytes.Replace(pkcs8(t, edwards), []byte("M"), nil, 1), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := dkim.ParseKey("s", tt.pem); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("ParseKey gives %v, want an error like %v", err, tt.want)
			}
		})
	}
}

// FuzzSign promises that what we sign verifies, whatever the header and the
// body are, as long as they are a message.
func FuzzSign(f *testing.F) {
	s, records := newSigner(f)
	s.Now = func() time.Time { return time.Unix(1_800_000_000, 0) }
	f.Add("Hello", "Hello.\r\n \t\r\n\r\n")
	f.Add("a\r\n b", "\r\n\r\nx ")
	f.Fuzz(func(t *testing.T, subject, body string) {
		subject, body = lines(subject, "\r\n "), lines(body, "\r\n")
		if strings.TrimSpace(subject) == "" || strings.ContainsAny(subject+body, "\x00") {
			return
		}
		head := "From: news@example.org\r\nSubject: " + subject + "\r\n"
		if err := verify(sign(t, s, head, body), records); err != nil {
			t.Errorf("%v for subject %q, body %q", err, subject, body)
		}
	})
}

// FuzzBodyHash promises that it makes no difference in which pieces a body
// comes, and that white space at the ends of lines and empty lines at the end
// make none either.
func FuzzBodyHash(f *testing.F) {
	f.Add("Hello. \t\r\n\r\nx  y\r\n\r\n", uint16(3))
	f.Add(strings.Repeat("word word\r\n", 1000), uint16(4095))
	f.Add(" \r\n\r\r\n", uint16(1))
	f.Fuzz(func(t *testing.T, body string, cut uint16) {
		sum := func(pieces ...string) dkim.BodySum {
			b := dkim.NewBodyHash()
			for _, p := range pieces {
				fmt.Fprint(b, p)
			}
			return b.Sum()
		}
		n := min(int(cut), len(body))
		want := sum(strings.Split(body, "")...)
		if sum(body) != want || sum(body[:n], body[n:]) != want {
			t.Errorf("%q hashes differently in pieces", body)
		}
		if strings.HasSuffix(body, "\r") {
			return
		}
		if sum(body, " \t\r\n \r\n\r\n") != want && strings.Trim(body, " \t\r\n") != "" {
			t.Errorf("%q hashes differently with empty lines behind it", body)
		}
	})
}

// lines makes every line end of a text the given one, and takes out of it what
// no stored message has.
func lines(s, end string) string {
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "")
	s = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r > '~' {
			return 'x'
		}
		return r
	}, s)
	var out []string
	for _, line := range strings.Split(s, "\n") {
		if end != "\r\n" && strings.TrimSpace(line) == "" {
			continue // an all-blank continuation line ends a header for some readers
		}
		out = append(out, line)
	}
	return strings.Join(out, end)
}

func BenchmarkSign(b *testing.B) {
	s, _ := newSigner(b)
	body := dkim.NewBodyHash()
	body.Write(bytes.Repeat([]byte("Lorem ipsum dolor sit amet.\r\n"), 140))
	sum := body.Sum()
	for i := range s.Keys {
		one := &dkim.Signer{Domain: s.Domain, Keys: s.Keys[i : i+1]}
		b.Run(s.Keys[i].Selector, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				one.Sign([]byte(plainHead), sum)
			}
		})
	}
}

func BenchmarkBodyHash(b *testing.B) {
	text := bytes.Repeat([]byte("Lorem ipsum dolor sit amet.\r\n"), 1766)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		h := dkim.NewBodyHash()
		h.Write(text)
		h.Sum()
	}
}

func ExampleBodyHash() {
	b := dkim.NewBodyHash()
	fmt.Fprint(b, "Hello. \r\n\r\n\r\n")
	again := dkim.NewBodyHash()
	fmt.Fprint(again, "Hello.")
	fmt.Println(b.Sum() == again.Sum())
	// Output: true
}
