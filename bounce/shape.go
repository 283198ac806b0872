package bounce

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxShape is the length of the longest Shape, in octets.
const maxShape = 400

// Shape gives the template behind a reply or a diagnostic: the same for two
// replies of one template of one mail system, another one for another
// template. It begins with the reply code and the enhanced status code, where
// the text has them. E-mail addresses, hosts, IP addresses, URLs, times, and
// numbers and identifiers of any kind become {address}, {host}, {ip}, {url},
// {time} and {n}; letter case and white space are folded. It has at most 400
// octets, and is its own Shape. It takes time proportional to the text, of
// which it reads the first 4 KiB.
func Shape(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	text = strings.ToValidUTF8(text, " ")
	code, status := findReply(text)
	s := shaper{status: status}
	if code != 0 {
		s.code = strconv.Itoa(code)
	}
	s.read(even(text))
	s.foldDates()
	s.collapse()
	return s.join()
}

// even gives text in which what looks the same is the same: composed letters,
// straight quotes, "0" for the digits of other scripts, a space for what cannot
// be seen. Only ASCII letters keep their case.
func even(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r < utf8.RuneSelf && unicode.IsPrint(r):
			return r
		case unicode.In(r, unicode.Mn, unicode.Cf):
			return -1
		case r == '’' || r == '‘':
			return '\''
		case unicode.IsDigit(r):
			return '0'
		case !unicode.IsPrint(r):
			return ' '
		}
		return unicode.ToLower(r)
	}, norm.NFC.String(text))
	return norm.NFC.String(text)
}

// A mould says what a piece of text is poured into.
type mould string

// The moulds. Those in braces stand in a Shape as they are; a word stands
// there itself, and so does what is between words.
const (
	between   mould = ""
	word      mould = "word"
	anAddress mould = "{address}"
	aHost     mould = "{host}"
	anIP      mould = "{ip}"
	aURL      mould = "{url}"
	aTime     mould = "{time}"
	aNumber   mould = "{n}" // or an identifier: one template has both, as chance will have it
)

// mouldAt gives the mould whose name text begins with.
func mouldAt(text string) (mould, bool) {
	for _, m := range []mould{anAddress, aHost, anIP, aURL, aTime, aNumber} {
		if strings.HasPrefix(text, string(m)) {
			return m, true
		}
	}
	return between, false
}

// A piece is a part of a text in its mould.
type piece struct {
	mould mould
	text  []byte
}

// of is a piece that stands in a Shape by the name of its mould.
func of(m mould) piece { return piece{m, []byte(m)} }

// A shaper makes one Shape.
type shaper struct {
	code, status string // what the Shape begins with, and does not repeat
	pieces       []piece
	left         bool // a code was left out just now: brackets around it go as well
}

// read takes a text to pieces.
func (s *shaper) read(text string) {
	for text != "" {
		n := 0
		if m, ok := mouldAt(text); ok {
			n = len(m)
			s.put(of(m))
		} else if hasScheme(text) {
			n = endOfURL(text)
			s.put(of(aURL))
		} else if n = tokenLen(text); n > 0 {
			s.token(text[:n])
		} else {
			_, n = utf8.DecodeRuneInString(text)
			s.gap(text[:n])
		}
		text = text[n:]
	}
}

// put adds a piece that is no gap.
func (s *shaper) put(p piece) {
	s.left = false
	s.pieces = append(s.pieces, p)
}

// gap adds what is between words: one space for several, and no braces, so
// that nothing but a mould looks like one.
func (s *shaper) gap(text string) {
	for _, r := range text {
		if s.left = s.left && strings.ContainsRune(")]>-", r); s.left {
			continue
		}
		switch r {
		case '{':
			r = '('
		case '}':
			r = ')'
		}
		last := len(s.pieces) - 1
		switch {
		case last < 0 || s.pieces[last].mould != between:
			s.pieces = append(s.pieces, piece{between, utf8.AppendRune(nil, r)})
		case r != ' ' || !bytes.HasSuffix(s.pieces[last].text, []byte(" ")):
			s.pieces[last].text = utf8.AppendRune(s.pieces[last].text, r)
		}
	}
}

