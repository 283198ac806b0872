package dnscheck

import (
	"context"
	"net/netip"
	"strings"

	"homing/internal/dnsx"
)

// A Resolver answers what is checked. Every dnsx.Resolver is one; the errors
// are those of dnsx.
type Resolver interface {
	MX(ctx context.Context, name string) ([]dnsx.MX, error)
	Addrs(ctx context.Context, name string) ([]netip.Addr, error)
	TXT(ctx context.Context, name string) ([]string, error)
	PTR(ctx context.Context, addr netip.Addr) ([]string, error)
	TLSA(ctx context.Context, name string) ([]dnsx.TLSA, error)
	Bases(ctx context.Context, host string) ([]string, error)
}

// A Setup is what the configuration says of us, as far as the DNS is
// concerned. Names are in lower-case A-labels without a final dot.
type Setup struct {
	Hostname  string       // greeting and HELO
	Addresses []netip.Addr // that we send from and listen on, as the world sees them
	Domains   []Domain     // that mail is sent as
	Returns   []string     // domains of return addresses; their MX must be Homing
	Routed    []string     // other domains that routes take mail for
	Reports   string       // the address that DMARC and TLS reports go to; "": none of ours
	// Reads reports whether reports that come to an address are read, beside
	// those to Reports; nil: to no other.
	Reads func(address string) bool
	// PolicyHost is where the world finds the policies about TLS for mail to us
	// (RFC 8461), which have one mode and one list of mail hosts, as they stand
	// in a policy. "": nowhere. Mode "" is "testing", no PolicyMX Hostname.
	PolicyHost, PolicyMode string
	PolicyMX               []string
	Pinned                 []dnsx.TLSA // of our certificate, where it is to be published; none: it is not
}

// A Domain is one that mail is sent as.
type Domain struct {
	Name      string
	Return    string // the domain of its return addresses; "": mail keeps the application's own
	Keys      []Key  // that sign; none: mail goes unsigned
	Smarthost string // host that its mail goes through; "": straight to the MXs
	Rewrites  bool   // the smarthost replaces the return address
}

// A Key is a DKIM key of ours.
type Key struct {
	Selector string
	Record   string // what is published: "v=DKIM1; k=rsa; p=…"
	Bits     int    // of an RSA key; 0: Ed25519
}

// reads reports whether what is reported to an address, in lower case, is read
// here.
func (s Setup) reads(address string) bool {
	return s.Reports != "" && address == strings.ToLower(s.Reports) || s.Reads != nil && s.Reads(address)
}
