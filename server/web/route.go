package web

import (
	"net/http"
	"path"
	"strings"
)

// An access says whom a route answers on a listener of the network. On the
// control socket, which only the server's user can open, it answers always.
type access int

const (
	known        access = iota // whoever shows an operator's token
	applications               // also an application's, which gets what is its own
	managers                   // as known, by a browser
	visitors                   // as applications, by a browser
	neighbours                 // whoever is on this machine, and operators
	household                  // these, and applications
	anybody
	everybody // also on the public listener
)

// page reports whether what is for them is a page, which a browser asks for: it
// shows the token in a cookie, and gets to the login without one. The API takes
// no cookies, so that no other site can have a browser ask it anything.
func (a access) page() bool { return a == managers || a == visitors || a == household }

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
		{http.MethodGet, "/selfcheck", household, w.selfCheck},
		{http.MethodPost, "/selfcheck", known, w.checkNow},
		{http.MethodGet, "/u/{link}", everybody, w.askUnsubscribe},
		{http.MethodPost, "/u/{link}", everybody, w.unsubscribe},
		{http.MethodGet, "/.well-known/mta-sts.txt", everybody, w.stsPolicy},
		{http.MethodGet, "/.well-known/acme-challenge/{token}", everybody, w.challenge},
		{http.MethodGet, "/login", anybody, w.askLogin},
		{http.MethodPost, "/login", anybody, w.login},
		{http.MethodPost, "/logout", anybody, w.logout},
		{http.MethodGet, "/captured", visitors, w.listCaptured},
		{http.MethodGet, "/captured.mbox", visitors, w.exportCaptured},
		{http.MethodPost, "/captured", managers, w.releaseByForm},
		{http.MethodGet, "/captured/{id}", visitors, w.showCaptured},
		{http.MethodGet, "/captured/{id}/html", visitors, w.showHTML},
		{http.MethodGet, "/captured/{id}/source", visitors, w.showSource},
		{http.MethodGet, "/captured/{id}/parts/{part}", visitors, w.downloadPart},
		{http.MethodGet, "/api/v1/status", known, w.status},
		{http.MethodGet, "/api/v1/queue", applications, w.listQueue},
		{http.MethodGet, "/api/v1/queue/pauses", known, w.listPauses},
		{http.MethodGet, "/api/v1/queue/explain", known, w.explainQueue},
		{http.MethodGet, "/api/v1/queue/campaigns", applications, w.listCampaigns},
		{http.MethodGet, "/api/v1/queue/plan", known, w.planQueue},
		{http.MethodPost, "/api/v1/queue/retry", applications, w.order(Queue.Retry)},
		{http.MethodPost, "/api/v1/queue/pause", known, w.order(Queue.Pause)},
		{http.MethodPost, "/api/v1/queue/resume", known, w.order(Queue.Resume)},
		{http.MethodPost, "/api/v1/queue/cancel", applications, w.order(Queue.Cancel)},
		{http.MethodPost, "/api/v1/queue/release", known, w.order(w.releaseCaptured)},
		{http.MethodGet, "/api/v1/queue/export", applications, w.exportQueue},
		{http.MethodPost, "/api/v1/messages", applications, w.inject},
		{http.MethodGet, "/api/v1/messages", applications, w.listMessages},
		{http.MethodGet, "/api/v1/messages/{id}", applications, w.showMessage},
		{http.MethodGet, "/api/v1/spool", known, w.listSpool},
		{http.MethodPost, "/api/v1/spool/flush", known, w.flushSpool},
		{http.MethodGet, "/api/v1/deliveries/{id}/content", applications, w.showContent},
		{http.MethodGet, "/api/v1/deliveries/{id}", applications, w.showDelivery},
		{http.MethodGet, "/api/v1/recipients/{address}", applications, w.showRecipient},
		{http.MethodDelete, "/api/v1/recipients/{address}", known, w.erase},
		{http.MethodGet, "/api/v1/holds", applications, w.listHolds},
		{http.MethodPost, "/api/v1/holds", applications, w.addHold},
		{http.MethodGet, "/api/v1/holds/{address}", applications, w.showHold},
		{http.MethodDelete, "/api/v1/holds/{address}", applications, w.releaseHold},
		{http.MethodGet, "/api/v1/events", applications, w.events},
		{http.MethodGet, "/api/v1/events/{id}/content", applications, w.eventContent},
		{http.MethodGet, "/api/v1/events/{id}/attachments/{number}", applications, w.eventAttachment},
		{http.MethodGet, "/api/v1/review", known, w.listReview},
		{http.MethodGet, "/api/v1/review/{id}", known, w.showReview},
		{http.MethodGet, "/api/v1/review/{id}/content", known, w.reviewContent},
		{http.MethodPost, "/api/v1/review/{id}/file", known, w.decide("filed", Reviews.File)},
		{http.MethodPost, "/api/v1/review/{id}/discard", known, w.decide("discarded", Reviews.Discard)},
		{http.MethodGet, "/api/v1/reports", known, w.reports},
		{http.MethodGet, "/api/v1/tokens", known, w.listTokens},
		{http.MethodPost, "/api/v1/tokens", known, w.addToken},
		{http.MethodPost, "/api/v1/tokens/{name}/rotate", known, w.rotateToken},
		{http.MethodDelete, "/api/v1/tokens/{name}", known, w.removeToken},
		{http.MethodPost, "/api/v1/classify", applications, w.classify},
		{http.MethodPost, "/api/v1/classify/replay", known, w.replay},
		{http.MethodGet, "/api/v1/classify/unknown", known, w.unknown},
		{http.MethodPost, "/api/v1/reload", known, w.reload},
	}
}

// A guard lets pass whom a route is for, and answers all others.
type guard func(a access, answer http.HandlerFunc) http.HandlerFunc

// Network gives every route, for a listener on the network. What is not open
// is 401 without a token, also what is not there: there is nothing to be had
// here without being known.
func (w *Web) Network() http.Handler {
	return router(w.routes(), w.checked, w.checked(applications, nothing))
}

// Control gives every route to operators, for the control socket.
func (w *Web) Control() http.Handler {
	operators := func(_ access, answer http.HandlerFunc) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) { answer(rw, as(r, caller{operator: true, name: "api"})) }
	}
	return router(w.routes(), operators, nothing)
}

func nothing(rw http.ResponseWriter, r *http.Request) {
	problem(rw, http.StatusNotFound, "there is nothing at "+r.URL.Path)
}

// router dispatches to routes. One of their paths with another method is 405
// for whom any of its methods is for, every other path is otherwise's.
func router(routes []route, g guard, otherwise http.HandlerFunc) http.Handler {
	mux := http.NewServeMux()
	methods := map[string][]string{} // by path
	widest := map[string]access{}
	for _, r := range routes {
		mux.HandleFunc(r.method+" "+r.path, g(r.access, r.answer))
		widest[r.path] = max(widest[r.path], r.access)
		methods[r.path] = append(methods[r.path], r.method)
		if r.method == http.MethodGet {
			methods[r.path] = append(methods[r.path], http.MethodHead)
		}
	}
	for path, allowed := range methods {
		mux.HandleFunc(path, g(widest[path], notAllowed(allowed)))
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

func notAllowed(methods []string) http.HandlerFunc {
	allow := strings.Join(methods, ", ")
	return func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Allow", allow)
		problem(rw, http.StatusMethodNotAllowed, "this takes "+allow+", not "+r.Method)
	}
}
