package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"homing/queue"
	"homing/store"
)

// give gives an order and reads what came of it.
func (w *world) give(what, body string) Tally {
	w.Helper()
	a := do(w.TB, w.url, request{"POST", "/api/v1/queue/" + what, body, jsonBody})
	var t Tally
	if a.status != http.StatusOK {
		w.Fatalf("POST %s %s = %d %s", what, body, a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &t); err != nil {
		w.Fatal(err)
	}
	return t
}

// states lists recipients with their states.
func (w *world) states(path string) string {
	w.Helper()
	var page Recipients
	w.get(path, &page)
	var words []string
	for _, r := range page.Recipients {
		local, _, _ := strings.Cut(r.Recipient, "@")
		words = append(words, local+" "+r.State)
	}
	return strings.Join(words, ", ")
}

func TestOrdersInJSON(t *testing.T) {
	w := open(t, nil)
	w.mail(mailing, "ann@one.test", "bob@two.test")
	w.submit(queue.Submission{Capture: true, Message: mailing}, "kept@two.test")
	steps := []struct{ what, body, want string }{
		{"cancel", `{"domain":"TWO.test","dry_run":true}`, `{"dry_run":true,"recipients":2,"states":{"captured":1,"waiting":1},"busy":0,"pauses":[],"still":[],
			"examples":[{"message":"ID","delivery":"ID","recipient":"bob@two.test","state":"waiting","accepted":"TIME","attempts":0,"next":"TIME","expires":"TIME",
			"application":"crm","domain":"example.org","sender":"civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org","from":"news@example.org","return_path":"return+x@bounce.example.org",
			"campaign":"civicrm:job:1","subject":"News","size":22,"provider":"two.test"},
			{"message":"ID","delivery":"ID","recipient":"kept@two.test","state":"captured","accepted":"TIME","attempts":0,
			"application":"crm","domain":"example.org","sender":"civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org","from":"news@example.org","return_path":"return+x@bounce.example.org",
			"campaign":"civicrm:job:1","subject":"News","size":22,"provider":"two.test"}]}`},
		{"retry", `{"all":true}`, `{"dry_run":false,"recipients":0,"states":{},"busy":0,"pauses":[],"still":[]}`},
		{"pause", `{"application":"crm","campaign":"civicrm:job:1","by":"olga","why":"wrong date"}`, `{"dry_run":false,"recipients":2,"states":{"waiting":2},"busy":0,
			"pauses":[{"application":"crm","campaign":"civicrm:job:1","since":"TIME","by":"olga","why":"wrong date","standing":true,"recipients":2}],"still":[]}`},
		{"resume", `{"domain":"one.test"}`, `{"dry_run":false,"recipients":0,"states":{},"busy":0,"pauses":[],
			"still":[{"application":"crm","campaign":"civicrm:job:1","since":"TIME","by":"olga","why":"wrong date","standing":true}]}`},
		{"pause", `{"domain":"two.test","older":"0s"}`, `{"dry_run":false,"recipients":1,"states":{"waiting":1},"busy":0,
			"pauses":[{"domain":"two.test","before":"TIME","since":"TIME","by":"api","standing":false,"recipients":1}],"still":[]}`},
		{"resume", `{"all":true,"limit":1}`, `{"dry_run":false,"recipients":2,"states":{"paused":1,"waiting":1},"busy":0,
			"pauses":[{"application":"crm","campaign":"civicrm:job:1","since":"TIME","by":"olga","why":"wrong date","standing":true},
			{"domain":"two.test","before":"TIME","since":"TIME","by":"api","standing":false,"recipients":1}],"still":[]}`},
	}
	for _, s := range steps {
		t.Run(s.what+" "+s.body, func(t *testing.T) {
			wantJSON(t, do(t, w.url, request{"POST", "/api/v1/queue/" + s.what, s.body, jsonBody}).body, s.want)
		})
	}
}

func TestWhatIsPausedIsListedSo(t *testing.T) {
	w := open(t, nil)
	w.mail(mailing, "ann@one.test", "bob@two.test")
	w.mail(store.Message{}, "eve@two.test", "zoe@three.test")
	w.give("pause", `{"campaign":"civicrm:job:1","by":"olga"}`)
	w.give("pause", `{"sender":"civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org","domain":"three.test"}`)
	for path, want := range map[string]string{
		"/api/v1/queue":                               "ann paused, bob paused, eve waiting, zoe paused",
		"/api/v1/queue?state=paused":                  "ann paused, bob paused, zoe paused",
		"/api/v1/queue?state=waiting":                 "eve waiting",
		"/api/v1/queue?state=waiting&limit=1":         "eve waiting",
		"/api/v1/queue?provider=TWO.test":             "bob paused, eve waiting",
		"/api/v1/messages?state=paused&state=waiting": "ann paused, bob paused, eve waiting, zoe paused",
		"/api/v1/recipients/ann@one.test":             "ann paused",
	} {
		if got := w.states(path); got != want {
			t.Errorf("%s lists %q, want %q", path, got, want)
		}
	}
	var page Recipients
	w.get("/api/v1/queue", &page)
	if p := page.Recipients[0].Pause; p == nil || p.By != "olga" || p.Campaign != "civicrm:job:1" || page.Recipients[0].Next != nil {
		t.Errorf("ann is paused by %+v, the next attempt at %v", p, page.Recipients[0].Next)
	}
	if p := page.Recipients[3].Pause; p == nil || p.By != "api" || p.Standing {
		t.Errorf("zoe is paused by %+v", p)
	}
	wantJSON(t, do(t, w.url, request{path: "/api/v1/queue/pauses"}).body, `{"pauses":[
		{"campaign":"civicrm:job:1","since":"TIME","by":"olga","standing":true,"recipients":2},
		{"domain":"three.test","sender":"civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org","since":"TIME","by":"api","standing":false,"recipients":1}],"aside":1}`)
}

func TestAnOrderGoesInPartsWhereThatIsWanted(t *testing.T) {
	w := open(t, nil)
	w.mail(mailing, "a@one.test", "b@one.test", "c@one.test", "d@one.test", "e@one.test")
	var sizes []int
	for next := ""; ; {
		part := w.give("cancel", fmt.Sprintf(`{"domain":"one.test","limit":2,"after":%q}`, next))
		sizes = append(sizes, part.Recipients)
		if next = part.Next; next == "" {
			break
		}
	}
	if !slices.Equal(sizes, []int{2, 2, 1}) {
		t.Errorf("parts of %v", sizes)
	}
}

func TestMistakesInAnOrderAreNamed(t *testing.T) {
	w := open(t, nil)
	w.mail(mailing, "ann@example.net")
	tests := []struct {
		body   string
		status int
		want   string
	}{
		{`{}`, 422, "say which mail is meant by message, domain, provider, sender, application, campaign, older or before; all mail needs all"},
		{`{"dry_run":true,"by":"olga"}`, 422, "say which mail is meant"},
		{`{"all":true,"domain":"example.net"}`, 422, "all: want nothing else with it"},
		{`{"older":"soon"}`, 422, `older: "soon" is not a duration`},
		{`{"older":"1d","before":"2026-11-23T10:00:00Z"}`, 422, "older, before: want one of them"},
		{`{"message":"x"}`, 422, "message: not an identifier of ours"},
		{`{"all":true,"limit":-1}`, 422, "limit: want a number from 1 on"},
		{`{"all":true,"after":"x"}`, 422, "after: not an identifier of ours"},
		{`{"domain":"` + strings.Repeat("x", 1001) + `"}`, 422, "want at most 1000 octets"},
		{`{"domian":"example.net"}`, 400, `unknown field "domian"`},
		{`{"all":true}{}`, 400, "there is more after the first object"},
	}
	for _, tt := range tests {
		for _, what := range []string{"retry", "pause", "resume", "cancel"} {
			wantProblem(t, do(t, w.url, request{"POST", "/api/v1/queue/" + what, tt.body, jsonBody}), tt.status, tt.want)
		}
	}
	wantProblem(t, do(t, w.url, request{"POST", "/api/v1/queue/cancel?domain=example.net", `{"all":true}`, jsonBody}), 400, `there is no parameter "domain" here`)
	if got := w.states("/api/v1/queue"); got != "ann waiting" {
		t.Errorf("now there is %q", got)
	}
}

func TestAnOrderThatFailsSaysHowFarItCame(t *testing.T) {
	w := open(t, func(w *Web) { w.Queue = failing{store.ErrFull} })
	wantProblem(t, do(t, w.url, request{"POST", "/api/v1/queue/cancel", `{"all":true}`, jsonBody}), http.StatusInsufficientStorage,
		"try again; 7 recipients were changed until then: give the order again for the rest")
}

// A slow queue has no end of recipients to cancel.
type slow struct {
	failing
	began, ended chan struct{}
}

func (s slow) Cancel(ctx context.Context, _ queue.Order) (queue.Tally, error) {
	close(s.began)
	<-ctx.Done()
	close(s.ended)
	return queue.Tally{Recipients: map[store.State]int{store.Waiting: 7}}, ctx.Err()
}

func TestAnOrderEndsWhenNobodyWaitsForIt(t *testing.T) {
	s := slow{began: make(chan struct{}), ended: make(chan struct{})}
	w := open(t, func(w *Web) { w.Queue = s })
	ctx, hangUp := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", w.url+"/api/v1/queue/cancel", strings.NewReader(`{"all":true}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = jsonBody
	done := make(chan error, 1)
	go func() {
		_, err := client.Do(req)
		done <- err
	}()
	<-s.began
	hangUp()
	if err := <-done; err == nil {
		t.Error("there was an answer, want none")
	}
	<-s.ended
}
