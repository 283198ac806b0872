package web

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"homing/hold"
)

func holdBy(who string) hold.Hold { return hold.Hold{By: who, Reason: "because"} }

func TestAnOperatorHoldsAndReleases(t *testing.T) {
	w := open(t, nil)
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	a := do(t, w.url, request{"POST", "/api/v1/holds", `{"address":"Ann@Example.net","application":"crm","reason":"asked us","by":"it","until":"` + until + `"}`, jsonBody})
	wantJSON(t, a.body, `{"address":"ann@example.net","held":true,"scopes":[{"application":"crm",
		"holds":[{"since":"TIME","until":"TIME","by":"it","rule":"operator","reason":"asked us","evidence":[]}],"evidence":[]}]}`)
	a = do(t, w.url, request{method: "DELETE", path: "/api/v1/holds/ann@example.net?application=crm"})
	wantJSON(t, a.body, `{"released":true}`)
	wantJSON(t, do(t, w.url, request{path: "/api/v1/holds/ann@example.net"}).body,
		`{"address":"ann@example.net","held":false,"scopes":[{"application":"crm","released":"TIME","holds":[],"evidence":[]}]}`)
	wantProblem(t, do(t, w.url, request{method: "DELETE", path: "/api/v1/holds/ann@example.net"}), http.StatusNotFound, "nothing is known")
	var told Events
	w.get("/api/v1/events", &told)
	if len(told.Events) != 2 || told.Events[0].Type != "held" || told.Events[1].Type != "released" {
		t.Errorf("events %+v, want held and released", told.Events)
	}
}

func TestAHoldThatCannotBe(t *testing.T) {
	w := open(t, nil)
	tests := []struct {
		name, body string
		status     int
		want       string
	}{
		{"no JSON", `address=ann@example.net`, 400, "reading the JSON"},
		{"nothing", ``, 400, "reading the JSON"},
		{"an unknown key", `{"adress":"ann@example.net"}`, 400, "adress"},
		{"more than one object", `{"address":"ann@example.net"}{}`, 400, "there is more after the first object"},
		{"no address", `{}`, 422, "address: want something like ann@example.net"},
		{"half an address", `{"address":"ann"}`, 422, "address: want"},
		{"a control character in it", `{"address":"ann\n@example.net"}`, 422, "address: want"},
		{"two addresses", `{"address":"ann@example.net, bob@example.net"}`, 422, "address: want"},
		{"a long address", `{"address":"` + strings.Repeat("a", 320) + `@example.net"}`, 422, "address: want"},
		{"an end in the past", `{"address":"ann@example.net","until":"2020-01-01T00:00:00Z"}`, 422, "until: want a time that is still to come"},
		{"an end that is no time", `{"address":"ann@example.net","until":"tomorrow"}`, 400, "reading the JSON"},
		{"an application that is not there", `{"address":"ann@example.net","application":"crn"}`, 422, `application: there is none called "crn"`},
		{"many words", `{"address":"ann@example.net","reason":"` + strings.Repeat("x", 1001) + `"}`, 422, "reason, by: want at most 1000 octets"},
		{"far too many", `{"address":"ann@example.net","reason":"` + strings.Repeat("x", maxRequest) + `"}`, 413, "the body has more than 65536 octets"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantProblem(t, do(t, w.url, request{"POST", "/api/v1/holds", tt.body, jsonBody}), tt.status, tt.want)
		})
	}
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"} {
		a := do(t, w.url, request{"POST", "/api/v1/holds", `{"address":"ann@example.net"}`, http.Header{"Content-Type": {kind}}})
		wantProblem(t, a, http.StatusUnsupportedMediaType, "Content-Type: application/json")
	}
	if a := do(t, w.url, request{path: "/api/v1/holds?all=1"}); a.body != `{"holds":[]}`+"\n" {
		t.Errorf("something is held: %s", a.body)
	}
	wantProblem(t, do(t, w.url, request{method: "DELETE", path: "/api/v1/holds/ann@example.net?application=crn"}), 422, "there is none")
}

func TestTheHoldListIsFilteredAndPaged(t *testing.T) {
	w := open(t, nil)
	for n := range 5 {
		if a := w.hold(fmt.Sprintf("u%d@one.test", n)); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	w.mail(mailing, "x@two.test")
	w.bounce("x@two.test", "550 5.1.1 no")
	w.hold("released@one.test")
	do(t, w.url, request{method: "DELETE", path: "/api/v1/holds/released@one.test"})
	tests := []struct{ query, want string }{
		{"", "u0 u1 u2 u3 u4 x"},
		{"all=1", "released u0 u1 u2 u3 u4 x"},
		{"domain=Two.test", "x"},
		{"provider=Two.test", "x"},
		{"provider=two.test&rule=operator", ""},
		{"provider=nobody", ""},
		{"application=crm", "u0 u1 u2 u3 u4 x"},
		{"rule=hard-report", "x"},
		{"rule=operator&domain=two.test", ""},
		{"since=1h", "u0 u1 u2 u3 u4 x"},
		{"since=7d", "u0 u1 u2 u3 u4 x"},
		{"since=0s", ""},
	}
	for _, tt := range tests {
		for _, limit := range []string{"", "1", "4"} {
			t.Run(tt.query+" by "+limit, func(t *testing.T) {
				if got := w.listHeld(tt.query + "&limit=" + limit); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			})
		}
	}
}

// listHeld gives the local parts of a whole list of holds.
func (w *world) listHeld(query string) string {
	w.Helper()
	var got []string
	for after, pages := "", 0; pages == 0 || after != ""; pages++ {
		var page Holds
		w.get("/api/v1/holds?"+query+"&after="+after, &page)
		for _, h := range page.Holds {
			local, _, _ := strings.Cut(h.Address, "@")
			got = append(got, local)
		}
		after = page.Next
	}
	return strings.Join(got, " ")
}
