package message

import (
	"bytes"
	"io"
	"strings"
)

// A Decoder undoes the transfer encoding of a part whose content is written to
// it in pieces, as Walker.Leaf is given it, and writes what comes out. The line
// end before a delimiter belongs to the delimiter (RFC 2046 section 5.1.1), so
// that of a part of a multipart the last one is left out. Close writes what was
// held back. It is for one goroutine.
type Decoder struct {
	w      io.Writer
	decode func(piece []byte, last bool) (out, rest []byte)
	held   []byte
	inside bool // of a multipart
}

// Decoder gives one for the content of a part.
func (p *Part) Decoder(w io.Writer) *Decoder {
	d := &Decoder{w: w, inside: p.Depth > 0}
	switch strings.ToLower(p.Fields.Get("Content-Transfer-Encoding")) {
	case "base64":
		d.decode = base64Pieces
	case "quoted-printable":
		d.decode = quotedPieces
	default:
		d.decode = plainPieces
	}
	return d
}

// Write takes the next piece.
func (d *Decoder) Write(p []byte) (int, error) {
	out, rest := d.decode(append(d.held, p...), false)
	_, err := d.w.Write(out)
	d.held = append([]byte(nil), rest...)
	return len(p), err
}

// Close ends the content.
func (d *Decoder) Close() error {
	text := d.held
	if d.inside {
		text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	}
	out, _ := d.decode(text, true)
	d.held = nil
	_, err := d.w.Write(out)
	return err
}

// plainPieces holds a line end back until something follows.
func plainPieces(piece []byte, last bool) (out, rest []byte) {
	if last {
		return piece, nil
	}
	text := bytes.TrimSuffix(bytes.TrimSuffix(piece, []byte("\n")), []byte("\r"))
	return text, piece[len(text):]
}

// quotedPieces holds back what may be the beginning of an encoded octet or of a
// soft line end, and the line end.
func quotedPieces(piece []byte, last bool) (out, rest []byte) {
	if last {
		return unquote(piece), nil
	}
	text, rest := plainPieces(piece, false)
	if i := bytes.LastIndexByte(text, '='); i >= 0 && len(text)-i <= 3 {
		text, rest = piece[:i], piece[i:]
	}
	return unquote(text), rest
}

// base64Pieces holds back what is no whole group of four yet.
func base64Pieces(piece []byte, last bool) (out, rest []byte) {
	if last {
		return unbase64(piece), nil
	}
	end := 0
	for i, c := range piece {
		switch {
		case c == '=':
			rest, end = rest[:0], i+1
		case base64Value(c) >= 0:
			if rest = append(rest, c); len(rest) == 4 {
				rest, end = rest[:0], i+1
			}
		}
	}
	return unbase64(piece[:end]), rest
}
