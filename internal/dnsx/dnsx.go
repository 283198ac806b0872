// Package dnsx asks the DNS questions that a mail server asks: MX, addresses,
// TXT, PTR and TLSA, cached by their TTL. Package dnstest answers them in
// tests.
package dnsx

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"
)

// Errors that callers branch on with errors.Is. Every error of a Resolver is
// one of the three. ErrTemporary comes together with the error of a context
// that ended.
var (
	ErrNoName    = errors.New("no such domain name")         // NXDOMAIN, or it can be no name
	ErrNoData    = errors.New("the name has no such record") // NOERROR without an answer
	ErrTemporary = errors.New("DNS does not answer now")     // SERVFAIL, timeout, or nonsense
)

// A Resolver answers questions. Names may have a final dot, any letter case
// and any alphabet; what it gives back is lower case, in A-labels, without a
// final dot. Its methods may be called from many goroutines, and the slices
// they give belong to the caller. A nil error comes with at least one record.
type Resolver interface {
	// MX gives the mail exchangers in no order. A null MX (RFC 7505) is one
	// record whose Host is ".".
	MX(ctx context.Context, name string) ([]MX, error)
	// Addrs gives the IPv6 and IPv4 addresses of a host, asked for in
	// parallel. When only one of the two questions was answered, it gives
	// the addresses from that answer.
	Addrs(ctx context.Context, name string) ([]netip.Addr, error)
	// TXT gives the text of each record, its strings joined without a gap
	// (RFC 7208 section 3.3).
	TXT(ctx context.Context, name string) ([]string, error)
	// PTR gives the names of an address, which anybody may have made up.
	PTR(ctx context.Context, addr netip.Addr) ([]string, error)
	// TLSA gives the certificate associations under a name such as
	// "_25._tcp.mx.example.net" (RFC 6698).
	TLSA(ctx context.Context, name string) ([]TLSA, error)
	// Bases gives the names that TLSA records of a host may be under, the
	// best first (RFC 7672 section 2.2.2): the one at the end of its aliases
	// and its own. There are none where its addresses, or an alias on the
	// way to them, came without the AD bit: then nobody need ask.
	Bases(ctx context.Context, host string) ([]string, error)
}

// An MX is one mail exchanger (RFC 1035 section 3.3.9).
type MX struct {
	Host       string
	Preference uint16 // lower is better
	Authentic  bool   // the AD bit, from a resolver that is trusted: it has validated the answer
}

// NullMX reports whether the domain says with its records that it accepts no
// mail (RFC 7505 section 3).
func NullMX(records []MX) bool { return len(records) == 1 && records[0].Host == "." }

// A TLSA is one certificate association (RFC 6698 section 2.1).
type TLSA struct {
	Usage, Selector, Matching uint8
	Data                      []byte
	Authentic                 bool // the AD bit, from a resolver that is trusted
}

// maxNameOctets is the longest name in its text form (RFC 1035 section 2.3.4).
const maxNameOctets = 253

// profile maps names as people write them to A-labels. It lets underscores
// pass, which names of DKIM, DMARC and TLSA records have.
var profile = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false), idna.StrictDomainName(false))

// absolute gives the canonical form of a name with its final dot. Its error
// is ErrNoName: what can be no name does not exist.
func absolute(name string) (string, error) {
	asked, err := askable(name)
	if strings.Contains(asked, `\`) {
		return "", fmt.Errorf("%w: %q has a character that no host name has", ErrNoName, name)
	}
	return asked, err
}

// askable is absolute for names that are no host's as well: a macro of SPF can
// ask for one with a space (RFC 7208 section 7.1), which comes out escaped.
func askable(name string) (string, error) {
	ascii := strings.ToLower(strings.TrimSuffix(name, "."))
	for i := range len(name) {
		if name[i] < 0x80 {
			continue
		}
		if len(name) > 4*maxNameOctets { // punycode takes quadratic time
			return "", fmt.Errorf("%w: the name has %d octets", ErrNoName, len(name))
		}
		mapped, err := profile.ToASCII(ascii)
		if err != nil {
			return "", fmt.Errorf("%w: %q: %v", ErrNoName, name, err)
		}
		ascii = strings.TrimSuffix(mapped, ".")
		break
	}
	if len(ascii) == 0 || len(ascii) > maxNameOctets {
		return "", fmt.Errorf("%w: the name has %d octets", ErrNoName, len(ascii))
	}
	for label := range strings.SplitSeq(ascii, ".") {
		if len(label) == 0 || len(label) > 63 {
			return "", fmt.Errorf("%w: %q has a label of %d octets", ErrNoName, name, len(label))
		}
		for i := range len(label) {
			// A backslash would begin an escape (RFC 1035 section 5.1).
			if c := label[i]; c < ' ' || c > '~' || c == '\\' {
				return "", fmt.Errorf("%w: %q has a character that no host name has", ErrNoName, name)
			}
		}
	}
	return strings.ReplaceAll(ascii, " ", `\ `) + ".", nil
}

// Canonical gives the one spelling of a domain name: lower case, A-labels, no
// final dot. Its error is ErrNoName.
func Canonical(name string) (string, error) {
	a, err := absolute(name)
	return strings.TrimSuffix(a, "."), err
}

// reverse gives the name under which PTR records of an address are.
func reverse(addr netip.Addr) (string, error) {
	name, err := dns.ReverseAddr(addr.Unmap().WithZone("").String())
	if err != nil {
		return "", fmt.Errorf("%w: %v is no address", ErrNoName, addr)
	}
	return name, nil
}
