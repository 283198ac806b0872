package server

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"
	"time"
	"unicode"

	"homing/internal/dkim"
	"homing/internal/message"
	"homing/internal/reply"
	"homing/internal/spool"
	"homing/queue"
	"homing/server/smtpd"
	"homing/store"
	"homing/verp"
)

// An outMessage is a message of an application, made fit to be sent.
type outMessage struct {
	as       *Domain // what it is sent as
	header   *message.Header
	lane     queue.Lane
	trace    string // our Received field; not signed
	body     store.Draft
	hash     dkim.BodySum
	from     string // the first address of the From field
	authors  []message.Mailbox
	eightBit bool   // body or header
	utf8     bool   // the header is not ASCII, and the client spoke SMTPUTF8
	key      string // by which a local user's message is known in the spool as well
}

// Answers to messages that cannot be sent by anyone. They are permanent: the
// application must make another message.
var (
	errHeaderTooBig = reply.Errorf(552, reply.Enhanced{5, 3, 4}, "the header block has more than %d octets", message.MaxHeader)
	errFrom         = reply.Errorf(554, reply.Enhanced{5, 6, 0}, "a message needs one From field with an address (RFC 5322 section 3.6)")
)

// maxFrom is the longest address in a From field that is taken, in octets. It
// is kept with each fact about each recipient.
const maxFrom = 512

// readSize is how much of a message is read at once.
const readSize = 32 << 10

// reader gives a buffered reader of a message, one that was used before where
// there is one. Sessions have none of their own: most are idle.
func (o *Outbound) reader(c *smtpd.Content) *bufio.Reader {
	if in, ok := o.readers.Get().(*bufio.Reader); ok {
		in.Reset(c)
		return in
	}
	return bufio.NewReaderSize(c, readSize)
}

// read takes a message off the wire: the header edited, the body stored and
// hashed once.
func (o *Outbound) read(ctx context.Context, tx outTransaction, c *smtpd.Content) (*outMessage, error) {
	in := o.reader(c)
	defer o.readers.Put(in)
	h, err := message.ReadHeader(in, message.MaxHeader)
	switch {
	case errors.Is(err, message.ErrHeaderTooBig):
		return nil, errHeaderTooBig
	case err != nil:
		return nil, err
	case h.Count("Received") > maxReceived:
		return nil, errLoop
	}
	m := &outMessage{header: h, utf8: tx.options.UTF8}
	if tx.local {
		if id := h.Get(spool.Field); spool.IsID(id) {
			m.key = spool.Key(tx.uid, id)
		}
		completeAuthor(tx.policy, tx.application, h)
	}
	if err := m.edit(tx, tx.begins(o.now())); err != nil {
		return nil, err
	}
	var stranger string
	if m.as, stranger = m.sentAs(tx); m.as == nil {
		return nil, o.wrongSender(ctx, tx.application, "From field", stranger)
	}
	m.trace = received(tx.policy.Hostname, tx.origin.protocol, tx.origin.hello, tx.origin.peer, o.now())
	if m.body, err = o.store.NewBody(ctx); err != nil {
		return nil, fmt.Errorf("keeping a message: %w", err)
	}
	if err := m.fill(ctx, in, o.store); err != nil {
		m.body.Discard()
		return nil, err
	}
	return m, nil
}

// sentAs is the domain that a message is sent as. Where there is none, stranger
// is the author whom the application may not send as.
func (m *outMessage) sentAs(tx outTransaction) (as *Domain, stranger string) {
	a := tx.application
	for _, author := range m.authors {
		if a.senderDomain(author.Address) == nil {
			return a.listDomain(tx.from, m.header), author.Address
		}
	}
	return a.senderDomain(m.from), ""
}

