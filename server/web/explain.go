package web

import (
	"context"
	"net/http"
	"strings"
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

// maxDomain is how long a domain is at most, in octets (RFC 5321 section 4.5.3.1.2).
const maxDomain = 255

// isDomain reports whether mail can have a domain in canonical form: one with a
// dot, or an address literal (RFC 5321 section 4.1.3).
func isDomain(s string) bool {
	if len(s) > maxDomain || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || strings.ContainsRune("*/@<>,;\"'()\\", r) }) {
		return false
	}
	return strings.HasPrefix(s, "[") || strings.Contains(s, ".") && !strings.Contains(s, ":")
}

// explainQueue says where the mail of a domain goes and what it waits for.
func (w *Web) explainQueue(rw http.ResponseWriter, r *http.Request) {
	values, err := parameters(r, "domain", "from")
	if err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	domain, from := hold.CanonicalDomain(values.Get("domain")), hold.CanonicalDomain(values.Get("from"))
	switch {
	case !isDomain(domain):
		problem(rw, http.StatusBadRequest, "domain: want the domain of recipients, like example.net, and not the name of a provider")
		return
	case from != "" && w.Sends != nil && !w.Sends(from):
		problem(rw, http.StatusBadRequest, "from: want a domain that mail is sent as, one that has a [[domain]] in the configuration")
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
