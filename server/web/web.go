// Package web is everything that Homing says over HTTP: whether it is alive,
// its metrics, and the API. The command line speaks to the same API over a
// Unix socket that only its owner can open.
package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"homing/bounce"
	"homing/event"
	"homing/hold"
	"homing/store"
)

// A Web answers HTTP requests. Its handlers may be called from many goroutines.
type Web struct {
	Store   Store
	Queue   Queue
	Reader  Reader
	Metrics http.Handler
	Ready   func() error                // nil: everything that listens does so
	Reload  func(context.Context) error // reads the configuration again
	Status  func(context.Context) (Status, error)
	Log     *slog.Logger
	Now     func() time.Time
}

// Store is the part of store.Store that is read here.
type Store interface {
	Find(ctx context.Context, q store.Query) (store.Page, error)
	Hold(ctx context.Context, address string) (hold.Record, error)
	Events(ctx context.Context, after event.ID, limit int) ([]event.Event, error)
}

// Queue is where holds are changed.
type Queue interface {
	AddHold(ctx context.Context, address, application string, h hold.Hold) error
	Release(ctx context.Context, address, application string) (bool, error)
}

// A Reader understands mail.
type Reader interface {
	Read(r io.Reader) (bounce.Report, error)
}

// Open gives the routes that need no token, for a listener on the network. All
// else is 401: there is nothing to be had here without being known.
func (w *Web) Open() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", w.healthz)
	mux.HandleFunc("GET /readyz", w.readyz)
	mux.Handle("GET /metrics", loopbackOnly(w.Metrics))
	mux.HandleFunc("/", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("WWW-Authenticate", `Bearer realm="homing"`)
		problem(rw, http.StatusUnauthorized, "this needs a token; on the server itself use the homing command, which needs none")
	})
	return hardened(mux)
}

// Control gives every route, for the control socket.
func (w *Web) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", w.healthz)
	mux.HandleFunc("GET /readyz", w.readyz)
	mux.Handle("GET /metrics", w.Metrics)
	mux.HandleFunc("GET /api/v1/status", w.status)
	mux.HandleFunc("GET /api/v1/queue", w.listQueue)
	mux.HandleFunc("GET /api/v1/messages", w.listMessages)
	mux.HandleFunc("GET /api/v1/messages/{id}", w.showMessage)
	mux.HandleFunc("GET /api/v1/recipients/{address}", w.showRecipient)
	mux.HandleFunc("GET /api/v1/holds", w.listHolds)
	mux.HandleFunc("POST /api/v1/holds", w.addHold)
	mux.HandleFunc("GET /api/v1/holds/{address}", w.showHold)
	mux.HandleFunc("DELETE /api/v1/holds/{address}", w.releaseHold)
	mux.HandleFunc("GET /api/v1/events", w.events)
	mux.HandleFunc("POST /api/v1/classify", w.classify)
	mux.HandleFunc("POST /api/v1/reload", w.reload)
	return hardened(mux)
}

// Serve answers on a listener until ctx ends; requests that run then get a
// second to finish, and those that follow events are cut.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	stopped := make(chan struct{})
	defer func() { <-stopped }()
	served, done := context.WithCancel(ctx)
	defer done()
	go func() {
		defer close(stopped)
		<-served.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if s.Shutdown(grace) != nil {
			s.Close()
		}
	}()
	err := s.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// hardened bounds what a request may bring and what a browser may do with an
// answer.
func hardened(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("X-Content-Type-Options", "nosniff")
		rw.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		rw.Header().Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(rw, r.Body, maxBody)
		h.ServeHTTP(rw, r)
	})
}

// maxBody is the largest request body: a message that came in.
const maxBody = 10 << 20

func loopbackOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			problem(rw, http.StatusUnauthorized, "metrics are open on loopback only")
			return
		}
		h.ServeHTTP(rw, r)
	})
}

func (w *Web) healthz(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, "ok\n") }

func (w *Web) readyz(rw http.ResponseWriter, _ *http.Request) {
	if err := w.Ready(); err != nil {
		problem(rw, http.StatusServiceUnavailable, err.Error())
		return
	}
	io.WriteString(rw, "ready\n")
}

func (w *Web) reload(rw http.ResponseWriter, r *http.Request) {
	if err := w.Reload(r.Context()); err != nil {
		problem(rw, http.StatusUnprocessableEntity, err.Error())
		return
	}
	answer(rw, struct {
		Reloaded bool `json:"reloaded"`
	}{true})
}

// classify answers what a message means, as `homing classify --json` does.
func (w *Web) classify(rw http.ResponseWriter, r *http.Request) {
	report, err := w.Reader.Read(r.Body)
	if err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	answer(rw, report.JSON(""))
}

// answer writes v as JSON.
func answer(rw http.ResponseWriter, v any) {
	rw.Header().Set("Content-Type", "application/json")
	json.NewEncoder(rw).Encode(v)
}

// problem writes an error as RFC 9457 says.
func problem(rw http.ResponseWriter, status int, detail string) {
	rw.Header().Set("Content-Type", "application/problem+json")
	rw.WriteHeader(status)
	json.NewEncoder(rw).Encode(Problem{Title: http.StatusText(status), Status: status, Detail: detail})
}

// A Problem is an error as the API words it (RFC 9457 section 3.1).
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// failed answers an error of the store.
func (w *Web) failed(rw http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, store.ErrNotFound):
		problem(rw, http.StatusNotFound, "nothing is known of this")
	case errors.Is(err, store.ErrFull):
		problem(rw, http.StatusInsufficientStorage, "there is no room on the disk")
	default:
		w.Log.Error("a request failed", "err", err)
		problem(rw, http.StatusInternalServerError, "the request failed; the server's log says why")
	}
}
