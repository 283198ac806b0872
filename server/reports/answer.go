package reports

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"homing/internal/dnsx"
)

// An Answer is what was reported, by domain.
type Answer struct {
	Domains []Domain `json:"domains"`
	Unread  []Unread `json:"unread"` // what is not understood
	Address string   `json:"address,omitempty"`
}

// A Domain is what was reported of one domain of ours.
type Domain struct {
	Domain  string `json:"domain"`
	Sends   bool   `json:"sends"`            // mail is sent as it
	Since   string `json:"since,omitempty"`  // the first day that a report is about
	Until   string `json:"until,omitempty"`  // the last one
	Policy  string `json:"policy,omitempty"` // that receivers found last
	Reports int    `json:"reports"`
	Figures
	Sources   []Source   `json:"sources"`
	Others    Figures    `json:"others"` // of sources that are not listed
	Reporters []Reporter `json:"reporters"`
	TLS       TLS        `json:"tls"`
	Advice    []string   `json:"advice"` // what it means and what to do, a sentence or two each
}

// A Source is an address that messages came from.
type Source struct {
	Address netip.Addr `json:"address"`
	Name    string     `json:"name,omitempty"` // its reverse name, if that leads back
	Own     bool       `json:"own"`            // we send from it, or did
	As      string     `json:"as,omitempty"`   // a domain that what fails authenticates as
	First   string     `json:"first"`
	Last    string     `json:"last"`
	Figures
	failed string // the last day on which some failed and were not forwarded
}

// A Reporter is who reports; the Name is "" for all that are not listed.
type Reporter struct {
	Name     string `json:"name"`
	Reports  int    `json:"reports"`
	Messages int    `json:"messages"`
	Pass     int    `json:"pass"`
	Sessions int    `json:"sessions"` // of TLS
	Last     string `json:"last"`
}

// TLS is how TLS went with the mail hosts of a domain, in sessions.
type TLS struct {
	Good     int         `json:"good"`
	Failed   int         `json:"failed"`
	Policies []TLSPolicy `json:"policies"`
}

// A TLSPolicy is the same under one type of policy.
type TLSPolicy struct {
	Type     string       `json:"type"`
	Good     int          `json:"good"`
	Failed   int          `json:"failed"`
	Failures []TLSFailure `json:"failures"`
	last     string       // the last day on which some failed
}

// A TLSFailure is sessions that failed for one reason.
type TLSFailure struct {
	Type     string `json:"type"`
	Sessions int    `json:"sessions"`
	Last     string `json:"last"`
}

// Unread is how many attachments or mails were not understood since the server
// started, for one reason.
type Unread struct {
	Reason string `json:"reason"`
	Count  int    `json:"count"`
}

// Bounds of an answer.
const (
	mostSources   = 50
	mostReporters = 50
	mostNamed     = 20 // sources whose names are looked up, the first of each domain
	namesTime     = 3 * time.Second
)

// Answer says what was reported of all our domains, or of one, since a time
// or as long as is kept. known is false where the domain is not ours.
func (k *Keeper) Answer(ctx context.Context, domain string, since time.Time) (a Answer, known bool) {
	n, days := k.snapshot()
	a = Answer{Domains: []Domain{}, Unread: k.unreadNow(), Address: n.Address}
	wanted := map[string]bool{}
	for _, d := range n.Senders {
		wanted[d] = domain == "" || d == domain
	}
	for at := range days {
		if n.domains[at.domain] && (domain == "" || at.domain == domain) {
			wanted[at.domain] = true
		}
	}
	for name, is := range wanted {
		if is {
			a.Domains = append(a.Domains, k.domain(&n, days, name, since))
		}
	}
	slices.SortFunc(a.Domains, func(x, y Domain) int {
		return cmp.Or(ownFirst(x.Sends, y.Sends), strings.Compare(x.Domain, y.Domain))
	})
	k.lookUp(ctx, a.Domains)
	for i := range a.Domains {
		d := &a.Domains[i]
		d.Advice = advise(d, &n)
	}
	return a, domain == "" || n.domains[domain]
}

func (k *Keeper) snapshot() (names, map[key]*day) {
	k.mu.Lock()
	defer k.mu.Unlock()
	days := make(map[key]*day, len(k.days))
	for at, d := range k.days {
		days[at] = d
	}
	return k.names, days
}

func (k *Keeper) unreadNow() []Unread {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := []Unread{}
	for reason, count := range k.unread {
		all = append(all, Unread{string(reason), count})
	}
	slices.SortFunc(all, func(x, y Unread) int { return strings.Compare(x.Reason, y.Reason) })
	return all
}

