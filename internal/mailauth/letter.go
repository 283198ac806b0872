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

// open reads the header of a message. A message whose header block ends without
// an empty line, or has line ends of its own, is read differently by others, and
// so nothing in it is proven.
func open(m Mail) letter {
	section := io.NewSectionReader(m.Content, 0, m.Size)
	in := bufio.NewReader(section)
	h, err := message.ReadHeader(in, maxHeader)
	if err != nil {
		l := letter{header: &message.Header{}}
		if !errors.Is(err, message.ErrHeaderTooBig) {
			l.failure = err
		}
		return l
	}
	at, _ := section.Seek(0, io.SeekCurrent)
	at -= int64(in.Buffered())
	l := letter{header: h, body: io.NewSectionReader(m.Content, at, m.Size-at)}
	l.sound = endsClean(m, at) && plain(h)
	if l.sound {
		l.from, l.domain = author(h)
	}
	return l
}

// endsClean reports whether the header block before the octet at ended with an
// empty line or with the message.
func endsClean(m Mail, at int64) bool {
	tail := make([]byte, min(at, 3))
	if n, _ := m.Content.ReadAt(tail, at-int64(len(tail))); n < len(tail) {
		return false
	}
	return at == m.Size || bytes.HasSuffix(tail, []byte("\n\n")) || bytes.HasSuffix(tail, []byte("\n\r\n"))
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
