package message

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"mime"
	"slices"
	"strings"
)

// Compose writes a Letter without Faults as a message: ASCII but for local
// parts that no encoding can make so, CR LF line ends, no line over MaxLine. Text and HTML
// become multipart/alternative, with attachments that the HTML shows
// multipart/related (RFC 2387), with others multipart/mixed.
func (l *Letter) Compose(w io.Writer) error {
	c := composer{w: w, seed: rand.Text()}
	h := l.header()
	c.write(h, l.body())
	return c.err
}

// header makes the fields of the message but for those of MIME.
func (l *Letter) header() *Header {
	h := &Header{}
	h.Append("From", mailboxes([]Mailbox{l.From}))
	for _, list := range []struct {
		name  string
		boxes []Mailbox
	}{{"To", l.To}, {"Cc", l.Cc}, {"Reply-To", l.ReplyTo}} {
		if len(list.boxes) > 0 {
			h.Append(list.name, mailboxes(list.boxes))
		}
	}
	if l.Subject != "" {
		h.Append("Subject", unstructured(l.Subject))
	}
	for _, f := range l.Fields {
		h.Append(f.Name, f.Value)
	}
	h.Complete(l.Date, l.MessageID)
	h.Append("MIME-Version", "1.0")
	h.Encode()
	return h
}

// mailboxes writes an address list (RFC 5322 section 3.4).
func mailboxes(all []Mailbox) string {
	words := make([]string, 0, len(all))
	for _, m := range all {
		words = append(words, mailboxText(m))
	}
	return strings.Join(words, ", ")
}

func mailboxText(m Mailbox) string {
	name := strings.Join(strings.Fields(m.Name), " ")
	switch {
	case name == "":
		return asciiDomain(m.Address)
	case eightBit([]byte(name)) || strings.Contains(name, "=?") || len(name) > maxWord/2:
		name = encodedWords(name)
	case strings.ContainsFunc(name, func(r rune) bool { return r != ' ' && !paramName(string(r)) }):
		name = quotedString(name)
	}
	return name + " <" + asciiDomain(m.Address) + ">"
}

func quotedString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// unstructured writes a text that is as people read it: what looks encoded is
// no encoding.
func unstructured(s string) string {
	if strings.Contains(s, "=?") {
		return encodedWords(s)
	}
	return encodeText(s)
}

// A composed is an entity that is to be written: a leaf, or a multipart.
type composed struct {
	kind    string // value of Content-Type; of a multipart without its boundary
	fields  [][2]string
	content []byte
	text    bool // content is text: line ends may change
	message bool // content is a message, which stays as it is
	parts   []composed
}

// body arranges what the Letter says.
func (l *Letter) body() composed {
	var shown, apart []composed
	for _, a := range l.Attachments {
		if a.ContentID != "" && l.HTML != "" {
			shown = append(shown, a.part("inline"))
		} else {
			apart = append(apart, a.part("attachment"))
		}
	}
	var says []composed
	if l.Text != "" {
		says = append(says, textPart("text/plain", l.Text))
	}
	if l.HTML != "" {
		html := textPart("text/html", l.HTML)
		if len(shown) > 0 {
			html = composed{kind: `multipart/related; type="text/html"`, parts: append([]composed{html}, shown...)}
		}
		says = append(says, html)
	}
	if len(says) == 2 {
		says = []composed{{kind: "multipart/alternative", parts: says}}
	}
	all := append(says, apart...)
	if len(all) == 1 && len(apart) == 0 {
		return all[0]
	}
	return composed{kind: "multipart/mixed", parts: all}
}

func textPart(kind, text string) composed {
	content := crlf([]byte(text))
	if !bytes.HasSuffix(content, []byte("\r\n")) {
		content = append(content, "\r\n"...)
	}
	return composed{kind: kind + "; charset=utf-8", content: content, text: true}
}

// crlf gives a text with CR LF line ends. The text stays as it is.
func crlf(text []byte) []byte {
	out := make([]byte, 0, len(text)+len(text)/32+2)
	for i, c := range text {
		switch {
		case c == '\r' && (i+1 == len(text) || text[i+1] != '\n'),
			c == '\n' && (i == 0 || text[i-1] != '\r'):
			out = append(out, "\r\n"...)
		default:
			out = append(out, c)
		}
	}
	return out
}

