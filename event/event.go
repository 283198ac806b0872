// Package event is the fact: what happened to one recipient of one message,
// as applications are told it. The Teller reads the log of facts and tells
// them to the sinks.
package event

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"homing/internal/message"
)

// A Type says what kind of fact an Event is.
type Type string

// The types of events.
const (
	Accepted       Type = "accepted"
	Delivered      Type = "delivered"
	Deferred       Type = "deferred"
	Bounced        Type = "bounced"
	Expired        Type = "expired"
	Suppressed     Type = "suppressed"
	Cancelled      Type = "cancelled"
	Captured       Type = "captured"
	Complained     Type = "complained"
	AutoReplied    Type = "auto_replied"
	Replied        Type = "replied"
	Filed          Type = "filed"
	Unsubscribed   Type = "unsubscribed"
	OptedOut       Type = "opted_out"
	Resubscribed   Type = "resubscribed"
	Confirmed      Type = "confirmed"
	Subscribed     Type = "subscribed"
	Held           Type = "held"
	Released       Type = "released"
	IncidentOpened Type = "incident_opened"
	IncidentClosed Type = "incident_closed"
	CheckFailed    Type = "check_failed"
	CheckRecovered Type = "check_recovered"
)

// An Event is one fact. It is a value of plain fields, so that every package
// can speak of facts without knowing the others. Its JSON is the same in
// webhooks, over HTTP and in `homing events`.
type Event struct {
	ID          ID         `json:"id"` // given by the store at commit
	Type        Type       `json:"type"`
	Time        time.Time  `json:"time"`
	Message     MessageID  `json:"message,omitzero"`
	Recipient   string     `json:"recipient,omitempty"`
	Sender      string     `json:"sender,omitempty"` // the envelope sender that the application gave, byte for byte
	From        string     `json:"from,omitempty"`   // the address of the From field
	ReturnPath  string     `json:"return_path,omitempty"`
	Domain      string     `json:"domain,omitempty"`
	Application string     `json:"application,omitempty"`
	Campaign    string     `json:"campaign,omitempty"`
	Metadata    Metadata   `json:"metadata,omitempty"` // what the application gave with the message, for itself
	Attempt     int        `json:"attempt,omitempty"`
	Sync        *bool      `json:"sync,omitempty"` // a failure or delay: said during delivery (true) or by a later report (false)
	Outcome                // zero where nothing was said
	Hold        *HoldState `json:"hold,omitempty"`
	Text        string     `json:"text,omitempty"` // incidents and checks: one sentence for people
	Mail        *Mail      `json:"mail,omitempty"` // what was filed, taken apart

	// Delivery is the recipient's own number: facts about one Delivery are
	// told in order. Zero for facts about no delivery.
	Delivery DeliveryID `json:"-"`
	// Raw names what came in (a report, a reply), for sinks that pass it on.
	Raw message.Ref `json:"-"`
	// Original names the message as it was sent, for sinks that show it.
	Original message.Ref `json:"-"`
	// To names the sinks that hear of this fact. Empty: the application's
	// sinks, else the domain's.
	To []string `json:"-"`
	// Notify holds what the application asked to be told by mail (RFC 3461
	// section 4): "", "NEVER", or a comma-separated list.
	Notify string `json:"-"`
	// EnvelopeID and OriginalRecipient are ENVID and ORCPT of RFC 3461,
	// decoded; ReturnContent is RET: "", "FULL" or "HDRS".
	EnvelopeID, OriginalRecipient, ReturnContent string `json:"-"`
	// OwnFields are header fields of the message by which the application's
	// software knows it in a report; failures alone have them. Lines end in CR
	// LF. A message that was delivered is not kept, so Original may be gone.
	OwnFields string `json:"-"`
	// RequireTLS is REQUIRETLS of the message: a report about it asks for it
	// too (RFC 8689 section 5).
	RequireTLS bool `json:"-"`
	// Basis is there where something was said about a delivery that did not
	// succeed. Nil also for facts of versions that kept none.
	Basis *Basis `json:"-"`
}

