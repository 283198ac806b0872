package web

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"homing/bounce"
	"homing/queue"
	"homing/store"
)

var tomlBody = http.Header{"Content-Type": {"application/toml"}}

// frobnicated is a rule for what the shipped rules do not know.
const frobnicated = "[[rule]]\nname = 'own'\nwords = ['frobnicated']\nreason = 'disabled'\nexamples = ['550 5.9.9 frobnicated']\n"

func replay(body string) request { return request{"POST", "/api/v1/classify/replay", body, tomlBody} }

func TestWhatOtherRulesWouldDo(t *testing.T) {
	w := open(t, nil)
	w.mail(store.Message{}, "ann@example.net")
	w.bounce("ann@example.net", "550 5.9.9 frobnicated")
	before := do(t, w.url, request{path: "/api/v1/events"}).body + do(t, w.url, request{path: "/api/v1/holds?all=1"}).body
	turn := `"now":{"class":"soft","reason":"unknown","civicrm":"Syntax","rule":"unknown"},"then":{"class":"hard","reason":"disabled","civicrm":"Inactive","rule":"own"},
		"example":{"time":"TIME","recipient":"ann@example.net","remote_mta":"mx.example.net[198.51.100.7]","diagnostic":"550 5.9.9 frobnicated"}`
	wantJSON(t, do(t, w.url, replay(frobnicated)).body, `{"from":"TIME","to":"TIME","failures":1,"unjudged":0,"changed":1,"changes":[{"count":1,`+turn+`}],
		"would_hold":[{"address":"ann@example.net","application":"crm","rule":"hard-report","reason":"disabled","since":"TIME","until":null,"why":{"count":1,`+turn+`}}],
		"would_release":[],"cut":false}`)
	wantJSON(t, do(t, w.url, replay("")).body, `{"from":"TIME","to":"TIME","failures":1,"unjudged":0,"changed":0,"changes":[],"would_hold":[],"would_release":[],"cut":false}`)
	if after := do(t, w.url, request{path: "/api/v1/events"}).body + do(t, w.url, request{path: "/api/v1/holds?all=1"}).body; after != before {
		t.Errorf("a replay changed something: before %s, after %s", before, after)
	}
}

func TestWhatNoRuleUnderstands(t *testing.T) {
	w := open(t, nil)
	wantJSON(t, do(t, w.url, request{path: "/api/v1/classify/unknown"}).body, `{"replies":0,"groups":[],"cut":false}`)
	w.mail(store.Message{}, "ann@example.net")
	w.bounce("ann@example.net", "550 5.9.9 frobnicated ann at 10:00")
	for _, query := range []string{"", "?since=1h", "?since=7d"} {
		wantJSON(t, do(t, w.url, request{path: "/api/v1/classify/unknown" + query}).body, `{"replies":1,"groups":[{"shape":"550 5.9.9 frobnicated {address} at {time}",
			"count":1,"domains":1,"hosts":1,"first":"TIME","last":"TIME","example":"550 5.9.9 frobnicated ann at 10:00"}],"cut":false}`)
	}
	w.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	wantJSON(t, do(t, w.url, request{path: "/api/v1/classify/unknown?since=1h"}).body, `{"replies":0,"groups":[],"cut":false}`)
}

func TestMistakesOfWhoeverAsksForAReplay(t *testing.T) {
	w := open(t, nil)
	tests := []struct {
		name   string
		r      request
		status int
		want   string
	}{
		{"mistakes in the rules, all of them", replay("[[rule]]\nname = ''\nresaon = 'disabled'\n"), http.StatusUnprocessableEntity, "line 3: rule.resaon: there is no such key"},
		{"another type", request{"POST", "/api/v1/classify/replay", "{}", jsonBody}, http.StatusUnsupportedMediaType, "Content-Type: application/toml"},
		{"too much", replay(strings.Repeat("#", 1<<20+1)), http.StatusRequestEntityTooLarge, "more than 1048576 octets"},
		{"a parameter", request{"POST", "/api/v1/classify/replay?since=1h", "", tomlBody}, http.StatusBadRequest, `no parameter "since"`},
		{"no time", request{path: "/api/v1/classify/unknown?since=monday"}, http.StatusBadRequest, `since: "monday" is not a duration`},
		{"a parameter of something else", request{path: "/api/v1/classify/unknown?limit=1"}, http.StatusBadRequest, `no parameter "limit"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantProblem(t, do(t, w.url, tt.r), tt.status, tt.want) })
	}
}

func TestASecondReplayHasToWait(t *testing.T) {
	w := open(t, func(w *Web) { w.Queue = failing{queue.ErrBusy} })
	wantProblem(t, do(t, w.url, replay("")), http.StatusConflict, "try again when that is done")
	wantProblem(t, do(t, w.url, request{path: "/api/v1/classify/unknown"}), http.StatusConflict, "try again when that is done")
}

// A patient queue replays until its context ends.
type patient struct {
	failing
	began, ended chan struct{}
}

func (p patient) Replay(ctx context.Context, _, _ bounce.Rules) (queue.Replay, error) {
	close(p.began)
	<-ctx.Done()
	close(p.ended)
	return queue.Replay{}, ctx.Err()
}

func TestAReplayEndsWhenNobodyWaitsForIt(t *testing.T) {
	p := patient{began: make(chan struct{}), ended: make(chan struct{})}
	w := open(t, func(w *Web) { w.Queue = p })
	ctx, hangUp := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", w.url+"/api/v1/classify/replay", strings.NewReader(frobnicated))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = tomlBody
	done := make(chan error, 1)
	go func() {
		_, err := client.Do(req)
		done <- err
	}()
	<-p.began
	hangUp()
	if err := <-done; err == nil {
		t.Error("there was an answer, want none")
	}
	<-p.ended
}
