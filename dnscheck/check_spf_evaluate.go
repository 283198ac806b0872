package dnscheck

import (
	"context"
	"net/netip"

	"blitiri.com.ar/go/spf"

	"homing/internal/dnsx"
)

// An envelope is what SPF judges (RFC 7208 section 4.1).
type envelope struct {
	from   netip.Addr // that the mail comes from
	helo   string
	sender string // of the envelope; "": it is empty, and the name in HELO counts
}

// evaluate judges an envelope (RFC 7208 section 4) with the limits of its
// section 4.6.4. The error says why, also of a pass.
func evaluate(ctx context.Context, r Resolver, e envelope, limits ...spf.Option) (spf.Result, error) {
	options := append([]spf.Option{spf.WithContext(ctx), spf.WithResolver(dnsx.Net{Resolver: r})}, limits...)
	return spf.CheckHostWithSender(e.from.AsSlice(), e.helo, e.sender, options...)
}
