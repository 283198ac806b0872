// Package report composes delivery status notifications (RFC 3464) for
// programs and people.
package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/quotedprintable"
	"strings"
	"time"

	"github.com/emersion/go-message/textproto"
)

// ErrAddress says that something is no address that a header can name.
var ErrAddress = errors.New("report: not an address that a header field can name")

// A Report is a delivery status notification. The same Report is composed to
// the same octets.
type Report struct {
	First        []Field // go before all other header fields, each on one line
	From         string  // address; people see it as the "Mail Delivery System"
	To           string  // address
	Subject      string  // ASCII
	Date         time.Time
	MessageID    string // without angle brackets; also makes the boundary
	Text         string // for people; lines end in LF
	ReportingMTA string // host name
	EnvelopeID   string // ENVID, decoded; "" where none was given
	Arrived      time.Time
	Recipients   []Recipient // at least one
	Original     Original
}

// A Field is a header field.
type Field struct{ Name, Value string }

// A Recipient is what is reported of one recipient (RFC 3464 section 2.3).
type Recipient struct {
	Original   string // ORCPT with its type, decoded: "rfc822;ann@example.net"; "" where none was given
	Final      string // address
	Action     string // failed, delayed, delivered, relayed, expanded
	Status     string // "5.1.1"
	RemoteMTA  string // host name; "" where none was asked
	Diagnostic string // with its type: "smtp; 550 5.1.1 no such user"; "" where nothing was said
	Last       time.Time
	Extra      []Field // their names begin with "X-"
}

// An Original is what the report is about, with CR LF line ends. The zero
// Original leaves the report without that part.
type Original struct {
	Octets []byte
	Full   bool // the whole message, not its header block alone
}

