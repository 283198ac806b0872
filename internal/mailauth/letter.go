package mailauth

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"

	"homing/internal/dnsx"
	"homing/internal/message"
)

// Limits of a header block whose signatures are verified, because verifying
// takes time that grows faster than its size. Mail to thousands of recipients
// in To is within them.
const (
	maxHeader    = 256 << 10
	maxFields    = 2000
	maxFolds     = 4000     // lines of one field
	maxSignature = 16 << 10 // octets of a DKIM-Signature
	maxNames     = 500      // fields that it names
)

// A letter is a message, its header taken from its body.
type letter struct {
	header  *message.Header
	body    io.Reader
	sound   bool   // one header block that nobody can read in another way
	from    string // address in From
	domain  string // its domain; "" where nobody can say
	failure error  // the content could not be read
}

// open reads the header of a message. One whose header block ends without an
// empty line, begins with something else, or has line ends of its own, is read
// differently by others, and so nothing in it is proven.
func open(m Mail) letter {
	h, at, err := readHeader(m.Content, m.Size, maxHeader)
	switch {
	case errors.Is(err, message.ErrHeaderTooBig):
		return letter{header: &message.Header{}}
	case err != nil:
		return letter{header: &message.Header{}, failure: err}
	}
	l := letter{header: h, body: io.NewSectionReader(m.Content, at, m.Size-at)}
	l.sound = (at == m.Size || emptyLineBefore(m.Content, at)) && !mbox(m.Content) && plain(h)
	if l.sound {
		l.from, l.domain = author(h)
	}
	return l
}

// readHeader reads the header block of a message and says at which octet its
// body begins.
func readHeader(content io.ReaderAt, size int64, limit int) (h *message.Header, body int64, err error) {
	section := io.NewSectionReader(content, 0, size)
	in := bufio.NewReader(section)
	if h, err = message.ReadHeader(in, limit); err != nil {
		return nil, 0, err
	}
	at, err := section.Seek(0, io.SeekCurrent)
	return h, at - int64(in.Buffered()), err
}

// emptyLineBefore reports whether the line that ends before the octet at is an
// empty one.
func emptyLineBefore(content io.ReaderAt, at int64) bool {
	tail := make([]byte, min(at, 3))
	if n, _ := content.ReadAt(tail, at-int64(len(tail))); n < len(tail) {
		return false
	}
	line, ended := bytes.CutSuffix(tail, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	return ended && (len(line) == 0 || line[len(line)-1] == '\n')
}

// mbox reports whether a message begins with the separator of an mbox file,
// which is no field and ends the header block where other fields stand before.
func mbox(content io.ReaderAt) bool {
	start := make([]byte, len("From "))
	n, _ := content.ReadAt(start, 0)
	return string(start[:n]) == "From "
}

// plain reports whether every field is within the limits and has no line ends
// but those of its folds.
func plain(h *message.Header) bool {
	fields := 0
	for f := range h.All() {
		raw := f.Raw()
		lines := bytes.Count(raw, []byte("\r\n"))
		fields++
		if fields > maxFields || lines > maxFolds || bytes.Count(raw, []byte("\r")) != lines || bytes.IndexByte(raw, 0) >= 0 {
			return false
		}
		if strings.EqualFold(f.Name(), "DKIM-Signature") && (len(raw) > maxSignature || bytes.Count(raw, []byte(":")) > maxNames) {
			return false
		}
	}
	return true
}

// author gives the address in the From field and its domain, if there is
// exactly one of each (RFC 7489 section 6.6.1). A group with one mailbox (RFC
// 6854) names one.
func author(h *message.Header) (address, domain string) {
	if h.Count("From") != 1 {
		return "", ""
	}
	people, wrong := message.People(h.Get("From"), "")
	if len(people) != 1 || len(wrong) > 0 {
		return "", ""
	}
	_, domain, _ = message.SplitAddress(people[0].Address)
	if domain = canonical(domain); domain == "" {
		return "", ""
	}
	return people[0].Address, domain
}

// canonical gives the one spelling of a domain name, "" for what is none: an
// address literal, or a name with octets that no host name has.
func canonical(name string) string {
	name, err := dnsx.Canonical(name)
	if err != nil || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		return ""
	}
	return name
}
