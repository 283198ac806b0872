package reports

import (
	"net/netip"
	"slices"
	"strings"

	"homing/internal/aggregate"
	"homing/internal/dnsx"
)

// names are Names, ready to be asked.
type names struct {
	Names
	domains map[string]bool // ours, and their organisational domains
	host    []netip.Addr    // of the host name, as the world has it
}

func namesOf(n Names) names {
	all := names{Names: n, domains: map[string]bool{}}
	for _, d := range slices.Concat(n.Senders, n.Others) {
		all.domains[d] = true
		all.domains[dnsx.Organisation(d)] = true // its policy counts where d has none
	}
	return all
}

// of gives the domain of ours that a report about a domain counts for: itself,
// or the nearest one above it. So no report can make up a name.
func (n *names) of(domain string) (string, bool) {
	for name := domain; name != ""; {
		if n.domains[name] {
			return name, true
		}
		_, name, _ = strings.Cut(name, ".")
	}
	return "", false
}

// sends reports whether an address is one of ours.
func (n *names) sends(a netip.Addr) bool {
	return slices.Contains(n.Addresses, a) || slices.Contains(n.host, a)
}

// signed reports whether messages carry a signature of one of our keys that
// holds.
func (n *names) signed(r *aggregate.Row) bool {
	return slices.ContainsFunc(r.Signatures, func(s aggregate.Result) bool {
		return s.Pass && s.Selector != "" && slices.Contains(n.Selectors[s.Domain], s.Selector)
	})
}