// domain adds up the days of a domain.
func (k *Keeper) domain(n *names, days map[key]*day, name string, since time.Time) Domain {
	s := sum{Domain: Domain{Domain: name, Sends: slices.Contains(n.Senders, name)}, sources: map[netip.Addr]*Source{}, reporters: map[string]*Reporter{}}
	var dates []string
	for at := range days {
		if at.domain == name && (since.IsZero() || at.date >= since.UTC().Format(dateForm)) {
			dates = append(dates, at.date)
		}
	}
	slices.Sort(dates)
	for _, date := range dates {
		s.add(date, days[key{date, name}])
	}
	for _, src := range s.sources {
		src.Own = src.Own || n.sends(src.Address)
	}
	return s.finish()
}

// A sum is days being added up, in order.
type sum struct {
	Domain
	sources   map[netip.Addr]*Source
	reporters map[string]*Reporter
	tls       tlsSums
}

func (s *sum) add(date string, d *day) {
	s.Since, s.Until = cmp.Or(s.Since, date), date
	s.Policy = cmp.Or(d.Policy, s.Policy)
	s.Reports += len(d.Seen)
	s.Figures.add(d.Rest)
	s.Others.add(d.Rest)
	for _, one := range d.Sources {
		s.Figures.add(one.Figures)
		t := s.sources[one.Address]
		if t == nil {
			t = &Source{Address: one.Address, First: date}
			s.sources[one.Address] = t
		}
		t.Own, t.As, t.Last = t.Own || one.Own, cmp.Or(one.As, t.As), date
		t.Figures.add(one.Figures)
		if one.failing() > 0 {
			t.failed = date
		}
	}
	for _, one := range d.Reporters {
		t := s.reporters[one.Name]
		if t == nil {
			t = &Reporter{Name: one.Name}
			s.reporters[one.Name] = t
		}
		t.Reports += one.Reports
		t.Messages += one.Messages
		t.Pass += one.Pass
		t.Sessions += one.Sessions
		t.Last = date
	}
	for _, p := range d.TLS {
		s.tls.add(p, date)
	}
}

// answer gives sums as they are answered.
func (s tlsSums) answer() TLS {
	all := TLS{Policies: []TLSPolicy{}}
	for _, p := range s {
		all.Good += p.Good
		all.Failed += p.Failed
		q := TLSPolicy{Type: p.Type, Good: p.Good, Failed: p.Failed, Failures: []TLSFailure{}, last: p.last}
		for _, f := range p.Failures {
			q.Failures = append(q.Failures, TLSFailure{f.Type, f.Count, f.last})
		}
		all.Policies = append(all.Policies, q)
	}
	return all
}

// finish orders and cuts the lists.
func (s *sum) finish() Domain {
	d := s.Domain
	d.Sources, d.Reporters, d.Advice = []Source{}, []Reporter{}, []string{}
	d.TLS = s.tls.answer()
	for _, src := range s.sources {
		d.Sources = append(d.Sources, *src)
	}
	slices.SortFunc(d.Sources, func(x, y Source) int {
		return cmp.Or(cmp.Compare(y.Messages, x.Messages), x.Address.Compare(y.Address))
	})
	for _, src := range d.Sources[min(len(d.Sources), mostSources):] {
		d.Others.add(src.Figures)
	}
	d.Sources = d.Sources[:min(len(d.Sources), mostSources)]
	for _, r := range s.reporters {
		d.Reporters = append(d.Reporters, *r)
	}
	slices.SortFunc(d.Reporters, func(x, y Reporter) int {
		return cmp.Or(cmp.Compare(y.Reports, x.Reports), strings.Compare(x.Name, y.Name))
	})
	d.Reporters = d.Reporters[:min(len(d.Reporters), mostReporters)]
	return d
}

// lookUp asks what sources are called: those with the most messages, all at
// once. A name that does not lead back to its address anybody may have made
// up.
func (k *Keeper) lookUp(ctx context.Context, domains []Domain) {
	ctx, cancel := context.WithTimeout(ctx, namesTime)
	defer cancel()
	var asked sync.WaitGroup
	for i := range domains {
		for j := range domains[i].Sources[:min(len(domains[i].Sources), mostNamed)] {
			s := &domains[i].Sources[j]
			asked.Go(func() { s.Name = k.nameOf(ctx, s.Address) })
		}
	}
	asked.Wait()
}

func (k *Keeper) nameOf(ctx context.Context, a netip.Addr) string {
	found, err := k.Resolver.PTR(ctx, a)
	if err != nil || len(found) == 0 {
		return ""
	}
	name, err := dnsx.Canonical(found[0])
	if err != nil {
		return ""
	}
	if back, err := k.Resolver.Addrs(ctx, name); err != nil || !slices.Contains(back, a) {
		return ""
	}
	return name
}
