package web

import (
	"context"
	"net/http"
	"time"

	"homing/hold"
	"homing/internal/terminal"
	"homing/server/reports"
)

// Reports is what others claim about mail in our name. *reports.Keeper is one.
type Reports interface {
	Answer(ctx context.Context, domain string, since time.Time) (a reports.Answer, known bool)
}

// reports says who sends in our name, by what receivers report.
func (w *Web) reports(rw http.ResponseWriter, r *http.Request) {
	v, err := parameters(r, "domain", "since")
	var since time.Time
	if err == nil {
		since, err = w.ago(v, "since")
	}
	if err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	answer, known := w.Reports.Answer(r.Context(), hold.CanonicalDomain(v.Get("domain")), since)
	if !known {
		problem(rw, http.StatusNotFound, terminal.Quote(v.Get("domain"))+" is none of the domains of the configuration, so that reports about it are not kept: look at those of `homing reports`")
		return
	}
	w.answer(rw, answer)
}
