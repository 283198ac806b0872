package web

import (
	"net"
	"net/http"
	"net/netip"
	"path"
	"strings"
)

// An access says whom a route answers on a listener of the network. On the
// control socket, which only the server's user can open, it answers always.
type access int

const (
	known      access = iota // whoever shows a token, which this version has none of: nobody
	neighbours               // whoever is on this machine
	anybody
	everybody // also on the public listener
)

// A route is one thing that can be asked for. Every route of the server is in
// the list that routes gives, and says there whom it is for.
type route struct {
	method, path string // path as http.ServeMux has it; GET answers HEAD too
	access       access
	answer       http.HandlerFunc
}

func (w *Web) routes() []route {
	return []route{
		{http.MethodGet, "/healthz", anybody, w.healthz},
		{http.MethodGet, "/readyz", anybody, w.readyz},
		{http.MethodGet, "/metrics", neighbours, w.metrics},
		{http.MethodGet, "/selfcheck", neighbours, w.selfCheck},
		{http.MethodPost, "/selfcheck", known, w.checkNow},
		{http.MethodGet, "/u/{link}", everybody, w.askUnsubscribe},
		{http.MethodPost, "/u/{link}", everybody, w.unsubscribe},
		{http.MethodGet, "/.well-known/mta-sts.txt", everybody, w.stsPolicy},
		{http.MethodGet, "/.well-known/acme-challenge/{token}", everybody, w.challenge},
		{http.MethodGet, "/api/v1/status", known, w.status},
		{http.MethodGet, "/api/v1/queue", known, w.listQueue},
		{http.MethodGet, "/api/v1/queue/pauses", known, w.listPauses},
		{http.MethodGet, "/api/v1/queue/explain", known, w.explainQueue},
		{http.MethodGet, "/api/v1/queue/campaigns", known, w.listCampaigns},
		{http.MethodGet, "/api/v1/queue/plan", known, w.planQueue},
		{http.MethodPost, "/api/v1/queue/retry", known, w.order(Queue.Retry)},
		{http.MethodPost, "/api/v1/queue/pause", known, w.order(Queue.Pause)},
		{http.MethodPost, "/api/v1/queue/resume", known, w.order(Queue.Resume)},
		{http.MethodPost, "/api/v1/queue/cancel", known, w.order(Queue.Cancel)},
		{http.MethodPost, "/api/v1/queue/release", known, w.order(w.releaseCaptured)},
		{http.MethodGet, "/api/v1/queue/export", known, w.exportQueue},
		{http.MethodGet, "/api/v1/messages", known, w.listMessages},
		{http.MethodGet, "/api/v1/messages/{id}", known, w.showMessage},
		{http.MethodGet, "/api/v1/deliveries/{id}/content", known, w.showContent},
		{http.MethodGet, "/api/v1/deliveries/{id}", known, w.showDelivery},
		{http.MethodGet, "/api/v1/recipients/{address}", known, w.showRecipient},
		{http.MethodGet, "/api/v1/holds", known, w.listHolds},
		{http.MethodPost, "/api/v1/holds", known, w.addHold},
		{http.MethodGet, "/api/v1/holds/{address}", known, w.showHold},
		{http.MethodDelete, "/api/v1/holds/{address}", known, w.releaseHold},
		{http.MethodGet, "/api/v1/events", known, w.events},
		{http.MethodGet, "/api/v1/reports", known, w.reports},
		{http.MethodPost, "/api/v1/classify", known, w.classify},
		{http.MethodPost, "/api/v1/classify/replay", known, w.replay},
		{http.MethodGet, "/api/v1/classify/unknown", known, w.unknown},
		{http.MethodPost, "/api/v1/reload", known, w.reload},
	}
}

// Open gives the routes that need no token, for a listener on the network. All
// else is 401: there is nothing to be had here without being known.
func (w *Web) Open() http.Handler {
	var open []route
	paths := map[string]bool{}
	for _, r := range w.routes() {
		switch {
		case r.access == neighbours:
			r.answer = onlyNeighbours(r.answer)
		case r.access == known && paths[r.path]: // another method of it is open
			r.answer = unauthorized
		case r.access == known:
			continue
		}
		open = append(open, r)
		paths[r.path] = true
	}
	return router(open, unauthorized)
}

// Control gives every route, for the control socket.
func (w *Web) Control() http.Handler {
	return router(w.routes(), func(rw http.ResponseWriter, r *http.Request) {
		problem(rw, http.StatusNotFound, "there is nothing at "+r.URL.Path)
	})
}

// router dispatches to routes. One of their paths with another method is 405,
// every other path is otherwise's.
func router(routes []route, otherwise http.HandlerFunc) http.Handler {
	mux := http.NewServeMux()
	methods := map[string][]string{} // by path
	for _, r := range routes {
		mux.HandleFunc(r.method+" "+r.path, r.answer)
		methods[r.path] = append(methods[r.path], r.method)
		if r.method == http.MethodGet {
			methods[r.path] = append(methods[r.path], http.MethodHead)
		}
	}
	for path, allowed := range methods {
		mux.HandleFunc(path, notAllowed(allowed))
	}
	mux.HandleFunc("/", otherwise)
	return hardened(mux, otherwise)
}

// hardened bounds what a request may bring and what a browser may do with an
// answer.
func hardened(mux http.Handler, otherwise http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("X-Content-Type-Options", "nosniff")
		rw.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		rw.Header().Set("Cache-Control", "no-store")
		if p := r.URL.EscapedPath(); path.Clean(p) != p { // ServeMux would redirect
			otherwise(rw, r)
			return
		}
		mux.ServeHTTP(rw, r)
	})
}

func unauthorized(rw http.ResponseWriter, _ *http.Request) {
	rw.Header().Set("WWW-Authenticate", `Bearer realm="homing"`)
	problem(rw, http.StatusUnauthorized, "this is not open: on the server itself use the homing command or the control socket in data_dir")
}

func notAllowed(methods []string) http.HandlerFunc {
	allow := strings.Join(methods, ", ")
	return func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Allow", allow)
		problem(rw, http.StatusMethodNotAllowed, "this takes "+allow+", not "+r.Method)
	}
}

// onlyNeighbours answers what comes from this machine: over loopback or a Unix
// socket.
func onlyNeighbours(answer http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		_, unix := local.(*net.UnixAddr)
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if !unix && (err != nil || !from.Addr().Unmap().IsLoopback()) {
			unauthorized(rw, r)
			return
		}
		answer(rw, r)
	}
}
