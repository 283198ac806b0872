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

// Authentication is how a mail came out of the checks of its sender: the words
// of RFC 8601 section 2.7, such as "pass", "fail" and "none".
type Authentication struct {
	Domain string `json:"domain,omitempty"` // of the From field
	SPF    string `json:"spf,omitempty"`
	DKIM   string `json:"dkim,omitempty"`
	DMARC  string `json:"dmarc,omitempty"`
}
