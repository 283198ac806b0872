package main

import (
	"context"
	"slices"
	"strings"

	"homing/config"
	"homing/delivery/tlsrpt"
	"homing/event"
	"homing/hold"
	"homing/internal/dkim"
	"homing/queue"
	"homing/server"
	"homing/store"
)

// reporter is who reports about TLS: the postmaster, where he is in a domain of
// ours, else the postmaster of the first domain whose mail is signed. The zero
// Author, where the configuration wants no reports.
func reporter(cfg *config.Config) tlsrpt.Author {
	if !cfg.Delivery.TLSReports {
		return tlsrpt.Author{}
	}
	a := tlsrpt.Author{Organization: cfg.Hostname, Contact: cfg.Postmaster, Submitter: cfg.Hostname, From: "postmaster@" + cfg.Hostname}
	if i := slices.IndexFunc(cfg.Domains, func(d config.Domain) bool { return len(d.DKIM) > 0 }); i >= 0 {
		a.From = "postmaster@" + cfg.Domains[i].Name
	}
	_, domain, _ := strings.Cut(cfg.Postmaster, "@")
	if slices.ContainsFunc(cfg.Domains, func(d config.Domain) bool { return d.Name == domain }) {
		a.From = cfg.Postmaster
	}
	if a.Contact == "" {
		a.Contact = a.From
	}
	return a
}

// signerFor gives the keys of the domain that an address is in; nil: none.
func signerFor(p *server.Policy, address string) *dkim.Signer {
	_, domain, _ := strings.Cut(address, "@")
	for _, d := range p.Domains {
		if d.Name == hold.CanonicalDomain(domain) {
			return d.Signer
		}
	}
	return nil
}

// reportTLS puts a report about TLS into our own queue, signed where its
// author's domain has keys, as receivers ask for (RFC 8460 section 3). Nobody
// is told what becomes of it.
func (h *house) reportTLS(ctx context.Context, m tlsrpt.Mail) error {
	policy := h.server.Policy()
	head := m.Head
	if signer := signerFor(policy, m.From); signer != nil {
		sum := dkim.NewBodyHash()
		if _, err := sum.Write(m.Body); err != nil {
			return err
		}
		signature, err := signer.Sign(m.Head, sum.Sum())
		if err != nil {
			return err
		}
		head = slices.Concat(signature, m.Head)
	}
	body, err := h.store.NewBody(ctx)
	if err != nil {
		return err
	}
	defer body.Discard()
	if _, err := body.Write(m.Body); err != nil {
		return err
	}
	_, err = h.queue.Submit(ctx, queue.Submission{
		Key: m.Key, Message: store.Message{From: m.From, TLSOptional: true}, Body: body, Heads: [][]byte{head},
		Recipients: []queue.Recipient{{Address: m.To, Notify: "NEVER"}},
		Capture:    policy.Mode == server.Capture,
		ReturnPath: func(event.DeliveryID, string) string { return "" },
	})
	return err
}
