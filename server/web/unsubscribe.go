package web

import (
	"bytes"
	_ "embed" // of the page
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"homing/verp"
)

//go:embed unsubscribe.html
var unsubscribeText string

var unsubscribePage = template.Must(template.New("").Parse(unsubscribeText))

// A notice is what a person sees who follows an unsubscribe link.
type notice struct {
	Title, Text string
	Ask         bool // with the button
}

// askUnsubscribe shows a page with one button. It changes nothing: programs that
// look at every link of a mail come here (RFC 8058 section 3.1).
func (w *Web) askUnsubscribe(rw http.ResponseWriter, r *http.Request) {
	l, err := w.Link(r.PathValue("link"))
	if err != nil {
		w.noLink(rw, r, l, err)
		return
	}
	w.notice(rw, r, http.StatusOK, notice{Title: "Unsubscribe?", Ask: true,
		Text: fmt.Sprintf("Mailings of %s to %s will stop.", l.Domain, veiled(l.Recipient))})
}

// unsubscribe does it. What is in the body does not matter: mail programs post
// "List-Unsubscribe=One-Click", and so does the button (RFC 8058 section 3.2).
func (w *Web) unsubscribe(rw http.ResponseWriter, r *http.Request) {
	l, err := w.Link(r.PathValue("link"))
	if err == nil {
		err = w.Unsubscribe(r.Context(), l)
	}
	if err != nil {
		w.noLink(rw, r, l, err)
		return
	}
	w.notice(rw, r, http.StatusOK, notice{Title: "Unsubscribed",
		Text: fmt.Sprintf("%s gets no more mailings of %s.", veiled(l.Recipient), l.Domain)})
}

// noLink says why a link does nothing.
func (w *Web) noLink(rw http.ResponseWriter, r *http.Request, l verp.Link, err error) {
	switch {
	case errors.Is(err, verp.ErrExpired):
		w.notice(rw, r, http.StatusGone, notice{Title: "This link is too old",
			Text: fmt.Sprintf("Please use the link of a newer mail, or answer one, to get no more mailings of %s.", l.Domain)})
	case errors.Is(err, verp.ErrForged), errors.Is(err, verp.ErrNotVERP):
		w.notice(rw, r, http.StatusNotFound, notice{Title: "This link is not whole",
			Text: "Perhaps a piece of it is missing. Please copy all of it from the mail, or answer the mail."})
	default:
		status, detail := w.explain(r, err)
		w.Log.Error("an unsubscribe link could not be heeded", "err", err)
		w.notice(rw, r, status, notice{Title: "Please try again later", Text: "This did not work: " + detail + "."})
	}
}

// notice answers a person with a page, and a program with a line.
func (w *Web) notice(rw http.ResponseWriter, r *http.Request, status int, n notice) {
	rw.Header().Add("Vary", "Accept")
	rw.Header().Set("Referrer-Policy", "no-referrer")
	rw.Header().Set("X-Robots-Tag", "noindex")
	var body bytes.Buffer
	if wantsPage(r) {
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		rw.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
		if err := unsubscribePage.Execute(&body, n); err != nil {
			w.failed(rw, r, err)
			return
		}
	} else {
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(&body, "%s\n%s\n", n.Title, n.Text)
	}
	rw.WriteHeader(status)
	rw.Write(body.Bytes()) // whoever asked may be gone
}

// veiled shows so much of an address that its owner knows it again: the link may
// be in other hands.
func veiled(address string) string {
	local, domain, _ := strings.Cut(address, "@")
	shown := []rune(local)
	return string(shown[:min(len(shown), 2)]) + "…@" + domain
}
