package web

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"homing/event"
	"homing/server/token"
)

// Tokens says who may use the API from the network. *token.Keeper is one.
type Tokens interface {
	Verify(secret string) (token.Token, bool)
	Seen(ctx context.Context, t token.Token) error
	List() []token.Token
	Add(ctx context.Context, t token.Token) (secret string, err error)
	Rotate(ctx context.Context, name string, overlap time.Duration) (secret string, err error)
	Remove(ctx context.Context, name string) error
}

// A Limiter counts failures by address. *smtpd.AuthLimiter is one.
type Limiter interface {
	Blocked(addr net.Addr) bool
	Failed(addr net.Addr)
}

// A caller is who asks. The zero caller is nobody: it has no application.
type caller struct {
	operator    bool
	application string // of one that is no operator
	name        string // for the log, and for what is changed in its name
}

// callerKey is where the context of a request keeps its caller.
type callerKey struct{}

func as(r *http.Request, c caller) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
}

func callerOf(r *http.Request) caller {
	c, _ := r.Context().Value(callerKey{}).(caller)
	return c
}

// by says in whose name something is changed. An operator may say who it is.
func (c caller) by(said string) string {
	if c.operator && said != "" {
		return said
	}
	return c.name
}

// owns reports whether a caller may see what is an application's.
func (c caller) owns(application string) bool {
	return c.operator || application != "" && application == c.application
}

// hears reports whether a caller may see a fact: those of its application, and
// that somebody is held or released for all applications, and that a check of
// the server fails, which it may see as well.
func (c caller) hears(e event.Event) bool {
	forAll := e.Application == "" && e.Domain == "" && len(e.To) == 0 &&
		slices.Contains([]event.Type{event.Held, event.Released, event.CheckFailed, event.CheckRecovered}, e.Type)
	return c.owns(e.Application) || c.application != "" && forAll
}

// within gives the application that an answer is restricted to: the one that
// was asked for, which an application's token need not name. "": all. It
// reports false where it has answered that the caller may not see that one.
func within(rw http.ResponseWriter, r *http.Request, asked string) (application string, ok bool) {
	application, err := callerOf(r).within(asked)
	if err != nil {
		forbidden(rw, err.Error())
	}
	return application, err == nil
}

// within gives the application that an answer to the caller is restricted to;
// "": all. The error is a refusal.
func (c caller) within(asked string) (application string, err error) {
	switch {
	case c.operator, asked == c.application && asked != "":
		return asked, nil
	case asked == "" && c.application != "":
		return c.application, nil
	}
	return "", outOfScope(fmt.Sprintf("this token belongs to the application %s, and sees nothing of others", c.application))
}

// checked lets pass whom a route is for, on a listener of the network.
func (w *Web) checked(a access, answer http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		if a >= anybody || (a == neighbours || a == household) && neighbour(r) {
			answer(rw, r)
			return
		}
		c, err := w.identify(r, a.page())
		if err == nil && a != applications && a != household && a != visitors && !c.operator {
			w.Counts.refused("scope")
			err = outOfScope("this needs an operator's token, and this one belongs to the application " + c.application)
		}
		switch {
		case err == nil:
			answer(rw, as(r, c))
		case a.page():
			w.turnAway(rw, r, err)
		default:
			w.failed(rw, r, err)
		}
	}
}

// neighbour reports whether a request comes from this machine: over loopback
// or a Unix socket. What a web server here passes on for others, and says so, does
// not.
func neighbour(r *http.Request) bool {
	for _, name := range []string{"X-Forwarded-For", "X-Real-IP", "Forwarded"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if _, unix := local.(*net.UnixAddr); unix {
		return true
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && from.Addr().Unmap().IsLoopback()
}

// identify says who asks, by the token of the request: the one of its
// Authorization, or of its cookie where that counts. The error is a refusal.
func (w *Web) identify(r *http.Request, cookies bool) (caller, error) {
	secret, given := bearer(r)
	if !given && cookies {
		secret, given = kept(r)
	}
	if !given {
		return caller{}, refusal{status: http.StatusUnauthorized, detail: "this needs a token, as Authorization: Bearer TOKEN; on the server `homing token add` makes one"}
	}
	return w.admit(r, secret)
}

// admit says whose a token is. The error is a refusal.
func (w *Web) admit(r *http.Request, secret string) (caller, error) {
	t, ok := w.verify(secret)
	if !ok {
		return caller{}, w.wrongToken(r)
	}
	if !t.Operator && !w.Knows(t.Application) {
		w.Counts.refused("application")
		return caller{}, outOfScope(fmt.Sprintf("the application %s of this token was taken out of the configuration", t.Application))
	}
	if err := w.Tokens.Seen(r.Context(), t); err != nil { // nobody waits for it: the disk may be full
		w.Log.Warn("noting that a token was used failed", "token", t.Name, "err", err)
	}
	return caller{operator: t.Operator, application: t.Application, name: "token " + t.Name}, nil
}

// bearer gives the token of a request (RFC 6750 section 2.1).
func bearer(r *http.Request) (secret string, given bool) {
	scheme, secret, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.Trim(secret, " "), true
}

func (w *Web) verify(secret string) (token.Token, bool) {
	if w.Tokens == nil {
		return token.Token{}, false
	}
	return w.Tokens.Verify(secret)
}

// wrongToken says what to answer to a token that is nobody's. Who shows many of
// them is told to wait. One that is right counts all the same: behind a web
// server all come from one address, and nobody guesses 130 bits.
func (w *Web) wrongToken(r *http.Request) error {
	peer := peerOf(r)
	if w.Limiter != nil && w.Limiter.Blocked(peer) {
		w.Counts.refused("limited")
		return refusal{status: http.StatusTooManyRequests, detail: "too many wrong tokens came from this address; try again later with the right one"}
	}
	if w.Limiter != nil {
		w.Limiter.Failed(peer)
	}
	w.Counts.refused("token")
	w.Log.Info("a wrong token was shown", "peer", peer.String(), "path", r.URL.Path)
	return refusal{http.StatusUnauthorized, "this token is not known, or has expired: `homing token list` on the server shows those there are", `, error="invalid_token"`}
}

// peerOf is where a request comes from.
func peerOf(r *http.Request) net.Addr {
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return net.TCPAddrFromAddrPort(from)
	}
	return &net.UnixAddr{Name: r.RemoteAddr, Net: "unix"}
}

// outOfScope is the refusal of what a token may not do.
func outOfScope(detail string) refusal {
	return refusal{http.StatusForbidden, detail, `, error="insufficient_scope"`}
}

func forbidden(rw http.ResponseWriter, detail string) {
	e := outOfScope(detail)
	announce(rw, e)
	problem(rw, e.status, e.detail)
}
