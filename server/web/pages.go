package web

import (
	"bytes"
	_ "embed" // of the pages
	"fmt"
	"html/template"
	"net/http"
	"time"
)

//go:embed pages.html
var pagesText string

// pages are those that people see who have a token.
var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"clock": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") },
	"size":  octets,
}).Parse(pagesText))

// octets words a size.
func octets(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d octets", n)
}

// pagePolicy is what a page of ours may do: show frames of this server, send
// forms to it, and nothing else. There is no script.
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// A sheet is what a page is made of.
type sheet struct {
	Caller   string // in the words of the log; "" before the login
	Operator bool
	Page     any
}

// page answers a page.
func (w *Web) page(rw http.ResponseWriter, r *http.Request, status int, name string, v any) {
	c := callerOf(r)
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, sheet{Caller: c.name, Operator: c.operator, Page: v}); err != nil {
		w.failed(rw, r, err)
		return
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.Header().Set("Content-Security-Policy", pagePolicy)
	rw.Header().Set("Referrer-Policy", "no-referrer")
	rw.WriteHeader(status)
	rw.Write(body.Bytes()) // whoever asked may be gone
}

// A sorryPage says what went wrong.
type sorryPage struct {
	Title, Detail string
	Login         bool
}

// sorry answers an error: a browser with a page, a program as the API does.
func (w *Web) sorry(rw http.ResponseWriter, r *http.Request, err error) {
	if !wantsPage(r) {
		w.failed(rw, r, err)
		return
	}
	announce(rw, err)
	status, detail := w.explain(r, err)
	w.page(rw, r, status, "sorry", sorryPage{http.StatusText(status), detail, status == http.StatusUnauthorized})
}
