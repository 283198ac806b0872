package dnscheck

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"homing/internal/dnsx"
)

// A Purpose is what a record is for. With it, of several records at one name
// those are told apart that have to do with each other.
type Purpose string

// The purposes.
const (
	ForHost     Purpose = "host"          // the addresses of the name that Homing calls itself
	ForMX       Purpose = "mx"            // where mail for a domain goes (RFC 5321 section 5.1)
	ForSPF      Purpose = "spf"           // who sends for a domain (RFC 7208)
	ForDKIM     Purpose = "dkim"          // the key of a signature (RFC 6376 section 3.6)
	ForDMARC    Purpose = "dmarc"         // what becomes of mail that is not proven, and who is told (RFC 7489)
	ForConsent  Purpose = "dmarc_consent" // that reports may go to another domain (RFC 7489 section 7.1)
	ForSTS      Purpose = "mta_sts"       // that there is a policy about TLS (RFC 8461 section 3.1)
	ForSTSHost  Purpose = "mta_sts_host"  // the host that serves it (RFC 8461 section 3.3)
	ForTLSRPT   Purpose = "tls_rpt"       // who is told how TLS went (RFC 8460 section 3)
	ForDANE     Purpose = "tlsa"          // the certificate of the MX (RFC 7672)
	ForReversal Purpose = "ptr"           // the name of an address
)

// recordTTL is what records are published with, in seconds: an hour, after
// which a mistake is over.
const recordTTL = 3600

// A Record is one that is to be published. Names have no final dot.
type Record struct {
	Zone    string  `json:"zone"` // that it stands in; "" where Provider
	Name    string  `json:"name"`
	Type    string  `json:"type"`
	Value   string  `json:"value"` // as in a zone file, hosts with a final dot; the text of a TXT whole and without quotes
	TTL     int     `json:"ttl"`   // seconds
	Purpose Purpose `json:"purpose"`
	Why     string  `json:"why"`
	// Instead is what is published now and must go when Value comes, where
	// Value was made of it.
	Instead []string `json:"instead,omitempty"`
	// Provider says that only whoever gave us the address can publish it.
	Provider bool `json:"provider,omitempty"`

	address netip.Addr // of a PTR
}

// Strings cuts the text of a TXT record into strings of at most 255 octets
// (RFC 1035 section 3.3). There is at least one.
func (r Record) Strings() []string {
	var out []string
	for chunk := range slices.Chunk([]byte(r.Value), 255) {
		out = append(out, string(chunk))
	}
	return append(out, make([]string, max(0, 1-len(out)))...)
}

