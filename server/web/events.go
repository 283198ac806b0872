package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"homing/event"
	"homing/internal/terminal"
)

// Events is a page of the event log.
type Events struct {
	Events []event.Event `json:"events"`
	Next   string        `json:"next,omitempty"` // for ?after=
}

const (
	eventPage = 500              // events of a page where the request does not say
	heartbeat = 30 * time.Second // less than proxies wait for
)

// events answers a page of the log, or follows it where the client asks for
// text/event-stream.
func (w *Web) events(rw http.ResponseWriter, r *http.Request) {
	values, err := parameters(r, "after", "from", "limit")
	if err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	follow := strings.Contains(r.Header.Get("Accept"), "text/event-stream")
	text := values.Get("after")
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
	limit, err := limitOf(values)
	switch from := values.Get("from"); {
	case err != nil:
		problem(rw, http.StatusBadRequest, err.Error())
	case from != "" && from != "now":
		problem(rw, http.StatusBadRequest, fmt.Sprintf("from: want now, got %q", from))
	case !follow:
		w.eventPage(rw, r, after, cmp.Or(limit, eventPage))
	case from != "" && text == "":
		w.follow(rw, r, event.FirstID(w.Now())-1)
	default:
		w.follow(rw, r, after)
	}
}

// eventPage answers what there is.
func (w *Web) eventPage(rw http.ResponseWriter, r *http.Request, after event.ID, limit int) {
	ended, end := context.WithCancel(r.Context())
	end() // so that Events waits for nothing
	out, began := Events{Events: []event.Event{}}, time.Now()
	for {
		most := limit - len(out.Events)
		found, err := w.Store.Events(ended, after, most)
		if errors.Is(err, context.Canceled) {
			found, err = nil, r.Context().Err()
		}
		if err != nil {
			w.failed(rw, r, err)
			return
		}
		out.Events = append(out.Events, heard(r, found)...)
		if len(found) < most {
			break
		}
		if after = found[most-1].ID; len(out.Events) == limit || time.Since(began) > gatherTime {
			out.Next = after.String()
			break
		}
	}
	w.answer(rw, out)
}

// heard leaves out what the caller may not see.
func heard(r *http.Request, all []event.Event) []event.Event {
	c := callerOf(r)
	return slices.DeleteFunc(slices.Clone(all), func(e event.Event) bool { return !c.operator && !c.hears(e) })
}

// follow streams events, with comments between where there are none, until the
// client goes or the server stops. The client resumes at the last id that it
// has seen (Last-Event-ID).
func (w *Web) follow(rw http.ResponseWriter, r *http.Request, after event.ID) {
	ctx, cancel := untilStop(r)
	defer cancel()
	c := http.NewResponseController(rw)
	if err := errors.Join(c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Now().Add(streamTime))); err != nil {
		w.failed(rw, r, err)
		return
	}
	rw.Header().Set("Content-Type", "text/event-stream")
	rw.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead || c.Flush() != nil {
		return
	}
	for {
		text, last, err := w.news(ctx, callerOf(r), after)
		if err != nil {
			return // it stops, or the store failed: the client resumes by itself
		}
		after = last
		if err := c.SetWriteDeadline(time.Now().Add(streamTime)); err != nil {
			return
		}
		if _, err := rw.Write(text); err != nil || c.Flush() != nil {
			return
		}
	}
}

// news waits for events after an id, or for the time of a comment, and gives
// what to send and the id to go on from.
func (w *Web) news(ctx context.Context, c caller, after event.ID) ([]byte, event.ID, error) {
	wait, cancel := context.WithTimeout(ctx, cmp.Or(w.Heartbeat, heartbeat))
	defer cancel()
	found, err := w.Store.Events(wait, after, eventPage)
	switch {
	case ctx.Err() != nil:
		return nil, after, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return []byte(": nothing yet\n\n"), after, nil
	case err != nil:
		return nil, after, err
	}
	var b []byte
	for _, e := range found {
		if after = e.ID; !c.operator && !c.hears(e) {
			continue
		}
		data, err := terminal.JSON(e)
		if err != nil {
			w.Log.Error("an event cannot be written as JSON", "event", e.ID, "err", err)
			return nil, after, err
		}
		b = fmt.Appendf(b, "id: %s\nevent: %s\ndata: %s\n", e.ID, e.Type, data)
	}
	return b, after, nil
}
