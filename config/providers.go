package config

import (
	_ "embed"
	"net/netip"
	"reflect"
	"slices"
	"strings"
)

//go:embed providers.toml
var providersFile string

// ProvidersFile is what ships about large receivers, in the form of homing.toml.
func ProvidersFile() string { return providersFile }

// DefaultProvider is the name of the limits of sites that have none of their
// own.
const DefaultProvider = "default"

// A Provider is a receiver with limits of its own, for each source address. One
// in the file replaces key by key what ships under its name.
type Provider struct {
	Name                  string         `toml:"name"`
	MX                    []string       `toml:"mx"`       // names of mail hosts; "*.example.net" is every name below
	Networks              []netip.Prefix `toml:"networks"` // addresses of mail hosts
	Domains               []string       `toml:"domains"`  // of recipients
	Connections           int            `toml:"connections"`
	MessagesPerConnection int            `toml:"messages_per_connection"` // 0: no limit
	Rate                  Rate           `toml:"rate"`                    // messages; zero: no limit
}

// shipped gives the providers that ship, and what is wrong with them: nothing,
// as a test makes sure.
func shipped() ([]Provider, Problems) {
	tree, problem := parseTree([]byte(providersFile))
	if problem != nil {
		return nil, Problems{*problem}
	}
	var c Config
	f := newFindings()
	d := decoder{findings: f}
	d.note(tree, "")
	d.decode(tree, "", reflect.ValueOf(&c).Elem(), "")
	check := checker{findings: f, c: &c}
	for i := range c.Delivery.Providers {
		check.provider(&c.Delivery.Providers[i], at("delivery", "provider", i))
	}
	return c.Delivery.Providers, f.sorted()
}

// Origin says where the limits of a provider stand, for people.
func (p Provider) Origin() string {
	all, _ := shipped()
	i := slices.IndexFunc(all, func(s Provider) bool { return s.Name == p.Name })
	if i < 0 {
		return "the configuration ([[delivery.provider]])"
	}
	s := all[i]
	if s.Connections == 0 {
		s.Connections = p.Connections // of the default, whosever that is
	}
	if !reflect.DeepEqual(s, p) {
		return "what ships with Homing, changed by the configuration ([[delivery.provider]])"
	}
	return "what ships with Homing"
}

// mostConnections is how many dialogues with one receiver make sense.
const mostConnections = 1000

// providers checks what the file says and lays it over what ships. Those of the
// file come first: the operator knows better whose a host is.
func (c *checker) providers() {
	all, _ := shipped()
	var own []Provider
	for i := range c.c.Delivery.Providers {
		p, path := &c.c.Delivery.Providers[i], at("delivery", "provider", i)
		if slices.ContainsFunc(own, func(other Provider) bool { return other.Name == p.Name }) {
			c.errorf(path+".name", "%q stands above; put everything about it into one", p.Name)
		}
		c.provider(p, path)
		if n := slices.IndexFunc(all, func(s Provider) bool { return s.Name == p.Name }); n >= 0 {
			c.over(p, all[n], path)
			all = slices.Delete(all, n, n+1)
		} else if len(p.MX)+len(p.Networks)+len(p.Domains) == 0 && p.Name != "" {
			c.errorf(path+".name", `nothing says whose mail %q is; write mx = ["*.example.net"], networks or domains, or the name of one that ships`, p.Name)
		}
		own = append(own, *p)
	}
	all = append(own, all...)
	rest := all[slices.IndexFunc(all, isDefault)]
	for i := range all {
		if all[i].Connections == 0 {
			all[i].Connections = rest.Connections
		}
	}
	c.c.Delivery.Providers = all
}

func isDefault(p Provider) bool { return p.Name == DefaultProvider }

func (c *checker) provider(p *Provider, path string) {
	c.siteName(p, path+".name")
	for i, pattern := range p.MX {
		name, err := domainName(strings.TrimPrefix(pattern, "*."))
		if err != nil {
			c.errorf(at(path, "mx", i), `%q is no name of a mail host; write "mx.example.net", or "*.example.net" for every name below`, pattern)
			continue
		}
		p.MX[i] = pattern[:len(pattern)-len(strings.TrimPrefix(pattern, "*."))] + name
	}
	for i, d := range p.Domains {
		name, err := domainName(d)
		if err != nil {
			c.errorf(at(path, "domains", i), `%v; write the domain of recipients, like "example.net"`, err)
			continue
		}
		p.Domains[i] = name
	}
	if c.has(path+".connections") && (p.Connections < 1 || p.Connections > mostConnections) {
		c.errorf(path+".connections", "%d is not possible; write a number from 1 to %d", p.Connections, mostConnections)
	}
	if p.Name == DefaultProvider && len(p.MX)+len(p.Networks)+len(p.Domains) > 0 {
		c.errorf(path+".name", `%q is for all that have no entry, so it has no mx, networks and domains; write another name`, p.Name)
	}
}

// siteName checks a name that stands in commands and metrics.
func (c *checker) siteName(p *Provider, path string) {
	switch {
	case p.Name == "":
		c.errorf(path, `is missing; write a name, like name = "google"`)
	case strings.Trim(p.Name, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" || len(p.Name) > 64:
		c.errorf(path, `%q is no name; use at most 64 lower-case letters, digits, "." and "-"`, p.Name)
	}
}

// over fills what a provider of the file leaves out with what ships.
func (c *checker) over(p *Provider, s Provider, path string) {
	if !c.has(path + ".mx") {
		p.MX = s.MX
	}
	if !c.has(path + ".networks") {
		p.Networks = s.Networks
	}
	if !c.has(path + ".domains") {
		p.Domains = s.Domains
	}
	if !c.has(path + ".connections") {
		p.Connections = s.Connections
	}
	if !c.has(path + ".messages_per_connection") {
		p.MessagesPerConnection = s.MessagesPerConnection
	}
	if !c.has(path + ".rate") {
		p.Rate = s.Rate
	}
}
