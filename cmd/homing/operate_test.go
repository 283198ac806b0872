package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"homing/server/web"
)

// Instalments answer each order with the next part, and then fail.
type instalments struct {
	t     *testing.T
	left  []web.Tally
	asked []web.Order
}

func (p *instalments) RoundTrip(r *http.Request) (*http.Response, error) {
	var o web.Order
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
		p.t.Error(err)
	}
	p.asked = append(p.asked, o)
	if len(p.left) == 0 {
		return nil, errors.New("the server has gone")
	}
	rec := httptest.NewRecorder()
	if err := json.NewEncoder(rec).Encode(p.left[0]); err != nil {
		p.t.Error(err)
	}
	p.left = p.left[1:]
	return rec.Result(), nil
}

func TestALargeOrderIsGivenInPartsThatAreAddedUp(t *testing.T) {
	pause := func(n int) []*web.Pause { return []*web.Pause{{Sender: "news@example.org", Recipients: n}} }
	p := &instalments{t: t, left: []web.Tally{
		{Recipients: 10_000, States: map[string]int{"waiting": 10_000}, Busy: 2, Pauses: pause(10_000), Next: "01KAQ3V5Z8001"},
		{Recipients: 10_000, States: map[string]int{"waiting": 10_000}, Pauses: pause(20_000), Next: "01KAQ3V5Z8002"},
		{Recipients: 7, States: map[string]int{"waiting": 7}, Busy: 1, Pauses: pause(20_007)},
	}}
	server := &control{http: &http.Client{Transport: p}, socket: "control.sock"}
	var far []int
	got, err := server.operate(t.Context(), pauseQueue, web.Order{Sender: "news@example.org"}, func(n int) { far = append(far, n) })
	if err != nil || got.Recipients != 20_007 || got.States["waiting"] != 20_007 || got.Busy != 3 || got.Next != "" || len(got.Pauses) != 1 || got.Pauses[0].Recipients != 20_007 {
		t.Errorf("got %+v, %v", got, err)
	}
	if want := "[10000 20000]"; fmt.Sprint(far) != want {
		t.Errorf("on the way it said %v, want %s", far, want)
	}
	var after []string
	for _, o := range p.asked {
		if o.Limit != partRows || o.Sender != "news@example.org" {
			t.Errorf("asked for %+v", o)
		}
		after = append(after, o.After)
	}
	if want := " 01KAQ3V5Z8001 01KAQ3V5Z8002"; strings.Join(after, " ") != want {
		t.Errorf("went on after %q, want %q", after, want)
	}
}

func TestAnOrderThatIsCutShortSaysHowFarItCame(t *testing.T) {
	p := &instalments{t: t, left: []web.Tally{{Recipients: 10_000, Next: "01KAQ3V5Z8001"}}}
	server := &control{http: &http.Client{Transport: p}, socket: "control.sock"}
	_, err := server.operate(t.Context(), cancelQueue, web.Order{All: true}, func(int) {})
	if err == nil || !strings.HasSuffix(err.Error(), "the server has gone; before that, at least 10000 recipients were done: give the command again for the rest") {
		t.Errorf("got %v", err)
	}
}
