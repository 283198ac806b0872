package main

import (
	"cmp"
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"homing/config"
	"homing/delivery/dane"
	"homing/dnscheck"
	"homing/hold"
	"homing/internal/dkim"
	"homing/internal/dnsx"
	"homing/internal/publicnet"
	"homing/server"
)

// setupOf says what the configuration means for the DNS. Pinned stays empty:
// see pinned.
func setupOf(cfg *config.Config) (dnscheck.Setup, error) {
	routes := &server.Policy{Routes: routesOf(cfg)}
	s := dnscheck.Setup{Hostname: hold.CanonicalDomain(cfg.Hostname), Addresses: publicAddresses(cfg), Reports: reportAddress(cfg), Reads: routes.ReadsReports}
	s.PolicyHost, s.PolicyMode, s.PolicyMX = policyHost(cfg), string(cfg.TLS.MTASTS), cfg.TLS.MTASTSMX
	for _, c := range cfg.Domains {
		d, err := checkedDomain(cfg, c)
		if err != nil {
			return s, err
		}
		s.Domains = append(s.Domains, d)
		if _, name, ok := strings.Cut(c.ReturnPath, "@"); ok && !slices.Contains(s.Returns, name) {
			s.Returns = append(s.Returns, name)
		}
	}
	for _, r := range cfg.Routes {
		_, name, _ := strings.Cut(r.Address, "@")
		if name = hold.CanonicalDomain(name); !slices.Contains(s.Returns, name) && !slices.Contains(s.Routed, name) {
			s.Routed = append(s.Routed, name)
		}
	}
	return s, nil
}

// policyHost gives where the world finds our policies about TLS: public_url,
// or our own listener for HTTPS where its certificate convinces; "": nowhere.
func policyHost(cfg *config.Config) string {
	if cfg.TLS.MTASTS == config.MTASTSOff {
		return ""
	}
	if u, err := url.Parse(cfg.PublicURL); err == nil && u.Scheme == "https" {
		_, err := netip.ParseAddr(u.Hostname())
		host, other := dnsx.Canonical(u.Hostname())
		if err != nil && other == nil { // an address can have no other name
			return host
		}
	}
	for _, l := range cfg.Listen.HTTPS {
		at, err := netip.ParseAddr(l.Host())
		if near := l.Host() == "localhost" || err == nil && at.IsLoopback(); !near && cfg.TLS.Trusted() {
			return hold.CanonicalDomain(cfg.Hostname)
		}
	}
	return ""
}

func checkedDomain(cfg *config.Config, c config.Domain) (dnscheck.Domain, error) {
	d := dnscheck.Domain{Name: hold.CanonicalDomain(c.Name)}
	if _, name, ok := strings.Cut(c.ReturnPath, "@"); ok && c.VERP == config.Sign {
		d.Return = name
	}
	if hop := cmp.Or(c.Smarthost, cfg.Delivery.Smarthost); hop != nil {
		d.Smarthost, d.Rewrites = hop.Address.Host(), hop.RewritesSender
	}
	for _, k := range c.DKIM {
		key, err := dkim.NewKey(k.Selector, k.Key)
		if err != nil {
			return d, fmt.Errorf("the DKIM key %s of %s: %w", k.KeyFile, c.Name, err)
		}
		record, err := key.Record()
		if err != nil {
			return d, fmt.Errorf("the DKIM key %s of %s: %w", k.KeyFile, c.Name, err)
		}
		published := dnscheck.Key{Selector: strings.ToLower(k.Selector), Record: record}
		if private, ok := k.Key.(*rsa.PrivateKey); ok {
			published.Bits = private.N.BitLen()
		}
		d.Keys = append(d.Keys, published)
	}
	return d, nil
}

// reportNames are what an address for reports may be called, where a catch-all
// takes them at any.
var reportNames = []string{"reports", "dmarc-reports", "tls-and-dmarc-reports"}

// reportAddress gives the address that others are asked to report to: that of
// the first route for reports that names one, else one at which a catch-all for
// reports takes them; "": nobody reads any.
func reportAddress(cfg *config.Config) string {
	for _, r := range cfg.Routes {
		if r.As == config.AsReport && !strings.HasPrefix(r.Address, "*@") {
			return r.Address
		}
	}
	routes := &server.Policy{Routes: routesOf(cfg)}
	for _, r := range cfg.Routes {
		domain, all := strings.CutPrefix(r.Address, "*@")
		if !all || r.As != config.AsReport {
			continue
		}
		for _, name := range reportNames { // what a route of another use has is no place for them
			if routes.ReadsReports(name + "@" + domain) {
				return name + "@" + domain
			}
		}
	}
	return ""
}

// publicAddresses gives the addresses that the world knows this machine by:
// those that the configuration names, else those of its interfaces.
func publicAddresses(cfg *config.Config) []netip.Addr {
	if len(cfg.Delivery.PublicAddresses) > 0 {
		return cfg.Delivery.PublicAddresses
	}
	if public := onlyPublic(cfg.Delivery.SourceAddresses); len(public) > 0 {
		return public
	}
	return onlyPublic(interfaceAddresses())
}

func onlyPublic(all []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(all), func(a netip.Addr) bool { return !publicnet.Address(a) })
}

// pinned gives the TLSA records of our certificate, where there are any at the
// host already, or where force asks for them: those that are there as long as
// one allows the certificate, else one for its key (RFC 7671 section 5.1).
func pinned(ctx context.Context, r dnscheck.Resolver, cfg *config.Config, s dnscheck.Setup, force bool) ([]dnsx.TLSA, error) {
	if cfg.TLS.CertFile == "" {
		if force {
			return nil, errors.New("[tls] names no certificate that a TLSA record could be made of: write cert_file and key_file there")
		}
		return nil, nil
	}
	there, _ := r.TLSA(ctx, dane.Name(s.Hostname)) // what else is asked shows that nobody answers
	if len(there) == 0 && !force {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(cfg.TLS.CertFile, cfg.TLS.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate %s: %w", cfg.TLS.CertFile, err)
	}
	chain, err := chainOf(&pair)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate %s: %w", cfg.TLS.CertFile, err)
	}
	return pinning(there, s, chain), nil
}

// pinning gives the records that are there as long as one allows a certificate,
// else one for its key.
func pinning(there []dnsx.TLSA, s dnscheck.Setup, chain []*x509.Certificate) []dnsx.TLSA {
	if usable := dane.Usable(there); dane.Verify(usable, chain, append([]string{s.Hostname}, s.Returns...), time.Now()) == nil {
		return usable
	}
	sum := sha256.Sum256(chain[0].RawSubjectPublicKeyInfo)
	return []dnsx.TLSA{{Usage: 3, Selector: 1, Matching: 1, Data: sum[:]}}
}
