package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"homing/bounce"
	"homing/event"
	"homing/hold"
	"homing/internal/message"
	"homing/queue"
	"homing/store"
)

// failing is a store and a queue that always fail with one error.
type failing struct{ err error }

func (f failing) ReleaseCaptured(context.Context, queue.Order, func(store.Message, store.Recipient) string) (queue.Tally, error) {
	return queue.Tally{}, f.err
}
func (f failing) OpenBody(context.Context, message.Ref) (message.Body, error) { return nil, f.err }
func (f failing) Find(context.Context, store.Query) (store.Page, error)       { return store.Page{}, f.err }
func (f failing) Recipient(context.Context, event.DeliveryID) (store.Message, store.Recipient, error) {
	return store.Message{}, store.Recipient{}, f.err
}
func (f failing) Record(context.Context, string) (hold.Record, error) { return hold.Record{}, f.err }
func (f failing) Erase(context.Context, string, string) (queue.Erasure, error) {
	return queue.Erasure{}, f.err
}
func (f failing) WouldErase(context.Context, string) (queue.Erasure, error) {
	return queue.Erasure{}, f.err
}
func (f failing) Events(context.Context, event.ID, int) ([]event.Event, error) {
	return nil, f.err
}
func (f failing) AddHold(context.Context, string, string, hold.Hold) error { return f.err }
func (f failing) Release(context.Context, string, string) (bool, error)    { return false, f.err }
func (f failing) Replay(context.Context, bounce.Rules, bounce.Rules) (queue.Replay, error) {
	return queue.Replay{}, f.err
}
func (f failing) Explain(string, string, []queue.Host) queue.Explanation { return queue.Explanation{} }
func (f failing) Plan(int) queue.Plan                                    { return queue.Plan{} }
func (f failing) Campaigns() []queue.Campaign                            { return nil }
func (f failing) Unknown(context.Context, time.Time, bounce.Rules) (bounce.UnknownList, error) {
	return bounce.UnknownList{}, f.err
}

// Orders of a failing queue come half way.
func (f failing) Retry(context.Context, queue.Order) (queue.Tally, error) {
	return queue.Tally{Recipients: map[store.State]int{store.Waiting: 7}}, f.err
}
func (f failing) Pause(ctx context.Context, o queue.Order) (queue.Tally, error) {
	return f.Retry(ctx, o)
}
func (f failing) Resume(ctx context.Context, o queue.Order) (queue.Tally, error) {
	return f.Retry(ctx, o)
}
func (f failing) Cancel(ctx context.Context, o queue.Order) (queue.Tally, error) {
	return f.Retry(ctx, o)
}
func (f failing) Pauses(context.Context) ([]queue.Pause, int, error) { return nil, 0, f.err }
func (f failing) Paused(store.Row) (queue.Pause, bool)               { return queue.Pause{}, false }
func (f failing) Provider(k store.Key) string                        { return k.Domain }
func (f failing) Through(string) string                              { return "" }

func TestWhenTheStoreFails(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		status int
		want   string
	}{
		{"no room", store.ErrFull, http.StatusInsufficientStorage, "no room on the disk"},
		{"the disk failed", store.ErrFailed, http.StatusServiceUnavailable, "the disk failed"},
		{"nobody knows why", errors.New("secret reason"), http.StatusInternalServerError, "the server's log says why"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, func(w *Web) {
				w.Store, w.Queue = failing{tt.err}, failing{tt.err}
				w.Status = func(context.Context) (Status, error) { return Status{}, tt.err }
			})
			for _, r := range []request{{path: "/api/v1/queue"}, {path: "/api/v1/messages/01KAQ3V5Z8001"}, {path: "/api/v1/deliveries/01KAQ3V5Z8001"},
				{path: "/api/v1/recipients/a@b"}, {path: "/api/v1/holds"}, {path: "/api/v1/holds/a@b"}, {path: "/api/v1/events"}, {path: "/api/v1/status"},
				{"POST", "/api/v1/holds", `{"address":"a@b.test"}`, jsonBody}, {method: "DELETE", path: "/api/v1/holds/a@b"},
				{path: "/api/v1/queue/pauses"}, {"POST", "/api/v1/queue/pause", `{"all":true,"dry_run":true}`, jsonBody},
				{"POST", "/api/v1/classify/replay", "", tomlBody}, {path: "/api/v1/classify/unknown"}} {
				wantProblem(t, do(t, w.url, r), tt.status, tt.want)
			}
			if logged := strings.Contains(w.log.String(), "secret reason"); logged != (tt.status == 500) {
				t.Errorf("log: %s", w.log)
			}
		})
	}
}

