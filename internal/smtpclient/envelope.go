package smtpclient

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"homing/internal/reply"
)

// A Transaction is one message to one or more recipients. What a peer does not
// offer is left out of the commands where the message can do without.
type Transaction struct {
	From       string // reverse-path; "" is the null one
	To         []Recipient
	Body       Body
	EightBit   bool   // the content needs 8BITMIME (RFC 6152)
	UTF8       bool   // header or addresses need SMTPUTF8 (RFC 6531)
	EnvelopeID string // ENVID (RFC 3461 section 4.4), decoded
	Return     string // RET: "", "FULL" or "HDRS"
	RequireTLS bool   // REQUIRETLS (RFC 8689), to a peer that offers it over TLS

	// Done hears once what became of each recipient, in the order of To. It
	// must not wait: the dialogue stands still meanwhile.
	Done func([]Outcome)
}

// A Recipient is one forward-path. Notify and Original are NOTIFY and ORCPT of
// RFC 3461, decoded, with the type of the address in Original.
type Recipient struct {
	Address, Notify, Original string
}

// A Body is the content of a message: its header, an empty line, its text.
// *bytes.Reader is one.
type Body interface {
	io.WriterTo
	Size() int64
}

// unfit says why the peer cannot be asked to take the message at all; nil when
// it can.
func (c *Client) unfit(t *Transaction) *Outcome {
	refuse := func(s reply.Stage, code int, e reply.Enhanced, format string, args ...any) *Outcome {
		return &Outcome{Stage: s, Ours: true, Reply: reply.Reply{Code: code, Enhanced: e, Text: fmt.Sprintf(format, args...)}}
	}
	switch size := t.Body.Size(); {
	case !speakable(t.From):
		return refuse(reply.MAIL, 553, reply.Enhanced{5, 1, 7}, "the reverse-path cannot be said in SMTP")
	case t.needsUTF8() && !c.offers.has("SMTPUTF8"):
		return refuse(reply.MAIL, 553, reply.Enhanced{5, 6, 7}, "the message needs SMTPUTF8, which %s does not offer", c.o.Peer)
	case t.EightBit && !c.offers.has("8BITMIME"):
		return refuse(reply.MAIL, 554, reply.Enhanced{5, 6, 3}, "the message needs 8BITMIME, which %s does not offer", c.o.Peer)
	case t.RequireTLS && (c.secure == nil || !c.offers.has("REQUIRETLS")):
		return refuse(reply.MAIL, 550, reply.RequireTLS, "the message needs REQUIRETLS, which %s does not offer", c.o.Peer)
	case c.offers.size > 0 && size > c.offers.size:
		return refuse(reply.MAIL, 552, reply.Enhanced{5, 3, 4}, "message size %d exceeds the %d octets that %s takes", size, c.offers.size, c.o.Peer)
	}
	return nil
}

func (t *Transaction) needsUTF8() bool {
	utf8 := t.UTF8 || !ascii(local(t.From))
	for _, to := range t.To {
		utf8 = utf8 || !ascii(local(to.Address))
	}
	return utf8
}

// putMail buffers MAIL with the parameters that the peer offers.
func (c *Client) putMail(t *Transaction) {
	c.out.WriteString("MAIL FROM:<")
	c.out.WriteString(spoken(t.From))
	c.out.WriteByte('>')
	if c.offers.has("SIZE") {
		c.out.WriteString(" SIZE=")
		c.out.Write(strconv.AppendInt(c.out.AvailableBuffer(), t.Body.Size(), 10))
	}
	if t.EightBit {
		c.out.WriteString(" BODY=8BITMIME")
	}
	if t.needsUTF8() {
		c.out.WriteString(" SMTPUTF8")
	}
	if t.RequireTLS {
		c.out.WriteString(" REQUIRETLS")
	}
	if c.offers.has("DSN") {
		if t.Return == "FULL" || t.Return == "HDRS" {
			c.out.WriteString(" RET=" + t.Return)
		}
		if t.EnvelopeID != "" && ascii(t.EnvelopeID) {
			c.out.WriteString(" ENVID=" + xtext(t.EnvelopeID))
		}
	}
	c.out.WriteString("\r\n")
}

// putRcpt buffers RCPT with the parameters that the peer offers.
func (c *Client) putRcpt(to Recipient) {
	c.out.WriteString("RCPT TO:<")
	c.out.WriteString(spoken(to.Address))
	c.out.WriteByte('>')
	if c.offers.has("DSN") {
		if to.Notify != "" && strings.Trim(to.Notify, "ABCDEFGHIJKLMNOPQRSTUVWXYZ,") == "" {
			c.out.WriteString(" NOTIFY=" + to.Notify)
		}
		if kind, address, ok := strings.Cut(to.Original, ";"); ok && ascii(to.Original) && strings.Trim(kind, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" {
			c.out.WriteString(" ORCPT=" + kind + ";" + xtext(address))
		}
	}
	c.out.WriteString("\r\n")
}

// speakable reports whether an address can be written between angle brackets
// without being taken for something else (RFC 5321 section 4.1.2).
func speakable(address string) bool {
	quoted, escaped := false, false
	for i := range len(address) {
		switch c := address[i]; {
		case c < ' ' || c == 0x7f:
			return false
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '<' || c == '>' || c == '\\'):
			return false
		}
	}
	return !quoted
}

// spoken gives an address as it is written to a peer: its domain in A-labels
// (RFC 5890), which everybody understands.
func spoken(address string) string {
	if ascii(address) {
		return address
	}
	l := local(address)
	if d, err := idna.Lookup.ToASCII(strings.TrimPrefix(address[len(l):], "@")); err == nil && d != "" {
		return l + "@" + d
	}
	return address
}

func local(address string) string {
	if i := strings.LastIndexByte(address, '@'); i >= 0 {
		return address[:i]
	}
	return address
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// xtext encodes as RFC 3461 section 4 wants it.
func xtext(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < '!' || c > '~' || c == '+' || c == '=' {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
