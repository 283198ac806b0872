package web

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// cookieName is the cookie in which a browser keeps its token until it is
// closed.
const cookieName = "homing_token"

// kept gives the token of the cookie.
func kept(r *http.Request) (secret string, given bool) {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return "", false
	}
	return c.Value, true
}

// keep sets the cookie; an empty token takes it away. No script can read it, no
// other site can have it sent (RFC 6265bis section 5.6.7), and where the page
// came over TLS it goes over nothing else.
func keep(rw http.ResponseWriter, r *http.Request, secret string) {
	c := &http.Cookie{Name: cookieName, Value: secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: overTLS(r)}
	if secret == "" {
		c.MaxAge = -1
	}
	http.SetCookie(rw, c)
}

// overTLS reports whether a browser speaks TLS, with us or with a web server in
// front. What a form was sent from says so where that web server does not.
func overTLS(r *http.Request) bool {
	return r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" || strings.HasPrefix(r.Header.Get("Origin"), "https://")
}

// foreign is the refusal of a form that another site had a browser send. It is
// nil for programs, which say nothing of where a request comes from.
func foreign(r *http.Request) error {
	if new(http.CrossOriginProtection).Check(r) == nil {
		return nil
	}
	return refusal{status: http.StatusForbidden, detail: "this form was sent by another site, or the web server in front changes the Host of a request: nginx keeps it with proxy_set_header Host $http_host, Apache with ProxyPreserveHost On"}
}

// A loginPage asks for a token.
type loginPage struct {
	Next  string // where to go then
	Why   string // what is wrong with the last one
	Known bool   // perhaps the browser has one, which it does not send to whom another site links to
}

func (w *Web) askLogin(rw http.ResponseWriter, r *http.Request) {
	next := ownPath(r.URL.Query().Get("next"))
	w.page(rw, r, http.StatusOK, "login", loginPage{Next: next, Known: r.URL.Query().Has("next")})
}

// login keeps the token of the form in the browser.
func (w *Web) login(rw http.ResponseWriter, r *http.Request) {
	err := foreign(r)
	if err == nil {
		err = form(rw, r)
	}
	if err != nil {
		w.sorry(rw, r, err)
		return
	}
	secret, next := strings.TrimSpace(r.PostForm.Get("token")), ownPath(r.PostForm.Get("next"))
	_, err = w.admit(r, secret)
	if err != nil && !wantsPage(r) {
		w.failed(rw, r, err)
		return
	}
	if err != nil {
		announce(rw, err)
		status, detail := w.explain(r, err)
		w.page(rw, r, status, "login", loginPage{Next: next, Why: detail})
		return
	}
	keep(rw, r, secret)
	http.Redirect(rw, r, next, http.StatusSeeOther)
}

func (w *Web) logout(rw http.ResponseWriter, r *http.Request) {
	if err := foreign(r); err != nil {
		w.sorry(rw, r, err)
		return
	}
	keep(rw, r, "")
	http.Redirect(rw, r, "/login", http.StatusSeeOther)
}

// turnAway answers whom a page is not for: a browser without a token gets to
// the login.
func (w *Web) turnAway(rw http.ResponseWriter, r *http.Request, err error) {
	status, _ := w.explain(r, err)
	if status != http.StatusUnauthorized || !wantsPage(r) {
		w.sorry(rw, r, err)
		return
	}
	if _, given := kept(r); given {
		keep(rw, r, "") // it is good for nothing any more
	}
	next := homePage
	if r.Method == http.MethodGet {
		next = r.URL.RequestURI()
	}
	http.Redirect(rw, r, "/login?next="+url.QueryEscape(next), http.StatusSeeOther)
}

// homePage is where somebody gets who wanted nothing else.
const homePage = "/captured"

// ownPath gives a path of this server with its query, as somebody asked for it;
// homePage for what is anything else, which would lead to another site.
func ownPath(next string) string {
	u, err := url.ParseRequestURI(next) // no control characters
	if err != nil || u.Scheme != "" || u.Host != "" || strings.Contains(next, `\`) || !strings.HasPrefix(next, "/") || path.Clean(u.EscapedPath()) != u.EscapedPath() {
		return homePage
	}
	return u.RequestURI()
}

// form reads the form in a body. The error is a refusal.
func form(rw http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(rw, r.Body, maxRequest)
	err := r.ParseForm()
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return refusal{status: http.StatusRequestEntityTooLarge, detail: "the form is too long"}
	case err != nil:
		return bad(err)
	}
	return nil
}
