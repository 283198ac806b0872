package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"homing/dnscheck"
	"homing/event"
	"homing/server/selfcheck"
)

// checked is a Checker with a result.
type checked struct {
	last, now selfcheck.Result
	past      []selfcheck.Change
	err       error
}

func (c checked) Last() selfcheck.Result                        { return c.last }
func (c checked) Now(context.Context) (selfcheck.Result, error) { return c.now, c.err }
func (c checked) History() []selfcheck.Change                   { return c.past }
func found(v dnscheck.Verdict, subject, what string) selfcheck.Finding {
	return selfcheck.Finding{Finding: dnscheck.Finding{Check: "spf", Subject: subject, Verdict: v, Found: what}, Since: noon}
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestASelfCheckInJSON(t *testing.T) {
	broken := selfcheck.Result{Time: noon, Took: 1.5, Findings: []selfcheck.Finding{found(dnscheck.Fail, "a", "no record"), found(dnscheck.OK, "b", "pass")}}
	fine := selfcheck.Result{Time: noon, Findings: []selfcheck.Finding{found(dnscheck.Warn, "a", "it has ?all"), found(dnscheck.Skipped, "b", "no answer")}}
	past := []selfcheck.Change{{Time: noon, Check: "spf", Subject: "a", Was: dnscheck.OK, Verdict: dnscheck.Fail}}
	w := open(t, func(w *Web) {
		w.Checks, w.Now = checked{last: broken, now: fine, past: past}, func() time.Time { return noon.Add(time.Minute) }
	})
	a := do(t, w.url, request{path: "/selfcheck"})
	wantJSON(t, a.body, `{"verdict":"fail","time":"TIME","age_seconds":60,"took_seconds":1.5,"findings":[
		{"check":"spf","subject":"a","verdict":"fail","found":"no record","since":"TIME"},{"check":"spf","subject":"b","verdict":"ok","found":"pass","since":"TIME"}],
		"history":[{"time":"TIME","check":"spf","subject":"a","was":"ok","verdict":"fail"}]}`)
	if a.status != http.StatusServiceUnavailable || a.head.Get("Content-Type") != "application/json" {
		t.Errorf("where something fails: %d %v", a.status, a.head)
	}
	a = do(t, w.url, request{method: "POST", path: "/selfcheck"})
	if !strings.HasPrefix(a.body, `{"verdict":"warn"`) || a.status != http.StatusOK {
		t.Errorf("a run: %d %s", a.status, a.body)
	}
	w = open(t, func(w *Web) {
		w.Checks, w.Now = checked{last: fine}, func() time.Time { return noon.Add(-time.Hour) }
	})
	if a := do(t, w.url, request{path: "/selfcheck"}); !strings.Contains(a.body, `"age_seconds":0,`) {
		t.Errorf("after the clock was set back: %s", a.body)
	}
	if a := do(t, w.url, request{path: "/selfcheck"}); a.status != http.StatusOK {
		t.Errorf("where nothing fails: %d %s", a.status, a.body)
	}
}

func TestBeforeTheFirstRunNothingIsFine(t *testing.T) {
	w := open(t, func(w *Web) { w.Checks = checked{err: errors.New("it is over")} })
	a := do(t, w.url, request{path: "/selfcheck"})
	wantJSON(t, a.body, `{"verdict":"pending","time":null,"age_seconds":0,"took_seconds":0,"findings":[],"history":[]}`)
	if a.status != http.StatusServiceUnavailable {
		t.Errorf("%d", a.status)
	}
	wantProblem(t, do(t, w.url, request{method: "POST", path: "/selfcheck"}), http.StatusServiceUnavailable, "the server is stopping")
	wantProblem(t, do(t, w.url, request{method: "POST", path: "/selfcheck?x=1"}), http.StatusBadRequest, `no parameter "x"`)
}

func TestABrowserGetsAPage(t *testing.T) {
	r := selfcheck.Result{Time: noon, Findings: []selfcheck.Finding{found(dnscheck.Fail, "<b>a</b>", "no record")}}
	r.Findings[0].Fix = `TXT "v=spf1 -all"`
	w := open(t, func(w *Web) {
		w.Checks = checked{last: r, past: []selfcheck.Change{{Time: noon, Check: "spf", Subject: "a", Was: dnscheck.Fail}}}
	})
	for accept, page := range map[string]bool{
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": true, "application/json": false, "*/*": false, "application/json, text/html": false,
	} {
		a := do(t, w.url, request{path: "/selfcheck", head: http.Header{"Accept": {accept}}})
		if got := strings.HasPrefix(a.body, "<!doctype html>"); got != page || a.status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", accept, a.status, a.body)
		}
		if !page {
			continue
		}
		for _, want := range []string{"Self-check: fail", "fail: spf &lt;b&gt;a&lt;/b&gt;", "v=spf1 -all", "fail → not checked any more"} {
			if !strings.Contains(a.body, want) {
				t.Errorf("the page has no %q: %s", want, a.body)
			}
		}
	}
}

// TestWhoSeesTheSelfCheckFromElsewhere asks as a web server in front passes it
// on.
func TestWhoSeesTheSelfCheckFromElsewhere(t *testing.T) {
	w := open(t, func(w *Web) {
		w.Checks = checked{last: selfcheck.Result{Time: noon, Findings: []selfcheck.Finding{found(dnscheck.OK, "a", "pass")}}}
	})
	network := serve(t, w.Network())
	for name, tt := range map[string]struct {
		head      http.Header
		get, post int
	}{
		"an operator":    {w.token(""), 200, 200},
		"an application": {w.token("crm"), 200, 403},
		"nobody":         {http.Header{}, 401, 401},
	} {
		tt.head.Set("X-Forwarded-For", "192.0.2.7")
		for method, want := range map[string]int{"GET": tt.get, "POST": tt.post} {
			if a := do(t, network, request{method: method, path: "/selfcheck", head: tt.head}); a.status != want || strings.Contains(a.body, "findings") != (want == 200) {
				t.Errorf("%s: %s: %d %s, want %d", name, method, a.status, a.body, want)
			}
		}
	}
	if a := do(t, network, request{path: "/selfcheck"}); a.status != 200 {
		t.Errorf("from this machine: %d", a.status)
	}
}

func TestAnApplicationHearsOfFailingChecks(t *testing.T) {
	crm := caller{application: "crm"}
	for _, tt := range []struct {
		e    event.Event
		want bool
	}{
		{event.Event{Type: event.CheckFailed}, true},
		{event.Event{Type: event.CheckRecovered}, true},
		{event.Event{Type: event.IncidentOpened}, false},
		{event.Event{Type: event.CheckFailed, Application: "shop"}, false},
	} {
		if got := crm.hears(tt.e); got != tt.want || (caller{}).hears(tt.e) {
			t.Errorf("%+v: %v, want %v; or nobody hears it", tt.e, got, tt.want)
		}
	}
}
