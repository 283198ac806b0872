package bounce

// A wordIndex finds in one pass over a text which phrases of a table may be in
// it, so that a table may have a thousand.
type wordIndex struct {
	buckets [1 << 12][]wordEntry
	always  []int // phrases too short for a bucket
	count   int
}

// A wordEntry is the longest piece of a phrase.
type wordEntry struct {
	piece string
	id    int
}

// hashed is how many octets of a piece choose its bucket.
const hashed = 4

// indexWords numbers the phrases of all rules.
func indexWords(rules []compiled) wordIndex {
	var x wordIndex
	for i := range rules {
		rules[i].first = x.count
		for _, p := range rules[i].words {
			longest := p[0]
			for _, piece := range p[1:] {
				if len(piece) > len(longest) {
					longest = piece
				}
			}
			if len(longest) < hashed {
				x.always = append(x.always, x.count)
			} else {
				h := bucket(longest)
				x.buckets[h] = append(x.buckets[h], wordEntry{longest, x.count})
			}
			x.count++
		}
	}
	return x
}

// bucket hashes the first octets of s, which has enough of them.
func bucket(s string) uint32 {
	v := uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
	return v * 2654435761 >> 20
}

// mark notes which phrases may be in the text.
func (s *said) mark(x *wordIndex) {
	s.marks = make([]uint64, x.count/64+1)
	for _, id := range x.always {
		s.marks[id/64] |= 1 << (id % 64)
	}
	for i := 0; i+hashed <= len(s.text); i++ {
		for _, e := range x.buckets[bucket(s.text[i:i+hashed])] {
			if len(s.text)-i >= len(e.piece) && s.text[i:i+len(e.piece)] == e.piece {
				s.marks[e.id/64] |= 1 << (e.id % 64)
			}
		}
	}
}

// has reports whether a phrase may be in the text.
func (s *said) has(id int) bool { return s.marks[id/64]&(1<<(id%64)) != 0 }
