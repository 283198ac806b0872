// Package reply is the one vocabulary for SMTP outcomes: a code, an enhanced
// status code, a text, and the stage of the dialogue at which they were said.
// It keeps what the peer may see apart from the private cause.
package reply

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// A Reply is what one side of an SMTP or LMTP dialogue answered (RFC 5321
// section 4.2). The zero Reply means that nothing was answered.
type Reply struct {
	Code     int      // 200 to 599
	Enhanced Enhanced // zero where the peer gave none (RFC 2034)
	Text     string   // lines separated by "\n", without codes
}

// Enhanced is an enhanced status code (RFC 3463), for example {5, 1, 1}.
type Enhanced [3]int

// RequireTLS is "REQUIRETLS support required" (RFC 8689 section 4.3).
var RequireTLS = Enhanced{5, 7, 30}

// String gives "5.1.1", and "" for the zero Enhanced.
func (e Enhanced) String() string {
	if e == (Enhanced{}) {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", e[0], e[1], e[2])
}

// Positive reports whether the reply is a 2xx.
func (r Reply) Positive() bool { return r.Code >= 200 && r.Code < 300 }

// Intermediate reports whether the reply is a 3xx.
func (r Reply) Intermediate() bool { return r.Code >= 300 && r.Code < 400 }

// Permanent reports whether the reply is a 5xx.
func (r Reply) Permanent() bool { return r.Code >= 500 && r.Code < 600 }

// Temporary reports whether the reply is a 4xx.
func (r Reply) Temporary() bool { return r.Code >= 400 && r.Code < 500 }

// String gives the reply as one line: "550 5.1.1 user unknown".
func (r Reply) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d", r.Code)
	if s := r.Enhanced.String(); s != "" {
		b.WriteString(" " + s)
	}
	if r.Text != "" {
		b.WriteString(" " + strings.ReplaceAll(r.Text, "\n", " "))
	}
	return b.String()
}

// A Stage says at which point of a dialogue something was answered. The same
// words mean different things at different stages, so a Stage travels with
// every Reply that is to be classified.
type Stage string

// The stages, in the order of a dialogue. DSN is no stage of a dialogue: it
// marks what a delivery report said later.
const (
	Resolve  Stage = "resolve" // before any connection: DNS and policy
	Connect  Stage = "connect"
	EHLO     Stage = "ehlo"
	STARTTLS Stage = "starttls"
	AUTH     Stage = "auth"
	MAIL     Stage = "mail"
	RCPT     Stage = "rcpt"
	DATA     Stage = "data"
	Dot      Stage = "dot"
	DSN      Stage = "dsn"
)

// An Error is a Reply with its private cause. Only Reply goes on the wire;
// Cause goes to the log.
type Error struct {
	Reply Reply
	Cause error
}

// Errorf makes an Error that answers code, enhanced and the formatted text.
// A %w in format becomes the Cause as well as part of the text.
func Errorf(code int, enhanced Enhanced, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Reply: Reply{code, enhanced, err.Error()}, Cause: errors.Unwrap(err)}
}

// With gives the same Error with another private cause.
func (e *Error) With(cause error) *Error { return &Error{Reply: e.Reply, Cause: cause} }

func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Reply.String()
	}
	return e.Reply.String() + ": " + e.Cause.Error()
}

func (e *Error) Unwrap() error { return e.Cause }

// Of says what to answer for err. A nil err is 250; an error nobody has
// classified is temporary, because a bug of ours must never lose mail.
func Of(err error) Reply {
	var e *Error
	switch {
	case err == nil:
		return Reply{250, Enhanced{2, 0, 0}, "OK"}
	case errors.As(err, &e):
		return e.Reply
	case errors.Is(err, context.Canceled):
		return Reply{421, Enhanced{4, 3, 2}, "shutting down"}
	case errors.Is(err, context.DeadlineExceeded):
		return Reply{451, Enhanced{4, 4, 1}, "timed out"}
	}
	return Reply{451, Enhanced{4, 3, 0}, "local error, please try again"}
}
