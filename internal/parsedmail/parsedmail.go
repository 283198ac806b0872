// Package parsedmail takes a mail of a person apart for whoever files it: who
// wrote to whom, what it says, and what is attached to it.
package parsedmail

import (
	"fmt"
	"io"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"homing/internal/message"
)

// Most that a Mail has. What is beyond is left out, and Truncated says so.
const (
	MaxText      = 100_000 // octets of each of the two texts
	maxMailboxes = 500     // of one field
	maxThread    = 100     // Message-IDs
	maxSubject   = 1000    // octets
	maxName      = 300
)

// A Mail is a mail as people read it. All texts are UTF-8 without control
// characters, but for line ends and tabs of Text and HTML. Its JSON is what
// applications are told.
type Mail struct {
	MessageID  string    `json:"message_id,omitempty"` // with its brackets; so are those of the thread
	InReplyTo  []string  `json:"in_reply_to,omitempty"`
	References []string  `json:"references,omitempty"`
	From       []Mailbox `json:"from"` // nearly always one
	ReplyTo    []Mailbox `json:"reply_to,omitempty"`
	To         []Mailbox `json:"to"`
	CC         []Mailbox `json:"cc"`
	Subject    string    `json:"subject"`
	Date       time.Time `json:"date,omitzero"`       // of the Date field; zero: it has none that can be read
	Case       string    `json:"case,omitempty"`      // X of "[case #X]" in the subject
	Text       string    `json:"text"`                // that of HTML where there is no other
	HTML       string    `json:"html,omitempty"`      // harmless: see Clean
	Truncated  bool      `json:"truncated,omitempty"` // there is more in the mail

	Attachments []Attachment `json:"attachments"`
}

// People gives the addresses of everybody whom the mail names, each as often as
// it does.
func (m *Mail) People() (all []string) {
	for _, list := range [][]Mailbox{m.From, m.ReplyTo, m.To, m.CC} {
		for _, x := range list {
			all = append(all, x.Address)
		}
	}
	return all
}

// A Mailbox is a name, which may be empty, and an address.
type Mailbox struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address"`
}

// An Attachment is a part that is none of the texts.
type Attachment struct {
	Name      string `json:"name"` // of a file, without a way to it; never empty
	Type      string `json:"type"` // "application/pdf"
	Size      int64  `json:"size"` // octets of the content, its transfer encoding undone
	SHA256    string `json:"sha256"`
	ContentID string `json:"content_id,omitempty"` // HTML shows it where it says "cid:" and this
	Part      int    `json:"part"`                 // for Extract
}

// Read takes a mail apart, within the limits of message.Walker. Nothing in a
// mail is an error: an error is one of r.
func Read(r io.Reader) (Mail, error) {
	m := Mail{From: []Mailbox{}, To: []Mailbox{}, CC: []Mailbox{}, Attachments: []Attachment{}}
	c := collector{files: map[int]*file{}}
	walked, err := message.Walker{Leaf: c.leaf, Limit: readTime}.Walk(r)
	if err != nil {
		return m, fmt.Errorf("reading a mail: %w", err)
	}
	m.Truncated = walked.Limited
	m.header(walked.Fields)
	m.texts(walked.Parts, c.files)
	for n := range walked.Parts {
		if f := c.files[n]; f != nil {
			m.Attachments = append(m.Attachments, f.attachment(n, len(m.Attachments)+1))
		}
	}
	return m, nil
}

// readTime is what taking a mail apart may take, hashes included.
const readTime = 5 * time.Second

func (m *Mail) header(f message.Fields) {
	m.MessageID = first(identifiers(f.Get("Message-ID")))
	m.InReplyTo = m.few(identifiers(f.Get("In-Reply-To")))
	m.References = m.few(identifiers(f.Get("References")))
	m.From = append(m.From, m.mailboxes(f, "From")...)
	m.ReplyTo = m.mailboxes(f, "Reply-To")
	m.To, m.CC = append(m.To, m.mailboxes(f, "To")...), append(m.CC, m.mailboxes(f, "Cc")...)
	m.Subject = line(f.Text("Subject"), maxSubject)
	m.Case = caseOf(m.Subject)
	if t, err := mail.ParseDate(f.Get("Date")); err == nil && t.Year() > 1970 && t.Year() < 10000 { // else JSON has no words for it
		m.Date = t.UTC()
	}
}

// mailboxes gives those of all fields of a name that are addresses.
func (m *Mail) mailboxes(f message.Fields, name string) (all []Mailbox) {
	for _, x := range message.Mailboxes(strings.Join(f.Values(name), ", ")) {
		if _, _, ok := message.SplitAddress(x.Address); !ok || len(x.Address) > maxName {
			continue
		}
		if len(all) == maxMailboxes {
			m.Truncated = true
			break
		}
		all = append(all, Mailbox{line(x.Name, maxName), line(x.Address, maxName)})
	}
	return all
}

// identifier is a msg-id (RFC 5322 section 3.6.4) as software writes it.
var identifier = regexp.MustCompile(`<[^<>\s]{1,900}>`)

func identifiers(field string) (ids []string) {
	for _, id := range identifier.FindAllString(field, maxThread+1) {
		if id = line(id, maxSubject); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

func first(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

// few gives the last Message-IDs of a thread: those nearest to the mail.
func (m *Mail) few(ids []string) []string {
	if len(ids) > maxThread {
		m.Truncated = true
		return ids[len(ids)-maxThread:]
	}
	return ids
}

// caseToken is what CiviCRM puts into subjects: a number, or seven digits of a
// hash of it.
var caseToken = regexp.MustCompile(`(?i)\[case #([0-9a-f]{7}|[0-9]{1,18})\]`)

func caseOf(subject string) string {
	found := caseToken.FindStringSubmatch(subject)
	if found == nil {
		return ""
	}
	return strings.ToLower(found[1])
}

// line gives a text fit for one line, which reads in the order of its characters
// wherever it stands: an override of their direction makes "…fdp.exe" look like a
// document, and one address like another.
func line(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		case r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(head(s, limit))
}

// head gives the beginning of a text, no more than limit octets.
func head(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "")
}

// texts puts together what the mail says. Parts that are alternatives to each
// other (RFC 2046 section 5.1.4) differ in their type.
func (m *Mail) texts(parts []message.Part, files map[int]*file) {
	var plain, markup []string
	for n := range parts {
		p := &parts[n]
		if files[n] != nil {
			continue
		}
		m.Truncated = m.Truncated || p.Cut()
		if p.Type == "text/html" {
			markup = append(markup, p.Text())
		} else if text := strings.TrimRight(p.Text(), "\n\t "); text != "" {
			plain = append(plain, text)
		}
	}
	whole := strings.Join(markup, "\n<hr>\n")
	if len(plain) == 0 && whole != "" {
		plain = append(plain, strings.TrimSpace(message.TextOfHTML(whole)))
	}
	text := lines(strings.Join(plain, "\n\n"))
	m.Text = head(text, MaxText)
	html, complete := Clean(lines(whole))
	m.HTML = html
	m.Truncated = m.Truncated || len(m.Text) < len(text) || !complete
}

// lines gives a text without controls but line ends and tabs.
func lines(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}
