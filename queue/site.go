package queue

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	"homing/internal/dnsx"
	"homing/queue/shape"
	"homing/store"
)

// A Provider is a site with a name and limits of its own, and how to know its
// mail hosts.
type Provider struct {
	Name     string
	MX       []string       // names of mail hosts; "*.example.net" is every name below
	Networks []netip.Prefix // addresses of mail hosts
	Domains  []string       // of recipients, whatever their mail hosts
	Rule     shape.Rule
	Origin   string // where that stands, for people
}

// A Host is a mail host of a domain.
type Host struct {
	Name    string // of the MX; for a literal, the address
	Address netip.Addr
}

// maxPlaces is how many addresses of mail hosts are remembered.
const maxPlaces = 100_000

// places knows which site mail hosts belong to: a provider that is known, else
// the organisational domain of their names. Hosts at one address are one site,
// whatever they are called, so that the customers of a hosting company that
// name its servers as their own share what it puts up with.
type places struct {
	mu        sync.Mutex
	providers []Provider
	at        map[netip.Addr]string
}

// use replaces the providers.
func (p *places) use(providers []Provider) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.providers, p.at = providers, map[netip.Addr]string{}
}

// site names the site of a domain whose best mail hosts are these; "" without
// hosts.
func (p *places) site(domain string, hosts []Host) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := p.judge(domain, hosts)
	if found.by != byOrganisation && found.by != byAddress {
		return found.site
	}
	if len(p.at) > maxPlaces {
		clear(p.at)
	}
	for _, h := range hosts {
		if h.Address.IsValid() {
			p.at[h.Address] = found.site
		}
	}
	return found.site
}

// look is site without an effect, and says why that is the site.
func (p *places) look(domain string, hosts []Host) place {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.judge(domain, hosts)
}

// A place is a site, and why mail goes there.
type place struct {
	site string // "": nobody knows
	by   cause
	host Host // by which, where it is one of these
}

// A cause is why mail goes to a site, for programs.
type cause string

const (
	byDomain       cause = "domain"       // a provider names the domain
	byHost         cause = "host"         // a provider names the mail host
	byNetwork      cause = "network"      // a provider names its address
	byAddress      cause = "address"      // another site has a mail host at the same address
	byOrganisation cause = "organisation" // whose name the mail host has
	bySmarthost    cause = "smarthost"    // all mail goes there
	byPast         cause = "past"         // it was found when mail went there
	byNothing      cause = "nothing"      // nobody knows yet
)

// judge finds the site of a domain. The caller holds mu.
func (p *places) judge(domain string, hosts []Host) place {
	for i := range p.providers {
		if host, by := p.providers[i].serves(domain, hosts); by != "" {
			return place{p.providers[i].Name, by, host}
		}
	}
	if len(hosts) == 0 {
		return place{by: byNothing}
	}
	first := slices.MinFunc(hosts, func(a, b Host) int { return strings.Compare(a.Name, b.Name) })
	name := dnsx.Organisation(first.Name)
	for _, h := range hosts {
		if known, ok := p.at[h.Address]; ok && known != name {
			return place{known, byAddress, h}
		} else if ok {
			break
		}
	}
	return place{name, byOrganisation, first}
}

// serves gives why a domain with these mail hosts is the provider's; "": it is
// not.
func (p *Provider) serves(domain string, hosts []Host) (Host, cause) {
	if slices.Contains(p.Domains, domain) {
		return Host{}, byDomain
	}
	for _, h := range hosts {
		switch {
		case slices.ContainsFunc(p.Networks, func(n netip.Prefix) bool { return n.Contains(h.Address.Unmap()) }):
			return h, byNetwork
		case slices.ContainsFunc(p.MX, func(pattern string) bool { return below(h.Name, pattern) }):
			return h, byHost
		}
	}
	return Host{}, ""
}

// below reports whether a host name matches a pattern.
func below(name, pattern string) bool {
	if parent, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(name, parent)
	}
	return name == pattern
}

// Locate tells where the mail of a job goes: to these hosts, the best of its
// domain. It gives how many of the job's items may be sent to them now; the
// others go back with Finish. All of a job that has Via may.
func (q *Queue) Locate(j *Job, hosts []Host) int {
	if j.Via != "" {
		return len(j.Items)
	}
	site := q.places.site(j.Domain, hosts)
	if site == "" {
		return len(j.Items)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	was := j.pick.Site
	j.pick = q.shaper.Locate(j.pick, site, q.now())
	j.Source, j.PerConnection = j.pick.Source, j.pick.Rule.PerConnection
	if j.pick.Site == was {
		return len(j.Items)
	}
	q.wake()
	return min(j.pick.Max, len(j.Items))
}

// Provider gives the name of the site where work under a key goes, as far as it
// is known by now; else the domain of the recipients.
func (q *Queue) Provider(k store.Key) string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.shaper.At(k)
}

// Through gives the name of the site where all mail of a sending domain goes,
// whatever its recipients; "": there is none.
func (q *Queue) Through(sending string) string {
	return q.options.Load().Limits.Through(sending)
}