func TestAliveAndReady(t *testing.T) {
	var notReady error
	w := open(t, func(w *Web) { w.Ready = func() error { return notReady } })
	for _, path := range []string{"/healthz", "/readyz"} {
		if a := do(t, w.url, request{path: path}); a.status != 200 || a.head.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s: %d %v", path, a.status, a.head)
		}
	}
	notReady = errors.New("starting")
	wantProblem(t, do(t, w.url, request{path: "/readyz"}), http.StatusServiceUnavailable, "starting")
	if a := do(t, w.url, request{path: "/healthz"}); a.status != 200 || a.body != "ok\n" {
		t.Errorf("/healthz: %d %s", a.status, a.body)
	}
}

func TestReload(t *testing.T) {
	var mistake error
	w := open(t, func(w *Web) { w.Reload = func(context.Context) error { return mistake } })
	wantJSON(t, do(t, w.url, request{method: "POST", path: "/api/v1/reload"}).body, `{"reloaded":true}`)
	mistake = errors.New("homing.toml:7: mode: no")
	wantProblem(t, do(t, w.url, request{method: "POST", path: "/api/v1/reload"}), http.StatusUnprocessableEntity, "homing.toml:7: mode: no")
	wantProblem(t, do(t, w.url, request{method: "POST", path: "/api/v1/reload?dry_run=1"}), http.StatusBadRequest, `no parameter "dry_run"`)
}

func TestStatus(t *testing.T) {
	w := open(t, nil)
	wantJSON(t, do(t, w.url, request{path: "/api/v1/status"}).body, `{"version":"v1","hostname":"","mode":"","started":"0001-01-01T00:00:00Z","ready":"","verdict":"","config":"","data_dir":"","notify":null,
		"listen":[],"waiting":0,"pauses":null,"sinks":null,"applications":null,"accounts":null,"due":null,"attention":null}`)
}

func TestClassify(t *testing.T) {
	w := open(t, func(w *Web) { w.MaxMessage = 2000 })
	classify := func(body string) answered {
		return do(t, w.url, request{"POST", "/api/v1/classify", body, http.Header{"Content-Type": {"message/rfc822"}}})
	}
	a := classify(dsn("ann@example.net", "550 5.1.1 user unknown"))
	if want := `{"file":"-","kind":"bounce","format":"rfc3464","recipients":[{"address":"ann@example.net","original":"","action":"failed","status":"5.1.1",` +
		`"code":550,"diagnostic":"550 5.1.1 user unknown","remote_mta":"","class":"hard","reason":"user_unknown","civicrm":"Invalid",` +
		`"rule":"status-5.1.1","matched":"5.1.1"}]}` + "\n"; a.body != want || a.head.Get("Content-Type") != "application/json" {
		t.Errorf("%v %s, want %s", a.head, a.body, want)
	}
	if a := classify(""); a.status != 200 || !strings.Contains(a.body, `"kind":"message"`) {
		t.Errorf("nothing: %d %s", a.status, a.body)
	}
	wantProblem(t, classify(strings.Repeat("x", 2001)), http.StatusRequestEntityTooLarge, "more than 2000 octets")
	wantProblem(t, do(t, w.url, request{method: "POST", path: "/api/v1/classify?rules=mine"}), http.StatusBadRequest, `no parameter "rules"`)
	// Too much, without a length in front.
	req, err := http.NewRequest("POST", w.url+"/api/v1/classify", io.MultiReader(strings.NewReader(strings.Repeat("x\r\n", 1000))))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("in chunks: %s", resp.Status)
	}
}
