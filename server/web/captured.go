package web

import (
	"context"
	"html/template"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"homing/queue"
	"homing/store"
)

// capturedFilters are what the list of captured mail is restricted by.
var capturedFilters = []string{"recipient", "application", "sender", "campaign", "domain", "message", "older"}

// A capturedPage is a page of the list of captured mail.
type capturedPage struct {
	Recipients []Recipient
	Filters    []filterField
	Restricted bool         // by any filter
	Sent       string       // how many the last release has sent; "": there was none
	Same       template.URL // the filters as a query, for what is about the same mail
	Next       template.URL // the query of the next page; "": this is the last
	Later      bool         // this is not the first page
}

// A filterField is a filter as a form shows it.
type filterField struct{ Name, Label, Value, Hint string }

// filterLabels are what forms say of filters.
var filterLabels = map[string][2]string{
	"recipient": {"Recipient", "ann@example.net"}, "application": {"Application", ""}, "sender": {"Envelope sender", ""}, "campaign": {"Campaign", ""},
	"domain": {"Recipient's domain", "example.net"}, "message": {"Message", "01KAQ3V5Z8001"}, "older": {"Older than", "2d"},
}

func filterFields(v url.Values) (all []filterField) {
	for _, name := range capturedFilters {
		all = append(all, filterField{name, filterLabels[name][0], v.Get(name), filterLabels[name][1]})
	}
	return all
}

// restricting gives the filters that restrict anything.
func restricting(v url.Values) url.Values {
	out := url.Values{}
	for _, name := range capturedFilters {
		if value := v.Get(name); value != "" {
			out.Set(name, value)
		}
	}
	return out
}

// askedCaptured reads which captured mail a request asks for.
func (w *Web) askedCaptured(r *http.Request, more ...string) (v url.Values, q store.Query, err error) {
	if v, err = parameters(r, append(more, capturedFilters...)...); err != nil {
		return v, q, bad(err)
	}
	q, _, err = w.filters(r, v, []store.State{store.Captured})
	return v, q, err
}

// listCaptured shows captured mail, oldest first.
func (w *Web) listCaptured(rw http.ResponseWriter, r *http.Request) {
	v, q, err := w.askedCaptured(r, "after", "limit", "sent")
	if err != nil {
		w.sorry(rw, r, err)
		return
	}
	found, err := w.Store.Find(r.Context(), q)
	if err != nil {
		w.sorry(rw, r, err)
		return
	}
	same := restricting(v)
	out := capturedPage{Recipients: w.recipients(found).Recipients, Filters: filterFields(v), Restricted: len(same) > 0, Same: template.URL(same.Encode()), Later: q.After != ""}
	if sent, err := strconv.Atoi(v.Get("sent")); err == nil {
		out.Sent = strconv.Itoa(sent)
	}
	if found.Next != "" {
		same.Set("after", found.Next)
		if limit := v.Get("limit"); limit != "" {
			same.Set("limit", limit)
		}
		out.Next = template.URL(same.Encode())
	}
	w.page(rw, r, http.StatusOK, "captured", out)
}

// exportCaptured gives what the list shows as one mailbox file.
func (w *Web) exportCaptured(rw http.ResponseWriter, r *http.Request) {
	_, q, err := w.askedCaptured(r)
	if err != nil {
		w.sorry(rw, r, err)
		return
	}
	rw.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": "captured-" + w.Now().UTC().Format("20060102T1504") + ".mbox"}))
	w.mailbox(rw, r, q, q.States)
}

// A releasePage asks whether mail that a filter means is to be sent.
type releasePage struct {
	Count    int
	Examples []Recipient
	Filters  []filterField // of the form that says yes
	All      bool
	Same     template.URL
}

// releaseByForm sends captured mail: one copy at once, what a filter means after
// a page that counts it. What is captured after that page was made is not meant.
func (w *Web) releaseByForm(rw http.ResponseWriter, r *http.Request) {
	err := foreign(r)
	if err == nil {
		err = form(rw, r)
	}
	var in Order
	if err == nil {
		in, err = w.releaseOrder(r)
	}
	var o queue.Order
	if err == nil {
		o, err = in.check(w.Now())
		if err != nil {
			err = refusal{status: http.StatusUnprocessableEntity, detail: err.Error()}
		}
	}
	if err != nil {
		w.sorry(rw, r, err)
		return
	}
	var tally queue.Tally
	err = w.unhurried(rw, r, func(ctx context.Context) (err error) {
		if tally, err = w.releaseCaptured(w.Queue, ctx, o); err != nil && !o.DryRun {
			err = unfinished{err, tally.Total()}
		}
		return err
	})
	switch {
	case err != nil:
		w.sorry(rw, r, err)
	case o.DryRun:
		w.askRelease(rw, r, in, w.tally(tally, true))
	default:
		back := restricting(r.PostForm)
		if r.PostForm.Get("one") != "" { // the list is of more than that
			back = url.Values{}
		}
		back.Set("sent", strconv.Itoa(tally.Total()))
		http.Redirect(rw, r, homePage+"?"+back.Encode(), http.StatusSeeOther)
	}
}

// releaseOrder reads the form: with "one" or "yes" it is meant, else it is only
// asked about.
func (w *Web) releaseOrder(r *http.Request) (Order, error) {
	v := r.PostForm
	o := Order{Message: v.Get("message"), Recipient: v.Get("recipient"), Domain: v.Get("domain"), Sender: v.Get("sender"), Application: v.Get("application"),
		Campaign: v.Get("campaign"), By: callerOf(r).name, DryRun: v.Get("yes") == "" && v.Get("one") == ""}
	before, err := w.ago(v, "older")
	if err != nil {
		return o, bad(err)
	}
	if before.IsZero() && v.Get("one") == "" {
		before = w.Now()
	}
	if text := v.Get("before"); text != "" {
		if before, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return o, bad(err)
		}
	}
	if !before.IsZero() {
		o.Before = &before
	}
	return o, nil
}

// askRelease shows what would be sent.
func (w *Web) askRelease(rw http.ResponseWriter, r *http.Request, o Order, t Tally) {
	same := restricting(r.PostForm)
	out := releasePage{Count: t.Recipients, Examples: t.Examples, All: len(same) == 0, Same: template.URL(same.Encode())}
	for _, f := range filterFields(same) {
		if f.Value != "" {
			out.Filters = append(out.Filters, f)
		}
	}
	out.Filters = append(out.Filters, filterField{Name: "before", Value: o.Before.Format(time.RFC3339Nano)})
	w.page(rw, r, http.StatusOK, "release", out)
}
