// Package smtpd speaks SMTP, submission and LMTP as a server. It wraps go-smtp
// in an edge that owns lines, TLS, deadlines and message data, and knows no
// policy: what to accept is decided by a Backend.
package smtpd

import (
	"context"
	"crypto/tls"
	"net"
)

// A Backend decides what a listener accepts. Its method may be called from
// many goroutines.
type Backend interface {
	// NewSession is called for each connection before the greeting, and
	// again when STARTTLS made a new dialogue of it. An error is said
	// instead of the greeting and the connection ends.
	NewSession(ctx context.Context, c Conn) (Session, error)
}

// Conn is what is known of the other side before it has said anything.
type Conn struct {
	Remote, Local net.Addr
	Listener      net.Addr             // what the listener is bound to: perhaps every address
	TLS           *tls.ConnectionState // nil without TLS
	UID           int                  // of the peer on a Unix socket; -1 elsewhere
}

// A Session is one dialogue. Its methods are called from one goroutine, in the
// order of the dialogue; smtpd has checked order, syntax and limits before it
// calls. What they return is said by reply.Of: nil is 250 (235 to AUTH), and a
// *reply.Error with a 2xx is a positive answer with a text of its own, for
// example "250 2.0.0 queued as 01J…". After a 421 the connection ends.
//
// ctx is that of the connection: it is cancelled when the connection is found
// dead, and when shutdown cuts it. A method returns soon after.
type Session interface {
	// Hello says what the peer calls itself, at each EHLO, HELO or LHLO.
	Hello(ctx context.Context, name string) error
	// Auth checks a password. It is called only where Options.Auth is set.
	Auth(ctx context.Context, user, password string) error
	// Mail begins a transaction. from is "" for the null reverse-path, and
	// else a mailbox as it was given: a quoted local part keeps its quotes
	// where it needs them.
	Mail(ctx context.Context, from string, o MailOptions) error
	// Rcpt adds a recipient: a mailbox like that of Mail, or "postmaster"
	// without a domain (RFC 5321 section 4.5.1).
	Rcpt(ctx context.Context, to string, o RcptOptions) error
	// Data gets the message once there is at least one recipient. What it
	// leaves unread is skipped. Over LMTP the answer is given for each
	// recipient that Rcpt accepted, in order; over SMTP only the first
	// counts. A nil slice is 250 for all; a slice of one counts for all. An
	// error that c.Read returned is the answer where Data says nil.
	Data(ctx context.Context, c *Content) []error
	// Reset forgets the transaction: after RSET, after Data, at a new EHLO.
	Reset()
	// Close ends the dialogue. ctx of the other calls is cancelled by then,
	// unless STARTTLS made a new dialogue of the connection.
	Close()
}

// MailOptions are the parameters of MAIL (RFC 1870, 3461, 6152, 6531, 8689).
type MailOptions struct {
	Size       int64  // 0: not said
	EightBit   bool   // BODY=8BITMIME
	UTF8       bool   // SMTPUTF8
	EnvelopeID string // ENVID, decoded; printable ASCII
	Return     string // RET: "", "FULL" or "HDRS"
	RequireTLS bool
}

// RcptOptions are the parameters of RCPT (RFC 3461).
type RcptOptions struct {
	Notify   string // "", "NEVER", or a comma-separated list in upper case
	Original string // ORCPT with its type, decoded: "rfc822;ann@example.net"
}
