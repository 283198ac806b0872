package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"homing/event"
	"homing/hold"
	"homing/queue"
	"homing/server/smtpd"
	"homing/server/token"
	"homing/store"
)

func TestAnOperatorsTokenMayDoWhatTheControlSocketMay(t *testing.T) {
	w := open(t, nil)
	network, operator := serve(t, w.Network()), w.token("")
	for _, r := range w.routes() {
		if r.path == "/login" { // where the token is in the form
			continue
		}
		a := do(t, network, request{r.method, concrete(r), "{}", operator})
		if a.status == http.StatusUnauthorized || a.status == http.StatusForbidden || a.status == http.StatusMethodNotAllowed {
			t.Errorf("%s %s: %d %s", r.method, r.path, a.status, a.body)
		}
		if r.path == "/api/v1/tokens/{name}" { // it may have removed itself
			operator = w.operatorAgain()
		}
	}
	wantProblem(t, do(t, network, request{path: "/nothing", head: operator}), http.StatusNotFound, "there is nothing at /nothing")
	wantProblem(t, do(t, network, request{method: "PUT", path: "/api/v1/queue", head: operator}), http.StatusMethodNotAllowed, "not PUT")
}

// operatorAgain makes another token of an operator.
func (w *world) operatorAgain() http.Header {
	w.Helper()
	secret, err := w.tokens.Add(w.Context(), token.Token{Name: fmt.Sprint("again", len(w.tokens.List())), Operator: true})
	if err != nil {
		w.Fatal(err)
	}
	return http.Header{"Authorization": {"Bearer " + secret}, "Content-Type": {"application/json"}}
}

func TestAnApplicationsTokenMayNothingThatIsForOperators(t *testing.T) {
	w := open(t, nil)
	network, crm := serve(t, w.Network()), w.token("crm")
	var allowed []string
	for _, r := range w.routes() {
		if r.access != known && r.access != managers {
			if r.access == applications || r.access == visitors {
				allowed = append(allowed, r.method+" "+r.path)
			}
			continue
		}
		t.Run(r.method+" "+r.path, func(t *testing.T) {
			a := do(t, network, request{r.method, concrete(r), "{}", crm})
			wantProblem(t, a, http.StatusForbidden, "this needs an operator's token, and this one belongs to the application crm")
			if got := a.head.Get("WWW-Authenticate"); got != `Bearer realm="homing", error="insufficient_scope"` {
				t.Errorf("WWW-Authenticate: %q", got)
			}
		})
	}
	slices.Sort(allowed)
	want := []string{"DELETE /api/v1/holds/{address}", "GET /api/v1/deliveries/{id}", "GET /api/v1/deliveries/{id}/content", "GET /api/v1/events", "GET /api/v1/events/{id}/attachments/{number}",
		"GET /api/v1/events/{id}/content", "GET /api/v1/holds", "GET /api/v1/holds/{address}",
		"GET /api/v1/messages", "GET /api/v1/messages/{id}", "GET /api/v1/queue", "GET /api/v1/queue/campaigns", "GET /api/v1/queue/export", "GET /api/v1/recipients/{address}",
		"GET /captured", "GET /captured.mbox", "GET /captured/{id}", "GET /captured/{id}/html", "GET /captured/{id}/parts/{part}", "GET /captured/{id}/source",
		"POST /api/v1/classify", "POST /api/v1/holds", "POST /api/v1/messages", "POST /api/v1/queue/cancel", "POST /api/v1/queue/retry"}
	if diff := cmp.Diff(want, allowed); diff != "" {
		t.Errorf("an application's token may (-want +got):\n%s", diff)
	}
}

// two applications have sent to the same person.
func twoApplications(t *testing.T) (w *world, network string, mine, others event.MessageID) {
	w = open(t, nil)
	mine = w.mail(store.Message{Application: "crm", Subject: "mine"}, "ann@example.net", "mine@example.net")
	others = w.mail(store.Message{Application: "shop", Subject: "secret"}, "ann@example.net", "secret@example.net")
	for _, h := range []struct{ address, application, reason string }{
		{"mine@example.net", "crm", "mine"}, {"ann@example.net", "shop", "secret"}, {"secret@example.net", "shop", "secret"}, {"all@example.net", "", "for all"},
	} {
		if err := w.queue.AddHold(t.Context(), h.address, h.application, hold.Hold{By: "olga", Reason: h.reason}); err != nil {
			t.Fatal(err)
		}
	}
	return w, serve(t, w.Network()), mine, others
}

