package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"homing/bounce"
)

// replay answers what the rules in the body would make of the failures in the
// log. An empty body is the shipped rules alone. It changes nothing.
func (w *Web) replay(rw http.ResponseWriter, r *http.Request) {
	_, err := parameters(r)
	if err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	if !isA(rw, r, "application/toml", "a file of rules") {
		return
	}
	text, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxRules))
	if err != nil {
		badBody(rw, "reading the rules", err)
		return
	}
	own, err := bounce.ParseRules(text)
	if err != nil {
		problem(rw, http.StatusUnprocessableEntity, err.Error())
		return
	}
	w.search(rw, r, func(ctx context.Context) (any, error) {
		return w.Queue.Replay(ctx, w.Rules(), bounce.NewTable(own...))
	})
}

// unknown answers what no rule understands, by its shape.
func (w *Web) unknown(rw http.ResponseWriter, r *http.Request) {
	v, err := parameters(r, "since")
	var since time.Time
	if err == nil {
		since, err = w.ago(v, "since")
	}
	if err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	w.search(rw, r, func(ctx context.Context) (any, error) { return w.Queue.Unknown(ctx, since, w.Rules()) })
}

// search answers what has to be looked for in the whole log, however long that
// takes, unless the client goes or the server stops.
func (w *Web) search(rw http.ResponseWriter, r *http.Request, look func(context.Context) (any, error)) {
	var found any
	err := w.unhurried(rw, r, func(ctx context.Context) (err error) {
		found, err = look(ctx)
		return err
	})
	if err != nil {
		w.failed(rw, r, err)
		return
	}
	w.answer(rw, found)
}

// unhurried does what may take long, until the client goes or the server stops.
func (w *Web) unhurried(rw http.ResponseWriter, r *http.Request, do func(context.Context) error) error {
	ctx, cancel := untilStop(r)
	defer cancel()
	c := http.NewResponseController(rw)
	// The deadline for reading would end the request, too.
	if err := errors.Join(c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Time{})); err != nil {
		return err
	}
	err := do(ctx)
	if deadline := c.SetWriteDeadline(time.Now().Add(writeTime)); err == nil {
		err = deadline
	}
	if ctx.Err() != nil {
		stopping := refusal{status: http.StatusServiceUnavailable, detail: "the server is stopping"}
		var u unfinished
		if errors.As(err, &u) {
			return unfinished{stopping, u.done}
		}
		return stopping
	}
	return err
}
