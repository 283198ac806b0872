package civicrm

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"homing/event"
	"homing/internal/httpcall"
	"homing/internal/publicnet"
)

const (
	callTime  = time.Minute
	maxAnswer = 4 << 20 // octets of an answer that are read
	maxHeader = 64 << 10
	// idleTime is less than web servers keep a connection (Apache: 5 s), so
	// that a call does not meet one that is being closed: nobody knows what
	// became of it then.
	idleTime = 4 * time.Second
	endPoint = "civicrm/ajax/rest"
)

// An api makes calls. Redirects are not followed, and the environment's proxy
// is not used: both would get the keys.
type api struct {
	c      Config
	client *http.Client
	before string // of the URL of a call; the path is between the two
	after  string
}

var errPublic = errors.New("the keys would go there unencrypted")

func newAPI(c Config) (*api, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("civicrm: the url of sink %q must begin with https:// or http:// and name a host", c.Name)
	}
	if c.APIKey == "" {
		return nil, fmt.Errorf("civicrm: sink %q has no API key", c.Name)
	}
	u.Fragment = ""
	if !strings.Contains(u.String(), endPoint) {
		u = u.JoinPath(endPoint)
	}
	a := &api{c: c}
	a.before, a.after, _ = strings.Cut(u.String(), endPoint)
	dialer := &net.Dialer{Timeout: c.Timeout, Resolver: c.Resolver}
	if u.Scheme == "http" {
		dialer.Control = near
	}
	a.client = &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12},
			DisableCompression:     true,
			MaxIdleConnsPerHost:    8,
			IdleConnTimeout:        idleTime,
			MaxResponseHeaderBytes: maxHeader,
		},
	}
	return a, nil
}

// near refuses to connect to public addresses. It goes into net.Dialer.Control,
// where the name has been resolved.
func near(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if publicnet.Address(ap.Addr()) {
		return fmt.Errorf("%s: %w", ap.Addr(), errPublic)
	}
	return nil
}

// A row is what APIv4 gives of one record.
type row map[string]json.RawMessage

// formType is the type of a form without files.
const formType = "application/x-www-form-urlencoded"

// v3 makes a call of APIv3 and gives its values.
func (a *api) v3(ctx context.Context, entity, action string, params map[string]any) (json.RawMessage, error) {
	text, err := json.Marshal(params)
	if err != nil {
		return nil, fmt.Errorf("writing the call as JSON: %w", err)
	}
	form := url.Values{"entity": {entity}, "action": {action}, "json": {string(text)}}
	return a.post(ctx, entity+"."+action, a.before+endPoint+a.after, formType, strings.NewReader(form.Encode()))
}

// v4 makes a call of APIv4 and gives its rows.
func (a *api) v4(ctx context.Context, entity, action string, params map[string]any) ([]row, error) {
	text, err := json.Marshal(params)
	if err != nil {
		return nil, fmt.Errorf("writing the call as JSON: %w", err)
	}
	values, err := a.post(ctx, entity+"."+action, a.before+"civicrm/ajax/api4/"+entity+"/"+action+a.after, formType,
		strings.NewReader(url.Values{"params": {string(text)}}.Encode()))
	if err != nil {
		return nil, err
	}
	var rows []row
	if err := json.Unmarshal(values, &rows); err != nil {
		return nil, &callError{failure: event.Failure{Err: fmt.Errorf("%s.%s: the answer has no list of values", entity, action)}}
	}
	return rows, nil
}

// post makes a call and gives the values of its answer. Its errors that are of
// the site are *callError.
func (a *api) post(ctx context.Context, call, target, kind string, form io.Reader) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, a.c.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, form)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", httpcall.Bare(err))
	}
	h := req.Header
	h.Set("Content-Type", kind)
	h.Set("Accept", "application/json")
	h.Set("User-Agent", "Homing")
	h.Set("X-Requested-With", "XMLHttpRequest")
	h.Set("X-Civi-Auth", "Bearer "+a.c.APIKey)
	if a.c.SiteKey != "" {
		h.Set("X-Civi-Key", a.c.SiteKey)
	}
	values, err := a.answer(ctx, req)
	if e := (*callError)(nil); errors.As(err, &e) {
		e.failure.Err = fmt.Errorf("%s: %s", call, a.discreet(e.failure.Err.Error()))
	}
	return values, err
}

func (a *api) answer(ctx context.Context, req *http.Request) (json.RawMessage, error) {
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, a.unanswered(ctx, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case len(text) > maxAnswer:
		err = fmt.Errorf("the answer has more than %d octets", maxAnswer)
	case err != nil:
		err = fmt.Errorf("the answer broke off: %w", httpcall.Bare(err))
	}
	if err != nil {
		return nil, &callError{failure: event.Failure{Err: err}}
	}
	return a.judge(resp, bytes.TrimSpace(text))
}

// discreet gives a text without our keys, should a site repeat them, and
// without line ends.
func (a *api) discreet(text string) string {
	for _, secret := range []string{a.c.APIKey, a.c.SiteKey} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "…")
		}
	}
	return strings.Join(strings.Fields(text), " ")
}
