package aggregate

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	utf "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// maxDeclaration is the longest XML declaration that is understood.
const maxDeclaration = 512

var declared = regexp.MustCompile(`^(?:\xef\xbb\xbf)?[ \t\r\n]*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._:-]{1,40})["']`)

// undeclared gives a text as UTF-8 without the XML declaration, byte order
// mark and white space that it begins with. Octets that are no UTF-8 and
// characters that XML does not allow are replaced.
func undeclared(in *bufio.Reader) (*bufio.Reader, error) {
	head, err := in.Peek(maxDeclaration)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var text io.Reader = in
	if e := encodingOf(head); e != nil {
		text = e.NewDecoder().Reader(in)
	}
	out := bufio.NewReaderSize(transform.NewReader(text, cleaner{}), 4096)
	if err := skipBlanks(out); err != nil {
		return nil, err
	}
	begin, err := out.Peek(maxDeclaration)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if end := bytes.Index(begin, []byte("?>")); end > 0 && bytes.HasPrefix(begin, []byte("<?xml")) {
		if _, err := out.Discard(end + len("?>")); err != nil {
			return nil, err
		}
	}
	return out, skipBlanks(out)
}

// encodingOf says how a text is encoded; nil: as UTF-8. What its octets prove
// goes before what it declares: much software declares UTF-16 and writes
// UTF-8.
func encodingOf(head []byte) encoding.Encoding {
	for _, begin := range []string{"\xfe\xff", "\x00<", "\x00{"} {
		if bytes.HasPrefix(head, []byte(begin)) {
			return utf.UTF16(utf.BigEndian, utf.UseBOM)
		}
	}
	for _, begin := range []string{"\xff\xfe", "<\x00", "{\x00"} {
		if bytes.HasPrefix(head, []byte(begin)) {
			return utf.UTF16(utf.LittleEndian, utf.UseBOM)
		}
	}
	m := declared.FindSubmatch(head)
	if m == nil || strings.HasPrefix(strings.ToLower(string(m[1])), "utf") {
		return nil
	}
	e, err := htmlindex.Get(string(m[1]))
	if err != nil {
		return nil
	}
	return e
}

// A cleaner makes valid UTF-8 of a text, with a space for each character that
// XML does not allow (XML 1.0 section 2.2), and for byte order marks.
type cleaner struct{ transform.NopResetter }

// Transform implements transform.Transformer.
func (cleaner) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		if !atEOF && !utf8.FullRune(src[nSrc:]) {
			return nDst, nSrc, transform.ErrShortSrc
		}
		r, size := rune(src[nSrc]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(src[nSrc:])
		}
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == '\ufeff' || r == '\ufffe' || r == '\uffff' {
			r = ' '
		}
		if nDst+utf8.RuneLen(r) > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc += size
	}
	return nDst, nSrc, nil
}

// skipBlanks discards white space. That there is nothing else is no error.
func skipBlanks(in *bufio.Reader) error {
	for {
		c, err := in.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case c != ' ' && c != '\t' && c != '\r' && c != '\n':
			return in.UnreadByte()
		}
	}
}

// clip gives a text on one line, cut to MaxText octets.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > MaxText {
		s = strings.ToValidUTF8(s[:MaxText], "")
	}
	return s
}
