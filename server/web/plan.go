package web

import (
	"fmt"
	"net/http"
	"strconv"

	"homing/queue"
)

// MostRecipients is how many recipients a mailing has at most for which there
// is a plan.
const MostRecipients = 1_000_000_000

// planQueue says how long a mailing would take.
func (w *Web) planQueue(rw http.ResponseWriter, r *http.Request) {
	values, err := parameters(r, "recipients")
	if err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	n, err := strconv.Atoi(values.Get("recipients"))
	if err != nil || n < 1 || n > MostRecipients {
		problem(rw, http.StatusBadRequest, fmt.Sprintf("recipients: want a number from 1 to %d", MostRecipients))
		return
	}
	w.answer(rw, w.Queue.Plan(n))
}

// Campaigns are the campaigns of which something waits.
type Campaigns struct {
	Campaigns []queue.Campaign `json:"campaigns"` // those with the most recipients first
}

// listCampaigns says when each campaign will be through.
func (w *Web) listCampaigns(rw http.ResponseWriter, r *http.Request) {
	if _, err := parameters(r); err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	out := Campaigns{Campaigns: []queue.Campaign{}}
	for _, c := range w.Queue.Campaigns() {
		if callerOf(r).owns(c.Application) {
			out.Campaigns = append(out.Campaigns, c)
		}
	}
	w.answer(rw, out)
}
