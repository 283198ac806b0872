package civicrm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"homing/event"
	"homing/internal/message"
)

// What of a reply goes to CiviCRM. PHP drops forms that are too big, without a
// word: 8 MB as it is shipped, and a form may need three octets for one.
const (
	maxWhole = 1 << 20   // a longer mail goes as its texts alone
	maxPart  = 128 << 10 // octets of a text
)

// A letter is a mail that came in, as CiviCRM wants it.
type letter struct {
	from, replyTo string
	text, html    string
	whole         string // "": too long, or in an encoding that JSON cannot carry
}

// letter reads the mail behind a fact. One that has been forgotten has only
// its sender.
func (s *Sink) letter(ctx context.Context, e event.Event) (letter, error) {
	l := letter{from: e.Recipient, replyTo: e.Recipient}
	if e.Raw.IsZero() || s.c.OpenBody == nil {
		return l, nil
	}
	raw, err := s.c.OpenBody(ctx, e.Raw)
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return l, err
	case err != nil:
		s.c.Logger.Warn("a mail is told without its text", "event", e.ID, "err", err)
		return l, nil
	}
	defer raw.Close()
	content := io.NewSectionReader(raw, 0, raw.Size())
	mail, err := message.Walker{Now: s.c.Now}.Walk(content)
	if err != nil {
		return l, fmt.Errorf("reading a mail that came in: %w", err)
	}
	l.read(mail)
	return l, l.take(content)
}

func (l *letter) read(mail message.Mail) {
	if from, ok := message.FirstMailbox(mail.Fields.Get("From")); ok {
		l.from, l.replyTo = from.Address, from.Address
	}
	if to, ok := message.FirstMailbox(mail.Fields.Get("Reply-To")); ok {
		l.replyTo = to.Address
	}
	for i := range mail.Parts {
		p := &mail.Parts[i]
		switch {
		case p.Type == "text/plain" && l.text == "":
			l.text = cut(p.Text())
		case p.Type == "text/html" && l.html == "":
			l.html = cut(p.Text())
		}
	}
	if l.text == "" && l.html != "" {
		l.text = cut(message.TextOfHTML(l.html))
	}
	l.text = cmp.Or(l.text, "(no text)")
}

// take keeps the whole mail, without the Return-Path field that was added here
// on top.
func (l *letter) take(content *io.SectionReader) error {
	if content.Size() > maxWhole {
		return nil
	}
	octets := make([]byte, content.Size())
	if _, err := content.ReadAt(octets, 0); err != nil && err != io.EOF {
		return fmt.Errorf("reading a mail that came in: %w", err)
	}
	whole := string(octets)
	if first, rest, ok := strings.Cut(whole, "\r\n"); ok && strings.HasPrefix(first, "Return-Path:") {
		whole = rest
	}
	if utf8.ValidString(whole) {
		l.whole = whole
	}
	return nil
}

// cut gives a text with LF line ends, cut where it is too long.
func cut(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if len(text) > maxPart {
		text = text[:maxPart]
	}
	return strings.ToValidUTF8(text, "")
}
