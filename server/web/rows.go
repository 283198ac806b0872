package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"homing/event"
	"homing/hold"
	"homing/internal/duration"
	"homing/store"
)

// A Recipient is a row of the queue or of a journey, as the API words it.
type Recipient struct {
	Message     event.MessageID  `json:"message"`
	Delivery    event.DeliveryID `json:"delivery"`
	Recipient   string           `json:"recipient"`
	State       string           `json:"state"`
	Accepted    time.Time        `json:"accepted"`
	SendAt      *time.Time       `json:"send_at,omitempty"` // nothing is sent before
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
	Metadata    event.Metadata   `json:"metadata,omitempty"`
	Subject     string           `json:"subject,omitempty"`
	Size        int64            `json:"size"`
	Provider    string           `json:"provider,omitempty"` // who takes the mail of its domain, as far as that is known
	MTA         string           `json:"mta,omitempty"`      // who said 250
	Last        *event.Outcome   `json:"last,omitempty"`
	Pause       *Pause           `json:"pause,omitempty"`   // why it is paused
	Replies     []Recipient      `json:"replies,omitempty"` // to it, that went on to the person who sent it; in a journey
}

// recipient words a row. What waits behind a pause is paused.
func (w *Web) recipient(r store.Row) Recipient {
	out := recipient(r.Message, r.Recipient)
	out.Provider = w.Queue.Provider(r.Recipient.Key)
	if p, paused := w.Queue.Paused(r); paused {
		out.State, out.Next, out.Expires = store.Paused.String(), nil, nil
		if !p.Since.IsZero() {
			out.Pause = pause(p)
		}
	}
	return out
}

