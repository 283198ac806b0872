package smtpd

import (
	"crypto/tls"
	"log/slog"
	"time"
)

// A Kind is which protocol a listener speaks.
type Kind int

// The kinds of listeners.
const (
	SMTP       Kind = iota // an MX (RFC 5321)
	Submission             // for applications (RFC 6409, 8314)
	LMTP                   // RFC 2033
)

// String gives the word that metrics and logs use.
func (k Kind) String() string {
	switch k {
	case Submission:
		return "submission"
	case LMTP:
		return "lmtp"
	}
	return "smtp"
}

// protocol is the word of the greeting.
func (k Kind) protocol() string {
	if k == LMTP {
		return "LMTP"
	}
	return "ESMTP"
}

// Options are what a Server is told. The zero value of a limit is the default
// that its comment names.
type Options struct {
	Hostname string // in the greeting and at EHLO
	Kind     Kind

	TLS         *tls.Config // nil: no STARTTLS
	ImplicitTLS bool        // TLS begins with the connection (RFC 8314)

	// Auth offers "PLAIN LOGIN", inside TLS only unless AllowInsecureAuth
	// says that the way to the peer is safe, as loopback is.
	Auth              bool
	AllowInsecureAuth bool
	AuthLimiter       *AuthLimiter // nil: logins may fail as often as they like

	SMTPUTF8   bool // offers RFC 6531
	DSN        bool // offers RFC 3461
	RequireTLS bool // offers RFC 8689, inside TLS only
	Chunking   bool // offers BDAT (RFC 3030) as another way to send a message, without BINARYMIME

	MaxMessage    int64 // octets; 0 is no limit. More: 552 5.3.4
	AdvertiseSize bool  // says MaxMessage at EHLO; else SIZE has no number
	MaxRecipients int   // of one transaction; 0 is 1,000. More: 452 4.5.3
	MaxErrors     int   // of one connection; 0 is 20. Then 421 4.7.0

	// Over MaxPerAddress the greeting is 421 4.7.0. Over MaxConnections it is
	// 421 4.3.2 with SMTP; with Submission and LMTP the next connection waits
	// until one ends, because their clients take a refusal for a bounce.
	// 0 is no limit.
	MaxConnections, MaxPerAddress int

	// HelloTimeout is how long a connection may last without EHLO, and how
	// long TLS may take to begin: 0 is 60 s with SMTP and 5 min elsewhere.
	// IdleTimeout is for one whole command, and for silence within a message:
	// 0 is 1 h with Submission and 5 min elsewhere.
	HelloTimeout, IdleTimeout time.Duration
	// MinRate, in octets per second, is how fast a message comes at least, a
	// first minute apart; what we ourselves take does not count. 0 is 500 with
	// SMTP and LMTP; with Submission it is no limit. Negative is no limit.
	MinRate int
	// Grace is how long messages that are under way at shutdown may take
	// before they are cut: 0 is 10 s.
	Grace time.Duration

	Log     *slog.Logger     // nil discards
	Now     func() time.Time // nil is time.Now; deadlines are set by it, so it must run as the network's
	Metrics *Metrics         // nil counts nothing
}

// withDefaults fills in what is zero.
func (o Options) withDefaults() *Options {
	hello, idle, rate := 60*time.Second, 5*time.Minute, 500
	switch o.Kind {
	case Submission:
		hello, idle, rate = 5*time.Minute, time.Hour, -1
	case LMTP:
		hello = 5 * time.Minute
	}
	orElse(&o.HelloTimeout, hello)
	orElse(&o.IdleTimeout, idle)
	orElse(&o.MinRate, rate)
	orElse(&o.MaxRecipients, 1000)
	orElse(&o.MaxErrors, 20)
	orElse(&o.Grace, 10*time.Second)
	orElse(&o.Log, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	return &o
}

func orElse[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
