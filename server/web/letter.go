package web

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"homing/event"
	"homing/hold"
	"homing/internal/message"
	"homing/server/smtpd"
)

// understand makes an Injection of the body. An error says that it cannot be
// read at all.
func (d *intake) understand(body []byte) ([]Mistake, error) {
	if d.kind == mailKind {
		return d.whole(body), nil
	}
	return d.parts(body)
}

// letterMembers are those of the object that a message can be.
var letterMembers = []string{"from", "to", "cc", "bcc", "reply_to", "subject", "text", "html", "headers", "attachments", "campaign", "metadata", "send_at"}

// parts makes an Injection of a message that is given in parts, as JSON.
func (d *intake) parts(body []byte) ([]Mistake, error) {
	var all []Mistake
	o, err := readObject(body, &all)
	if err != nil {
		return nil, err
	}
	o.only(letterMembers)
	l := message.Letter{To: o.mailboxes("to"), Cc: o.mailboxes("cc"), ReplyTo: o.mailboxes("reply_to"),
		Subject: o.text("subject"), Text: o.text("text"), HTML: o.text("html"), Date: d.Now()}
	from, bcc := o.mailboxes("from"), o.mailboxes("bcc")
	if len(from) == 1 && !o.wrong("from") {
		l.From = from[0]
	} else if !o.wrong("from") {
		o.mistake("from", "want the one address that the message is from")
	}
	headers := o.texts("headers")
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		l.Fields = append(l.Fields, message.LetterField{Name: name, Value: headers[name]})
	}
	l.Attachments = o.attachments()
	d.about(o)
	if !d.in.SendAt.IsZero() {
		l.Date = d.in.SendAt
	}
	d.envelope(o, l.From, [][]message.Mailbox{l.To, l.Cc, bcc})
	faults(o, &l)
	if len(all) > 0 {
		return all, nil
	}
	return nil, d.compose(&l)
}

// about reads what is said of a message beside what it says.
func (d *intake) about(o object) {
	d.in.Campaign = o.text("campaign")
	if err := checkCampaign(d.in.Campaign); err != nil {
		o.mistake("campaign", err.Error())
	}
	var err error
	if d.in.Metadata, err = event.MetadataOf(o.texts("metadata")); err != nil {
		o.mistake("metadata", err.Error())
	}
	if text := o.text("send_at"); text != "" {
		if d.in.SendAt, err = d.sendAt(text); err != nil {
			o.mistake("send_at", err.Error())
		}
	}
}

// maxCampaign is the longest name of a campaign, in octets.
const maxCampaign = 100

func checkCampaign(s string) error {
	if len(s) > maxCampaign || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Errorf("want at most %d octets of text on one line", maxCampaign)
	}
	return nil
}

// sendAt reads a time to send at. Whether it is past is asked when it is known
// that the request did not come before.
func (w *Web) sendAt(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		return t, fmt.Errorf("want a time like 2026-11-23T10:00:00Z, got %q", shortened(text))
	case t.After(w.Now().Add(maxAhead)):
		return t, errors.New("want a time within the next 30 days")
	}
	return t.UTC(), nil
}

// shortened is a text that is quoted in a sentence.
func shortened(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}

// envelope makes the envelope of the mailboxes of a message: from its author,
// to all whom it names.
func (d *intake) envelope(o object, from message.Mailbox, to [][]message.Mailbox) {
	var ok bool
	if d.in.From, ok = envelopeAddress(from.Address); !ok && !o.wrong("from") {
		o.mistake("from", fmt.Sprintf("want an address like ann@example.net, got %q", shortened(from.Address)))
	}
	for i, list := range to {
		field := []string{"to", "cc", "bcc"}[i]
		for j, m := range list {
			address, ok := envelopeAddress(m.Address)
			if at := o.item(field, j); !ok && !o.wrong(at) {
				o.mistake(at, fmt.Sprintf("want an address like ann@example.net, got %q", shortened(m.Address)))
			}
			d.in.To = append(d.in.To, address)
		}
	}
	switch n := len(d.in.To); {
	case n == 0 && !o.wrong("to") && !o.wrong("cc") && !o.wrong("bcc"):
		o.mistake("to", "want at least one recipient in to, cc or bcc")
	case n > maxRecipient:
		o.mistake("to", fmt.Sprintf("want at most %d recipients in to, cc and bcc, got %d: send to the others in another message", maxRecipient, n))
	}
}

// envelopeAddress gives an address as it stands in an envelope: its domain in
// A-labels.
func envelopeAddress(address string) (string, bool) {
	address, err := smtpd.Mailbox(address, true)
	local, domain, ok := message.SplitAddress(address)
	if err != nil || !ok {
		return "", false
	}
	return local + "@" + hold.CanonicalDomain(domain), true
}

// faults notes what is wrong with a letter, but for what is noted already.
func faults(o object, l *message.Letter) {
	for _, f := range l.Faults() {
		at := pointer(f.Where)
		if i, err := strconv.Atoi(f.Where[len(f.Where)-1]); err == nil && f.Where[0] != "headers" {
			at = o.item(f.Where[0], i)
		}
		if o.wrong(at) || f.Where[0] == "text" && (o.wrong("html") || o.wrong("attachments")) {
			continue
		}
		o.mistake(at, f.What)
	}
}

// pointer writes a way as RFC 6901 section 3 wants it, without what is in front.
func pointer(way []string) string {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	words := make([]string, 0, len(way))
	for _, w := range way {
		words = append(words, escape.Replace(w))
	}
	return strings.Join(words, "/")
}

func (d *intake) compose(l *message.Letter) error {
	_, domain, _ := message.SplitAddress(d.in.From)
	l.MessageID = message.NewID(domain)
	var b bytes.Buffer
	if err := l.Compose(&b); err != nil {
		return err
	}
	d.in.Content, d.in.UTF8 = b.Bytes(), true
	return nil
}
