package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"

	"homing/internal/mailauth"
	"homing/internal/reply"
)

// An Authenticator says who mail is from. *mailauth.Checker is one.
type Authenticator interface {
	Check(ctx context.Context, m mailauth.Mail) mailauth.Result
}

// errUnproven answers mail of which it cannot be found out now who it is from.
var errUnproven = reply.Errorf(451, reply.Enhanced{4, 7, 0}, "the DNS does not say now who this mail is from: try again later")

// filed reports whether mail to the destination becomes an activity, for which
// it matters who it is from.
func (d destination) filed() bool { return d.route != nil && d.route.As == RouteActivity }

// authenticate says who a letter is from. The DNS is asked once for a letter,
// and only where the answer matters.
func (in *Inbound) authenticate(ctx context.Context, l *letter) mailauth.Result {
	if l.origin != nil {
		return *l.origin
	}
	var r mailauth.Result
	if in.origins != nil {
		r = in.origins.Check(ctx, mailauth.Mail{Remote: l.remote, HELO: l.hello, ReversePath: l.from, Own: l.local,
			Content: io.NewSectionReader(l.raw, l.own, l.raw.Size()-l.own), Size: l.raw.Size() - l.own})
	}
	l.origin = &r
	in.metrics.authenticated.WithLabelValues(originLabel(r)).Inc()
	in.log.Info("mail authenticated", "from", l.from, "spf", r.SPF, "dmarc", r.DMARC, "author", r.FromDomain, "proven", r.Passed())
	return r
}

// originLabel is what metrics call a result.
func originLabel(r mailauth.Result) string {
	switch {
	case r.Passed() && r.DMARC != mailauth.Pass:
		return "aligned"
	case r.DMARC == "":
		return string(mailauth.None)
	}
	return string(r.DMARC)
}

// attest authenticates a letter and has its kept copy say the result: our
// Authentication-Results field stands in it, and none that somebody else wrote
// in our name (RFC 8601 section 5). Its error is errUnproven where the DNS has to
// be asked again, or that the copy cannot be kept. A letter whose domain does not
// answer for long comes through with a Result that is Temporary. A second call is free.
func (in *Inbound) attest(ctx context.Context, l *letter) error {
	r := in.authenticate(ctx, l)
	switch {
	case l.attested:
		return nil
	case r.Temporary() && !in.postponed.enough(l, in.now()):
		return errUnproven
	}
	draft, err := in.store.NewBody(ctx)
	if err != nil {
		return fmt.Errorf("keeping mail: %w", err)
	}
	host := in.policy.Load().Hostname
	own, err := stamp(draft, l, r.Field(host), host)
	if err != nil {
		draft.Discard()
		return fmt.Errorf("keeping mail: %w", err)
	}
	l.raw.Discard()
	l.raw, l.own, l.attested = draft, own, true
	return nil
}

// stamp writes a letter with our field among what this hop adds, and says how
// much that is. Return-Path stays on top, as the last hop's.
func stamp(w io.Writer, l *letter, field, host string) (own int64, err error) {
	top := int64(len(returnPathField(l.from)))
	if _, err := io.Copy(w, io.NewSectionReader(l.raw, 0, top)); err != nil {
		return 0, err
	}
	if _, err := io.WriteString(w, field); err != nil {
		return 0, err
	}
	if _, err := io.Copy(w, io.NewSectionReader(l.raw, top, l.own-top)); err != nil {
		return 0, err
	}
	size := l.raw.Size() - l.own
	return l.own + int64(len(field)), mailauth.Copy(w, io.NewSectionReader(l.raw, l.own, size), size, host)
}

// attestFirst does so before anything is done with a letter that comes again as
// a whole for one answer. Reports wait for nothing: they may be about a delivery.
func (in *Inbound) attestFirst(ctx context.Context, l *letter, to []destination) error {
	if in.each || isReport(l.report.Kind) || !slices.ContainsFunc(to, destination.filed) {
		return nil
	}
	return in.attest(ctx, l)
}

// remoteOf gives the address of a peer on the network.
func remoteOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