// Compose gives the report as a message with CR LF line ends. Its lines are
// ASCII, but for addresses in its own header that are not, and for an Original
// that is Full and has 8-bit text. Non-ASCII recipients are written in the
// 7-bit form of RFC 6533 section 3, so that every mail system can pass the
// report on. ErrAddress when From, To or a Final recipient is none.
func (r Report) Compose() ([]byte, error) {
	for _, a := range append([]string{r.From, r.To}, finals(r.Recipients)...) {
		if err := checkAddress(a); err != nil {
			return nil, err
		}
	}
	parts := []part{textPart(r.Text), statusPart(r.status())}
	if len(r.Original.Octets) > 0 {
		parts = append(parts, r.Original.part())
	}
	boundary := boundary(r.MessageID, parts)

	var b bytes.Buffer
	if err := textproto.WriteHeader(&b, header(r.fields(boundary, parts))); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	w := textproto.NewMultipartWriter(&b)
	if err := w.SetBoundary(boundary); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	for _, p := range parts {
		to, err := w.CreatePart(header(p.fields))
		if err != nil {
			return nil, fmt.Errorf("report: %w", err)
		}
		if _, err := to.Write(p.body); err != nil {
			return nil, fmt.Errorf("report: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return b.Bytes(), nil
}

func finals(all []Recipient) []string {
	addresses := make([]string, 0, len(all))
	for _, r := range all {
		addresses = append(addresses, r.Final)
	}
	return addresses
}

// fields gives the header of the report. It cannot start a loop: it says of
// itself that nobody wrote it (RFC 3834 section 5).
func (r Report) fields(boundary string, parts []part) []rawField {
	fields := make([]rawField, 0, len(r.First)+9)
	for _, f := range r.First {
		fields = append(fields, unfolded(f.Name, f.Value))
	}
	fields = append(fields,
		unfolded("From", "Mail Delivery System <"+r.From+">"),
		unfolded("To", r.To),
		folded("Subject", r.Subject),
		folded("Date", r.Date.Format(dateForm)),
		unfolded("Message-ID", "<"+r.MessageID+">"),
		folded("Auto-Submitted", "auto-replied"),
		folded("MIME-Version", "1.0"),
		folded("Content-Type", `multipart/report; report-type=delivery-status; boundary="`+boundary+`"`),
	)
	for _, p := range parts {
		if p.eightBit {
			return append(fields, folded("Content-Transfer-Encoding", "8bit"))
		}
	}
	return fields
}

const dateForm = "Mon, 02 Jan 2006 15:04:05 -0700" // RFC 5322 section 3.3

// status gives the groups of fields of message/delivery-status.
func (r Report) status() [][]rawField {
	message := []rawField{}
	if r.EnvelopeID != "" {
		message = append(message, folded("Original-Envelope-Id", r.EnvelopeID))
	}
	message = append(message, folded("Reporting-MTA", "dns; "+r.ReportingMTA))
	if !r.Arrived.IsZero() {
		message = append(message, folded("Arrival-Date", r.Arrived.Format(dateForm)))
	}
	groups := [][]rawField{message}
	for _, x := range r.Recipients {
		groups = append(groups, x.status())
	}
	return groups
}

func (x Recipient) status() []rawField {
	group := []rawField{}
	if kind, address, ok := strings.Cut(x.Original, ";"); ok {
		group = append(group, unfolded("Original-Recipient", typed(strings.TrimSpace(kind), strings.TrimSpace(address))))
	}
	group = append(group,
		unfolded("Final-Recipient", typed("rfc822", x.Final)),
		folded("Action", x.Action),
		folded("Status", x.Status))
	if x.RemoteMTA != "" {
		group = append(group, folded("Remote-MTA", "dns; "+x.RemoteMTA))
	}
	if x.Diagnostic != "" {
		group = append(group, folded("Diagnostic-Code", x.Diagnostic))
	}
	if !x.Last.IsZero() {
		group = append(group, folded("Last-Attempt-Date", x.Last.Format(dateForm)))
	}
	for _, f := range x.Extra {
		group = append(group, folded(f.Name, f.Value))
	}
	return group
}

// typed writes an address with its type (RFC 3464 section 2.1.2), in 7 bits
// (RFC 6533 section 3).
func typed(kind, address string) string {
	if isASCII(address) {
		return kind + "; " + address
	}
	var b strings.Builder
	for _, c := range address {
		if c <= ' ' || c > '~' || c == '+' || c == '=' || c == '\\' {
			fmt.Fprintf(&b, `\x{%X}`, c)
		} else {
			b.WriteRune(c)
		}
	}
	return "utf-8; " + b.String()
}

// A part is one body part of the report.
type part struct {
	fields   []rawField
	body     []byte
	eightBit bool
}

// textPart is the part for people.
func textPart(text string) part {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
	if isPlain([]byte(text)) {
		return part{fields: []rawField{folded("Content-Type", "text/plain; charset=us-ascii")}, body: []byte(text)}
	}
	return part{fields: []rawField{folded("Content-Type", "text/plain; charset=utf-8"),
		folded("Content-Transfer-Encoding", "quoted-printable")}, body: quoted([]byte(strings.ToValidUTF8(text, "?")))}
}

// statusPart is the part for programs.
func statusPart(groups [][]rawField) part {
	var b bytes.Buffer
	for i, g := range groups {
		if i > 0 {
			b.WriteString("\r\n")
		}
		for _, f := range g {
			b.Write(f)
		}
	}
	return part{fields: []rawField{folded("Content-Type", "message/delivery-status")}, body: b.Bytes()}
}

// part is the original as a part. Header blocks that are not plain are encoded
// (RFC 6522 section 4, RFC 6533 section 5); messages are not.
func (o Original) part() part {
	p := part{body: o.Octets}
	switch {
	case o.Full:
		head, _, _ := bytes.Cut(o.Octets, []byte("\r\n\r\n"))
		kind := "message/rfc822"
		if !isASCII(string(head)) && isUTF8(head) {
			kind = "message/global"
		}
		p.fields = []rawField{folded("Content-Type", kind)}
		if p.eightBit = !isASCII(string(o.Octets)); p.eightBit {
			p.fields = append(p.fields, folded("Content-Transfer-Encoding", "8bit"))
		}
	case isPlain(o.Octets):
		p.fields = []rawField{folded("Content-Type", "text/rfc822-headers")}
	default:
		kind := "text/rfc822-headers"
		if !isASCII(string(o.Octets)) && isUTF8(o.Octets) {
			kind = "message/global-headers"
		}
		p.fields = []rawField{folded("Content-Type", kind), folded("Content-Transfer-Encoding", "quoted-printable")}
		p.body = quoted(o.Octets)
	}
	return p
}

func quoted(text []byte) []byte {
	var b bytes.Buffer
	w := quotedprintable.NewWriter(&b)
	// A bytes.Buffer takes everything.
	_, _ = w.Write(text)
	_ = w.Close()
	return b.Bytes()
}

// boundary makes a boundary (RFC 2046 section 5.1.1) that occurs in no part.
func boundary(id string, parts []part) string {
	safe := strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			return c
		}
		return '.'
	}, id)
	safe = safe[:min(len(safe), 40)]
	for n := 0; ; n++ {
		try := fmt.Sprintf("=_%s_%d", safe, n)
		if !occurs(try, parts) {
			return try
		}
	}
}

func occurs(boundary string, parts []part) bool {
	for _, p := range parts {
		if bytes.Contains(p.body, []byte("--"+boundary)) {
			return true
		}
	}
	return false
}

// Head reads the header block of a stored message, with its empty line, and
// leaves out the fields named in drop. Of a block longer than limit octets it
// gives the whole lines within.
func Head(r io.ReaderAt, limit int64, drop ...string) ([]byte, error) {
	block, err := io.ReadAll(io.NewSectionReader(r, 0, limit))
	if err != nil {
		return nil, fmt.Errorf("reading the original: %w", err)
	}
	if i := bytes.Index(block, []byte("\r\n\r\n")); i >= 0 {
		block = block[:i+2]
	} else {
		block = block[:bytes.LastIndexByte(block, '\n')+1]
	}
	var out []byte
	dropping := false
	for line := range bytes.Lines(block) {
		if line[0] != ' ' && line[0] != '\t' {
			dropping = named(line, drop)
		}
		if !dropping {
			out = append(out, line...)
		}
	}
	return out, nil
}

func named(line []byte, names []string) bool {
	name, _, _ := bytes.Cut(line, []byte(":"))
	for _, n := range names {
		if strings.EqualFold(string(bytes.TrimRight(name, " \t")), n) {
			return true
		}
	}
	return false
}
