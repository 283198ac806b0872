package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func ExampleWeb_Network() {
	w := &Web{Ready: func() error { return errors.New("starting") }, Log: slog.New(slog.DiscardHandler)}
	for _, path := range []string{"/healthz", "/readyz", "/api/v1/queue"} {
		rec := httptest.NewRecorder()
		w.Network().ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
		fmt.Println(rec.Code, strings.TrimSpace(rec.Body.String()))
	}
	// Output:
	// 200 ok
	// 503 {"title":"Service Unavailable","status":503,"detail":"starting"}
	// 401 {"title":"Unauthorized","status":401,"detail":"this needs a token, as Authorization: Bearer TOKEN; on the server `homing token add` makes one"}
}

// concrete gives a path that a route answers.
func concrete(r route) string {
	return strings.NewReplacer("{id}", "01KAQ3V5Z8001", "{address}", "ann@example.net", "{name}", "crm", "{part}", "1").Replace(r.path)
}

func TestOnlyWhatTheContractCallsOpenIsOpen(t *testing.T) {
	var open []string
	for _, r := range (&Web{}).routes() {
		if r.access == anybody || r.access == everybody || r.access == neighbours || r.access == household {
			open = append(open, r.method+" "+r.path)
		}
	}
	if want := []string{"GET /healthz", "GET /readyz", "GET /metrics", "GET /selfcheck", "GET /u/{link}", "POST /u/{link}", "GET /.well-known/mta-sts.txt", "GET /.well-known/acme-challenge/{token}",
		"GET /login", "POST /login", "POST /logout"}; !slices.Equal(open, want) {
		t.Errorf("open are %q, want %q", open, want)
	}
}

func TestEverythingThatIsNotOpenIsUnauthorizedOnTheNetwork(t *testing.T) {
	w := open(t, nil)
	w.mail(mailing, "ann@example.net")
	url := serve(t, w.Network())
	asked := []request{{path: "/"}, {path: "/api"}, {path: "/api/v1/"}, {path: "/nothing"}, {path: "//api/v1/queue"}, {path: "/healthz/../api/v1/queue"},
		{path: "/healthz/"}, {path: "/api/v1/queue", head: http.Header{"Authorization": {"Bearer x"}}}, {method: "OPTIONS", path: "/api/v1/holds"}}
	for _, r := range w.routes() {
		if r.access == known || r.access == applications || r.access == managers || r.access == visitors {
			asked = append(asked, request{r.method, concrete(r), `{"address":"ann@example.net"}`, jsonBody})
			if r.path != "/selfcheck" { // of which GET is open
				asked = append(asked, request{method: "PUT", path: concrete(r)})
			}
		}
	}
	for _, r := range asked {
		t.Run(r.method+" "+r.path, func(t *testing.T) {
			a := do(t, url, r)
			detail, challenge := "this needs a token", `Bearer realm="homing"`
			if r.head.Get("Authorization") != "" {
				detail, challenge = "this token is not known", challenge+`, error="invalid_token"`
			}
			wantProblem(t, a, http.StatusUnauthorized, detail)
			if got := a.head.Get("WWW-Authenticate"); got != challenge {
				t.Errorf("WWW-Authenticate: %q", got)
			}
		})
	}
	page, err := w.store.Hold(t.Context(), "ann@example.net")
	if err != nil || len(page.Scopes) > 0 {
		t.Errorf("a request without a token changed something: %+v, %v", page, err)
	}
}

