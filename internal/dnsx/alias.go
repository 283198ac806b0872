package dnsx

import (
	"context"
	"fmt"

	"github.com/miekg/dns"
)

// Alias gives the name that another is an alias of (a CNAME record, RFC 1034
// section 3.6.2). Its error is ErrNoData for a name that is no alias. It is
// asked anew each time.
func (c *Client) Alias(ctx context.Context, name string) (string, error) {
	name, err := absolute(name)
	if err != nil {
		return "", err
	}
	k := key{name, dns.TypeCNAME}
	m, err := c.ask(ctx, k)
	if err != nil {
		return "", fmt.Errorf("%w: %v: %w", ErrTemporary, k, err)
	}
	if alias := aliasOf(name, m); alias != nil && alias.Target != "" {
		return plain(alias.Target), nil
	}
	if m.Rcode == dns.RcodeNameError {
		return "", fmt.Errorf("%w: %v", ErrNoName, k)
	}
	return "", fmt.Errorf("%w: %v", ErrNoData, k)
}
