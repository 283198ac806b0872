package main

import (
	"slices"
	"strings"

	"homing/config"
	"homing/hold"
	"homing/server/reports"
)

// reportedNames says what is ours in the reports of others.
func reportedNames(cfg *config.Config) reports.Names {
	n := reports.Names{Hostname: cfg.Hostname, Address: reportAddress(cfg), Keep: cfg.Retention.Events, Selectors: map[string][]string{}}
	for _, d := range cfg.Domains {
		name := hold.CanonicalDomain(d.Name)
		n.Senders = append(n.Senders, name)
		if _, returns, ok := strings.Cut(d.ReturnPath, "@"); ok {
			n.Others = append(n.Others, hold.CanonicalDomain(returns))
		}
		for _, k := range d.DKIM {
			n.Selectors[name] = append(n.Selectors[name], strings.ToLower(k.Selector))
		}
	}
	for _, r := range cfg.Routes {
		_, domain, _ := strings.Cut(r.Address, "@")
		n.Others = append(n.Others, hold.CanonicalDomain(domain))
	}
	listens, _ := ownMX(cfg)
	n.Addresses = slices.Concat(cfg.Delivery.SourceAddresses, listens)
	return n
}