func TestAnApplicationSeesOnlyItsOwn(t *testing.T) {
	w, network, mine, others := twoApplications(t)
	crm := w.token("crm")
	theirs := w.deliveryOf("secret@example.net")
	tests := []struct {
		path   string
		status int
		has    string // "": it does not matter
	}{
		{"/api/v1/queue", 200, "mine@example.net"},
		{"/api/v1/queue?application=crm", 200, "mine@example.net"},
		{"/api/v1/queue?application=shop", 403, "sees nothing of others"},
		{"/api/v1/queue?domain=example.net&state=waiting", 200, "mine@example.net"},
		{"/api/v1/messages", 200, "mine@example.net"},
		{"/api/v1/messages/" + mine.String(), 200, "mine@example.net"},
		{"/api/v1/messages/" + others.String(), 404, "nothing is known"},
		{"/api/v1/deliveries/" + w.deliveryOf("mine@example.net").String(), 200, "mine@example.net"},
		{"/api/v1/deliveries/" + theirs.String(), 404, "nothing is known"},
		{"/api/v1/deliveries/" + w.deliveryOf("mine@example.net").String() + "/content", 200, "Hello."},
		{"/api/v1/deliveries/" + theirs.String() + "/content", 404, "nothing is known"},
		{"/api/v1/queue/export", 200, "Envelope-To: mine@example.net"},
		{"/api/v1/queue/export?application=shop", 403, "sees nothing of others"},
		{"/api/v1/recipients/ann@example.net", 200, `"mine"`},
		{"/api/v1/recipients/secret@example.net", 200, `{"recipients":[]}`},
		{"/api/v1/holds", 200, "mine@example.net"},
		{"/api/v1/holds?all=1", 200, "for all"},
		{"/api/v1/holds?application=shop", 403, "sees nothing of others"},
		{"/api/v1/holds/mine@example.net", 200, `"mine"`},
		{"/api/v1/holds/all@example.net", 200, "for all"},
		{"/api/v1/holds/ann@example.net", 404, "nothing is known"},
		{"/api/v1/events", 200, "all@example.net"},
		{"/api/v1/events?limit=1", 200, ""},
		{"/api/v1/queue/campaigns", 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			a := do(t, network, request{path: tt.path, head: crm})
			if strings.Contains(a.body, "secret") && !strings.Contains(tt.path, "secret") || strings.Contains(a.body, `"application":"shop"`) {
				t.Errorf("it sees %s", a.body)
			}
			if a.status != tt.status || !strings.Contains(a.body, tt.has) {
				t.Errorf("%d %s, want %d and %q", a.status, a.body, tt.status, tt.has)
			}
		})
	}
	if a := do(t, network, request{path: "/api/v1/queue", head: w.token("")}); !strings.Contains(a.body, "secret") || !strings.Contains(a.body, "mine") {
		t.Errorf("an operator sees %s", a.body)
	}
}

func TestAPageOfEventsIsFullAlsoWhereMostAreOfOthers(t *testing.T) {
	w := open(t, nil)
	network, crm := serve(t, w.Network()), w.token("crm")
	for i := range 20 {
		w.mail(store.Message{Application: []string{"shop", "shop", "shop", "crm"}[i%4]}, fmt.Sprintf("p%d@example.net", i))
	}
	var seen []string
	for path := "/api/v1/events?limit=2"; path != ""; {
		page := getAs[Events](t, network, path, crm)
		for _, e := range page.Events {
			seen = append(seen, e.Recipient)
		}
		if path = ""; page.Next != "" {
			if len(page.Events) != 2 {
				t.Errorf("a page of %d", len(page.Events))
			}
			path = "/api/v1/events?limit=2&after=" + page.Next
		}
	}
	if got := strings.Join(seen, " "); got != "p3@example.net p7@example.net p11@example.net p15@example.net p19@example.net" {
		t.Errorf("it reads the events of %s", got)
	}
}

