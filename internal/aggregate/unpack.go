package aggregate

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"homing/internal/message"
)

// What archives begin with.
const (
	gzipMagic  = "\x1f\x8b"
	zipMagic   = "PK\x03\x04"
	zipEmpty   = "PK\x05\x06"
	zipListing = "PK\x01\x02" // each file of a zip in its directory
)

// part reads a part of the mail, if it is a report. What it is its first
// octets say: names and types of real reporters are often wrong.
func (x *reading) part(p *message.Part) {
	content := p.Bytes()
	archive := isArchive(content)
	if !archive && !looksLikeText(content) {
		if claims(p) && len(bytes.TrimSpace(content)) > 0 {
			x.fault(faultf(Damaged, "an attachment of type %s is neither zip, gzip, XML nor JSON", clip(p.Type)))
		}
		return
	}
	if p.Cut() && (archive || claims(p)) {
		x.fault(faultf(TooBig, "an attachment has %d octets, of which at most %d are read", p.Size, message.MaxKept))
		return
	}
	var err error
	switch {
	case bytes.HasPrefix(content, []byte(gzipMagic)):
		err = x.gzip(content)
	case archive:
		err = x.zip(content)
	default:
		err = x.text(bytes.NewReader(content))
	}
	x.settle(err, claims(p) || archive)
}

// settle notes what came of a report. That a text is no report matters only
// where it claims to be one: what people write may begin like XML or JSON.
func (x *reading) settle(err error, claimed bool) {
	var f Fault
	switch {
	case err == nil:
	case errors.As(err, &f):
		if claimed || f.Reason != Syntax {
			x.fault(f)
		}
	default:
		x.fault(faultf(Damaged, "undoing its compression or encoding: %v", err))
	}
}

func isArchive(content []byte) bool {
	return slices.ContainsFunc([]string{gzipMagic, zipMagic, zipEmpty}, func(magic string) bool { return bytes.HasPrefix(content, []byte(magic)) })
}

// looksLikeText reports whether a text may be XML or JSON, in UTF-16 too.
func looksLikeText(content []byte) bool {
	for _, c := range content {
		switch {
		case c == '<', c == '{':
			return true
		case c > ' ' && !strings.ContainsRune("\u00ef\u00bb\u00bf\u00fe\u00ff", rune(c)): // of a byte order mark
			return false
		}
	}
	return false
}

// reportTypes are the content types of reports; with application/octet-stream
// the name of the file decides.
var reportTypes = []string{
	"application/gzip", "application/x-gzip", "application/zip", "application/x-zip-compressed", "application/x-zip", "application/x-compressed",
	"application/xml", "text/xml", "application/tlsrpt+gzip", "application/tlsrpt+json", "application/json",
}

// claims reports whether a part says that it is a report.
func claims(p *message.Part) bool {
	if slices.Contains(reportTypes, p.Type) {
		return true
	}
	name := p.Param("name")
	if d := p.Fields.Get("Content-Disposition"); name == "" && d != "" {
		name = message.ParseContentType("x/" + d).Param("filename")
	}
	return slices.Contains([]string{".gz", ".zip", ".xml", ".json"}, strings.ToLower(path.Ext(strings.TrimSpace(name))))
}

// gzip reads a report in a gzip.
func (x *reading) gzip(content []byte) error {
	in := bytes.NewReader(content)
	z, err := gzip.NewReader(in)
	if err != nil {
		return faultf(Damaged, "it begins like a gzip and is none: %v", err)
	}
	z.Multistream(false)
	return x.text(x.bounded(&members{z, in, maxMembers}, len(content)))
}

// members are those of a gzip, one after the other (RFC 1952 section 2.2). What
// follows them and is none is not part of it: some add a line end.
type members struct {
	z    *gzip.Reader
	in   *bytes.Reader
	left int
}

func (m *members) Read(p []byte) (int, error) {
	if m.left <= 0 {
		return 0, io.EOF
	}
	n, err := m.z.Read(p)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	if m.left--; m.z.Reset(m.in) != nil {
		m.left = 0
		return n, io.EOF
	}
	m.z.Multistream(false)
	return n, nil
}

// zip reads the reports in a zip.
func (x *reading) zip(content []byte) error {
	// Counted before they are read, because reading makes a structure of each.
	if n := bytes.Count(content, []byte(zipListing)); n > MaxEntries {
		return faultf(TooBig, "the zip has %d files, of which at most %d are read", n, MaxEntries)
	}
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return faultf(Damaged, "it begins like a zip and is none: %v", err)
	}
	before := len(x.out.DMARC) + len(x.out.TLS) + len(x.out.Faults)
	for _, f := range z.File {
		if f.FileInfo().IsDir() || strings.HasPrefix(f.Name, "__MACOSX/") {
			continue
		}
		x.settle(x.zipped(f, len(content)), true)
	}
	if before == len(x.out.DMARC)+len(x.out.TLS)+len(x.out.Faults) {
		return faultf(Damaged, "the zip is empty")
	}
	return nil
}

func (x *reading) zipped(f *zip.File, archive int) error {
	r, err := f.Open()
	if err != nil {
		return faultf(Damaged, "a file in the zip cannot be read: %v", err)
	}
	defer r.Close()
	return x.text(x.bounded(r, archive))
}

// firstOutput is what an archive may become however small it is.
const firstOutput = 1 << 20

// bounded lets no more through than an archive of so many octets may become,
// and all reports together.
func (x *reading) bounded(r io.Reader, archive int) io.Reader {
	return &bound{r: r, all: &x.output, left: max(firstOutput, MaxRatio*int64(archive))}
}

// A bound is a reader that fails when too much comes out of it.
type bound struct {
	r    io.Reader
	left int64
	all  *int64
}

func (b *bound) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.left -= int64(n)
	*b.all -= int64(n)
	switch {
	case b.left < 0:
		return 0, faultf(TooBig, "it becomes more than %d times as large as its archive, like one made to fill memory", MaxRatio)
	case *b.all < 0:
		return 0, faultf(TooBig, "the reports in the mail have more than %d octets", MaxOutput)
	}
	return n, err
}

// errForeign says that a text is something else than a report.
var errForeign error = Fault{Syntax, "it is neither a DMARC report (XML) nor a TLS report (JSON)"}

// text reads a report that is a text, to its end.
func (x *reading) text(r io.Reader) error {
	in := bufio.NewReaderSize(r, 4096)
	head, err := in.Peek(len(zipMagic))
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if isArchive(head) {
		return faultf(Nested, "there is an archive in the archive")
	}
	text, err := undeclared(in)
	if err != nil {
		return err
	}
	first, err := text.Peek(1)
	switch {
	case errors.Is(err, io.EOF):
		return faultf(Damaged, "it is empty")
	case err != nil:
		return err
	case first[0] == '<':
		err = x.dmarc(text)
	case first[0] == '{':
		err = x.tls(text)
	default:
		err = errForeign
	}
	return err
}
