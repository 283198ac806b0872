package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"homing/event"
	"homing/hold"
	"homing/internal/message"
	"homing/store"
)

// A Hold is what is known against an address, as the API words it.
type Hold struct {
	Address string  `json:"address"`
	Held    bool    `json:"held"` // some mail of some application is stopped
	Scopes  []Scope `json:"scopes"`
}

// A Scope is what counts for one application; "" is all of them.
type Scope struct {
	Application string     `json:"application"`
	Released    *time.Time `json:"released,omitempty"` // the last release; older evidence counts no more
	Holds       []Reason   `json:"holds"`
	Evidence    []Evidence `json:"evidence"` // counts, but holds nothing yet
}

// A Reason is one hold and why.
type Reason struct {
	Since    time.Time  `json:"since"`
	Until    *time.Time `json:"until"`             // null: until released
	BulkOf   string     `json:"bulk_of,omitempty"` // stops only bulk mail of this domain
	By       string     `json:"by"`
	Rule     string     `json:"rule"`
	Reason   string     `json:"reason"`
	Evidence []Evidence `json:"evidence"`
}

// Evidence is one thing that was said.
type Evidence struct {
	Time     time.Time        `json:"time"`
	Message  event.MessageID  `json:"message,omitzero"`
	Delivery event.DeliveryID `json:"delivery,omitzero"`
	Sync     bool             `json:"sync"`
	Related  bool             `json:"related"` // a report's peer is related to the recipient's MX
	event.Outcome
}

func describe(r hold.Record, now time.Time) *Hold {
	out := &Hold{Address: r.Address, Scopes: make([]Scope, 0, len(r.Scopes))}
	for _, s := range r.Scopes {
		scope := Scope{Application: s.Application, Holds: []Reason{}, Evidence: evidence(s.Marks)}
		if !s.Epoch.IsZero() {
			scope.Released = utc(s.Epoch)
		}
		for _, h := range s.Holds {
			if !h.Until.IsZero() && !now.Before(h.Until) {
				continue
			}
			why := Reason{Since: h.Since.UTC(), BulkOf: h.Domain, By: h.By, Rule: h.Rule, Reason: h.Reason, Evidence: evidence(h.Marks)}
			if !h.Until.IsZero() {
				why.Until = utc(h.Until)
			}
			scope.Holds = append(scope.Holds, why)
			out.Held = true
		}
		out.Scopes = append(out.Scopes, scope)
	}
	return out
}

func evidence(marks []hold.Mark) []Evidence {
	out := make([]Evidence, 0, len(marks))
	for _, m := range marks {
		out = append(out, Evidence{Time: m.Time.UTC(), Message: event.MessageID(m.Message), Delivery: event.DeliveryID(m.Delivery),
			Sync: m.Sync, Related: m.Related, Outcome: event.Outcome{Class: m.Class, Reason: m.Reason, CiviCRM: m.CiviCRM, Code: m.Code,
				Status: m.Status, Diagnostic: m.Diagnostic, RemoteMTA: m.RemoteMTA, Rule: m.Rule, Matched: m.Matched}})
	}
	return out
}

// Holds is a page of holds.
type Holds struct {
	Holds []*Hold `json:"holds"`
	Next  string  `json:"next,omitempty"`
}

// A holdFilter says which holds are asked for.
type holdFilter struct {
	all    bool // also addresses against which something is known that holds nothing yet
	rule   string
	since  time.Time
	serves func(address string) bool // nil: it does not matter who takes its mail
}

func (f holdFilter) wants(h *Hold) bool {
	if f.serves != nil && !f.serves(h.Address) {
		return false
	}
	if f.rule == "" && f.since.IsZero() {
		return h.Held || f.all
	}
	for _, s := range h.Scopes {
		for _, r := range s.Holds {
			if (f.rule == "" || r.Rule == f.rule) && !r.Since.Before(f.since) {
				return true
			}
		}
	}
	return false
}

// listHolds lists the addresses that are on hold.
func (w *Web) listHolds(rw http.ResponseWriter, r *http.Request) {
	v, err := parameters(r, "domain", "provider", "application", "rule", "since", "all", "after", "limit")
	if err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	q := store.Query{Holds: true, Domain: hold.CanonicalDomain(v.Get("domain")), Application: v.Get("application"), After: v.Get("after")}
	f := holdFilter{all: v.Get("all") != "", rule: v.Get("rule")}
	if provider := v.Get("provider"); provider != "" {
		f.serves = func(address string) bool {
			domain := address[strings.LastIndexByte(address, '@')+1:]
			return strings.EqualFold(w.Queue.Provider(store.Key{Domain: domain}), provider)
		}
	}
	if f.since, err = w.ago(v, "since"); err == nil {
		q.Max, err = limitOf(v)
	}
	if err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	var ok bool
	if q.Application, ok = within(rw, r, q.Application); !ok {
		return
	}
	page, err := w.Store.Find(r.Context(), q)
	if err != nil {
		w.failed(rw, r, err)
		return
	}
	out := Holds{Holds: []*Hold{}, Next: page.Next}
	for _, record := range page.Holds {
		if h := describe(callerOf(r).part(record), w.Now()); f.wants(h) {
			out.Holds = append(out.Holds, h)
		}
	}
	w.answer(rw, out)
}

