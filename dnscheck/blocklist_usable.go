package dnscheck

import (
	"context"
	"net/netip"
	"slices"
)

// A trouble is why a list cannot be used.
type trouble int

const (
	listFine     trouble = iota
	listUseless          // it is known to be
	listDead             // it does not have its test entry
	listSilent           // nothing answers
	listWorldly          // it lists what no list may have
	listRefuses          // it does not answer us, and says so
	listNonsense         // its answers are none of a block list
)

// A health is what the test entries of a list say about it.
type health struct {
	families []Family // that can be asked for
	trouble  trouble  // with the others, or with all
	said     said     // by which it was noticed
}

// testNames gives the names that a list must have, one of them at least, and
// the one that it must not have (RFC 5782 section 5).
func (l *List) testNames(f Family) (must []string, not string) {
	name := func(addr string) string { return reversedAddr(netip.MustParseAddr(addr)) }
	switch f {
	case IPv4:
		return []string{name("127.0.0.2")}, name("127.0.0.1")
	case IPv6:
		must = []string{name("::ffff:7f00:2")}
		// A list is no less alive when it has its test entry for IPv4 alone,
		// and what it says of an IPv6 address is no less true.
		if l.known() && l.has(IPv4) {
			must = append(must, name("127.0.0.2"))
		}
		return must, name("::ffff:7f00:1")
	}
	return append([]string{"test"}, l.Test...), "invalid"
}

// examine asks for the test entries of the families.
func (a *listAsker) examine(ctx context.Context, l *List, families []Family) health {
	if l.Useless != "" {
		return health{trouble: listUseless}
	}
	answers := map[string]*said{}
	for _, f := range families {
		must, not := l.testNames(f)
		for _, name := range append(must, not) {
			answers[name] = new(said)
		}
	}
	var all band
	for name, at := range answers {
		all.do(func() { *at = l.read(a.addrs(ctx, name+"."+l.Zone)) })
	}
	all.wait()

	var h health
	for _, f := range families {
		t, s := l.judge(f, answers)
		if t == listFine {
			h.families = append(h.families, f)
		} else if t > h.trouble {
			h.trouble, h.said = t, s
		}
	}
	if !l.known() && h.trouble > listSilent {
		h.families = nil
	} else if !l.known() && len(h.families) > 0 {
		h.trouble = listFine // nobody knows that the list should have more
	}
	return h
}

// judge says what the test entries of one family show.
func (l *List) judge(f Family, answers map[string]*said) (trouble, said) {
	must, not := l.testNames(f)
	for _, name := range append(slices.Clone(must), not) {
		switch s := *answers[name]; s.stand {
		case isBroken:
			return listNonsense, s
		case isRefused:
			return listRefuses, s
		}
	}
	there := func(stands ...stand) bool {
		return slices.ContainsFunc(must, func(name string) bool { return slices.Contains(stands, answers[name].stand) })
	}
	switch {
	case answers[not].stand == isListed:
		return listWorldly, *answers[not]
	case answers[not].stand == isSilent:
		return listSilent, *answers[not]
	case there(isListed, isNeutral):
		return listFine, said{}
	case there(isSilent):
		return listSilent, said{stand: isSilent}
	}
	return listDead, said{}
}