func TestAnApplicationChangesOnlyItsOwn(t *testing.T) {
	w, network, _, others := twoApplications(t)
	crm := w.token("crm")
	post := func(what, body string) answered { return do(t, network, request{"POST", what, body, crm}) }
	wantProblem(t, post("/api/v1/queue/cancel", `{"application":"shop"}`), 403, "sees nothing of others")
	wantProblem(t, post("/api/v1/holds", `{"address":"x@example.net","application":"shop"}`), 403, "sees nothing of others")
	wantProblem(t, post("/api/v1/queue/pause", `{"all":true}`), 403, "needs an operator's token")
	wantJSON(t, post("/api/v1/queue/cancel", fmt.Sprintf(`{"message":%q}`, others)).body, `{"dry_run":false,"recipients":0,"states":{},"busy":0,"pauses":[],"still":[]}`)
	wantJSON(t, post("/api/v1/queue/cancel", `{"all":true}`).body, `{"dry_run":false,"recipients":2,"states":{"waiting":2},"busy":0,"pauses":[],"still":[]}`)
	if got := getAs[Recipients](t, network, "/api/v1/queue", w.token("shop")); len(got.Recipients) != 2 {
		t.Errorf("of the shop's mail %d recipients are left, want 2", len(got.Recipients))
	}
	for address, status := range map[string]int{"ann@example.net": 404, "all@example.net": 403, "mine@example.net": 200} {
		if a := do(t, network, request{method: "DELETE", path: "/api/v1/holds/" + address, head: crm}); a.status != status {
			t.Errorf("releasing %s: %d %s, want %d", address, a.status, a.body, status)
		}
	}
	if a := post("/api/v1/holds", `{"address":"new@example.net","by":"olga","reason":"asked"}`); a.status != 200 || !strings.Contains(a.body, `"application":"crm"`) || !strings.Contains(a.body, `"by":"token tcrm"`) {
		t.Errorf("a hold of its own: %d %s", a.status, a.body)
	}
	for _, address := range []string{"ann@example.net", "secret@example.net", "all@example.net"} {
		if record, err := w.store.Hold(t.Context(), address); err != nil || len(record.Scopes) != 1 || len(record.Scopes[0].Holds) != 1 {
			t.Errorf("%s: %+v, %v", address, record, err)
		}
	}
}

func TestWhatCameOfTheMailOfOthersIsNoEvidenceThatAnApplicationSees(t *testing.T) {
	w := open(t, nil)
	w.queue.SetOptions(queue.Options{Retry: []time.Duration{time.Hour}, Lifetime: 24 * time.Hour, Rules: hold.Rules{Share: true}})
	w.mail(store.Message{Application: "shop"}, "dead@example.net")
	w.bounce("dead@example.net", "550 5.1.1 secret user unknown")
	network := serve(t, w.Network())
	a := do(t, network, request{path: "/api/v1/holds/dead@example.net", head: w.token("crm")})
	if a.status != 200 || strings.Contains(a.body, "secret") || !strings.Contains(a.body, `"held":true`) {
		t.Errorf("%d %s, want that it is on hold and not what was said", a.status, a.body)
	}
	if a := do(t, network, request{path: "/api/v1/holds/dead@example.net", head: w.token("")}); !strings.Contains(a.body, "secret") {
		t.Errorf("an operator sees %s", a.body)
	}
}

func TestWrongTokensAreSlowedDownAndRightOnesNot(t *testing.T) {
	counts := NewCounts(nil)
	w := open(t, func(w *Web) { w.Limiter, w.Counts = &smtpd.AuthLimiter{PerMinute: 3}, counts })
	network, crm := serve(t, w.Network()), w.token("crm")
	wrong := http.Header{"Authorization": {"Bearer homing_WRONG"}}
	for range 3 {
		wantProblem(t, do(t, network, request{path: "/api/v1/queue", head: wrong}), http.StatusUnauthorized, "this token is not known")
	}
	a := do(t, network, request{path: "/api/v1/queue", head: wrong})
	wantProblem(t, a, http.StatusTooManyRequests, "too many wrong tokens")
	if a.head.Get("Retry-After") != "60" {
		t.Errorf("Retry-After: %q", a.head.Get("Retry-After"))
	}
	if a := do(t, network, request{path: "/api/v1/queue", head: crm}); a.status != 200 {
		t.Errorf("the right one: %d %s", a.status, a.body)
	}
	wantProblem(t, do(t, network, request{path: "/api/v1/queue"}), http.StatusUnauthorized, "this needs a token")
	wantProblem(t, do(t, network, request{path: "/api/v1/status", head: crm}), http.StatusForbidden, "needs an operator's token")
	for why, want := range map[string]float64{"token": 3, "limited": 1, "scope": 1, "application": 0} {
		if got := testutil.ToFloat64(counts.tokens.WithLabelValues(why)); got != want {
			t.Errorf("%v were counted as %s, want %v", got, why, want)
		}
	}
	if log := w.log.String(); strings.Contains(log, "WRONG") || strings.Count(log, "a wrong token was shown") != 3 {
		t.Errorf("log: %s", log)
	}
}

func TestATokenIsTakenAsRFC6750WritesIt(t *testing.T) {
	w := open(t, nil)
	network, crm := serve(t, w.Network()), w.token("crm")
	secret := strings.TrimPrefix(crm.Get("Authorization"), "Bearer ")
	for value, want := range map[string]int{"Bearer " + secret: 200, "bearer " + secret: 200, "Bearer  " + secret + " ": 200, secret: 401, "Basic " + secret: 401, "Bearer": 401, "Bearer ": 401, "": 401} {
		if a := do(t, network, request{path: "/api/v1/queue", head: http.Header{"Authorization": {value}}}); a.status != want {
			t.Errorf("Authorization: %q gives %d, want %d", value, a.status, want)
		}
	}
	if a := do(t, network, request{path: "/api/v1/queue?access_token=" + secret}); a.status != 401 {
		t.Errorf("in the query, which logs keep: %d", a.status)
	}
}

