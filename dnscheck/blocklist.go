package dnscheck

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"homing/internal/dnsx"
	"homing/internal/publicnet"
)

// The checks of Blocklists.
const (
	checkListed = "blocklist"
	checkList   = "blocklist_usable"
)

// Blocklists asks lists for each public address that we send from and for each
// domain that receivers see, and takes at most eight seconds for it.
//
// Check "blocklist" has a finding for each listing, each question that a list
// did not answer ("93.184.215.14 zen.spamhaus.org"), and each address and
// domain, about all other lists together. Check "blocklist_usable" has one for
// each list that cannot be used, by its test entries (RFC 5782 section 5), or
// one for all of them. So no news of a listing is good news only while the
// second check says nothing of that list.
func Blocklists(ctx context.Context, r Resolver, s Setup, lists []List) []Finding {
	if len(lists) == 0 {
		return []Finding{{Check: checkListed, Subject: "all lists", Verdict: Skipped, Found: "check.blocklists names none"}}
	}
	ctx, cancel := context.WithTimeout(ctx, listsPatience)
	defer cancel()
	subjects, findings := listSubjects(s)
	asker := &listAsker{r: r, slots: make(chan struct{}, listQuestions)}
	results := make([]listResult, len(lists))
	var all band
	for i := range lists {
		all.do(func() { results[i] = asker.ask(ctx, &lists[i], subjects) })
	}
	all.wait()
	relayed := len(s.Domains) > 0 && !slices.ContainsFunc(s.Domains, func(d Domain) bool { return d.Smarthost == "" })
	findings = append(findings, unusable(results)...)
	return append(findings, sightings(results, relayed)...)
}

// A listSubject is one address or domain of ours.
type listSubject struct {
	name   string // for people
	family Family
	addr   netip.Addr // of an address
}

// beneath gives the name of a subject under the zone of a list.
func (s listSubject) beneath(l *List) string {
	if s.family == DomainNames {
		return s.name + "." + l.Zone
	}
	return reversedAddr(s.addr) + "." + l.Zone
}

// listSubjects gives what lists may have of us, and findings about what they
// cannot have.
func listSubjects(s Setup) (subjects []listSubject, findings []Finding) {
	add := func(subject listSubject) {
		if !slices.Contains(subjects, subject) {
			subjects = append(subjects, subject)
		}
	}
	for _, addr := range s.Addresses {
		addr = addr.Unmap()
		family := IPv6
		if addr.Is4() {
			family = IPv4
		}
		if publicnet.Address(addr) {
			add(listSubject{name: addr.String(), family: family, addr: addr})
			continue
		}
		findings = append(findings, Finding{
			Check: checkListed, Subject: addr.String(), Verdict: Skipped,
			Found: "it is no public address, so that no list has it",
			Fix:   "Write the address that the world sees into homing.toml, and restart Homing:\n\n[delivery]\npublic_addresses = [\"ADDRESS\"]",
		})
	}
	names := []string{s.Hostname}
	for _, d := range s.Domains {
		names = append(names, d.Name, d.Return)
	}
	for _, name := range append(names, s.Returns...) {
		if strings.Contains(name, ".") {
			add(listSubject{name: name, family: DomainNames})
		}
	}
	return subjects, findings
}

// A listResult is what came of one list.
type listResult struct {
	list   *List
	mine   []listSubject // that it may have
	health health
	seen   []sighting // of those that it was asked for
}

// A sighting is what a list says of one subject.
type sighting struct {
	subject listSubject
	said    said
	reason  string // the list's own words
}

// ask has a list say what it has of the subjects, if it can be used.
func (a *listAsker) ask(ctx context.Context, l *List, subjects []listSubject) listResult {
	result := listResult{list: l, mine: l.pick(subjects)}
	if len(result.mine) == 0 && l.Useless == "" {
		return result
	}
	// What an unknown list has is what it has test entries for.
	families := slices.DeleteFunc(slices.Clone(l.Asks), func(f Family) bool {
		return l.known() && !slices.ContainsFunc(result.mine, func(s listSubject) bool { return s.family == f })
	})
	result.health = a.examine(ctx, l, families)
	for _, s := range result.mine {
		if slices.Contains(result.health.families, s.family) {
			result.seen = append(result.seen, sighting{subject: s})
		}
	}
	var all band
	for i := range result.seen {
		all.do(func() { a.see(ctx, l, &result.seen[i]) })
	}
	all.wait()
	return result
}

// see asks for one subject, and for the reason where it is listed.
func (a *listAsker) see(ctx context.Context, l *List, s *sighting) {
	name := s.subject.beneath(l)
	s.said = l.read(a.addrs(ctx, name))
	if s.said.stand == isListed {
		s.reason = a.reason(ctx, name)
	}
}

// pick gives the subjects that a list may have, as it has them.
func (l *List) pick(subjects []listSubject) (mine []listSubject) {
	for _, s := range subjects {
		if s.family == DomainNames && l.Registered {
			s.name = dnsx.Organisation(s.name)
		}
		if l.has(s.family) && !slices.Contains(mine, s) {
			mine = append(mine, s)
		}
	}
	return mine
}
