package toynet

import (
	"maps"
	"slices"
)

// A Tally says what became of the recipients of one domain, as the toy
// internet saw it. Each recipient counts once in one of the four middle
// columns, by the last thing that was said about it.
type Tally struct {
	Domain string
	About  string

	Recipients int // that were asked for
	Accepted   int // 250 at the final dot
	Refused    int // 5xx
	Deferred   int // 4xx
	Unheard    int // no MX was ever asked about them

	Attempts int // transactions that named one of them
	Returned int // letters that came back from there and were taken
}

// Tally counts what became of recipients, by domain, in order of their names.
// A domain that is not in the World has no About.
func (n *Net) Tally(recipients []string) []Tally {
	last := make(map[string]Receipt)
	attempts := make(map[string]int)
	for _, r := range n.Receipts.All() {
		if before := last[r.To]; !before.Accepted() {
			last[r.To] = r
		}
		attempts[r.To]++
	}
	returned := n.returned()
	tallies := make(map[string]*Tally)
	for _, to := range slices.Compact(slices.Sorted(slices.Values(recipients))) {
		_, domain := cutAddress(to)
		t := tallies[domain]
		if t == nil {
			t = &Tally{Domain: domain, About: n.world.Domains[domain].About, Returned: returned[domain]}
			tallies[domain] = t
		}
		t.Recipients++
		t.Attempts += attempts[to]
		t.count(last[to])
	}
	var out []Tally
	for _, domain := range slices.Sorted(maps.Keys(tallies)) {
		out = append(out, *tallies[domain])
	}
	return out
}

// count puts one recipient into its column.
func (t *Tally) count(r Receipt) {
	switch {
	case r.Accepted():
		t.Accepted++
	case r.Reply.Permanent():
		t.Refused++
	case r.Reply.Temporary():
		t.Deferred++
	default:
		t.Unheard++
	}
}

// returned counts, by domain, the letters about its recipients that were taken.
func (n *Net) returned() map[string]int {
	counts := make(map[string]int)
	for _, note := range n.Notes.All() {
		if note.Reply.Positive() {
			_, domain := cutAddress(note.About)
			counts[domain]++
		}
	}
	return counts
}
