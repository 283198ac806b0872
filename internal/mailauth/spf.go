package mailauth

import (
	"context"
	"strings"

	"blitiri.com.ar/go/spf"

	"homing/internal/dnsx"
	"homing/internal/message"
)

// spf evaluates SPF for the domain of the reverse-path, or for the name in HELO
// where that is null (RFC 7208 section 2.4), within the limits of its section
// 4.6.4.
func (c *Checker) spf(ctx context.Context, m Mail) (v Verdict, domain string, helo bool) {
	local, domain := "postmaster", canonical(m.HELO)
	if helo = m.ReversePath == ""; !helo {
		var ok bool
		if local, domain, ok = message.SplitAddress(m.ReversePath); !ok {
			return None, "", false
		}
		domain = canonical(domain)
	}
	// A name without a dot is none of the public DNS (section 4.3).
	if !strings.Contains(domain, ".") {
		return None, "", helo
	}
	if !m.Remote.IsValid() {
		return None, domain, helo
	}
	// The library divides an address at its first at sign.
	sender := strings.ReplaceAll(local, "@", "_") + "@" + domain
	result, _ := spf.CheckHostWithSender(m.Remote.Unmap().AsSlice(), m.HELO, sender,
		spf.WithContext(ctx), spf.WithResolver(dnsx.Net{Resolver: c.Resolver}))
	return Verdict(result), domain, helo
}
