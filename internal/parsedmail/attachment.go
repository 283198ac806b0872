package parsedmail

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"mime"
	"path"
	"strings"

	"homing/internal/message"
)

// ErrNoPart says that a mail has no such part.
var ErrNoPart = errors.New("parsedmail: the mail has no such part")

// Extract writes the content of an attachment, which Read has found in the same
// mail, to w. It takes as long as w does. ErrNoPart; io.ErrUnexpectedEOF: there is
// less of it than Read has found.
func Extract(w io.Writer, r io.Reader, a Attachment) error {
	found := false
	var content *message.Decoder
	all := &counter{to: w}
	leaf := func(n int, p message.Part) io.Writer {
		if n != a.Part {
			return nil
		}
		found, content = true, p.Decoder(all)
		return content
	}
	// Somebody at the end of a slow line is no hostile mail: that was Read's to limit.
	_, err := message.Walker{Leaf: leaf, Limit: math.MaxInt64}.Walk(r)
	switch {
	case err != nil:
		return fmt.Errorf("reading a mail: %w", err)
	case !found:
		return ErrNoPart
	}
	if err := content.Close(); err != nil {
		return err
	}
	if all.size < a.Size {
		return fmt.Errorf("reading an attachment: %w", io.ErrUnexpectedEOF)
	}
	return nil
}

// A counter counts what is written to another writer.
type counter struct {
	to   io.Writer
	size int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.size += int64(n)
	return n, err
}

// A collector is shown the parts of a mail, and remembers what is attached.
type collector struct{ files map[int]*file }

// A file is an attachment whose content goes by.
type file struct {
	part    message.Part
	name    string
	size    int64
	hash    hash.Hash
	content *message.Decoder
}

func (c *collector) leaf(n int, p message.Part) io.Writer {
	name := fileName(&p)
	if isText(&p, name) {
		return nil
	}
	f := &file{part: p, name: name, hash: sha256.New()}
	f.content = p.Decoder(f)
	c.files[n] = f
	return f.content
}

func (f *file) Write(p []byte) (int, error) {
	f.size += int64(len(p))
	return f.hash.Write(p)
}

// isText reports whether a part is one of the texts of a mail, and nothing that
// somebody attached (RFC 2183 section 2).
func isText(p *message.Part, name string) bool {
	disposition, _, _ := strings.Cut(p.Fields.Get("Content-Disposition"), ";")
	attached := strings.EqualFold(strings.TrimSpace(disposition), "attachment") || name != ""
	return !attached && (p.Type == "text/plain" || p.Type == "text/html")
}

// attachment says what went by. number is for the name of what has none.
func (f *file) attachment(part, number int) Attachment {
	_ = f.content.Close() // its errors are those of Write, which never fails
	a := Attachment{Name: f.name, Type: line(f.part.Type, maxName), Size: f.size, SHA256: hex.EncodeToString(f.hash.Sum(nil)), Part: part}
	id := strings.TrimSpace(f.part.Fields.Get("Content-ID"))
	a.ContentID = line(strings.TrimSuffix(strings.TrimPrefix(id, "<"), ">"), maxName)
	if a.Name == "" {
		a.Name = fmt.Sprintf("attachment-%d%s", number, endings[f.part.Type])
	}
	return a
}

// endings are of the names of files that came without one.
var endings = map[string]string{
	"message/rfc822": ".eml", "text/calendar": ".ics", "text/plain": ".txt", "text/html": ".html", "application/pdf": ".pdf", "image/png": ".png",
	"image/jpeg": ".jpg", "image/gif": ".gif", "application/pgp-signature": ".asc", "application/pkcs7-signature": ".p7s",
}

// fileName gives the name of the file that a part is, without the way to it; ""
// where it has none. Names come as RFC 2231 has them, or as software does.
func fileName(p *message.Part) string {
	for _, x := range []struct{ field, param string }{{p.Fields.Get("Content-Disposition"), "filename"}, {p.Fields.Get("Content-Type"), "name"}} {
		if x.field == "" {
			continue
		}
		if name := parameter(x.field, x.param); name != "" {
			return name
		}
	}
	return ""
}

func parameter(field, name string) string {
	value := ""
	if _, params, err := mime.ParseMediaType(field); err == nil {
		value = params[name]
	}
	if value == "" {
		_, rest, _ := strings.Cut(field, ";")
		value = message.ParseContentType("x/x;" + rest).Param(name)
	}
	if strings.Contains(value, "=?") {
		value = message.ParseFields([]byte("Name: " + value + "\n")).Text("Name")
	}
	return baseName(value)
}

// baseName gives a name that leads nowhere else.
func baseName(name string) string {
	name = path.Base(strings.ReplaceAll(line(name, maxName), `\`, "/"))
	name = strings.TrimSpace(strings.TrimLeft(name, "."))
	if name == "/" {
		return ""
	}
	return name
}

// Content is Extract into memory, for what is known to be small enough.
func Content(r io.Reader, a Attachment) ([]byte, error) {
	var b bytes.Buffer
	err := Extract(&b, r, a)
	return b.Bytes(), err
}
