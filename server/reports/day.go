package reports

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	"homing/internal/aggregate"
)

// Bounds of what is kept of one domain and day, so that it is one note, and of
// everything.
const (
	maxSources   = 100    // by their messages, ours before others; the rest is one sum
	maxReporters = 32     // the rest is one sum
	maxReports   = 400    // that are told apart; what comes then does not count
	maxReporter  = 64     // octets of a name
	maxAs        = 100    // octets of a domain
	maxAll       = 50_000 // sources of all days; over it the oldest days keep sums alone
	maxDays      = 20_000 // domains and days; over it the oldest are forgotten
)

// Figures are messages, and what receivers say became of them.
type Figures struct {
	Messages    int `json:"messages"`
	Pass        int `json:"pass"` // DMARC: by DKIM or SPF
	DKIM        int `json:"dkim"` // by DKIM, aligned
	SPF         int `json:"spf"`  // by SPF, aligned
	Quarantined int `json:"quarantined"`
	Rejected    int `json:"rejected"`
	Forwarded   int `json:"forwarded"` // do not pass, and the receiver takes them for forwarded
	Signed      int `json:"signed"`    // carry a signature of ours that holds
}

func (f *Figures) add(g Figures) {
	f.Messages += g.Messages
	f.Pass += g.Pass
	f.DKIM += g.DKIM
	f.SPF += g.SPF
	f.Quarantined += g.Quarantined
	f.Rejected += g.Rejected
	f.Forwarded += g.Forwarded
	f.Signed += g.Signed
}

// failing is how many fail and are not forwarded.
func (f *Figures) failing() int { return f.Messages - f.Pass - f.Forwarded }

// figuresOf gives those of a row.
func figuresOf(r *aggregate.Row, signed bool) Figures {
	f := Figures{Messages: r.Count}
	given := func(is bool) int {
		if is {
			return r.Count
		}
		return 0
	}
	f.Pass, f.DKIM, f.SPF = given(r.Passes()), given(r.DKIM), given(r.SPF)
	f.Quarantined, f.Rejected = given(r.Disposition == "quarantine"), given(r.Disposition == "reject")
	f.Forwarded, f.Signed = given(r.Forwarded && !r.Passes()), given(signed)
	return f
}

// A day is what was reported of one domain and day.
type day struct {
	Seen      []string   `json:"seen"` // marks of the reports that count
	Policy    string     `json:"policy,omitempty"`
	Sources   []source   `json:"sources,omitempty"`
	Rest      Figures    `json:"rest"` // of all other sources
	Reporters []reporter `json:"reporters,omitempty"`
	TLS       tlsSums    `json:"tls,omitempty"`
}

type source struct {
	Address netip.Addr `json:"address"`
	Own     bool       `json:"own,omitempty"`
	As      string     `json:"as,omitempty"` // a domain that it authenticates as
	Figures
}

type reporter struct {
	Name    string `json:"name"` // in lower case; "": all others
	Reports int    `json:"reports"`
	Figures
	Sessions int `json:"sessions,omitempty"` // of TLS
}

type tlsPolicy struct {
	Type     string       `json:"type"`
	Good     int          `json:"good"`
	Failed   int          `json:"failed"`
	Failures []tlsFailure `json:"failures,omitempty"`
	last     string       // day of the last failure; of sums of days alone
}

type tlsFailure struct {
	Type  string `json:"type"`
	Count int    `json:"count"`
	last  string // as above
}

// tlsSums are sessions by policy.
type tlsSums []tlsPolicy

// clone gives a day that can be changed.
func (d *day) clone() *day {
	c := *d
	c.Seen, c.Sources, c.Reporters, c.TLS = slices.Clone(d.Seen), slices.Clone(d.Sources), slices.Clone(d.Reporters), slices.Clone(d.TLS)
	for i := range c.TLS {
		c.TLS[i].Failures = slices.Clone(c.TLS[i].Failures)
	}
	return &c
}

// reporter gives the sum of who reports; there are too many for all to have
// one of their own.
func (d *day) reporter(org string) *reporter {
	name := strings.ToLower(cut(org, maxReporter))
	of := func(n string) int { return slices.IndexFunc(d.Reporters, func(r reporter) bool { return r.Name == n }) }
	i := of(name)
	if i < 0 && len(d.Reporters) >= maxReporters-1 {
		name, i = "", of("")
	}
	if i < 0 {
		d.Reporters = append(d.Reporters, reporter{Name: name})
		i = len(d.Reporters) - 1
	}
	return &d.Reporters[i]
}

// note gives a day as it is noted.
func (d *day) note() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // a note has an end
	err := e.Encode(d)
	return b.Bytes(), err
}

// cut gives at most so many octets of a text, in whole characters.
func cut(s string, octets int) string {
	if len(s) <= octets {
		return s
	}
	return strings.ToValidUTF8(s[:octets], "")
}

// fold adds the sources past the first n to the rest. Ours come first, then
// those with the most messages.
func (d *day) fold(n int) {
	if len(d.Sources) <= n {
		return
	}
	slices.SortFunc(d.Sources, func(a, b source) int {
		return cmp.Or(ownFirst(a.Own, b.Own), cmp.Compare(b.Messages, a.Messages), a.Address.Compare(b.Address))
	})
	for _, s := range d.Sources[n:] {
		d.Rest.add(s.Figures)
	}
	d.Sources = slices.Clip(slices.Clone(d.Sources[:n]))
}

func ownFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// add adds sessions under one policy. Where they are of a day that is named,
// days come in order.
func (s *tlsSums) add(p tlsPolicy, date string) {
	i := slices.IndexFunc(*s, func(t tlsPolicy) bool { return t.Type == p.Type })
	if i < 0 {
		*s = append(*s, tlsPolicy{Type: p.Type})
		i = len(*s) - 1
	}
	t := &(*s)[i]
	t.Good += p.Good
	t.Failed += p.Failed
	if p.Failed > 0 {
		t.last = date
	}
	for _, f := range p.Failures {
		j := slices.IndexFunc(t.Failures, func(known tlsFailure) bool { return known.Type == f.Type })
		if j < 0 {
			t.Failures = append(t.Failures, tlsFailure{Type: f.Type})
			j = len(t.Failures) - 1
		}
		t.Failures[j].Count += f.Count
		t.Failures[j].last = date
	}
}

// sessionsOf gives what a report says of one policy.
func sessionsOf(p *aggregate.Policy) tlsPolicy {
	all := tlsPolicy{Type: p.Type, Good: p.Good, Failed: p.Failed}
	for _, f := range p.Failures {
		all.Failures = append(all.Failures, tlsFailure{Type: f.Type, Count: f.Count})
	}
	return all
}
