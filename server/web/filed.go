package web

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"

	"homing/event"
	"homing/internal/message"
	"homing/internal/parsedmail"
	"homing/store"
)

// told finds the fact that a request names. It reports whether the caller may
// see it; if not, it has answered. An application sees, beside its own, what a
// sink of its is told.
func (w *Web) told(rw http.ResponseWriter, r *http.Request) (e event.Event, ok bool) {
	var id event.ID
	err := id.UnmarshalText([]byte(r.PathValue("id")))
	if err == nil {
		_, err = parameters(r)
	}
	if err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return e, false
	}
	ended, end := context.WithCancel(r.Context())
	end() // so that Events waits for nothing
	found, err := w.Store.Events(ended, id-1, 1)
	if err != nil && !errors.Is(err, context.Canceled) {
		w.failed(rw, r, err)
		return e, false
	}
	if len(found) == 0 || found[0].ID != id || !w.mayHear(callerOf(r), found[0]) {
		problem(rw, http.StatusNotFound, "nothing is known of this event: it never was, or it is forgotten")
		return e, false
	}
	return found[0], true
}

func (w *Web) mayHear(c caller, e event.Event) bool {
	if c.operator || c.hears(e) {
		return true
	}
	return c.application != "" && w.Sinks != nil && slices.ContainsFunc(w.Sinks(c.application), func(s string) bool { return slices.Contains(e.To, s) })
}

// behind opens the mail behind a fact. It reports whether it could; if not, it
// has answered.
func (w *Web) behind(rw http.ResponseWriter, r *http.Request, e event.Event) (message.Body, bool) {
	body, err := message.Body(nil), store.ErrNotFound
	if !e.Raw.IsZero() {
		body, err = w.Store.OpenBody(r.Context(), e.Raw)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		problem(rw, http.StatusGone, "the mail behind this event is kept no longer, or there was none: retention.bounces says how long")
		return nil, false
	case err != nil:
		w.failed(rw, r, err)
		return nil, false
	}
	return body, true
}

// eventContent gives the mail behind a fact, octet for octet.
func (w *Web) eventContent(rw http.ResponseWriter, r *http.Request) {
	e, ok := w.told(rw, r)
	if !ok {
		return
	}
	if body, ok := w.behind(rw, r, e); ok {
		defer body.Close()
		sendMail(rw, e.ID.String(), body)
	}
}

// eventAttachment gives an attachment of mail that was filed, counted from 1.
func (w *Web) eventAttachment(rw http.ResponseWriter, r *http.Request) {
	e, ok := w.told(rw, r)
	if !ok {
		return
	}
	n, err := strconv.Atoi(r.PathValue("number"))
	if err != nil || e.Mail == nil || n < 1 || n > len(e.Mail.Attachments) {
		problem(rw, http.StatusNotFound, "this event has no such attachment: they are counted from 1, in the order of mail.attachments")
		return
	}
	body, ok := w.behind(rw, r, e)
	if !ok {
		return
	}
	defer body.Close()
	a := e.Mail.Attachments[n-1]
	// What strangers sent is for saving, whatever it says that it is.
	rw.Header().Set("Content-Type", "application/octet-stream")
	rw.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": a.Name}))
	rw.Header().Set("Content-Length", strconv.FormatInt(a.Size, 10))
	if err := parsedmail.Extract(rw, io.NewSectionReader(body, 0, body.Size()), a); err != nil {
		panic(http.ErrAbortHandler) // half of it must not look like all
	}
}
