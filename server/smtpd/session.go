// Package smtpd speaks SMTP, submission and LMTP as a server. It wraps go-smtp
// in an edge that owns lines, TLS, deadlines and message data, and knows no
// policy: what to accept is decided by a Backend.
package smtpd

import (
	"context"
	"crypto/tls"
	"io"
	"net"
)

// A Backend decides what a listener accepts.
type Backend interface {
	// NewSession is called for each connection before the greeting, and
	// again when STARTTLS made a new dialogue of it. An error is said
	// instead of the greeting and the connection ends.
	NewSession(ctx context.Context, c Conn) (Session, error)
}

// Conn is what is known of the other side. Hello is empty in NewSession.
type Conn struct {
	Remote, Local net.Addr
	TLS           *tls.ConnectionState // nil without TLS
	UID           int                  // of the peer on a Unix socket; -1 elsewhere
}

// A Session is one dialogue. Its methods are called from one goroutine; the
// errors they return are said by reply.Of. smtpd has checked order, syntax
// and limits before it calls.
type Session interface {
	// Hello says what the peer calls itself, at each EHLO, HELO or LHLO.
	Hello(ctx context.Context, name string) error
	// Auth checks a password. It is called only where Options.Auth is set.
	Auth(ctx context.Context, user, password string) error
	Mail(ctx context.Context, from string, o MailOptions) error
	Rcpt(ctx context.Context, to string, o RcptOptions) error
	// Data gets the message once there is at least one recipient. What it
	// leaves unread is skipped. Over LMTP the answer is given for each
	// recipient that Rcpt accepted, in order; over SMTP only the first
	// counts. A nil slice is 250 for all; a slice of one counts for all.
	Data(ctx context.Context, c *Content) []error
	// Reset forgets the transaction: after RSET, after Data, at a new EHLO.
	Reset()
	// Close ends the dialogue. ctx of the other calls is cancelled by then.
	Close()
}

// MailOptions are the parameters of MAIL (RFC 1870, 3461, 6152, 6531, 8689).
type MailOptions struct {
	Size       int64  // 0: not said
	EightBit   bool   // BODY=8BITMIME
	UTF8       bool   // SMTPUTF8
	EnvelopeID string // ENVID, decoded
	Return     string // RET: "", "FULL" or "HDRS"
	RequireTLS bool
}

// RcptOptions are the parameters of RCPT (RFC 3461).
type RcptOptions struct {
	Notify   string // "", "NEVER", or a comma-separated list in upper case
	Original string // ORCPT with its type, decoded: "rfc822;ann@example.net"
}

// Content is the message of a running transaction: dot-unstuffed, ending at
// CR LF . CR LF and nothing else. A bare LF is read as CR LF. A bare CR or a
// NUL makes Read return ErrBare, unless Forgive was called: then it is read
// as a space. Read past Options.MaxMessage returns ErrTooBig.
type Content struct {
	io.Reader
	forgive *bool
}

// Forgive makes bare CR and NUL readable as spaces. Call it before Read.
func (c *Content) Forgive() { *c.forgive = true }