// part is an attachment as an entity.
func (a Attachment) part(disposition string) composed {
	kind, params := "application/octet-stream", map[string]string{}
	if a.Type != "" {
		if k, p, err := mime.ParseMediaType(a.Type); err == nil { // else it has a Fault
			kind, params = k, p
		}
	}
	p := composed{kind: kind, content: a.Content, message: kind == "message/rfc822"}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		p.kind += "; " + param(name, params[name])
	}
	if a.Name != "" {
		disposition += "; " + param("filename", a.Name)
	}
	p.fields = append(p.fields, [2]string{"Content-Disposition", disposition})
	if a.ContentID != "" {
		p.fields = append(p.fields, [2]string{"Content-ID", "<" + a.ContentID + ">"})
	}
	return p
}

// param writes a parameter of a MIME field: in its extended form (RFC 2231)
// where it is not ASCII, or too long for a line.
func param(name, value string) string {
	if eightBit([]byte(value)) || len(value) > foldAt/2 || strings.Contains(value, "=?") {
		return extendedParam(name, value)
	}
	return name + "=" + quotedString(value)
}

// A composer writes entities. Its err is the first error of w.
type composer struct {
	w     io.Writer
	seed  string // of the boundaries: nobody can guess it
	count int
	err   error
}

// write writes an entity under the fields of h.
func (c *composer) write(h *Header, e composed) {
	if len(e.parts) == 0 {
		c.leaf(h, e)
		return
	}
	// "=_" stands in no content that is encoded (RFC 2045 section 6.7).
	c.count++
	boundary := fmt.Sprintf("=_%s_%d", c.seed, c.count)
	h.Append("Content-Type", fmt.Sprintf("%s; boundary=%q", e.kind, boundary))
	c.put(h.Block())
	for _, p := range e.parts {
		c.put([]byte("\r\n--" + boundary + "\r\n"))
		c.write(&Header{}, p)
	}
	c.put([]byte("\r\n--" + boundary + "--\r\n"))
}

func (c *composer) leaf(h *Header, e composed) {
	h.Append("Content-Type", e.kind)
	for _, f := range e.fields {
		h.Append(f[0], f[1])
	}
	content, encoding := e.content, "base64"
	if e.text || e.message {
		content = crlf(e.content)
		encoding = e.encoding(content)
	}
	h.Append("Content-Transfer-Encoding", encoding)
	c.put(h.Block())
	var to io.WriteCloser
	switch encoding {
	case "base64":
		to = newBase64(writerTo{c})
	case "quoted-printable":
		to = &quoter{w: writerTo{c}}
	default:
		c.put(content)
		return
	}
	to.Write(content) // c.err has it
	to.Close()
}

// encoding chooses how text or a message is written.
func (e composed) encoding(content []byte) string {
	if e.message {
		if eightBit(content) {
			return "8bit"
		}
		return "7bit"
	}
	foreign := 0
	for _, b := range content {
		if b >= 0x80 {
			foreign++
		}
	}
	switch {
	case foreign*3 > len(content)*2: // nobody could read it either way
		return "base64"
	case foreign > 0 || !plainText(content):
		return "quoted-printable"
	}
	return "7bit"
}

// plainText reports whether ASCII text may go as it is, through whatever old
// software changes long lines, white space at their end, or "From ".
func plainText(content []byte) bool {
	for line := range bytes.SplitSeq(content, []byte("\r\n")) {
		if len(line) > foldAt || bytes.HasPrefix(line, []byte("From ")) || len(line) > 0 && isBlank(line[len(line)-1]) ||
			bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return false
		}
	}
	return true
}

func (c *composer) put(b []byte) {
	if c.err == nil {
		_, c.err = c.w.Write(b)
	}
}

// writerTo writes through a composer.
type writerTo struct{ *composer }

func (w writerTo) Write(p []byte) (int, error) {
	w.put(p)
	return len(p), w.err
}
