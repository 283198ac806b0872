// Package bounce understands what a mail system said: in a reply during a
// dialogue, or in a message that came back. It parses and classifies; it
// knows no store, no network and no recipient list. See vocabulary in
// docs/BOUNCES.md for the words it answers with.
package bounce

import "homing/internal/reply"

// A Kind says what a message is.
type Kind string

// The kinds of messages that come to a return address.
const (
	Bounce      Kind = "bounce" // a failure
	Delayed     Kind = "delayed"
	Delivered   Kind = "delivered" // delivered, relayed or expanded
	Complaint   Kind = "complaint"
	AutoReply   Kind = "auto_reply"
	Challenge   Kind = "challenge"
	Disposition Kind = "disposition"
	Unsubscribe Kind = "unsubscribe"
	Message     Kind = "message" // an ordinary mail or a human reply
)

// A Class says what to do about a failure.
type Class string

// The classes.
const (
	Hard   Class = "hard"   // the address cannot receive mail
	Soft   Class = "soft"   // something at the recipient's side failed this time
	Sender Class = "sender" // it is us; never counts against the person
	None   Class = "none"   // not a failure
)

// A Reason says why.
type Reason string

// The reasons.
const (
	UserUnknown   Reason = "user_unknown"
	Moved         Reason = "moved"
	NoMailHost    Reason = "no_mail_host"
	HostUnknown   Reason = "host_unknown"
	Disabled      Reason = "disabled"
	Filtered      Reason = "filtered"
	MailboxFull   Reason = "mailbox_full"
	SystemFull    Reason = "system_full"
	SystemError   Reason = "system_error"
	NetworkError  Reason = "network_error"
	Expired       Reason = "expired"
	Loop          Reason = "loop"
	RelayDenied   Reason = "relay_denied"
	MessageTooBig Reason = "message_too_big"
	ProtocolError Reason = "protocol_error"
	NotCompliant  Reason = "not_compliant"
	RateLimited   Reason = "rate_limited"
	Blocked       Reason = "blocked"
	BadReputation Reason = "bad_reputation"
	AuthFailure   Reason = "auth_failure"
	NoPTR         Reason = "no_ptr"
	TLSFailed     Reason = "tls_failed"
	Policy        Reason = "policy"
	Rejected      Reason = "rejected"
	Spam          Reason = "spam"
	Content       Reason = "content"
	Virus         Reason = "virus"
	Greylisted    Reason = "greylisted"
	Complained    Reason = "complaint"
	AutoReplied   Reason = "auto_reply"
	Unknown       Reason = "unknown"
)

// Evidence is what there is to classify: what was said, at which stage, by
// whom. Every field may be empty.
type Evidence struct {
	Stage     reply.Stage
	Code      int    // SMTP reply code
	Status    string // enhanced status code, "5.1.1"
	Text      string // reply text or diagnostic, as it came, at most a few KiB
	RemoteMTA string // host name of who said it
}

// A Verdict is what Evidence means, and which rule says so.
type Verdict struct {
	Class   Class
	Reason  Reason
	CiviCRM string // the CiviCRM bounce type: Invalid, Inactive, Host, …; "" where there is none
	Rule    string // name of the rule that won
	Matched string // the text or code that it matched

	strength Strength // of the rule; zero where no table gave the verdict
}

// A Report is what a message says.
type Report struct {
	Kind       Kind
	Format     string      // "rfc3464", "arf", "exim", …: which recogniser understood it
	Recipients []Recipient // empty for Message
	Digest     uint64      // the same for the same report sent again
	Unparsed   bool        // a limit was reached; Kind is then what was known so far
	Returned   []Field     // header of the message that came back, where it did; at most 100 fields
}

// A Field is a header field, unfolded.
type Field struct{ Name, Body string }

// A Recipient is what a Report says of one recipient. Its Address is what
// the report claims: never proof of whom to hold.
type Recipient struct {
	Address    string // final recipient
	Original   string // original recipient, where the report names it
	Action     string // failed, delayed, delivered, relayed, expanded; "" where unknown
	Status     string
	Code       int
	Diagnostic string
	RemoteMTA  string
	Verdict    Verdict

	judged Evidence // what the Verdict rests on; zero where no table gave it
}
