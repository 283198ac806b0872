package bounce

import (
	"iter"
	"slices"
	"strings"
	"sync"
)

// A phrase is what rules and recognisers look for in folded text: its pieces,
// which follow each other within gap octets. In lists they are written as one
// text, with "*" between the pieces.
type phrase []string

// gap is how far apart the pieces of a phrase may be, in octets.
const gap = 80

func newPhrases(texts []string) []phrase {
	var all []phrase
	for _, text := range texts {
		all = append(all, newPhrase(text))
	}
	return all
}

// newPhrase reads a phrase. One that has no pieces is never found. A "|" at the
// end means that the word ends there.
func newPhrase(text string) phrase {
	text, whole := strings.CutSuffix(text, "|")
	p := slices.DeleteFunc(strings.Split(Fold(text), "*"), func(piece string) bool { return piece == "" })
	if whole && len(p) > 0 {
		p = append(p, wordEnd)
	}
	return p
}

// wordEnd is the last piece of a phrase whose word ends with it; no folded text
// has it.
const wordEnd = "\n"

// in gives the text that the phrase matches, or "".
func (p phrase) in(text string) string {
	start, end := p.next(text, 0)
	return text[start:end]
}

// next gives where the phrase is first found in text at or behind from; end is
// 0 where it is not. A phrase begins where a word does: "ube" is not in
// "Danube", and "full" not in "successfully".
func (p phrase) next(text string, from int) (start, end int) {
	for len(p) > 0 {
		i := strings.Index(text[from:], p[0])
		if i < 0 {
			break
		}
		start = from + i
		from = start + 1
		if !beginsWord(text, start) {
			continue
		}
		if end = p.end(text, start+len(p[0])); end >= 0 {
			return start, end
		}
	}
	return 0, 0
}

// end gives where the last piece ends when the first one ends at end, or -1.
func (p phrase) end(text string, end int) int {
	for _, piece := range p[1:] {
		if piece == wordEnd {
			if end < len(text) && wordByte(text[end]) {
				return -1
			}
			continue
		}
		if end > 0 && text[end-1] == ' ' && piece[0] == ' ' {
			end-- // "user * unknown" is in "user unknown" as well
		}
		window := text[end:min(len(text), end+gap+len(piece))]
		j := strings.Index(window, piece)
		if j < 0 {
			return -1
		}
		end += j + len(piece)
	}
	return end
}

// beginsWord reports whether no word of ASCII goes through position i of text.
// Scripts that put no space between their words have none.
func beginsWord(text string, i int) bool {
	return i == 0 || !wordByte(text[i-1]) || !wordByte(text[i])
}

func wordByte(c byte) bool { return alpha(c) || digit(c) }

// longest gives the piece that is most telling.
func (p phrase) longest() string {
	if len(p) == 0 {
		return ""
	}
	return slices.MaxFunc(p, func(a, b string) int { return len(a) - len(b) })
}

// A phraseIndex finds in one pass over a text which of many phrases may be in
// it, by the longest piece of each.
type phraseIndex struct {
	buckets [][]indexed // a power of two of them
	always  []int       // phrases too short for a bucket
	count   int
}

type indexed struct {
	piece string
	id    int
}

// hashed is how many octets of a piece choose its bucket.
const hashed = 4

// indexPhrases numbers phrases by their place in the list.
func indexPhrases(all []phrase) phraseIndex {
	size := 16
	for size < 2*len(all) {
		size *= 2
	}
	x := phraseIndex{buckets: make([][]indexed, size), count: len(all)}
	for id, p := range all {
		piece := p.longest()
		if len(piece) < hashed {
			x.always = append(x.always, id)
			continue
		}
		h := x.bucket(piece)
		x.buckets[h] = append(x.buckets[h], indexed{piece, id})
	}
	return x
}