// edit makes the header what leaves this house: without what belongs to the
// envelope, with what every message must have, in ASCII where that says the
// same.
func (m *outMessage) edit(tx outTransaction, now time.Time) error {
	h := m.header
	m.lane = laneOf(h.Get(laneField))
	for _, private := range []string{"Return-Path", "Bcc", "Resent-Bcc", laneField, verp.ReturnField, spool.Field} {
		h.Remove(private)
	}
	if !h.Has("From") && tx.from != "" {
		h.Append("From", "<"+tx.from+">")
	}
	m.authors = message.Mailboxes(h.Get("From"))
	if len(m.authors) == 0 || h.Count("From") != 1 {
		return errFrom
	}
	for _, author := range m.authors {
		if len(author.Address) > maxFrom {
			return errFrom
		}
	}
	m.from = m.authors[0].Address
	_, domain := split(m.from)
	h.Complete(now, message.NewID(domain))
	if !m.utf8 {
		h.Encode()
	} else if plain := h.Clone(); asciiIDs(h) && (!plain.Encode() || !plain.EightBit()) {
		// Not every next hop speaks SMTPUTF8: what needs no more than
		// encoded words goes everywhere.
		m.header = plain
	}
	m.eightBit = m.header.EightBit()
	m.utf8 = m.utf8 && m.eightBit
	return nil
}

// asciiIDs reports whether the fields are ASCII that no encoding can make so.
func asciiIDs(h *message.Header) bool {
	for _, name := range []string{"Message-ID", "In-Reply-To", "References", "Content-ID"} {
		for _, v := range h.Values(name) {
			if !ascii(v) {
				return false
			}
		}
	}
	return true
}

// fill stores the body, re-encoded where a next hop could not take it as it
// is, and hashes what was stored. Signed and encrypted parts and messages
// inside stay as they are, with long lines if they have some: a next hop that
// breaks those does less harm than nobody getting the mail. Who speaks
// SMTPUTF8 takes 8-bit text (RFC 6531 section 3.1).
func (m *outMessage) fill(ctx context.Context, in io.Reader, s Store) error {
	scan := &message.Scan{}
	to, sum := m.keeper()
	if _, err := io.Copy(io.MultiWriter(to, scan), in); err != nil {
		return err // its reply is in it: too big, line ends, the peer went away
	}
	m.hash = sum()
	if !scan.LongLine() && (m.utf8 || !scan.EightBit()) {
		m.eightBit = m.eightBit || scan.EightBit()
		return nil
	}
	raw := m.body
	defer raw.Discard()
	var err error
	if m.body, err = s.NewBody(ctx); err != nil {
		m.body = raw
		return fmt.Errorf("keeping a message: %w", err)
	}
	to, sum = m.keeper()
	left, err := message.Encode(to, m.header, raw, raw.Size())
	if err != nil {
		return fmt.Errorf("re-encoding a message: %w", err)
	}
	m.eightBit, m.hash = m.eightBit || left.EightBit(), sum()
	return nil
}

// keeper stores what is written to it as the body and, where the message will
// be signed, hashes it on the way.
func (m *outMessage) keeper() (to io.Writer, sum func() dkim.BodySum) {
	if m.as.Signer == nil {
		return m.body, func() dkim.BodySum { return dkim.BodySum{} }
	}
	hash := dkim.NewBodyHash()
	return io.MultiWriter(m.body, hash), hash.Sum
}

// signed gives a header block under which the message is sent.
func (m *outMessage) signed(h *message.Header) ([]byte, error) {
	return m.as.sign(h, m.hash, m.trace)
}

// sign gives a header block as it leaves, behind fields that are not signed.
// Without a key it goes unsigned.
func (d *Domain) sign(h *message.Header, body dkim.BodySum, before string) ([]byte, error) {
	block := h.Block()
	var signatures []byte
	if d.Signer != nil {
		var err error
		if signatures, err = d.Signer.Sign(block, body); err != nil {
			return nil, fmt.Errorf("signing a message of %s: %w", d.Name, err)
		}
	}
	head := make([]byte, 0, len(before)+len(signatures)+len(block))
	return append(append(append(head, before...), signatures...), block...), nil
}

