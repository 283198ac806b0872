// Package web is everything that Homing says over HTTP: whether it is alive,
// its metrics, and the API. The command line speaks to the same API over a
// Unix socket that only its owner can open.
package web

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"homing/bounce"
	"homing/event"
	"homing/hold"
	"homing/internal/message"
	"homing/queue"
	"homing/store"
	"homing/verp"
)

// A Web answers HTTP requests. Its handlers may be called from many goroutines.
type Web struct {
	Store   Store
	Queue   Queue
	Reader  Reader
	Reports Reports
	Reviews Reviews
	Rules   func() *bounce.Table // those that the server goes by now
	Metrics http.Handler
	Ready   func() error                // nil: everything that listens does so
	Reload  func(context.Context) error // reads the configuration again
	Status  func(context.Context) (Status, error)
	Checks  Checker
	Hosts   func(ctx context.Context, domain string) ([]queue.Host, error) // the best mail hosts of a domain
	Knows   func(application string) bool                                  // whether there is one of that name
	Sinks   func(application string) []string                              // names of those that an application is told by; nil: nobody can say
	Sends   func(domain string) bool                                       // whether mail is sent as that domain; nil: nobody can say
	// Renew mints the reverse-path of a recipient anew; "": it stays.
	Renew func(store.Message, store.Recipient) string
	// Passed gives what became of the replies to a recipient's mail that went on
	// to the person who sent it; nil: none do.
	Passed func(context.Context, store.Recipient) ([]store.Row, error)
	// ForgetAuthor forgets which campaigns somebody has sent, by the canonical
	// address; nil: nobody remembers.
	ForgetAuthor func(ctx context.Context, canonical string) error

	Tokens  Tokens  // who may ask from the network; nil: nobody
	Limiter Limiter // of wrong tokens; nil: none
	Inject  Injector
	Counts  *Counts
	Log     *slog.Logger
	Now     func() time.Time

	Spool    Spool // nil: there is none
	UserName func(uid int) string

	STS func(domain string) string // the policy about TLS for mail to a domain; "": none
	// Link reads an unsubscribe link, with the errors of verp.Unseal;
	// Unsubscribe does what it asks for, with those of the store.
	Link        func(sealed string) (verp.Link, error)
	Unsubscribe func(ctx context.Context, l verp.Link) error
	Challenges  http.Handler // answers an authority that looks whether names are ours; nil: none is asked

	bodies struct { // of messages that are being taken
		once sync.Once
		room *semaphore.Weighted
	}

	MaxMessage int64         // octets of a message to classify; 0: 25 MiB
	Heartbeat  time.Duration // how often a stream without events says that it is there; 0: 30 s
}

// Store is the part of store.Store that is read here.
type Store interface {
	Find(ctx context.Context, q store.Query) (store.Page, error)
	Recipient(ctx context.Context, id event.DeliveryID) (store.Message, store.Recipient, error)
	OpenBody(ctx context.Context, ref message.Ref) (message.Body, error)
	Events(ctx context.Context, after event.ID, limit int) ([]event.Event, error)
}

// Queue is where mail and holds are changed, and where it is known what a
// failure means and who takes the mail of a domain.
type Queue interface {
	Retry(ctx context.Context, o queue.Order) (queue.Tally, error)
	Pause(ctx context.Context, o queue.Order) (queue.Tally, error)
	Resume(ctx context.Context, o queue.Order) (queue.Tally, error)
	Cancel(ctx context.Context, o queue.Order) (queue.Tally, error)
	ReleaseCaptured(ctx context.Context, o queue.Order, renew func(store.Message, store.Recipient) string) (queue.Tally, error)
	Pauses(ctx context.Context) (all []queue.Pause, aside int, err error)
	Paused(r store.Row) (queue.Pause, bool)
	Provider(k store.Key) string
	Explain(domain, from string, hosts []queue.Host) queue.Explanation
	Through(sending string) string
	Plan(recipients int) queue.Plan
	Campaigns() []queue.Campaign
	Replay(ctx context.Context, now, then bounce.Rules) (queue.Replay, error)
	Unknown(ctx context.Context, since time.Time, rules bounce.Rules) (bounce.UnknownList, error)
	AddHold(ctx context.Context, address, application string, h hold.Hold) error
	Release(ctx context.Context, address, application string) (bool, error)
	Record(ctx context.Context, address string) (hold.Record, error)
	Erase(ctx context.Context, address, by string) (queue.Erasure, error)
	WouldErase(ctx context.Context, address string) (queue.Erasure, error)
}

