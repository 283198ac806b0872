package civicrm

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"homing/event"
	"homing/internal/httpcall"
)

// A callError is a call that did not succeed.
type callError struct {
	failure event.Failure
	status  int    // of HTTP; 0: no whole answer
	code    string // CiviCRM's error_code
}

func (e *callError) Error() string { return e.failure.Error() }
func (e *callError) Unwrap() error { return &e.failure }

// ofSite reports whether everything else would meet with an error as well.
func (e *callError) ofSite() bool { return e.failure.Fault == event.Down }

// answered reports whether the site gave a whole answer, whatever it says.
func (e *callError) answered() bool { return e.status != 0 }

// is reports whether an error is an answer of a kind.
func is(err error, kind func(*callError) bool) bool {
	var e *callError
	return errors.As(err, &e) && kind(e)
}

// unknownEntry is the error_code of what names no entry of the queue of a
// mailing.
const unknownEntry = "no_queue_event"

func (e *callError) unknown() bool {
	return e.code == unknownEntry || e.status == http.StatusOK && strings.Contains(e.Error(), "Queue event could not be found")
}

// denied reports whether the contact that acts may not make the call.
func (e *callError) denied() bool {
	if e.status == http.StatusForbidden || e.code == "unauthorized" {
		return true
	}
	text := strings.ToLower(e.Error())
	return strings.Contains(text, "permission") || strings.Contains(text, "authorization failed")
}

// absent reports whether the site's API has no such entity or action: it came
// with a later release, or APIv4 is not where it should be.
func (e *callError) absent() bool {
	return e.status == http.StatusNotFound || e.status != 0 && strings.Contains(e.Error(), "does not exist") && strings.Contains(e.Error(), "API (")
}

// Longest text of CiviCRM in an error, in octets.
const maxSaid = 200

// An answer is what both versions of the API say.
type answer struct {
	IsError json.RawMessage `json:"is_error"`
	Message string          `json:"error_message"`
	Code    json.RawMessage `json:"error_code"`
	Values  json.RawMessage `json:"values"`
}

// failed reports whether an answer is an error. PHP says it in many ways.
func (a answer) failed(status int) bool {
	switch strings.Trim(string(a.IsError), `"`) {
	case "", "0", "false", "null":
		return status != http.StatusOK || a.Message != ""
	}
	return true
}

// judge says what an answer means: its values, or a *callError.
func (a *api) judge(r *http.Response, text []byte) (json.RawMessage, error) {
	e := &callError{status: r.StatusCode}
	e.failure.After = httpcall.RetryAfter(r.Header.Get("Retry-After"), a.c.Now())
	if err := gate(r.StatusCode); err != nil {
		e.failure.Fault, e.failure.Err = event.Down, err
		return nil, e
	}
	var said answer
	switch err := json.Unmarshal(text, &said); {
	case r.StatusCode == http.StatusBadGateway, r.StatusCode == http.StatusServiceUnavailable, r.StatusCode == http.StatusGatewayTimeout:
		e.failure.Fault = event.Down
		e.failure.Err = fmt.Errorf("the site answers %s: it is in maintenance mode or overloaded; it is tried again by itself", statusOf(r.StatusCode))
		return nil, e
	case err != nil && bytes.HasPrefix(text, []byte("<")):
		e.failure.Fault = event.Down
		e.failure.Err = fmt.Errorf("the site answers %s with a page in place of data: it is in maintenance mode, or url is not that of CiviCRM", statusOf(r.StatusCode))
		return nil, e
	case err != nil && r.StatusCode == http.StatusForbidden:
		e.failure.Fault = event.Down
		e.failure.Err = fmt.Errorf("the site forbids the call (403 Forbidden): give the contact whose key it is the permissions of docs/CIVICRM.md, " +
			"and let the web server pass the headers X-Civi-Auth and X-Civi-Key on")
		return nil, e
	case err != nil, said.IsError == nil && said.Values == nil && said.Message == "":
		e.failure.Err = fmt.Errorf("the site answers %s, and nothing that CiviCRM would say", statusOf(r.StatusCode))
		return nil, e
	case !said.failed(r.StatusCode):
		return said.Values, nil
	}
	e.code = strings.Trim(string(said.Code), `"`)
	e.failure.Err = fmt.Errorf("CiviCRM says: %s", cmp.Or(clip(said.Message, maxSaid), statusOf(r.StatusCode)))
	return nil, e
}

// gate says what a status means at which the call did not even reach CiviCRM's
// API: everything else will meet with it too.
func gate(status int) error {
	said := statusOf(status)
	switch {
	case status == http.StatusUnauthorized:
		return fmt.Errorf("the site refuses the key (%s): put the API key of the contact into api_key_file, allow \"API key\" for the X-Header "+
			"under Administer, System Settings, Authentication (AuthX), then run `systemctl reload homing`", said)
	case status == http.StatusNotFound:
		return fmt.Errorf("the site has no such page (%s): write the address of CiviCRM, like https://crm.example.org, into url", said)
	case status == http.StatusTooManyRequests:
		return fmt.Errorf("the site wants fewer calls (%s)", said)
	case status >= 300 && status < 400:
		return fmt.Errorf("the site answers %s, and redirects are not followed: write the final address into url", said)
	}
	return nil
}

func statusOf(code int) string {
	return strings.TrimSpace(strconv.Itoa(code) + " " + http.StatusText(code))
}

// unanswered says what an error in place of an answer means. That nobody can be
// connected to is no fault of the fact.
func (a *api) unanswered(ctx context.Context, err error) error {
	err = httpcall.Bare(err)
	e := &callError{failure: event.Failure{Err: err}}
	switch {
	case errors.Is(err, errPublic):
		e.failure.Err = fmt.Errorf("%w: write https:// in url", err)
		e.failure.Fault = event.Down
	case httpcall.NotConnected(err):
		e.failure.Fault = event.Down
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		e.failure.Err = fmt.Errorf("no answer in time: %w", err)
	}
	return e
}
