package web

import (
	"net/http"
	"time"

	"homing/queue"
)

// How a server is.
const (
	Works    = "works"    // nothing needs attention
	Troubled = "troubled" // it works, and something needs attention
	Broken   = "broken"   // it is not ready, or a check fails
)

// A Status is one screen: is it working, what needs attention, what to do, and
// what somebody who takes it over has to know.
type Status struct {
	Version   string           `json:"version"`
	Hostname  string           `json:"hostname"`
	Mode      string           `json:"mode"`
	Started   time.Time        `json:"started"`
	Ready     string           `json:"ready"`   // "ready", or why not
	Verdict   string           `json:"verdict"` // Works, Troubled or Broken
	Config    string           `json:"config"`  // the file
	DataDir   string           `json:"data_dir"`
	Notify    []string         `json:"notify"`            // who is told by mail
	Checked   *time.Time       `json:"checked,omitempty"` // when the last self-check ended; nil: there was none yet
	Listen    []Listening      `json:"listen"`
	Waiting   int              `json:"waiting"` // recipients in the queue
	Pauses    []*Pause         `json:"pauses"`
	Campaigns []queue.Campaign `json:"campaigns,omitempty"` // the largest three under way
	Sinks     []SinkStatus     `json:"sinks"`
	Apps      []Application    `json:"applications"`
	Accounts  []string         `json:"accounts"`  // that somebody must have elsewhere
	Due       []string         `json:"due"`       // secrets that are old, with what to do
	Attention []string         `json:"attention"` // what to look at, with what to do; the first line is a sentence, more may follow
}

// Listening is one address that is listened on.
type Listening struct {
	What    string `json:"what"`
	Address string `json:"address"`
}

// SinkStatus is how a sink is doing.
type SinkStatus struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	State  string `json:"state"` // "working", "failing", "paused"
	Parked int    `json:"parked"`
	Error  string `json:"error,omitempty"` // the last failure
}

// Application is who may send.
type Application struct {
	Name      string   `json:"name"`
	Kind      string   `json:"kind"`
	Domains   []string `json:"domains"`
	Mode      string   `json:"mode"`
	SentToday int      `json:"sent_today"`
	Limit     int      `json:"daily_limit,omitempty"`
}

func (w *Web) status(rw http.ResponseWriter, r *http.Request) {
	s, err := w.Status(r.Context())
	if err != nil {
		w.failed(rw, r, err)
		return
	}
	w.answer(rw, s)
}
