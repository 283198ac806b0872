// Package mailauth says who mail that came in is from: SPF (RFC 7208), DKIM
// (RFC 6376) and DMARC (RFC 7489), and the Authentication-Results field (RFC
// 8601) in which that is noted. Organisational domains are those of the public
// suffix list; the tree walk of RFC 9989 is not made. ARC (RFC 8617) is not
// evaluated: mail that somebody passed on counts by what is still proven of it.
package mailauth

import (
	"context"
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"

	"homing/internal/dnsx"
)

// A Verdict is a result as RFC 8601 section 2.7 has it.
type Verdict string

// The verdicts. Not every method has each of them.
const (
	Pass      Verdict = "pass"
	Fail      Verdict = "fail"
	SoftFail  Verdict = "softfail"
	Neutral   Verdict = "neutral"
	None      Verdict = "none"      // nothing was claimed, or published
	TempError Verdict = "temperror" // could not be found out now
	PermError Verdict = "permerror" // what is claimed or published makes no sense
	Policy    Verdict = "policy"    // it is genuine, and not good enough
)

// A Signature is one DKIM-Signature field and what it is worth.
type Signature struct {
	Domain   string // d=, in its canonical spelling; "" where it is no domain
	Selector string // s=; "" where it is none
	Verdict  Verdict
	Why      string // in words, where the verdict is not Pass
}

// A Result is what is known of the origin of a message.
type Result struct {
	SPF       Verdict
	SPFDomain string // of the reverse-path, or HELO with a null one
	HELO      bool   // SPFDomain is the name in HELO
	DKIM      []Signature
	DMARC     Verdict
	// From is the address in the From field, FromDomain its domain in the
	// canonical spelling. Both are "" where there is not exactly one address.
	From, FromDomain string
	Policy           string // none, quarantine or reject, as published; "" without a record
	// Aligned says that SPF or DKIM passed for a domain that is aligned with
	// FromDomain (RFC 7489 section 3.1): as the record wants it, relaxed
	// where there is none, strictly where it cannot be looked up now.
	Aligned bool
	// FromSPF is what FromDomain itself says by SPF of whoever brought the mail.
	// It proves nothing, because it is not the domain of the reverse-path that
	// says it; but Fail denies. Only looked up where nothing else proves or
	// denies; "" elsewhere.
	FromSPF Verdict
	Relayed string // the authserv-id of the trusted host whose word some of this is; "": all is our own
}

// Passed reports whether the From domain is proven: DMARC passes. A domain that
// publishes no DMARC record is proven if SPF or DKIM passes for an aligned
// domain, relaxed: it claims less, and what passed is true all the same. One
// whose record cannot be looked up now is proven if the very domain passes,
// which is enough for any record.
func (r Result) Passed() bool {
	return r.DMARC == Pass || r.Aligned && (r.DMARC == None || r.DMARC == TempError)
}

// Temporary reports whether the DNS did not answer a question whose answer may
// prove the From domain: later it can be found out.
func (r Result) Temporary() bool { return r.DMARC == TempError && !r.Aligned }

// Denied reports whether the From domain, or one of the same organisation in the
// reverse-path, says by SPF (RFC 7208 section 8.4) that whoever brought the mail
// sends none for it, and nothing proves it all the same.
func (r Result) Denied() bool {
	return !r.Passed() && (r.FromSPF == Fail || r.SPF == Fail && aligned(r.SPFDomain, r.FromDomain, false))
}

// Own gives the results of SPF and DKIM that speak for the From domain: those of
// domains of the same organisation. None: there is no such. DKIM passes if one
// signature does.
func (r Result) Own() (spf, dkim Verdict) {
	spf, dkim = orNone(r.FromSPF), None
	if aligned(r.SPFDomain, r.FromDomain, false) {
		spf = orNone(r.SPF)
	}
	for _, s := range r.DKIM {
		if aligned(s.Domain, r.FromDomain, false) && dkim != Pass && (dkim == None || s.Verdict == Pass) {
			dkim = s.Verdict
		}
	}
	return spf, dkim
}

// A Mail is what is judged.
type Mail struct {
	// Remote is the peer that brought it over SMTP. The zero Addr: nobody of
	// whom SPF knows, because it came over LMTP or out of a mailbox.
	Remote      netip.Addr
	HELO        string
	ReversePath string      // "" is the null one
	Own         bool        // this host has sent it to itself: no trusted host has judged it
	Content     io.ReaderAt // as it came, without what this host has added
	Size        int64
}

// A Checker judges mail. Its methods may be called from many goroutines.
type Checker struct {
	Resolver dnsx.Resolver
	// Trusted are the authserv-ids of hosts whose topmost
	// Authentication-Results field is believed in mail that has no Remote:
	// the domain's own MX, which took it from the network and removes such
	// fields of others (RFC 8601 section 5).
	Trusted []string
	Now     func() time.Time // the clock; nil: time.Now
}

// Limits of what one message can cost. No mail that people write comes near.
const (
	maxTime       = 10 * time.Second
	maxSignatures = 8 // the topmost ones count
)

// Check judges a message. It takes at most ten seconds for what it asks of the
// DNS, and longer only for reading the content. Nothing in a message is an
// error: what nobody can read has the verdict PermError.
func (c *Checker) Check(ctx context.Context, m Mail) Result {
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	l := open(m)
	r := Result{From: l.from, FromDomain: l.domain}

	var policy record
	var all sync.WaitGroup
	all.Go(func() { r.SPF, r.SPFDomain, r.HELO = c.spf(ctx, m) })
	all.Go(func() { r.DKIM = c.dkim(ctx, l) })
	all.Go(func() { policy = c.discover(ctx, l.domain) })
	all.Wait()

	said := c.trusted(m, l)
	r.believe(said)
	r.judge(l, policy)
	r.vouched(said)
	if r.DMARC == None && !r.Aligned && !aligned(r.SPFDomain, r.FromDomain, false) {
		m.ReversePath = r.From
		r.FromSPF, _, _ = c.spf(ctx, m)
	}
	return r
}

// judge brings SPF and DKIM together (RFC 7489 section 6.6.2).
func (r *Result) judge(l letter, p record) {
	r.DMARC, r.Policy = PermError, p.policy
	switch {
	case l.failure != nil:
		r.DMARC = TempError
		return
	case l.domain == "":
		return
	}
	spf := aligned(r.SPFDomain, l.domain, p.strictSPF)
	dkim := func(v Verdict) bool {
		return slices.ContainsFunc(r.DKIM, func(s Signature) bool { return s.Verdict == v && aligned(s.Domain, l.domain, p.strictDKIM) })
	}
	r.Aligned = spf && r.SPF == Pass || dkim(Pass)
	switch {
	case p.verdict == TempError:
		r.DMARC = TempError
	case r.Aligned && p.verdict == Pass:
		r.DMARC = Pass
	case r.Aligned:
		r.DMARC = None
	case spf && r.SPF == TempError && r.Relayed == "" || dkim(TempError):
		r.DMARC = TempError // what another host was not told then, nobody tells us later
	case p.verdict == Pass:
		r.DMARC = Fail
	default:
		r.DMARC = None
	}
}

// aligned reports whether a domain that passed speaks for the From domain (RFC
// 7489 section 3.1).
func aligned(passed, from string, strict bool) bool {
	if passed == "" || from == "" || strict {
		return passed == from && from != ""
	}
	return dnsx.Organisation(passed) == dnsx.Organisation(from)
}
