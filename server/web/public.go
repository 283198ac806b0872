package web

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/netutil"
)

// How long a client of the public listener may take: it has nothing that takes
// long.
const (
	publicReadTime  = 10 * time.Second
	publicWriteTime = 30 * time.Second
	publicIdleTime  = 30 * time.Second
	publicHeader    = 16 << 10 // octets of a header
)

// ServePublic answers on a listener over TLS, by HTTP/2 and HTTP/1.1, for the
// whole world. It ends as Serve does. The configuration must offer both by
// ALPN.
func ServePublic(ctx context.Context, l net.Listener, t *tls.Config, h http.Handler, log *slog.Logger) error {
	s := &http.Server{Handler: h, TLSConfig: t, ReadTimeout: publicReadTime, WriteTimeout: publicWriteTime, IdleTimeout: publicIdleTime, MaxHeaderBytes: publicHeader,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelInfo)} // what strangers do wrong at the door is no reason to look
	return untilEnd(ctx, s, func() error { return s.ServeTLS(netutil.LimitListener(l, maxConnections), "", "") })
}

// Public gives the routes for the public listener. Everything else is 404
// there.
func (w *Web) Public() http.Handler {
	var public []route
	for _, r := range w.routes() {
		if r.access == everybody {
			public = append(public, r)
		}
	}
	open := func(_ access, answer http.HandlerFunc) http.HandlerFunc { return answer }
	return router(public, open, http.NotFound)
}

// stsHost is what the names of hosts that serve policies begin with (RFC 8461
// section 3.3).
const stsHost = "mta-sts."

// stsPolicy gives the policy of the domain that the request is for, by its
// Host (RFC 8461 sections 3.2 and 3.3).
func (w *Web) stsPolicy(rw http.ResponseWriter, r *http.Request) {
	domain, ok := strings.CutPrefix(hostOf(r), stsHost)
	text := ""
	if ok && w.STS != nil {
		text = w.STS(domain)
	}
	if text == "" {
		problem(rw, http.StatusNotFound, "nothing is known of this")
		return
	}
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(rw, text) // whoever asked may be gone
}

// hostOf is the name that a request is for, without a port and in lower case.
func hostOf(r *http.Request) string {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func (w *Web) challenge(rw http.ResponseWriter, r *http.Request) {
	if w.Challenges == nil {
		problem(rw, http.StatusNotFound, "nothing is known of this")
		return
	}
	w.Challenges.ServeHTTP(rw, r)
}
