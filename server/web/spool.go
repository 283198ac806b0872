package web

import (
	"net/http"
	"time"

	"homing/internal/spool"
)

// A Spool is where mail of local users lies that could not be taken at once.
type Spool interface {
	Files() (all []spool.File, fault string)
	Flush()
}

// Spooled is what lies in the spool and was tried at least once.
type Spooled struct {
	Files []SpoolFile `json:"files"`           // oldest first
	Fault string      `json:"fault,omitempty"` // why nothing can be taken from it
}

// A SpoolFile is one mail there.
type SpoolFile struct {
	File       string     `json:"file"`
	UID        int        `json:"uid"`
	User       string     `json:"user"`
	Sender     string     `json:"sender"`
	Recipients []string   `json:"recipients"`
	Size       int64      `json:"size"`
	Spooled    time.Time  `json:"spooled"`
	State      string     `json:"state"` // "waiting", "refused"
	Reason     string     `json:"reason"`
	Next       *time.Time `json:"next,omitempty"` // when it is tried again
}

// noSpool is the fault where listen.local is off.
const noSpool = "listen.local is off, so no mail is taken from local users"

// listSpool lists the spool.
func (w *Web) listSpool(rw http.ResponseWriter, r *http.Request) {
	if _, err := parameters(r); err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	if w.Spool == nil {
		w.answer(rw, Spooled{Files: []SpoolFile{}, Fault: noSpool})
		return
	}
	files, fault := w.Spool.Files()
	out := Spooled{Files: make([]SpoolFile, 0, len(files)), Fault: fault}
	for _, f := range files {
		s := SpoolFile{File: f.Name, UID: f.UID, User: w.UserName(f.UID), Sender: f.From, Recipients: append([]string{}, f.To...), Size: f.Octets,
			Spooled: f.Spooled.UTC(), State: f.State, Reason: f.Reason}
		if !f.Next.IsZero() {
			s.Next = utc(f.Next)
		}
		out.Files = append(out.Files, s)
	}
	w.answer(rw, out)
}

// flushSpool makes everything in the spool due, also what was refused.
func (w *Web) flushSpool(rw http.ResponseWriter, r *http.Request) {
	if _, err := parameters(r); err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	if w.Spool == nil {
		problem(rw, http.StatusUnprocessableEntity, noSpool)
		return
	}
	w.Spool.Flush()
	w.answer(rw, struct {
		Flushed bool `json:"flushed"`
	}{true})
}