// describe is what the queue keeps of the message beside its octets.
func (m *outMessage) describe(tx outTransaction) store.Message {
	h := m.header
	about := store.Message{
		Application: tx.application.Name, Domain: m.as.Name, Sender: tx.from, From: m.from, FromName: clip(m.authors[0].Name, maxPerson),
		Campaign: cmp.Or(tx.campaign, campaign(tx, h)), HeaderID: clip(h.Get("Message-ID"), 250), Subject: clip(decoded(h.Get("Subject")), 200),
		Bulk:     len(tx.recipients) > 1 || isList(h),
		EightBit: m.eightBit, UTF8: m.utf8, SendAt: tx.sendAt, Metadata: tx.metadata, OwnFields: ownFields(tx.application.Kind, h),
		EnvelopeID: tx.options.EnvelopeID, ReturnContent: tx.options.Return,
		RequireTLS: tx.options.RequireTLS, TLSOptional: !tx.options.RequireTLS && tlsOptional(h),
	}
	if about.RequireTLS {
		about.ReturnContent = "HDRS" // RFC 8689 section 5
	}
	return about
}

// identifying are, by kind of application, the fields by which its software
// knows a message in what returns.
var identifying = map[string][]string{
	"listmonk": {"X-Listmonk-Campaign", "X-Listmonk-Subscriber"},
	"phplist":  {"X-MessageID", "X-ListMember"},
}

// maxOwnField is the longest value of such a field that is kept, in octets.
const maxOwnField = 300

// ownFields gives those of a message, as lines of a header.
func ownFields(kind string, h *message.Header) string {
	var b strings.Builder
	for _, name := range identifying[kind] {
		if value := strings.TrimSpace(h.Get(name)); value != "" && len(value) <= maxOwnField && printable(value) {
			b.WriteString(name + ": " + value + "\r\n")
		}
	}
	return b.String()
}

// printable reports whether a text is ASCII without control characters.
func printable(s string) bool {
	return ascii(s) && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}

// tlsOptional reports whether a message asks to be sent whatever TLS the
// recipient's domain asks for (RFC 8689 section 3).
func tlsOptional(h *message.Header) bool {
	return h.Count("TLS-Required") == 1 && strings.EqualFold(strings.TrimSpace(h.Get("TLS-Required")), "No")
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// laneField is the field in which an application may say that a message goes
// before its others, or with its mailings. It does not leave this house.
const laneField = "X-Priority-Lane"

// laneOf reads it. What is none of its words asks for nothing.
func laneOf(value string) queue.Lane {
	switch l := queue.Lane(strings.ToLower(strings.TrimSpace(value))); l {
	case queue.Transactional, queue.Bulk:
		return l
	}
	return ""
}

// isList tells mail to many from a letter to one.
func isList(h *message.Header) bool {
	for _, name := range []string{"List-Unsubscribe", "List-Id", "List-Post", "Feedback-ID"} {
		if h.Has(name) {
			return true
		}
	}
	return toMany(h)
}

// toMany reports whether a message calls itself one to many.
func toMany(h *message.Header) bool {
	precedence := strings.ToLower(h.Get("Precedence"))
	return precedence == "bulk" || precedence == "list" || precedence == "junk"
}

// campaign names the mailing: by the application's own return address, else by
// what applications write into the header.
func campaign(tx outTransaction, h *message.Header) string {
	if g := tx.application.Grammar; g != nil {
		local, _ := split(tx.from)
		if own, ok := g.Parse(local); ok && own.Campaign() != "" {
			return own.Campaign()
		}
	}
	for _, x := range []struct{ field, prefix string }{
		{"job_id", "civicrm:job:"}, {"X-Listmonk-Campaign", "listmonk:campaign:"}, {"X-Campaign-ID", ""}, {"X-Campaign", ""},
	} {
		if v := h.Get(x.field); v != "" {
			return x.prefix + clip(v, 100)
		}
	}
	return ""
}

// decoded is a field for people: encoded words decoded where that is possible.
func decoded(s string) string {
	text, err := new(mime.WordDecoder).DecodeHeader(s)
	if err != nil {
		return s
	}
	return cmp.Or(text, s)
}

// clip gives at most limit octets of a text, no half characters, and spaces for
// control characters: encoded words may hold any.
func clip(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}
