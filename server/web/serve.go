package web

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

// How long a client may take, so that nobody keeps a connection for nothing.
// Streams of events have no end; each write of them has one.
const (
	headerTime = 10 * time.Second
	readTime   = time.Minute
	writeTime  = 10 * time.Minute // of an answer that the store has to search for
	idleTime   = 2 * time.Minute
	streamTime = time.Minute // for one write
	stopTime   = time.Second // for requests that run when the server stops
)

// maxConnections is how many connections one listener has at once; the next
// one waits.
const maxConnections = 1000

// Serve answers on a listener until ctx ends, and closes it. Streams of events
// end with ctx, other requests that run then get a second to finish. It
// returns when all are gone: nil, or the error of l. No goroutine outlives it,
// if the handlers return when the context of their request ends.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime, MaxHeaderBytes: maxRequest,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	return untilEnd(ctx, s, func() error { return s.Serve(netutil.LimitListener(l, maxConnections)) })
}

// untilEnd runs a server by run until ctx ends.
func untilEnd(ctx context.Context, s *http.Server, run func() error) error {
	work, cut := context.WithCancel(context.WithValue(context.WithoutCancel(ctx), stopKey{}, ctx))
	defer cut()
	var connections sync.WaitGroup
	s.DisableGeneralOptionsHandler = true
	s.BaseContext = func(net.Listener) context.Context { return work }
	s.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew: // always called before Serve returns
			connections.Add(1)
		case http.StateClosed, http.StateHijacked:
			connections.Done()
		}
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(work, stopTime)
		defer cancel()
		if s.Shutdown(grace) != nil {
			// First the connections, so that no handler that is cut
			// answers as if it were done.
			s.Close() // what it closes is closed, or beyond help
			cut()
		}
	})
	err := run()
	if stop() { // the listener failed
		s.Close()
		cut()
	} else {
		<-stopped
	}
	connections.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// stopKey is where the context of a request keeps the one that ends when the
// server stops.
type stopKey struct{}

// untilStop gives the context of a request that has no end of its own: it ends
// when the client goes or the server stops.
func untilStop(r *http.Request) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(r.Context())
	stop, ok := ctx.Value(stopKey{}).(context.Context)
	if !ok {
		return ctx, cancel
	}
	forget := context.AfterFunc(stop, cancel)
	return ctx, func() { forget(); cancel() }
}
