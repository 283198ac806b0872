// Package tlsrpt counts how TLS with the mail hosts of each domain went, and
// reports it once a day to those who ask for it (RFC 8460).
package tlsrpt

import (
	"net/netip"
	"slices"
	"strings"
)

// A Kind says what kind of policy a session went by (RFC 8460 section 4.4).
type Kind string

// The kinds of policies.
const (
	TLSA     Kind = "tlsa"
	STS      Kind = "sts"
	NoPolicy Kind = "no-policy-found"
)

// A ResultType says what went wrong (RFC 8460 section 4.3).
type ResultType string

// The types that we can find.
const (
	StartTLSNotSupported ResultType = "starttls-not-supported"
	CertHostMismatch     ResultType = "certificate-host-mismatch"
	CertExpired          ResultType = "certificate-expired"
	CertNotTrusted       ResultType = "certificate-not-trusted"
	ValidationFailure    ResultType = "validation-failure"
	TLSAInvalid          ResultType = "tlsa-invalid"
	DNSSECInvalid        ResultType = "dnssec-invalid"
	STSFetchError        ResultType = "sts-policy-fetch-error"
	STSInvalid           ResultType = "sts-policy-invalid"
	STSWebPKIInvalid     ResultType = "sts-webpki-invalid"
)

// A Policy is what a session had to keep to.
type Policy struct {
	Kind   Kind     `json:"kind"`
	Domain string   `json:"domain"`          // of a TLSA record, the name that it is under (RFC 8460 section 1.1)
	Lines  []string `json:"lines,omitempty"` // of the policy, or the records
}

// hosts are the mail hosts that a policy is of.
func (p Policy) hosts() []string {
	var out []string
	switch p.Kind {
	case TLSA:
		out = append(out, p.Domain)
	case STS:
		for _, line := range p.Lines {
			if mx, ok := strings.CutPrefix(line, "mx: "); ok {
				out = append(out, mx)
			}
		}
	}
	return out
}

func (p Policy) equal(q Policy) bool {
	return p.Kind == q.Kind && p.Domain == q.Domain && slices.Equal(p.Lines, q.Lines)
}

// A Failure is what went wrong in a session. There is never an address of a
// person in it.
type Failure struct {
	Type   ResultType `json:"type"`
	Reason string     `json:"reason,omitempty"` // in a few words
	MX     string     `json:"mx,omitempty"`     // the name of the host
	Local  netip.Addr `json:"local,omitzero"`
	Remote netip.Addr `json:"remote,omitzero"`
}

// A Session is one attempt to speak TLS with a host.
type Session struct {
	Domain  string // whose mail it was for, and who gets the report
	Policy  Policy
	Failure *Failure // nil: it went well
}