// hold gives what is known of an address, as far as the caller may see it.
func (w *Web) hold(r *http.Request, canonical string) (hold.Record, error) {
	record, err := w.Queue.Record(r.Context(), canonical)
	return callerOf(r).part(record), err
}

// part is what a caller may see of a record: what counts for its application.
// Of what counts for all it sees that it does, and not what came of the mail of
// others, nor holds on the bulk mail of one domain.
func (c caller) part(r hold.Record) hold.Record {
	if c.operator {
		return r
	}
	var scopes []hold.Scope
	for _, s := range r.Scopes {
		switch s.Application {
		case c.application:
			scopes = append(scopes, s)
		case "":
			var holds []hold.Hold
			for _, h := range s.Holds {
				if h.Domain == "" {
					h.Marks = nil
					holds = append(holds, h)
				}
			}
			if len(holds) > 0 {
				scopes = append(scopes, hold.Scope{Epoch: s.Epoch, Holds: holds})
			}
		}
	}
	r.Scopes = scopes
	return r
}

// mayRelease reports whether the caller may release an address. What counts for
// all applications none of them may take away. If not, it has answered.
func (w *Web) mayRelease(rw http.ResponseWriter, r *http.Request) bool {
	if callerOf(r).operator {
		return true
	}
	record, err := w.Queue.Record(r.Context(), r.PathValue("address"))
	if err != nil {
		w.failed(rw, r, err)
		return false
	}
	for _, s := range record.Scopes {
		if s.Application == "" && len(s.Holds)+len(s.Marks) > 0 {
			forbidden(rw, "this address is on hold for all applications, which only an operator may end: `homing hold release`")
			return false
		}
	}
	return true
}

func (w *Web) showHold(rw http.ResponseWriter, r *http.Request) {
	if _, err := parameters(r); err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	record, err := w.hold(r, hold.Canonical(r.PathValue("address")))
	if err == nil && len(record.Scopes) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		w.failed(rw, r, err)
		return
	}
	w.answer(rw, describe(record, w.Now()))
}

// AddHold is the request to put an address on hold.
type AddHold struct {
	Address     string     `json:"address"`
	Application string     `json:"application,omitempty"` // "": all
	Reason      string     `json:"reason,omitempty"`
	By          string     `json:"by,omitempty"`
	Until       *time.Time `json:"until,omitempty"` // null: until released
}

// maxWords is how long the operator's words in a hold may be, in octets.
const maxWords = 1000

// check says what is wrong with a request.
func (a AddHold) check(w *Web) error {
	switch {
	case !isAddress(a.Address):
		return fmt.Errorf("address: want something like ann@example.net, got %q", a.Address)
	case len(a.Reason) > maxWords || len(a.By) > maxWords:
		return fmt.Errorf("reason, by: want at most %d octets", maxWords)
	case a.Until != nil && !a.Until.After(w.Now()):
		return errors.New("until: want a time that is still to come, or null")
	}
	return w.checkApplication(a.Application)
}

// isAddress reports whether a text is an address of which something can be
// known.
func isAddress(s string) bool {
	_, _, ok := message.SplitAddress(s)
	return ok && len(s) <= 320 && utf8.ValidString(s)
}

// checkApplication says that nobody has the name: a hold for it would stop
// nothing.
func (w *Web) checkApplication(name string) error {
	if name == "" || w.Knows(name) {
		return nil
	}
	return fmt.Errorf("application: there is none called %q", name)
}

func (w *Web) addHold(rw http.ResponseWriter, r *http.Request) {
	var in AddHold
	if !decode(rw, r, &in) {
		return
	}
	var ok bool
	if in.Application, ok = within(rw, r, in.Application); !ok {
		return
	}
	if err := in.check(w); err != nil {
		problem(rw, http.StatusUnprocessableEntity, err.Error())
		return
	}
	h := hold.Hold{By: callerOf(r).by(in.By), Reason: in.Reason}
	if in.Until != nil {
		h.Until = *in.Until
	}
	if err := w.Queue.AddHold(r.Context(), in.Address, in.Application, h); err != nil {
		w.failed(rw, r, err)
		return
	}
	record, err := w.hold(r, hold.Canonical(in.Address))
	if err != nil {
		w.failed(rw, r, err)
		return
	}
	w.answer(rw, describe(record, w.Now()))
}

func (w *Web) releaseHold(rw http.ResponseWriter, r *http.Request) {
	v, err := parameters(r, "application")
	if err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	application, ok := within(rw, r, v.Get("application"))
	if !ok {
		return
	}
	if err := w.checkApplication(application); err != nil {
		problem(rw, http.StatusUnprocessableEntity, err.Error())
		return
	}
	if !w.mayRelease(rw, r) {
		return
	}
	released, err := w.Queue.Release(r.Context(), r.PathValue("address"), application)
	if err == nil && !released {
		err = store.ErrNotFound
	}
	if err != nil {
		w.failed(rw, r, err)
		return
	}
	w.answer(rw, struct {
		Released bool `json:"released"`
	}{true})
}