func TestEveryRouteAnswersOnTheControlSocket(t *testing.T) {
	w := open(t, nil)
	for _, r := range w.routes() {
		t.Run(r.method+" "+r.path, func(t *testing.T) {
			a := do(t, w.url, request{r.method, concrete(r), "{}", jsonBody})
			if a.status == http.StatusUnauthorized && r.path != "/login" || a.status == http.StatusMethodNotAllowed ||
				a.status == http.StatusNotFound && !strings.Contains(a.body, "nothing is known of this") && !strings.Contains(a.body, "This link is not whole") && !strings.Contains(a.body, "there is no token") {
				t.Errorf("%d %s", a.status, a.body)
			}
			policy := "default-src 'none'; frame-ancestors 'none'"
			if strings.HasPrefix(a.head.Get("Content-Type"), "text/html") {
				policy = pagePolicy
			}
			for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Content-Security-Policy": policy} {
				if got := a.head.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestAnotherMethodIsNotAllowed(t *testing.T) {
	w := open(t, nil)
	network := serve(t, w.Network())
	tests := []struct{ url, method, path, allow string }{
		{w.url, "POST", "/api/v1/queue", "GET, HEAD"},
		{w.url, "PUT", "/api/v1/holds/ann@example.net", "GET, HEAD, DELETE"},
		{w.url, "GET", "/api/v1/classify", "POST"},
		{w.url, "DELETE", "/api/v1/holds", "GET, HEAD, POST"},
		{w.url, "TRACE", "/healthz", "GET, HEAD"},
		{network, "POST", "/healthz", "GET, HEAD"},
		{network, "DELETE", "/metrics", "GET, HEAD"},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			a := do(t, tt.url, request{method: tt.method, path: tt.path})
			wantProblem(t, a, http.StatusMethodNotAllowed, "not "+tt.method)
			if got := a.head.Get("Allow"); got != tt.allow {
				t.Errorf("Allow: %q, want %q", got, tt.allow)
			}
		})
	}
}

func TestWhatIsNotThereIsAProblemToo(t *testing.T) {
	w := open(t, nil)
	for _, path := range []string{"/", "/api/v2/queue", "/api/v1/queue/", "/api//v1/queue", "/api/v1/holds/..", "/api/v1/holds/"} {
		t.Run(path, func(t *testing.T) {
			wantProblem(t, do(t, w.url, request{path: path}), http.StatusNotFound, "there is nothing at /")
		})
	}
}

func TestHEADIsGETWithoutTheBody(t *testing.T) {
	w := open(t, nil)
	w.mail(mailing, "ann@example.net")
	for _, r := range w.routes() {
		if r.method != http.MethodGet || r.path == "/api/v1/events" {
			continue
		}
		t.Run(r.path, func(t *testing.T) {
			get, head := do(t, w.url, request{path: concrete(r)}), do(t, w.url, request{method: "HEAD", path: concrete(r)})
			if head.status != get.status || head.body != "" || head.head.Get("Content-Type") != get.head.Get("Content-Type") {
				t.Errorf("HEAD: %d %v %q, GET: %d %v", head.status, head.head, head.body, get.status, get.head)
			}
		})
	}
	t.Run("a stream of events", func(t *testing.T) {
		a := do(t, w.url, request{method: "HEAD", path: "/api/v1/events", head: http.Header{"Accept": {"text/event-stream"}}})
		if a.status != http.StatusOK || a.head.Get("Content-Type") != "text/event-stream" || a.body != "" {
			t.Errorf("%d %v %q", a.status, a.head, a.body)
		}
	})
}

func TestMetricsAreForThisMachineAlone(t *testing.T) {
	w := &Web{Metrics: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, "homing_up 1\n") })}
	tcp, unix := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 8025}, &net.UnixAddr{Name: "/run/homing/http.sock", Net: "unix"}
	tests := []struct {
		name, peer string
		local      net.Addr
		want       int
	}{
		{"over loopback", "127.0.0.1:4711", tcp, 200},
		{"over another address of loopback", "127.8.8.8:4711", tcp, 200},
		{"over loopback of IPv6", "[::1]:4711", tcp, 200},
		{"over loopback in a socket for both", "[::ffff:127.0.0.1]:4711", tcp, 200},
		{"over a Unix socket", "@", unix, 200},
		{"from another machine", "192.0.2.7:4711", tcp, 401},
		{"from another machine of the house", "10.0.0.7:4711", tcp, 401},
		{"from another machine over IPv6", "[2001:db8::7]:4711", tcp, 401},
		{"from nobody knows where", "@", tcp, 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/metrics", nil)
			r.RemoteAddr = tt.peer
			rec := httptest.NewRecorder()
			w.Network().ServeHTTP(rec, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, tt.local)))
			if rec.Code != tt.want || (rec.Body.String() == "homing_up 1\n") != (tt.want == 200) {
				t.Errorf("%d %s, want %d", rec.Code, rec.Body, tt.want)
			}
			// What a web server in front passes on is not from here, whatever
			// it says of whom it is from.
			for _, name := range []string{"X-Forwarded-For", "X-Real-IP", "Forwarded"} {
				r.Header = http.Header{}
				r.Header.Set(name, "127.0.0.1")
				rec = httptest.NewRecorder()
				w.Network().ServeHTTP(rec, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, tt.local)))
				if rec.Code != 401 {
					t.Errorf("passed on with %s: %d", name, rec.Code)
				}
			}
		})
	}
}