// A Reader understands mail.
type Reader interface {
	ReadAny(r io.Reader) (bounce.Report, error)
}

const (
	maxMessage = 25 << 20
	maxRules   = 1 << 20
	maxRequest = 64 << 10 // octets of any other body
)

func (w *Web) healthz(rw http.ResponseWriter, _ *http.Request) { plain(rw, "ok\n") }

func (w *Web) readyz(rw http.ResponseWriter, _ *http.Request) {
	if err := w.Ready(); err != nil {
		problem(rw, http.StatusServiceUnavailable, err.Error())
		return
	}
	plain(rw, "ready\n")
}

func plain(rw http.ResponseWriter, text string) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(rw, text) // whoever asked may be gone
}

func (w *Web) metrics(rw http.ResponseWriter, r *http.Request) { w.Metrics.ServeHTTP(rw, r) }

func (w *Web) reload(rw http.ResponseWriter, r *http.Request) {
	if _, err := parameters(r); err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	if err := w.Reload(r.Context()); err != nil {
		problem(rw, http.StatusUnprocessableEntity, err.Error())
		return
	}
	w.answer(rw, struct {
		Reloaded bool `json:"reloaded"`
	}{true})
}

// classify answers what a message means: octet for octet what
// `homing classify --json` says of the same message on standard input.
func (w *Web) classify(rw http.ResponseWriter, r *http.Request) {
	if _, err := parameters(r); err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	r.Body = http.MaxBytesReader(rw, r.Body, cmp.Or(w.MaxMessage, maxMessage))
	report, err := w.Reader.ReadAny(r.Body)
	if err != nil {
		badBody(rw, "reading the message", err)
		return
	}
	w.answer(rw, report.JSON("-"))
}

// failed answers an error of the store or of the queue.
func (w *Web) failed(rw http.ResponseWriter, r *http.Request, err error) {
	announce(rw, err)
	status, detail := w.explain(r, err)
	problem(rw, status, detail)
}

// explain gives the status of an error and a sentence for people.
func (w *Web) explain(r *http.Request, err error) (status int, detail string) {
	status, detail = w.cause(r, err)
	var u unfinished
	if errors.As(err, &u) {
		detail += u.words()
	}
	return status, detail
}

func (w *Web) cause(r *http.Request, err error) (status int, detail string) {
	var refused refusal
	switch {
	case errors.As(err, &refused):
		return refused.status, refused.detail
	case errors.Is(err, errNotKept):
		return http.StatusGone, err.Error()
	case errors.Is(err, store.ErrNotFound):
		return http.StatusNotFound, "nothing is known of this"
	case errors.Is(err, queue.ErrBusy):
		return http.StatusConflict, "the event log is being read for a replay, a list of unknown replies or an erasure, and one at a time is enough: try again when that is done"
	case errors.Is(err, queue.ErrNoFilter):
		return http.StatusUnprocessableEntity, "say which mail is meant by message, domain, provider, sender, application, campaign, older or before; all mail needs all"
	case errors.Is(err, store.ErrFull):
		return http.StatusInsufficientStorage, "there is no room on the disk: free some, and try again"
	case errors.Is(err, store.ErrFailed):
		return http.StatusServiceUnavailable, "the disk failed: look at the server's log, and start it again when the disk is well"
	case r.Context().Err() != nil:
		return http.StatusServiceUnavailable, "the server is stopping"
	}
	w.Log.Error("a request failed", "path", r.URL.Path, "err", err)
	return http.StatusInternalServerError, "the request failed; the server's log says why"
}
