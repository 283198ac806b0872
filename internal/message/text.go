package message

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
)

// Bytes gives the content that was kept, its transfer encoding undone (RFC
// 2045 section 6). What is not base64 or quoted-printable where it should be
// is passed over.
func (p *Part) Bytes() []byte {
	switch strings.ToLower(p.Fields.Get("Content-Transfer-Encoding")) {
	case "base64":
		return unbase64(p.Raw)
	case "quoted-printable":
		return unquote(p.Raw)
	}
	return p.Raw
}

// Text gives the content that was kept as UTF-8 with LF line ends. The charset
// that the part claims is believed unless its octets prove it wrong.
func (p *Part) Text() string {
	s := toUTF8(p.Bytes(), p.Param("charset"))
	if strings.IndexByte(s, '\r') >= 0 {
		s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	}
	return s
}

// unbase64 decodes what it can: padding in the middle and foreign octets do
// not end it (RFC 2045 section 6.8).
func unbase64(in []byte) []byte {
	out := make([]byte, 0, len(in)*3/4)
	var acc uint32
	n := 0
	for _, c := range in {
		v := base64Value(c)
		if v < 0 {
			if c == '=' { // the end of a piece
				switch n {
				case 2:
					out = append(out, byte(acc>>4))
				case 3:
					out = append(out, byte(acc>>10), byte(acc>>2))
				}
				acc, n = 0, 0
			}
			continue
		}
		acc = acc<<6 | uint32(v)
		if n++; n == 4 {
			out = append(out, byte(acc>>16), byte(acc>>8), byte(acc))
			acc, n = 0, 0
		}
	}
	return out
}

func base64Value(c byte) int {
	switch {
	case c >= 'A' && c <= 'Z':
		return int(c - 'A')
	case c >= 'a' && c <= 'z':
		return int(c-'a') + 26
	case c >= '0' && c <= '9':
		return int(c-'0') + 52
	case c == '+':
		return 62
	case c == '/':
		return 63
	}
	return -1
}

// unquote undoes quoted-printable (RFC 2045 section 6.7). A "=" that begins
// nothing stays.
func unquote(in []byte) []byte {
	if bytes.IndexByte(in, '=') < 0 {
		return in
	}
	out := make([]byte, 0, len(in))
	for i := 0; i < len(in); i++ {
		if in[i] != '=' {
			out = append(out, in[i])
			continue
		}
		rest := bytes.TrimLeft(in[i+1:min(i+4, len(in))], " \t")
		skip := min(i+4, len(in)) - i - 1 - len(rest)
		switch {
		case len(rest) > 0 && rest[0] == '\n':
			i += skip + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			i += skip + 2
		case skip == 0 && len(rest) > 1 && hex(rest[0]) >= 0 && hex(rest[1]) >= 0:
			out = append(out, byte(hex(rest[0])<<4|hex(rest[1])))
			i += 2
		default:
			out = append(out, '=')
		}
	}
	return out
}

func hex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// toUTF8 decodes octets of a charset. UTF-8 that is valid and not plain ASCII
// is UTF-8 whatever it claims to be; NUL becomes a space.
func toUTF8(b []byte, name string) string {
	ascii, escapes := true, false
	for _, c := range b {
		if c >= 0x80 {
			ascii = false
		}
		if c == 0x1b {
			escapes = true
		}
	}
	var s string
	switch {
	case escapes && bytes.Contains(b, []byte("\x1b$")):
		s = decode(b, japanese.ISO2022JP)
	case ascii || utf8.Valid(b):
		s = string(b)
	default:
		s = foreign(b, strings.ToLower(strings.TrimSpace(name)))
	}
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", " ")
	}
	return s
}

// foreign decodes 8-bit octets that are no UTF-8.
func foreign(b []byte, name string) string {
	switch name {
	case "", "us-ascii", "ascii", "utf-8", "utf8", "unknown-8bit", "iso-8859-1":
		return decode(b, charmap.Windows1252)
	case "iso-2022-jp": // octets with the high bit are something else that is Japanese
		if s := decode(b, japanese.EUCJP); !strings.ContainsRune(s, utf8.RuneError) {
			return s
		}
		return decode(b, japanese.ShiftJIS)
	}
	r, err := charset.Reader(name, bytes.NewReader(b))
	if err != nil {
		return decode(b, charmap.Windows1252)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		return decode(b, charmap.Windows1252)
	}
	return strings.ToValidUTF8(string(out), string(utf8.RuneError))
}

func decode(b []byte, e encoding.Encoding) string {
	out, err := e.NewDecoder().Bytes(b)
	if err != nil {
		out = b
	}
	return strings.ToValidUTF8(string(out), string(utf8.RuneError))
}

// charsetReader is for encoded words.
func charsetReader(name string, in io.Reader) (io.Reader, error) { return charset.Reader(name, in) }