// A Basis is what a verdict and the hold rules went by besides the Outcome, so
// that other rules can judge the same later.
type Basis struct {
	Accepted  time.Time // when the message was
	Ours      bool      // nobody said it: we did in the place of a peer
	Smarthost bool      // it was said by, or of, our smarthost
	Related   bool      // the peer that reported it is related to the recipient's MX
	Offline   bool      // nobody else could be reached just then
	Surge     bool      // the site failed everybody just then
}

// An Outcome is what the other side said and what we made of it.
type Outcome struct {
	Stage      string `json:"stage,omitempty"`
	Class      string `json:"class,omitempty"`
	Reason     string `json:"reason,omitempty"`
	CiviCRM    string `json:"civicrm,omitempty"`
	Code       int    `json:"code,omitempty"`
	Status     string `json:"status,omitempty"`
	Diagnostic string `json:"diagnostic,omitempty"`
	RemoteMTA  string `json:"remote_mta,omitempty"` // "mx.example.net[198.51.100.7]"
	Rule       string `json:"rule,omitempty"`
	Matched    string `json:"matched,omitempty"`
	TLS        TLS    `json:"tls,omitzero"` // of the connection over which it was said; zero: none
}

// TLS is how a connection was secured.
type TLS struct {
	Version  string `json:"version"`  // "TLS1.3"
	Cipher   string `json:"cipher"`   // "TLS_AES_128_GCM_SHA256"
	Verified string `json:"verified"` // what the other side has proved who it is by: one of the words below
}

// What a host has proved who it is by.
const (
	VerifiedDANE   = "dane"    // a TLSA record that DNSSEC signs (RFC 7672)
	VerifiedMTASTS = "mta-sts" // a certificate that a policy of its domain asks for (RFC 8461)
	VerifiedPKIX   = "pkix"    // a certificate for its name, which nobody had asked for
	VerifiedNone   = "none"    // nothing
)

// Longest texts of an Outcome, in octets.
const (
	maxDiagnostic = 1000
	maxWord       = 300 // everything else
)

// Tidy gives the outcome fit to be kept, told and shown, whatever the other
// side said: valid UTF-8 without control characters, a diagnostic of at most
// 1,000 octets and no other text over 300.
func (o Outcome) Tidy() Outcome {
	o.Diagnostic = tidy(o.Diagnostic, maxDiagnostic)
	for _, word := range []*string{&o.Status, &o.RemoteMTA, &o.Rule, &o.Matched} {
		*word = tidy(*word, maxWord)
	}
	return o
}

func tidy(s string, limit int) string {
	clean := func(c byte) bool { return c >= ' ' && c < 0x7f }
	for i := 0; ; i++ {
		if i == len(s) && i <= limit {
			return s // nearly always
		}
		if i == len(s) || !clean(s[i]) {
			break
		}
	}
	s = strings.ToValidUTF8(s[:min(len(s), limit+utf8.UTFMax)], "?")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	for len(s) > limit {
		_, last := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-last]
	}
	return s
}

// HoldState says what a fact did to the hold on its recipient.
type HoldState struct {
	State string     `json:"state"` // "held", "provisional", "counting", "free"
	Until *time.Time `json:"until"` // null: until released
}

// A Cursor is how far a sink has been told. Everything up to Seen is told or
// given up, but for the facts in Parked. The zero Cursor is that of a sink
// nobody has been told through yet.
type Cursor struct {
	Seen    ID
	Parked  []Parked  // in order of Event
	Failing time.Time // since when every telling failed; zero: the last one succeeded
	Paused  bool      // it failed for too long: an incident is open
}

// Parked is a fact that a sink has not been told although Cursor.Seen is past
// it: it alone keeps failing, or it waits behind an earlier one of the same
// delivery, and the rest flows.
type Parked struct {
	Event    ID
	Delivery DeliveryID
	Tries    int       // tellings that failed; 0: it waits behind another
	Since    time.Time // when it first failed
	Next     time.Time // when to try again
}
