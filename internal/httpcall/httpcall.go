// Package httpcall reads what became of a call over HTTP, for those that tell
// applications something that way.
package httpcall

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// NotConnected reports whether an error of http.Client.Do says that nobody was
// connected to, or not with the TLS that is wanted: that is no fault of what
// was to be said, and the other side has heard nothing of it.
func NotConnected(err error) bool {
	var op *net.OpError
	var name *net.DNSError
	var cert *tls.CertificateVerificationError
	var noTLS tls.RecordHeaderError
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, &name) || errors.As(err, &cert) || errors.As(err, &noTLS) ||
		errors.Is(err, http.ErrSchemeMismatch)
}

// Bare gives an error of a call without the URL, in which there may be a
// password or a token.
func Bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// RetryAfter reads the value of the header Retry-After (RFC 9110 section
// 10.2.3): seconds or a date. What is neither, or past, is 0.
func RetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(0, at.Sub(now))
}
