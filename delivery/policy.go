package delivery

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"homing/delivery/dane"
	"homing/delivery/mtasts"
	"homing/delivery/tlsrpt"
	"homing/event"
	"homing/internal/dnsx"
	"homing/internal/reply"
	"homing/queue"
)

// A proof is what a host must prove before mail goes there. Being a part of
// the policy of a connection, it says everything that was checked.
type proof struct {
	by     string // event.VerifiedDANE or VerifiedMTASTS; VerifiedNone: TLS with anybody; "": TLS is not needed
	host   string // by which name it is asked for its certificate; "": by its own
	domain string // whose mail it takes, where that name counts too
	tlsa   string // the records

	required bool // it must also offer REQUIRETLS
}

// Terms are what holds for a host, and where that comes from.
type terms struct {
	domain  string // whose mail it is
	policy  policy
	records []dnsx.TLSA // that the certificate is checked against
	base    string      // the name that they are under: the host's, or what it is an alias of

	// For reports:
	published []dnsx.TLSA // all that there are, where they decide
	unknown   bool        // there may be records, but they cannot be had
	sts       mtasts.Found
	silent    bool // nothing is reported
}

// Allows reports whether a server that strangers name, such as the host of a
// policy, may be connected to: where mail may go too.
func (o Options) Allows(a netip.Addr) bool { return o.allowed(a) }

// routeWithPolicy is routeTo together with the MTA-STS policy of a domain. Who
// has no MX is not asked for one to the end.
func (w *worker) routeWithPolicy(domain string) (*route, *queue.Result) {
	if w.STS == nil || strings.HasPrefix(domain, "[") {
		return routeTo(w.begin, w.Resolver, w.o, domain)
	}
	ctx, cancel := context.WithCancel(w.begin)
	defer cancel()
	var found mtasts.Found
	var finding sync.WaitGroup
	finding.Go(func() { found = w.STS.Find(ctx, domain) })
	r, failed := routeTo(w.begin, w.Resolver, w.o, domain)
	if failed != nil {
		cancel()
	}
	finding.Wait()
	if r != nil {
		r.sts = found
	}
	return r, failed
}

// onTerms gives the hops to a host with the policy that is due to it; none
// where it may not be used.
func (r *route) onTerms(ctx context.Context, host string, hops []hop) []hop {
	if r.direct && r.needs != requireTLS || len(hops) == 0 {
		return hops
	}
	t, why := r.termsOf(ctx, host)
	if why != nil {
		r.note(why)
		switch {
		case t.unknown:
			r.o.report(t, host, tlsrpt.Failure{Type: tlsrpt.DNSSECInvalid})
		case r.sts.Mode == mtasts.Enforce && !r.sts.Match(host):
			r.o.report(t, host, tlsrpt.Failure{Type: tlsrpt.ValidationFailure, Reason: unlisted})
		}
		return nil
	}
	for i := range hops {
		hops[i].policy, hops[i].terms = t.policy, t
	}
	return hops
}

// termsOf decides how a connection to a mail host must be secured. DANE goes
// before MTA-STS (RFC 8461 section 2), unless no record can be used: TLS with
// anybody is no reason to forget a policy that asks for more. What forbids to
// use the host is always temporary, because it is nobody's fault who gets mail
// there.
func (r *route) termsOf(ctx context.Context, host string) (*terms, *queue.Result) {
	t := &terms{domain: r.domain, policy: r.policy, sts: r.sts, silent: r.direct || strings.HasPrefix(r.domain, "[")}
	if r.needs == tlsOptional {
		t.silent = true
		return t, nil
	}
	base, records, err := r.tlsa(ctx, host)
	t.base = base
	usable := dane.Usable(records)
	switch {
	case err != nil:
		t.unknown = true
		why := ours(reply.Resolve, 451, reply.Enhanced{4, 7, 5}, "the TLSA records of %s, which is in a signed zone, cannot be had", host)
		why.Cause = err
		return t, why
	case len(usable) > 0 || len(records) > 0 && r.sts.Mode != mtasts.Enforce:
		t.published = records
		t.byDANE(usable)
	case r.sts.Mode == mtasts.Enforce && !r.sts.Match(host):
		return t, ours(reply.Resolve, 451, reply.Enhanced{4, 7, 5}, "%s is not a mail host by the MTA-STS policy of %s", host, r.domain)
	case r.sts.Mode == mtasts.Enforce:
		t.policy.mode, t.policy.proof = Require, proof{by: event.VerifiedMTASTS, host: host}
	}
	if r.needs == requireTLS {
		return t, r.require(t, host)
	}
	return t, nil
}

