package web

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"homing/hold"
	"homing/queue"
	"homing/store"
)

func TestAPersonIsErasedByOperatorsAlone(t *testing.T) {
	w := open(t, nil)
	w.mail(store.Message{}, "Ann@example.net", "bob@example.net")
	if err := w.queue.AddHold(t.Context(), "ann@example.net", "crm", hold.Hold{By: "olga", Reason: "asked"}); err != nil {
		t.Fatal(err)
	}
	w.await()
	var forgotten []string
	w.ForgetAuthor = func(_ context.Context, canonical string) error {
		forgotten = append(forgotten, canonical)
		return nil
	}
	network, crm, operator := serve(t, w.Network()), w.token("crm"), w.token("")
	const path = "/api/v1/recipients/ann@example.net"
	wantProblem(t, do(t, network, request{method: "DELETE", path: path, head: crm}), http.StatusForbidden, "this needs an operator's token")

	erased := func(query string) (out Erasure) {
		t.Helper()
		a := do(t, network, request{method: "DELETE", path: path + query, head: operator})
		if err := json.Unmarshal([]byte(a.body), &out); err != nil || a.status != http.StatusOK {
			t.Fatalf("%d %s, %v", a.status, a.body, err)
		}
		return out
	}
	dry := erased("?dry_run=1")
	if dry.Reviews != 1 || w.waits.Waiting() != 1 || !dry.DryRun || dry.Deliveries != 1 || dry.States["waiting"] != 1 || dry.Events == 0 || dry.Hold == "" || len(dry.Remains) == 0 {
		t.Errorf("a dry run says %+v", dry)
	}
	if n := len(w.rowsOf("ann@example.net")); n != 1 {
		t.Errorf("%d rows after a dry run", n)
	}
	done := erased("?by=olga")
	if done.Reviews != 1 || w.waits.Waiting() != 0 || done.DryRun || done.Deliveries != 1 || done.Events != dry.Events+1 || done.Hold == dry.Hold { // cancelled
		t.Errorf("erased %+v, of %+v", done, dry)
	}
	if !slices.Equal(forgotten, []string{"ann@example.net"}) {
		t.Errorf("as authors are forgotten %q", forgotten)
	}
	if n := len(w.rowsOf("ann@example.net")); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	if n := len(w.rowsOf("bob@example.net")); n != 1 {
		t.Errorf("%d rows of somebody else", n)
	}
	a := do(t, network, request{path: "/api/v1/holds/ANN@example.net", head: crm})
	var h Hold
	if err := json.Unmarshal([]byte(a.body), &h); err != nil || !h.Held || h.Address != "ann@example.net" || h.Scopes[0].Holds[0].Reason != "" {
		t.Errorf("the hold is %s", a.body)
	}
	if a := do(t, network, request{method: "DELETE", path: "/api/v1/holds/ann@example.net", head: crm}); a.status != http.StatusOK {
		t.Errorf("its application releases it: %d %s", a.status, a.body)
	}
	for path, detail := range map[string]string{
		"/api/v1/recipients/ann":                        "want an address",
		"/api/v1/recipients/x@" + queue.ErasedDomain:    "stands for somebody who was erased already",
		"/api/v1/recipients/ann@example.net?colour=red": `there is no parameter "colour"`,
	} {
		wantProblem(t, do(t, network, request{method: "DELETE", path: path, head: operator}), http.StatusBadRequest, detail)
	}
}

// rowsOf gives the deliveries to an address.
func (w *world) rowsOf(address string) []store.Row {
	w.Helper()
	page, err := w.store.Find(w.Context(), store.Query{Address: address})
	if err != nil {
		w.Fatal(err)
	}
	return page.Rows
}
