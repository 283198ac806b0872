package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"homing/event"
	"homing/internal/message"
	"homing/internal/parsedmail"
	"homing/server/review"
)

// Reviews is the mail that waits for somebody to say whether it is filed.
// *review.Keeper is one.
type Reviews interface {
	List() []review.Mail
	Open(ctx context.Context, id event.MessageID) (review.Mail, message.Body, error)
	File(ctx context.Context, id event.MessageID, by string) error
	Discard(ctx context.Context, id event.MessageID, by string) error
	Until(m review.Mail) time.Time
	About(canonical string) int
	Erase(ctx context.Context, canonical string) (int, error)
}

// Waiting is a list of mail that waits for review.
type Waiting struct {
	Waiting []WaitingMail `json:"waiting"`
}

// A WaitingMail waits for review.
type WaitingMail struct {
	ID             event.MessageID      `json:"id"`
	Arrived        time.Time            `json:"arrived"`
	Until          time.Time            `json:"until"` // then it is forgotten
	Why            string               `json:"why"`
	From           string               `json:"from,omitempty"`
	Sender         string               `json:"sender"`
	Subject        string               `json:"subject"`
	MessageID      string               `json:"message_id,omitempty"`
	Size           int64                `json:"size"`
	Authentication event.Authentication `json:"authentication"`
	Places         []review.Place       `json:"places"`
	Mail           *parsedmail.Mail     `json:"mail,omitempty"` // where one is shown: what it says
}

func (w *Web) waitingMail(m review.Mail) WaitingMail {
	return WaitingMail{ID: m.ID, Arrived: m.Arrived, Until: w.Reviews.Until(m), Why: m.Why, From: m.From, Sender: m.Sender, Subject: m.Subject,
		MessageID: m.MessageID, Size: m.Size, Authentication: m.Authentication, Places: m.Places}
}

// listReview lists the mail that waits, oldest first.
func (w *Web) listReview(rw http.ResponseWriter, r *http.Request) {
	if _, err := parameters(r); err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	out := Waiting{Waiting: []WaitingMail{}}
	for _, m := range w.Reviews.List() {
		out.Waiting = append(out.Waiting, w.waitingMail(m))
	}
	w.answer(rw, out)
}

// reviewed opens the mail that a request names. It reports whether it could; if
// not, it has answered.
func (w *Web) reviewed(rw http.ResponseWriter, r *http.Request) (m review.Mail, body message.Body, ok bool) {
	id, ok := reviewID(rw, r)
	if !ok {
		return m, nil, false
	}
	m, body, err := w.Reviews.Open(r.Context(), id)
	if err != nil {
		w.undecided(rw, r, err)
		return m, nil, false
	}
	return m, body, true
}

func reviewID(rw http.ResponseWriter, r *http.Request) (id event.MessageID, ok bool) {
	if err := id.UnmarshalText([]byte(r.PathValue("id"))); err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return 0, false
	}
	if _, err := parameters(r); err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return 0, false
	}
	return id, true
}

// showReview says what a mail says that waits.
func (w *Web) showReview(rw http.ResponseWriter, r *http.Request) {
	m, body, ok := w.reviewed(rw, r)
	if !ok {
		return
	}
	defer body.Close()
	mail, err := parsedmail.Read(io.NewSectionReader(body, 0, body.Size()))
	if err != nil {
		w.failed(rw, r, err)
		return
	}
	out := w.waitingMail(m)
	out.Mail = &mail
	w.answer(rw, out)
}

// reviewContent gives a mail that waits, octet for octet.
func (w *Web) reviewContent(rw http.ResponseWriter, r *http.Request) {
	if m, body, ok := w.reviewed(rw, r); ok {
		defer body.Close()
		sendMail(rw, m.ID.String(), body)
	}
}

// sendMail answers a mail as a file.
func sendMail(rw http.ResponseWriter, name string, body io.WriterTo) {
	rw.Header().Set("Content-Type", "message/rfc822")
	rw.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name+".eml"))
	if _, err := body.WriteTo(rw); err != nil {
		panic(http.ErrAbortHandler) // half of it must not look like all
	}
}

// A Decision is what was decided about a mail that waited.
type Decision struct {
	ID      event.MessageID `json:"id"`
	Decided string          `json:"decided"` // "filed", "discarded"
}

// Deciding is who decides, for the record.
type Deciding struct {
	By string `json:"by"`
}

// decide answers an order about a mail that waits.
func (w *Web) decide(word string, do func(Reviews, context.Context, event.MessageID, string) error) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		id, ok := reviewID(rw, r)
		if !ok {
			return
		}
		var in Deciding
		if r.ContentLength != 0 && !decode(rw, r, &in) {
			return
		}
		if err := do(w.Reviews, r.Context(), id, callerOf(r).by(in.By)); err != nil {
			w.undecided(rw, r, err)
			return
		}
		w.answer(rw, Decision{id, word})
	}
}

// undecided answers an error of Reviews.
func (w *Web) undecided(rw http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, review.ErrUnknown):
		problem(rw, http.StatusNotFound, "nothing is known of this mail: it was filed or discarded, or it has waited for longer than retention.bounces")
	case errors.Is(err, review.ErrBusy):
		problem(rw, http.StatusConflict, "somebody else is deciding about this mail at this moment: look at the list again")
	default:
		w.failed(rw, r, err)
	}
}
