package mailauth

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"homing/internal/dnsx"
)

// maxKeyRecord is the longest key record that is looked at, in octets: one of
// 16,384 bits has 2,800, and verifying takes time that grows with its square.
const maxKeyRecord = 4096

// errKeyRecord is permanent for the library, as all that is no *net.DNSError.
var errKeyRecord = errors.New("the key record is too long")

// dkim verifies the topmost signatures of a message.
func (c *Checker) dkim(ctx context.Context, l letter) []Signature {
	claims := claimsOf(l)
	if len(claims) == 0 {
		return nil
	}
	out := make([]Signature, len(claims))
	for i, cl := range claims {
		out[i] = Signature{Domain: cl.domain, Selector: cl.selector, Verdict: PermError, Why: "the header of the message is malformed"}
	}
	if !l.sound {
		return out
	}
	k := keys{ctx: ctx, resolver: dnsx.Net{Resolver: c.Resolver}, flags: map[string][]string{}}
	body := &body{r: l.body}
	found, err := msgauth.VerifyWithOptions(io.MultiReader(strings.NewReader(string(l.header.Block())), body),
		&msgauth.VerifyOptions{LookupTXT: k.lookup, MaxVerifications: maxSignatures})
	for i := range out {
		switch {
		case errors.Is(body.err, errEmptyLines):
			out[i].Why = "the message has too many empty lines to be verified"
		case body.err != nil || i >= len(found) || err != nil && !errors.Is(err, msgauth.ErrTooManySignatures):
			out[i].Verdict, out[i].Why = TempError, "the message could not be read"
		default:
			out[i].Verdict, out[i].Why = claims[i].worth(found[i], k.flagsOf(claims[i]), c.now())
		}
	}
	return out
}

func (c *Checker) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// A claim is what a DKIM-Signature field says of itself.
type claim struct {
	domain, selector string // canonical; "" where it is none
	key              string // the name that its key is looked up by
	agent            string // the domain of i=
	partial          bool   // it has l=: only the beginning of the body is signed
}

// claimsOf gives the claims of a message, the topmost first.
func claimsOf(l letter) (all []claim) {
	for f := range l.header.All() {
		if !strings.EqualFold(f.Name(), "DKIM-Signature") || len(all) == maxSignatures {
			continue
		}
		t := tags(f.Value())
		d, s := dense(t["d"]), dense(t["s"])
		_, partial := t["l"]
		_, agent, _ := strings.Cut(dense(t["i"]), "@")
		all = append(all, claim{domain: canonical(d), selector: canonical(s), key: s + "._domainkey." + d, agent: canonical(agent), partial: partial})
	}
	return all
}

// worth says what the verification of a signature is worth. Of what the library
// lets pass, a key in test mode proves nothing, not even a forgery (RFC 6376
// section 3.6.1, t=y), and one for its very domain nothing for a subdomain (t=s).
func (c claim) worth(v *msgauth.Verification, flags []string, now time.Time) (Verdict, string) {
	switch err := v.Err; {
	case msgauth.IsTempFail(err):
		return TempError, "the key could not be looked up now"
	case slices.Contains(flags, "y"):
		return Neutral, "the key is being tested"
	case c.partial:
		return Policy, "only the beginning of the body is signed"
	case !v.Expiration.IsZero() && now.After(v.Expiration):
		return Fail, "the signature has expired"
	case msgauth.IsPermFail(err):
		return PermError, reason(err)
	case err != nil:
		return Fail, reason(err)
	case slices.Contains(flags, "s") && c.agent != "" && c.agent != c.domain:
		return PermError, "the key is for its very domain"
	case c.domain == "":
		return PermError, "its domain is none"
	}
	return Pass, ""
}

// reason says in words why a signature does not verify.
func reason(err error) string { return strings.TrimPrefix(err.Error(), "dkim: ") }

// keys looks up key records, and remembers the flags of each. Its methods may
// be called from many goroutines.
type keys struct {
	ctx      context.Context // of one Check
	resolver dnsx.Net

	mu    sync.Mutex
	flags map[string][]string // by name
}

func (k *keys) lookup(name string) ([]string, error) {
	texts, err := k.resolver.LookupTXT(k.ctx, name)
	for _, t := range texts {
		if len(t) > maxKeyRecord {
			return nil, errKeyRecord
		}
	}
	if len(texts) == 1 {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.flags[name] = strings.Split(dense(tags(texts[0])["t"]), ":")
	}
	return texts, err
}

func (k *keys) flagsOf(c claim) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.flags[c.key]
}

// maxEmptyLines is the longest run of line ends in a body, in octets. The
// library takes time that grows with its square.
const maxEmptyLines = 256 << 10

var errEmptyLines = errors.New("too many empty lines")

// A body ends where it cannot be read on, because the library would leave
// goroutines behind; err says why.
type body struct {
	r   io.Reader
	run int // of line ends, up to here
	err error
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, io.EOF
	}
	n, err := b.r.Read(p)
	for _, c := range p[:n] {
		if c != '\r' && c != '\n' {
			b.run = 0
		} else if b.run++; b.run > maxEmptyLines {
			b.err = errEmptyLines
			return 0, io.EOF
		}
	}
	if err != nil && err != io.EOF {
		b.err, err = err, io.EOF
	}
	return n, err
}