// bucket hashes the first octets of s, which has enough of them.
func (x *phraseIndex) bucket(s string) uint32 {
	v := uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
	return v * 2654435761 >> 16 & uint32(len(x.buckets)-1)
}

// marks are numbers of phrases that may be in a text.
type marks []uint64

func (m marks) has(id int) bool { return m[id/64]&(1<<(id%64)) != 0 }

func (m marks) set(id int) { m[id/64] |= 1 << (id % 64) }

// mark notes which phrases may be in the text: what it leaves out is not.
func (x *phraseIndex) mark(text string) marks {
	m := make(marks, x.count/64+1)
	for _, id := range x.always {
		m.set(id)
	}
	for i := 0; i+hashed <= len(text); i++ {
		for _, e := range x.buckets[x.bucket(text[i:i+hashed])] {
			if strings.HasPrefix(text[i:], e.piece) {
				m.set(e.id)
			}
		}
	}
	return m
}

// A phraseSet is a list of phrases that an index of many such lists numbers.
type phraseSet struct {
	phrases []phrase
	first   int // number of the first
}

func newPhraseSet(texts []string) phraseSet { return phraseSet{phrases: newPhrases(texts)} }

// number gives the phrases their numbers behind those of all, and all with them.
func (s *phraseSet) number(all []phrase) []phrase {
	s.first = len(all)
	return append(all, s.phrases...)
}

// marked gives those of the set that may be in a text.
func (s *phraseSet) marked(m marks) iter.Seq[phrase] {
	return func(yield func(phrase) bool) {
		for i, p := range s.phrases {
			if m.has(s.first+i) && !yield(p) {
				return
			}
		}
	}
}

// in reports whether one of the set is in a text with these marks.
func (s *phraseSet) in(text string, m marks) bool {
	for p := range s.marked(m) {
		if p.in(text) != "" {
			return true
		}
	}
	return false
}

// A lexicon is a list of phrases that all say the same thing, in many
// languages and in the words of many systems. It is made ready at its first
// use: most processes that have this package in them, such as sendmail, read no
// mail, and all lexicons together take milliseconds.
type lexicon struct {
	texts   []string
	ready   sync.Once
	phrases []phrase
	index   phraseIndex
}

func newLexicon(texts ...string) *lexicon { return &lexicon{texts: texts} }

func (x *lexicon) use() {
	x.ready.Do(func() {
		x.phrases = newPhrases(x.texts)
		x.index = indexPhrases(x.phrases)
	})
}

// find gives what one of the phrases matches in folded text, or "".
func (x *lexicon) find(text string) string {
	for _, p := range x.marked(text) {
		if got := p.in(text); got != "" {
			return got
		}
	}
	return ""
}

func (x *lexicon) in(text string) bool { return x.find(text) != "" }

// near gives the first place of folded text where a phrase of one lexicon is
// at most gap octets from one of another, or "".
func (x *lexicon) near(text string, other *lexicon) string {
	there := other.marked(text)
	if len(there) == 0 {
		return ""
	}
	for _, p := range x.marked(text) {
		start, end := p.next(text, 0)
		for try := 0; end > 0 && try < maxNear; try++ {
			if got := besides(text, start, end, there); got != "" {
				return got
			}
			start, end = p.next(text, end)
		}
	}
	return ""
}

// marked gives the phrases that may be in folded text.
func (x *lexicon) marked(text string) []phrase {
	x.use()
	var all []phrase
	m := x.index.mark(text)
	for id, p := range x.phrases {
		if m.has(id) {
			all = append(all, p)
		}
	}
	return all
}

// begins gives the phrase that folded text begins with, or "".
func (x *lexicon) begins(text string) string {
	x.use()
	for _, p := range x.phrases {
		if rest, ok := strings.CutPrefix(text, p[0]); ok { // lists have no empty phrases
			if end := p.end(text, len(text)-len(rest)); end >= 0 {
				return text[:end]
			}
		}
	}
	return ""
}
