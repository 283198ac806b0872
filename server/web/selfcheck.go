package web

import (
	"bytes"
	"context"
	_ "embed" // of the page
	"encoding/json"
	"html/template"
	"net/http"
	"strings"
	"time"

	"homing/dnscheck"
	"homing/server/selfcheck"
)

// A Checker checks whether everything is as mail needs it.
// *selfcheck.Checker is one.
type Checker interface {
	Last() selfcheck.Result
	Now(ctx context.Context) (selfcheck.Result, error)
	History() []selfcheck.Change
}

// Pending is the verdict before the first run has ended.
const Pending = "pending"

// A SelfCheck is what /selfcheck answers.
type SelfCheck struct {
	Verdict  string              `json:"verdict"` // the worst of the findings: "ok", "warn", "fail"; or Pending
	Time     *time.Time          `json:"time"`    // when the run ended
	Age      float64             `json:"age_seconds"`
	Took     float64             `json:"took_seconds"`
	Findings []selfcheck.Finding `json:"findings"`
	History  []selfcheck.Change  `json:"history"` // newest first
}

// shownHistory is how many changes are answered.
const shownHistory = 50

// SelfCheckOf words a result, as it is now.
func SelfCheckOf(r selfcheck.Result, past []selfcheck.Change, now time.Time) SelfCheck {
	out := SelfCheck{Verdict: Pending, Findings: []selfcheck.Finding{}, History: []selfcheck.Change{}}
	out.History = append(out.History, past[:min(len(past), shownHistory)]...)
	if r.Time.IsZero() {
		return out
	}
	out.Verdict, out.Time, out.Took = string(r.Worst()), &r.Time, r.Took
	out.Age = max(0, now.Sub(r.Time).Round(time.Second).Seconds()) // the clock may have been set back
	out.Findings = append(out.Findings, r.Findings...)
	return out
}

func (w *Web) selfCheckOf(r selfcheck.Result) SelfCheck {
	return SelfCheckOf(r, w.Checks.History(), w.Now())
}

// selfCheck answers the last result: 200 where nothing fails, else 503.
func (w *Web) selfCheck(rw http.ResponseWriter, r *http.Request) {
	w.answerCheck(rw, r, w.selfCheckOf(w.Checks.Last()))
}

// checkNow runs the checks and answers what they found.
func (w *Web) checkNow(rw http.ResponseWriter, r *http.Request) {
	if _, err := parameters(r); err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	result, err := w.Checks.Now(r.Context())
	if err != nil {
		problem(rw, http.StatusServiceUnavailable, "the server is stopping")
		return
	}
	w.answer(rw, w.selfCheckOf(result))
}

func (w *Web) answerCheck(rw http.ResponseWriter, r *http.Request, s SelfCheck) {
	status := http.StatusOK
	if s.Verdict == string(dnscheck.Fail) || s.Verdict == Pending {
		status = http.StatusServiceUnavailable
	}
	var body bytes.Buffer
	var err error
	rw.Header().Add("Vary", "Accept")
	if wantsPage(r) {
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		rw.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		err = selfCheckPage.Execute(&body, s)
	} else {
		rw.Header().Set("Content-Type", "application/json")
		err = json.NewEncoder(&body).Encode(s)
	}
	if err != nil {
		w.failed(rw, r, err)
		return
	}
	rw.WriteHeader(status)
	rw.Write(body.Bytes()) // whoever asked may be gone
}

// wantsPage reports whether a browser asks.
func wantsPage(r *http.Request) bool {
	for accept := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		kind, _, _ := strings.Cut(strings.TrimSpace(accept), ";")
		switch kind {
		case "text/html":
			return true
		case "application/json":
			return false
		}
	}
	return false
}

//go:embed selfcheck.html
var selfCheckText string

var selfCheckPage = template.Must(template.New("").Funcs(template.FuncMap{
	"clock": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") },
}).Parse(selfCheckText))
