package delivery

import (
	"crypto/x509"
	"errors"
	"net"
	"net/netip"

	"homing/delivery/dane"
	"homing/delivery/mtasts"
	"homing/delivery/tlsrpt"
	"homing/event"
	"homing/internal/reply"
)

// Reports count how TLS with mail hosts went. *tlsrpt.Collector is one.
type Reports interface {
	Add(s tlsrpt.Session)
}

// report counts how TLS with a host went: as it should, where the failure has
// no type. Mail that does not care for TLS counts for nothing (RFC 8460
// section 3), nor do connections that the operator chose.
func (o *Options) report(t *terms, host string, f tlsrpt.Failure) {
	if o.Reports == nil || t == nil || t.silent {
		return
	}
	s := tlsrpt.Session{Domain: t.domain, Policy: t.reported()}
	if f.Type != "" {
		f.MX = host
		s.Failure = &f
	}
	o.Reports.Add(s)
}

// reported is the policy of a host as reports name it.
func (t *terms) reported() tlsrpt.Policy {
	switch {
	case len(t.published) > 0 || t.unknown:
		return tlsrpt.Policy{Kind: tlsrpt.TLSA, Domain: t.base, Lines: dane.Lines(t.published)}
	case t.sts.Mode == mtasts.Enforce || t.sts.Mode == mtasts.Testing:
		return tlsrpt.Policy{Kind: tlsrpt.STS, Domain: t.domain, Lines: t.sts.Lines()}
	case t.sts.Err != nil:
		return tlsrpt.Policy{Kind: tlsrpt.STS, Domain: t.domain}
	}
	return tlsrpt.Policy{Kind: tlsrpt.NoPolicy, Domain: t.domain}
}

// account counts a session that has begun or has failed to. Failures that are
// not of TLS are none of its business.
func (d *Delivery) account(o *Options, s *session, f *failure) {
	if s.terms == nil || o.Reports == nil || f != nil && (f.Stage != reply.STARTTLS || f.Reply.Enhanced[1] == 4) {
		return
	}
	failed := tlsrpt.Failure{Local: s.local, Remote: s.at.Addr()}
	switch t := s.terms; {
	case f != nil && f.Cause != nil:
		failed.Type, failed.Reason = resultOf(f.Cause)
	case f != nil || s.TLS() == nil:
		failed.Type = tlsrpt.StartTLSNotSupported
	case s.proof.by == event.VerifiedNone:
		failed.Type = tlsrpt.TLSAInvalid
	case s.proof.by == "" && t.sts.Mode == mtasts.Testing && !t.sts.Match(s.name):
		failed.Type, failed.Reason = tlsrpt.ValidationFailure, unlisted
	case s.proof.by == "" && t.sts.Mode == mtasts.Testing:
		failed.Type, failed.Reason = resultOf(d.pkix(*s.TLS(), s.name))
	case s.proof.by != event.VerifiedDANE:
		failed.Type, failed.Reason = resultOf(t.sts.Err)
	}
	o.report(s.terms, s.name, failed)
}

// unlisted is why a host may not be used that the policy does not list.
const unlisted = "mx-mismatch"

// resultOf says what an error means in the words of RFC 8460 section 4.3.
func resultOf(err error) (tlsrpt.ResultType, string) {
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var authority x509.UnknownAuthorityError
	switch {
	case err == nil:
		return "", ""
	case errors.Is(err, mtasts.ErrCertificate):
		return tlsrpt.STSWebPKIInvalid, ""
	case errors.Is(err, mtasts.ErrInvalid):
		return tlsrpt.STSInvalid, ""
	case errors.Is(err, mtasts.ErrFetch):
		return tlsrpt.STSFetchError, ""
	case errors.As(err, &name):
		return tlsrpt.CertHostMismatch, ""
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return tlsrpt.CertExpired, ""
	case errors.As(err, &authority):
		return tlsrpt.CertNotTrusted, ""
	case errors.Is(err, dane.ErrMismatch): // and no chain that could be wrong
		return tlsrpt.ValidationFailure, "tlsa-mismatch"
	}
	return tlsrpt.ValidationFailure, err.Error()
}

// addrOf gives the IP address of an end of a connection; the zero one where it
// has none.
func addrOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
