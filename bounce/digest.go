package bounce

import "strings"

// digest gives a number that is the same for the same report sent again, by
// whatever way it came: it rests on who reports, of which message, of whom and
// what, and never on trace fields. It is not zero.
func digest(l *letter, r *Report) uint64 {
	h := hasher(14695981039346656037)
	h.text(string(r.Kind))
	id := l.returned.Get("Message-ID")
	h.text(id)
	h.text(l.arrival)
	for _, x := range r.Recipients {
		h.text(strings.ToLower(x.Address))
		h.text(x.Action)
		h.text(x.Status)
	}
	if l.arrival == "" {
		h.text(l.from)
		h.text(l.subject)
		h.text(l.notice)
		if len(r.Recipients) == 0 || id == "" {
			h.text(l.Fields.Get("Message-ID"))
		}
	}
	if h == 0 {
		return 1
	}
	return uint64(h)
}

// A hasher is FNV-1a over text without white space.
type hasher uint64

func (h *hasher) text(s string) {
	x := *h
	for i := 0; i < len(s); i++ {
		if c := s[i]; !space(c) {
			x = (x ^ hasher(c)) * 1099511628211
		}
	}
	*h = (x ^ 0xff) * 1099511628211 // the end
}
