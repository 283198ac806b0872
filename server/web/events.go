package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"homing/event"
)

// Events is a page of the event log.
type Events struct {
	Events []event.Event `json:"events"`
	Next   string        `json:"next,omitempty"` // for ?after=
}

const eventPage = 500

// events answers a page of the log, or follows it where the client asks for
// text/event-stream, resuming at Last-Event-ID.
func (w *Web) events(rw http.ResponseWriter, r *http.Request) {
	follow := strings.Contains(r.Header.Get("Accept"), "text/event-stream")
	text := r.URL.Query().Get("after")
	if last := r.Header.Get("Last-Event-ID"); follow && last != "" {
		text = last
	}
	var after event.ID
	if text != "" {
		if err := after.UnmarshalText([]byte(text)); err != nil {
			problem(rw, http.StatusBadRequest, "after: "+err.Error())
			return
		}
	}
	if follow {
		if text == "" && r.URL.Query().Get("from") == "now" {
			after = event.FirstID(w.Now()) - 1
		}
		w.follow(rw, r, after)
		return
	}
	// Events waits for the next fact; a page is what there is now.
	ctx, cancel := context.WithTimeout(r.Context(), 100*time.Millisecond)
	defer cancel()
	found, err := w.Store.Events(ctx, after, eventPage)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		w.failed(rw, err)
		return
	}
	out := Events{Events: found}
	if out.Events == nil {
		out.Events = []event.Event{}
	}
	if len(found) == eventPage {
		out.Next = found[len(found)-1].ID.String()
	}
	answer(rw, out)
}

// follow streams events until the client goes or the server stops.
func (w *Web) follow(rw http.ResponseWriter, r *http.Request, after event.ID) {
	rw.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(rw)
	flush.Flush()
	for {
		found, err := w.Store.Events(r.Context(), after, eventPage)
		if err != nil {
			return // the client went, or the store stopped: it resumes by itself
		}
		for _, e := range found {
			b, err := json.Marshal(e)
			if err != nil {
				w.Log.Error("an event cannot be written as JSON", "event", e.ID, "err", err)
				return
			}
			if _, err := fmt.Fprintf(rw, "id: %s\nevent: %s\ndata: %s\n\n", e.ID, e.Type, b); err != nil {
				return
			}
			after = e.ID
		}
		if flush.Flush() != nil {
			return
		}
	}
}
