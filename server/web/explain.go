package web

import (
	"context"
	"net/http"
	"time"

	"homing/hold"
	"homing/queue"
)

// An Explanation is what GET /api/v1/queue/explain answers.
type Explanation struct {
	queue.Explanation
	Pauses []*Pause `json:"pauses"`           // what stops mail of the domain
	LookUp string   `json:"lookup,omitempty"` // why its mail hosts could not be looked up
}

// lookUpTime is how long mail hosts are looked up for an Explanation.
const lookUpTime = 5 * time.Second

// explainQueue says where the mail of a domain goes and what it waits for.
func (w *Web) explainQueue(rw http.ResponseWriter, r *http.Request) {
	values, err := parameters(r, "domain", "from")
	if err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	domain, from := hold.CanonicalDomain(values.Get("domain")), hold.CanonicalDomain(values.Get("from"))
	if domain == "" || max(len(domain), len(from)) > maxWords {
		problem(rw, http.StatusBadRequest, "domain: want the domain of recipients, like example.net")
		return
	}
	var out Explanation
	var hosts []queue.Host
	if w.Queue.Through(from) == "" { // else the mail hosts of the domain do not matter
		ctx, cancel := context.WithTimeout(r.Context(), lookUpTime)
		defer cancel()
		if hosts, err = w.Hosts(ctx, domain); err != nil {
			out.LookUp = err.Error()
		}
	}
	out.Explanation = w.Queue.Explain(domain, from, hosts)
	out.Pauses = PausesOf(out.Pause)
	w.answer(rw, out)
}
