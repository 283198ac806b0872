// Package dnscheck says whether what the world's DNS has of us agrees with our
// configuration, and what to publish. It is pure over a resolver: whoever runs
// it decides when, with which resolver, and what becomes of the findings.
package dnscheck

import (
	"cmp"
	"slices"
)

// A Verdict is how a check ended.
type Verdict string

// The verdicts.
const (
	OK      Verdict = "ok"
	Warn    Verdict = "warn"    // mail flows, but worse than it could
	Fail    Verdict = "fail"    // mail is lost, refused or not told of
	Skipped Verdict = "skipped" // it could not be found out, or does not apply; Found says why
)

// Usable ends the name of a check of whether those can be asked whom another
// check asks: "blocklist_usable" is one of "blocklist". As long as it is not
// OK, what that one does not find is not over.
const Usable = "_usable"

// A Finding is what one check says of one subject. Texts are for people, in
// plain ASCII but for what others have published.
type Finding struct {
	Check   string  `json:"check"`   // one of a closed set of names, like "spf" or "dkim_key"
	Subject string  `json:"subject"` // an address, a domain, a name of ours
	Verdict Verdict `json:"verdict"`
	Wanted  string  `json:"wanted,omitempty"`
	Found   string  `json:"found,omitempty"`
	Fix     string  `json:"fix,omitempty"` // what to do, to be pasted where it is a record or a command; never empty with Warn and Fail
}

// Sort orders findings: what needs attention first, else by check and subject.
func Sort(all []Finding) {
	rank := map[Verdict]int{Fail: 0, Warn: 1, Skipped: 2, OK: 3}
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(rank[a.Verdict]-rank[b.Verdict], cmp.Compare(a.Check, b.Check), cmp.Compare(a.Subject, b.Subject))
	})
}
