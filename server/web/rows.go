package web

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"homing/event"
	"homing/hold"
	"homing/store"
)

// A Recipient is a row of the queue or of a journey, as the API words it.
type Recipient struct {
	Message     event.MessageID  `json:"message"`
	Delivery    event.DeliveryID `json:"delivery"`
	Recipient   string           `json:"recipient"`
	State       string           `json:"state"`
	Accepted    time.Time        `json:"accepted"`
	Attempts    int              `json:"attempts"`
	Next        *time.Time       `json:"next,omitempty"` // of one that waits
	Expires     *time.Time       `json:"expires,omitempty"`
	Ended       *time.Time       `json:"ended,omitempty"`
	Application string           `json:"application"`
	Domain      string           `json:"domain"`
	Sender      string           `json:"sender"`
	From        string           `json:"from"`
	ReturnPath  string           `json:"return_path"`
	Campaign    string           `json:"campaign,omitempty"`
	Subject     string           `json:"subject,omitempty"`
	Size        int64            `json:"size"`
	MTA         string           `json:"mta,omitempty"` // who said 250
	Last        *event.Outcome   `json:"last,omitempty"`
}

func recipient(r store.Row) Recipient {
	m, x := r.Message, r.Recipient
	out := Recipient{Message: m.ID, Delivery: x.ID, Recipient: x.Address, State: x.State.String(), Accepted: m.Accepted.UTC(),
		Attempts: x.Attempt, Application: m.Application, Domain: m.Domain, Sender: m.Sender, From: m.From,
		ReturnPath: x.ReturnPath, Campaign: m.Campaign, Subject: m.Subject, Size: x.Body.Size, MTA: x.MTA}
	if x.State == store.Waiting {
		out.Next, out.Expires = utc(x.Due), utc(x.Expires)
	}
	if x.State.Terminal() {
		out.Ended = utc(x.Ended)
	}
	if x.Last != (event.Outcome{}) {
		out.Last = &x.Last
	}
	return out
}

func utc(t time.Time) *time.Time { t = t.UTC(); return &t }

// A Recipients is a page of rows.
type Recipients struct {
	Recipients []Recipient `json:"recipients"`
	Hold       *Hold       `json:"hold,omitempty"` // of the one address asked for
	Next       string      `json:"next,omitempty"` // for ?after=
}

func recipients(p store.Page) Recipients {
	out := Recipients{Recipients: make([]Recipient, 0, len(p.Rows)), Next: p.Next}
	for _, r := range p.Rows {
		out.Recipients = append(out.Recipients, recipient(r))
	}
	return out
}

// query reads the filters that all lists share.
func (w *Web) query(r *http.Request) (store.Query, error) {
	v := r.URL.Query()
	q := store.Query{Domain: hold.CanonicalDomain(v.Get("domain")), Sender: v.Get("sender"), Application: v.Get("application"),
		Campaign: v.Get("campaign"), After: v.Get("after")}
	for _, name := range v["state"] {
		s, err := store.ParseState(name)
		if err != nil {
			return q, err
		}
		q.States = append(q.States, s)
	}
	if older := v.Get("older"); older != "" {
		d, err := time.ParseDuration(older)
		if err != nil {
			return q, fmt.Errorf("older: want a duration such as 90m, got %q", older)
		}
		q.Before = w.Now().Add(-d)
	}
	if limit := v.Get("limit"); limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 || n > 1000 {
			return q, fmt.Errorf("limit: want a number from 1 to 1000, got %q", limit)
		}
		q.Max = n
	}
	return q, nil
}

func (w *Web) listQueue(rw http.ResponseWriter, r *http.Request) {
	q, err := w.query(r)
	if err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	if len(q.States) == 0 {
		q.States = []store.State{store.Waiting, store.Paused}
	}
	w.list(rw, r, q)
}

func (w *Web) listMessages(rw http.ResponseWriter, r *http.Request) {
	q, err := w.query(r)
	if err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	w.list(rw, r, q)
}

func (w *Web) list(rw http.ResponseWriter, r *http.Request, q store.Query) {
	page, err := w.Store.Find(r.Context(), q)
	if err != nil {
		w.failed(rw, err)
		return
	}
	answer(rw, recipients(page))
}

// showMessage shows a message by its identifier, or the message of a delivery
// by the delivery's.
func (w *Web) showMessage(rw http.ResponseWriter, r *http.Request) {
	var id event.MessageID
	if err := id.UnmarshalText([]byte(r.PathValue("id"))); err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	page, err := w.Store.Find(r.Context(), store.Query{Message: id, After: r.URL.Query().Get("after")})
	if err == nil && len(page.Rows) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		w.failed(rw, err)
		return
	}
	answer(rw, recipients(page))
}

// showRecipient shows all that is known of a person.
func (w *Web) showRecipient(rw http.ResponseWriter, r *http.Request) {
	address := hold.Canonical(r.PathValue("address"))
	page, err := w.Store.Find(r.Context(), store.Query{Address: address, After: r.URL.Query().Get("after")})
	if err != nil {
		w.failed(rw, err)
		return
	}
	record, err := w.Store.Hold(r.Context(), address)
	if err != nil {
		w.failed(rw, err)
		return
	}
	out := recipients(page)
	if len(record.Scopes) > 0 {
		out.Hold = describe(record, w.Now())
	}
	answer(rw, out)
}
