package event

import "homing/internal/parsedmail"

// A Mail is what a mail says that was filed, and why it was.
type Mail struct {
	parsedmail.Mail
	// Authentication is what proves who wrote it.
	Authentication Authentication `json:"authentication"`
	// ReviewedBy is who had it filed, where it had to wait for somebody's word:
	// the name of a token, or "operator" on the server itself.
	ReviewedBy string `json:"reviewed_by,omitempty"`
	Reviewed   bool   `json:"reviewed,omitempty"`
}

// A Ground is why a mail is filed.
type Ground string

// The grounds. They are what applications are told.
const (
	ByDMARC   Ground = "dmarc"   // the From domain is proven by the policy that it publishes
	ByAligned Ground = "aligned" // it is proven by SPF or DKIM, and has no policy, or none that can be looked up
	ByListed  Ground = "listed"  // nothing proves it, and the sender is listed in from of the route
	ByHand    Ground = "hand"    // nothing proves it, and somebody has put it into a folder for that
	ByReview  Ground = "review"  // somebody said so
)

// Authentication is how a mail came out of the checks of its sender: the words
// of RFC 8601 section 2.7, such as "pass", "fail" and "none". Those of SPF and DKIM
// are about Domain, or one of the same organisation.
type Authentication struct {
	By     Ground `json:"by,omitempty"`     // "": it is not filed yet, or was before there were grounds
	Domain string `json:"domain,omitempty"` // of the From field
	SPF    string `json:"spf,omitempty"`
	DKIM   string `json:"dkim,omitempty"`
	DMARC  string `json:"dmarc,omitempty"`
}
