package web

import (
	"net/http"
	"time"

	"homing/queue"
)

// A Status is one screen: is it working, what needs attention.
type Status struct {
	Version   string           `json:"version"`
	Hostname  string           `json:"hostname"`
	Mode      string           `json:"mode"`
	Started   time.Time        `json:"started"`
	Ready     string           `json:"ready"` // "ready", or why not
	Listen    []Listening      `json:"listen"`
	Waiting   int              `json:"waiting"` // recipients in the queue
	Pauses    []*Pause         `json:"pauses"`
	Campaigns []queue.Campaign `json:"campaigns,omitempty"` // the largest three under way
	Sinks     []SinkStatus     `json:"sinks"`
	Apps      []Application    `json:"applications"`
	Attention []string         `json:"attention"` // what to look at, one sentence each, with what to do
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
