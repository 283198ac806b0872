package bounce

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"time"
)

// A Quote is what somebody said of a recipient.
type Quote struct {
	Code    int       // the reply code
	Status  string    // the enhanced status code
	Text    string    // the reply or diagnostic
	Address string    // of the recipient
	Host    string    // who said it: "mx.example.net[198.51.100.7]", or only the name
	Time    time.Time // zero where it is not known
}

// Limits of Unknowns.
const (
	mostShapes   = 1000 // kept at once
	mostGroups   = 200  // given
	mostDistinct = 250  // domains, and hosts, counted for one shape
)

// Unknowns groups what no rule understood by its Shape, so that the rule that
// is missing can be written. It keeps 1,000 shapes: where there are more, the
// rarest give way. The zero value is ready; it is for one goroutine.
type Unknowns struct {
	replies int
	groups  map[string]*unknownGroup
	lost    bool // some shapes gave way
	seed    maphash.Seed
}

// An UnknownList is what Unknowns found, as the API and `homing classify
// --unknown --json` give it.
type UnknownList struct {
	Replies int            `json:"replies"` // that no rule understood
	Groups  []UnknownGroup `json:"groups"`  // never null; the most frequent first, then the youngest; at most 200
	Cut     bool           `json:"cut"`     // there are more groups, and the counts of rare ones may be too low
}

// An UnknownGroup is all replies of one Shape.
type UnknownGroup struct {
	Shape   string    `json:"shape"`
	Count   int       `json:"count"`
	Domains int       `json:"domains"` // of recipients; 250 stands for 250 or more
	Hosts   int       `json:"hosts"`   // that said it; 250 stands for 250 or more
	First   time.Time `json:"first,omitzero"`
	Last    time.Time `json:"last,omitzero"`
	Example string    `json:"example"` // the youngest
}

type unknownGroup struct {
	UnknownGroup
	domains, hosts map[uint64]bool
}

// Add counts one that no rule understood.
func (u *Unknowns) Add(x Quote) {
	if u.groups == nil {
		u.groups, u.seed = map[string]*unknownGroup{}, maphash.MakeSeed()
	}
	shape := Shape(withoutLocal(x.whole(), x.Address))
	g := u.groups[shape]
	if g == nil {
		if len(u.groups) >= mostShapes {
			u.makeRoom()
		}
		g = &unknownGroup{UnknownGroup{Shape: shape, First: x.Time}, map[uint64]bool{}, map[uint64]bool{}}
		u.groups[shape] = g
	}
	u.replies++
	g.Count++
	g.First = earlier(g.First, x.Time)
	if !x.Time.Before(g.Last) {
		g.Last, g.Example = x.Time, x.whole()
	}
	domain := x.Address[strings.LastIndexByte(x.Address, '@')+1:]
	host, _, _ := strings.Cut(x.Host, "[")
	u.count(g.domains, domain)
	u.count(g.hosts, cmp.Or(host, x.Host))
}

// whole is the text with code and status in front where it has none.
func (x Quote) whole() string {
	code, status := findReply(x.Text)
	if code == 0 && status == "" {
		return strings.TrimSpace(fmt.Sprintf("%.0d %s %s", x.Code, x.Status, x.Text))
	}
	return x.Text
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// count notes a name once, whatever its letter case.
func (u *Unknowns) count(seen map[uint64]bool, name string) {
	if name != "" && len(seen) < mostDistinct {
		seen[maphash.String(u.seed, strings.ToLower(name))] = true
	}
}

// makeRoom forgets the rarer half of the shapes.
func (u *Unknowns) makeRoom() {
	u.lost = true
	for _, g := range u.sorted()[mostShapes/2:] {
		delete(u.groups, g.Shape)
	}
}

func (u *Unknowns) sorted() []*unknownGroup {
	all := make([]*unknownGroup, 0, len(u.groups))
	for _, g := range u.groups {
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b *unknownGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), b.Last.Compare(a.Last), cmp.Compare(a.Shape, b.Shape))
	})
	return all
}

// List gives the groups so far.
func (u *Unknowns) List() UnknownList {
	all := u.sorted()
	list := UnknownList{Replies: u.replies, Groups: make([]UnknownGroup, 0, len(all)), Cut: u.lost || len(all) > mostGroups}
	for _, g := range all[:min(len(all), mostGroups)] {
		g.Domains, g.Hosts = len(g.domains), len(g.hosts)
		list.Groups = append(list.Groups, g.UnknownGroup)
	}
	return list
}

// withoutLocal puts {address} for the local part of an address where a text
// has it alone, as in "unknown user ann".
func withoutLocal(text, address string) string {
	local, _, _ := strings.Cut(address, "@")
	if len(local) < 2 {
		return text
	}
	var b strings.Builder
	for rest := text; ; {
		i := indexFold(rest, local)
		if i < 0 {
			b.WriteString(rest)
			return b.String()
		}
		end := i + len(local)
		b.WriteString(rest[:i])
		if alone(text, len(text)-len(rest)+i, len(local)) {
			b.WriteString(string(anAddress))
		} else {
			b.WriteString(rest[i:end])
		}
		rest = rest[end:]
	}
}

// indexFold is strings.Index that ignores the case of ASCII letters.
func indexFold(s, sub string) int {
	for i := 0; i+len(sub) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(sub)], sub) {
			return i
		}
	}
	return -1
}

// alone reports whether n octets of a text from i on are no part of a longer
// word or address.
func alone(text string, i, n int) bool {
	part := func(c byte) bool {
		return alpha(c) || digit(c) || c >= 0x80 || strings.IndexByte("@_+-=", c) >= 0
	}
	before := i > 0 && (part(text[i-1]) || text[i-1] == '.')
	after := i+n < len(text) && (part(text[i+n]) || text[i+n] == '.' && i+n+1 < len(text) && part(text[i+n+1]))
	return !before && !after
}
