package reports

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"homing/internal/aggregate"
)

// The kinds of reports.
const (
	kindDMARC = "dmarc"
	kindTLS   = "tls"
)

// What became of a report: a closed set.
const (
	kept     = "kept"
	repeated = "repeated" // it counts already
	foreign  = "foreign"  // about a domain that is not ours
	dated    = "dated"    // older than what is kept, or of the future
	crowded  = "crowded"  // there are too many of that domain and day
)

// A batch is the changes that one mail makes, until they are durable.
type batch struct {
	names    names
	days     map[key]*day // as they were
	changed  map[key]*day // nil: forgotten
	now      time.Time
	outcomes []outcome
	counted  []counted
}

type outcome struct{ kind, outcome string }

// A counted is what a report adds to the metrics.
type counted struct {
	kind, domain string
	own, pass    bool // good, of TLS
	n            int
}

// begin begins a batch. The turn is ours.
func (k *Keeper) begin() *batch {
	k.mu.Lock()
	defer k.mu.Unlock()
	b := &batch{names: k.names, days: make(map[key]*day, len(k.days)), changed: map[key]*day{}, now: k.Now().UTC()}
	for at, d := range k.days {
		b.days[at] = d
	}
	return b
}

// on gives a day to be changed.
func (b *batch) on(at key) *day {
	d := b.changed[at]
	if d == nil {
		d = &day{}
		if was := b.days[at]; was != nil {
			d = was.clone()
		}
		b.changed[at] = d
	}
	return d
}

const dateForm = "2006-01-02"

// date gives the day that a report is of: that of the middle of its time,
// because much of the world reports from its own midnight on. ok is false
// where it is older than what is kept, or of the future.
func (b *batch) date(h *aggregate.Head) (date string, ok bool) {
	middle := h.Begin.Add(h.End.Sub(h.Begin) / 2)
	date = middle.Format(dateForm)
	return date, date >= b.oldest() && !h.Begin.After(b.now.Add(24*time.Hour))
}

// oldest is the first day that is kept.
func (b *batch) oldest() string { return b.now.Add(-b.names.Keep).Format(dateForm) }

// mark tells reports apart: by who wrote it, its number, about which domain
// and time it is. One without a number is told apart by what it says.
func mark(kind, domain string, h *aggregate.Head, all any) string {
	id := h.ID
	if id == "" {
		id = fmt.Sprint(all)
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{kind, domain, h.Org, id, h.Begin.Format(time.RFC3339), h.End.Format(time.RFC3339)}, "\x00")))
	return base64.RawStdEncoding.EncodeToString(sum[:9])
}

// open gives the day that a report about a domain counts for; nil, and why,
// where it counts for none. named is the domain as the report has it.
func (b *batch) open(kind, named string, h *aggregate.Head, all any) (d *day, domain, why string) {
	domain, ours := b.names.of(named)
	if !ours {
		return nil, "", foreign
	}
	date, ok := b.date(h)
	if !ok {
		return nil, "", dated
	}
	m := mark(kind, named, h, all)
	at := key{date, domain}
	was := cmp.Or(b.changed[at], b.days[at])
	switch {
	case was != nil && slices.Contains(was.Seen, m):
		return nil, "", repeated
	case was != nil && len(was.Seen) >= maxReports:
		return nil, "", crowded
	}
	d = b.on(at)
	d.Seen = append(d.Seen, m)
	d.reporter(h.Org).Reports++
	return d, domain, kept
}

// dmarc adds a DMARC report.
func (b *batch) dmarc(r *aggregate.DMARC) {
	d, domain, why := b.open(kindDMARC, r.Domain, &r.Head, r.Rows)
	b.outcomes = append(b.outcomes, outcome{kindDMARC, why})
	if d == nil {
		return
	}
	if r.Policy != "" && r.Domain == domain {
		d.Policy = r.Policy
	}
	who := d.reporter(r.Org)
	at := map[netip.Addr]int{}
	for i, s := range d.Sources {
		at[s.Address] = i
	}
	for i := range r.Rows {
		row := &r.Rows[i]
		signed, own := b.names.signed(row), b.names.sends(row.Source)
		f := figuresOf(row, signed)
		who.add(f)
		b.counted = append(b.counted, counted{kindDMARC, domain, own || signed, row.Passes(), row.Count})
		if !row.Source.IsValid() {
			d.Rest.add(f)
			continue
		}
		j, known := at[row.Source]
		if !known {
			j = len(d.Sources)
			at[row.Source] = j
			d.Sources = append(d.Sources, source{Address: row.Source})
		}
		d.Sources[j].take(row, f, own)
	}
	d.fold(maxSources)
}

// take adds a row to its source.
func (s *source) take(r *aggregate.Row, f Figures, own bool) {
	s.add(f)
	s.Own = s.Own || own
	for _, results := range [][]aggregate.Result{r.Signatures, r.Senders} {
		for _, x := range results {
			if s.As == "" && x.Pass && !r.Passes() {
				s.As = cut(x.Domain, maxAs)
			}
		}
	}
}

// tls adds a report about TLS, which may be about several domains.
func (b *batch) tls(r *aggregate.TLS) {
	byDomain := map[string][]aggregate.Policy{}
	var order []string
	for _, p := range r.Policies {
		if byDomain[p.Domain] == nil {
			order = append(order, p.Domain)
		}
		byDomain[p.Domain] = append(byDomain[p.Domain], p)
	}
	said := map[string]bool{}
	for _, named := range order {
		d, domain, why := b.open(kindTLS, named, &r.Head, byDomain[named])
		if !said[why] {
			said[why] = true
			b.outcomes = append(b.outcomes, outcome{kindTLS, why})
		}
		if d == nil {
			continue
		}
		who := d.reporter(r.Org)
		for _, p := range byDomain[named] {
			d.TLS.add(sessionsOf(&p), "")
			who.Sessions += p.Good + p.Failed
			b.counted = append(b.counted, counted{kind: kindTLS, domain: domain, pass: true, n: p.Good}, counted{kind: kindTLS, domain: domain, n: p.Failed})
		}
	}
}

// bound forgets days that are too old or too many, and the sources of the
// oldest where there are too many.
func (b *batch) bound() {
	all := map[key]*day{}
	for at, d := range b.days {
		all[at] = d
	}
	for at, d := range b.changed {
		all[at] = d
	}
	var order []key
	sources := 0
	for at, d := range all {
		order = append(order, at)
		sources += len(d.Sources)
	}
	slices.SortFunc(order, func(x, y key) int {
		return cmp.Or(strings.Compare(x.date, y.date), strings.Compare(x.domain, y.domain))
	})
	for i, at := range order {
		switch d := all[at]; {
		case at.date < b.oldest(), len(order)-i > maxDays:
			sources -= len(d.Sources)
			b.changed[at] = nil
		case sources > maxAll && len(d.Sources) > 0:
			sources -= len(d.Sources)
			b.on(at).fold(0)
		}
	}
}
