package web

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"homing/internal/terminal"
)

// answer writes v as JSON that can be shown on a terminal.
func (w *Web) answer(rw http.ResponseWriter, v any) { w.answerAs(rw, http.StatusOK, v) }

// answerAs is answer with a status of its own.
func (w *Web) answerAs(rw http.ResponseWriter, status int, v any) {
	text, err := terminal.JSON(v)
	if err != nil {
		w.Log.Error("an answer cannot be written as JSON", "err", err)
		problem(rw, http.StatusInternalServerError, "the request failed; the server's log says why")
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	rw.Write(text) // whoever asked may be gone
}

// A Problem is an error as the API words it (RFC 9457 section 3.1).
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"` // a sentence for people
}

// problem writes an error as RFC 9457 says.
func problem(rw http.ResponseWriter, status int, detail string) {
	writeProblem(rw, status, Problem{Title: http.StatusText(status), Status: status, Detail: detail})
}

// writeProblem writes an error that may say more than a Problem.
func writeProblem(rw http.ResponseWriter, status int, v any) {
	text, err := terminal.JSON(v)
	if err != nil { // texts and numbers
		text = []byte("{}\n")
	}
	rw.Header().Set("Content-Type", "application/problem+json")
	rw.WriteHeader(status)
	rw.Write(text)
}

// A refusal is an error that is the asker's, with its status.
type refusal struct {
	status    int
	detail    string // a sentence for people
	challenge string // more of WWW-Authenticate, where the status has one
}

func (e refusal) Error() string { return e.detail }

// bad is a refusal of what a request says.
func bad(err error) error { return refusal{status: http.StatusBadRequest, detail: err.Error()} }

// announce sets the header fields that go with an error, where it is a refusal.
func announce(rw http.ResponseWriter, err error) {
	var e refusal
	if !errors.As(err, &e) {
		return
	}
	switch e.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		rw.Header().Set("WWW-Authenticate", `Bearer realm="homing"`+e.challenge) // RFC 6750 section 3
	case http.StatusTooManyRequests:
		rw.Header().Set("Retry-After", "60")
	}
}

// decode reads a body that is one JSON object with the fields of into. It
// reports whether it could; if not, it has answered.
func decode(rw http.ResponseWriter, r *http.Request, into any) bool {
	if !isA(rw, r, "application/json", "JSON") {
		return false
	}
	d := json.NewDecoder(http.MaxBytesReader(rw, r.Body, maxRequest))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		badBody(rw, "reading the JSON in the body", err)
		return false
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		badBody(rw, "reading the JSON in the body", errors.New("there is more after the first object"))
		return false
	}
	return true
}

// isA reports whether the body is of a type. If not, it has answered.
func isA(rw http.ResponseWriter, r *http.Request, kind, name string) bool {
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && got == kind {
		return true
	}
	rw.Header().Set("Accept", kind)
	problem(rw, http.StatusUnsupportedMediaType, fmt.Sprintf("the body must be %s, with Content-Type: %s", name, kind))
	return false
}

// badBody answers an error of reading a body.
func badBody(rw http.ResponseWriter, doing string, err error) {
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		problem(rw, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d octets", long.Limit))
		return
	}
	problem(rw, http.StatusBadRequest, doing+": "+err.Error())
}

// parameters reads the query, of which nothing but the allowed names may be
// there: a name that is misspelt would ask for something else.
func parameters(r *http.Request, allowed ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("reading the query: %w", err)
	}
	for name := range values {
		if !slices.Contains(allowed, name) {
			return nil, fmt.Errorf("there is no parameter %q here; possible are: %s", name, cmp.Or(strings.Join(allowed, ", "), "none"))
		}
	}
	return values, nil
}

// mostRows is how many rows of anything one answer has at most.
const mostRows = 1000

// limitOf reads the parameter limit; 0: it is not there.
func limitOf(values url.Values) (int, error) {
	text := values.Get("limit")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > mostRows {
		return 0, fmt.Errorf("limit: want a number from 1 to %d, got %q", mostRows, text)
	}
	return n, nil
}
