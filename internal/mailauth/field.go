package mailauth

import (
	"errors"
	"io"
	"strings"

	"homing/internal/dnsx"
	"homing/internal/message"
)

const fieldName = "Authentication-Results"

// Field gives the result as an Authentication-Results field of host, folded,
// with its line end (RFC 8601 section 2.2). It goes on top of the message.
func (r Result) Field(host string) string {
	var b strings.Builder
	b.WriteString(value(host))
	if r.Relayed != "" {
		b.WriteString(" (as " + visible(r.Relayed) + " says)")
	}
	b.WriteString("; spf=" + string(orNone(r.SPF)))
	if r.SPFDomain != "" && r.HELO {
		b.WriteString(" smtp.helo=" + value(r.SPFDomain))
	} else if r.SPFDomain != "" {
		b.WriteString(" smtp.mailfrom=" + value(r.SPFDomain))
	}
	for _, s := range r.DKIM {
		b.WriteString("; dkim=" + string(orNone(s.Verdict)))
		if s.Why != "" {
			b.WriteString(" reason=" + quoted(s.Why))
		}
		if s.Domain != "" {
			b.WriteString(" header.d=" + value(s.Domain))
		}
		if s.Selector != "" {
			b.WriteString(" header.s=" + value(s.Selector))
		}
	}
	if len(r.DKIM) == 0 {
		b.WriteString("; dkim=none")
	}
	b.WriteString("; dmarc=" + string(orNone(r.DMARC)))
	if r.Policy != "" {
		b.WriteString(" (p=" + value(r.Policy) + ")")
	}
	if r.FromDomain != "" {
		b.WriteString(" header.from=" + value(r.FromDomain))
	}
	var h message.Header
	h.Append(fieldName, b.String())
	return string(h.AppendTo(nil))
}

// orNone makes the zero Result one that is true of every message.
func orNone(v Verdict) Verdict {
	if v == "" {
		return None
	}
	return v
}

// value writes a token as it is and all else as a quoted string (RFC 2045
// section 5.1).
func value(s string) string {
	if s == "" || strings.ContainsAny(s, tspecials) || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return quoted(s)
	}
	return s
}

// visible is what of s can stand in a comment.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || strings.ContainsRune("()\\", r) {
			return '?'
		}
		return r
	}, s)
}

// maxReason is the longest text that is noted, in octets.
const maxReason = 120

// quoted writes a quoted string of what can be shown of s.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < min(len(s), maxReason); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			b.WriteByte('?')
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Strip removes the Authentication-Results fields that claim to be of host,
// which nobody but host itself may write (RFC 8601 section 5), and says how many
// there were. Those of which nobody can say whose they are go as well: somebody
// might read them as host's. Fields of other hosts stay.
func Strip(h *message.Header, host string) int {
	return h.RemoveFunc(func(f message.Field) bool {
		if !strings.EqualFold(f.Name(), fieldName) {
			return false
		}
		s := &scanner{rest: f.Value()}
		id, ok := s.authservID()
		return !ok || sameHost(id, host)
	})
}

// Copy writes a message without the fields that Strip removes; all else stays
// as it is, but for bare LF among the header fields. A header block of more than
// message.MaxHeader is copied whole: our own field on top of it counts. Its errors
// are those of w and content.
func Copy(w io.Writer, content io.ReaderAt, size int64, host string) error {
	h, at, err := readHeader(content, size, message.MaxHeader)
	switch {
	case errors.Is(err, message.ErrHeaderTooBig):
		h, at = &message.Header{}, 0
	case err != nil:
		return err
	}
	Strip(h, host)
	block := h.AppendTo(nil)
	if at > 0 && emptyLineBefore(content, at) {
		block = append(block, "\r\n"...)
	}
	if _, err := w.Write(block); err != nil {
		return err
	}
	_, err = io.Copy(w, io.NewSectionReader(content, at, size-at))
	return err
}

// sameHost compares authserv-ids, in whatever letter case and alphabet.
func sameHost(a, b string) bool {
	if strings.EqualFold(a, b) {
		return a != ""
	}
	one, err := dnsx.Canonical(a)
	other, wrong := dnsx.Canonical(b)
	return err == nil && wrong == nil && one == other
}
