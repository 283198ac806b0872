// Package hold decides who must not be mailed. Its rules are pure functions
// of the record so far and of new evidence; it does no I/O and reads no clock.
package hold

import (
	"strings"
	"time"

	"golang.org/x/net/idna"
)

// A Record is everything known against one canonical address: one Scope for
// each application that mailed it, sorted by Application. The zero Record
// knows nothing. Records are values: rules return changed copies.
type Record struct {
	Address string
	Scopes  []Scope
}

// A Scope is what counts for one application. Application "" counts for all.
type Scope struct {
	Application string
	Epoch       time.Time // of the last release: what is older changes nothing
	Holds       []Hold
	Marks       []Mark    // soft and provisional evidence that still counts
	Delivered   time.Time // first 250 after the youngest asynchronous Mark
}

// A Hold stops mail.
type Hold struct {
	Since  time.Time
	Until  time.Time // zero: until released
	Domain string    // set: stops only bulk mail of this sending domain
	By     string    // who: "rule", or the operator's word
	Reason string    // a reason of bounce.Reason, or the operator's words
	Rule   string    // which hold rule: "hard", "hard-report", "two-reports", "threshold", "complaint", "unsubscribe", "operator"
	Marks  []Mark    // the evidence that led here
}

// A Mark is one piece of evidence, kept so that a person can see why.
type Mark struct {
	Time       time.Time
	Message    uint64
	Delivery   uint64
	Class      string
	Reason     string
	CiviCRM    string
	Sync       bool // said during delivery, not by a later report
	Related    bool // the reporting peer is related to the recipient's MX
	Code       int
	Status     string
	Diagnostic string
	RemoteMTA  string
	Rule       string // of the classifier
	Matched    string
}

// Canonical gives the one spelling of an address under which holds are kept:
// domain in lower-case A-labels, local part in lower case, tags kept. It never
// fails: what is no address is only lower-cased.
func Canonical(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return strings.ToLower(address)
	}
	return strings.ToLower(address[:at]) + "@" + CanonicalDomain(address[at+1:])
}

// maxDomain is more octets than any domain name has in any alphabet. What is
// longer is no domain, and punycode takes quadratic time.
const maxDomain = 1024

// CanonicalDomain gives a domain in lower-case A-labels without final dots.
// What idna does not accept is only lower-cased.
func CanonicalDomain(domain string) string {
	// Lower case first: idna refuses some capitals whose small letters it takes,
	// and one domain must not have two spellings.
	domain = strings.ToLower(domain)
	if len(domain) <= maxDomain && !isPlainASCII(domain) {
		if a, err := idna.Lookup.ToASCII(domain); err == nil {
			domain = strings.ToLower(a)
		}
	}
	return strings.TrimRight(domain, ".")
}

func isPlainASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