// tlsa gives the TLSA records of a host that DNSSEC vouches for, from the name
// of the host on, and the name that they are under (RFC 7672 section 2.2). An
// error means that there may be some: without them the host must not be used.
func (r *route) tlsa(ctx context.Context, host string) (base string, records []dnsx.TLSA, err error) {
	if !r.signed || r.direct {
		return host, nil, nil
	}
	bases, err := r.dns.Bases(ctx, host)
	if err != nil {
		return host, nil, err // its addresses have just been there: they may come back
	}
	for _, base := range bases {
		records, err := r.dns.TLSA(ctx, dane.Name(base))
		switch {
		case errors.Is(err, dnsx.ErrNoName) || errors.Is(err, dnsx.ErrNoData):
		case err != nil:
			return base, nil, err
		case records[0].Authentic:
			return base, records, nil
		}
	}
	return host, nil, nil
}

// byDANE asks for what TLSA records ask for: one of the usable ones, or where
// there is none, for TLS with anybody (RFC 7672 section 2.2).
func (t *terms) byDANE(usable []dnsx.TLSA) {
	t.policy.mode, t.records = Require, usable
	t.policy.proof = proof{by: event.VerifiedDANE, host: t.base, tlsa: strings.Join(dane.Lines(usable), "\n")}
	switch {
	case len(usable) == 0:
		t.policy.proof = proof{by: event.VerifiedNone}
	case dane.Names(usable):
		t.policy.proof.domain = t.domain
	}
}

// proving adds to the configuration of TLS what a host must prove. TLS 1.2 is
// the least that both RFC 8461 section 4 and good practice allow.
func (d *Delivery) proving(h hop, c *tls.Config) *tls.Config {
	c.ServerName, c.MinVersion = cmp.Or(h.proof.host, h.name), tls.VersionTLS12
	c.InsecureSkipVerify = true // VerifyConnection does, also for sessions that are resumed
	c.ClientSessionCache = d.sessions
	c.VerifyConnection = func(s tls.ConnectionState) error {
		switch h.proof.by {
		case event.VerifiedDANE:
			return dane.Verify(h.terms.records, s.PeerCertificates, []string{h.proof.host, h.terms.domain}, time.Now())
		case event.VerifiedMTASTS, event.VerifiedPKIX:
			return d.pkix(s, h.proof.host)
		}
		return nil
	}
	return c
}

// pkix checks that a certificate is for a host and comes from somebody whom we
// trust.
func (d *Delivery) pkix(s tls.ConnectionState, host string) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("it has shown no certificate")
	}
	o := x509.VerifyOptions{DNSName: host, Roots: d.Roots, Intermediates: x509.NewCertPool(), CurrentTime: time.Now()}
	for _, c := range s.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(o)
	return err
}

// secured says how a session is secured. What nobody asked a host to prove, it
// may prove all the same.
func (d *Delivery) secured(s *session) event.TLS {
	state := s.TLS()
	if state == nil {
		return event.TLS{}
	}
	shown := event.TLS{Version: strings.ReplaceAll(tls.VersionName(state.Version), " ", ""),
		Cipher: tls.CipherSuiteName(state.CipherSuite), Verified: event.VerifiedNone}
	switch {
	case s.proof.by != "":
		shown.Verified = s.proof.by
	case s.mode == Require || d.pkix(*state, s.name) == nil:
		shown.Verified = event.VerifiedPKIX
	}
	return shown
}

// shownFor says how a session is secured for a hop with another name: a
// certificate that nobody asked for may not be for that one.
func (s *session) shownFor(h hop) event.TLS {
	shown := s.shown
	if shown.Verified == event.VerifiedPKIX && h.name != s.name && s.TLS().PeerCertificates[0].VerifyHostname(h.name) != nil {
		shown.Verified = event.VerifiedNone
	}
	return shown
}

// owed makes a failure of TLS that a policy of the domain asks for temporary
// and our own: neither may the person suffer for it, nor is it a matter of the
// network.
func (s *session) owed(f *failure) *failure {
	if s.proof.by == "" || f.Stage != reply.STARTTLS || f.Ours && f.Reply.Enhanced[1] == 4 {
		return f
	}
	text := f.Reply.Text
	if !f.Ours {
		text = fmt.Sprintf("%s refuses to begin TLS: %s", s.hop, f.Reply)
	}
	asks := "TLSA records of the host ask"
	switch s.proof.by {
	case event.VerifiedMTASTS:
		asks = "the MTA-STS policy of " + s.terms.domain + " asks"
	case event.VerifiedPKIX:
		asks = "the message asks"
	}
	out := ours(reply.STARTTLS, 451, reply.Enhanced{4, 7, 5}, "%s (%s for TLS)", text, asks)
	out.Cause = f.Cause
	return &failure{Result: *out, noTLS: true}
}
