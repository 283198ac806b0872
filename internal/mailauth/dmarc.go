package mailauth

import (
	"context"
	"errors"
	"slices"
	"strings"

	"homing/internal/dnsx"
)

// A record is what a domain publishes about DMARC.
type record struct {
	verdict               Verdict // Pass: there is one; None; TempError
	policy                string
	strictSPF, strictDKIM bool
}

// discover finds the record of a From domain: its own, else that of its
// organisational domain (RFC 7489 section 6.6.3), which is the registered one by
// the public suffix list.
func (c *Checker) discover(ctx context.Context, domain string) record {
	if domain == "" {
		return record{verdict: None}
	}
	texts, err := c.published(ctx, domain)
	owner := domain
	if org := dnsx.Organisation(domain); len(texts) == 0 && err == nil && org != domain {
		owner = org
		texts, err = c.published(ctx, org)
	}
	switch {
	case err != nil:
		return record{verdict: TempError, strictSPF: true, strictDKIM: true}
	case len(texts) != 1: // of several none counts
		return record{verdict: None}
	}
	return readRecord(texts[0], owner != domain)
}

// published gives the DMARC records at a domain. Its error is temporary.
func (c *Checker) published(ctx context.Context, domain string) ([]string, error) {
	texts, err := c.Resolver.TXT(ctx, "_dmarc."+domain)
	if errors.Is(err, dnsx.ErrTemporary) {
		return nil, err
	}
	return slices.DeleteFunc(texts, func(s string) bool {
		version, _, _ := strings.Cut(s, ";")
		return dense(version) != "v=DMARC1"
	}), nil
}

// policies are the values of p and sp (RFC 7489 section 6.3).
var policies = []string{"none", "quarantine", "reject"}

// readRecord reads a record. A policy that nobody can read is one of "none" where
// reports are asked for, and else the record counts for nothing (RFC 7489 section
// 6.6.3, step 6).
func readRecord(text string, sub bool) record {
	t := tags(text)
	p := strings.ToLower(t["p"])
	sp, hasSub := t["sp"]
	sp = strings.ToLower(sp)
	r := record{verdict: Pass, policy: p, strictSPF: strings.EqualFold(t["aspf"], "s"), strictDKIM: strings.EqualFold(t["adkim"], "s")}
	if sub && hasSub {
		r.policy = sp
	}
	if !slices.Contains(policies, p) || hasSub && !slices.Contains(policies, sp) {
		r.policy = "none"
		if !strings.Contains(strings.ToLower(t["rua"]), "mailto:") {
			return record{verdict: None}
		}
	}
	return r
}
