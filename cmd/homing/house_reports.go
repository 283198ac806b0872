package main

import (
	"cmp"
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

// reporter is who reports about TLS: the postmaster, where he is in a domain
// whose mail is signed, else the postmaster of the first such domain. Where
// there is none, nothing goes by mail: receivers ignore a report without a
// signature (RFC 8460 section 3). The zero Author, where the configuration
// wants no reports.
func reporter(cfg *config.Config) tlsrpt.Author {
	if !cfg.Delivery.TLSReports {
		return tlsrpt.Author{}
	}
	a := tlsrpt.Author{Organization: cfg.Hostname, Contact: cfg.Postmaster, Submitter: cfg.Hostname}
	_, home, _ := strings.Cut(cfg.Postmaster, "@")
	for _, d := range cfg.Domains {
		switch {
		case len(d.DKIM) == 0:
		case d.Name == hold.CanonicalDomain(home):
			a.From = cfg.Postmaster
		case a.From == "":
			a.From = "postmaster@" + d.Name
		}
	}
	if a.Contact == "" {
		a.Contact = cmp.Or(a.From, "postmaster@"+cfg.Hostname)
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

// reportTLS puts a report about TLS into our own queue, signed for the domain
// of its author. Nobody is told what becomes of it.
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
