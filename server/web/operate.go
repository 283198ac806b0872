package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"homing/event"
	"homing/internal/duration"
	"homing/queue"
)

// An Order is the request to retry, pause, resume or cancel what it means.
type Order struct {
	Message     string     `json:"message,omitempty"`
	Recipient   string     `json:"recipient,omitempty"` // an address
	Domain      string     `json:"domain,omitempty"`    // of the recipients
	Provider    string     `json:"provider,omitempty"`  // who takes their mail
	Sender      string     `json:"sender,omitempty"`
	Application string     `json:"application,omitempty"`
	Campaign    string     `json:"campaign,omitempty"`
	Older       string     `json:"older,omitempty"`  // accepted longer ago than this, such as "2d"
	Before      *time.Time `json:"before,omitempty"` // or accepted before
	All         bool       `json:"all,omitempty"`    // all mail: nothing else is given

	By     string `json:"by,omitempty"`
	Why    string `json:"why,omitempty"`
	DryRun bool   `json:"dry_run,omitempty"` // only count
	After  string `json:"after,omitempty"`   // Tally.Next of the part before
	Limit  int    `json:"limit,omitempty"`   // change at most so many recipients; 0: all
}

// A Tally says what an Order did, or with DryRun would do.
type Tally struct {
	DryRun     bool           `json:"dry_run"`
	Recipients int            `json:"recipients"`
	States     map[string]int `json:"states"` // the same by the state in which they were
	Busy       int            `json:"busy"`   // are being sent and were left alone
	Pauses     []*Pause       `json:"pauses"` // made or lifted
	Still      []*Pause       `json:"still"`  // go on to stop some of what was to be resumed
	Examples   []Recipient    `json:"examples,omitempty"`
	Next       string         `json:"next,omitempty"` // for Order.After
}

// A Pause says what is not sent, since when and why.
type Pause struct {
	Message     string     `json:"message,omitempty"`
	Recipient   string     `json:"recipient,omitempty"`
	Domain      string     `json:"domain,omitempty"`
	Provider    string     `json:"provider,omitempty"`
	Sender      string     `json:"sender,omitempty"`
	Application string     `json:"application,omitempty"`
	Campaign    string     `json:"campaign,omitempty"`
	Before      *time.Time `json:"before,omitempty"`
	All         bool       `json:"all,omitempty"`
	Since       time.Time  `json:"since"`
	By          string     `json:"by"`
	Why         string     `json:"why,omitempty"`
	Standing    bool       `json:"standing"` // also for what comes later
	Recipients  int        `json:"recipients,omitempty"`
}

// Pauses is all that is paused.
type Pauses struct {
	Pauses []*Pause `json:"pauses"`
	Aside  int      `json:"aside"` // recipients that were set aside one by one
}

func pause(p queue.Pause) *Pause {
	out := &Pause{Recipient: p.Recipient, Domain: p.Domain, Provider: p.Provider, Sender: p.Sender, Application: p.Application, Campaign: p.Campaign, All: p.All,
		Since: p.Since.UTC(), By: p.By, Why: p.Why, Standing: p.Standing(), Recipients: p.Recipients}
	if !p.Before.IsZero() {
		out.Before = utc(p.Before)
	}
	if p.Message != 0 {
		out.Message = p.Message.String()
	}
	return out
}

// PausesOf words pauses.
func PausesOf(list []queue.Pause) []*Pause {
	out := make([]*Pause, 0, len(list))
	for _, p := range list {
		out = append(out, pause(p))
	}
	return out
}

// listPauses lists what is paused.
func (w *Web) listPauses(rw http.ResponseWriter, r *http.Request) {
	if _, err := parameters(r); err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	all, aside, err := w.Queue.Pauses(r.Context())
	if err != nil {
		w.failed(rw, r, err)
		return
	}
	w.answer(rw, Pauses{Pauses: PausesOf(all), Aside: aside})
}