// leave leaves out a code that the Shape begins with, and the brackets and the
// mark around it: "(#5.1.1)".
func (s *shaper) leave() {
	s.left = true
	if last := len(s.pieces) - 1; last >= 0 && s.pieces[last].mould == between {
		s.pieces[last].text = bytes.TrimRight(s.pieces[last].text, "#([<")
		if len(s.pieces[last].text) == 0 {
			s.pieces = s.pieces[:last]
		}
	}
}

// token takes what stands together, with marks at both ends, into its mould.
func (s *shaper) token(t string) {
	core := strings.TrimLeftFunc(t, notInside)
	s.gap(t[:len(t)-len(core)])
	end := strings.TrimRight(core, "=")
	if isBase64(end) {
		s.put(of(aNumber))
		return
	}
	end = strings.TrimRightFunc(end, notInside)
	s.core(end)
	s.gap(core[len(end):])
}

// notInside reports whether a character is none with which a word may begin or
// end.
func notInside(r rune) bool { return r < utf8.RuneSelf && !alpha(byte(r)) && !digit(byte(r)) }

func (s *shaper) core(c string) {
	if rest, ok := strings.CutPrefix(c, s.code+"-"); ok && s.code != "" { // a continuation line
		s.leave()
		s.token(rest)
		return
	}
	switch m := mouldOf(c); {
	case c == "":
	case c == s.code || c == s.status:
		s.leave()
	case m == word:
		s.put(piece{word, []byte(strings.ToLower(c))})
	case m != between:
		s.put(of(m))
	default:
		s.parts(c)
	}
}

// parts takes apart what joints hold together, those first that hold longer
// parts.
func (s *shaper) parts(c string) {
	set := joints[slices.IndexFunc(joints, func(set string) bool { return strings.ContainsAny(c, set) })]
	for {
		i := strings.IndexAny(c, set)
		if i < 0 {
			break
		}
		s.token(c[:i])
		s.gap(c[i : i+1])
		c = c[i+1:]
	}
	s.token(c)
}

// foldDates makes times of the names of days and months beside numbers, from
// right to left, so that each one sees what became of the next.
func (s *shaper) foldDates() {
	for i, p := range slices.Backward(s.pieces) {
		if p.mould != word {
			continue
		}
		next := s.beside(i, 1)
		dated := next == aNumber || next == aTime
		name := string(p.text)
		if slices.Contains(days, name) && dated || slices.Contains(months, name) && (dated || s.beside(i, -1) == aNumber) {
			s.pieces[i] = of(aTime)
		}
	}
}

// beside gives the mould of the piece that stands next in a direction, across
// a soft gap; between: there is none.
func (s *shaper) beside(i, step int) mould {
	i += step
	if i >= 0 && i < len(s.pieces) && softGap(s.pieces[i]) {
		i += step
	}
	if i < 0 || i >= len(s.pieces) {
		return between
	}
	return s.pieces[i].mould
}

// softGap reports whether a piece stands within lists and dates.
func softGap(p piece) bool { return p.mould == between && len(bytes.Trim(p.text, " ,+-")) == 0 }

// collapse makes one of a list of the same, however long, and one time of its
// parts.
func (s *shaper) collapse() {
	out := s.pieces[:0]
	for _, p := range s.pieces {
		n := len(out)
		if n > 0 && softGap(out[n-1]) {
			n--
		}
		if n > 0 && p.mould != word && p.mould != between {
			if m, ok := together(out[n-1].mould, p.mould); ok {
				out = out[:n]
				out[n-1] = of(m)
				continue
			}
		}
		out = append(out, p)
	}
	s.pieces = out
}

// together says what two pieces beside each other are one of.
func together(a, b mould) (mould, bool) {
	switch {
	case a == b:
		return a, true
	case a == aTime && b == aNumber || a == aNumber && b == aTime:
		return aTime, true
	}
	return between, false
}

// join writes the Shape, as much of it as may be.
func (s *shaper) join() string {
	var b strings.Builder
	for _, code := range []string{s.code, s.status} {
		if code != "" {
			b.WriteString(code + " ")
		}
	}
	start := b.Len()
	for _, p := range s.pieces {
		if p.mould == between && b.Len() == start {
			p.text = bytes.TrimLeft(p.text, " ")
		}
		if room := maxShape - b.Len(); len(p.text) > room {
			if p.mould == between {
				b.WriteString(clip(string(p.text), room))
			}
			break
		}
		b.Write(p.text)
	}
	return strings.TrimRight(b.String(), " ")
}
