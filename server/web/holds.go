package web

import (
	"encoding/json"
	"net/http"
	"time"

	"homing/event"
	"homing/hold"
	"homing/store"
)

// A Hold is what is known against an address, as the API words it.
type Hold struct {
	Address string  `json:"address"`
	Held    bool    `json:"held"` // any mail of any application is stopped
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

// listHolds lists the addresses that are on hold; ?all=1 also those against
// which something is known that holds nothing yet.
func (w *Web) listHolds(rw http.ResponseWriter, r *http.Request) {
	q, err := w.query(r)
	if err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	page, err := w.Store.Find(r.Context(), store.Query{Holds: true, After: q.After, Max: q.Max})
	if err != nil {
		w.failed(rw, err)
		return
	}
	out := Holds{Holds: []*Hold{}, Next: page.Next}
	for _, record := range page.Holds {
		if h := describe(record, w.Now()); h.Held || r.URL.Query().Get("all") != "" {
			out.Holds = append(out.Holds, h)
		}
	}
	answer(rw, out)
}

func (w *Web) showHold(rw http.ResponseWriter, r *http.Request) {
	record, err := w.Store.Hold(r.Context(), hold.Canonical(r.PathValue("address")))
	if err == nil && len(record.Scopes) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		w.failed(rw, err)
		return
	}
	answer(rw, describe(record, w.Now()))
}

// AddHold is the request to put an address on hold.
type AddHold struct {
	Address     string     `json:"address"`
	Application string     `json:"application"` // "": all
	Reason      string     `json:"reason"`
	By          string     `json:"by"`
	Until       *time.Time `json:"until"`
}

func (w *Web) addHold(rw http.ResponseWriter, r *http.Request) {
	var in AddHold
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		problem(rw, http.StatusBadRequest, "the body is not the JSON of a hold: "+err.Error())
		return
	}
	if !isAddress(in.Address) {
		problem(rw, http.StatusUnprocessableEntity, "address: want something like ann@example.net")
		return
	}
	h := hold.Hold{By: in.By, Reason: in.Reason}
	if in.Until != nil {
		h.Until = *in.Until
	}
	if err := w.Queue.AddHold(r.Context(), in.Address, in.Application, h); err != nil {
		w.failed(rw, err)
		return
	}
	record, err := w.Store.Hold(r.Context(), hold.Canonical(in.Address))
	if err != nil {
		w.failed(rw, err)
		return
	}
	answer(rw, describe(record, w.Now()))
}

func (w *Web) releaseHold(rw http.ResponseWriter, r *http.Request) {
	released, err := w.Queue.Release(r.Context(), r.PathValue("address"), r.URL.Query().Get("application"))
	if err == nil && !released {
		err = store.ErrNotFound
	}
	if err != nil {
		w.failed(rw, err)
		return
	}
	answer(rw, struct {
		Released bool `json:"released"`
	}{true})
}

// isAddress tells an address from a slip of the finger.
func isAddress(s string) bool {
	local, domain, ok := cutLast(s, '@')
	return ok && local != "" && domain != "" && len(s) <= 320
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == sep {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}
