package dnsx

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// An answer is what one question gave: records of its type, or err. It is
// shared and never changed after it was made.
type answer struct {
	mx        []MX
	addrs     []netip.Addr
	text      []string // of TXT and PTR
	tlsa      []TLSA
	end       string // of the aliases: whose records these are
	authentic bool
	ttl       time.Duration // how long it may be kept
	err       error
}

const (
	maxChain  = 16              // CNAMEs on the way to a record
	minTTL    = 5 * time.Second // a TTL of one second would be a question for each message
	maxTTL    = 24 * time.Hour  // also when the zone says a year
	maxAbsent = time.Hour       // for what does not exist
	failedTTL = 5 * time.Second // RFC 9520 section 3.2: at least a second
)

// failed makes the answer of a question that nobody has answered.
func failed(k key, why error) *answer {
	return &answer{ttl: failedTTL, err: fmt.Errorf("%w: %v: %w", ErrTemporary, k, why)}
}

// read takes the records that answer k out of a response. Where the response
// ends in an alias of something else, next is the name to ask for.
func read(k key, m *dns.Msg) (a *answer, next string) {
	a = &answer{authentic: m.AuthenticatedData, ttl: maxTTL}
	name, err := follow(k, m, a)
	if err != nil {
		return failed(k, err), ""
	}
	a.end = plain(name)
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == k.qtype && strings.EqualFold(rr.Header().Name, name) {
			a.keep(rr)
			a.limit(rr)
		}
	}
	switch {
	case a.records() > 0:
		a.ttl = max(a.ttl, minTTL)
	case m.Rcode == dns.RcodeNameError:
		a.err = fmt.Errorf("%w: %v", ErrNoName, k)
		a.absent(m)
	case name != k.name:
		return a, name
	default:
		a.err = fmt.Errorf("%w: %v", ErrNoData, k)
		a.absent(m)
	}
	return a, ""
}

// follow walks the CNAMEs of a response and gives the name at their end.
func follow(k key, m *dns.Msg, a *answer) (string, error) {
	name := k.name
	for range maxChain {
		alias := aliasOf(name, m)
		if alias == nil {
			return name, nil
		}
		if alias.Target == "" { // a record without data
			return "", fmt.Errorf("%s is an alias of nothing", plain(name))
		}
		a.limit(alias)
		name = strings.ToLower(alias.Target)
	}
	return "", fmt.Errorf("more than %d aliases in a row", maxChain)
}

func aliasOf(name string, m *dns.Msg) *dns.CNAME {
	for _, rr := range m.Answer {
		if c, ok := rr.(*dns.CNAME); ok && strings.EqualFold(c.Hdr.Name, name) {
			return c
		}
	}
	return nil
}

// limit makes the answer no older than one of the records it is made of.
func (a *answer) limit(rr dns.RR) {
	a.ttl = min(a.ttl, time.Duration(rr.Header().Ttl)*time.Second)
}

// absent takes the age of what does not exist from the SOA record (RFC 2308
// section 5).
func (a *answer) absent(m *dns.Msg) {
	age := minTTL
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			age = time.Duration(min(soa.Minttl, soa.Hdr.Ttl)) * time.Second
		}
	}
	a.ttl = min(max(age, minTTL), maxAbsent)
}

func (a *answer) records() int { return len(a.mx) + len(a.addrs) + len(a.text) + len(a.tlsa) }

// keep adds one record of the type that was asked for.
func (a *answer) keep(rr dns.RR) {
	switch rr := rr.(type) {
	case *dns.MX:
		a.mx = append(a.mx, MX{Host: plain(rr.Mx), Preference: rr.Preference, Authentic: a.authentic})
	case *dns.A:
		if addr, ok := netip.AddrFromSlice(rr.A.To4()); ok {
			a.addrs = append(a.addrs, addr)
		}
	case *dns.AAAA:
		if addr, ok := netip.AddrFromSlice(rr.AAAA.To16()); ok {
			a.addrs = append(a.addrs, addr)
		}
	case *dns.TXT:
		a.text = append(a.text, unescape(strings.Join(rr.Txt, "")))
	case *dns.PTR:
		a.text = append(a.text, plain(rr.Ptr))
	case *dns.TLSA:
		if data, err := hex.DecodeString(rr.Certificate); err == nil {
			a.tlsa = append(a.tlsa, TLSA{rr.Usage, rr.Selector, rr.MatchingType, data, a.authentic})
		}
	}
}

// plain gives a name of a record in lower case without its final dot; the
// root stays ".".
func plain(name string) string {
	if name == "." {
		return name
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// unescape gives the octets of a string that the library holds in the form of
// a zone file (RFC 1035 section 5.1).
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if i+2 < len(s) && isDigit(s[i]) && isDigit(s[i+1]) && isDigit(s[i+2]) {
			b.WriteByte((s[i]-'0')*100 + (s[i+1]-'0')*10 + s[i+2] - '0')
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
