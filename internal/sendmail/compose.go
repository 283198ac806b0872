package sendmail

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"slices"
	"strings"
	"time"

	"homing/internal/message"
)

// A letter is a message that is ready to be handed over.
type letter struct {
	from   string // the envelope sender
	to     []string
	header *message.Header
	body   []byte // with CR LF
	eight  bool
	passed []string // what the header has in place of recipients, and is no address
}

// Errors about what came on standard input.
var (
	errData   = errors.New("the message cannot be sent")
	errNobody = usagef("nobody is to get this mail: name recipients as arguments, or use -t to have them read from the header")
)

// maxOctets is the largest message that is read. The server's own limit is
// lower.
const maxOctets = 256 << 20

// read reads the message: to the end or, where dots count, to a line that is a
// dot.
func read(in io.Reader, dots bool) ([]byte, error) {
	if !dots {
		text, err := io.ReadAll(io.LimitReader(in, maxOctets+1))
		if err == nil && len(text) > maxOctets {
			err = fmt.Errorf("%w: it has more than %d octets", errData, maxOctets)
		}
		return text, err
	}
	var text []byte
	lines := bufio.NewReaderSize(in, 64<<10)
	for begins := true; ; {
		piece, err := lines.ReadSlice('\n')
		if begins && (string(piece) == ".\n" || string(piece) == ".\r\n" || string(piece) == "." && err == io.EOF) {
			return text, nil
		}
		text = append(text, piece...)
		begins = err == nil
		switch {
		case len(text) > maxOctets:
			return nil, fmt.Errorf("%w: it has more than %d octets", errData, maxOctets)
		case err == io.EOF:
			return text, nil
		case err != nil && err != bufio.ErrBufferFull:
			return nil, err
		}
	}
}

// canonical gives text with CR LF at each line's end. A CR or NUL elsewhere
// cannot be sent (RFC 5321 section 2.3.8).
func canonical(text []byte) ([]byte, error) {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	if i := bytes.IndexAny(text, "\r\x00"); i >= 0 {
		return nil, fmt.Errorf("%w: line %d holds a CR that no LF follows, or a NUL", errData, 1+bytes.Count(text[:i], []byte("\n")))
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")), nil
}

// compose makes a letter of what came on standard input.
func (c *Call) compose(o options) (*letter, error) {
	to, err := o.recipients()
	if err != nil {
		return nil, err
	}
	if len(to) == 0 && !o.extract {
		return nil, errNobody // before anything is read, as others do
	}
	raw, err := read(c.Stdin, o.dots)
	if err != nil {
		return nil, err
	}
	text, err := canonical(raw)
	if err != nil {
		return nil, err
	}
	in := bufio.NewReader(bytes.NewReader(text))
	h, err := message.ReadHeader(in, message.MaxHeader)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errData, err)
	}
	l := &letter{header: h, to: to}
	if l.body, err = io.ReadAll(in); err != nil {
		return nil, err
	}
	if o.extract {
		if err := l.extract(); err != nil {
			return nil, err
		}
	}
	if l.to = unique(l.to); len(l.to) == 0 {
		return nil, usagef("the header names nobody in To, Cc or Bcc, and nobody is named as an argument")
	}
	l.eight = o.eight || eightBit(text)
	return l, c.address(l, o)
}

// extract adds the recipients of the header. Of mail that was sent again,
// those of the last time count (RFC 5322 section 3.6.6).
func (l *letter) extract() error {
	fields := []string{"To", "Cc", "Bcc"}
	if again := []string{"Resent-To", "Resent-Cc", "Resent-Bcc"}; slices.ContainsFunc(again, l.header.Has) {
		fields = again
	}
	for _, field := range fields {
		for _, value := range l.header.Values(field) {
			people, wrong := message.People(value, homeDomain)
			for _, p := range people {
				l.to = append(l.to, p.Address)
			}
			for _, w := range wrong {
				if strings.Contains(w, "@") {
					return fmt.Errorf("%w: in the field %s, %q is no address", errData, field, w)
				}
				l.passed = append(l.passed, w) // "undisclosed recipients"
			}
		}
	}
	return nil
}

// address says whom the message is from, in the envelope and in the header, as
// far as it does not say so itself, and when it was written: the server may get
// it only later.
func (c *Call) address(l *letter, o options) error {
	me := c.User.Name + "@" + c.Host
	given := me
	if o.from != nil {
		var err error
		if l.from, err = o.sender(c.Host); err != nil {
			return err
		}
		if l.from != "" {
			given = l.from
		}
	}
	h := l.header
	if !h.Has("From") {
		h.Append("From", person(cmp.Or(o.name, c.User.FullName), given))
	} else if people, wrong := message.People(h.Get("From"), c.Host); h.Count("From") == 1 && len(people) == 1 && len(wrong) == 0 {
		if len(message.Mailboxes(h.Get("From"))) == 0 { // it has no domain
			h.Set("From", person(people[0].Name, people[0].Address))
		}
	}
	if o.from == nil {
		l.from = me
		if first, ok := message.FirstMailbox(h.Get("From")); ok {
			l.from = first.Address
		}
	}
	if !h.Has("Date") {
		h.Append("Date", c.Now().Format(time.RFC1123Z))
	}
	return nil
}

// person writes an author.
func person(name, address string) string {
	if name == "" || strings.HasPrefix(address, `"`) {
		return address
	}
	return (&mail.Address{Name: name, Address: address}).String()
}

// unique leaves out what was there before.
func unique(all []string) (once []string) {
	seen := map[string]bool{}
	for _, a := range all {
		if !seen[a] {
			once = append(once, a)
		}
		seen[a] = true
	}
	return once
}

func eightBit(text []byte) bool {
	return slices.ContainsFunc(text, func(b byte) bool { return b >= 0x80 })
}

// text is the message as it is handed over, behind further fields.
func (l *letter) text(fields string) []byte {
	return slices.Concat([]byte(fields), l.header.Block(), l.body)
}

// utf8 reports whether the envelope for some recipients needs SMTPUTF8 (RFC
// 6531).
func (l *letter) utf8(to []string) bool {
	return slices.ContainsFunc(append([]string{l.from}, to...), func(a string) bool { return eightBit([]byte(a)) })
}
