package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"homing/config"
	"homing/delivery"
	"homing/delivery/mtasts"
	"homing/delivery/tlsrpt"
	"homing/internal/dnsx"
)

// sendOut makes what takes mail to other servers.
func (h *house) sendOut(ctx context.Context, dns *dnsx.Client) (err error) {
	options := deliveryOptions(h.cfg)
	h.policies, err = mtasts.New(ctx, mtasts.Config{Resolver: dns, Notes: h.store, Log: h.log, Metrics: mtasts.NewMetrics(h.metrics), Allowed: options.Allows})
	if err != nil {
		return fmt.Errorf("reading the MTA-STS policies: %w", err)
	}
	h.reports, err = tlsrpt.New(ctx, tlsrpt.Config{Resolver: dns, Notes: h.store, Log: h.log, Metrics: h.metrics, Allowed: options.Allows, Submit: h.reportTLS})
	if err != nil {
		return fmt.Errorf("reading what was counted of TLS: %w", err)
	}
	h.reports.SetAuthor(reporter(h.cfg))
	options.Reports = h.reports
	h.delivery = delivery.New(delivery.Config{
		Queue: h.queue, Resolver: dns, STS: h.policies, Local: h.server.Inbound, Notes: h.store, Log: h.log, Metrics: delivery.NewMetrics(h.metrics), Options: options,
	})
	return nil
}

// deliveryOptions turns the configuration into how mail leaves.
func deliveryOptions(cfg *config.Config) delivery.Options {
	o := delivery.Options{
		Hostname: cfg.Hostname, Port: uint16(cfg.Delivery.Port), Sources: cfg.Delivery.SourceAddresses, AllowNetworks: cfg.Delivery.AllowNetworks,
		WindowSites: cfg.Delivery.WindowSites, Window: cfg.Delivery.Window,
	}
	o.OwnAddresses, o.OwnPort = ownMX(cfg)
	o.Smarthosts = map[string]*delivery.Smarthost{}
	for _, s := range smarthostsOf(cfg) {
		hop := delivery.Smarthost{Host: s.Address.Host(), Port: uint16(s.Address.Port()), Username: s.Username, Password: s.Password.Reveal()}
		hop.TLS = map[config.TLSPolicy]delivery.Mode{
			config.TLSRequire: delivery.Require, config.TLSOpportunistic: delivery.Opportunistic, config.TLSNone: delivery.None,
		}[s.TLS]
		o.Smarthosts[s.site()] = &hop
	}
	return o
}

// ownMX gives where our own MX listens, so that mail that the DNS would bring
// back to us is seen to be in a loop. A listener for all addresses stands for
// those of every interface.
func ownMX(cfg *config.Config) (addrs []netip.Addr, port uint16) {
	for _, l := range cfg.Listen.SMTP {
		port = uint16(l.Port())
		if ip, err := netip.ParseAddr(l.Host()); err == nil && !ip.IsUnspecified() {
			addrs = append(addrs, ip)
			continue
		}
		addrs = append(addrs, interfaceAddresses()...)
	}
	return append(addrs, cfg.Delivery.PublicAddresses...), port
}

// interfaceAddresses gives the addresses of this machine's interfaces; none
// where the system does not tell, so that names must do.
func interfaceAddresses() (all []netip.Addr) {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range found {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, p.Addr().Unmap())
		}
	}
	return all
}

// setDelivery takes over how mail leaves from a configuration that was read
// again.
func (h *house) setDelivery(cfg *config.Config) {
	options := deliveryOptions(cfg)
	options.Reports = h.reports
	h.reports.SetAuthor(reporter(cfg))
	h.delivery.SetOptions(options)
}