// Quoted gives the strings of a TXT record as a zone file has them (RFC 1035
// section 5.1).
func (r Record) Quoted() string {
	var out []string
	for _, s := range r.Strings() {
		var b strings.Builder
		for i := range len(s) {
			switch c := s[i]; {
			case c == '"' || c == '\\':
				b.WriteString(`\` + string(c))
			case c < ' ' || c > '~':
				fmt.Fprintf(&b, `\%03d`, c)
			default:
				b.WriteByte(c)
			}
		}
		out = append(out, `"`+b.String()+`"`)
	}
	return strings.Join(out, " ")
}

// Address gives the address that a record for its provider is about; else it is
// not valid.
func (r Record) Address() netip.Addr { return r.address }

// Relative gives the name of the record as it is entered in its zone: "@" for
// the zone itself.
func (r Record) Relative() string {
	if r.Name == r.Zone {
		return "@"
	}
	if name, inside := strings.CutSuffix(r.Name, "."+r.Zone); inside {
		return name
	}
	return r.Name + "."
}

// A Policy is a text to be served over HTTPS (RFC 8461 section 3.2).
type Policy struct {
	Domain string `json:"domain"`
	URL    string `json:"url"`
	Text   string `json:"text"` // lines end in CR LF
}

// A Kind says how urgent a Remark is.
type Kind string

// The kinds.
const (
	Note    Kind = "note"    // good to know
	Todo    Kind = "todo"    // no record can mend it: somebody has to decide
	Unknown Kind = "unknown" // the DNS did not answer, so that something may be missing
)

// A Remark is what records cannot say.
type Remark struct {
	Subject string `json:"subject"` // a name
	Kind    Kind   `json:"kind"`
	Text    string `json:"text"`
}

// A Plan is everything that is wanted: records by zone, those that a provider
// publishes last.
type Plan struct {
	Records  []Record `json:"records"`
	Policies []Policy `json:"policies"`
	Remarks  []Remark `json:"remarks"`
}

func (p *Plan) add(r Record) {
	r.TTL = recordTTL
	p.Records = append(p.Records, r)
}

func (p *Plan) remark(subject string, kind Kind, format string, args ...any) {
	p.Remarks = append(p.Remarks, Remark{subject, kind, fmt.Sprintf(format, args...)})
}

func (p *Plan) join(q Plan) {
	p.Records = append(p.Records, q.Records...)
	p.Policies = append(p.Policies, q.Policies...)
	p.Remarks = append(p.Remarks, q.Remarks...)
}

// A Zoner is a Resolver that knows where zones begin. For any other the
// organisational domain counts as the zone of a name.
type Zoner interface {
	Zone(ctx context.Context, name string) (string, error)
}

// Wanted says what is to be published for a Setup. It asks what is there
// already, because others have their say in some records, and nothing of
// theirs is taken away: SPF, DMARC and the like are made of what is found. An
// answer that does not come is a Remark, and what would depend on it is left
// out. Once everything is published, Wanted gives the same again.
func Wanted(ctx context.Context, r Resolver, s Setup) Plan {
	r = fromOutside(r, s)
	p := &planner{r: r, s: s}
	parts := []func(context.Context) Plan{p.host}
	for _, n := range p.roles() {
		parts = append(parts, func(ctx context.Context) Plan { return p.receiving(ctx, n) })
	}
	for _, d := range s.Domains {
		parts = append(parts, func(ctx context.Context) Plan { return p.sending(ctx, d) })
	}
	for _, name := range p.senders() {
		if name == p.s.Hostname && !p.sends(name) && p.taken(ctx) {
			continue // it is another machine's
		}
		parts = append(parts, func(ctx context.Context) Plan { return p.spf(ctx, name) })
	}
	plan := Plan{Records: []Record{}, Policies: []Policy{}, Remarks: []Remark{}}
	for _, part := range together(ctx, parts) {
		plan.join(part)
	}
	p.zones(ctx, plan.Records)
	slices.SortStableFunc(plan.Records, func(a, b Record) int {
		if a.Provider != b.Provider {
			return cmp.Compare(rank(a.Provider), rank(b.Provider))
		}
		return cmp.Compare(a.Zone, b.Zone)
	})
	return plan
}

func rank(last bool) int {
	if last {
		return 1
	}
	return 0
}

// atOnce is how many questions are open at one time.
const atOnce = 16

// together does everything at once and gives what came of it in order.
func together[T any](ctx context.Context, parts []func(context.Context) T) []T {
	out := make([]T, len(parts))
	slots := make(chan struct{}, atOnce)
	var running band
	for i, part := range parts {
		slots <- struct{}{}
		running.do(func() {
			defer func() { <-slots }()
			out[i] = part(ctx)
		})
	}
	running.wait()
	return out
}

// A planner makes the Plan of one Setup.
type planner struct {
	r Resolver
	s Setup
}

// A role is what a domain is to us.
type role struct {
	name                   string
	returns, routed, sends bool
}

// roles gives every domain that mail could come in for.
func (p *planner) roles() (all []role) {
	at := func(name string) *role {
		i := slices.IndexFunc(all, func(n role) bool { return n.name == name })
		if i < 0 {
			all = append(all, role{name: name})
			i = len(all) - 1
		}
		return &all[i]
	}
	for _, name := range p.s.Returns {
		at(name).returns = true
	}
	for _, name := range p.s.Routed {
		at(name).routed = true
	}
	for _, d := range p.s.Domains {
		at(d.Name).sends = true
	}
	return all
}

// senders gives every name that mail is sent in: what stands in the envelope,
// in the From field, and in HELO.
func (p *planner) senders() []string {
	names := slices.Clone(p.s.Returns)
	for _, d := range p.s.Domains {
		names = append(names, d.Name)
	}
	if p.direct() {
		names = append(names, p.s.Hostname)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// direct reports whether some mail goes straight to the MXs.
func (p *planner) direct() bool {
	return len(p.s.Domains) == 0 || slices.ContainsFunc(p.s.Domains, func(d Domain) bool { return d.Smarthost == "" })
}

// zones notes of each record in which zone it stands.
func (p *planner) zones(ctx context.Context, records []Record) {
	parts := make([]func(context.Context) string, len(records))
	for i, r := range records {
		parts[i] = func(ctx context.Context) string { return zoneOf(ctx, p.r, r) }
	}
	for i, zone := range together(ctx, parts) {
		records[i].Zone = zone
	}
}

func zoneOf(ctx context.Context, r Resolver, record Record) string {
	if record.Provider {
		return ""
	}
	organisation := dnsx.Organisation(record.Name)
	z, ok := r.(Zoner)
	if !ok {
		return organisation
	}
	zone, err := z.Zone(ctx, record.Name)
	// A name that does not exist yet may seem to be in the zone above, which
	// is nobody's of ours.
	if err != nil || !within(zone, organisation) {
		return organisation
	}
	return zone
}

// within reports whether a name is another one or below it.
func within(name, parent string) bool {
	return name == parent || strings.HasSuffix(name, "."+parent)
}

// families gives the addresses as A and AAAA records.
func families(addrs []netip.Addr) (out []Record) {
	for _, a := range addrs {
		kind := "A"
		if a.Is6() {
			kind = "AAAA"
		}
		out = append(out, Record{Type: kind, Value: a.String()})
	}
	return out
}