func recipient(m store.Message, x store.Recipient) Recipient {
	out := Recipient{Message: m.ID, Delivery: x.ID, Recipient: x.Address, State: x.State.String(), Accepted: m.Accepted.UTC(),
		Attempts: x.Attempt, Application: m.Application, Domain: m.Domain, Sender: m.Sender, From: m.From,
		ReturnPath: x.ReturnPath, Campaign: m.Campaign, Metadata: m.Metadata, Subject: m.Subject, Size: x.Body.Size, MTA: x.MTA}
	if !m.SendAt.IsZero() {
		out.SendAt = utc(m.SendAt)
	}
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

// pageRows is how many rows a page of recipients has where nobody says.
const pageRows = 100

// Recipients is a page of rows.
type Recipients struct {
	Recipients []Recipient `json:"recipients"`
	Hold       *Hold       `json:"hold,omitempty"` // of the one address asked for
	Next       string      `json:"next,omitempty"` // for ?after=
}

func (w *Web) recipients(p store.Page) Recipients {
	out := Recipients{Recipients: make([]Recipient, 0, len(p.Rows)), Next: p.Next}
	for _, r := range p.Rows {
		out.Recipients = append(out.Recipients, w.recipient(r))
	}
	return out
}

// journey is a page of rows, each with what became of the replies to it.
func (w *Web) journey(ctx context.Context, p store.Page) (Recipients, error) {
	out := w.recipients(p)
	if w.Passed == nil {
		return out, nil
	}
	for i, r := range p.Rows {
		replies, err := w.Passed(ctx, r.Recipient)
		if err != nil {
			return out, err
		}
		for _, reply := range replies {
			out.Recipients[i].Replies = append(out.Recipients[i].Replies, w.recipient(reply))
		}
	}
	return out, nil
}

// listQueue lists what is not done with: it waits, or waits for somebody's
// decision.
func (w *Web) listQueue(rw http.ResponseWriter, r *http.Request) {
	w.list(rw, r, []store.State{store.Waiting, store.Paused, store.Captured})
}

func (w *Web) listMessages(rw http.ResponseWriter, r *http.Request) {
	w.list(rw, r, nil)
}

// list answers the recipients that the query asks for, of those states unless
// it names others.
func (w *Web) list(rw http.ResponseWriter, r *http.Request, states []store.State) {
	q, wanted, ok := w.listing(rw, r, states)
	if !ok {
		return
	}
	out, err := w.gather(r.Context(), q, wanted)
	if err != nil {
		w.failed(rw, r, err)
		return
	}
	w.answer(rw, out)
}

// listing reads which recipients a request asks for. It reports false where it
// has answered.
func (w *Web) listing(rw http.ResponseWriter, r *http.Request, states []store.State) (q store.Query, wanted []store.State, ok bool) {
	values, err := parameters(r, "message", "recipient", "domain", "provider", "sender", "application", "campaign", "state", "older", "after", "limit")
	if err != nil {
		err = bad(err)
	} else {
		q, wanted, err = w.filters(r, values, states)
	}
	if err != nil {
		w.failed(rw, r, err)
	}
	return q, wanted, err == nil
}

// filters reads which recipients are asked for: what to ask the store, and
// which states of those are wanted, as we word them. The error is a refusal.
func (w *Web) filters(r *http.Request, values url.Values, states []store.State) (q store.Query, wanted []store.State, err error) {
	if q, err = w.query(values); err != nil {
		return q, nil, bad(err)
	}
	if q.Application, err = callerOf(r).within(q.Application); err != nil {
		return q, nil, err
	}
	if len(q.States) == 0 {
		q.States = states
	}
	if provider := values.Get("provider"); provider != "" {
		q.Key = func(k store.Key) bool { return strings.EqualFold(w.Queue.Provider(k), provider) }
	}
	wanted = q.States
	if slices.Contains(wanted, store.Paused) != slices.Contains(wanted, store.Waiting) {
		q.States = append([]store.State{store.Paused, store.Waiting}, wanted...) // the store knows of no pause
	}
	return q, wanted, nil
}

// meant reports whether a row is in one of some states, as we word them; none:
// any.
func (w *Web) meant(r store.Row, states []store.State) bool {
	state := w.recipient(r).State
	return len(states) == 0 || slices.ContainsFunc(states, func(s store.State) bool { return s.String() == state })
}

// gatherTime is how long rows are looked for that only we can tell from others:
// a page that is short then says where to go on.
const gatherTime = time.Second

// gather fills one page with the rows of a query that are in states as we word
// them; none: in any.
func (w *Web) gather(ctx context.Context, q store.Query, states []store.State) (Recipients, error) {
	limit, began := cmp.Or(q.Max, pageRows), time.Now()
	out := Recipients{Recipients: []Recipient{}}
	for {
		q.Max = limit - len(out.Recipients)
		page, err := w.Store.Find(ctx, q)
		if err != nil {
			return out, err
		}
		for _, r := range w.recipients(page).Recipients {
			if len(states) == 0 || slices.ContainsFunc(states, func(s store.State) bool { return s.String() == r.State }) {
				out.Recipients = append(out.Recipients, r)
			}
		}
		q.After, out.Next = page.Next, page.Next
		if out.Next == "" || len(out.Recipients) == limit || time.Since(began) > gatherTime {
			return out, nil
		}
	}
}

// query reads the filters of lists of recipients.
func (w *Web) query(v url.Values) (store.Query, error) {
	q := store.Query{Address: hold.Canonical(v.Get("recipient")), Domain: hold.CanonicalDomain(v.Get("domain")), Sender: v.Get("sender"), Application: v.Get("application"), Campaign: v.Get("campaign")}
	if id := v.Get("message"); id != "" {
		if err := q.Message.UnmarshalText([]byte(id)); err != nil {
			return q, fmt.Errorf("message: %w", err)
		}
	}
	for _, name := range v["state"] {
		s, err := store.ParseState(name)
		if err != nil {
			return q, fmt.Errorf("state: %w", err)
		}
		q.States = append(q.States, s)
	}
	older, err := w.ago(v, "older")
	if err != nil {
		return q, err
	}
	q.Before = older
	return q, page(&q, v)
}

// ago reads a parameter that says how long ago something was; the zero time:
// it is not there.
func (w *Web) ago(v url.Values, name string) (time.Time, error) {
	text := v.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	d, err := duration.Parse(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", name, err)
	}
	return w.Now().Add(-d), nil
}

// page reads the parameters after and limit of lists of recipients.
func page(q *store.Query, v url.Values) error {
	if q.After = v.Get("after"); q.After != "" {
		var id event.DeliveryID
		if err := id.UnmarshalText([]byte(q.After)); err != nil {
			return fmt.Errorf("after: %w", err)
		}
	}
	limit, err := limitOf(v)
	q.Max = limit
	return err
}

// showMessage shows the recipients of a message.
func (w *Web) showMessage(rw http.ResponseWriter, r *http.Request) {
	var q store.Query
	values, err := parameters(r, "after", "limit")
	if err == nil {
		err = page(&q, values)
	}
	if err == nil {
		err = q.Message.UnmarshalText([]byte(r.PathValue("id")))
	}
	if err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	var ok bool
	if q.Application, ok = within(rw, r, ""); !ok { // of another's message nothing is known
		return
	}
	found, err := w.Store.Find(r.Context(), q)
	if err == nil && len(found.Rows) == 0 && q.After == "" {
		err = store.ErrNotFound
	}
	if err != nil {
		w.failed(rw, r, err)
		return
	}
	out, err := w.journey(r.Context(), found)
	if err != nil {
		w.failed(rw, r, err)
		return
	}
	w.answer(rw, out)
}

// showDelivery shows one recipient by its own number. Messages and deliveries
// are numbered apart, so one number can be both.
func (w *Web) showDelivery(rw http.ResponseWriter, r *http.Request) {
	row, ok := w.delivery(rw, r)
	if !ok {
		return
	}
	out, err := w.journey(r.Context(), store.Page{Rows: []store.Row{row}})
	if err != nil {
		w.failed(rw, r, err)
		return
	}
	w.answer(rw, out)
}

// delivery finds the recipient that a path names by its own number. It reports
// false where it has answered.
func (w *Web) delivery(rw http.ResponseWriter, r *http.Request) (row store.Row, ok bool) {
	_, err := parameters(r)
	if err != nil {
		err = bad(err)
	} else {
		row, err = w.row(r)
	}
	if err != nil {
		w.failed(rw, r, err)
	}
	return row, err == nil
}

// row finds the recipient that a path names, if the caller may see it.
func (w *Web) row(r *http.Request) (row store.Row, err error) {
	var id event.DeliveryID
	if err := id.UnmarshalText([]byte(r.PathValue("id"))); err != nil {
		return row, bad(err)
	}
	row.Message, row.Recipient, err = w.Store.Recipient(r.Context(), id)
	if err == nil && !callerOf(r).owns(row.Message.Application) {
		err = store.ErrNotFound
	}
	return row, err
}

// showRecipient shows all that is known of a person, which may be nothing.
func (w *Web) showRecipient(rw http.ResponseWriter, r *http.Request) {
	q := store.Query{Address: hold.Canonical(r.PathValue("address"))}
	values, err := parameters(r, "after", "limit")
	if err == nil {
		err = page(&q, values)
	}
	if err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	var ok bool
	if q.Application, ok = within(rw, r, ""); !ok {
		return
	}
	found, err := w.Store.Find(r.Context(), q)
	if err != nil {
		w.failed(rw, r, err)
		return
	}
	record, err := w.hold(r, q.Address)
	if err != nil {
		w.failed(rw, r, err)
		return
	}
	out, err := w.journey(r.Context(), found)
	if err != nil {
		w.failed(rw, r, err)
		return
	}
	if len(record.Scopes) > 0 {
		out.Hold = describe(record, w.Now())
	}
	w.answer(rw, out)
}
