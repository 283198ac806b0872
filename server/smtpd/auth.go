package smtpd

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"homing/internal/reply"
)

// Refusals of AUTH (RFC 4954 sections 4 and 6).
var (
	errCancelled  = reply.Errorf(501, reply.Enhanced{5, 7, 0}, "authentication cancelled")
	errBase64     = reply.Errorf(501, reply.Enhanced{5, 5, 2}, "not base64")
	errMechanism  = reply.Errorf(504, reply.Enhanced{5, 5, 4}, "mechanism is not offered")
	errPassword   = reply.Errorf(535, reply.Enhanced{5, 7, 8}, "user name or password is wrong")
	errLogins     = reply.Errorf(421, reply.Enhanced{4, 7, 0}, "too many failed logins, please try again later")
	errNeedsTLS   = reply.Errorf(538, reply.Enhanced{5, 7, 11}, "say STARTTLS first")
	errNoAuth     = reply.Errorf(502, reply.Enhanced{5, 5, 1}, "AUTH is not offered")
	errAuthedOnce = reply.Errorf(503, reply.Enhanced{5, 5, 1}, "logged in already")
)

// authOffered reports whether EHLO lists AUTH.
func (e *edge) authOffered() bool {
	return e.o.Auth && !e.authed && (e.secure() || e.o.AllowInsecureAuth)
}

// auth carries out AUTH with PLAIN (RFC 4616) or LOGIN. go-smtp does not see
// it: its lines may be longer than others, and failures count.
func (e *edge) auth(arg string) string {
	switch {
	case !e.o.Auth:
		e.refuse(errNoAuth)
	case e.authed:
		e.refuse(errAuthedOnce)
	case !e.authOffered():
		e.refuse(errNeedsTLS)
	case e.o.AuthLimiter.Blocked(e.who.Remote):
		e.o.Metrics.authFailed(e.o.Kind)
		e.refuse(errLogins)
	default:
		e.login(arg)
	}
	return ""
}

func (e *edge) login(arg string) {
	user, password, err := e.sasl(arg)
	if err == nil {
		err = e.call("Auth", func() error { return e.sess.Auth(e.ctx, user, password) })
	}
	if err == nil {
		e.authed = true
		e.ok(235, reply.Enhanced{2, 7, 0}, "logged in")
		return
	}
	e.o.Metrics.authFailed(e.o.Kind)
	if errors.Is(err, errLost) {
		e.hangUp(err)
		return
	}
	r := e.verdict(err)
	switch {
	case r.Code == 535:
		e.o.AuthLimiter.Failed(e.who.Remote)
		e.o.Log.Info("login failed", "listener", e.o.Kind, "peer", e.who.Remote)
	case r.Code == 451: // RFC 4954 section 6
		r.Code, r.Enhanced = 454, reply.Enhanced{4, 7, 0}
	}
	e.refuse(&reply.Error{Reply: r})
}

// sasl asks for user name and password. The error is an answer, or that of the
// connection.
func (e *edge) sasl(arg string) (user, password string, err error) {
	mechanism, initial, _ := strings.Cut(arg, " ")
	switch {
	case strings.EqualFold(mechanism, "PLAIN"):
		user, password, err = e.saslPlain(initial)
	case strings.EqualFold(mechanism, "LOGIN"):
		if user, err = e.response("Username:", initial); err == nil {
			password, err = e.response("Password:", "")
		}
	default:
		err = errMechanism
	}
	if err == nil && (user == "" || !utf8.ValidString(user) || strings.IndexFunc(user, unicode.IsControl) >= 0) {
		err = errPassword
	}
	return user, password, err
}

// saslPlain asks for a message of RFC 4616. Acting as somebody else than the
// one whose password it is is not possible here.
func (e *edge) saslPlain(initial string) (user, password string, err error) {
	message, err := e.response("", initial)
	if err != nil {
		return "", "", err
	}
	parts := strings.Split(message, "\x00")
	if len(parts) != 3 || parts[0] != "" && parts[0] != parts[1] {
		return "", "", errPassword
	}
	return parts[1], parts[2], nil
}

// response gives what the peer answers to a challenge, decoded, or what it has
// answered before it was asked: initial, where it is not empty.
func (e *edge) response(challenge, initial string) (string, error) {
	encoded := []byte(initial)
	if initial == "" {
		e.say(reply.Reply{Code: 334, Text: base64.StdEncoding.EncodeToString([]byte(challenge))})
		line, err := e.line(true, false)
		if err != nil {
			return "", err
		}
		encoded = line
	}
	if string(encoded) == "*" && initial == "" {
		return "", errCancelled
	}
	if string(encoded) == "=" && initial != "" {
		return "", nil // an empty response that comes with the command
	}
	decoded := make([]byte, base64.StdEncoding.DecodedLen(len(encoded)))
	n, err := base64.StdEncoding.Decode(decoded, bytes.TrimRight(encoded, " "))
	if err != nil {
		return "", errBase64
	}
	return string(decoded[:n]), nil
}
