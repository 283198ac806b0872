package toynet

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/textproto"
	"strings"
)

// maxDepth is how deep Digest looks into nested multiparts; what lies deeper
// counts as octets.
const maxDepth = 20

// Digest is a SHA-256 of what a reader sees of a message: the contents of its
// parts without their transfer encodings, line ends made LF, trailing line
// ends dropped. It stays the same when a server adds header fields or
// re-encodes 8-bit text, and changes when one character of the text does. A
// message whose structure cannot be read counts by the octets of its body.
func Digest(message []byte) [sha256.Size]byte {
	h := sha256.New()
	head, body := split(message)
	digestPart(h, head, body, 0)
	return [sha256.Size]byte(h.Sum(nil))
}

// digestPart adds one part, whose fields are head, and the parts inside it.
func digestPart(h hash.Hash, head textproto.MIMEHeader, body []byte, depth int) {
	kind, params, err := mime.ParseMediaType(head.Get("Content-Type"))
	if err == nil && strings.HasPrefix(kind, "multipart/") && params["boundary"] != "" && depth < maxDepth {
		if digestParts(h, body, params["boundary"], depth+1) {
			return
		}
	}
	h.Write(plain(decoded(head.Get("Content-Transfer-Encoding"), body)))
	h.Write([]byte{0}) // no part can be taken for the end of the one before
}

// digestParts adds each part of a multipart; false, and nothing added, when it
// cannot be read to its end.
func digestParts(h hash.Hash, body []byte, boundary string, depth int) bool {
	type part struct {
		head textproto.MIMEHeader
		body []byte
	}
	var parts []part
	for r := multipart.NewReader(bytes.NewReader(body), boundary); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return false
		}
		octets, err := io.ReadAll(p)
		if err != nil {
			return false
		}
		parts = append(parts, part{p.Header, octets})
	}
	for _, p := range parts {
		digestPart(h, p.head, p.body, depth)
	}
	return len(parts) > 0
}

// decoded undoes a transfer encoding; octets that are none of it stay.
func decoded(encoding string, body []byte) []byte {
	var r io.Reader
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, bytes.NewReader(body))
	case "quoted-printable":
		r = quotedprintable.NewReader(bytes.NewReader(body))
	default:
		return body
	}
	out, err := io.ReadAll(r)
	if err != nil {
		return body
	}
	return out
}

// plain gives text with LF line ends and none at its end.
func plain(b []byte) []byte {
	return bytes.TrimRight(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), "\n")
}

// split separates the header from the body. A header that cannot be read is
// taken as absent, and the whole message as body.
func split(message []byte) (textproto.MIMEHeader, []byte) {
	r := bufio.NewReader(bytes.NewReader(message))
	head, err := textproto.NewReader(r).ReadMIMEHeader()
	if err != nil {
		return nil, message
	}
	body, err := io.ReadAll(r)
	if err != nil {
		return nil, message
	}
	return head, body
}

// headOf gives the octets of the header block, without the empty line.
func headOf(message []byte) []byte {
	if i := bytes.Index(message, []byte("\r\n\r\n")); i >= 0 {
		return message[:i+2]
	}
	return message
}