func TestATokenOfAnApplicationThatWasTakenOutIsGoodForNothing(t *testing.T) {
	w := open(t, func(w *Web) { w.Knows = func(string) bool { return false } })
	network := serve(t, w.Network())
	wantProblem(t, do(t, network, request{path: "/api/v1/queue", head: w.token("crm")}), 403, "the application crm of this token was taken out of the configuration")
}

func TestTokensAreMadeListedRotatedAndRemoved(t *testing.T) {
	w := open(t, nil)
	network := serve(t, w.Network())
	made := postAs[Token](t, w.url, "/api/v1/tokens", `{"name":"crm","application":"crm","expires":"90d","by":"olga"}`)
	if made.Secret == "" || made.Application != "crm" || made.By != "olga" || made.Expires == nil || made.Expires.Before(time.Now().Add(89*24*time.Hour)) {
		t.Fatalf("made %+v", made)
	}
	works := func(secret string) int {
		return do(t, network, request{path: "/api/v1/queue", head: http.Header{"Authorization": {"Bearer " + secret}}}).status
	}
	if got := works(made.Secret); got != 200 {
		t.Errorf("it works: %d", got)
	}
	wantJSON(t, do(t, w.url, request{path: "/api/v1/tokens"}).body, fmt.Sprintf(`{"tokens":[{"name":"crm","application":"crm","operator":false,"created":"TIME","by":"olga","expires":"TIME","used":%q}]}`,
		time.Now().UTC().Format(time.DateOnly)))
	turned := postAs[Token](t, w.url, "/api/v1/tokens/crm/rotate", `{"overlap":"1h"}`)
	if works(made.Secret) != 200 || works(turned.Secret) != 200 || turned.Overlap == nil {
		t.Errorf("in the overlap both work: %d, %d", works(made.Secret), works(turned.Secret))
	}
	again := postAs[Token](t, w.url, "/api/v1/tokens/crm/rotate", `{}`)
	if works(made.Secret) != 401 || works(turned.Secret) != 401 || works(again.Secret) != 200 {
		t.Error("without an overlap others than the last work")
	}
	if a := do(t, w.url, request{method: "DELETE", path: "/api/v1/tokens/crm"}); a.status != 200 || works(again.Secret) != 401 {
		t.Errorf("removing it: %d %s", a.status, a.body)
	}
	if strings.Contains(w.log.String(), made.Secret) {
		t.Error("the log has a token")
	}
}

func TestMistakesWithTokensAreNamed(t *testing.T) {
	w := open(t, nil)
	w.token("crm")
	tests := []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "", `{"name":"tcrm","application":"crm"}`, 409, "there is a token of this name already"},
		{"POST", "", `{"name":"a b","application":"crm"}`, 422, "name: want up to 64"},
		{"POST", "", `{"name":"x","application":"nobody"}`, 422, `there is none called "nobody"`},
		{"POST", "", `{"name":"x"}`, 422, "want one of them"},
		{"POST", "", `{"name":"x","application":"crm","operator":true}`, 422, "want one of them"},
		{"POST", "", `{"name":"x","operator":true,"expires":"soon"}`, 422, "is not a duration"},
		{"POST", "", `{"name":"x","operator":true,"expires":"0s"}`, 422, "expires: want a time that is still to come"},
		{"POST", "/x/rotate", `{}`, 404, "there is no token of this name"},
		{"POST", "/tcrm/rotate", `{"overlap":"soon"}`, 422, "overlap: "},
		{"DELETE", "/x", "", 404, "there is no token of this name"},
	}
	for _, tt := range tests {
		wantProblem(t, do(t, w.url, request{tt.method, "/api/v1/tokens" + tt.path, tt.body, jsonBody}), tt.status, tt.want)
	}
}

func getAs[T any](t *testing.T, url, path string, head http.Header) (out T) {
	t.Helper()
	return read[T](t, do(t, url, request{path: path, head: head}))
}

func postAs[T any](t *testing.T, url, path, body string) (out T) {
	t.Helper()
	return read[T](t, do(t, url, request{"POST", path, body, jsonBody}))
}

// read reads the JSON of an answer that is none of a mistake.
func read[T any](t testing.TB, a answered) (out T) {
	t.Helper()
	if a.status >= 300 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &out); err != nil {
		t.Fatalf("%q: %v", a.body, err)
	}
	return out
}