// check reads an Order, or says what is wrong with it.
func (o Order) check(now time.Time) (queue.Order, error) {
	f := queue.Filter{Recipient: o.Recipient, Domain: o.Domain, Provider: o.Provider, Sender: o.Sender, Application: o.Application, Campaign: o.Campaign}
	if o.Before != nil {
		f.Before = *o.Before
	}
	if o.Older != "" {
		d, err := duration.Parse(o.Older)
		if err != nil {
			return queue.Order{}, fmt.Errorf("older: %w", err)
		}
		f.Before = now.Add(-d)
	}
	if o.Message != "" && f.Message.UnmarshalText([]byte(o.Message)) != nil {
		return queue.Order{}, errors.New("message: not an identifier of ours, such as 01KAQ3V5Z8001")
	}
	var after event.DeliveryID
	switch {
	case o.Older != "" && o.Before != nil:
		return queue.Order{}, errors.New("older, before: want one of them")
	case o.All && f != queue.Filter{}:
		return queue.Order{}, errors.New("all: want nothing else with it, or leave it out")
	case o.Limit < 0:
		return queue.Order{}, errors.New("limit: want a number from 1 on")
	case max(len(o.By), len(o.Why), len(o.Recipient), len(o.Domain), len(o.Provider), len(o.Sender), len(o.Application), len(o.Campaign)) > maxWords:
		return queue.Order{}, fmt.Errorf("want at most %d octets in each field", maxWords)
	case o.After != "" && after.UnmarshalText([]byte(o.After)) != nil:
		return queue.Order{}, errors.New("after: not an identifier of ours")
	}
	f.All = o.All
	return queue.Order{Filter: f, By: cmp.Or(o.By, "api"), Why: o.Why, DryRun: o.DryRun, After: o.After, Max: o.Limit}, nil
}

// restrict makes an Order one about what is the caller's. It reports false
// where it has answered that it cannot be.
func (o *Order) restrict(rw http.ResponseWriter, r *http.Request) (ok bool) {
	c := callerOf(r)
	if o.Application, ok = within(rw, r, o.Application); ok && !c.operator {
		o.All = false // all of its own
	}
	o.By = c.by(o.By)
	return ok
}

// order makes the handler of one kind of Order.
func (w *Web) order(do func(Queue, context.Context, queue.Order) (queue.Tally, error)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		if _, err := parameters(r); err != nil {
			problem(rw, http.StatusBadRequest, err.Error())
			return
		}
		var in Order
		if !decode(rw, r, &in) {
			return
		}
		if !in.restrict(rw, r) {
			return
		}
		o, err := in.check(w.Now())
		if err != nil {
			problem(rw, http.StatusUnprocessableEntity, err.Error())
			return
		}
		w.search(rw, r, func(ctx context.Context) (any, error) {
			t, err := do(w.Queue, ctx, o)
			if err != nil && !o.DryRun {
				err = unfinished{err, t.Total()}
			}
			return w.tally(t, o.DryRun), err
		})
	}
}

// An unfinished is an error of an Order of which some was done.
type unfinished struct {
	error
	done int
}

func (u unfinished) Unwrap() error { return u.error }

// words say how far it came, after a sentence.
func (u unfinished) words() string {
	if u.done == 0 {
		return ""
	}
	return fmt.Sprintf("; %d recipients were changed until then: give the order again for the rest", u.done)
}

// tally words a queue.Tally.
func (w *Web) tally(t queue.Tally, dryRun bool) Tally {
	out := Tally{DryRun: dryRun, Recipients: t.Total(), States: map[string]int{}, Busy: t.Busy,
		Pauses: PausesOf(t.Pauses), Still: PausesOf(t.Still), Next: t.Next}
	for s, n := range t.Recipients {
		out.States[s.String()] = n
	}
	for _, r := range t.Examples {
		out.Examples = append(out.Examples, w.recipient(r))
	}
	return out
}
