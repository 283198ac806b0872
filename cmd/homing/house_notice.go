package main

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"homing/config"
	"homing/dnscheck"
	"homing/event"
	"homing/event/notice"
	"homing/hold"
	"homing/internal/dkim"
	"homing/queue"
	"homing/server"
	"homing/server/selfcheck"
	"homing/store"
)

// noticeSink is the name of the sink that mails notices. No name that the
// configuration can give is like it.
const noticeSink = "[notify]"

// notices is what makes notices of a configuration.
func (h *house) notices(cfg *config.Config) notice.Config {
	return notice.Config{Name: noticeSink, Hostname: cfg.Hostname, From: func() string { return h.noticeFrom(cfg) }, To: cfg.Notify.To,
		Submit: func(ctx context.Context, m notice.Mail) error {
			return h.mailOwn(ctx, ownMail{Key: m.Key, From: m.From, To: m.To, Head: m.Head, Body: m.Body})
		}}
}

// wayOut are the checks whose failure says that others may take no mail from
// our own addresses.
var wayOut = []string{"outgoing_port", "blocklist", dnscheck.CheckHELO, dnscheck.CheckPTR, dnscheck.CheckPTRName, dnscheck.CheckPTRHELO}

// noticeFrom is whom notices come from now: the domain says which way they go.
func (h *house) noticeFrom(cfg *config.Config) string {
	stuck := map[string]bool{} // by site; "": the mail hosts of others
	for _, t := range h.queue.Troubles() {
		stuck[t.Site] = stuck[t.Site] || t.Kind == queue.TroubleSmarthost
	}
	stuck[""] = slices.ContainsFunc(h.checker.Last().Findings, func(f selfcheck.Finding) bool {
		return f.Verdict == dnscheck.Fail && slices.Contains(wayOut, f.Check)
	})
	return noticeAuthor(cfg, func(domain string) bool { return stuck[h.queue.Through(domain)] })
}

// noticeAuthor is the usual author of our own mails, unless mail of that domain
// is known to be stuck and that of another one is not: a notice that the way out
// is broken must not take it.
func noticeAuthor(cfg *config.Config, stuck func(domain string) bool) string {
	usual := cmp.Or(authorOf(cfg), "postmaster@"+cfg.Hostname)
	if _, domain, _ := strings.Cut(usual, "@"); !stuck(hold.CanonicalDomain(domain)) {
		return usual
	}
	for _, d := range cfg.Domains {
		if !stuck(d.Name) {
			return "postmaster@" + d.Name
		}
	}
	return usual
}

// wants is event.Config.Wants: notices are about everything.
func (h *house) wants(sink string, e event.Event) bool {
	return sink == noticeSink || h.server.Wants(sink, e)
}

// authorOf is whom mails of the server itself come from: the postmaster, where
// he is in a domain whose mail is signed, else the postmaster of the first such
// domain. "" where there is none.
func authorOf(cfg *config.Config) (from string) {
	_, home, _ := strings.Cut(cfg.Postmaster, "@")
	for _, d := range cfg.Domains {
		switch {
		case len(d.DKIM) == 0:
		case d.Name == hold.CanonicalDomain(home):
			return cfg.Postmaster
		case from == "":
			from = "postmaster@" + d.Name
		}
	}
	return from
}

// An ownMail is a mail of the server itself.
type ownMail struct {
	Key         string // two with one Key are one
	From        string
	To          []string
	Head, Body  []byte
	TLSOptional bool

	// Of a report about a message: what it needs.
	EightBit, UTF8, RequireTLS bool
}

// mailOwn puts a mail of the server itself into its queue, under the null
// reverse-path, signed where the domain of its author has keys. It belongs to
// no application: nobody is told what becomes of it.
func (h *house) mailOwn(ctx context.Context, m ownMail) error {
	policy := h.server.Policy()
	head, err := signed(signerFor(policy, m.From), m)
	if err != nil {
		return err
	}
	body, err := h.store.NewBody(ctx)
	if err != nil {
		return err
	}
	defer body.Discard()
	if _, err := body.Write(m.Body); err != nil {
		return err
	}
	s := queue.Submission{
		Key: m.Key, Message: store.Message{From: m.From, TLSOptional: m.TLSOptional, EightBit: m.EightBit, UTF8: m.UTF8, RequireTLS: m.RequireTLS}, Body: body, Heads: [][]byte{head},
		Capture:    policy.Mode == server.Capture,
		ReturnPath: func(event.DeliveryID, string) string { return "" },
	}
	for _, to := range m.To {
		s.Recipients = append(s.Recipients, queue.Recipient{Address: to, Notify: "NEVER"})
	}
	_, err = h.queue.Submit(ctx, s)
	return err
}

// signed gives the header block of a mail with its signature; nil: it has none.
func signed(signer *dkim.Signer, m ownMail) ([]byte, error) {
	if signer == nil {
		return m.Head, nil
	}
	sum := dkim.NewBodyHash()
	if _, err := sum.Write(m.Body); err != nil {
		return nil, err
	}
	signature, err := signer.Sign(m.Head, sum.Sum())
	return slices.Concat(signature, m.Head), err
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
