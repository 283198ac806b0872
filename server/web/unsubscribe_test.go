package web

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"homing/store"
	"homing/verp"
)

func TestAnUnsubscribeLinkShowsOneButtonAndDoesNothingUntilItIsPressed(t *testing.T) {
	var done []string
	links := map[string]error{"good": nil, "full": nil, "old": verp.ErrExpired, "forged": verp.ErrForged, "odd": verp.ErrNotVERP}
	w := open(t, func(w *Web) {
		w.Link = func(sealed string) (verp.Link, error) {
			return verp.Link{Recipient: "<b>ann.lee@example.net", Domain: "example.org", Campaign: sealed}, links[sealed]
		}
		w.Unsubscribe = func(_ context.Context, l verp.Link) error {
			if l.Campaign == "full" {
				return store.ErrFull
			}
			done = append(done, l.Campaign)
			return nil
		}
	})
	public := serve(t, w.Public())
	page := http.Header{"Accept": {"text/html,application/xhtml+xml"}}
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	tests := []struct {
		name   string
		r      request
		status int
		says   string
		done   bool
	}{
		{"a look at it", request{path: "/u/good", head: page}, 200, `<form method="post">`, false},
		{"a look by a program", request{path: "/u/good"}, 200, "Mailings of example.org to <b…@example.net will stop.", false},
		{"a look at its head", request{method: "HEAD", path: "/u/good"}, 200, "", false},
		{"the button", request{"POST", "/u/good", "List-Unsubscribe=One-Click", http.Header{"Accept": page["Accept"], "Content-Type": form["Content-Type"]}}, 200, "gets no more mailings of example.org", true},
		{"a mail program", request{"POST", "/u/good", "List-Unsubscribe=One-Click", form}, 200, "Unsubscribed\n", true},
		{"a mail program that sends nothing else", request{"POST", "/u/good", "", nil}, 200, "Unsubscribed\n", true},
		{"an old one", request{"POST", "/u/old", "", nil}, 410, "too old", false},
		{"a look at an old one", request{path: "/u/old", head: page}, 410, "no more mailings of example.org", false},
		{"a forged one", request{"POST", "/u/forged", "", nil}, 404, "not whole", false},
		{"half a one", request{path: "/u/odd", head: page}, 404, "not whole", false},
		{"no room on the disk", request{"POST", "/u/full", "", nil}, 507, "try again later", false},
		{"another method", request{"PUT", "/u/good", "", nil}, 405, "this takes", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			done = nil
			got := do(t, public, tt.r)
			if got.status != tt.status || !strings.Contains(got.body, tt.says) || (len(done) > 0) != tt.done {
				t.Errorf("answered %d %q, done: %v; want %d with %q, %v", got.status, got.body, done, tt.status, tt.says, tt.done)
			}
			if strings.Contains(got.body, "<b>") && tt.r.head.Get("Accept") != "" {
				t.Error("what is in the link is markup")
			}
		})
	}
	if got := do(t, public, request{path: "/u/good", head: page}); got.head.Get("Referrer-Policy") != "no-referrer" || !strings.Contains(got.head.Get("Content-Security-Policy"), "form-action 'self'") {
		t.Errorf("the page comes with %v", got.head)
	}
}
